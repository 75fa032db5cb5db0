"""What the tests of faults have in common: limits of time, and a mark."""

from __future__ import annotations

import gc

import pytest


def pytest_itemcollected(item: pytest.Item) -> None:
    """All of this folder is `make faults`, bar or not."""
    item.add_marker("faults")


@pytest.fixture(scope="module", autouse=True)
def short_garbage_collections() -> None:
    """Leave what is there by now, 300,000 objects, out of garbage collections.

    Each stood still for a quarter of a second, in the midst of what is timed.
    """
    gc.collect()
    gc.freeze()
