"""What operators look at first, also while something is away."""

from __future__ import annotations

import asyncio
import dataclasses
import platform
import time
from typing import TYPE_CHECKING, Any

import pytest

from service import __version__
from service.core.errors import SessionStoreUnavailable
from service.sql.schema_version import NEWEST
from tests.support.admin import RememberedEvents
from tests.support.outages import Reported, ReportedOutages
from tests.support.running import running_service
from tests.support.settings import APPID

if TYPE_CHECKING:
    from collections.abc import Callable

    from service.config.settings import Settings
    from tests.support.running import Answer, Api

SECRET = "Vq8Zk2nT7cXw4pRj9sLb6mYd3gHf5aEu"
TOKENS = f"alice:{SECRET}"
HISTORY = {"step": 10, "columns": ["at", "checksOk"], "rows": [[1_790_000_000_000, 3]]}


class Figures:
    def history(self) -> dict[str, Any]:
        return HISTORY


def connect(api: Api, **services: Any) -> None:
    api.app.ctx.services = dataclasses.replace(api.app.ctx.services, **services)


async def overview(api: Api) -> Answer:
    headers = {"Authorization": f"Bearer {SECRET}"}
    return await api.ask("GET", "/admin/overview", headers=headers)


async def test_all_that_is_known_is_told(settings: Callable[..., Settings]) -> None:
    before = int(time.time())
    async with running_service(settings(admin_tokens=TOKENS, web_concurrency=2)) as api:
        outages = ReportedOutages(Reported("wechat", 2000, None), Reported("redis", 1000, 1500))
        connect(api, event_history=RememberedEvents(), figures=Figures(), outages=outages)
        answer = await overview(api)
        assert answer.status == 200
        data = answer.data
        assert set(data) == {"at", "service", "components", "liveSessions", "outages", "history"}
        assert before * 1000 <= data["at"] <= time.time() * 1000
        started = data["service"].pop("startedAt")
        assert before <= started <= time.time()
        assert data["service"] == {
            "version": __version__,
            "schema": {"found": NEWEST, "expected": NEWEST},
            "python": platform.python_version(),
            "environment": "development",
            "workers": 2,
            "stopping": False,
        }
        states = {one["component"]: one["state"] for one in data["components"]}
        assert states == {
            "redis": "ready",
            "database": "ready",
            "wechat": "ready",
            "avatars": "ready",
        }
        assert data["liveSessions"] == [{"appid": APPID, "count": 7}]
        assert data["outages"] == [
            {"what": "wechat", "since": 2000, "until": None, "why": "timed out", "failures": 3},
            {"what": "redis", "since": 1000, "until": 1500, "why": "timed out", "failures": 3},
        ]
        assert data["history"] == HISTORY
        api.app.ctx.stopping = True
        assert (await overview(api)).data["service"]["stopping"] is True


class Away(RememberedEvents):
    async def live_sessions(self, appid: str, device: str = "") -> int:  # noqa: ARG002 # the port's
        raise SessionStoreUnavailable


class Silent(RememberedEvents):
    async def live_sessions(self, appid: str, device: str = "") -> int:  # noqa: ARG002 # the port's
        await asyncio.sleep(60)
        return 0


@pytest.mark.parametrize("history", [Away(), Silent()])
async def test_it_is_told_while_everything_is_away(
    settings: Callable[..., Settings], history: RememberedEvents
) -> None:
    gone = settings(
        admin_tokens=TOKENS,
        redis_url="redis://127.0.0.1:1",
        database_url="postgresql://u:canary@127.0.0.1:1/none",
    )
    async with running_service(gone) as api:
        connect(api, event_history=history)
        async with asyncio.timeout(10):
            answer = await overview(api)
    assert answer.status == 200
    assert "liveSessions" not in answer.data
    assert [one["state"] for one in answer.data["components"]] == ["down", "down", "ready", "ready"]
    assert "canary" not in str(answer.body)
