"""The settings that operators are shown hold no secret, whichever settings there will be."""

from __future__ import annotations

from typing import Any, Literal

import pytest
from pydantic import Field, SecretStr

from service.config.limits import Limit, parse_limit, write_limit
from service.config.settings import Settings
from service.config.shown import ShownSetting, shown_settings
from tests.support.settings import make_settings

ADDRESSES = ("avatar_store", "wechat_api_base")
SECRETS = {
    "REDIS_URL",
    "REDIS_SENTINEL_USERNAME",
    "REDIS_SENTINEL_PASSWORD",
    "DATABASE_URL",
    "WECHAT_SECRET",
    "WECHAT_APPS",
    "SECRET_KEYS",
    "INTERNAL_TOKEN",
    "ADMIN_TOKENS",
    "METRICS_TOKEN",
}


def shown(settings: Settings) -> dict[str, ShownSetting]:
    return {one.name: one for one in shown_settings(settings)}


class Tomorrow(Settings):
    """Settings that somebody may add."""

    new_password: SecretStr | None = Field(None, description="")
    new_text: str = Field("", description="")
    new_texts: tuple[str, ...] = Field((), description="")
    new_table: dict[str, str] = Field({}, description="")
    new_anything: Any = Field(None, description="")
    new_kind: Literal["a", "b"] = Field("a", description="")
    new_number: float | int = Field(1, description="")


CANARIES = (
    "canary",
    SecretStr("canary"),
    ("canary", "canary"),
    (SecretStr("canary"),),
    {"canary": "canary"},
)


def test_nothing_of_a_secret_is_shown_whatever_is_in_it() -> None:
    secret = [name for name, one in shown(Tomorrow()).items() if one.secret]
    assert len(secret) > len(SECRETS)
    for name in secret:
        for canary in CANARIES:
            one = shown(Tomorrow().model_copy(update={name.lower(): canary}))[name]
            assert "canary" not in str(one), name
            assert (one.value, one.secret, one.is_set, one.is_default) == (None, True, True, False)


def test_what_can_be_a_secret_is_one_until_it_is_known_not_to_be() -> None:
    assert {name for name, one in shown(Settings()).items() if one.secret} == SECRETS
    found = shown(Tomorrow())
    assert {name for name, one in found.items() if one.secret} - SECRETS == {
        "NEW_PASSWORD",
        "NEW_TEXT",
        "NEW_TEXTS",
        "NEW_TABLE",
        "NEW_ANYTHING",
        "NEW_NUMBER",  # a float is not known here either
    }
    assert not found["NEW_PASSWORD"].is_set


def test_of_every_secret_it_is_said_whether_it_is_set() -> None:
    settings = make_settings(
        redis_url="redis+sentinel://u:canary@127.0.0.1:1/main",
        redis_sentinel_password="canary",
        redis_sentinel_username="canary",
        database_url="postgresql://u:canary@127.0.0.1:1/none",
        wechat_apps='[{"appid": "wx2", "secret": "canary"}]',
        internal_token="canary-Rj6Wq3mZ8xNc5tVb2kHs9gPd4fLy7eUa",
        metrics_token="canary-Gh4Tn8sX2bQv6zKm9wRc5jLp3yDf7eWa",
        admin_tokens="alice:canary-Vq8Zk2nT7cXw4pRj9sLb6mYd3gHf5aEu",
    )
    found = shown(settings)
    for name in SECRETS:
        assert found[name].value is None
        assert found[name].is_set
        assert not found[name].is_default
    assert "canary" not in str(found)
    assert "app-secret" not in str(found)
    assert not any(one.is_set for name, one in shown(Settings()).items() if name in SECRETS)


@pytest.mark.parametrize("name", ADDRESSES)
@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("https://api.weixin.qq.com", "https://api.weixin.qq.com"),
        ("http://127.0.0.1:8001/base", "http://127.0.0.1:8001/base"),
        ("s3://bucket/prefix", "s3://bucket/prefix"),
        ("file://var/uploads", "file://var/uploads"),
        ("https://user:canary@host/path", "https://host/path"),
        ("https://canary@host", "https://host"),
        ("s3://bucket/prefix?key=canary", "s3://bucket/prefix"),
        ("s3://bucket/prefix#canary", "s3://bucket/prefix"),
        ("https://user:canary/more@host", "https://***"),
        ("https://user:canary?more@host", "https://***"),
        ("https://user:canary#more@host", "https://***"),
        ("https://host/?a=canary@b", "https://***"),
        ("https://user:can@ary@host", "https://***"),
        ("canary", "***"),
        ("https://a\nuser:canary@host", "https://host"),
    ],
)
def test_addresses_are_shown_without_credentials(name: str, given: str, expected: str) -> None:
    value = given if name == "avatar_store" else (given,)
    settings = Settings().model_copy(update={name: value})
    one = shown(settings)[name.upper()]
    assert (one.value, one.secret) == (expected, False)


def test_the_rest_is_written_as_one_would_set_it() -> None:
    found = shown(
        make_settings(
            limit_login="30/2 hours",
            limit_uploads_per_user="off",
            device_classes="phone,pc",
            wafer_compat="1",
            session_ttl="60",
            environment="production",
        )
    )
    values = {
        "ENVIRONMENT": "production",
        "PORT": "8000",
        "LIMIT_LOGIN": "30/7200 seconds",
        "LIMIT_UPLOADS_PER_USER": "off",
        "LIMIT_NICKNAMES_PER_USER": "30/hour",
        "DEVICE_CLASSES": "phone,pc",
        "WAFER_COMPAT": "true",
        "ACCESS_LOG": "false",
        "SESSION_TTL": "60",
        "WECHAT_API_BASE": "https://api.weixin.qq.com,https://api2.weixin.qq.com",
        "AUTH_ERROR_STATUS": "401",
        "LOG_FORMAT": None,
        "HOST": None,
        "SESSIONS_SINCE": "0",
    }
    assert {name: found[name].value for name in values} == values
    changed = {name for name, one in found.items() if not one.is_default and not one.secret}
    assert changed == {
        *("LIMIT_LOGIN", "LIMIT_UPLOADS_PER_USER", "DEVICE_CLASSES", "WAFER_COMPAT"),
        *("SESSION_TTL", "ENVIRONMENT", "AVATAR_STORE", "WECHAT_APPID"),
    }
    assert found["SESSIONS_SINCE"].is_set, "a zero is a value"
    assert not found["HOST"].is_set
    assert found["LIMIT_UPLOADS_PER_USER"].is_set, "so is off"
    assert all(one.description for one in found.values())


@pytest.mark.parametrize("text", ["1/second", "10/day", "600/minute", "30/2 hours", "7/month"])
def test_a_limit_that_is_written_can_be_read(text: str) -> None:
    limit = parse_limit(text)
    assert isinstance(limit, Limit)
    assert parse_limit(write_limit(limit)) == limit
