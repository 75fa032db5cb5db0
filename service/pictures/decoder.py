"""Decodes pictures in processes of their own, one for each, which can be ended at any time."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import socket
import subprocess
import sys
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from service.core.errors import InvalidRequest, PicturesBusy
from service.pictures.answers import FAILED, REFUSED

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from service.core.throttled_log import ThrottledLog

AT_ONCE: Final = 1
"""Pictures that a worker has decoded at a time: a core, and up to 70 MB, for each."""
MOST_WAITING: Final = 8
LONGEST_WAIT_SECONDS: Final = 1.5
"""In the queue. Who has not been served by then is told to come again."""
DEADLINE_SECONDS: Final = 5.0
"""Of one decoding. It may take less processor time; who needs that long was kept waiting."""
NICENESS: Final = 10

_NICE: Final = shutil.which("nice", path=os.defpath)
"""So that even the start of a child, most of what it takes, lets others have the core first."""
_PROGRAM: Final = "from service.pictures import child; child.main(int(sys.argv[2]))"
_PREAMBLE: Final = "import sys; sys.path.append(sys.argv[1]); "
_ROOT: Final = str(Path(__file__).parents[2])
_INHERITED: Final = ("LD_LIBRARY_PATH",)
"""All of the environment that a child gets: some platforms have Python's own libraries there."""
_LARGEST_ANSWER: Final = 1024 * 1024
"""Bytes: more than an avatar has before it is compressed."""
_TOO_MUCH: Final = frozenset(
    -number
    for number in (
        signal.SIGXCPU, signal.SIGSEGV, signal.SIGBUS, signal.SIGABRT, signal.SIGILL, signal.SIGFPE
    )
)  # fmt: skip
"""Exit codes of a child that its picture has ended."""


class ChildDecoder:
    """The PictureDecoder port."""

    def __init__(self, log: ThrottledLog, *, program: str = _PROGRAM) -> None:
        """`program`: what a child runs, in Python; it finds its parent's id in `sys.argv[2]`."""
        self._log = log
        self._program = program
        self._slots = asyncio.Semaphore(AT_ONCE)
        self._waiting = 0
        self._children: set[subprocess.Popen[bytes]] = set()
        self._stopped = False

    async def decode(self, upload: bytes) -> bytes:
        async with self._turn():
            try:
                code, answer = await self._run(upload)
            except TimeoutError:
                raise self._failed(f"not done in {DEADLINE_SECONDS:.0f} s") from None
            except OSError as fault:  # no process, descriptor or memory to be had
                raise self._failed(type(fault).__name__) from fault
        if code == 0 and 0 < len(answer) <= _LARGEST_ANSWER:
            return answer
        if code == REFUSED:
            raise InvalidRequest("avatar", answer[:100].decode("ascii", "replace"))
        if code in _TOO_MUCH:
            raise InvalidRequest("avatar", "takes too much to decode")
        kind = answer[:100].decode("ascii", "replace") if code == FAILED else ""
        raise self._failed(f"exit {code} {kind if kind.isidentifier() else ''}".rstrip())

    def stop(self) -> None:
        self._stopped = True
        for child in self._children:
            child.kill()

    @asynccontextmanager
    async def _turn(self) -> AsyncIterator[None]:
        """Wait for a slot, and hold it."""
        if self._waiting >= MOST_WAITING:
            raise PicturesBusy
        self._waiting += 1
        try:
            async with asyncio.timeout(LONGEST_WAIT_SECONDS):
                await self._slots.acquire()
        except TimeoutError:
            raise PicturesBusy from None
        finally:
            self._waiting -= 1
        try:
            if self._stopped:
                raise PicturesBusy
            yield
        finally:
            self._slots.release()

    async def _run(self, upload: bytes) -> tuple[int, bytes]:
        """The exit code of a child and what it wrote. When this ends, so has the child."""
        ours, theirs = socket.socketpair()
        with ours:
            with theirs:
                child = self._start(theirs.fileno())
            self._children.add(child)
            try:
                async with asyncio.timeout(DEADLINE_SECONDS):
                    answer = await _exchange(ours, upload)
                    return await asyncio.to_thread(child.wait), answer
            finally:
                self._children.discard(child)
                child.kill()
                await asyncio.to_thread(child.wait)

    def _start(self, theirs: int) -> subprocess.Popen[bytes]:
        # By the standard library and not by the loop: uvloop copies the worker's page tables,
        # for which it stands still three times as long.
        modestly = (_NICE, "-n", str(NICENESS)) if _NICE else ()
        code = _PREAMBLE + self._program
        return subprocess.Popen(  # noqa: S603 # a command of ours
            [*modestly, sys.executable, "-I", "-c", code, _ROOT, str(os.getpid())],
            stdin=theirs,
            stdout=theirs,
            stderr=subprocess.DEVNULL,
            env={name: os.environ[name] for name in _INHERITED if name in os.environ},
            cwd="/",
        )

    def _failed(self, why: str) -> PicturesBusy:
        if not self._stopped:
            self._log.failed("decoding", why)
        return PicturesBusy()


async def _exchange(ours: socket.socket, upload: bytes) -> bytes:
    """Send the upload and read the answer, as much of each as the child lets us."""
    reader, writer = await asyncio.open_unix_connection(sock=ours)
    try:
        with suppress(ConnectionError):  # it has ended already; its exit code says why
            writer.write(upload)
            await writer.drain()
            writer.write_eof()
            return await reader.readexactly(_LARGEST_ANSWER + 1)
    except asyncio.IncompleteReadError as ended:
        return ended.partial
    finally:
        writer.transport.abort()
    return b""
