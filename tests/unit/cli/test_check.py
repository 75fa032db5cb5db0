"""`check`: each fault with its cure, each misspelt name with the right one, no value."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

import pytest

from service.cli.settings_texts import DESCRIPTIONS, rule_in
from service.config.settings import Settings

if TYPE_CHECKING:
    from pathlib import Path

    from tests.unit.cli.conftest import Cli

CANARY: Final = "canary7f3a"

TEN: Final = {
    # Names:
    "SESION_TTL": ("7200-canary7f3a", "did you mean SESSION_TTL?"),
    "WECHAT_TIMEOUT": ("5000-canary7f3a", "did you mean WECHAT_TIMEOUT_MS?"),
    "REDIS_URI": ("redis://:canary7f3a@host", "did you mean REDIS_URL?"),
    "WECHAT_APP_ID": ("wx-canary7f3a", "did you mean WECHAT_APPID?"),
    "SECRET_KEY": ("canary7f3a-canary7f3a-canary7f3a", "did you mean SECRET_KEYS?"),
    # Values:
    "PORT": ("canary7f3a", "PORT: Input should be a valid integer"),
    "ENVIRONMENT": ("canary7f3a", "ENVIRONMENT: Input should be 'development' or 'production'"),
    "DATABASE_URL": ("mysql://u:canary7f3a@host/x", "DATABASE_URL: must begin with postgresql://"),
    "INTERNAL_TOKEN": ("canary7f3a", "INTERNAL_TOKEN: needs 32 characters or more"),
    "LIMIT_LOGIN": ("canary7f3a a minute", "LIMIT_LOGIN: "),
}


def test_ten_misspelt_names_and_values_are_each_named(cli: Cli) -> None:
    ended = cli("check", **{name: value for name, (value, _) in TEN.items()})
    assert ended.code == 2
    for name, (_, told) in TEN.items():
        assert any(name in line and told in line for line in ended.out.splitlines()), (name, told)
    assert CANARY not in ended.said
    # What the setting is, and what it is when unset.
    assert "    it is: port to listen on; unset: 8000" in ended.out


def test_a_misspelt_name_alone_is_a_warning_and_where_it_stands_is_said(
    cli: Cli, tmp_path: Path
) -> None:
    (tmp_path / ".env").write_text("SESION_TTL=60\nPOSTGRES_PASSWORD=x\n")
    ended = cli("check")
    assert ended.code == 0
    assert "SESION_TTL (.env) is read by nobody: did you mean SESSION_TTL?" in ended.out
    assert "POSTGRES" not in ended.out


def test_with_nothing_set_there_is_nothing_to_say_against_it(cli: Cli) -> None:
    ended = cli("check")
    assert (ended.code, ended.err) == (0, "")
    assert ended.out.endswith("All settings can be used (development).\n")
    assert "stood in for: REDIS_URL, DATABASE_URL, WECHAT_APPID" in ended.out


def test_in_production_each_missing_setting_comes_with_where_to_get_it(cli: Cli) -> None:
    ended = cli("check", ENVIRONMENT="production")
    assert ended.code == 2
    lines = ended.out.splitlines()
    for name in ("REDIS_URL", "DATABASE_URL", "WECHAT_APPID", "WECHAT_SECRET", "SECRET_KEYS"):
        assert lines[lines.index(f"{name}: missing") + 1].startswith("    "), name
    assert "python -m service keys new" in ended.out


def test_as_json_it_says_the_same(cli: Cli) -> None:
    ended = cli("check", "--json", SESSION_TTL="2 hours", SESION_TTL="1")
    assert ended.code == 2
    told = json.loads(ended.out)
    assert told["ok"] is False
    [fault] = told["faults"]
    assert fault["setting"] == "SESSION_TTL"
    assert "seconds a session lives; unset: 7200" in fault["cure"]
    assert told["unknown"] == [
        {"name": "SESION_TTL", "where": "environment", "meant": "SESSION_TTL"}
    ]


def test_a_dot_env_that_cannot_be_read_is_a_fault(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / ".env").write_bytes(b"SESSION_TTL=\xff\n")
    ended = cli("check")
    assert ended.code == 2
    assert ended.out == ".env is not UTF-8: save it as UTF-8\n"


def test_it_speaks_chinese(cli: Cli) -> None:
    ended = cli("check", LANG="zh_CN.UTF-8", PORT="http", SESION_TTL="1", ENVIRONMENT="production")
    assert ended.code == 2
    assert "PORT: 应为整数\n    含义：监听端口；默认值：8000" in ended.out
    assert "REDIS_URL: 未设置" in ended.out
    assert "SESION_TTL（环境变量）不会被读取：您是否想写 SESSION_TTL？" in ended.out


def test_every_setting_has_a_chinese_description() -> None:
    assert [*DESCRIPTIONS] == [*Settings.model_fields]


@pytest.mark.parametrize(
    "variables",
    [
        {"PORT": "0"},
        {"PORT": "99999"},
        {"CHECK_NICKNAMES": "maybe"},
        {"SESSION_RENEWAL": "x"},
        {"AUTH_ERROR_STATUS": "300"},
        {"SECRET_KEYS": "short"},
        {"INTERNAL_TOKEN": "a" * 40},
        {"SECRET_KEYS": "a" * 40},
        {"REDIS_URL": "http://host"},
        {"REDIS_URL_FILE": "/nowhere"},
        {"WECHAT_APPID": "wx1"},
        {"SESSION_RENEWAL": "sliding", "SESSION_MAX_AGE": "10"},
        {"SESSIONS_SINCE": "99999999999"},
        {"PORT": "8001"},
        {"WECHAT_API_BASE": "https://x"},
        {"WAFER_COMPAT": "true", "AUTH_ERROR_STATUS": "200"},
        {"REDIS_SENTINEL_PASSWORD": "x"},
    ],
    ids=str,
)
def test_the_common_faults_are_told_in_chinese(cli: Cli, variables: dict[str, str]) -> None:
    ended = cli("check", "--lang", "zh", **variables)
    assert ended.code == 2
    fault = ended.out.splitlines()[0].partition(": ")[2]
    assert any("\u4e00" <= one <= "\u9fff" for one in fault), fault


def test_a_rule_that_has_no_chinese_is_told_as_it_is() -> None:
    assert rule_in("a rule of tomorrow", "zh") == "a rule of tomorrow"
