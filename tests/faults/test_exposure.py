"""What others on the machine and in the network get to see of a service that runs."""

from __future__ import annotations

import io
import re
import signal
import socket
import stat
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import aiohttp
import pytest
from PIL import Image

from tests.faults.test_processes import all_answer, stand_ins
from tests.support.process import (
    LINUX_ONLY,
    RedisServer,
    ServiceProcess,
    complete_environment,
    eventually,
)
from tests.support.running import Api
from tests.support.settings import SECRET_KEY

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from tests.support.running import Simulator

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


async def test_in_development_there_is_an_admin_token_that_only_its_owner_can_read(
    tmp_path: Path,
) -> None:
    kept = tmp_path / "var" / "admin_token"
    seen = []
    for _ in range(2):
        async with ServiceProcess(stand_ins(), home=tmp_path) as service:
            await service.ready()
            banner = await banner_of(service)
            assert f"{service.url}/admin, with the token in var/admin_token" in banner
            seen.append(kept.read_text())
            assert seen[0] not in service.output, "that is no terminal"
            assert stat.S_IMODE(kept.stat().st_mode) == 0o600
            assert await admin_status(service, seen[0]) == 200
            assert await admin_status(service, "x" * 64) == 403
    assert seen[0] == seen[1]
    assert len(seen[0]) == 64


async def test_an_admin_token_of_ones_own_stands_in_for_none(
    own_redis: RedisServer, tmp_path: Path
) -> None:
    async with ServiceProcess(
        stand_ins(ADMIN_TOKENS=f"alice:{SECRET_KEY}"), home=tmp_path
    ) as service:
        await service.ready()
        assert "/admin, with the token one of ADMIN_TOKENS" in await banner_of(service)
        assert await admin_status(service, SECRET_KEY) == 200
    assert not (tmp_path / "var" / "admin_token").exists()
    environment = complete_environment(redis=own_redis.url, wechat="https://127.0.0.1:1")
    environment["ENVIRONMENT"] = "production"
    async with ServiceProcess(environment, home=tmp_path) as service:
        await service.ready()
        assert await admin_status(service, SECRET_KEY) == 404
    assert not (tmp_path / "var" / "admin_token").exists()


async def admin_status(service: ServiceProcess, token: str) -> int:
    async with aiohttp.ClientSession() as http:
        headers = {"Authorization": f"Bearer {token}"}
        return (await Api(service.url, http).ask("GET", "/admin/settings", headers=headers)).status


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


@pytest.mark.bar("E1")
async def test_no_process_that_is_started_sees_the_secrets(
    own_redis: RedisServer, tmp_path: Path
) -> None:
    """Workers are handed the settings by a pipe."""
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
        assert len(children) == 1  # the worker
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


OPEN_TO_ALL = ("/bin/sh", "-c", f"umask 0; exec {sys.executable} -m service")


async def live(service: ServiceProcess, simulator: Simulator) -> None:
    """Have a user made, and a picture."""
    async with aiohttp.ClientSession() as http:
        api = Api(service.url, http)
        login = await api.login(await simulator.code())
        picture = io.BytesIO()
        Image.new("RGB", (8, 8)).save(picture, "PNG")
        form = aiohttp.FormData()
        form.add_field("file", picture.getvalue(), filename="f.png")
        headers = {"sessionid": login.data["sessionid"]}
        assert (await api.ask("POST", "/me/avatar", data=form, headers=headers)).status == 200


async def test_whatever_the_umask_files_are_the_services_own(
    own_redis: RedisServer, simulator: Simulator, tmp_path: Path
) -> None:
    environment = complete_environment(redis=own_redis.url, wechat=simulator.url)
    environment.pop("DATABASE_URL")
    async with ServiceProcess(environment, home=tmp_path, command=OPEN_TO_ALL) as service:
        await service.ready()
        await live(service, simulator)
        assert open_to_others(tmp_path / "var") == set()
        kept = {path.name for path in (tmp_path / "var").rglob("*")}
        assert kept >= {"minigate.db", "minigate.db-wal", "minigate.db-shm", "uploads"}
        assert any(name.endswith(".jpg") for name in kept)
        assert "was open to others" not in service.output


async def test_what_a_former_version_left_open_is_closed_and_told(
    own_redis: RedisServer, simulator: Simulator, tmp_path: Path
) -> None:
    environment = complete_environment(redis=own_redis.url, wechat=simulator.url)
    del environment["DATABASE_URL"], environment["SECRET_KEYS"]
    async with ServiceProcess(environment, home=tmp_path) as service:
        await service.ready()
        await live(service, simulator)
        service.signal(signal.SIGKILL)  # so that the files beside the database stay
        await service.ended(within=5)
    var = tmp_path / "var"
    (tmp_path / "others").mkdir(mode=0o755)
    for path in (var, *var.iterdir()):
        path.chmod(0o777 if path.is_dir() else 0o666)
    assert (var / "minigate.db-wal").exists()
    async with ServiceProcess(environment, home=tmp_path, command=OPEN_TO_ALL) as service:
        await service.ready()
        assert open_to_others(var) == set()
        for name in ("var", "minigate.db", "minigate.db-wal", "minigate.db-shm", "uploads"):
            assert re.search(rf"{name} was open to others \(0(666|777)\)", service.output), name
    assert stat.S_IMODE((tmp_path / "others").stat().st_mode) == 0o755  # not ours


def open_to_others(folder: Path) -> set[str]:
    """What in and of a folder has any right for group or others."""
    return {
        path.name
        for path in (folder, *folder.rglob("*"))
        if stat.S_IMODE(path.stat().st_mode) & 0o077
    }


def secrets_in(pid: int, secrets: Mapping[str, str]) -> set[str]:
    """Which of `secrets`, by name, the environment of a process shows."""
    shown = Path(f"/proc/{pid}/environ").read_bytes().decode()
    return {name for name, value in secrets.items() if value in shown or f"{name}=" in shown}
