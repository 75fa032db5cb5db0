"""`make faults`: every bar in one run, written to docs/reliability.md."""

from __future__ import annotations

import argparse
import os
import sys
from typing import TYPE_CHECKING, Final

import pytest

from tests.faults import page
from tests.faults.bars import BARS
from tests.faults.mutants import MUTANTS
from tests.faults.mutation import try_all
from tests.faults.results import Result, Results

if TYPE_CHECKING:
    from collections.abc import Sequence

_EVERYWHERE: Final = ("tests/faults", "tests/api", "tests/contracts", "tests/unit", "tests/e2e")
_QUIET: Final = ("-p", "no:terminal", "-p", "no:cacheprovider")
_PARALLEL: Final = ("-n", "logical", "--dist", "loadfile", "--no-loadscope-reorder")
_TOGETHER: Final[Sequence[str]] = ("-m", "(bar or faults) and not alone", *_PARALLEL)
_ALONE: Final[Sequence[str]] = ("-m", "(bar or faults) and alone")
_ONE_BY_ONE: Final[Sequence[str]] = ("-m", "bar")
_RAN: Final = {
    pytest.ExitCode.OK,
    pytest.ExitCode.TESTS_FAILED,
    pytest.ExitCode.NO_TESTS_COLLECTED,
}


def main() -> int:
    """Measure, or try the mutants; the exit code is 1 where a bar does not hold."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--mutants", action="store_true", help="see each bar fail on a mutant")
    parser.add_argument("--quick", action="store_true", help="as often as `make test`; not written")
    parser.add_argument("bars", nargs="*", help="only these; measured, they are not written")
    asked = parser.parse_args()
    wanted = set(asked.bars)
    if unknown := wanted - {bar.id for bar in BARS}:
        parser.error(f"no such bar: {', '.join(sorted(unknown))}")
    if asked.mutants:
        return _mutants(wanted)
    return _bars(wanted, quick=asked.quick)


def _mutants(wanted: set[str]) -> int:
    caught = try_all(
        [one for one in MUTANTS if not wanted or one.bar in wanted], at_once=os.cpu_count() or 1
    )
    page.write_mutants(caught)
    print(f"written to {page.PAGE}")
    return int(not all(one.by_assertion for one in caught))


def _bars(wanted: set[str], *, quick: bool) -> int:
    if not quick:
        os.environ["THOROUGH"] = "1"  # before any test is loaded
    results = Results(wanted)
    for arguments in [_ONE_BY_ONE] if wanted else [_TOGETHER, _ALONE]:
        code = pytest.main([*_QUIET, *arguments, *_EVERYWHERE], plugins=[results])
        if code not in _RAN:
            return int(code)
    found = {name: results.bars.get(name, Result()) for name in wanted} or results.bars
    if results.failures:
        print("failed:", *results.failures, sep="\n  ")
    if wanted or quick:
        for bar in (one for one in BARS if one.id in found):
            result = found[bar.id]
            print(f"{bar.id}: {page.measured(bar, result)}: {page.verdict(bar, result)}")
    else:
        page.write_bars(found)
        print(f"written to {page.PAGE}")
    well = all(one.holds for one in found.values()) if wanted else page.holds(found)
    return int(bool(results.failures) or not well)


if __name__ == "__main__":
    sys.exit(main())
