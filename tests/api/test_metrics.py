"""What /metrics says of what was done, and whom it says it to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as open_metrics

from service.http.routes.metrics import _is_loopback
from tests.support.metrics import scrape
from tests.support.running import running_service
from tests.support.settings import APPID

if TYPE_CHECKING:
    from collections.abc import Callable

    from service.config.settings import Settings
    from tests.support.running import Api, Simulator

TOKEN = "metrics-token-canary-0123456789abcdef"


@pytest.mark.parametrize(
    "headers",
    [
        {"X-Forwarded-For": "203.0.113.5"},
        {"X-Forwarded-Proto": "https"},
        {"X-Real-IP": "203.0.113.5"},
        {"Forwarded": "for=203.0.113.5"},
        {"Via": "1.1 proxy"},
        {"Host": "minigate.example"},
        {"Host": "localhost.example:8000"},
        {"X-Forwarded-For": "127.0.0.1", "Authorization": f"Bearer {TOKEN}x"},
    ],
)
async def test_what_a_proxy_on_this_machine_asks_is_refused(
    api: Api, headers: dict[str, str]
) -> None:
    answer = await api.ask("GET", "/metrics", headers=headers)
    assert (answer.status, answer.code) == (403, 40302)


async def test_an_old_proxy_that_says_nothing_is_known_by_its_version(api: Api) -> None:
    """What nginx sends as long as nobody tells it otherwise."""
    import asyncio  # noqa: PLC0415

    host, _, port = api.url.removeprefix("http://").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(b"GET /metrics HTTP/1.0\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    assert answer.startswith(b"HTTP/1.1 403 "), answer[:100]


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST", "127.0.0.1:8000", "[::1]:8000"])
async def test_somebody_on_this_machine_needs_no_token(api: Api, host: str) -> None:
    answer = await api.ask("GET", "/metrics", headers={"Host": host})
    assert answer.status == 200
    assert answer.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize(
    ("address", "is_loopback"),
    [
        ("127.0.0.1", True),
        ("127.8.8.8", True),
        ("::1", True),
        ("::ffff:127.0.0.1", True),
        ("10.0.0.1", False),
        ("::ffff:10.0.0.1", False),
        ("172.17.0.1", False),
        ("", False),
        ("127.0.0.1.example", False),
        ("0.0.0.0", False),
    ],
)
def test_which_peers_are_of_this_machine(address: str, *, is_loopback: bool) -> None:
    assert _is_loopback(address) is is_loopback


async def test_the_token_opens_it_from_elsewhere(
    settings: Callable[..., Settings], simulator: Simulator
) -> None:
    elsewhere = {"X-Forwarded-For": "203.0.113.5"}
    made = settings(
        wechat_api_base=(simulator.url,),
        metrics_token=TOKEN,
        proxies_count=1,
        limit_operator_token_per_address="3/minute",
    )
    async with running_service(made) as api:

        async def present(**headers: str) -> tuple[int, Any]:
            answer = await api.ask("GET", "/metrics", headers={**elsewhere, **headers})
            return answer.status, answer.body and answer.code

        assert await present(Authorization=f"Bearer {TOKEN}") == (200, None)
        assert await present() == (403, 40302)
        assert await present(Authorization=f"Basic {TOKEN}") == (403, 40302)
        guesses = [await present(Authorization=f"Bearer guess {n}") for n in range(5)]
        assert guesses == [(403, 40302)] * 3 + [(429, 42900)] * 2
        assert await present(Authorization=f"Bearer {TOKEN}") == (200, None)


@pytest.mark.parametrize(
    ("accept", "content_type"),
    [
        ("", "text/plain; version=0.0.4; charset=utf-8"),
        ("text/plain;version=0.0.4", "text/plain; version=0.0.4; charset=utf-8"),
        (
            "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;q=0.1",
            "application/openmetrics-text; version=1.0.0; charset=utf-8; escaping=underscores",
        ),
    ],
)
async def test_both_forms(api: Api, accept: str, content_type: str) -> None:
    async with api.http.get(f"{api.url}/metrics", headers={"Accept": accept}) as reply:
        assert reply.headers["Content-Type"] == content_type
        text = await reply.text()
    if "openmetrics" in content_type:
        names = {family.name for family in open_metrics(text)}
        assert "minigate_requests" in names


async def test_requests_are_counted_by_route_method_and_outcome(
    api: Api, simulator: Simulator
) -> None:
    before = await scrape(api)
    session = (await api.login(await simulator.code())).data["sessionid"]
    await api.login("no-code-of-anybody")
    for method in ("GET", "GET", "POST"):
        await api.ask(method, "/verify", headers={"sessionid": session})
    await api.session(session)
    await api.session("made up")
    await api.ask("GET", "/session")
    await api.ask("DELETE", "/session")
    await api.ask("GET", "/nowhere/at/all")
    # Again: this one replaces it.
    await api.login(await simulator.code())
    await api.session(session)
    await api.ask("GET", "/verify", headers={"sessionid": session})
    after = await scrape(api)

    def counted(name: str, **labels: str) -> float:
        return after.total(name, **labels) - before.total(name, **labels)

    requests = {
        ("/login", "write", "2xx"): 2,
        ("/login", "write", "login_code_invalid"): 1,
        ("/verify", "read", "2xx"): 3,
        ("/verify", "read", "session_replaced"): 1,
        ("/session", "read", "2xx"): 1,
        ("/session", "read", "session_malformed"): 1,
        ("/session", "read", "session_missing"): 1,
        ("/session", "read", "session_replaced"): 1,
        ("none", "write", "method_not_allowed"): 1,
        ("none", "read", "not_found"): 1,
        ("/metrics", "read", "2xx"): 1,
    }
    for (route, method, outcome), wanted in requests.items():
        found = counted("requests_total", route=route, method=method, outcome=outcome)
        assert found == wanted, (route, method, outcome)
    assert counted("requests_total") == sum(requests.values())
    assert counted("request_duration_seconds_count") == sum(requests.values())
    assert counted("request_duration_seconds_sum", route="/login") > 0
    checks = {"ok": 4, "session_replaced": 2, "session_malformed": 1, "session_missing": 1}
    for outcome, wanted in checks.items():
        assert counted("session_checks_total", outcome=outcome) == wanted, outcome
    assert counted("session_checks_total") == sum(checks.values())
    assert counted("logins_total", outcome="ok", errcode="") == 2
    assert counted("logins_total", outcome="login_code_invalid", errcode="40029") == 1
    assert counted("wechat_calls_total", endpoint="/sns/jscode2session", outcome="ok") == 2
    assert counted("wechat_calls_total", endpoint="/sns/jscode2session", outcome="refused") == 1
    assert counted("wechat_errcodes_total", errcode="40029") == 1
    assert counted("wechat_call_duration_seconds_count") == 3
    assert counted("sql_call_duration_seconds_count", operation="find") == 2
    assert counted("redis_call_duration_seconds_count", operation="create") >= 2
    assert counted("redis_read_batch_size_sum") >= 9


async def test_what_is_paid_for_and_the_access_token(api: Api, simulator: Simulator) -> None:
    before = await scrape(api)
    session = (await api.login(await simulator.code())).data["sessionid"]
    phone = await simulator.phone()
    headers = {"sessionid": session}
    for _ in range(2):  # the second one has the number that was kept
        answer = await api.ask("PUT", "/me/phone", json={"code": phone["code"]}, headers=headers)
        assert answer.status == 200, answer.body
    after = await scrape(api)
    paid = [one.total("phone_numbers_paid_total", appid=APPID) for one in (before, after)]
    assert paid[1] - paid[0] == 1
    fetched = after.total("access_token_fetched_timestamp_seconds", appid=APPID)
    expires = after.total("access_token_expires_timestamp_seconds", appid=APPID)
    assert 7000 < expires - fetched <= 7200


@pytest.mark.parametrize(
    ("fault", "outcome"),
    [
        ({"kind": "html_502"}, "unusable"),
        ({"kind": "hang", "seconds": 5}, "timeout"),
        ({"kind": "errcode", "errcode": 40125}, "refused"),
    ],
)
async def test_how_calls_of_wechat_fail(
    settings: Callable[..., Settings],
    simulator: Simulator,
    fault: dict[str, Any],
    outcome: str,
) -> None:
    made = settings(wechat_api_base=(simulator.url,), wechat_timeout_ms=300)
    async with running_service(made) as api:
        before, code = await scrape(api), await simulator.code()
        await simulator.fault(**fault)
        assert (await api.login(code)).status >= 500
        after = await scrape(api)
    labels = {"endpoint": "/sns/jscode2session", "outcome": outcome}
    counts = [one.total("wechat_calls_total", **labels) for one in (before, after)]
    assert counts[1] - counts[0] == 1


async def test_without_wechat_redis_and_the_database(settings: Callable[..., Settings]) -> None:
    made = settings(
        redis_url="redis://127.0.0.1:1",
        database_url="postgresql://127.0.0.1:1/none",
        wechat_api_base=("http://127.0.0.1:1",),
    )
    async with running_service(made) as api:
        before = await scrape(api)
        for path in ("/verify", "/session"):
            dead = {"sessionid": "B" * 22 + "." + "A" * 43}
            assert (await api.ask("GET", path, headers=dead)).status == 503
        assert (await api.login("code")).status == 503
        after = await scrape(api)

    def counted(name: str, **labels: str) -> float:
        return after.total(name, **labels) - before.total(name, **labels)

    assert counted("session_checks_total", outcome="session_store_unavailable") == 2
    # And that of the marks of ended sessions.
    assert counted("redis_failures_total", operation="read", reason="unreachable") >= 2
    assert counted("redis_failures_total", reason="unreachable") >= 3
    assert counted("logins_total", outcome="session_store_unavailable", errcode="") == 1
