from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from pydantic import ValidationError
from pydantic_settings import SettingsError

from service.simulator.settings import DEFAULT_APPID, SimulatorSettings

if TYPE_CHECKING:
    from typing import Any

CANARY = "canary-5c1b"
FIELDS = [name for name in SimulatorSettings.model_fields if name not in ("environment", "dyno")]


@pytest.fixture(autouse=True)
def _bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ENVIRONMENT", "DYNO", *(f"SIMULATOR_{field}".upper() for field in FIELDS)):
        monkeypatch.delenv(name, raising=False)


def test_the_defaults_suffice() -> None:
    settings = SimulatorSettings()
    assert (settings.host, settings.port) == ("127.0.0.1", 8001)
    assert [app.appid for app in settings.apps] == [DEFAULT_APPID]
    assert settings.apps[0].platform is None
    assert settings.code_life_seconds == 300
    assert settings.session_key_interval_seconds == 60
    assert settings.session_key_rotation == 1.0
    assert settings.session_key_life_seconds == 259_200
    assert settings.minute_quota == 100
    assert (settings.token_life_seconds, settings.token_overlap_seconds) == (7200, 300)
    assert settings.token_daily_quota == 2000
    assert settings.redis_pid is None


def test_every_setting_is_read_from_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    apps = '[{"appid": "wxa", "secret": "s1"}, {"appid": "wxb", "secret": "s2", "platform": "p"}]'
    values = {
        "HOST": "127.0.0.2",
        "PORT": "0",
        "APPS": apps,
        "CODE_LIFE_SECONDS": "2.5",
        "SESSION_KEY_INTERVAL_SECONDS": "0",
        "SESSION_KEY_ROTATION": "0.25",
        "SESSION_KEY_LIFE_SECONDS": "90",
        "MINUTE_QUOTA": "7",
        "TOKEN_LIFE_SECONDS": "20",
        "TOKEN_OVERLAP_SECONDS": "10",
        "TOKEN_DAILY_QUOTA": "8",
        "REDIS_PID": "4711",
    }
    assert {name.lower() for name in values} == set(FIELDS)
    for name, value in values.items():
        monkeypatch.setenv(f"SIMULATOR_{name}", value)
    settings = SimulatorSettings()
    assert [(app.appid, app.platform) for app in settings.apps] == [("wxa", None), ("wxb", "p")]
    assert settings.apps[1].secret.get_secret_value() == "s2"
    assert (settings.host, settings.port, settings.minute_quota) == ("127.0.0.2", 0, 7)
    assert (settings.code_life_seconds, settings.session_key_interval_seconds) == (2.5, 0)
    assert settings.session_key_rotation == 0.25
    assert settings.session_key_life_seconds == 90
    assert (settings.token_life_seconds, settings.token_overlap_seconds) == (20, 10)
    assert (settings.token_daily_quota, settings.redis_pid) == (8, 4711)


@pytest.mark.parametrize(
    ("name", "value"),
    [("ENVIRONMENT", "production"), ("ENVIRONMENT", " Production "), ("DYNO", "web.1")],
)
def test_production_is_refused(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ValidationError, match="lets anybody log in as anybody"):
        SimulatorSettings()


@pytest.mark.parametrize(("name", "value"), [("ENVIRONMENT", ""), ("ENVIRONMENT", "staging")])
def test_other_environments_are_not(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)
    monkeypatch.setenv("DYNO", "")
    assert SimulatorSettings().environment in ("development", "staging")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("port", 65536),
        ("code_life_seconds", 0),
        ("session_key_rotation", 1.1),
        ("session_key_interval_seconds", -1),
        ("minute_quota", 0),
        ("session_key_life_seconds", 0),
        ("token_life_seconds", 599),
        ("token_overlap_seconds", 3601),
        ("token_daily_quota", 0),
        ("redis_pid", -1),  # kill() would take these for everybody
        ("redis_pid", 0),
        ("redis_pid", 1),
        ("apps", []),
        ("apps", [{"appid": "", "secret": CANARY}]),
        ("apps", [{"appid": "wxa", "secret": ""}]),
        ("apps", [{"appid": "wxa", "secret": CANARY, "openid": "x"}]),
        ("apps", [{"appid": "wxa", "secret": CANARY}, {"appid": "wxa", "secret": CANARY}]),
    ],
)
def test_unusable_values_are_refused_and_not_repeated(field: str, value: Any) -> None:
    with pytest.raises(ValidationError) as caught:
        SimulatorSettings(**{field: value})
    assert field in str(caught.value)
    assert CANARY not in str(caught.value)


def test_apps_that_are_no_json_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIMULATOR_APPS", f"[{CANARY}")
    with pytest.raises(SettingsError, match="apps") as caught:
        SimulatorSettings()
    assert CANARY not in str(caught.value)


def test_a_secret_is_not_shown() -> None:
    settings = SimulatorSettings.model_validate({"apps": [{"appid": "wxa", "secret": CANARY}]})
    assert CANARY not in repr(settings)
