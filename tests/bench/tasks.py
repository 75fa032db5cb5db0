"""The two things to do: validate a session, and log in."""

from __future__ import annotations

import urllib.request
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import orjson

from tests.bench.job import Job

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.bench.contestants import Contestant
    from tests.bench.people import Person
    from tests.bench.stage import Running

_FASTEST: Final = 8000
"""Logins per second to have codes for."""
_STRANGERS: Final = 10_000_000
"""Users from this number on have no account."""
_KEEP_ALIVE: Final = "Host: 127.0.0.1\r\nConnection: keep-alive\r\n"


def verify_request(asked: Contestant, sessionid: str) -> str:
    """`GET /verify` as one contestant's client sends it."""
    return f"GET /verify HTTP/1.1\r\n{_KEEP_ALIVE}{asked.session_header(sessionid)}\r\n\r\n"


def login_request(asked: Contestant, code: str) -> str:
    """`POST /login`, or what stands for it."""
    body = f'{{"code":"{code}"}}'
    head = f"POST {asked.login_path} HTTP/1.1\r\n{_KEEP_ALIVE}Content-Type: application/json\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n{body}"


@dataclass(frozen=True, slots=True)
class Validation:
    """Sessions that are live, asked about again and again; each answer has to name its user."""

    crowd: Sequence[Person]
    connections: int = 64
    rate: float = 0.0
    """Requests per second; 0: as many as are answered."""

    @property
    def title(self) -> str:
        """What it is called."""
        how = f"{self.rate:,.0f}/s" if self.rate else f"{self.connections} connections"
        return f"validate a session, {how}"

    def job(self, asked: Contestant, *, seconds: float, warm_up: float) -> Job:
        """What the generator is to do."""
        return Job(
            port=asked.server.port,
            requests=[verify_request(asked, person.sessionid) for person in self.crowd],
            expects=[person.user_id for person in self.crowd] if asked.guards else [],
            connections=self.connections,
            seconds=seconds,
            warm_up=warm_up,
            rate=self.rate,
        )


class Login:
    """Users with accounts, a fresh code for each login, the same user again much later only.

    Logins of one user close together would share a session, which is another,
    cheaper thing.
    """

    title = "log in"

    def __init__(
        self, simulator: Running, crowd: Sequence[Person], *, connections: int = 64
    ) -> None:
        self._simulator = simulator
        self._crowd = crowd
        self._connections = connections
        self._next = self._newcomers = 0

    def job(self, asked: Contestant, *, seconds: float, warm_up: float) -> Job:
        """What the generator is to do."""
        count = min(int(_FASTEST * (seconds + warm_up)), len(self._crowd))
        return Job(
            port=asked.server.port,
            requests=[login_request(asked, code) for code in self.codes(count)],
            expects=[],
            connections=self._connections,
            seconds=seconds,
            warm_up=warm_up,
            once=True,
        )

    def codes(self, count: int) -> list[str]:
        """Codes for the next `count` users, all of whom have an account."""
        if self._next + count > len(self._crowd):
            self._next = 0
        self._next += count
        return self._codes(self._next - count, count)

    def somebody(self) -> tuple[Person, str]:
        """The next user and a code."""
        (code,) = self.codes(1)
        return self._crowd[self._next - 1], code

    def newcomer(self) -> tuple[str, str]:
        """Two codes for a user whom nobody knows, another each time."""
        self._newcomers += 1
        first, second = (self._codes(_STRANGERS + self._newcomers, 1)[0] for _ in range(2))
        return first, second

    def _codes(self, first: int, count: int) -> list[str]:
        url = f"{self._simulator.url}/bench/codes?first={first}&count={count}"
        with urllib.request.urlopen(url, timeout=30) as reply:  # noqa: S310 # ours
            codes: list[str] = orjson.loads(reply.read())
        return codes
