"""The faults that are on by themselves, two calls at a time."""

from __future__ import annotations

import pytest

from service.simulator.faults.decisions import ClockSkew, Errcode
from service.simulator.faults.fault import ActiveFaults, Fault
from tests.unit.simulator.harness import PATH, seeded


@pytest.fixture
def active() -> ActiveFaults:
    return ActiveFaults(rng=seeded())


def strike(active: ActiveFaults, kind: type[Fault] = Fault, host: str = "x") -> list[str]:
    return [fault.kind for fault in active.firing(kind, endpoint=PATH, host=host)]


@pytest.mark.parametrize(("probability", "least", "most"), [(0, 0, 0), (0.25, 200, 300)])
def test_a_fault_strikes_about_as_often_as_its_probability_says(
    active: ActiveFaults, probability: float, least: int, most: int
) -> None:
    added = active.add(Errcode(errcode=40029, probability=probability))
    struck = sum(len(strike(active)) for _ in range(1000))
    assert least <= struck <= most
    assert added.fired == struck


def test_faults_strike_in_the_order_of_their_adding_and_by_kind(active: ActiveFaults) -> None:
    active.add(ClockSkew(seconds=1))
    active.add(Errcode(errcode=-1))
    assert strike(active) == ["clock_skew", "errcode"]
    assert strike(active, Errcode) == ["errcode"]


def test_a_fault_aimed_elsewhere_spares_the_call(active: ActiveFaults) -> None:
    added = active.add(Errcode(errcode=-1, endpoint="/cgi-bin/elsewhere"))
    assert strike(active) == []
    assert added.fired == 0


def test_an_ipv6_host_is_matched_with_and_without_its_port(active: ActiveFaults) -> None:
    active.add(Errcode(errcode=-1, hosts=["[::1]"]))
    assert [len(strike(active, host=host)) for host in ("[::1]:8001", "[::1]", "[::2]")] == [
        1,
        1,
        0,
    ]


def test_a_waiting_call_is_spared_what_was_cleared_meanwhile(active: ActiveFaults) -> None:
    active.add(ClockSkew(seconds=1))
    active.add(Errcode(errcode=-1))
    call = active.firing(Fault, endpoint=PATH, host="x")
    assert next(call).kind == "clock_skew"
    assert active.clear() == 2
    assert list(active) == []
    assert list(call) == []


def test_a_waiting_call_is_spared_what_others_used_up(active: ActiveFaults) -> None:
    active.add(ClockSkew(seconds=1))
    active.add(Errcode(errcode=-1, times=1))
    call = active.firing(Fault, endpoint=PATH, host="x")
    assert next(call).kind == "clock_skew"
    assert strike(active, Errcode) == ["errcode"]
    assert list(call) == []
