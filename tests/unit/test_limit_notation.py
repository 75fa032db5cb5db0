"""How limits are written, and what is refused at the start."""

from __future__ import annotations

from typing import get_args

import pytest

from service.config.limits import parse_limit
from service.config.settings import ConfigError, Settings, load_settings
from service.core.ports import LimitName
from tests.support.settings import make_settings


@pytest.mark.parametrize(
    ("text", "amount", "seconds"),
    [
        ("600/minute", 600, 60),
        ("10 per day", 10, 86400),
        ("30/2 hours", 30, 7200),
        ("1 / second", 1, 1),
        ("5/15Minutes", 5, 900),
    ],
)
def test_a_limit_is_so_many_within_a_time(text: str, amount: int, seconds: int) -> None:
    limit = parse_limit(text)
    assert limit is not None
    assert limit == (amount, seconds)


@pytest.mark.parametrize("text", ["off", "OFF"])
def test_a_limit_can_be_off(text: str) -> None:
    assert parse_limit(text) is None
    assert "login" not in make_settings(limit_login=text).limits


@pytest.mark.parametrize(
    "text",
    [
        *("600", "canary", "600/canary", "-1/minute", "1.5/minute", "600/minute/canary"),
        *("1/second;5/minute", "1/second, 5/minute", "1/second|5/minute", "٣/minute"),
        *("0/minute", "1000000001/minute", "1/2 years", f"{'9' * 5000}/day", "no limit", "0"),
    ],
)
def test_anything_else_is_refused_at_the_start_by_the_variables_name(
    text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LIMIT_LOGIN", text)
    with pytest.raises(ConfigError, match=r"^LIMIT_LOGIN: .*off") as refusal:
        load_settings()
    assert text not in str(refusal.value).replace("600/minute", "")


@pytest.mark.parametrize("text", ["10.0.0.1/8", "canary", "10.0.0.0/33", "10.0.0.0/8;::1"])
def test_what_is_no_network_is_refused(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRUSTED_PROXIES", f"::1,{text}")
    with pytest.raises(ConfigError, match=r"^TRUSTED_PROXIES: give networks") as refusal:
        load_settings()
    assert text not in str(refusal.value)


def test_every_limit_has_a_setting_and_every_such_setting_a_limit() -> None:
    named = {name for name in Settings.model_fields if name.startswith("limit_")}
    assert named == {f"limit_{name}" for name in get_args(LimitName)}
    assert set(make_settings().limits) == set(get_args(LimitName))
