from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.ports import free_port
from tests.support.process import ServiceProcess

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[tuple[str, str]]:
    """What `make run` starts; yields the addresses of the service and of the simulator."""
    simulator_port = free_port()
    environment = {"SIMULATOR_PORT": str(simulator_port)}
    async with ServiceProcess(environment, home=tmp_path) as process:
        await process.ready()
        yield f"127.0.0.1:{process.port}", f"127.0.0.1:{simulator_port}"
