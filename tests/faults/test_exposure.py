"""What others on the machine and in the network get to see of a service that runs."""

from __future__ import annotations

import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.faults.test_processes import all_answer, stand_ins
from tests.support.process import (
    LINUX_ONLY,
    RedisServer,
    ServiceProcess,
    complete_environment,
    eventually,
)
from tests.support.settings import SECRET_KEY

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

pytestmark = LINUX_ONLY


@pytest.fixture
async def own_redis() -> AsyncIterator[RedisServer]:
    async with RedisServer() as running:
        yield running


async def test_only_this_machine_is_served_in_development_unless_host_says_otherwise(
    tmp_path: Path,
) -> None:
    async with ServiceProcess(stand_ins(), home=tmp_path) as service:
        await service.ready()
        assert listening_on(service.port) == {"127.0.0.1"}
        assert "HOST=0.0.0.0" in await banner_of(service)
        assert "ENVIRONMENT" not in service.output
    async with ServiceProcess(stand_ins(HOST="0.0.0.0"), home=tmp_path) as service:
        await service.ready()
        assert listening_on(service.port) == {"0.0.0.0"}
        assert "HOST=0.0.0.0" not in await banner_of(service)
        assert "WARNING service ENVIRONMENT is development: whoever reaches 0.0.0.0" in (
            service.output
        )


async def test_a_deployment_that_forgot_its_environment_says_so_and_stays_inside(
    own_redis: RedisServer, tmp_path: Path
) -> None:
    environment = complete_environment(redis=own_redis.url, wechat="https://127.0.0.1:1")
    async with ServiceProcess(environment, home=tmp_path) as service:
        await service.ready()
        assert listening_on(service.port) == {"127.0.0.1"}
        assert "although REDIS_URL, DATABASE_URL, WECHAT_APPID are set" in service.output
    environment["ENVIRONMENT"] = "production"
    async with ServiceProcess(environment, home=tmp_path) as service:
        await service.ready()
        assert listening_on(service.port) == {"0.0.0.0"}
        assert "WARNING" not in service.output


async def banner_of(service: ServiceProcess) -> str:
    await eventually(lambda: "Ctrl-C" in service.output, within=5, what="the banner is out")
    return service.output


def listening_on(port: int) -> set[str]:
    """The addresses of IPv4 at which the machine takes connections to `port`."""
    found = set()
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        _, local, _, state, *_ = line.split()
        address, _, number = local.partition(":")
        if state == "0A" and int(number, 16) == port:
            found.add(socket.inet_ntoa(int(address, 16).to_bytes(4, sys.byteorder)))
    return found


async def test_no_process_that_is_started_sees_the_secrets(
    own_redis: RedisServer, tmp_path: Path
) -> None:
    """Workers are handed the settings; multiprocessing's helpers have no business with them."""
    environment = complete_environment(redis=own_redis.url, wechat="https://127.0.0.1:1")
    environment |= {
        "DATABASE_URL": "sqlite:///sql-canary.db",
        "INTERNAL_TOKEN": "internal-token-canary-60a1b7c2d9e4f835",
        "WECHAT_APPS": '[{"appid": "wx2", "secret": "canary-of-another"}]',
    }
    async with ServiceProcess(environment, home=tmp_path) as service:
        await service.ready()
        await all_answer(service, 1, within=5)
        children = {one for one in service.remains if one.pid != service.pid}
        assert len(children) == 3  # the worker and two helpers
        for one in children:
            assert not secrets_in(one.pid, environment), one.command


async def test_no_stand_in_sees_more_than_it_needs(tmp_path: Path) -> None:
    secrets = {
        "SECRET_KEYS": SECRET_KEY,
        "DATABASE_URL": "sqlite:///sql-canary.db",
        "AWS_SECRET_ACCESS_KEY": "aws-canary",
        "SOMEBODYS_TOKEN": "token-canary",
    }
    async with ServiceProcess(stand_ins(**secrets), home=tmp_path) as service:
        await service.ready()
        stand = [
            one
            for one in service.remains
            if "redis-server" in one.command or "service.simulator" in one.command
        ]
        assert len(stand) == 2
        for one in stand:
            assert not secrets_in(one.pid, secrets), one.command


def secrets_in(pid: int, secrets: Mapping[str, str]) -> set[str]:
    """Which of `secrets`, by name, the environment of a process shows."""
    shown = Path(f"/proc/{pid}/environ").read_bytes().decode()
    return {name for name, value in secrets.items() if value in shown or f"{name}=" in shown}
