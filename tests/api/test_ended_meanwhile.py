"""Sessions that end between the guard and the change that was asked for."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Self

import pytest

from service.core.errors import SessionStoreUnavailable
from service.core.models import SessionId
from tests.support.pictures import form, form_headers, honest, part
from tests.support.process import eventually
from tests.support.running import running_service

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

    from service.config.settings import Settings
    from tests.support.running import Answer, Api, Simulator

    Meanwhile = Callable[[], Awaitable[object]]

REDEEM = "/wxa/business/getuserphonenumber"
PICTURE = form(part(honest((90, 60))))
CHANGES = {
    ("PATCH", "/me"),
    ("PUT", "/me"),
    ("PUT", "/me/phone"),
    ("POST", "/me/avatar"),
}
NO_CHANGES = {
    ("POST", "/decrypt"),
    ("POST", "/verify"),
    ("PUT", "/verify"),
    ("PATCH", "/verify"),
    ("DELETE", "/verify"),
    ("DELETE", "/me"),  # the sessions themselves go, and what has begun has to end
}


@pytest.fixture
async def api(settings: Callable[..., Settings], simulator: Simulator) -> AsyncIterator[Api]:
    own = settings(wechat_api_base=(simulator.url,), login_coalesce_ms=0, check_nicknames=True)
    async with running_service(own) as running:
        yield running


async def log_in(api: Api, simulator: Simulator, user: str = "alice") -> dict[str, str]:
    login = await api.login(await simulator.code(user))
    assert login.status == 200, login.body
    return {"sessionid": login.data["sessionid"]}


async def change(api: Api, what: str, session: dict[str, str], simulator: Simulator) -> Answer:
    if what == "nickname":
        return await api.ask("PATCH", "/me", json={"nickname": "Mallory"}, headers=session)
    if what == "avatar":
        headers = session | form_headers()
        return await api.ask("POST", "/me/avatar", data=PICTURE, headers=headers)
    fields = ("code",) if what == "code" else ("encryptedData", "iv")
    given = await simulator.phone("alice", phone="13800000001")
    body = {name: given[name] for name in fields}
    return await api.ask("PUT", "/me/phone", json=body, headers=session)


def after(monkeypatch: pytest.MonkeyPatch, thing: Any, step: str, happens: Meanwhile) -> None:
    """Have something happen when a step of the next request has been done."""
    whole = getattr(thing, step)

    async def then(*given: Any, **named: Any) -> Any:
        done = await whole(*given, **named)
        monkeypatch.undo()
        await happens()
        return done

    monkeypatch.setattr(thing, step, then)


def doer(api: Api, step: str) -> Any:
    """Who does a step."""
    services = api.app.ctx.services
    return {
        "validate": services.sessions,
        "decode": services.pictures,
    }.get(step, services.phones._wechat)


def pictures(tmp_path: Path) -> list[Path]:
    return list((tmp_path / "avatars").rglob("*.jpg"))


async def test_every_route_that_may_change_something_is_thought_of(api: Api) -> None:
    """A new one belongs to CHANGES, changes by OwnRecord, and into the cases below."""
    protected = {
        (method, f"/{route.path}")
        for route in api.app.router.routes
        if not getattr(route.ctx, "public", False)
        for method in route.methods - {"GET", "HEAD", "OPTIONS"}
    }
    assert protected == CHANGES | NO_CHANGES


@pytest.mark.parametrize(
    ("what", "step"),
    [
        ("nickname", "validate"),
        ("nickname", "nickname_passes"),
        ("avatar", "validate"),
        ("avatar", "decode"),
        ("code", "validate"),
        ("code", "phone_number"),
        ("encrypted", "validate"),
    ],
)
async def test_it_changes_nothing_and_is_told_why(
    api: Api,
    simulator: Simulator,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    what: str,
    step: str,
) -> None:
    old = await log_in(api, simulator)
    before = (await api.ask("GET", "/me", headers=old)).data
    new: dict[str, str] = {}

    async def owner_logs_in() -> None:
        new.update(await log_in(api, simulator))

    after(monkeypatch, doer(api, step), step, owner_logs_in)
    answer = await change(api, what, old, simulator)
    assert (answer.status, answer.code, answer.body["error"]) == (401, 40101, "session_replaced")
    assert 'error="session_replaced"' in answer.headers["WWW-Authenticate"]
    assert (await api.ask("GET", "/me", headers=new)).data == before
    assert pictures(tmp_path) == []


@pytest.mark.parametrize(
    ("end", "status", "code"),
    [("logout", 401, 40102), ("kicked", 401, 40103), ("banned", 403, 40300)],
)
async def test_each_end_of_a_session_has_its_own_answer(
    api: Api,
    simulator: Simulator,
    monkeypatch: pytest.MonkeyPatch,
    end: Any,
    status: int,
    code: int,
) -> None:
    session = await log_in(api, simulator)
    sessions, session_id = api.app.ctx.services.sessions, SessionId.parse(session["sessionid"])
    assert session_id is not None

    async def end_it() -> None:
        ended = (
            sessions.revoke(session_id)
            if end == "logout"
            else sessions.terminate(session_id.handle, end)
        )
        assert await ended

    after(monkeypatch, sessions, "validate", end_it)
    answer = await change(api, "avatar", session, simulator)
    assert (answer.status, answer.code) == (status, code)


async def test_a_number_that_was_paid_for_is_the_owners(
    api: Api, simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new = await log_in(api, simulator), dict[str, str]()
    code = {"code": (await simulator.phone("alice", phone="13800000001"))["code"]}

    async def owner_logs_in() -> None:
        new.update(await log_in(api, simulator))

    after(monkeypatch, doer(api, "phone_number"), "phone_number", owner_logs_in)
    assert (await api.ask("PUT", "/me/phone", json=code, headers=old)).code == 40101
    bound = await api.ask("PUT", "/me/phone", json=code, headers=new)
    assert (bound.status, bound.data["phone"]) == (200, "+86 13800000001")
    assert await simulator.calls(REDEEM) == 1


async def test_a_redis_that_goes_away_meanwhile_leaves_no_picture(
    api: Api, simulator: Simulator, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    session = await log_in(api, simulator)

    async def away(_: object) -> None:
        raise SessionStoreUnavailable

    monkeypatch.setattr(api.app.ctx.services.sessions, "revalidate", away)
    assert (await change(api, "avatar", session, simulator)).code == 50300
    assert pictures(tmp_path) == []


class Slow:
    """An upload of which the rest comes when it is told to."""

    def __init__(self, api: Api, session: dict[str, str]) -> None:
        self.api, self._session = api, session

    async def __aenter__(self) -> Self:
        port = int(self.api.url.rpartition(":")[2])
        self.reader, self.writer = await asyncio.open_connection("127.0.0.1", port)
        headers = self._session | form_headers() | {"Content-Length": str(len(PICTURE))}
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        self.writer.write(f"POST /me/avatar HTTP/1.1\r\nHost: x\r\n{lines}\r\n".encode())
        self.writer.write(PICTURE[:50])
        coming = self.api.app.ctx.services.uploads.coming
        await eventually(lambda: len(coming) == 1, within=5, what="it comes")
        return self

    async def __aexit__(self, *_: object) -> None:
        self.writer.transport.abort()

    async def answer(self) -> bytes:
        async with asyncio.timeout(10):
            head = await self.reader.readuntil(b"\r\n\r\n")
            length = next(
                int(line.partition(b":")[2])
                for line in head.lower().split(b"\r\n")
                if line.startswith(b"content-length:")
            )
            return head + await self.reader.readexactly(length)


async def test_the_rest_of_a_picture_that_comes_too_late(
    api: Api, simulator: Simulator, tmp_path: Path
) -> None:
    async with Slow(api, await log_in(api, simulator)) as slow:
        owner = await log_in(api, simulator)
        slow.writer.write(PICTURE[50:])
        answer = await slow.answer()
    assert answer.startswith(b"HTTP/1.1 401 ")
    assert b'"code":40101' in answer
    assert (
        (await api.ask("GET", "/me", headers=owner)).data["avatar"].endswith("default-avatar.png")
    )
    assert pictures(tmp_path) == []


async def test_an_upload_of_an_old_session_keeps_the_owner_from_none(
    api: Api, simulator: Simulator, tmp_path: Path
) -> None:
    async with Slow(api, await log_in(api, simulator)) as slow:
        owner = await log_in(api, simulator)
        assert (await change(api, "avatar", owner, simulator)).status == 200
        answer = await slow.answer()
    assert answer.startswith(b"HTTP/1.1 401 ")
    assert b'"code":40101' in answer
    (kept,) = pictures(tmp_path)
    shown = (await api.ask("GET", "/me", headers=owner)).data["avatar"]
    assert shown == f"/uploads/{kept.name}"
    assert api.app.ctx.services.uploads._users == {}


async def test_nor_does_one_that_is_being_decoded(
    api: Api, simulator: Simulator, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    decoder, begun, let_go = doer(api, "decode"), asyncio.Event(), asyncio.Event()
    decode = decoder.decode

    async def decode_slowly(upload: bytes) -> bytes:
        monkeypatch.undo()
        begun.set()
        await let_go.wait()
        done: bytes = await decode(upload)
        return done

    monkeypatch.setattr(decoder, "decode", decode_slowly)
    old = asyncio.create_task(change(api, "avatar", await log_in(api, simulator), simulator))
    await begun.wait()
    owner = await log_in(api, simulator)
    changed = await change(api, "avatar", owner, simulator)
    assert changed.status == 200
    let_go.set()
    assert (await old).code == 40101
    assert [one.name for one in pictures(tmp_path)] == [changed.data["avatar"].rpartition("/")[2]]


async def test_an_upload_of_a_live_session_is_still_the_only_one(
    api: Api, simulator: Simulator
) -> None:
    session = await log_in(api, simulator)
    async with Slow(api, session) as slow:
        second = await change(api, "avatar", session, simulator)
        assert (second.status, second.data["limit"]) == (429, "uploads_per_user")
        slow.writer.write(PICTURE[50:])
        assert (await slow.answer()).startswith(b"HTTP/1.1 200 ")
