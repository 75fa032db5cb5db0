"""Faults that cost the connection, seen from a bare socket."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from service.simulator.app import create_app
from tests.support.stopwatch import Stopwatch
from tests.unit.simulator.harness import (
    APPID,
    PATH,
    counters,
    make_settings,
    target,
)
from tests.unit.simulator.sockets import Wire, connected, serving

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from typing import Any

    from service.simulator.context import SimulatorApp


@pytest.fixture
def app() -> SimulatorApp:
    return create_app(settings=make_settings())


@pytest.fixture
async def port(app: SimulatorApp) -> AsyncIterator[int]:
    async with serving(app) as port:
        yield port


@pytest.fixture
async def wire(port: int) -> AsyncIterator[Wire]:
    async with connected(port) as wire:
        yield wire


async def add_fault(port: int, body: bytes) -> None:
    async with connected(port) as wire:
        head, _ = await wire.ask("/sim/faults", method="POST", body=body)
        assert head.startswith(b"HTTP/1.1 200 ")


async def exchange(port: int, code: str, host: str = "sim") -> Any:
    async with connected(port) as wire:
        _, body = await wire.ask(target(js_code=code), host=host)
        return body


async def until_idle() -> None:
    """Wait until the simulator works on nothing; fail if that takes a second."""
    async with asyncio.timeout(1):
        while len(asyncio.all_tasks()) > 1:
            await asyncio.sleep(0.005)


def log_in(app: SimulatorApp) -> str:
    return app.ctx.world.log_in(user="alice", appid=APPID)


async def test_a_reset_comes_before_any_byte_and_leaves_the_code_good(
    app: SimulatorApp, port: int, wire: Wire
) -> None:
    await add_fault(port, b'{"kind": "reset", "times": 1}')
    code = log_in(app)
    wire.send(target(js_code=code))
    with pytest.raises(ConnectionResetError):
        await wire.reader.read()
    assert "openid" in await exchange(port, code)


async def test_a_reset_may_hit_a_connection_that_worked_before(
    app: SimulatorApp, port: int, wire: Wire
) -> None:
    assert "openid" in (await wire.ask(target(js_code=log_in(app))))[1]
    await add_fault(port, b'{"kind": "reset", "times": 1}')
    wire.send(target(js_code=log_in(app)))
    with pytest.raises(ConnectionResetError):
        await wire.reader.read()


async def test_a_host_can_be_down_while_another_is_up(app: SimulatorApp, port: int) -> None:
    await add_fault(port, b'{"kind": "api_down", "hosts": ["api.test"]}')
    for _ in range(2):
        with pytest.raises(ConnectionResetError):
            await exchange(port, log_in(app), host="api.test:8001")
        assert "openid" in await exchange(port, log_in(app), host="api2.test:8001")


async def test_a_dropped_connection_has_used_the_code_up(
    app: SimulatorApp, port: int, wire: Wire
) -> None:
    await add_fault(port, b'{"kind": "drop_after_consume"}')
    code = log_in(app)
    wire.send(target(js_code=code))
    assert await wire.reader.read() == b""
    assert (await exchange(port, code))["errcode"] == 40163
    assert app.ctx.stats.view() == counters(
        **{PATH: {"total": 2, "errcodes": {"0": 1, "40163": 1}, "repeatedCodes": 1}}
    )


@pytest.mark.parametrize("body_bytes", [0, 5])
async def test_a_reset_after_the_headers_has_used_the_code_up(
    app: SimulatorApp, port: int, wire: Wire, body_bytes: int
) -> None:
    fault = b'{"kind": "reset_after_headers", "times": 1, "body_bytes": %d}' % body_bytes
    await add_fault(port, fault)
    code = log_in(app)
    wire.send(target(js_code=code))
    head = await wire.reader.readuntil(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"content-type: text/plain\r\n" in head
    assert await wire.reader.readexactly(body_bytes) == b'{"session_key"'[:body_bytes]
    with pytest.raises(ConnectionResetError):
        await wire.reader.read()
    assert (await exchange(port, code))["errcode"] == 40163


async def test_a_hanging_call_says_nothing_and_hinders_nobody(
    app: SimulatorApp, port: int, wire: Wire
) -> None:
    await add_fault(port, b'{"kind": "hang", "times": 1}')
    code = log_in(app)
    wire.send(target(js_code=code))
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(wire.reader.read(1), 0.1)
    assert "openid" in await exchange(port, code)


async def test_a_hanging_call_ends_with_its_client(port: int) -> None:
    await add_fault(port, b'{"kind": "hang"}')
    await until_idle()
    async with connected(port) as wire:
        wire.send(target())
        await asyncio.sleep(0.05)
        assert len(asyncio.all_tasks()) == 2
    await until_idle()


async def test_a_hanging_call_is_closed_when_its_time_is_up(port: int, wire: Wire) -> None:
    await add_fault(port, b'{"kind": "hang", "seconds": 0.1}')
    watch = Stopwatch(alone=True)
    wire.send(target())
    assert await wire.reader.read() == b""
    assert watch.elapsed > 0.09
    assert watch.seconds < 2


@pytest.mark.parametrize("kind", [b"huge_body", b"gzip_bomb"])
async def test_a_big_body_stops_when_its_client_goes(port: int, kind: bytes) -> None:
    await add_fault(port, b'{"kind": "%s", "megabytes": 2000}' % kind)
    await until_idle()
    async with connected(port) as wire:
        wire.send(target())
        assert (await wire.reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200 OK\r\n")
        assert len(asyncio.all_tasks()) == 2
    await until_idle()


async def test_a_big_body_that_nobody_reads_hinders_nobody(port: int, wire: Wire) -> None:
    await add_fault(port, b'{"kind": "huge_body", "megabytes": 2000}')
    wire.send(target())
    await wire.reader.readuntil(b"\r\n\r\n")
    async with connected(port) as other, asyncio.timeout(1):
        head, _ = await other.ask("/sim/stats")
    assert head.startswith(b"HTTP/1.1 200 ")


async def test_lost_connections_leave_nothing_in_the_log(
    app: SimulatorApp, port: int, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    for fault in (
        b'{"kind": "reset", "times": 1}',
        b'{"kind": "drop_after_consume", "times": 1}',
        b'{"kind": "reset_after_headers", "times": 1}',
        b'{"kind": "hang", "seconds": 0.01, "times": 1}',
    ):
        await add_fault(port, fault)
        with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
            await exchange(port, log_in(app))
    await asyncio.sleep(0.05)
    assert [record for record in caplog.records if record.name != "asyncio"] == []
