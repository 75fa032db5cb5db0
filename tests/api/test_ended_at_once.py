"""An operator ends all sessions of a mini-program: what its users, and the others', are told."""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import pytest
from pydantic import SecretStr

from service.config.settings import AppEntry as ServedApp
from service.core.errors import InvalidRequest, SessionStoreUnavailable, UnknownAppid
from service.simulator.settings import AppEntry
from tests.support.events import RecordedEvents
from tests.support.failover import verify
from tests.support.running import Api, running_service, running_simulator
from tests.support.stopwatch import Stopwatch

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from service.config.settings import Settings
    from service.core.admin import Admin
    from service.core.models import SessionsEnded
    from tests.support.running import Simulator

A: Final = "wxaaaaaaaaaaaaaaaa"
B: Final = "wxbbbbbbbbbbbbbbbb"
SECRET: Final = "a-secret-3f9c2d1b"


@dataclass
class Pair:
    """Two workers of one service of two mini-programs."""

    one: Api
    another: Api
    simulator: Simulator

    @property
    def admin(self) -> Admin:
        admin: Admin = self.one.app.ctx.services.admin
        return admin

    async def log_in(self, api: Api, appid: str, user: str, **more: str) -> str:
        code = await self.simulator.code(user, appid=appid)
        answer = await api.login(code, appid=appid, **more)
        assert answer.status == 200, answer.body
        return str(answer.data["sessionid"])


@asynccontextmanager
async def two_workers(settings: Callable[..., Settings], **more: object) -> AsyncIterator[Pair]:
    def apps(entry: type[Any]) -> tuple[Any, ...]:
        return tuple(entry(appid=appid, secret=SecretStr(SECRET)) for appid in (A, B))

    async with running_simulator(apps=apps(AppEntry)) as simulator:
        made = settings(
            wechat_appid=None,
            wechat_secret=None,
            wechat_apps=apps(ServedApp),
            wechat_api_base=(simulator.url,),
            device_classes=("phone", "pc"),
            **more,
        )
        async with running_service(made) as one, running_service(made) as another:
            yield Pair(one, another, simulator)


async def until_it_holds(ended: SessionsEnded) -> None:
    left = ended.holds_from / 1000 - time.time()  # Redis is on this machine
    assert left <= 2
    await asyncio.sleep(max(left, 0) + 0.001)


@pytest.mark.parametrize("renewal", ["fixed", "sliding"])
async def test_its_users_log_in_again_silently_and_the_others_notice_nothing(
    settings: Callable[..., Settings], renewal: str
) -> None:
    # As far as a minute goes, every login shares a session that is there.
    more = {"session_renewal": renewal, "login_coalesce_ms": 60_000}
    async with two_workers(settings, **more) as pair:
        users = [f"user{number}" for number in range(10)]
        dead = [await pair.log_in(pair.one, A, user) for user in users]
        live = [await pair.log_in(pair.another, B, user) for user in users]
        await asyncio.sleep(0.02)
        ended = await pair.admin.end_sessions(by="ops", appid=A)
        await until_it_holds(ended)
        for api in (pair.one, pair.another):
            assert {(await verify(api, one))[0] for one in dead} == {(401, 40102)}
            assert {(await api.session(one)).code for one in dead} == {40102}
            assert {(await verify(api, one))[0] for one in live} == {(200, 0)}
        # Each is told what their client answers with a login, and it is a session of its own.
        again = [await pair.log_in(pair.another, A, user) for user in users]
        assert not set(again) & set(dead)
        for api in (pair.one, pair.another):
            assert {(await verify(api, one))[0] for one in again} == {(200, 0)}
            assert {(await verify(api, one))[0][0] for one in dead} == {401}


async def test_of_one_device_class_only(settings: Callable[..., Settings]) -> None:
    async with two_workers(settings) as pair:
        phone = await pair.log_in(pair.one, A, "alice", device="phone")
        pc = await pair.log_in(pair.one, A, "alice", device="pc")
        await asyncio.sleep(0.02)
        await pair.admin.end_sessions(by="ops", device="pc")
        assert (await verify(pair.one, phone))[0] == (200, 0)
        assert (await verify(pair.one, pc))[0] == (401, 40102)


@pytest.mark.parametrize(
    ("fault", "wanted"),
    [
        (UnknownAppid, {"appid": "wxunknown"}),
        (UnknownAppid, {"appid": ""}),
        (InvalidRequest, {"device": "tv"}),
        (InvalidRequest, {"device": ""}),
        (InvalidRequest, {"before": 1_764_000_000}),  # seconds: it would end nothing
        (InvalidRequest, {"before": -1}),
        (InvalidRequest, {"before": 9_999_999_999_999}),
    ],
)
async def test_what_means_nothing_is_refused_and_ends_nothing(
    settings: Callable[..., Settings], fault: type[Exception], wanted: dict[str, Any]
) -> None:
    async with two_workers(settings) as pair:
        live = await pair.log_in(pair.one, A, "alice")
        await asyncio.sleep(0.02)
        with pytest.raises(fault):
            await pair.admin.end_sessions(by="ops", **wanted)
        assert (await verify(pair.one, live))[0] == (200, 0)


async def test_it_is_an_event_that_says_what_and_who(settings: Callable[..., Settings]) -> None:
    async with two_workers(settings) as pair:
        events = pair.admin._events = RecordedEvents()
        ended = await pair.admin.end_sessions(by="ops", appid=A, device="pc")
        [event] = events.told
        assert (event.event, event.appid, event.device, event.reason, event.by) == (
            "sessions_ended",
            A,
            "pc",
            f"before={ended.before}",
            "ops",
        )
        with pytest.raises(UnknownAppid):
            await pair.admin.end_sessions(by="ops", appid="wxunknown")
        assert len(events.told) == 1


async def test_an_access_token_is_discarded_if_it_is_the_one_that_is_kept(
    settings: Callable[..., Settings],
) -> None:
    async with two_workers(settings) as pair:
        events = pair.admin._events = RecordedEvents()
        services = pair.one.app.ctx.services
        kept = await services.access_tokens.get(pair.one.app.ctx.settings.apps[A])
        for appid, token in ((A, f"{kept.value}x"), (A, ""), (B, kept.value)):
            assert not await pair.admin.discard_access_token(appid, token, by="ops")
        assert not events.told
        assert await pair.admin.discard_access_token(A, kept.value, by="ops")
        assert not await pair.admin.discard_access_token(A, kept.value, by="ops")
        [event] = events.told
        assert (event.event, event.appid, event.by) == ("access_token_discarded", A, "ops")
        assert kept.value not in repr(event)
        with pytest.raises(UnknownAppid):
            await pair.admin.discard_access_token("wxunknown", kept.value, by="ops")


async def test_without_redis_nothing_is_said_to_have_ended(
    settings: Callable[..., Settings],
) -> None:
    async with two_workers(settings, redis_url="redis://127.0.0.1:1") as pair:
        watch = Stopwatch()
        with pytest.raises(SessionStoreUnavailable):
            await pair.admin.end_sessions(by="ops")
        assert not watch.exceeds(2)
