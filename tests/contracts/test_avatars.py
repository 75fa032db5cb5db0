"""Pictures in a folder and in a bucket: the same promises, kept by one library."""

from __future__ import annotations

import asyncio
import os
import socket
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from service.core.errors import UserStoreUnavailable
from service.core.outage import Outage
from service.stores.avatars import AvatarFiles
from tests.e2e.blocks import blocks
from tests.support.s3 import client, point_to, running_s3
from tests.support.stopwatch import Stopwatch

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LONGEST: Final = 7
"""Seconds that a caller waits at most: requests have ten, WeChat's uploads end at sixty."""
NAME = "0" * 40 + ".jpg"
OTHER_NAME = "1" * 40 + ".jpg"
PICTURE = os.urandom(300_000)
BUCKET = "avatars"


@pytest.fixture(scope="module")
def s3() -> Iterator[str]:
    with running_s3(BUCKET) as url:
        yield url


def open_store(address: str) -> AvatarFiles:
    return AvatarFiles(address, Outage("avatars"))


@pytest.fixture(params=["file", "s3", "s3 with a prefix"])
def address(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "file":
        return f"file://{tmp_path / 'new' / 'folder'}"
    point_to(monkeypatch, request.getfixturevalue("s3"))
    return f"s3://{BUCKET}/some/prefix/" if "prefix" in request.param else f"s3://{BUCKET}"


@pytest.fixture
def store(address: str) -> AvatarFiles:
    return open_store(address)


async def test_a_picture_is_kept_changed_and_removed(store: AvatarFiles) -> None:
    assert await store.get(NAME) is None
    await store.put(NAME, PICTURE)
    assert await store.get(NAME) == PICTURE
    await store.put(NAME, b"other")
    assert await store.get(NAME) == b"other"
    await store.delete(NAME)
    assert await store.get(NAME) is None


async def test_what_is_not_there_can_be_removed(store: AvatarFiles) -> None:
    await store.put(OTHER_NAME, PICTURE)
    await store.delete(NAME)
    await store.delete(NAME)
    assert await store.get(OTHER_NAME) == PICTURE
    await store.delete(OTHER_NAME)


async def test_another_worker_sees_the_same_pictures(address: str) -> None:
    await open_store(address).put(NAME, PICTURE)
    assert await open_store(address).get(NAME) == PICTURE
    await open_store(address).delete(NAME)
    assert await open_store(address).get(NAME) is None


async def test_a_reader_sees_a_whole_picture_while_it_is_replaced(store: AvatarFiles) -> None:
    pictures = [bytes([number]) * 200_000 for number in range(2)]
    await store.put(NAME, pictures[0])
    writing = asyncio.gather(*(store.put(NAME, pictures[n % 2]) for n in range(20)))
    while not writing.done():
        assert await store.get(NAME) in pictures
    await writing
    await store.delete(NAME)


async def test_a_prefix_keeps_pictures_apart_in_one_bucket(
    s3: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    point_to(monkeypatch, s3)
    here, there = open_store(f"s3://{BUCKET}/here"), open_store(f"s3://{BUCKET}/there")
    await here.put(NAME, PICTURE)
    assert await there.get(NAME) is None
    listed = client(s3).list_objects_v2(Bucket=BUCKET)["Contents"]
    assert [one["Key"] for one in listed] == [f"here/{NAME}"]
    await here.delete(NAME)


@contextmanager
def mute() -> Iterator[str]:
    """The address of a server that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


@contextmanager
def dead() -> Iterator[str]:
    with socket.socket() as probe:  # bound and not listening: refused, and nobody else's
        probe.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{probe.getsockname()[1]}"


async def refusal_of(store: AvatarFiles, action: str) -> float:
    """Seconds until a store that is away says so."""
    watch = Stopwatch()
    with pytest.raises(UserStoreUnavailable):
        async with asyncio.timeout(2 * LONGEST):
            await (store.put(NAME, b"x") if action == "put" else getattr(store, action)(NAME))
    took = watch.seconds
    print(f"{action}: {took:.2f} s")  # noqa: T201 # a figure to keep
    return took


@pytest.mark.parametrize("action", ["put", "get", "delete"])
async def test_a_bucket_whose_server_is_down_says_so_in_time(
    monkeypatch: pytest.MonkeyPatch, action: str
) -> None:
    with dead() as endpoint:
        point_to(monkeypatch, endpoint)
        assert await refusal_of(open_store(f"s3://{BUCKET}"), action) < LONGEST


async def test_a_bucket_whose_server_hangs_says_so_in_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with mute() as endpoint:
        point_to(monkeypatch, endpoint)
        stores = {action: open_store(f"s3://{BUCKET}") for action in ("put", "get", "delete")}
        waits = [refusal_of(store, action) for action, store in stores.items()]
        assert max(await asyncio.gather(*waits)) < LONGEST


async def test_a_bucket_that_is_not_there_is_an_unavailable_store(
    s3: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    point_to(monkeypatch, s3)
    assert await refusal_of(open_store("s3://nobodys"), "put") < LONGEST


async def test_a_folder_that_cannot_be_written_is_an_unavailable_store(tmp_path: Path) -> None:
    store = open_store(f"file://{tmp_path / 'avatars'}")
    (tmp_path / "avatars").rmdir()
    (tmp_path / "avatars").write_text("in the way")
    assert await refusal_of(store, "put") < 1


async def test_a_provider_that_wants_the_bucket_in_the_host_name_gets_it_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As Alibaba Cloud's: a path that begins with the bucket is refused there."""
    kept: dict[str, bytes] = {}

    async def answer(request: web.Request) -> web.Response:
        if request.path.startswith("/avatars/"):
            text = "<Error><Code>SecondLevelDomainForbidden</Code></Error>"
            return web.Response(status=403, text=text, content_type="application/xml")
        if request.method == "PUT":
            kept[request.path] = await request.read()
        if request.method == "DELETE":
            kept.pop(request.path, None)
        if request.method == "GET" and request.path not in kept:
            return web.Response(status=404)
        body = kept.get(request.path, b"") if request.method == "GET" else b""
        headers = {"ETag": '"x"', "Last-Modified": "Thu, 01 Jan 2026 00:00:00 GMT"}
        return web.Response(body=body, headers=headers)

    [block] = blocks("docs/operate.md", "ini")
    lines = dict(line.split("=", 1) for line in block.splitlines())
    app = web.Application(client_max_size=1_000_000)
    app.router.add_route("*", "/{path:.*}", answer)
    async with TestServer(app) as server:
        point_to(monkeypatch, "")
        monkeypatch.delenv("AWS_ENDPOINT_URL")
        monkeypatch.setenv("AWS_REGION", lines["AWS_REGION"])
        monkeypatch.setenv("AWS_ENDPOINT", str(server.make_url("")).rstrip("/"))
        with pytest.raises(UserStoreUnavailable):
            await open_store(lines["AVATAR_STORE"]).put(NAME, PICTURE)
        name = "AWS_VIRTUAL_HOSTED_STYLE_REQUEST"
        monkeypatch.setenv(name, lines[name])
        store = open_store(lines["AVATAR_STORE"])
        await store.put(NAME, PICTURE)
        assert set(kept) == {f"/mini/{NAME}"}
        assert await store.get(NAME) == PICTURE
        assert await store.get(OTHER_NAME) is None
