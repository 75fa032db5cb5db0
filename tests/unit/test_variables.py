"""Settings that stand in files, as container platforms mount secrets, and reading them again."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from service.config.settings import (
    ConfigError,
    Settings,
    load_settings,
    reload_settings,
    withdraw_from_environment,
)

if TYPE_CHECKING:
    from pathlib import Path

OLD, NEW = "old-canary-c4a91e7b03d85f26e1b79d42", "new-canary-5f0b8d3e6a1c9472e8d0b61f"
PRODUCTION = {
    "ENVIRONMENT": "production",
    "REDIS_URL": "redis://:redis-canary@host:6379",
    "DATABASE_URL": "postgres://u:sql-canary@host/users",
    "WECHAT_APPID": "wx1",
}


@pytest.fixture(autouse=True)
def empty_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    for name in (*Settings.model_fields, "redis_tls_url"):
        monkeypatch.delenv(name.upper(), raising=False)
        monkeypatch.delenv(f"{name.upper()}_FILE", raising=False)


def put(monkeypatch: pytest.MonkeyPatch, **variables: str) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)


def refused(withdrawn: dict[str, str] | None = None) -> list[str]:
    with pytest.raises(ConfigError) as refusal:
        reload_settings(withdrawn or {})
    assert "canary" not in str(refusal.value)
    return str(refusal.value).splitlines()


@pytest.mark.parametrize("name", [*Settings.model_fields, "redis_tls_url"])
def test_every_setting_may_stand_in_a_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str
) -> None:
    values = {
        "redis_url": "redis://h",
        "redis_tls_url": "rediss://h",
        "database_url": "sqlite:///x.db",
        "secret_keys": f"{NEW},{OLD}",
        "internal_token": NEW,
        "wechat_appid": "wx1",
        "wechat_secret": NEW,
        "wechat_apps": '[{"appid": "wx2", "secret": "s"}]',
        "host": "10.0.0.1",
        "redis_sentinel_password": NEW,
        "dyno": "web.1",
        "device_classes": "phone,pc",
        "admin_tokens": f"alice:{NEW}",
        "metrics_token": NEW,
        "log_format": "json",
    }
    field = name.replace("_tls_url", "_url")
    default = Settings.model_fields[field].default
    text = values.get(name) or (",".join(default) if isinstance(default, tuple) else str(default))
    if name.startswith("wechat_") and name != "wechat_apps":
        put(monkeypatch, WECHAT_APPID="wx1", WECHAT_SECRET=NEW)
    if name.startswith("redis_sentinel_"):
        put(monkeypatch, REDIS_URL="redis+sentinel://h/mymaster", REDIS_SENTINEL_PASSWORD="p")
    if name == "dyno":
        put(monkeypatch, **PRODUCTION, WECHAT_SECRET=NEW, SECRET_KEYS=NEW)
    put(monkeypatch, **{name.upper(): text})
    told = load_settings()
    (tmp_path / "value").write_text(f"{text}\n")
    monkeypatch.delenv(name.upper())
    put(monkeypatch, **{f"{name.upper()}_FILE": str(tmp_path / "value")})
    assert load_settings() == told
    assert getattr(told, field) != default or name not in values


def test_a_file_serves_in_production(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text(f" {OLD}\r\n")
    (tmp_path / "keys").write_text(f"\ufeff{NEW},\n{OLD}\n", encoding="utf-8")
    (tmp_path / ".env").write_text("SECRET_KEYS_FILE=keys\n")
    put(monkeypatch, **PRODUCTION, WECHAT_SECRET_FILE="secret")
    settings = load_settings()
    assert settings.apps["wx1"].secret == OLD
    assert [key.get_secret_value() for key in settings.secret_keys] == [NEW, OLD]


def test_the_environment_wins_over_dotenv_whichever_names_a_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "a").write_text("9001")
    (tmp_path / ".env").write_text("PORT_FILE=a\nSESSION_TTL=60\nREDIS_TLS_URL=rediss://dotenv\n")
    assert load_settings().port == 9001
    (tmp_path / "ttl").write_text("70")
    put(monkeypatch, PORT="9002", SESSION_TTL_FILE="ttl", REDIS_URL="redis://environment")
    settings = load_settings()
    assert (settings.port, settings.session_ttl) == (9002, 70)
    assert settings.redis_url is not None
    assert settings.redis_url.get_secret_value() == "redis://environment"


def test_all_that_is_wrong_with_files_is_told_at_once_without_values(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "empty-canary").write_text(" \n")
    (tmp_path / "gbk-canary").write_bytes("金丝雀".encode("gbk"))
    (tmp_path / "short-canary").write_text("canary")
    put(
        monkeypatch,
        **PRODUCTION,
        WECHAT_SECRET_FILE="no-canary",
        SECRET_KEYS_FILE="empty-canary",
        PORT_FILE="gbk-canary",
        INTERNAL_TOKEN_FILE="short-canary",
        SESSION_TTL="60",
        SESSION_TTL_FILE="short-canary",
        LOG_LEVEL_FILE=str(tmp_path),
    )
    assert sorted(refused(withdraw_from_environment())) == [
        "INTERNAL_TOKEN: needs 32 characters or more",
        "LOG_LEVEL_FILE: the file cannot be read: Is a directory",
        "PORT_FILE: the file is not UTF-8",
        "SECRET_KEYS_FILE: the file is empty",
        "SESSION_TTL_FILE: set it or SESSION_TTL, not both",
        "WECHAT_SECRET_FILE: the file cannot be read: No such file or directory",
    ]


def test_a_blank_name_of_a_file_counts_as_unset(monkeypatch: pytest.MonkeyPatch) -> None:
    put(monkeypatch, PORT_FILE=" ", WECHAT_SECRET_FILE="")
    assert load_settings() == Settings()


def test_read_again_everything_is_as_before_and_files_are_new(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """What a restart of the workers does, long after the environment was cleared."""
    (tmp_path / "secret").write_text(OLD)
    (tmp_path / ".env").write_text(f"SECRET_KEYS={OLD}\nSESSION_TTL=60\n")
    put(monkeypatch, **PRODUCTION, WECHAT_SECRET_FILE="secret", SESSION_TTL="90", ACCESS_LOG="1")
    before = load_settings()
    withdrawn = withdraw_from_environment()
    assert reload_settings(withdrawn) == before
    assert "canary" not in "".join(os.environ.values())
    assert os.environ["WECHAT_SECRET_FILE"] == "secret"

    (tmp_path / "secret").write_text(NEW)
    (tmp_path / ".env").write_text(f"SECRET_KEYS={NEW},{OLD}\nSESSION_TTL=61\nLOG_LEVEL=ERROR\n")
    after = reload_settings(withdrawn)
    assert after.apps["wx1"].secret == NEW
    assert [key.get_secret_value() for key in after.secret_keys] == [NEW, OLD]
    assert (after.session_ttl, after.access_log, after.log_level) == (90, True, "ERROR")

    (tmp_path / "secret").unlink()
    (tmp_path / ".env").write_text("SECRET_KEYS=short-canary")
    assert refused(withdrawn) == [
        "SECRET_KEYS: each key needs 32 characters or more",
        "WECHAT_SECRET_FILE: the file cannot be read: No such file or directory",
    ]
    assert "canary" not in "".join(os.environ.values())


def test_a_link_that_is_switched_is_followed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """As Kubernetes does it: the name stays, the folder behind it changes."""
    for folder, text in (("one", OLD), ("two", NEW)):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "internal").write_text(text)
    (tmp_path / "data").symlink_to("one")
    put(monkeypatch, INTERNAL_TOKEN_FILE=str(tmp_path / "data" / "internal"))
    tokens = [load_settings().internal_token]
    (tmp_path / "next").symlink_to("two")
    (tmp_path / "next").rename(tmp_path / "data")
    tokens.append(load_settings().internal_token)
    assert [token and token.get_secret_value() for token in tokens] == [OLD, NEW]
