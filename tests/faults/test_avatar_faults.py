"""An avatar store that is away, hangs or is full: pictures fail, and nothing else."""

from __future__ import annotations

import asyncio
import io
import os
import resource
from contextlib import contextmanager
from typing import TYPE_CHECKING

import aiohttp
import pytest
from PIL import Image

from service.core.errors import UserStoreUnavailable
from tests.support.proxy import ChaosProxy
from tests.support.running import running_service
from tests.support.s3 import point_to, running_s3
from tests.support.stopwatch import Stopwatch

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from pathlib import Path

    from service.config.settings import Settings
    from tests.support.running import Answer, Api, Simulator

BUCKET = "pictures"
LONGEST = 7
"""Seconds until an answer: the store has five, and this machine is busy."""


class Caller:
    """Somebody who is logged in."""

    def __init__(self, api: Api, sessionid: str) -> None:
        self._api = api
        self._headers = {"sessionid": sessionid}

    async def ask(self, method: str, path: str) -> Answer:
        return await self._api.ask(method, path, headers=self._headers)

    async def upload(self, color: str) -> Answer:
        picture = io.BytesIO()
        Image.new("RGB", (8, 8), color).save(picture, "PNG")
        form = aiohttp.FormData()
        form.add_field("file", picture.getvalue(), filename="f.png")
        return await self._api.ask("POST", "/me/avatar", data=form, headers=self._headers)

    async def avatar(self) -> str:
        answer = await self.ask("GET", "/me")
        assert answer.status == 200
        return str(answer.data["avatar"])


async def log_in(api: Api, simulator: Simulator, user: str = "alice") -> Caller:
    login = await api.login(await simulator.code(user))
    assert login.status == 200, login.body
    return Caller(api, login.data["sessionid"])


async def quickly(answering: asyncio.Future[Answer] | asyncio.Task[Answer]) -> Answer:
    watch = Stopwatch()
    answer = await answering
    print(f"{answer.status} after {watch.seconds:.2f} s")  # noqa: T201 # a figure to keep
    assert watch.seconds < LONGEST
    return answer


def refused(answer: Answer) -> bool:
    """By a 503 that says that it is the store, and when to come again."""
    return (answer.status, answer.code) == (503, 50301) and "Retry-After" in answer.headers


@pytest.fixture
async def api(settings: Callable[..., Settings], simulator: Simulator) -> AsyncIterator[Api]:
    """With pictures in a folder."""
    async with running_service(settings(wechat_api_base=(simulator.url,))) as running:
        yield running


@pytest.fixture(scope="module")
def s3() -> Iterator[str]:
    with running_s3(BUCKET) as url:
        yield url


@pytest.fixture
async def bucket(s3: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[ChaosProxy]:
    """What lies between the service and its bucket."""
    host, _, port = s3.removeprefix("http://").partition(":")
    async with ChaosProxy(host, int(port)) as proxy:
        point_to(monkeypatch, f"http://127.0.0.1:{proxy.port}")
        yield proxy


@pytest.mark.parametrize("fault", ["down", "hangs"])
@pytest.mark.bar("K10")
async def test_without_its_bucket_only_pictures_fail_and_all_is_there_again_after_it(
    settings: Callable[..., Settings], simulator: Simulator, bucket: ChaosProxy, fault: str
) -> None:
    own = settings(wechat_api_base=(simulator.url,), avatar_store=f"s3://{BUCKET}/{fault}")
    async with running_service(own) as api:
        alice, bob = [await log_in(api, simulator, user) for user in ("alice", "bob")]
        for person in (alice, bob):
            assert (await person.upload("red")).status == 200
        first = await alice.avatar()
        content = await read(api, first)

        if fault == "down":
            await bucket.refuse()
            bucket.cut()
        else:
            bucket.stall()
        pictures = [alice.upload("blue"), api.ask("GET", first), bob.ask("DELETE", "/me")]
        waiting = [asyncio.create_task(quickly(asyncio.ensure_future(one))) for one in pictures]
        await asyncio.sleep(0)
        for path in ("/session", "/verify", "/readyz", "/uploads/default-avatar.png"):
            watch = Stopwatch()
            assert (await alice.ask("GET", path)).status == 200
            assert watch.seconds < 1
        await log_in(api, simulator, "carol")
        known = {"If-None-Match": f'"{first.removeprefix("/uploads/").removesuffix(".jpg")}"'}
        assert (await api.ask("GET", first, headers=known)).status == 304
        assert all(map(refused, await asyncio.gather(*waiting)))
        assert await alice.avatar() == first

        if fault == "down":
            await bucket.accept()
        else:
            bucket.resume()
        assert await read(api, first) == content
        assert (await alice.upload("blue")).status == 200
        assert await read(api, await alice.avatar()) != content
        assert (await bob.ask("DELETE", "/me")).data == {"deleted": True}


async def read(api: Api, path: str) -> bytes:
    async with api.http.get(api.url + path) as reply:
        assert reply.status == 200
        return await reply.read()


@contextmanager
def full_disk() -> Iterator[None]:
    """No file may grow past 0 bytes, which is as near to a full disk as anybody can bring it."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


@pytest.mark.bar("K10")
async def test_a_full_disk_takes_no_picture_and_leaves_none_behind(
    api: Api, simulator: Simulator, tmp_path: Path
) -> None:
    alice = await log_in(api, simulator)
    assert (await alice.upload("red")).status == 200
    first = await alice.avatar()
    with full_disk():
        assert refused(await alice.upload("blue"))
        assert await alice.avatar() == first
        assert await read(api, first)
        for path in ("/verify", "/readyz"):
            assert (await alice.ask("GET", path)).status == 200
    assert [f"/uploads/{one.name}" for one in (tmp_path / "avatars").iterdir()] == [first]
    assert (await alice.upload("blue")).status == 200


@pytest.mark.bar("K10")
async def test_a_folder_that_hangs_keeps_waiting_only_who_asks_for_what_is_in_it(
    api: Api, simulator: Simulator, tmp_path: Path
) -> None:
    """As a network's file system does when its server is away: a pipe that nobody writes into."""
    alice = await log_in(api, simulator)
    assert (await alice.upload("red")).status == 200
    picture = await alice.avatar()
    hung = tmp_path / "avatars" / f"{'0' * 40}.jpg"
    os.mkfifo(hung)
    path = f"/uploads/{hung.name}"
    waiting = [asyncio.create_task(quickly(api_get(api, path))) for _ in range(20)]
    await asyncio.sleep(0.1)
    watch = Stopwatch()
    assert await read(api, picture)
    for other in ("/session", "/verify", "/readyz"):
        assert (await alice.ask("GET", other)).status == 200
    assert (await alice.upload("blue")).status == 200
    assert watch.seconds < LONGEST / 2
    assert all(map(refused, await asyncio.gather(*waiting)))
    writer = os.open(hung, os.O_RDWR)  # whoever waits to open it may go on
    hung.unlink()
    os.close(writer)
    assert await read(api, await alice.avatar())


def api_get(api: Api, path: str) -> asyncio.Task[Answer]:
    return asyncio.create_task(api.ask("GET", path))


@pytest.mark.bar("K10")
async def test_a_former_picture_that_cannot_be_removed_spoils_no_new_one(
    api: Api, simulator: Simulator, tmp_path: Path
) -> None:
    alice = await log_in(api, simulator)
    assert (await alice.upload("red")).status == 200
    former = tmp_path / "avatars" / (await alice.avatar()).removeprefix("/uploads/")
    former.unlink()
    (former / "in the way").mkdir(parents=True)
    answer = await alice.upload("blue")
    assert answer.status == 200
    assert await alice.avatar() == answer.data["avatar"] != f"/uploads/{former.name}"


async def test_an_upload_whose_session_ended_is_told_so_though_its_picture_stays(
    api: Api, simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The store is away by the time the picture is to be taken back."""
    alice = await log_in(api, simulator)
    store = api.app.ctx.services.avatars
    put = store.put

    async def away(_name: str) -> None:
        raise UserStoreUnavailable

    async def put_at_last(name: str, picture: bytes) -> None:
        await put(name, picture)
        await alice.ask("POST", "/logout")
        monkeypatch.setattr(store, "delete", away)

    monkeypatch.setattr(store, "put", put_at_last)
    answer = await alice.upload("blue")
    assert (answer.status, answer.code) == (401, 40102)
