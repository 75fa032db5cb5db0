from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from service.settings import ConfigError, Settings, load_settings

if TYPE_CHECKING:
    from pathlib import Path

COMPLETE = {
    "REDIS_URL": "redis://:redis-canary@host:6379",
    "WECHAT_APPID": "wx1",
    "WECHAT_SECRET": "secret-canary",
    "SECRET_KEYS": "key-canary" * 4,
}


@pytest.fixture(autouse=True)
def empty_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    for name in (*Settings.model_fields, "redis_tls_url"):
        monkeypatch.delenv(name.upper(), raising=False)


def load(monkeypatch: pytest.MonkeyPatch, **variables: str) -> Settings:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    return load_settings()


def test_development_needs_nothing() -> None:
    settings = load_settings()
    assert settings.missing == ("REDIS_URL", "WECHAT_APPID", "WECHAT_SECRET", "SECRET_KEYS")
    assert settings.demo
    assert (settings.session_ttl, settings.login_coalesce_ms) == (7200, 3000)


@pytest.mark.parametrize("sign", [{"ENVIRONMENT": "production"}, {"DYNO": "web.1"}])
def test_production_names_every_missing_variable_and_no_value(
    monkeypatch: pytest.MonkeyPatch, sign: dict[str, str]
) -> None:
    with pytest.raises(ConfigError) as refusal:
        load(monkeypatch, **sign, WECHAT_APPID="wx-canary")
    text = str(refusal.value)
    assert [name for name in COMPLETE if f"{name}: missing" in text] == [
        "REDIS_URL",
        "WECHAT_SECRET",
        "SECRET_KEYS",
    ]
    assert "canary" not in text


def test_production_with_everything_loads_without_the_demo(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = load(monkeypatch, **COMPLETE, ENVIRONMENT="production")
    assert settings.missing == ()
    assert not settings.demo
    assert settings.apps["wx1"].secret == "secret-canary"


def test_all_faults_are_reported_at_once_without_values(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError) as refusal:
        load(
            monkeypatch,
            ENVIRONMENT="production",
            PORT="canary",
            SESSION_TTL="0",
            REDIS_URL="canary://x",
            SECRET_KEYS="canary,short",
            WECHAT_API_BASE="http://canary",
            AUTH_ERROR_STATUS="500",
            DEVICE_CLASSES="a b",
        )
    named = {line.partition(":")[0] for line in str(refusal.value).splitlines()}
    assert named == {
        "PORT",
        "SESSION_TTL",
        "REDIS_URL",
        "SECRET_KEYS",
        "AUTH_ERROR_STATUS",
        "DEVICE_CLASSES",
        "WECHAT_API_BASE",
        "WECHAT_APPID",
        "WECHAT_SECRET",
    }
    assert "canary" not in str(refusal.value)


@pytest.mark.parametrize(
    ("variables", "named"),
    [
        ({"WECHAT_APPID": "wx1"}, "WECHAT_SECRET"),
        ({"SESSION_RENEWAL": "sliding", "SESSION_MAX_AGE": "60"}, "SESSION_MAX_AGE"),
        (
            {**COMPLETE, "ENVIRONMENT": "production", "WECHAT_API_BASE": "http://127.0.0.1:9"},
            "WECHAT_API_BASE",
        ),
        ({"WECHAT_API_BASE": "https://stand-in"}, "WECHAT_API_BASE"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], named: str
) -> None:
    with pytest.raises(ConfigError, match=named):
        load(monkeypatch, **variables)


def test_the_tls_address_goes_before_the_plain_one(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = load(monkeypatch, REDIS_URL="redis://plain", REDIS_TLS_URL="rediss://tls")
    assert settings.redis_url is not None
    assert settings.redis_url.get_secret_value() == "rediss://tls"


def test_an_empty_variable_counts_as_unset(monkeypatch: pytest.MonkeyPatch) -> None:
    assert load(monkeypatch, SECRET_KEYS="", REDIS_URL="").missing[0] == "REDIS_URL"


def test_a_key_ring_is_a_list_of_any_long_strings(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = load(monkeypatch, SECRET_KEYS=f"{'a' * 32}, {'0' * 40}")
    assert [key.get_secret_value() for key in settings.secret_keys] == ["a" * 32, "0" * 40]


def test_a_dotenv_file_serves_and_the_environment_wins(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / ".env").write_text("PORT=9001\nSESSION_TTL=60\n")
    settings = load(monkeypatch, PORT="9002")
    assert (settings.port, settings.session_ttl) == (9002, 60)


def test_settings_show_no_secret_and_cannot_be_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = load(monkeypatch, **COMPLETE)
    assert "canary" not in repr(settings)
    with pytest.raises(Exception, match="frozen"):
        settings.port = 1  # type: ignore[misc] # that is the point
