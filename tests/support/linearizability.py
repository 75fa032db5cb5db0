"""Decides whether a history of one user's session could have come from one session at a time."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

Op = Literal["login", "validate", "logout"]
_State = tuple[int, str | None]
"""The bits of the operations done, and the session they leave behind."""
_UNSEEN: Final = "unseen"


@dataclass(frozen=True, slots=True)
class Operation:
    """One request as its client saw it, by one clock.

    `start` is read before sending and `end` after the whole answer. An `end`
    of infinity says that the outcome is unknown: the operation took effect at
    some time after `start`, or never. A login whose id never arrived has a
    sid of its own, which nobody else uses. `result` is the answer of a
    validate or logout that has one, and None otherwise.
    """

    start: float
    end: float
    op: Op
    sid: str
    result: bool | None = None

    def __post_init__(self) -> None:
        if not self.start <= self.end:
            raise ValueError(f"ends before it starts: {self}")
        if (self.result is None) != (self.unknown or self.op == "login"):
            raise ValueError(f"a result just for a known validate or logout: {self}")

    @property
    def unknown(self) -> bool:
        return self.end == math.inf

    def fits(self, current: str | None) -> bool:
        """Tell if it could be answered so while `current` is the session."""
        return self.result is None or self.result == (self.sid == current)

    def after(self, current: str | None) -> str | None:
        """Return the session that it leaves behind."""
        if self.op == "login":
            return self.sid
        return None if self.op == "logout" and self.sid == current else current


def linearizable(history: Iterable[Operation], *, initial: str | None = None) -> bool:
    """Tell if some order of these operations explains every answer.

    The order must keep A before B wherever A ended before B started. Searches
    as Wing and Gong do, never twice from the same state; the time it takes
    grows with how many operations overlap, not with how many there are.
    """
    operations = _simplified(sorted(history, key=lambda operation: operation.start))
    required = sum(1 << i for i, one in enumerate(operations) if not one.unknown)
    seen: set[_State] = set()
    states: list[_State] = [(0, initial)]
    while states:
        done, current = state = states.pop()
        if done & required == required:
            return True
        if state not in seen:
            seen.add(state)
            states.extend(_next_states(operations, done, current))
    return False


def _simplified(operations: Sequence[Operation]) -> list[Operation]:
    """The same, with one id for all sessions of which nobody can know: they differ in nothing."""
    known = {one.sid for one in operations if one.op != "login" or not one.unknown}
    return [one if one.sid in known else replace(one, sid=_UNSEEN) for one in operations]


def _next_states(operations: Sequence[Operation], done: int, current: str | None) -> list[_State]:
    states = []
    alike: set[tuple[Op, str]] = set()
    for i in _candidates(operations, done):
        operation = operations[i]
        if operation.unknown:
            # Of those that may still do the same, the one that began first can do all that
            # the others can. Without this, each of them would double the time.
            if (operation.op, operation.sid) in alike:
                continue
            alike.add((operation.op, operation.sid))
        if not operation.fits(current):
            continue
        state = (done | 1 << i, operation.after(current))
        if state[1] != current:
            states.append(state)
        elif not operation.unknown:
            # It changes nothing, so any order that has it later works with it here.
            return [state]
    return states


def _candidates(operations: Sequence[Operation], done: int) -> Iterator[int]:
    """Indexes of the operations that could be next: none left ended before they started."""
    left = [i for i in range(len(operations)) if not done >> i & 1]
    earliest_end = min(operations[i].end for i in left)
    for i in left:
        if operations[i].start > earliest_end:
            return
        yield i
