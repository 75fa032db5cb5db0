"""What clients see of a service that is told to stop."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections import Counter
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

import orjson
import pytest

from tests.faults.test_processes import all_answer, log_in
from tests.support.pictures import jpeg
from tests.support.process import (
    LINUX_ONLY,
    Connection,
    RedisServer,
    ServiceProcess,
    complete_environment,
    eventually,
)
from tests.support.stopwatch import Stopwatch

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.support.running import Simulator

pytestmark = LINUX_ONLY


@pytest.fixture
async def redis() -> AsyncIterator[RedisServer]:
    async with RedisServer() as running:
        yield running


@pytest.fixture
async def crowd() -> AsyncIterator[AsyncExitStack]:
    """Connections that are closed in the end."""
    async with AsyncExitStack() as stack:
        yield stack
