"""Pictures are decoded apart: what becomes of the child, the worker and the others in the queue."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from service.core.errors import InvalidRequest, PicturesBusy
from service.core.throttled_log import ThrottledLog
from service.pictures import decoder as module
from service.pictures.child import CPU_SECONDS
from service.pictures.decoder import DEADLINE_SECONDS, MOST_WAITING, ChildDecoder
from tests.support.children import spawn
from tests.support.pictures import LARGEST, cmyk, encoded, honest
from tests.support.process import LINUX_ONLY, REPOSITORY, eventually
from tests.support.stopwatch import Stopwatch

pytestmark = LINUX_ONLY

SLEEP = "import time; time.sleep(60)"
READ = "upload = sys.stdin.buffer.read(); "
MAIN = "child.main(int(sys.argv[2]))"
PATCHED = "import os, socket, time; from service.pictures import answers, avatar, child; "
"""The real child, of which one thing is replaced."""


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """For machines that are busy with something else, which a child lets go first."""
    monkeypatch.setattr(module, "DEADLINE_SECONDS", 40)
    monkeypatch.setattr(module, "LONGEST_WAIT_SECONDS", 40)


def open_decoder(program: str | None = None) -> ChildDecoder:
    log = ThrottledLog("pictures")
    return ChildDecoder(log) if program is None else ChildDecoder(log, program=program)


async def answer(program: str, upload: bytes = b"x") -> str:
    return (await open_decoder(program).decode(upload)).decode()


async def refusal(program: str | None, upload: bytes = b"x") -> str:
    """Why the client is told that its picture is not taken."""
    with pytest.raises(InvalidRequest) as refused:
        await open_decoder(program).decode(upload)
    assert refused.value.data is not None
    assert refused.value.data["field"] == "avatar"
    return str(refused.value.data["why"])


async def is_running(decoder: ChildDecoder) -> subprocess.Popen[bytes]:
    await eventually(lambda: len(decoder._children) > 0, within=5, what="a child has been started")
    return next(iter(decoder._children))


async def test_a_picture_comes_back_as_an_avatar() -> None:
    decoder = open_decoder()
    for _ in range(2):
        assert (await decoder.decode(honest())).startswith(b"\xff\xd8\xff")
    assert not decoder._children


async def test_who_sent_what_cannot_be_decoded_is_told_why() -> None:
    assert await refusal(None, b"junk") == "damaged, or not a JPEG, PNG or WebP"
    assert await refusal(None, cmyk()) == "too many pixels for a progressive JPEG"
    assert await refusal(None, b"\0" * LARGEST) == "damaged, or not a JPEG, PNG or WebP"
    large = encoded(Image.new("RGB", (3500, 2625)), "WEBP", lossless=True)
    assert await refusal(None, large) == "damaged, or too many pixels for a WebP"


async def test_a_picture_that_takes_too_much_processor_time_is_ended(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "NICENESS", 0)
    endless = (
        "def endless(raw):\n    while True: pass\n"
        f"avatar.normalize_avatar = endless\nchild.CPU_SECONDS = 1\n{MAIN}"
    )
    before = os.times()
    assert await refusal(f"{PATCHED}\n{endless}") == "takes too much to decode"
    after = os.times()
    assert after.children_user - before.children_user < 1.5


def test_a_child_has_less_processor_time_than_its_worker_waits() -> None:
    assert CPU_SECONDS < DEADLINE_SECONDS


async def test_a_picture_that_takes_too_much_memory_is_no_picture() -> None:
    for megabytes, why in ((40, "it fits"), (80, "damaged, or not a JPEG, PNG or WebP")):
        greedy = (
            f"def greedy(*_, **__):\n    bytearray({megabytes} << 20)\n"
            f"    raise answers.NotAPicture('it fits')\navatar.Image.open = greedy\n{MAIN}"
        )
        assert await refusal(f"{PATCHED}\n{greedy}") == why


@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS])
async def test_a_picture_that_breaks_its_decoder_is_no_picture(number: signal.Signals) -> None:
    program = f"import os; {READ} os.kill(os.getpid(), {int(number)})"
    assert await refusal(program) == "takes too much to decode"


@pytest.mark.parametrize("reach", ["open('/etc/passwd')", "socket.socket()", "os.pipe()"])
async def test_a_decoder_that_is_taken_over_reaches_no_file_and_no_network(reach: str) -> None:
    program = (
        f"def attack(*_, **__):\n    try: {reach}\n"
        "    except OSError as fault: raise answers.NotAPicture(os.strerror(fault.errno))\n"
        f"avatar.Image.open = attack\n{MAIN}"
    )
    assert await refusal(f"{PATCHED}\n{program}") == "Too many open files"


async def test_a_child_knows_none_of_our_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_KEYS", "canary")
    monkeypatch.setenv("LD_LIBRARY_PATH", "/nowhere")
    names = await answer(f"import os; {READ} print(*os.environ)")
    assert set(names.split()) <= {"LD_LIBRARY_PATH", "LC_CTYPE"}  # Python sets the latter
    assert "LD_LIBRARY_PATH" in names


async def test_a_child_gets_none_of_our_connections() -> None:
    with socket.socket() as listener:
        listener.set_inheritable(True)  # as Sanic's are
        listed = await answer(f"import os; {READ} print(*os.listdir('/proc/self/fd'))")
    assert len(listed.split()) == 4  # the three that are given, and the one that lists them


async def test_a_child_lets_others_go_first() -> None:
    niceness = await answer(f"import os; {READ} print(os.nice(0))")
    assert int(niceness) == min(os.nice(0) + module.NICENESS, 19)


@pytest.mark.parametrize(
    ("program", "why"),
    [
        ("sys.exit(1)", "exit 1"),
        ("sys.stdout.write('forged\\nline'); sys.exit(4)", "exit 4"),
        (f"sys.modules['PIL'] = None; {PATCHED.replace(' avatar,', '')} {MAIN}", "exit 4 Modul"),
        (f"import os; {READ} os.kill(os.getpid(), 9)", "exit -9"),  # no memory on the machine
        (f"{READ} sys.exit(0)", "exit 0"),
        ("while True: sys.stdout.write('x' * 65536)", "exit"),
    ],
)
async def test_a_fault_of_ours_is_not_the_pictures(
    program: str, why: str, caplog: pytest.LogCaptureFixture
) -> None:
    decoder = open_decoder(program)
    with pytest.raises(PicturesBusy) as refused:
        await decoder.decode(b"x" * LARGEST)
    assert refused.value.retry_after == 2
    assert [f"pictures: decoding failed: {why}" in one for one in caplog.messages] == [True]
    assert "forged" not in caplog.text
    assert not decoder._slots.locked()


async def test_no_process_to_be_had_is_not_the_pictures_fault(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise BlockingIOError(11, "Resource temporarily unavailable")

    decoder = open_decoder()
    with monkeypatch.context() as patched:
        patched.setattr(subprocess, "Popen", refuse)
        with pytest.raises(PicturesBusy):
            await decoder.decode(honest())
    assert caplog.messages == ["pictures: decoding failed: BlockingIOError"]
    assert await decoder.decode(honest())


@pytest.mark.parametrize(
    "program", [SLEEP, f"import os; {READ} os.close(0); os.close(1); {SLEEP}", f"{READ} {SLEEP}"]
)
async def test_a_decoding_has_a_deadline(
    program: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Though the child does not read, has closed its socket, or does not answer."""
    monkeypatch.setattr(module, "DEADLINE_SECONDS", 0.5)
    decoder, watch = open_decoder(program), Stopwatch()
    decoding = asyncio.create_task(decoder.decode(b"x" * LARGEST))
    child = await is_running(decoder)
    with pytest.raises(PicturesBusy):
        await decoding
    assert watch.seconds < 2
    assert child.returncode == -signal.SIGKILL
    assert "decoding failed: not done" in caplog.text


async def test_the_queue_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LONGEST_WAIT_SECONDS", 0.5)
    decoder = open_decoder(SLEEP)
    first = asyncio.create_task(decoder.decode(b"x"))
    await is_running(decoder)
    waiting = [asyncio.create_task(decoder.decode(b"x")) for _ in range(MOST_WAITING)]
    await asyncio.sleep(0)
    watch = Stopwatch()
    with pytest.raises(PicturesBusy):
        await decoder.decode(b"x")
    assert watch.seconds < 0.1
    ends = await asyncio.gather(*waiting, return_exceptions=True)
    assert {type(one) for one in ends} == {PicturesBusy}
    assert watch.seconds < 1.5
    assert not first.done()
    decoder.stop()
    with pytest.raises(PicturesBusy):
        await first


async def test_who_waits_is_served_when_it_is_their_turn() -> None:
    decoder = open_decoder()
    avatars = await asyncio.gather(*(decoder.decode(honest()) for _ in range(4)))
    assert len(set(avatars)) == 1


async def test_a_worker_that_stops_ends_its_children_and_takes_no_more(
    caplog: pytest.LogCaptureFixture,
) -> None:
    decoder = open_decoder(SLEEP)
    running, waiting = [asyncio.create_task(decoder.decode(b"x")) for _ in range(2)]
    child = await is_running(decoder)
    watch = Stopwatch()
    decoder.stop()
    for one in (running, waiting, decoder.decode(b"x")):
        with pytest.raises(PicturesBusy):
            await one
    assert watch.seconds < 0.5
    assert child.returncode == -signal.SIGKILL
    assert not caplog.messages


async def test_a_child_ends_when_its_worker_is_killed() -> None:
    """In the midst of decoding: no end of its input tells it."""
    program = f"{PATCHED} avatar.normalize_avatar = lambda raw: time.sleep(60); {MAIN}"
    worker = (
        "import asyncio; from tests.faults.test_picture_decoder import open_decoder\n"
        f"decoder = open_decoder({program!r})\n"
        "async def main():\n"
        "    decoding = asyncio.create_task(decoder.decode(b'x'))\n"
        "    while not decoder._children: await asyncio.sleep(0.01)\n"
        "    print(*(child.pid for child in decoder._children), flush=True)\n"
        "    await decoding\n"
        "asyncio.run(main())"
    )
    command = [sys.executable, "-c", worker]
    with spawn(command, stdout=subprocess.PIPE, cwd=REPOSITORY) as process:
        assert process.stdout is not None
        child = int(await asyncio.to_thread(process.stdout.readline))
        await eventually(lambda: _is_confined(child), within=10, what="it decodes")
        process.kill()
    await eventually(lambda: not _lives(child), within=2, what="the child has ended")


def _is_confined(pid: int) -> bool:
    limits = Path(f"/proc/{pid}/limits").read_text()
    return re.search(r"Max open files\s+0", limits) is not None


def _lives(pid: int) -> bool:
    try:
        return ") Z " not in Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False


def test_a_worker_does_not_load_what_decodes() -> None:
    """It would stay in the memory of each."""
    loaded = "import sys, service.app, service.wiring; sys.exit('PIL' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", loaded], cwd=REPOSITORY, check=False)  # noqa: S603
    assert done.returncode == 0
