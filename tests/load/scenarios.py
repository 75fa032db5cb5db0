"""The virtual users, for locust; `python -m tests.load` starts what they talk to.

Requests are named `<phase>: <what>`. Every answer is looked at: a check must
name the user who logged in, logins of one moment must share their session.
"""

from __future__ import annotations

import itertools
import json
import os
import random
import time
import urllib.request
from collections import deque
from pathlib import Path
from typing import Any, Final, NamedTuple

import gevent
from locust import FastHttpUser, LoadTestShape, events, stats, task

from tests.load.phases import CROWD, Phase, morning, pause
from tests.load.thresholds import Measured, judge, load

stats.PERCENTILES_TO_CHART = [0.5, 0.95, 0.99]

_SIMULATOR: Final = os.environ.get("SIMULATOR", "")
_THRESHOLDS: Final = Path(os.environ.get("THRESHOLDS", ""))
_SCALE: Final = float(os.environ.get("SCALE", "1"))
_PHASES: Final = morning(_SCALE)
_AT_ONCE: Final = 200
_TRIES_AT_LAUNCH: Final = 3
_SAY_EVERY: Final = 5


class _Now:
    """Where in the morning we are; virtual users read it."""

    phase: Phase = _PHASES[0]
    since: float = 0.0


class Caller(NamedTuple):
    """A virtual user's session."""

    sessionid: str
    user: str


class _Codes:
    """Login codes, several for each person, of one person after the other."""

    def __init__(self) -> None:
        self._stock: deque[tuple[str, ...]] = deque()
        self._first = itertools.count(0, _AT_ONCE)

    def take(self) -> tuple[str, ...]:
        """The codes of somebody who has not logged in before."""
        if not self._stock:
            first = next(self._first)
            self._stock.extend(
                zip(*(_ask_codes(first) for _ in range(_TRIES_AT_LAUNCH)), strict=True)
            )
        return self._stock.popleft()


def _ask_codes(first: int) -> list[str]:
    url = f"{_SIMULATOR}/bench/codes?first={first}&count={_AT_ONCE}"
    with urllib.request.urlopen(url, timeout=10) as reply:  # noqa: S310 # ours
        codes: list[str] = json.loads(reply.read())
    return codes


_codes: Final = _Codes()


class _Person(FastHttpUser):
    """What all virtual users can do."""

    abstract = True
    connection_timeout = 5.0
    network_timeout = 10.0

    def log_in(self, code: str, *, name: str = "log in") -> Caller | None:
        """The session, or None where WeChat's slowness excuses a refusal."""
        phase = _Now.phase
        with self.client.post(
            "/login", json={"code": code}, name=f"{phase.name}: {name}", catch_response=True
        ) as reply:
            if reply.status_code == 200:
                data = reply.json()["data"]
                return Caller(data["sessionid"], data["user"]["id"])
            if phase.faults and reply.status_code in {502, 503}:
                reply.success()
            else:
                reply.failure(f"HTTP {reply.status_code} {reply.text[:100]}")
        return None

    def check(self, caller: Caller) -> None:
        """What a back end asks for each request of this user."""
        with self.client.get(
            "/verify",
            headers={"sessionid": caller.sessionid},
            name=f"{_Now.phase.name}: check",
            catch_response=True,
        ) as reply:
            named = reply.headers.get("X-Auth-Request-User") if reply.status_code == 200 else None
            if reply.status_code != 200:
                reply.failure(f"HTTP {reply.status_code}")
            elif named != caller.user:
                reply.failure("names somebody else")


class Anybody(_Person):
    """One of the crowd: in each phase somebody else, by number."""

    _numbers = itertools.count()
    _caller: Caller | None = None

    def on_start(self) -> None:
        self._number = next(self._numbers)

    def wait_time(self) -> float:
        """How long this one waits before it acts again, in its present role."""
        return pause(_Now.phase, self._role, time.monotonic() - _Now.since)

    @property
    def _role(self) -> str | None:
        return _Now.phase.role_of(self._number)

    @task
    def act(self) -> None:
        """Do what the role does."""
        match self._role:
            case "checker":
                self._check_session()
            case "opener":
                self._open_app()
            case "returner":
                self._come_back()
            case "mixer":
                self._live()

    def _check_session(self) -> None:
        """A back end that checks the session of each request."""
        if self._caller is None:
            self._caller = self.log_in(_codes.take()[0], name="log in to be checked")
        if self._caller is not None:
            self.check(self._caller)

    def _open_app(self) -> None:
        """Somebody who opens the app, whose pages all log in on their own."""
        logins = [gevent.spawn(self.log_in, code) for code in _codes.take()]
        gevent.joinall(logins)
        callers = {login.value for login in logins if login.value is not None}
        if len(callers) > 1:
            self.environment.events.request.fire(
                request_type="POST",
                name=f"{_Now.phase.name}: log in",
                response_time=0,
                response_length=0,
                exception=AssertionError("logins of one moment got different sessions"),
            )
        for caller in callers:
            for _ in range(5):
                self.check(caller)

    def _come_back(self) -> None:
        """Somebody whose session has ended: they log in and use the app a little."""
        caller = self.log_in(_codes.take()[0])
        if caller is not None:
            self.check(caller)

    def _live(self) -> None:
        """An ordinary user: mostly checks, sometimes their own record, a logout, a new login."""
        if self._caller is None:
            self._caller = self.log_in(_codes.take()[0])
            return
        headers, phase = {"sessionid": self._caller.sessionid}, _Now.phase.name
        match random.choices(("check", "record", "logout"), weights=(80, 15, 5))[0]:
            case "record":
                self.client.get("/me", headers=headers, name=f"{phase}: own record")
            case "logout":
                self.client.post("/logout", headers=headers, name=f"{phase}: log out")
                self._caller = None
            case _:
                self.check(self._caller)


class Morning(LoadTestShape):
    """Goes through the phases."""

    use_common_options = False

    def __init__(self) -> None:
        super().__init__()
        self._entered: Phase | None = None
        self._said = 0.0

    def tick(self) -> tuple[int, float] | None:
        """How many there should be, always all of them; None when it is over."""
        elapsed = self.get_run_time()
        for phase in _PHASES:
            if elapsed < phase.seconds:
                self._enter(phase)
                self._say(phase, elapsed)
                return CROWD, CROWD
            elapsed -= phase.seconds
        _switch_faults(())
        return None

    def _enter(self, phase: Phase) -> None:
        if phase is self._entered:
            return
        self._entered = phase
        _switch_faults(phase.faults)
        _Now.phase, _Now.since = phase, time.monotonic()
        self._said = 0.0
        print(f"{phase.name}: {phase.says}", flush=True)

    def _say(self, phase: Phase, elapsed: float) -> None:
        if elapsed - self._said < _SAY_EVERY:
            return
        self._said = elapsed
        shown = [
            f"{name.partition(': ')[2]} {entry.current_rps:.0f}/s"
            f" p99 {entry.get_current_response_time_percentile(0.99) or 0:.0f} ms"
            for (name, _), entry in self.runner.stats.entries.items()
            if name.startswith(f"{phase.name}: ")
        ]
        print(f"  {elapsed:3.0f} of {phase.seconds:.0f} s   {'   '.join(shown)}", flush=True)


def _switch_faults(faults: tuple[dict[str, object], ...]) -> None:
    """Have these faults on and no others."""
    _control("DELETE", None)
    for fault in faults:
        _control("POST", fault)


def _control(method: str, body: dict[str, object] | None) -> None:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"{_SIMULATOR}/sim/faults", data, method=method)  # noqa: S310
    urllib.request.urlopen(request, timeout=10).close()  # noqa: S310 # ours


@events.quitting.add_listener
def judge_it(environment: Any, **_: object) -> None:
    """Say what held; the exit code is 1 where something did not."""
    measured = {
        name: Measured(
            requests=entry.num_requests,
            failures=entry.num_failures,
            p50=entry.get_response_time_percentile(0.5),
            p99=entry.get_response_time_percentile(0.99),
        )
        for (name, _), entry in environment.stats.entries.items()
    }
    # Not by its own stats.csv, which lags behind.
    counts = {name: one.requests for name, one in measured.items()}
    Path(os.environ["COUNTS"]).write_text(json.dumps(counts))
    verdicts = judge(load(_THRESHOLDS, scale=_SCALE), measured)
    print("\n" + "\n".join(str(verdict) for verdict in verdicts), flush=True)
    environment.process_exit_code = 0 if all(verdict.held for verdict in verdicts) else 1
