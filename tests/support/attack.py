"""Uploads, many at once, from a process of their own: they take no time of whoever measures.

Also a command, which reads what to send from standard input and prints the answers, as JSON:

    python -m tests.support.attack
"""

from __future__ import annotations

import http.client
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final, NamedTuple

import orjson

from tests.support.pictures import (
    BOUNDARY,
    cmyk,
    form,
    form_headers,
    honest,
    many_scans,
    one_letter_form,
    part,
    pixel_bomb,
    scan_bomb,
)
from tests.support.stopwatch import Stopwatch

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

BODIES: Final[dict[str, tuple[str, Callable[[], bytes]]]] = {
    "honest": (BOUNDARY, lambda: form(part(honest()))),
    "scans": (BOUNDARY, lambda: form(part(scan_bomb()))),
    "pixels": (BOUNDARY, lambda: form(part(pixel_bomb()))),
    "cmyk": (BOUNDARY, lambda: form(part(cmyk()))),
    "one letter": ("Z", one_letter_form),
    # What is let through, and takes as much as anything that is.
    "most pixels": (BOUNDARY, lambda: form(part(pixel_bomb((3000, 3000))))),
    "most scans": (BOUNDARY, lambda: form(part(many_scans(50)))),
}
"""By kind: the boundary and the form."""
HARMFUL: Final = tuple(kind for kind in BODIES if kind != "honest")


class Answered(NamedTuple):
    """`code` is the wire's; `seconds` from the first byte sent to the last one read."""

    kind: str
    status: int
    code: int
    retry_after: str | None
    seconds: float


def upload(port: int, sessionid: str, kind: str) -> Answered:
    boundary, body = BODIES[kind]
    content = body()
    watch = Stopwatch(alone=True)
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        headers = form_headers(boundary) | {"sessionid": sessionid}
        connection.request("POST", "/me/avatar", content, headers)
        reply = connection.getresponse()
        code = orjson.loads(reply.read())["code"]
        return Answered(kind, reply.status, code, reply.headers["Retry-After"], watch.elapsed)
    except OSError:  # cut off
        return Answered(kind, 0, 0, None, watch.elapsed)
    finally:
        connection.close()


def attack(port: int, jobs: Sequence[tuple[str, str]], rounds: int) -> list[Answered]:
    """Send what each job, a session and a kind, says; all at once, so many times. Blocks."""
    done = subprocess.run(  # noqa: S603 # a command of ours
        [sys.executable, "-m", __name__],
        input=orjson.dumps([port, jobs, rounds]),
        stdout=subprocess.PIPE,
        check=True,
    )
    return [Answered(*one) for one in orjson.loads(done.stdout)]


def _main() -> None:
    port, jobs, rounds = orjson.loads(sys.stdin.buffer.read())
    answers: list[Answered] = []
    for _, body in BODIES.values():
        body()  # made beforehand
    with ThreadPoolExecutor(len(jobs)) as threads:
        for _ in range(rounds):
            sent = [threads.submit(upload, port, *job) for job in jobs]
            answers += [one.result() for one in sent]
    sys.stdout.buffer.write(orjson.dumps([tuple(one) for one in answers]))


if __name__ == "__main__":
    _main()
