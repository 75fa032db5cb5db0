"""The load generator against a server that misbehaves on purpose: it must notice everything."""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from tests.bench.calling import measure
from tests.bench.job import Job, Outcome
from tests.bench.spread import Spread, percentile, ratios

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable


@asynccontextmanager
async def _server(
    answer: Callable[[bytes], list[bytes]], *, first_after: float = 0
) -> AsyncIterator[int]:
    """Answers each request with these pieces, a moment apart; closes where there are none.

    The first answer of each connection comes after so many seconds.
    """
    served = 0
    idle = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal served
        served += 1
        idle.clear()
        after = first_after
        while head := await reader.read(4096):
            await asyncio.sleep(after)
            after = 0
            pieces = answer(head)
            if not pieces:
                break
            for piece in pieces:
                writer.write(piece)
                await writer.drain()
                await asyncio.sleep(0.001)
        writer.close()
        await writer.wait_closed()
        served -= 1
        if not served:
            idle.set()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]
        await idle.wait()


async def _ask(
    answer: Callable[[bytes], list[bytes]], *, once: bool = False, seconds: float = 0.2
) -> Outcome:
    names = ["ann", "bob", "cai"]
    async with _server(answer) as port:
        requests = [f"GET / HTTP/1.1\r\nname: {name}\r\n\r\n" for name in names]
        return await measure(Job(port, requests, names, connections=2, seconds=seconds, once=once))


async def _ask_at(
    rate: float,
    *,
    seconds: float = 0.5,
    warm_up: float = 0,
    connections: int = 1,
    first_after: float = 0,
) -> Outcome:
    """Ask at planned moments."""
    async with _server(_own_name, first_after=first_after) as port:
        requests = ["GET / HTTP/1.1\r\nname: ann\r\n\r\n"]
        job = Job(port, requests, ["ann"], connections, seconds, warm_up, rate=rate)
        return await measure(job)


def _named(head: bytes) -> bytes:
    return head.rpartition(b"name: ")[2].strip()


def _own_name(head: bytes) -> list[bytes]:
    return [b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\n" + _named(head)]


def _slowly(head: bytes) -> list[bytes]:
    """In two pieces, between which the server waits a moment."""
    [whole] = _own_name(head)
    return [whole[:1], whole[1:]]


async def test_answers_in_pieces_are_put_together_and_counted() -> None:
    def answer(head: bytes) -> list[bytes]:
        return [b"HTTP/1.1 200 OK\r\nContent-", b"Length: 3\r\n\r\n", _named(head)]

    outcome = await _ask(answer)

    assert outcome.clean
    assert outcome.answered == outcome.statuses["200"] > 10
    assert 0 < outcome.p50 <= outcome.p90 <= outcome.p99 <= outcome.slowest


async def test_each_request_goes_out_once_where_that_is_asked() -> None:
    outcome = await _ask(
        _own_name,
        once=True,
        seconds=5,
    )

    assert outcome.answered == 3
    assert outcome.seconds < 1


async def test_refusals_are_not_clean() -> None:
    outcome = await _ask(
        lambda head: [b"HTTP/1.1 401 No\r\ncontent-length: 3\r\n\r\n" + _named(head)]
    )

    assert set(outcome.statuses) == {"401"}
    assert not outcome.clean


async def test_an_answer_for_somebody_else_is_noticed() -> None:
    outcome = await _ask(lambda _: [b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nann"])

    assert outcome.strangers > 0
    assert not outcome.clean


async def test_connections_that_end_are_noticed() -> None:
    outcome = await _ask(lambda _: [])

    assert outcome.broken == 2
    assert not outcome.clean


async def test_planned_requests_are_as_many_as_planned() -> None:
    """However fast the answers come, and not counting those of the warm-up."""
    outcome = await _ask_at(300, connections=4, warm_up=0.3, first_after=0.5)

    assert outcome.clean
    assert abs(outcome.offered - 300 * outcome.seconds) <= 1
    assert 0 < outcome.answered <= outcome.offered
    assert outcome.served > outcome.answered


async def test_latency_counts_from_the_planned_moment() -> None:
    """A server that stood still was slow for all who would have asked meanwhile."""
    outcome = await _ask_at(200, seconds=1.0, first_after=0.6)

    assert outcome.p50 > 50


async def test_who_is_not_answered_by_the_end_has_waited_until_then() -> None:
    outcome = await _ask_at(200, connections=20, first_after=0.7)

    assert (outcome.came, outcome.answered, outcome.served) == (0, 0, 20)
    assert abs(outcome.offered - 200 * outcome.seconds) <= 1
    assert not outcome.kept_up
    assert outcome.slowest > 480


async def test_who_is_still_at_the_queue_of_the_warm_up_answers_all_the_same() -> None:
    """A server that is far behind has answered nothing that was due later; that is no failure."""
    async with _server(_slowly) as port:
        job = Job(port, ["GET / HTTP/1.1\r\nname: ann\r\n\r\n"], ["ann"], 1, 0.3, 0.3, rate=2000)
        outcome = await measure(job)

    assert outcome.clean
    assert outcome.answered == 0 < outcome.came
    assert outcome.rate > 0
    assert not outcome.kept_up


async def test_a_generator_that_is_late_says_so() -> None:
    asyncio.get_running_loop().call_later(0.1, time.sleep, 0.2)

    outcome = await _ask_at(200)

    assert outcome.late > 150


def test_percentiles_are_values_that_occurred() -> None:
    ordered = [float(value) for value in range(1, 101)]

    assert [percentile(ordered, share) for share in (0.5, 0.99, 1.0)] == [50, 99, 100]
    assert percentile([7.0], 0.99) == 7


def test_ratios_pair_the_rounds() -> None:
    """A round in which the machine was half as fast changes no ratio."""
    assert ratios([90, 45, 90], [100, 50, 100]) == Spread(0.9, 0.9, 0.9)
    assert Spread.of([3, 1, 2]).text() == "2.00 (1.00 to 3.00)"
