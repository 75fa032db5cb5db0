from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from sanic import Sanic

from tests.unit.simulator.harness import Client, Clock

if TYPE_CHECKING:
    from collections.abc import Iterator

# Otherwise only one app can be started in a process.
Sanic.test_mode = True


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def client(clock: Clock) -> Iterator[Client]:
    client = Client(clock)
    yield client
    client.close()
