"""Clients that hang up, and requests that meet: an account and its pictures stay whole."""

from __future__ import annotations

import asyncio
import gc
import io
import logging
from contextlib import AsyncExitStack, suppress
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
from PIL import Image

from service.core.errors import UserStoreUnavailable
from service.core.models import DEFAULT_AVATAR
from tests.support.process import eventually
from tests.support.running import running_service

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

    from service.config.settings import Settings
    from service.sql.users import SqlUsers
    from tests.support.running import Answer, Api, Simulator

REDEEM = "/wxa/business/getuserphonenumber"


@pytest.fixture
async def api(settings: Callable[..., Settings], simulator: Simulator) -> AsyncIterator[Api]:
    """With two device classes; two logins in a row replace each other."""
    own = settings(
        wechat_api_base=(simulator.url,), login_coalesce_ms=0, device_classes=("phone", "pc")
    )
    async with running_service(own) as running:
        yield running


@pytest.fixture
def users(api: Api) -> SqlUsers:
    """The user store of the service."""
    store: SqlUsers = api.app.ctx.services.profiles._users
    return store


@pytest.fixture
def kept(tmp_path: Path) -> Callable[[], list[str]]:
    """Says which pictures there are."""
    return lambda: [f"/uploads/{one.name}" for one in (tmp_path / "avatars").iterdir()]


async def log_in(api: Api, simulator: Simulator, device: str = "phone") -> dict[str, str]:
    login = await api.login(await simulator.code(), device=device)
    assert login.status == 200, login.body
    return {"sessionid": login.data["sessionid"]}


async def upload(api: Api, session: dict[str, str], color: str = "teal") -> Answer:
    file = io.BytesIO()
    Image.new("RGB", (90, 60), color).save(file, "PNG")
    form = aiohttp.FormData()
    form.add_field("avatar", file.getvalue(), filename="tmp.png", content_type="image/png")
    return await api.ask("POST", "/me/avatar", data=form, headers=session)


async def hang_up(request: asyncio.Task[Any]) -> None:
    request.cancel()
    with suppress(asyncio.CancelledError):
        await request


async def is_served(api: Api, path: str) -> bool:
    async with api.http.get(api.url + path) as reply:
        return reply.status == 200


class Studio:
    """A PictureDecoder that takes as long as the test says."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()
        self.opened = asyncio.Event()

    async def decode(self, upload: bytes) -> bytes:
        self.begun.set()
        await self.opened.wait()
        return upload

    def stop(self) -> None:
        """Nothing to end."""


class Pause:
    """Stops a method where a test wants to do something else meanwhile."""

    def __init__(self, method: Callable[..., Awaitable[Any]], *, after: bool = False) -> None:
        self._method = method
        self._after = after
        self.reached = asyncio.Event()
        self.over = asyncio.Event()

    async def __call__(self, *args: Any, **named: Any) -> Any:
        if not self._after:
            await self._wait()
        result = await self._method(*args, **named)
        if self._after:
            await self._wait()
        return result

    async def _wait(self) -> None:
        self.reached.set()
        await self.over.wait()


async def test_of_many_uploads_at_once_one_picture_is_left(
    settings: Callable[..., Settings], simulator: Simulator, kept: Callable[[], list[str]]
) -> None:
    """Of as many workers, each of which takes one of a user at a time."""
    async with AsyncExitStack() as stack:
        shared = settings(wechat_api_base=(simulator.url,))
        workers = [await stack.enter_async_context(running_service(shared)) for _ in range(4)]
        session = {"sessionid": (await workers[0].login(await simulator.code())).data["sessionid"]}
        for _ in range(5):
            colors = ("teal", "red", "teal", "blue")
            uploads = map(upload, workers, [session] * len(workers), colors)
            answers = await asyncio.gather(*uploads)
            assert {answer.status for answer in answers} == {200}
            stands = (await workers[0].ask("GET", "/me", headers=session)).data["avatar"]
            assert await is_served(workers[1], stands)
            assert kept() == [stands]


async def test_an_upload_that_is_hung_up_on_is_decoded_no_further(
    api: Api,
    simulator: Simulator,
    kept: Callable[[], list[str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    session = await log_in(api, simulator)
    decoder = api.app.ctx.services.pictures
    with monkeypatch.context() as patched:
        patched.setattr(decoder, "_program", "import time; time.sleep(60)")
        for _ in range(3):
            request = asyncio.create_task(upload(api, session))
            await eventually(lambda: decoder._children, within=5, what="it is being decoded")
            (child,) = decoder._children
            await hang_up(request)
            await eventually(
                lambda one=child: one.returncode,  # type: ignore[misc]
                within=5,
                what="its process has ended",
            )
    await eventually(lambda: not decoder._slots.locked(), within=5, what="its slot is free")
    assert kept() == []
    stands = (await upload(api, session)).data["avatar"]
    assert kept() == [stands]


async def test_a_picture_that_is_decoded_is_put_up_though_its_client_has_gone(
    api: Api,
    simulator: Simulator,
    users: SqlUsers,
    kept: Callable[[], list[str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    session = await log_in(api, simulator)
    pause = Pause(users.set_avatar)
    monkeypatch.setattr(users, "set_avatar", pause)
    request = asyncio.create_task(upload(api, session))
    await pause.reached.wait()
    await hang_up(request)
    pause.over.set()
    async with asyncio.timeout(5):
        while (await api.ask("GET", "/me", headers=session)).data[
            "avatar"
        ] == f"/uploads/{DEFAULT_AVATAR}":
            await asyncio.sleep(0.01)
    assert kept() == [(await api.ask("GET", "/me", headers=session)).data["avatar"]]


async def test_a_user_who_goes_while_a_picture_comes_leaves_none(
    api: Api, simulator: Simulator, kept: Callable[[], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    session = await log_in(api, simulator)
    studio = Studio()
    monkeypatch.setattr(api.app.ctx.services.profiles, "_pictures", studio)
    request = asyncio.create_task(upload(api, session))
    await studio.begun.wait()
    assert (await api.ask("DELETE", "/me", headers=session)).status == 200
    studio.opened.set()
    assert (await request).code == 40102
    assert kept() == []


async def test_a_picture_that_comes_while_a_user_goes_goes_too(
    api: Api,
    simulator: Simulator,
    users: SqlUsers,
    kept: Callable[[], list[str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    session = await log_in(api, simulator)
    pause = Pause(users.delete)
    monkeypatch.setattr(users, "delete", pause)
    leaving = asyncio.create_task(api.ask("DELETE", "/me", headers=session))
    await pause.reached.wait()
    assert (await upload(api, session)).status == 200
    pause.over.set()
    assert (await leaving).status == 200
    assert kept() == []


def make_changes_twice(users: SqlUsers, monkeypatch: pytest.MonkeyPatch) -> None:
    """As after connections that died between the commit and its answer."""
    database = users._database
    write = database.write

    async def twice(change: Callable[[Any], Any]) -> Any:
        await write(change)
        return await write(change)

    monkeypatch.setattr(database, "write", twice)


async def test_a_picture_that_the_database_set_twice_is_there_and_no_other(
    api: Api,
    simulator: Simulator,
    users: SqlUsers,
    kept: Callable[[], list[str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    session = await log_in(api, simulator)
    make_changes_twice(users, monkeypatch)
    for color in ("teal", "gold"):
        stands = (await upload(api, session, color)).data["avatar"]
        assert await is_served(api, stands)
        assert kept() == [stands]


async def test_a_user_whom_the_database_removed_twice_keeps_no_other_session_and_no_picture(
    api: Api,
    simulator: Simulator,
    users: SqlUsers,
    kept: Callable[[], list[str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Of what came in between the first look and the removal."""
    session = await log_in(api, simulator)
    pause = Pause(users.delete)
    monkeypatch.setattr(users, "delete", pause)
    leaving = asyncio.create_task(api.ask("DELETE", "/me", headers=session))
    await pause.reached.wait()
    other = await log_in(api, simulator, "pc")
    assert (await upload(api, other)).status == 200
    make_changes_twice(users, monkeypatch)
    pause.over.set()
    assert (await leaving).status == 200
    assert (await api.ask("GET", "/session", headers=other)).code == 40102
    assert kept() == []


async def test_a_delete_that_is_hung_up_on_is_seen_through(
    api: Api, simulator: Simulator, users: SqlUsers, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = await log_in(api, simulator)
    pause = Pause(users.delete, after=True)
    monkeypatch.setattr(users, "delete", pause)
    leaving = asyncio.create_task(api.ask("DELETE", "/me", headers=session))
    await pause.reached.wait()
    await hang_up(leaving)
    pause.over.set()
    async with asyncio.timeout(5):
        while (await api.ask("GET", "/session", headers=session)).status != 401:
            await asyncio.sleep(0.01)


async def test_a_delete_that_was_cut_off_is_finished_by_the_next(
    api: Api, simulator: Simulator, users: SqlUsers
) -> None:
    session = await log_in(api, simulator)
    user_id = (await api.ask("GET", "/me", headers=session)).data["id"]
    await users.delete(user_id)
    assert (await api.ask("GET", "/session", headers=session)).status == 200
    assert (await api.ask("DELETE", "/me", headers=session)).code == 40102
    assert (await api.ask("GET", "/session", headers=session)).code == 40102


async def test_a_delete_that_fails_locks_nobody_out(
    api: Api, simulator: Simulator, users: SqlUsers, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = await log_in(api, simulator)

    async def fail(_user_id: str) -> None:
        raise UserStoreUnavailable

    with monkeypatch.context() as patched:
        patched.setattr(users, "delete", fail)
        assert (await api.ask("DELETE", "/me", headers=session)).status == 503
    assert (await api.ask("GET", "/me", headers=session)).status == 200
    session = await log_in(api, simulator)
    assert (await api.ask("DELETE", "/me", headers=session)).status == 200


async def test_an_identity_that_appears_while_its_user_goes_keeps_no_session(
    api: Api, simulator: Simulator, users: SqlUsers, monkeypatch: pytest.MonkeyPatch
) -> None:
    session, other = await log_in(api, simulator), await log_in(api, simulator, "pc")

    async def none_yet(_user_id: str) -> list[Any]:
        return []

    monkeypatch.setattr(users, "identities", none_yet)
    assert (await api.ask("DELETE", "/me", headers=session)).status == 200
    assert (await api.ask("GET", "/session", headers=other)).code == 40102


async def test_the_login_that_made_a_user_who_is_gone_keeps_no_session(
    api: Api, simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    sessions = api.app.ctx.services.sessions
    pause = Pause(sessions.create, after=True)
    monkeypatch.setattr(sessions, "create", pause)
    first = asyncio.create_task(api.login(await simulator.code(), device="phone"))
    await pause.reached.wait()
    monkeypatch.undo()
    session = await log_in(api, simulator, "pc")
    assert (await api.ask("DELETE", "/me", headers=session)).status == 200
    pause.over.set()
    assert (await first).code == 40002


async def test_a_number_that_is_paid_for_waits_for_who_hung_up(
    api: Api, simulator: Simulator
) -> None:
    session = await log_in(api, simulator)
    code = (await simulator.phone(phone="13800000001"))["code"]
    await simulator.fault("latency", median_ms=300, tail_ms=300, endpoint=REDEEM)
    asking = asyncio.create_task(api.ask("PUT", "/me/phone", json={"code": code}, headers=session))
    async with asyncio.timeout(5):
        while not await simulator.calls(REDEEM):
            await asyncio.sleep(0.01)
    await hang_up(asking)
    again = await api.ask("PUT", "/me/phone", json={"code": code}, headers=session)
    assert (again.status, again.data["phone"]) == (200, "+86 13800000001")
    assert await simulator.calls(REDEEM) == 1


async def test_a_login_that_is_refused_after_its_client_hung_up_is_no_error(
    api: Api, simulator: Simulator, caplog: pytest.LogCaptureFixture
) -> None:
    await simulator.fault("latency", median_ms=200, tail_ms=200)
    asking = asyncio.create_task(api.login("no code of WeChat's"))
    async with asyncio.timeout(5):
        while not await simulator.exchanges():
            await asyncio.sleep(0.01)
    await hang_up(asking)
    mine = asyncio.current_task()
    async with asyncio.timeout(5):  # the login is a task of its own, which Python then throws away
        while any("_log_in" in repr(one) for one in asyncio.all_tasks() if one is not mine):
            await asyncio.sleep(0.01)
    gc.collect()
    assert [one.getMessage() for one in caplog.records if one.levelno >= logging.WARNING] == []
