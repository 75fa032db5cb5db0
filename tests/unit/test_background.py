"""Work that outlives the client who asked for it: what becomes of its end."""

from __future__ import annotations

import asyncio
import gc
import logging
from contextlib import suppress
from typing import TYPE_CHECKING, NoReturn

import pytest

from service.core.background import BackgroundTasks
from service.core.errors import LoginCodeInvalid
from service.core.models import SessionId
from service.logs import Redact

if TYPE_CHECKING:
    from collections.abc import Iterator

SESSION = SessionId.new("H" * 22)


@pytest.fixture
def redacted(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    """The log as the service writes it."""
    redact = Redact()
    caplog.handler.addFilter(redact)
    yield caplog
    caplog.handler.removeFilter(redact)


class Work:
    """Waits until it may end, and ends as the test says."""

    def __init__(self, end: BaseException | None = None) -> None:
        self.end = end
        self.may_end = asyncio.Event()
        self.ended = asyncio.Event()

    async def __call__(self) -> str:
        await self.may_end.wait()
        self.ended.set()
        if self.end is not None:
            raise self.end
        return "done"


async def hung_up(background: BackgroundTasks, work: Work) -> None:
    """Have it begun by a client who goes before it ends."""
    client = asyncio.create_task(background.run_to_completion(work()))
    await asyncio.sleep(0)
    client.cancel()
    with suppress(asyncio.CancelledError):
        await client
    work.may_end.set()
    await work.ended.wait()
    await asyncio.sleep(0)  # not aclose: who waits for a task hears how it ended


def collected(log: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    """What is in the log when Python has thrown away every task that ended."""
    gc.collect()
    return [record for record in log.records if record.levelno >= logging.WARNING]


@pytest.mark.parametrize("end", [None, LoginCodeInvalid(), asyncio.CancelledError()])
async def test_after_a_hang_up_it_ends_without_a_word(
    redacted: pytest.LogCaptureFixture, end: BaseException | None
) -> None:
    work = Work(end)
    await hung_up(BackgroundTasks(), work)
    assert collected(redacted) == []


async def test_a_bug_after_a_hang_up_is_logged_once_with_its_place_and_no_secret(
    redacted: pytest.LogCaptureFixture,
) -> None:
    await hung_up(BackgroundTasks(), Work(TypeError(f"cannot use {SESSION.text}")))
    [record] = collected(redacted)
    shown = logging.Formatter().format(record)
    assert "TypeError: cannot use" in shown
    assert "test_background.py" in shown
    assert SESSION.secret not in shown


@pytest.mark.parametrize("end", [LoginCodeInvalid(), TypeError("bug")])
async def test_a_client_who_waits_is_told_the_error_and_the_log_is_not(
    redacted: pytest.LogCaptureFixture, end: Exception
) -> None:
    background, work = BackgroundTasks(), Work(end)
    work.may_end.set()
    with pytest.raises(type(end)):
        await background.run_to_completion(work())
    assert collected(redacted) == []


async def test_a_hang_up_in_the_turn_in_which_it_fails_loses_no_bug(
    redacted: pytest.LogCaptureFixture,
) -> None:
    """The task has ended, and its client is cancelled before they hear of it."""
    background = BackgroundTasks()

    async def fail() -> NoReturn:
        client.cancel()
        raise TypeError("bug")

    client = asyncio.create_task(background.run_to_completion(fail()))
    with pytest.raises(asyncio.CancelledError):
        await client
    await asyncio.sleep(0)
    assert len(collected(redacted)) == 1


async def test_closing_waits_for_what_goes_on(redacted: pytest.LogCaptureFixture) -> None:
    background, work = BackgroundTasks(), Work()
    client = asyncio.create_task(background.run_to_completion(work()))
    await asyncio.sleep(0)
    closing = asyncio.create_task(background.aclose())
    await asyncio.sleep(0)
    assert not closing.done()
    work.may_end.set()
    await closing
    assert await client == "done"
    assert collected(redacted) == []
