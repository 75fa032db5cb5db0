"""What operators are given for Prometheus and Grafana, read by Prometheus's own tool."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.process import REPOSITORY
from tests.support.prometheus import (
    ALERTS,
    NEEDS_PROMTOOL,
    dashboard,
    dashboard_expressions,
    promtool,
    series_named,
)

if TYPE_CHECKING:
    from pathlib import Path

ALERT = re.compile(r"^ +- alert: (\w+)$(.*?)(?=^ +- alert|\Z)", re.MULTILINE | re.DOTALL)


def alerts() -> dict[str, str]:
    """Name and text of each."""
    return {match[1]: match[2] for match in ALERT.finditer(ALERTS.read_text())}


@NEEDS_PROMTOOL
def test_every_alert_is_read_by_prometheus() -> None:
    assert f"{len(alerts())} rules found" in promtool("check", "rules", ALERTS)


@NEEDS_PROMTOOL
def test_the_example_of_a_scrape_is_read_by_prometheus() -> None:
    promtool("check", "config", ALERTS.with_name("prometheus.yml"))


@NEEDS_PROMTOOL
def test_every_expression_of_the_dashboard_is_read_by_prometheus(tmp_path: Path) -> None:
    expressions = list(dashboard_expressions())
    assert len(expressions) > 25
    rules = tmp_path / "dashboard.yml"
    recorded = [
        {"record": f"panel:{number}", "expr": expression}
        for number, expression in enumerate(expressions)
    ]
    rules.write_text(json.dumps({"groups": [{"name": "dashboard", "rules": recorded}]}))
    assert f"{len(expressions)} rules found" in promtool("check", "rules", rules)


@NEEDS_PROMTOOL
def test_what_prometheus_would_not_read_is_found(tmp_path: Path) -> None:
    rules = tmp_path / "broken.yml"
    rules.write_text(ALERTS.read_text().replace("[5m])", "[5m]", 1))
    with pytest.raises(AssertionError, match="parse"):
        promtool("check", "rules", rules)


def test_each_alert_says_what_to_do_and_where_more_stands() -> None:
    found = alerts()
    assert len(found) >= 14
    for name, text in found.items():
        assert f"runbook_url: docs/operate.md#{name.lower()}\n" in text, name
        assert re.search(r"severity: (page|ticket)\b", text), name
        assert "summary: " in text, name
        description = text.partition("description: >-")[2].partition("runbook_url")[0]
        assert len(description.split()) > 15, name


@pytest.mark.parametrize("page", ["operate.md", "operate.zh-CN.md"])
def test_each_alert_has_its_part_of_the_runbook_and_there_are_no_others(page: str) -> None:
    text = (REPOSITORY / "docs" / page).read_text()
    parts = dict(re.findall(r"^### (MiniGate\w+)\n(.*?)(?=^##)", text, re.MULTILINE | re.DOTALL))
    assert list(parts) == list(alerts())
    for name, said in parts.items():
        assert re.search(r"\*\*(Users|用户)\*\*", said), name
        assert re.search(r"\*\*(Do|怎么办)\*\*", said), name


def test_what_is_named_in_a_text_is_a_series_or_a_setting() -> None:
    settings = (REPOSITORY / "config" / "defaults.env").read_text()
    for name, text in alerts().items():
        for word in re.findall(r"\b[A-Z]+(?:_[A-Z]+)+\b", text):
            assert re.search(rf"^#?{word}=", settings, re.MULTILINE), (name, word)


def test_no_panel_is_without_a_title_an_expression_or_a_place_of_its_own() -> None:
    panels = [panel for panel in dashboard()["panels"] if panel["type"] != "row"]
    assert len(panels) >= 20
    places = [tuple(panel["gridPos"].items()) for panel in panels]
    assert len(set(places)) == len(places)
    assert len({panel["id"] for panel in dashboard()["panels"]}) == len(dashboard()["panels"])
    for panel in panels:
        assert panel["title"]
        assert all(target["expr"] and target["legendFormat"] for target in panel["targets"])
        assert panel["datasource"]["uid"] == "${datasource}"


def test_there_is_something_to_look_for() -> None:
    names = series_named()
    assert len(names) > 20
    assert "minigate_request_duration_seconds_bucket" in names


def series(name: str, values: str) -> dict[str, str]:
    here = name.replace("{", "{instance='here', ", 1)
    return {"series": f"minigate_{here}", "values": values}


def fires(alert: str, at: str, **labels: str) -> dict[str, Any]:
    wanted = [{"exp_labels": {"instance": "here", **labels}}] if labels else []
    return {"eval_time": at, "alertname": alert, "exp_alerts": wanted}


CASES: dict[str, tuple[list[Any], list[tuple[str, str, dict[str, str]]]]] = {
    "Redis away": (
        [
            series('redis_failures_total{operation="read", reason="unreachable"}', "0x8 0+60x20"),
            series('redis_failures_total{operation="health", reason="unreachable"}', "0x28"),
        ],
        [
            ("MiniGateRedisAway", "2m", {}),
            ("MiniGateRedisAway", "4m", {"severity": "page"}),
        ],
    ),
    "Redis away while nobody asks but probes": (
        [series('redis_failures_total{operation="health", reason="unreachable"}', "0x8 0+3x20")],
        [
            ("MiniGateRedisAway", "2m", {}),
            ("MiniGateRedisAway", "4m", {"severity": "page"}),
        ],
    ),
    "WeChat refuses us": (
        [series('logins_total{outcome="wechat_misconfigured", errcode="40125"}', "0x8 0+1x40")],
        [
            ("MiniGateWeChatMisconfigured", "2m", {}),
            ("MiniGateWeChatMisconfigured", "5m", {"severity": "page"}),
        ],
    ),
    "a user's own made-up code": (
        [series('logins_total{outcome="login_code_invalid", errcode="40029"}', "0+10x60")],
        [("MiniGateWeChatMisconfigured", "10m", {}), ("MiniGateWeChatFailing", "10m", {})],
    ),
    "WeChat times out": (
        [
            series('wechat_calls_total{endpoint="e", outcome="ok"}', "0+10x60"),
            series('wechat_calls_total{endpoint="e", outcome="timeout"}', "0x12 0+10x50"),
        ],
        [
            ("MiniGateWeChatFailing", "3m", {}),
            ("MiniGateWeChatFailing", "12m", {"severity": "page"}),
        ],
    ),
    "an access_token that nobody wants": (
        [
            series('access_token_expires_timestamp_seconds{appid="wx1"}', "60x80"),
            series(
                'wechat_calls_total{endpoint="/cgi-bin/stable_token", outcome="timeout"}', "5x80"
            ),
        ],
        [("MiniGateAccessTokenOld", "15m", {})],
    ),
    "an access_token that is not to be had": (
        [
            series('access_token_expires_timestamp_seconds{appid="wx1"}', "60x80"),
            series(
                'wechat_calls_total{endpoint="/cgi-bin/stable_token", outcome="timeout"}',
                "0+1x80",
            ),
        ],
        [("MiniGateAccessTokenOld", "15m", {"severity": "page", "appid": "wx1"})],
    ),
    "a worker that dies over and over": (
        [
            series('worker_restarts_total{reason="died"}', "0x8 0+1x20"),
            series('worker_restarts_total{reason="asked"}', "0+4x28"),
        ],
        [
            ("MiniGateWorkersRestarting", "2m", {}),
            ("MiniGateWorkersRestarting", "6m", {"severity": "ticket"}),
        ],
    ),
    "slow checks": (
        [
            series('request_duration_seconds_bucket{route="/verify", le="0.1"}', "0+0x60"),
            series('request_duration_seconds_bucket{route="/verify", le="0.25"}', "0+100x60"),
            series('request_duration_seconds_bucket{route="/verify", le="+Inf"}', "0+100x60"),
        ],
        [("MiniGateChecksSlow", "12m", {"severity": "page"})],
    ),
}


@NEEDS_PROMTOOL
@pytest.mark.parametrize("name", CASES)
def test_when_alerts_fire(name: str, tmp_path: Path) -> None:
    given, wanted = CASES[name]
    # What an alert says is compared as well where it is given: here when it fires counts alone.
    rules = tmp_path / "rules.yml"
    rules.write_text(re.sub(r"(?ms)^ +annotations:.*?(?=^\n|\Z)", "", ALERTS.read_text()))
    test = {
        "rule_files": [rules.name],
        "evaluation_interval": "15s",
        "tests": [
            {
                "interval": "15s",
                "input_series": given,
                "alert_rule_test": [fires(alert, at, **labels) for alert, at, labels in wanted],
            }
        ],
    }
    (tmp_path / "test.yml").write_text(json.dumps(test))
    assert "SUCCESS" in promtool("test", "rules", tmp_path / "test.yml")
