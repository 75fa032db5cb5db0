"""The user's own record, as a mini-program works with it."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
from PIL import Image

from tests.support.running import running_service

if TYPE_CHECKING:
    from collections.abc import Callable

    from service.config.settings import Settings
    from tests.support.running import Answer, Api, Simulator


async def log_in(api: Api, simulator: Simulator, user: str = "alice") -> dict[str, str]:
    """The header of a fresh session."""
    login = await api.login(await simulator.code(user))
    assert login.status == 200, login.body
    return {"sessionid": login.data["sessionid"]}


async def upload(api: Api, session: dict[str, str], *pictures: bytes) -> Answer:
    form = aiohttp.FormData()
    for picture in pictures:
        form.add_field("avatar", picture, filename="tmp.png", content_type="image/png")
    return await api.ask("POST", "/me/avatar", data=form, headers=session)


def picture(kind: str = "PNG", size: tuple[int, int] = (900, 600)) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", size, "teal").save(file, kind)
    return file.getvalue()


async def test_the_first_login_makes_a_user_and_the_second_finds_them(
    api: Api, simulator: Simulator
) -> None:
    first, second = [await api.login(await simulator.code()) for _ in range(2)]
    assert (first.data["isNewUser"], second.data["isNewUser"]) == (True, False)
    user = first.data["user"]
    assert user == second.data["user"]
    assert user["nickname"].startswith("用户")
    assert (user["avatar"], user["phone"]) == ("/uploads/default-avatar.png", None)
    verified = await api.ask("GET", "/verify", headers={"sessionid": second.data["sessionid"]})
    assert verified.headers["X-Auth-Request-User"] == user["id"]


async def test_a_repeated_login_says_again_that_the_user_is_new(
    api: Api, simulator: Simulator
) -> None:
    code = await simulator.code()
    answers = [await api.login(code, key="k1") for _ in range(2)]
    assert answers[0].body == answers[1].body
    assert answers[1].data["isNewUser"]


async def test_the_default_avatar_is_there(api: Api) -> None:
    async with api.http.get(f"{api.url}/uploads/default-avatar.png") as reply:
        assert reply.status == 200
        assert reply.headers["Content-Type"] == "image/png"
        assert Image.open(io.BytesIO(await reply.read())).size == (240, 240)


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("小明", "小明"),
        ("  Li \t Lei ", "Li Lei"),
        ("👨‍👩‍👧‍👦一家", "👨‍👩‍👧‍👦一家"),
        ("❤️🏴󠁧󠁢󠁥󠁮󠁧󠁿", "❤️🏴󠁧󠁢󠁥󠁮󠁧󠁿"),
        ("e\u0301", "é"),
        ("一" * 32, "一" * 32),
    ],
)
async def test_a_nickname_is_kept_in_its_one_form(
    api: Api, simulator: Simulator, given: str, kept: str
) -> None:
    session = await log_in(api, simulator)
    changed = await api.ask("PATCH", "/me", json={"nickname": given}, headers=session)
    assert (changed.status, changed.data["nickname"]) == (200, kept)
    assert (await api.ask("GET", "/me", headers=session)).data["nickname"] == kept
    assert (await api.ask("GET", "/session", headers=session)).data["user"]["nickname"] == kept


@pytest.mark.parametrize(
    ("nickname", "code", "why"),
    [
        ("", 40006, "昵称不能为空"),
        ("   ", 40006, "昵称不能为空"),
        ("\u200d", 40008, "昵称含有不可见的字符"),
        ("一" * 33, 40007, "昵称不能超过 32 个字符"),
        ("a\x00b", 40008, "昵称含有不可见的字符"),
        ("a\u202eb", 40008, "昵称含有不可见的字符"),
        ("a\u200bb", 40008, "昵称含有不可见的字符"),
        ("\ufeffa", 40008, "昵称含有不可见的字符"),
        ("a\ue000", 40008, "昵称含有不可见的字符"),
        ("李" + "\u0301" * 20, 40010, "该昵称不可用，请换一个"),
        ("微信用户", 40010, "该昵称不可用，请换一个"),
        (5, 40000, "请求参数有误：nickname"),
        (None, 40000, "请求参数有误：nickname"),
    ],
)
async def test_a_nickname_that_cannot_be_is_refused_and_told_why(
    api: Api, simulator: Simulator, nickname: Any, code: int, why: str
) -> None:
    session = await log_in(api, simulator)
    before = (await api.ask("GET", "/me", headers=session)).data
    refused = await api.ask("PATCH", "/me", json={"nickname": nickname}, headers=session)
    assert (refused.status, refused.code, refused.data["field"]) == (400, code, "nickname")
    assert refused.body["msg"] == why
    assert (await api.ask("GET", "/me", headers=session)).data == before


async def test_a_refused_nickname_is_explained_in_english_where_that_is_asked_for(
    api: Api, simulator: Simulator
) -> None:
    session = {**await log_in(api, simulator), "Accept-Language": "en"}
    refused = await api.ask("PATCH", "/me", json={"nickname": "a" * 33}, headers=session)
    assert refused.body["msg"] == "The nickname is longer than 32 characters"


async def test_wechats_content_check_can_be_asked_first(
    settings: Callable[..., Settings], simulator: Simulator
) -> None:
    checked = settings(wechat_api_base=(simulator.url,), check_nicknames=True)
    async with running_service(checked) as api:
        session = await log_in(api, simulator)
        risky = "特3456书yuuo莞6543李zxcz蒜7782法fgnv级"
        refused = await api.ask("PATCH", "/me", json={"nickname": risky}, headers=session)
        assert (refused.status, refused.code) == (400, 40009)
        passed = await api.ask("PATCH", "/me", json={"nickname": "小明"}, headers=session)
        assert passed.status == 200
    assert await simulator.calls("/wxa/msg_sec_check") == 2


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
async def test_a_picture_becomes_the_avatar(api: Api, simulator: Simulator, kind: str) -> None:
    session = await log_in(api, simulator)
    changed = await upload(api, session, picture(kind))
    assert changed.status == 200
    path = changed.data["avatar"]
    assert path.startswith("/uploads/")
    async with api.http.get(api.url + path) as reply:
        assert reply.status == 200
        assert reply.headers["Content-Type"] == "image/jpeg"
        assert "immutable" in reply.headers["Cache-Control"]
        etag = reply.headers["ETag"]
        shown = Image.open(io.BytesIO(await reply.read()))
    assert (shown.format, shown.size) == ("JPEG", (512, 341))
    async with api.http.get(api.url + path, headers={"If-None-Match": etag}) as reply:
        assert reply.status == 304


async def test_the_content_type_of_an_upload_may_be_in_capitals(
    api: Api, simulator: Simulator
) -> None:
    session = await log_in(api, simulator)
    head = (
        b'--Frontier\r\nContent-Disposition: form-data; name="avatar"; filename="tmp.png"\r\n\r\n'
    )
    body = head + picture() + b"\r\n--Frontier--\r\n"
    capitals = {"Content-Type": "Multipart/Form-Data; Boundary=Frontier"}
    changed = await api.ask("POST", "/me/avatar", data=body, headers=session | capitals)
    assert changed.status == 200


async def test_a_new_avatar_takes_the_old_ones_place(api: Api, simulator: Simulator) -> None:
    session = await log_in(api, simulator)
    old = (await upload(api, session, picture(size=(100, 100)))).data["avatar"]
    new = (await upload(api, session, picture(size=(90, 90)))).data["avatar"]
    again = (await upload(api, session, picture(size=(90, 90)))).data["avatar"]
    statuses = []
    for path in (old, new, again):
        async with api.http.get(api.url + path) as reply:
            statuses.append(reply.status)
    assert statuses == [404, 404, 200]


@pytest.mark.parametrize(
    "junk",
    [b"", b"junk", b"<svg/>", b"GIF89a" + b"\0" * 50, b"\x89PNG\r\n\x1a\n" + b"\0" * 99],
)
async def test_what_is_no_picture_is_refused(api: Api, simulator: Simulator, junk: bytes) -> None:
    session = await log_in(api, simulator)
    refused = await upload(api, session, junk)
    assert (refused.status, refused.code, refused.data["field"]) == (400, 40000, "avatar")


async def test_an_upload_has_its_limits(
    settings: Callable[..., Settings], simulator: Simulator
) -> None:
    limited = settings(wechat_api_base=(simulator.url,), avatar_max_bytes=20_000)
    async with running_service(limited) as api:
        session = await log_in(api, simulator)
        for size in (20_001, 300_000):
            assert (await upload(api, session, b"x" * size)).code == 41300
        assert (await upload(api, session, picture(), picture())).code == 40000
        no_form = await api.ask("POST", "/me/avatar", data=b"x", headers=session)
        assert no_form.code == 41500
        stranger = await upload(api, {}, picture())
        assert stranger.code == 40100


@pytest.mark.parametrize(
    ("kind", "size", "status"),
    [
        ("PNG", (3000, 3000), 200),
        ("PNG", (3001, 3000), 400),  # is decoded whole
        ("JPEG", (5000, 5000), 200),
        ("JPEG", (5001, 5000), 400),
    ],
)
async def test_a_picture_may_have_as_many_pixels_as_memory_is_there_for(
    api: Api, simulator: Simulator, kind: str, size: tuple[int, int], status: int
) -> None:
    session = await log_in(api, simulator)
    answer = await upload(api, session, picture(kind, size))
    assert answer.status == status, answer.body


@pytest.mark.parametrize("name", ["x.jpg", "..%2fusers.db", "0" * 40 + ".jpg", "0" * 40 + ".png"])
async def test_there_is_nothing_else_among_the_uploads(api: Api, name: str) -> None:
    assert (await api.ask("GET", f"/uploads/{name}")).status == 404


async def test_no_browser_may_take_a_picture_for_something_else(
    api: Api, simulator: Simulator
) -> None:
    changed = await upload(api, await log_in(api, simulator), picture())
    for path in (changed.data["avatar"], "/uploads/default-avatar.png"):
        async with api.http.get(api.url + path) as reply:
            assert reply.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.bar("E8")
async def test_an_export_has_everything_of_the_caller_and_nothing_of_others(
    api: Api, simulator: Simulator
) -> None:
    alice, bob = await log_in(api, simulator), await log_in(api, simulator, "bob")
    phone = await simulator.phone(phone="13800000001")
    await api.ask("PUT", "/me/phone", json={"code": phone["code"]}, headers=alice)
    export = (await api.ask("GET", "/me/export", headers=alice)).data
    own = (await api.ask("GET", "/me", headers=alice)).data
    assert export["user"] == own
    assert own["phone"] == "+86 13800000001"
    assert [one["appid"] for one in export["identities"]] == [api.app.ctx.settings.wechat_appid]
    other = (await api.ask("GET", "/me/export", headers=bob)).data
    assert other["user"]["id"] not in str(export)
    assert other["identities"][0]["openid"] not in str(export)


async def test_a_deleted_user_leaves_nothing_behind(
    api: Api, simulator: Simulator, tmp_path: Any
) -> None:
    session = await log_in(api, simulator)
    await upload(api, session, picture())
    user_id = (await api.ask("GET", "/me", headers=session)).data["id"]
    gone = await api.ask("DELETE", "/me", headers=session)
    assert (gone.status, gone.data) == (200, {"deleted": True})
    assert (await api.ask("GET", "/me", headers=session)).code == 40102
    assert list((tmp_path / "avatars").iterdir()) == []
    back = await api.login(await simulator.code())
    assert back.data["isNewUser"]
    assert back.data["user"]["id"] != user_id


async def test_without_the_user_database_sessions_hold_and_logins_wait(
    settings: Callable[..., Settings], simulator: Simulator
) -> None:
    base = (simulator.url,)
    async with running_service(settings(wechat_api_base=base)) as api:
        session = await log_in(api, simulator)
    for address in ("postgresql://127.0.0.1:1/none", "sqlite:////nowhere/at/all.db"):
        async with running_service(settings(wechat_api_base=base, database_url=address)) as api:
            for path in ("/verify", "/session", "/wx/products/list"):
                assert (await api.ask("GET", path, headers=session)).status == 200
            login = await api.login(await simulator.code())
            assert (login.status, login.code) == (503, 50301)
            assert login.data == {"retry": "new_code"}
            assert (await api.ask("GET", "/me", headers=session)).code == 50301
