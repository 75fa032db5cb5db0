"""How many clients a limit of descriptors has room for."""

from __future__ import annotations

import resource
import sys

import pytest

from service.descriptors import MOST_CLIENTS, OURS, room_for_clients

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there is no such limit")


@pytest.fixture
def set_to(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """What the limit was set to."""
    found: list[tuple[int, int]] = []
    monkeypatch.setattr(resource, "setrlimit", lambda _, limits: found.append(limits))
    return found


@pytest.mark.parametrize(
    ("limits", "room"),
    [
        ((1024, 4096), 4096 - OURS - 100),
        ((4096, 4096), 4096 - OURS - 100),
        ((256, 256), 256 - OURS - 100),
        ((200, 200), 50),  # a quarter, whatever the pools might want
        ((1024, 1_048_576), MOST_CLIENTS),
        ((1024, resource.RLIM_INFINITY), MOST_CLIENTS),
    ],
)
def test_the_limit_is_raised_and_what_is_ours_left_out(
    set_to: list[tuple[int, int]],
    monkeypatch: pytest.MonkeyPatch,
    limits: tuple[int, int],
    room: int,
) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: limits)
    assert room_for_clients(pools=100) == room
    assert set_to == [(limits[1], limits[1])]


def test_a_limit_that_cannot_be_raised_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise ValueError("not permitted")

    monkeypatch.setattr(resource, "getrlimit", lambda _: (300, 4096))
    monkeypatch.setattr(resource, "setrlimit", refuse)
    assert room_for_clients(pools=100) == 300 - OURS - 100
