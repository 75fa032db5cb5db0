"""Tries each mutant: a copy of the repository with one change, and the test that has to notice."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING, Final

from tests.support.process import REPOSITORY

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tests.faults.mutants import Mutant

_LONGEST_SECONDS: Final = 240
_LEFT_OUT: Final = shutil.ignore_patterns(".*", "build", "var", "node_modules", "__pycache__")
_ASSERTED: Final = re.compile(
    r"^(?:E\s+assert|.*(?:AssertionError|DID NOT RAISE|Failed: ))", re.MULTILINE
)
"""Also within a group of exceptions, of which pytest shows Python's own traceback."""
_TESTS_FAILED: Final = 1


@dataclass(frozen=True, slots=True)
class Caught:
    """What became of a mutant."""

    mutant: Mutant
    by_assertion: bool
    otherwise: str
    """What happened where no assertion failed."""
    seconds: float


def try_all(mutants: Sequence[Mutant], *, at_once: int) -> list[Caught]:
    """Try them, several at a time, each in a copy of its own; says how far it is."""
    found: dict[str, Caught] = {}
    copies: SimpleQueue[Path] = SimpleQueue()
    with tempfile.TemporaryDirectory(prefix="minigate-") as folder:
        for number in range(at_once):
            copy = Path(folder, str(number))
            shutil.copytree(REPOSITORY, copy, ignore=_LEFT_OUT)
            copies.put(copy)

        def one(mutant: Mutant) -> None:
            copy = copies.get()
            try:
                found[mutant.bar] = caught = _try(mutant, copy)
            finally:
                copies.put(copy)
            verdict = "caught" if caught.by_assertion else f"MISSED: {caught.otherwise}"
            print(
                f"{len(found):3} of {len(mutants)}  {mutant.bar:4} {caught.seconds:4.0f} s"
                f"  {verdict}  ({mutant.change})",
                flush=True,
            )

        with ThreadPoolExecutor(at_once) as threads:
            list(threads.map(one, mutants))
    return [found[mutant.bar] for mutant in mutants]


def _try(mutant: Mutant, copy: Path) -> Caught:
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-x",
        "-p",
        "no:randomly",
        "-p",
        "no:cacheprovider",
    ]
    environment = {name: value for name, value in os.environ.items() if name != "THOROUGH"}
    began = time.monotonic()
    with mutated(copy / mutant.file, mutant):
        try:
            done = subprocess.run(  # noqa: S603 # our own tests
                [*command, *mutant.test.split()],
                cwd=copy,
                env=environment | {"PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1"},
                capture_output=True,
                text=True,
                timeout=_LONGEST_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return Caught(mutant, by_assertion=False, otherwise="hung", seconds=_LONGEST_SECONDS)
    seconds = time.monotonic() - began
    asserted = done.returncode == _TESTS_FAILED and _ASSERTED.search(done.stdout) is not None
    lines = [line for line in done.stdout.splitlines() if line.startswith("E ")] or ["it passed"]
    otherwise = "" if asserted else f"exit {done.returncode}, {lines[-1][:100]}"
    return Caught(mutant, asserted, otherwise, seconds)


@contextmanager
def mutated(path: Path, mutant: Mutant) -> Iterator[None]:
    """The file with the change, and afterwards without it."""
    text = path.read_text()
    path.write_text(mutant.apply(text))
    try:
        yield
    finally:
        path.write_text(text)
