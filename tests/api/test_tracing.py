"""TRACING: spans of requests, within the trace that a gateway has begun."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from aiohttp import web

from tests.support.collector import Collector, attributes, running_collector
from tests.support.running import running_service

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from service.config.settings import Settings
    from tests.support.running import Api, Simulator

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = "00f067aa0ba902b7"
TRACED = {"traceparent": f"00-{TRACE}-{PARENT}-01"}


@pytest.fixture
async def collector(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Collector]:
    async with running_collector() as running:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", running.url)
        monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "50")
        yield running


@pytest.fixture
async def traced(
    collector: Collector,  # noqa: ARG001 # it is to be there first
    settings: Callable[..., Settings],
    simulator: Simulator,
) -> AsyncIterator[Api]:
    async with running_service(settings(wechat_api_base=(simulator.url,), tracing=True)) as running:
        yield running


async def test_a_request_is_a_span_within_the_trace_of_its_gateway(
    traced: Api, collector: Collector
) -> None:
    answer = await traced.ask("GET", "/livez", headers=TRACED)
    assert answer.status == 200
    span = await collector.named("GET /livez")
    assert (span.trace_id.hex(), span.parent_span_id.hex()) == (TRACE, PARENT)
    assert attributes(span) == {
        "http.request.method": "GET",
        "http.route": "/livez",
        "http.response.status_code": 200,
        "minigate.request_id": answer.headers["X-Request-ID"],
    }
    assert collector.services == {"minigate"}


async def test_a_check_is_one_too(traced: Api, collector: Collector, simulator: Simulator) -> None:
    session_id = (await traced.login(await simulator.code())).data["sessionid"]
    await traced.ask("GET", "/verify", headers={"sessionid": session_id, **TRACED})
    span = await collector.named("GET /verify")
    assert span.trace_id.hex() == TRACE


@pytest.mark.parametrize(
    "given",
    [
        [],
        [("traceparent", "00-not-a-trace")],
        [("traceparent", TRACED["traceparent"]), ("traceparent", f"00-{TRACE}-{PARENT}-00")],
    ],
)
async def test_without_a_trace_that_can_be_told_it_begins_one(
    traced: Api, collector: Collector, given: list[tuple[str, str]]
) -> None:
    await traced.ask("GET", "/livez", headers=given)
    span = await collector.named("GET /livez")
    assert span.trace_id.hex() != TRACE
    assert span.parent_span_id == b""


async def test_no_span_says_what_somebody_sent(
    traced: Api, collector: Collector, simulator: Simulator
) -> None:
    session_id = (await traced.login(await simulator.code("canary-user"))).data["sessionid"]
    await traced.ask("POST", "/login", json={"code": "canary-code"})
    await traced.ask("CANARY", "/canary-path?code=canary-query", headers={"sessionid": session_id})
    await traced.ask("GET", "/me", headers={"sessionid": session_id})
    await collector.named("GET /me")
    assert {span.name for span in collector.spans} >= {"POST /login", "_OTHER -", "GET /me"}
    for secret in (session_id, session_id.partition(".")[2], "canary", "CANARY"):
        assert secret.encode() not in collector.raw


async def test_what_is_asked_for_a_request_are_spans_within_its_own(
    traced: Api, collector: Collector, simulator: Simulator
) -> None:
    await traced.ask("POST", "/login", json={"code": await simulator.code()}, headers=TRACED)
    login = await collector.named("POST /login")
    for name in ("wechat /sns/jscode2session", "sql find", "sql write", "redis create"):
        part = await collector.named(name)
        assert part.trace_id.hex() == TRACE
        assert part.parent_span_id == login.span_id
    await traced.ask("POST", "/login", json={"code": "made-up"}, headers=TRACED)
    await collector.first(lambda one: attributes(one).get("error.type") == "LoginCodeInvalid")


async def test_a_proxy_before_wechat_is_told_of_the_trace(
    collector: Collector,  # noqa: ARG001 # it is to be there first
    settings: Callable[..., Settings],
) -> None:
    seen: list[str | None] = []

    async def answer(request: web.Request) -> web.Response:
        seen.append(request.headers.get("traceparent"))
        return web.json_response({"errcode": 40029, "errmsg": "invalid code"})

    app = web.Application()
    app.router.add_get("/sns/jscode2session", answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    async with running_service(settings(wechat_api_base=(url,), tracing=True)) as running:
        await running.ask("POST", "/login", json={"code": "a code"}, headers=TRACED)
    await runner.cleanup()
    [traceparent] = seen
    assert traceparent is not None
    assert traceparent.split("-")[1] == TRACE
    assert traceparent != TRACED["traceparent"]


async def test_a_collector_that_is_away_is_nobody_elses_trouble(
    settings: Callable[..., Settings], simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "20")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "1")
    async with running_service(settings(wechat_api_base=(simulator.url,), tracing=True)) as running:
        session_id = (await running.login(await simulator.code())).data["sessionid"]
        for _ in range(20):
            answer = await running.ask("GET", "/verify", headers={"sessionid": session_id})
            assert answer.status == 200


def test_nothing_of_it_is_imported_while_it_is_off() -> None:
    code = (
        "import sys, service.worker, service.app;"
        # redis-py imports the rest wherever it is installed.
        " print(sys.modules.keys() & {'opentelemetry.sdk.trace', 'opentelemetry.exporter'})"
    )
    ran = subprocess.run(  # noqa: S603 # ours
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert ran.stdout == "set()\n"
