"""The switches by themselves, two calls at a time."""

from __future__ import annotations

import pytest

from service.simulator.faults.board import FaultBoard
from service.simulator.faults.decisions import ClockSkew, Errcode
from service.simulator.faults.fault import Fault
from tests.unit.simulator.harness import PATH, seeded


@pytest.fixture
def board() -> FaultBoard:
    return FaultBoard(rng=seeded())


def strike(board: FaultBoard, kind: type[Fault] = Fault, host: str = "x") -> list[str]:
    return [fault.kind for fault in board.firing(kind, endpoint=PATH, host=host)]


@pytest.mark.parametrize(("probability", "least", "most"), [(0, 0, 0), (0.25, 200, 300)])
def test_a_fault_strikes_about_as_often_as_its_probability_says(
    board: FaultBoard, probability: float, least: int, most: int
) -> None:
    board.add(Errcode(errcode=40029, probability=probability))
    struck = sum(len(strike(board)) for _ in range(1000))
    assert least <= struck <= most
    assert board.switches[0].fired == struck


def test_faults_strike_in_the_order_of_their_adding_and_by_kind(board: FaultBoard) -> None:
    board.add(ClockSkew(seconds=1))
    board.add(Errcode(errcode=-1))
    assert strike(board) == ["clock_skew", "errcode"]
    assert strike(board, Errcode) == ["errcode"]


def test_a_fault_aimed_elsewhere_spares_the_call(board: FaultBoard) -> None:
    board.add(Errcode(errcode=-1, endpoint="/cgi-bin/elsewhere"))
    assert strike(board) == []
    assert board.switches[0].fired == 0


def test_an_ipv6_host_is_matched_with_and_without_its_port(board: FaultBoard) -> None:
    board.add(Errcode(errcode=-1, hosts=["[::1]"]))
    assert [len(strike(board, host=host)) for host in ("[::1]:8001", "[::1]", "[::2]")] == [1, 1, 0]


def test_a_waiting_call_is_spared_what_was_cleared_meanwhile(board: FaultBoard) -> None:
    board.add(ClockSkew(seconds=1))
    board.add(Errcode(errcode=-1))
    call = board.firing(Fault, endpoint=PATH, host="x")
    assert next(call).kind == "clock_skew"
    assert board.clear() == 2
    assert board.is_quiet
    assert list(call) == []


def test_a_waiting_call_is_spared_what_others_used_up(board: FaultBoard) -> None:
    board.add(ClockSkew(seconds=1))
    board.add(Errcode(errcode=-1, times=1))
    call = board.firing(Fault, endpoint=PATH, host="x")
    assert next(call).kind == "clock_skew"
    assert strike(board, Errcode) == ["errcode"]
    assert list(call) == []
