from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.bench.stage import REPOSITORY
from tests.load.phases import CROWD, MORNING, pause
from tests.load.thresholds import DEFAULT, Measured, Threshold, judge, load

if TYPE_CHECKING:
    from pathlib import Path

_LOCUST = REPOSITORY / "build" / "load" / "venv" / "bin" / "locust"
_BOUND = Threshold("steady: check", p50=10, p99=50, requests=100)
_GOOD = Measured(requests=100, failures=0, p50=10, p99=50)


def _missed(threshold: Threshold, measured: dict[str, Measured]) -> list[str]:
    return [one.what for one in judge([threshold], measured) if not one.held]


def test_what_is_on_its_bounds_holds() -> None:
    assert _missed(_BOUND, {"steady: check": _GOOD}) == []


@pytest.mark.parametrize(
    ("measured", "what"),
    [
        (Measured(requests=99, p50=1, p99=1), "requests"),
        (Measured(requests=100, failures=1), "failures"),
        (Measured(requests=100, p50=10.1, p99=20), "p50 ms"),
        (Measured(requests=100, p50=1, p99=50.1), "p99 ms"),
    ],
)
def test_each_bound_is_held_on_its_own(measured: Measured, what: str) -> None:
    assert _missed(_BOUND, {"steady: check": measured}) == [what]


def test_a_scenario_that_never_ran_holds_nothing() -> None:
    assert "requests" in _missed(_BOUND, {})


def test_a_slow_wechat_may_cost_checks_a_fifth_and_5_ms() -> None:
    beside = Threshold("slow: check", p50=99, p99=999, requests=1, beside="steady: check")
    steady = Measured(requests=1, p99=10)

    assert not _missed(beside, {"steady: check": steady, "slow: check": Measured(1, 0, 1, 17)})
    assert _missed(beside, {"steady: check": steady, "slow: check": Measured(1, 0, 1, 18)})


def test_the_thresholds_speak_of_scenarios_that_there_are() -> None:
    names = {phase.name for phase in MORNING}

    assert {threshold.name.partition(":")[0] for threshold in load(DEFAULT)} == names
    assert all(sum(count for _, count in phase.roles) <= CROWD for phase in MORNING)


def test_the_wave_is_highest_in_its_middle() -> None:
    wave = next(phase for phase in MORNING if phase.name == "wave")
    begin, middle, end = (pause(wave, "returner", wave.seconds * at) for at in (0, 0.5, 1))

    assert middle < 0.05 < begin == pytest.approx(end)


@pytest.mark.skipif(not _LOCUST.exists(), reason="`make load` has not been installed here")
@pytest.mark.parametrize(("p99", "code"), [(60_000.0, 0), (0.001, 1)])
def test_a_missed_threshold_is_the_exit_code(tmp_path: Path, p99: float, code: int) -> None:
    """The real thing, a few seconds of it."""
    bounds = tmp_path / "bounds.toml"
    bounds.write_text(
        f'[[threshold]]\nname = "steady: check"\nrequests = 10\np50 = 60000\np99 = {p99}\n'
    )

    run = subprocess.run(  # our own command
        [sys.executable, "-m", "tests.load", "0.05"],
        cwd=REPOSITORY,
        env={**os.environ, "THRESHOLDS": str(bounds)},
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )

    assert run.returncode == code, run.stdout + run.stderr
    assert ("MISS steady: check" in run.stdout) == bool(code)
