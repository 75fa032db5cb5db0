from __future__ import annotations

import errno
import os
import time
from typing import TYPE_CHECKING

import pytest

from service.config.settings import (
    ConfigError,
    Settings,
    hand_on_keys_of_storage,
    load_settings,
    reload_settings,
    withdraw_from_environment,
)

if TYPE_CHECKING:
    from pathlib import Path

COMPLETE = {
    "REDIS_URL": "redis://:redis-canary@host:6379",
    "DATABASE_URL": "postgres://u:sql-canary@host/users",
    "WECHAT_APPID": "wx1",
    "WECHAT_SECRET": "secret-canary",
    "SECRET_KEYS": "key-canary-c4a91e7b03d85f26e1b79d",
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
    assert settings.missing == tuple(COMPLETE)
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
        "DATABASE_URL",
        "WECHAT_SECRET",
        "SECRET_KEYS",
    ]
    assert "canary" not in text


@pytest.mark.parametrize(
    "url",
    [
        "redis+cluster://canary/1",
        "redis+sentinel://canary",
        "rediss+sentinel://canary/x/y",
        "canary",
        "redis://:canary/canary@h:6379/0",
        "redis://h:6379/0?ssl_cert_reqs=canary",
    ],
)
def test_an_address_of_redis_that_cannot_be_used_is_named(
    monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    with pytest.raises(ConfigError, match="REDIS_URL: must ") as refusal:
        load(monkeypatch, REDIS_URL=url)
    assert "canary" not in str(refusal.value)


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
            DATABASE_URL="mysql://canary",
            AVATAR_STORE="canary",
            SECRET_KEYS="canary,short",
            INTERNAL_TOKEN="canary",
            WECHAT_APPS='[{"appid": "canary"}]',
            WECHAT_API_BASE="http://canary",
            AUTH_ERROR_STATUS="500",
            DEVICE_CLASSES="a b",
        )
    named = {line.partition(":")[0] for line in str(refusal.value).splitlines()}
    assert named == {
        "PORT",
        "SESSION_TTL",
        "REDIS_URL",
        "DATABASE_URL",
        "AVATAR_STORE",
        "SECRET_KEYS",
        "INTERNAL_TOKEN",
        "WECHAT_APPS",
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
        ({"SESSIONS_SINCE": str(int(time.time()) + 3600)}, "SESSIONS_SINCE"),
        ({"SESSIONS_SINCE": str(int(time.time()) * 1000)}, "SESSIONS_SINCE"),
        ({"WAFER_COMPAT": "1", "AUTH_ERROR_STATUS": "200"}, "AUTH_ERROR_STATUS"),
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
    settings = load(monkeypatch, **dict.fromkeys((*COMPLETE, "WECHAT_APPS", "INTERNAL_TOKEN"), ""))
    assert settings.missing == tuple(COMPLETE)
    assert settings.internal_token is None


def test_white_space_is_no_value_and_no_part_of_one(monkeypatch: pytest.MonkeyPatch) -> None:
    blank = load(monkeypatch, **dict.fromkeys((*COMPLETE, "WECHAT_APPS", "PORT", "DYNO"), " \t"))
    assert blank.missing == tuple(COMPLETE)
    assert blank.port == 8000
    settings = load(
        monkeypatch,
        **{name: f" {value}\n" for name, value in COMPLETE.items()},
        ENVIRONMENT="production",
        WECHAT_APPS='[{"appid": " wx2", "secret": "s "}]',
    )
    assert settings.apps["wx1"].secret == "secret-canary"
    assert settings.apps["wx2"].secret == "s"
    assert settings.redis_url is not None
    assert settings.redis_url.get_secret_value() == COMPLETE["REDIS_URL"]


@pytest.mark.parametrize("name", ["WECHAT_APPID", "WECHAT_SECRET"])
def test_production_takes_white_space_for_missing(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    with pytest.raises(ConfigError, match=f"{name}: missing"):
        load(monkeypatch, **{**COMPLETE, "ENVIRONMENT": "production", name: "  "})


def test_an_appid_of_white_space_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="WECHAT_APPS"):
        load(monkeypatch, WECHAT_APPS='[{"appid": "  ", "secret": "s"}]')


@pytest.mark.parametrize(
    "name", [*(name.upper() for name in Settings.model_fields), "REDIS_TLS_URL"]
)
@pytest.mark.parametrize(
    "value",
    [
        "canary",
        "401canary",
        '[{"appid": "canary", "canary": 1}]',
        "canary://canary:canary@canary:canary/canary?canary=canary",
        "redis://:canary/canary@canary:canary/canary?canary=canary",
        "unix://canary:canary@canary?canary=canary",
        "redis+cluster://:canary/canary@canary:canary",
        "redis+sentinel://:canary/canary@canary:canary/canary",
        "postgresql://canary:canary@canary:canary/canary",
        "postgresql://canary/canary?sslmode=canary&sslrootcert=canary",
        "sqlite://canary",
    ],
)
def test_no_fault_of_any_setting_shows_its_value(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    try:
        load(monkeypatch, **{**COMPLETE, name: value})
    except ConfigError as refusal:
        assert "canary" not in str(refusal)  # noqa: PT017 # some settings may be any text
        assert name in str(refusal)  # noqa: PT017


@pytest.mark.parametrize("status", ["401", "200"])
def test_the_status_of_a_dead_session_is_a_number(
    monkeypatch: pytest.MonkeyPatch, status: str
) -> None:
    assert load(monkeypatch, AUTH_ERROR_STATUS=status).auth_error_status == int(status)


@pytest.mark.parametrize(
    "address",
    [
        "postgres://u:p@host/users",
        "postgresql://u:p@host/users?sslmode=require",
        "postgresql+psycopg://u:p@host/users",
        "sqlite:///users.db",
        "sqlite+aiosqlite:////var/users.db",
    ],
)
def test_a_database_may_be_spelt_as_is_usual(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    url = load(monkeypatch, DATABASE_URL=address).database_url
    assert url is not None
    assert url.get_secret_value() == address


@pytest.mark.parametrize("address", ["file://var/uploads", "file:///srv/a", "s3://bucket/prefix"])
def test_avatars_may_be_in_a_folder_or_a_bucket(
    monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    assert load(monkeypatch, AVATAR_STORE=address).avatar_store == address


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DATABASE_URL", "mysql://host/users"),
        ("DATABASE_URL", "host/users"),
        ("DATABASE_CONNECTIONS", "0"),
        ("AVATAR_STORE", "/srv/avatars"),
        ("AVATAR_STORE", "http://host/avatars"),
        ("AVATAR_MAX_BYTES", "1023"),
        ("ENCRYPTED_DATA_MAX_AGE", "0"),
        ("INTERNAL_TOKEN", "x" * 31),
        ("INTERNAL_TOKEN", "x" * 32),
        ("WECHAT_APPS", '{"appid": "wx1", "secret": "s"}'),
        ("WECHAT_APPS", '["wx1"]'),
        ("WECHAT_APPS", '[{"appid": "wx1"}]'),
        ("WECHAT_APPS", '[{"appid": "wx1", "secret": ""}]'),
        ("WECHAT_APPS", '[{"appid": "wx1", "secret": "s", "name": "n"}]'),
    ],
)
def test_a_value_out_of_shape_is_named(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    with pytest.raises(ConfigError) as refusal:
        load(monkeypatch, **{name: value})
    assert str(refusal.value).startswith(f"{name}: ")


def test_what_is_no_json_is_named_like_any_other_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="WECHAT_APPS"):
        load(monkeypatch, WECHAT_APPS="canary")


def test_several_mini_programs_come_as_json(monkeypatch: pytest.MonkeyPatch) -> None:
    listed = (
        '[{"appid": "wx2", "secret": "canary2"},'
        ' {"appid": "wx3", "secret": "canary3", "platform": " studio "}]'
    )
    alone = load(monkeypatch, WECHAT_APPS=listed)
    assert {appid: app.secret for appid, app in alone.apps.items()} == {
        "wx2": "canary2",
        "wx3": "canary3",
    }
    assert [app.platform for app in alone.apps.values()] == ["", "studio"]
    assert not {"WECHAT_APPID", "WECHAT_SECRET"} & set(alone.missing)
    again = load(monkeypatch, WECHAT_APPID="wx3", WECHAT_SECRET="canary4").apps["wx3"]
    assert (again.secret, again.platform) == ("canary4", "studio")
    together = load(monkeypatch, WECHAT_APPID="wx1", WECHAT_SECRET="canary1")
    assert set(together.apps) == {"wx1", "wx2", "wx3"}
    assert "canary" not in repr(together) + repr(together.apps)


def test_a_key_ring_is_a_list_of_any_long_strings(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = "a tree 9 birds & a very odd catx", "0" * 40
    settings = load(monkeypatch, SECRET_KEYS=f"{first}, {second}")
    assert [key.get_secret_value() for key in settings.secret_keys] == [first, second]


@pytest.mark.parametrize("weak", ["a" * 32, "changeme" * 5, "0123456789abcdef" * 2])
def test_a_key_that_can_be_guessed_is_refused_where_it_would_seal(
    monkeypatch: pytest.MonkeyPatch, weak: str
) -> None:
    for name in ("SECRET_KEYS", "INTERNAL_TOKEN"):
        with pytest.raises(ConfigError, match=f"^{name}: .*must be random") as refusal:
            load(monkeypatch, **{name: weak})
        assert weak[:8] not in str(refusal.value)
        monkeypatch.delenv(name)
    ring = load(monkeypatch, SECRET_KEYS=f"{COMPLETE['SECRET_KEYS']},{weak}").secret_keys
    assert ring[1].get_secret_value() == weak  # else nobody could get away from it


@pytest.mark.parametrize("sign", [{"ENVIRONMENT": "production"}, {"DYNO": "web.1"}])
def test_production_listens_for_all_and_development_for_this_machine(
    monkeypatch: pytest.MonkeyPatch, sign: dict[str, str]
) -> None:
    assert load(monkeypatch).address == "127.0.0.1"
    assert load(monkeypatch, **COMPLETE, **sign).address == "0.0.0.0"
    assert load(monkeypatch, HOST="10.0.0.1").address == "10.0.0.1"


ALL_REAL = ["REDIS_URL", "DATABASE_URL", "WECHAT_APPID"]


@pytest.mark.parametrize(
    ("variables", "names"),
    [
        ({}, None),
        ({"HOST": "127.0.0.1"}, None),
        ({"HOST": "::1", "REDIS_URL": "redis://h"}, None),
        ({"HOST": "localhost"}, None),
        ({"HOST": "0.0.0.0"}, ["0.0.0.0"]),
        ({"HOST": "::", "REDIS_URL": "redis://h"}, ["::", "REDIS_URL"]),
        ({"HOST": "10.1.2.3", **COMPLETE}, ["10.1.2.3", *ALL_REAL]),
        (COMPLETE, ["this machine alone", *ALL_REAL]),
        ({**COMPLETE, "ENVIRONMENT": "production", "AVATAR_STORE": "s3://bucket"}, None),
        ({**COMPLETE, "DYNO": "web.1", "HOST": "0.0.0.0", "AVATAR_STORE": "s3://bucket"}, None),
    ],
)
def test_a_forgotten_environment_is_told(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], names: list[str] | None
) -> None:
    warnings = load(monkeypatch, **variables).warnings
    assert len(warnings) == (names is not None)
    for name in names or ():
        assert name in warnings[0]
        assert "ENVIRONMENT=production" in warnings[0]
    assert "canary" not in "".join(warnings)


@pytest.mark.bar("E6")
@pytest.mark.parametrize("scheme", ["rediss", "rediss+cluster"])
def test_a_redis_that_is_not_verified_is_told(monkeypatch: pytest.MonkeyPatch, scheme: str) -> None:
    address = f"{scheme}://:canary@h:6379"
    assert not load(monkeypatch, REDIS_URL=address).warnings
    [warning] = load(monkeypatch, REDIS_URL=address, REDIS_TLS_VERIFY="none").warnings
    assert warning.startswith("REDIS_TLS_VERIFY is none: ")
    assert "canary" not in warning
    assert not load(monkeypatch, REDIS_URL="redis://h", REDIS_TLS_VERIFY="none").warnings


SQLITE = {"DATABASE_URL": "sqlite:///users.db"}
PRODUCTION = {**COMPLETE, "ENVIRONMENT": "production"}


@pytest.mark.parametrize(
    ("variables", "lines"),
    [
        (PRODUCTION, 1),
        ({**PRODUCTION, "AVATAR_STORE": "file:///srv/avatars"}, 1),
        ({**COMPLETE, "DYNO": "web.2"}, 1),
        ({**COMPLETE, **SQLITE, "DYNO": "web.1"}, 1),
        ({**PRODUCTION, **SQLITE}, 0),
        ({**PRODUCTION, "AVATAR_STORE": "s3://bucket/prefix"}, 0),
        (SQLITE, 0),
        ({}, 0),
    ],
)
def test_a_folder_of_avatars_that_not_every_instance_has_is_told(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], lines: int
) -> None:
    warnings = load(monkeypatch, **variables).warnings
    assert [text.startswith("AVATAR_STORE is a folder") for text in warnings] == [True] * lines
    assert all("AVATAR_STORE=s3://" in text for text in warnings)


def test_no_setting_is_handed_on_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = {"PATH": "/bin", "AWS_SECRET_ACCESS_KEY": "for the avatar store"}
    for name, value in {
        **COMPLETE,
        **kept,
        "REDIS_TLS_URL": "rediss://h",
        "secret_keys": "x",
    }.items():
        monkeypatch.setenv(name, value)
    withdraw_from_environment()
    assert dict(os.environ).items() >= kept.items()
    assert not {name.upper() for name in os.environ} & {*COMPLETE, "REDIS_TLS_URL"}


def test_keys_of_the_avatar_store_may_stand_in_dotenv(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    names = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION")
    for name in names:
        monkeypatch.setenv(name, "x")  # so that what is set below is taken back
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_REGION", "environment")
    lines = [f"{name}='dotenv'" for name in names]
    (tmp_path / ".env").write_text("\n".join([*lines, "SECRET=1", "AWS_ENDPOINT="]))
    hand_on_keys_of_storage()
    assert [os.environ[name] for name in names] == ["dotenv", "dotenv", "environment"]
    assert not {"SECRET", "AWS_ENDPOINT"} & set(os.environ)


def test_a_dotenv_file_serves_and_the_environment_wins(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / ".env").write_text("PORT=9001\nSESSION_TTL=60\n")
    settings = load(monkeypatch, PORT="9002")
    assert (settings.port, settings.session_ttl) == (9002, 60)


def test_files_are_read_again_beside_what_was_withdrawn_from_the_environment(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / ".env").write_text("PORT=9001\nSESSION_TTL=60\n")
    load(monkeypatch, PORT="9002")
    withdrawn = withdraw_from_environment()
    (tmp_path / ".env").write_text("PORT=9003\nSESSION_TTL=90\n")
    settings = reload_settings(withdrawn)
    assert (settings.port, settings.session_ttl) == (9002, 90)
    (tmp_path / ".env").write_text("SESSION_TTL=canary\n")
    with pytest.raises(ConfigError, match="SESSION_TTL"):
        reload_settings(withdrawn)
    assert "PORT" not in os.environ


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_a_dotenv_file_may_begin_with_the_mark_of_windows(tmp_path: Path, encoding: str) -> None:
    (tmp_path / ".env").write_text("PORT=9001\n# 端口\n", encoding=encoding)
    assert load_settings().port == 9001


@pytest.mark.parametrize("encoding", ["gbk", "utf-16"])
def test_a_dotenv_file_that_is_not_utf_8_is_named(tmp_path: Path, encoding: str) -> None:
    (tmp_path / ".env").write_text("PORT=9001\n# 金丝雀 canary\n", encoding=encoding)
    with pytest.raises(ConfigError, match=r"^\.env is not UTF-8: save it as UTF-8$") as refusal:
        load_settings()
    assert refusal.value.__suppress_context__


def test_a_dotenv_file_that_cannot_be_read_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Read again on SIGHUP, it must not be what ends the service."""
    (tmp_path / ".env").write_text("PORT=9001\n")

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr("dotenv.main.open", refuse, raising=False)
    with pytest.raises(ConfigError, match=r"^\.env cannot be read: Permission denied$"):
        load_settings()


def test_settings_show_no_secret_and_cannot_be_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = load(monkeypatch, **COMPLETE, INTERNAL_TOKEN="token-canary-7d20b9c4e85a1f36d0c8")
    assert "canary" not in repr(settings)
    with pytest.raises(Exception, match="frozen"):
        settings.port = 1  # type: ignore[misc] # that is the point


@pytest.mark.parametrize(
    ("variables", "named"),
    [
        ({"DATABASE_URL": "postgresqlx://h/d"}, "DATABASE_URL"),
        ({"DATABASE_URL": "postgresql://u:p@h:notaport/d"}, "DATABASE_URL: not a database URL"),
        ({"DATABASE_URL": "sqlite://"}, "DATABASE_URL: must name a file"),
        ({"DATABASE_URL": "postgres://h/d?sslrootcert=/none"}, "DATABASE_URL: .* sslrootcert"),
        ({"AVATAR_STORE": "s3://"}, "AVATAR_STORE"),
        (
            {"WECHAT_APPS": '[{"appid": "a", "secret": "s"}, {"appid": "a", "secret": "t"}]'},
            "WECHAT_APPS",
        ),
        (
            {
                **COMPLETE,
                "ENVIRONMENT": "production",
                "WECHAT_APPS": '[{"appid": "a", "secret": "s"}]',
                "WECHAT_SECRET": "",
            },
            "WECHAT_APPID, WECHAT_SECRET",
        ),
    ],
)
def test_what_would_fail_later_is_refused_now(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], named: str
) -> None:
    with pytest.raises(ConfigError, match=named):
        load(monkeypatch, **variables)


@pytest.mark.parametrize(
    "prefix", ["shop", ":", "{shop}:", "sh op:", "shop*:", "x" * 32 + ":", "\N{SNOWMAN}:"]
)
def test_a_prefix_of_keys_that_could_not_stand_in_an_acl_is_named(
    monkeypatch: pytest.MonkeyPatch, prefix: str
) -> None:
    monkeypatch.setenv("REDIS_PREFIX", prefix)
    with pytest.raises(ConfigError, match="REDIS_PREFIX: must be 2 to 32 letters"):
        load_settings()


def test_a_password_of_sentinels_needs_sentinels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_SENTINEL_PASSWORD", "canary")
    monkeypatch.setenv("REDIS_URL", "redis://h")
    with pytest.raises(ConfigError, match="REDIS_SENTINEL_PASSWORD: is of no use") as refusal:
        load_settings()
    assert "canary" not in str(refusal.value)
    monkeypatch.setenv("REDIS_URL", "redis+sentinel://h/main")
    password = load_settings().redis_sentinel_password
    assert password is not None
    assert password.get_secret_value() == "canary"
