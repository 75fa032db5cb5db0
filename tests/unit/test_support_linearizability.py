from __future__ import annotations

import math
from dataclasses import replace
from itertools import chain, combinations, permutations
from typing import TYPE_CHECKING, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.linearizability import Op, Operation, linearizable

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


def login(start: float, end: float, sid: str) -> Operation:
    return Operation(start, end, "login", sid)


def validate(start: float, end: float, sid: str, result: bool | None) -> Operation:  # noqa: FBT001
    return Operation(start, end, "validate", sid, result)


def logout(start: float, end: float, sid: str, result: bool | None) -> Operation:  # noqa: FBT001
    return Operation(start, end, "logout", sid, result)


NEVER = math.inf
GOOD = {
    "nothing": [],
    "a life": [
        login(0, 1, "a"),
        validate(2, 3, "a", True),
        logout(4, 5, "a", True),
        validate(6, 7, "a", False),
        logout(8, 9, "a", False),
    ],
    "a login replaces": [login(0, 1, "a"), login(2, 3, "b"), validate(4, 5, "a", False)],
    "a late logout spares the successor": [
        login(0, 1, "a"),
        login(2, 3, "b"),
        logout(4, 5, "a", False),
        validate(6, 7, "b", True),
    ],
    "both answers during a login": [
        login(0, 1, "a"),
        login(2, 9, "b"),
        validate(3, 4, "a", True),
        validate(5, 6, "b", True),
        validate(7, 8, "a", False),
    ],
    "of two logins either may win": [
        login(0, 5, "a"),
        login(0, 5, "b"),
        validate(6, 7, "a", True),
        validate(6, 7, "b", False),
    ],
    "ends that touch overlap": [login(0, 1, "a"), validate(1, 1, "a", False)],
    "a lost login that took": [
        login(0, 1, "a"),
        login(2, NEVER, "lost"),
        validate(3, 4, "a", False),
    ],
    "a lost login that did not": [
        login(0, 1, "a"),
        login(2, NEVER, "lost"),
        validate(3, 4, "a", True),
    ],
    "a lost login that took late": [
        login(0, 1, "a"),
        login(2, NEVER, "lost"),
        validate(3, 4, "a", True),
        validate(5, 6, "a", False),
    ],
    "a lost logout that took": [
        login(0, 1, "a"),
        logout(2, NEVER, "a", None),
        validate(3, 4, "a", True),
        logout(5, 6, "a", False),
    ],
    "a login replaced before it was answered": [
        login(0, 9, "a"),
        login(2, 3, "b"),
        validate(4, 5, "b", True),
        validate(10, 11, "a", False),
        validate(12, 13, "b", True),
    ],
    "a lost validate": [login(0, 1, "a"), validate(2, NEVER, "b", None)],
}
BAD = {
    "valid before any login": [validate(0, 1, "a", True), login(2, 3, "a")],
    "lost at once": [login(0, 1, "a"), validate(2, 3, "a", False)],
    "the old one survives": [login(0, 1, "a"), login(2, 3, "b"), validate(4, 5, "a", True)],
    "two at a time": [
        login(0, 5, "a"),
        login(0, 5, "b"),
        validate(6, 7, "a", True),
        validate(6, 7, "b", True),
    ],
    "back from the dead": [
        login(0, 1, "a"),
        login(2, 9, "b"),
        validate(3, 4, "b", True),
        validate(5, 6, "a", True),
    ],
    "valid after logout": [
        login(0, 1, "a"),
        logout(2, 3, "a", True),
        validate(4, 5, "a", True),
    ],
    "logged out twice": [login(0, 1, "a"), logout(2, 4, "a", True), logout(3, 5, "a", True)],
    "a stale logout ends the successor": [
        login(0, 1, "a"),
        login(2, 3, "b"),
        logout(4, 5, "a", False),
        validate(6, 7, "b", False),
    ],
    "a lost logout that took and gave back": [
        login(0, 1, "a"),
        logout(2, NEVER, "a", None),
        validate(3, 4, "a", False),
        validate(5, 6, "a", True),
    ],
    "a lost login before it was sent": [
        login(0, 1, "a"),
        validate(2, 3, "a", False),
        login(4, NEVER, "lost"),
    ],
    "a lost login that took twice": [
        login(0, NEVER, "lost"),
        validate(1, 2, "lost", True),
        login(3, 4, "a"),
        validate(5, 6, "lost", True),
    ],
    "a login under way that took twice": [
        login(0, 1, "a"),
        login(2, 11, "b"),
        validate(3, 4, "a", False),
        login(5, 6, "c"),
        validate(7, 8, "c", True),
        validate(9, 10, "c", False),
    ],
    "a lost logout of another": [
        login(0, 1, "a"),
        logout(2, NEVER, "b", None),
        validate(3, 4, "a", False),
    ],
}


def possible(order: Sequence[Operation]) -> bool:
    """Tell if this very order respects real time and gives these very answers."""
    if any(later.end < one.start for i, one in enumerate(order) for later in order[i + 1 :]):
        return False
    current = None
    for one in order:
        if one.result not in (None, one.sid == current):
            return False
        if one.op == "login":
            current = one.sid
        elif one.op == "logout" and one.sid == current:
            current = None
    return True


def explained(history: Iterable[Operation]) -> bool:
    """Answer as `linearizable` should, by trying every order of every choice."""
    known = [one for one in history if not one.unknown]
    maybe = [one for one in history if one.unknown]
    choices = chain.from_iterable(combinations(maybe, n) for n in range(len(maybe) + 1))
    return any(possible(order) for some in choices for order in permutations([*known, *some]))


@st.composite
def histories(draw: st.DrawFn, most: int) -> list[Operation]:
    """Draw what clients of a true single session see: it acts at 1, 2, 3... within each request."""
    history = []
    current = None
    for moment in range(1, draw(st.integers(0, most)) + 1):
        op: Op = draw(st.sampled_from(get_args(Op)))
        sid = f"own{moment}" if op == "login" else draw(st.sampled_from(["a", "own1", "own2"]))
        start, end = moment - draw(st.floats(0, 4)), moment + draw(st.floats(0, 4))
        result = None if op == "login" else sid == current
        happens = True
        if draw(st.integers(0, 4)) == 0:
            end, result, happens = NEVER, None, draw(st.booleans())
        if happens and op == "login":
            current = sid
        elif happens and op == "logout" and sid == current:
            current = None
        history.append(Operation(start, end, op, sid, result))
    return draw(st.permutations(history))


@st.composite
def spoilt_histories(draw: st.DrawFn) -> list[Operation]:
    """Draw a true history and change one of its answers, ids or times."""
    history = draw(histories(most=6).filter(bool))
    at = draw(st.integers(0, len(history) - 1))
    one = history[at]
    changed = [replace(one, sid=draw(st.sampled_from(["a", "own1", "own2"])))]
    if one.result is not None:
        changed.append(replace(one, result=not one.result))
    if not one.unknown:
        by = draw(st.floats(-4, 4))
        changed.append(replace(one, start=one.start + by, end=one.end + by))
    history[at] = draw(st.sampled_from(changed))
    return history


@pytest.mark.parametrize("name", GOOD)
def test_accepts_what_one_session_explains(name: str) -> None:
    assert linearizable(GOOD[name])
    assert explained(GOOD[name])


@pytest.mark.parametrize("name", BAD)
def test_finds_what_nothing_explains(name: str) -> None:
    assert not linearizable(BAD[name])
    assert not explained(BAD[name])


def test_starts_from_the_session_that_there_was() -> None:
    history = [validate(0, 1, "a", True)]
    assert linearizable(history, initial="a")
    assert not linearizable(history, initial="b")


def test_refuses_an_operation_that_makes_no_sense() -> None:
    with pytest.raises(ValueError, match="ends before"):
        login(2, 1, "a")
    with pytest.raises(ValueError, match="a result"):
        validate(0, 1, "a", None)
    with pytest.raises(ValueError, match="a result"):
        logout(0, NEVER, "a", True)


@given(histories(most=40))
@settings(deadline=None, max_examples=60)
def test_accepts_every_history_of_a_true_session(history: list[Operation]) -> None:
    assert linearizable(history)


@given(spoilt_histories())
@settings(deadline=None, max_examples=150)
def test_agrees_with_trying_every_order(history: list[Operation]) -> None:
    assert linearizable(history) == explained(history)


def test_many_operations_of_unknown_outcome_take_no_time() -> None:
    """As while Redis is frozen: of forty, each would double it."""
    unknown = [
        one
        for i in range(20)
        for one in (login(i, NEVER, f"lost {i}"), logout(i + 0.5, NEVER, "a", None))
    ]
    history = [login(0, 1, "a"), *unknown, validate(30, 31, "a", False)]
    assert linearizable(history)
    assert not linearizable([*history, validate(32, 33, "a", True)])
