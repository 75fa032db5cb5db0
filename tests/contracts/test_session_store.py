"""What every session store promises."""

from __future__ import annotations

import asyncio
import base64
import secrets
import sys
import time
from collections import Counter
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Final

import orjson
import pytest
from pydantic import SecretStr

from service.config.settings import AppEntry
from service.core.errors import (
    SessionExpired,
    SessionKicked,
    SessionReplaced,
    SessionStoreUnavailable,
    UserBanned,
)
from service.core.models import Session, SessionId, SessionKeys, WeChatIdentity, handle_of
from service.redis.batching import Reading
from service.stores import session_record
from service.stores.keyring import Keyring
from service.stores.session_record import SessionRecord
from tests.contracts.kinds import ALSO_FAKEREDIS, ONE_KIND
from tests.support.keys import SESSION_PREFIX as KEY_PREFIX
from tests.support.scripts import script
from tests.support.settings import APPID, SECRET_KEY

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator
    from types import FrameType

    from service.core.models import OpenedSession
    from service.stores.sessions import RedisSessions
    from tests.contracts.conftest import Stores

OTHER_APP: Final = AppEntry(appid="wxother", secret=SecretStr("another secret"))


def identity(openid: str = "oAlice", unionid: str | None = None) -> WeChatIdentity:
    return WeChatIdentity(openid, secrets.token_bytes(16), unionid)


def identities(count: int) -> list[WeChatIdentity]:
    """Logins of one user, each with a session_key of its own."""
    return [identity() for _ in range(count)]


async def log_in(
    sessions: RedisSessions, who: WeChatIdentity | None = None, device: str = "default"
) -> OpenedSession:
    return await sessions.create(who or identity(), appid=APPID, device=device, user_id="someone")


async def is_live(sessions: RedisSessions, session_id: SessionId) -> bool:
    try:
        await sessions.validate(session_id)
    except (SessionExpired, SessionReplaced):
        return False
    return True


async def keys_of(stores: Stores, handle: str) -> SessionKeys:
    raw = await stores.raw(KEY_PREFIX + handle)
    record = SessionRecord.read(raw, handle=handle)
    keyring = Keyring([SECRET_KEY], purpose="session")
    opened = session_record.unseal(record.sealed, handle, keyring)
    assert opened is not None
    return opened[1]


@ALSO_FAKEREDIS
async def test_a_login_is_recognised_with_all_that_wechat_said(stores: Stores) -> None:
    sessions = stores.sessions()
    opened = await log_in(sessions, identity("oBob", "uBob"), "default")
    session = await sessions.validate(opened.session_id)
    assert (session.openid, session.unionid, session.appid) == ("oBob", "uBob", APPID)
    assert (session.device, session.user_id) == ("default", "someone")
    assert await sessions.keys(session) == await keys_of(stores, session.handle)
    assert 7190 < session.expires_in <= 7200
    assert opened.expires_in == 7200


async def test_a_user_without_unionid_has_none(stores: Stores) -> None:
    sessions = stores.sessions()
    opened = await log_in(sessions)
    assert (await sessions.validate(opened.session_id)).unionid is None


@ALSO_FAKEREDIS
async def test_an_id_that_was_never_issued_is_expired(stores: Stores) -> None:
    with pytest.raises(SessionExpired):
        await stores.sessions().validate(SessionId.new("A" * 22))


async def test_another_secret_under_a_live_handle_learns_nothing(stores: Stores) -> None:
    sessions = stores.sessions(login_coalesce_ms=0)
    await log_in(sessions)
    opened = await log_in(sessions)
    with pytest.raises(SessionExpired) as refusal:
        await sessions.validate(SessionId.new(opened.session_id.handle))
    assert refusal.value.data is None


@contextmanager
def noting_calls() -> Iterator[set[FrameType]]:
    """The calls of the service's functions, each once, however often it waits."""
    noted: set[FrameType] = set()

    def note(frame: FrameType, event: str, _: object) -> None:
        if event == "call" and "/service/" in frame.f_code.co_filename:
            noted.add(frame)

    sys.setprofile(note)
    try:
        yield noted
    finally:
        sys.setprofile(None)


@pytest.mark.parametrize("renewal", ["fixed", "sliding"])
@pytest.mark.parametrize("logins", [1, 2, 6])
@ONE_KIND
async def test_a_wrong_secret_takes_the_same_work_whether_a_session_is_there(
    stores: Stores, renewal: str, logins: int
) -> None:
    """A look was shorter by a round trip where there was one: by it an openid told who is in."""
    sessions = stores.sessions(login_coalesce_ms=0, session_renewal=renewal)
    for _ in range(logins):
        handle = (await log_in(sessions)).session_id.handle

    async def work(handle: str, look: Callable[[SessionId], Awaitable[object]]) -> object:
        wrong = SessionId.new(handle)
        await stores.redis.config_resetstat()
        with noting_calls() as calls, suppress(SessionExpired):
            assert await look(wrong) is None
        commands = await stores.redis.info("commandstats")
        names = Counter(call.f_code.co_qualname for call in calls)
        return names, {name: told["calls"] for name, told in commands.items()}

    for look in (sessions.validate, sessions.revoke):
        for _ in range(10):  # what is done once is done, and that nobody else asks is known
            await work(handle, look)
        assert await work(handle, look) == await work("N" * 22, look)


@ALSO_FAKEREDIS
async def test_a_later_login_replaces_the_session_and_tells_its_holder(stores: Stores) -> None:
    sessions = stores.sessions(login_coalesce_ms=0)
    first, second = await log_in(sessions), await log_in(sessions)
    assert first.session_id != second.session_id
    with pytest.raises(SessionReplaced) as refusal:
        await sessions.validate(first.session_id)
    issued = (await sessions.validate(second.session_id)).issued_at
    assert refusal.value.data == {"at": issued // 1000, "device": "default"}


@ALSO_FAKEREDIS
async def test_the_last_four_replaced_sessions_are_told_so_and_no_others(stores: Stores) -> None:
    sessions = stores.sessions(login_coalesce_ms=0)
    opened = [await log_in(sessions) for _ in range(6)]
    with pytest.raises(SessionExpired):
        await sessions.validate(opened[0].session_id)
    for one in opened[1:5]:
        with pytest.raises(SessionReplaced):
            await sessions.validate(one.session_id)
    assert await is_live(sessions, opened[5].session_id)


@ALSO_FAKEREDIS
@pytest.mark.parametrize("workers", [1, 3])
async def test_of_strict_logins_at_once_exactly_one_survives(stores: Stores, workers: int) -> None:
    stores_of_workers = [stores.sessions(login_coalesce_ms=0) for _ in range(workers)]
    opened = await asyncio.gather(*(log_in(stores_of_workers[i % workers]) for i in range(30)))
    alive = [await is_live(stores_of_workers[0], one.session_id) for one in opened]
    assert sum(alive) == 1
    assert len({one.session_id for one in opened}) == 30


@ALSO_FAKEREDIS
async def test_logins_of_one_moment_share_a_session_and_keep_the_newest_keys(
    stores: Stores,
) -> None:
    workers = [stores.sessions() for _ in range(3)]
    logins = identities(10)
    opened = await asyncio.gather(*(log_in(workers[i % 3], who) for i, who in enumerate(logins)))
    assert len({one.session_id for one in opened}) == 1
    assert [one.shared for one in opened].count(False) == 1
    assert await is_live(workers[0], opened[0].session_id)
    keys = await keys_of(stores, opened[0].session_id.handle)
    known = {who.session_key for who in logins}
    assert {keys.current, keys.previous} < known
    assert keys.current != keys.previous


@ALSO_FAKEREDIS
async def test_a_shared_login_keeps_the_former_key_beside_the_newer(stores: Stores) -> None:
    sessions, first, second = stores.sessions(), identity(), identity()
    opened = await log_in(sessions, first)
    await log_in(sessions, second)
    keys = await keys_of(stores, opened.session_id.handle)
    assert (keys.current, keys.previous) == (second.session_key, first.session_key)


async def test_a_shared_login_with_the_same_key_writes_nothing(stores: Stores) -> None:
    sessions, who = stores.sessions(), identity()
    await log_in(sessions, who)
    before = await stores.everything()
    assert (await log_in(sessions, who)).shared
    assert await stores.everything() == before


async def opened_keys(sessions: RedisSessions, opened: OpenedSession) -> SessionKeys | None:
    return await sessions.keys(await sessions.validate(opened.session_id))


@ALSO_FAKEREDIS
@pytest.mark.bar("K13")
async def test_a_session_that_replaces_another_keeps_its_key(stores: Stores) -> None:
    """Whose owner asked for the data before the login, or in the midst of it."""
    sessions, first, second, third = stores.sessions(login_coalesce_ms=0), *identities(3)
    await log_in(sessions, first)
    opened = await log_in(sessions, second)
    assert await opened_keys(sessions, opened) == SessionKeys(
        second.session_key, former=first.session_key
    )
    opened = await log_in(sessions, third)
    assert await opened_keys(sessions, opened) == SessionKeys(
        third.session_key, former=second.session_key
    )
    assert await sessions.keys_before(APPID, "oAlice", "default") == await opened_keys(
        sessions, opened
    )


@ALSO_FAKEREDIS
async def test_logins_that_share_such_a_session_keep_it_too(stores: Stores) -> None:
    first, second, third, fourth = identities(4)
    await log_in(stores.sessions(), first)
    await log_in(stores.sessions(login_coalesce_ms=0), second)
    for one in (third, fourth):
        opened = await log_in(stores.sessions(), one)
        assert opened.shared
    assert await opened_keys(stores.sessions(), opened) == SessionKeys(
        fourth.session_key, third.session_key, first.session_key
    )


@ALSO_FAKEREDIS
async def test_a_key_that_wechat_gives_again_is_no_former_one(stores: Stores) -> None:
    sessions, who = stores.sessions(login_coalesce_ms=0), identity()
    await log_in(sessions, who)
    assert await opened_keys(sessions, await log_in(sessions, who)) == SessionKeys(who.session_key)


@pytest.mark.parametrize(("ago", "kept"), [(3590, True), (3610, False)])
@pytest.mark.bar("K13")
async def test_such_a_key_is_kept_for_an_hour(stores: Stores, ago: int, kept: bool) -> None:  # noqa: FBT001 # a parameter of the test
    sessions = stores.sessions(login_coalesce_ms=0)
    await log_in(sessions)
    opened = await log_in(sessions)
    key = KEY_PREFIX + opened.session_id.handle
    record = orjson.loads(await stores.raw(key))
    await stores.redis.set(
        key, orjson.dumps({**record, "iat": record["iat"] - ago * 1000}), px=3_000_000
    )
    for keys in (
        await opened_keys(sessions, opened),
        await sessions.keys_before(APPID, "oAlice", "default"),
    ):
        assert keys is not None
        assert (keys.former is not None) is kept


@ALSO_FAKEREDIS
@pytest.mark.parametrize("end", ["logout", "kicked", "banned", "delete", "expire"])
@pytest.mark.bar("K13")
async def test_nothing_is_kept_of_a_session_that_has_ended(stores: Stores, end: str) -> None:
    sessions, second = stores.sessions(login_coalesce_ms=0), identity()
    first = await log_in(sessions)
    handle = first.session_id.handle
    match end:
        case "logout":
            await sessions.revoke(first.session_id)
        case "delete":
            await sessions.delete(handle)
        case "expire":
            await stores.redis.pexpire(KEY_PREFIX + handle, 0)
        case "kicked" | "banned" as reason:
            await sessions.terminate(handle, reason)
    assert await sessions.keys_before(APPID, "oAlice", "default") is None
    opened = await log_in(sessions, second)
    assert await opened_keys(sessions, opened) == SessionKeys(second.session_key)


@pytest.mark.bar("K13")
async def test_the_key_of_another_app_user_or_device_is_not_kept(stores: Stores) -> None:
    sessions = stores.sessions(
        login_coalesce_ms=0, device_classes=("phone", "pc"), wechat_apps=(OTHER_APP,)
    )
    await log_in(sessions, identity("oAlice"), "phone")
    who = {"user_id": "someone"}
    for openid, appid, device in (
        ("oAlice", APPID, "pc"),
        ("oBob", APPID, "phone"),
        ("oAlice", "wxother", "phone"),
    ):
        assert await sessions.keys_before(appid, openid, device) is None
        fresh = identity(openid)
        opened = await sessions.create(fresh, appid=appid, device=device, **who)
        assert await opened_keys(sessions, opened) == SessionKeys(fresh.session_key)


async def test_what_is_sealed_with_a_former_key_opens_only_as_such(stores: Stores) -> None:
    """Without the mark it would count without an end."""
    sessions = stores.sessions(login_coalesce_ms=0)
    await log_in(sessions)
    opened = await log_in(sessions)
    session = await sessions.validate(opened.session_id)
    assert session.sealed[0] == "~"
    assert await sessions.keys(session._replace(sealed=session.sealed[1:])) is None


@ALSO_FAKEREDIS
async def test_a_key_is_kept_of_the_very_session_that_is_replaced(stores: Stores) -> None:
    """One that came in between, or was ended in between, is looked at anew."""
    sessions = stores.sessions(login_coalesce_ms=0)
    first = await log_in(sessions)
    key, handle = KEY_PREFIX + first.session_id.handle, first.session_id.handle
    sealed = SessionRecord.read(await stores.raw(key), handle=handle).sealed
    await log_in(sessions)
    before = await stores.everything()
    deadline = await stores.scripts().now_ms(key) + 60_000
    for known in ("", sealed):
        arguments: tuple[str | int, ...] = (deadline, '{"d":"x"}', "x", 1000, 0, known)
        reply = await stores.scripts().run_idempotent(script("create"), key, *arguments)
        assert (reply[0], reply[2]) == (b"live", before[key.encode()])
    assert await stores.everything() == before


@ONE_KIND
async def test_a_session_takes_as_little_memory_as_is_said(stores: Stores) -> None:
    """With all that there can be in it. Redis keeps its end apart, in 53 bytes.

    Its allocator may give 16 bytes more than are asked for.
    """
    strict, who = stores.sessions(login_coalesce_ms=0), "o" * 28
    for expected in (392 + 16, 440 + 16):
        opened = await log_in(strict, identity(who))
        taken = await stores.redis.memory_usage(KEY_PREFIX + opened.session_id.handle)
        assert taken is not None
        assert taken <= expected
    for _ in range(4):
        await log_in(strict, identity(who, "u" * 28))
    await log_in(stores.sessions(), identity(who, "u" * 28))
    assert (await stores.redis.memory_usage(KEY_PREFIX + opened.session_id.handle) or 0) <= 536


async def test_sharing_ends_with_its_window(stores: Stores) -> None:
    sessions = stores.sessions(login_coalesce_ms=200)
    first = await log_in(sessions)
    assert (await log_in(sessions)).session_id == first.session_id
    issued = (await sessions.validate(first.session_id)).issued_at
    while True:  # until the server's clock is past the window
        seconds, microseconds = await stores.redis.time()
        if seconds * 1000 + microseconds // 1000 > issued + 200:
            break
        await asyncio.sleep(0.02)
    assert (await log_in(sessions)).session_id != first.session_id
    assert not await is_live(sessions, first.session_id)


async def test_a_shared_login_does_not_prolong_the_session(stores: Stores) -> None:
    sessions = stores.sessions()
    opened = await log_in(sessions)
    key = KEY_PREFIX + opened.session_id.handle
    await stores.redis.pexpire(key, 5_000)
    await log_in(sessions)
    assert await stores.redis.pttl(key) <= 5_000


async def test_other_apps_openids_and_devices_are_other_sessions(stores: Stores) -> None:
    sessions = stores.sessions(
        login_coalesce_ms=0, device_classes=("phone", "pc"), wechat_apps=(OTHER_APP,)
    )
    opened = [
        await log_in(sessions, identity("oAlice"), "phone"),
        await log_in(sessions, identity("oAlice"), "pc"),
        await log_in(sessions, identity("oBob"), "phone"),
        await sessions.create(
            identity("oAlice"), appid="wxother", device="phone", user_id="someone"
        ),
    ]
    assert [await is_live(sessions, one.session_id) for one in opened] == [True] * 4
    assert len({one.session_id.handle for one in opened}) == 4
    # After a restart with fewer of them: nobody could end these sessions any more.
    fewer = stores.sessions(device_classes=("phone",))
    assert [await is_live(fewer, one.session_id) for one in opened] == [True, False, True, False]


async def test_a_session_is_shared_only_in_the_first_half_of_its_life(stores: Stores) -> None:
    sessions = stores.sessions(session_ttl=2, login_coalesce_ms=60_000)
    first, second = await log_in(sessions), await log_in(sessions)
    assert second.session_id == first.session_id
    key = KEY_PREFIX + first.session_id.handle
    record = orjson.loads(await stores.raw(key))
    record["iat"] -= 1000
    await stores.redis.set(key, orjson.dumps(record), px=1000)
    assert (await log_in(sessions)).session_id != first.session_id


@ALSO_FAKEREDIS
async def test_logout_ends_the_session_once(stores: Stores) -> None:
    sessions = stores.sessions()
    opened = await log_in(sessions)
    assert await sessions.revoke(opened.session_id)
    assert not await sessions.revoke(opened.session_id)
    with pytest.raises(SessionExpired):
        await sessions.validate(opened.session_id)


@ALSO_FAKEREDIS
async def test_sessions_from_before_sessions_since_have_ended_and_later_ones_live(
    stores: Stores,
) -> None:
    before = stores.sessions(login_coalesce_ms=0)
    replaced = (await log_in(before)).session_id
    former = (await log_in(before)).session_id
    await asyncio.sleep(1.1)  # a whole second, as the setting has it
    since = int((await stores.redis.time())[0])
    kept = (await log_in(before, identity("oBob"))).session_id

    sessions = stores.sessions(sessions_since=since, login_coalesce_ms=60_000)
    live = await before.validate(former)
    for dead in (former, replaced):
        with pytest.raises(SessionExpired):
            await sessions.validate(dead)
    with pytest.raises(SessionExpired):
        await sessions.revalidate(live)
    assert await sessions.restore_id(former.handle, former.digest) is None
    assert await is_live(sessions, kept)

    opened = await log_in(sessions)  # within the time in which logins share a session
    assert not opened.shared
    assert opened.session_id != former
    assert await is_live(sessions, opened.session_id)
    assert (await log_in(sessions)).session_id == opened.session_id
    assert (await log_in(sessions, identity("oBob"))).session_id == kept


@ALSO_FAKEREDIS
async def test_a_stale_logout_leaves_the_newer_session_alone(stores: Stores) -> None:
    sessions = stores.sessions(login_coalesce_ms=0)
    first, second = await log_in(sessions), await log_in(sessions)
    assert not await sessions.revoke(first.session_id)
    assert not await sessions.revoke(SessionId.new(second.session_id.handle))
    assert await is_live(sessions, second.session_id)


async def test_a_login_after_logout_is_a_new_session(stores: Stores) -> None:
    sessions = stores.sessions()
    first = await log_in(sessions)
    await sessions.revoke(first.session_id)
    assert (await log_in(sessions)).session_id != first.session_id


@ALSO_FAKEREDIS
async def test_a_kick_is_told_to_the_holder_only_and_lasts_as_long(stores: Stores) -> None:
    sessions = stores.sessions()
    opened = await log_in(sessions)
    key = KEY_PREFIX + opened.session_id.handle
    await stores.redis.pexpire(key, 50_000)
    assert await sessions.terminate(opened.session_id.handle, "kicked")
    with pytest.raises(SessionKicked) as refusal:
        await sessions.validate(opened.session_id)
    assert refusal.value.data is not None
    assert refusal.value.data["at"] > 1_700_000_000
    with pytest.raises(SessionExpired):
        await sessions.validate(SessionId.new(opened.session_id.handle))
    assert 0 < await stores.redis.pttl(key) <= 50_000


async def test_a_ban_says_so_and_until_when(stores: Stores) -> None:
    sessions = stores.sessions()
    opened = await log_in(sessions)
    handle, tomorrow = opened.session_id.handle, int(time.time()) + 86_400
    assert await sessions.terminate(handle, "banned", until=tomorrow)
    told = await ban_of(sessions, opened)
    assert told == {"at": pytest.approx(time.time(), abs=60), "until": tomorrow}
    # Another one takes its place, and ends nothing.
    assert not await sessions.terminate(handle, "banned")
    assert (await ban_of(sessions, opened))["until"] is None
    assert not await sessions.terminate(handle, "kicked")
    assert (await ban_of(sessions, opened))["until"] is None


async def ban_of(sessions: RedisSessions, opened: OpenedSession) -> dict[str, int | None]:
    with pytest.raises(UserBanned) as refusal:
        await sessions.validate(opened.session_id)
    return dict(refusal.value.data or {})


@ALSO_FAKEREDIS
async def test_a_ban_that_ends_by_itself_leaves_a_session_that_has_expired(stores: Stores) -> None:
    sessions = stores.sessions()
    opened = await log_in(sessions)
    await sessions.terminate(opened.session_id.handle, "banned", until=int(time.time()) - 1)
    with pytest.raises(SessionExpired):
        await sessions.validate(opened.session_id)
    with pytest.raises(SessionExpired):
        await sessions.revalidate(as_found(opened))


def as_found(opened: OpenedSession) -> Session:
    """As the guard had found it."""
    handle, digest = opened.session_id.handle, opened.session_id.digest
    return Session(handle, APPID, "oAlice", None, "default", "someone", 1, 1, "", digest)


@ALSO_FAKEREDIS
async def test_a_ban_is_told_to_whoever_was_kicked_before(stores: Stores) -> None:
    sessions = stores.sessions()
    opened = await log_in(sessions)
    key = KEY_PREFIX + opened.session_id.handle
    await stores.redis.pexpire(key, 50_000)
    await sessions.terminate(opened.session_id.handle, "kicked")
    assert not await sessions.terminate(opened.session_id.handle, "banned", until=2_000_000_000)
    assert (await ban_of(sessions, opened))["until"] == 2_000_000_000
    assert 0 < await stores.redis.pttl(key) <= 50_000
    again = await log_in(sessions)
    assert await is_live(sessions, again.session_id)


@ALSO_FAKEREDIS
async def test_what_is_ended_already_is_ended_by_no_other_call(stores: Stores) -> None:
    """But for the repeat of one whose answer was lost."""
    sessions = stores.sessions()
    opened = await log_in(sessions)
    handle = opened.session_id.handle
    key = KEY_PREFIX + handle
    for reason in ("kicked", "banned"):
        deadline = await stores.scripts().now_ms(key) + 60_000
        call: list[str | int] = [deadline, reason, "", f"one {reason}"]
        first = await stores.scripts().run_idempotent(script("terminate"), key, *call)
        left = await stores.raw(key)
        repeat = await stores.scripts().run_idempotent(script("terminate"), key, *call)
        assert (first[0], repeat[0]) == (b"ended", b"ended")
        assert await stores.raw(key) == left
        assert not await sessions.terminate(handle, "kicked")
        assert not await sessions.terminate(handle, "banned")
        await log_in(sessions)


@ALSO_FAKEREDIS
async def test_a_ban_that_is_lifted_has_never_been_and_nothing_else_goes(stores: Stores) -> None:
    sessions = stores.sessions()
    opened = await log_in(sessions)
    handle = opened.session_id.handle
    await sessions.lift_ban(handle)
    assert await is_live(sessions, opened.session_id)
    await sessions.terminate(handle, "kicked")
    await sessions.lift_ban(handle)
    with pytest.raises(SessionKicked):
        await sessions.validate(opened.session_id)
    await sessions.terminate(handle, "banned")
    await sessions.lift_ban(handle)
    with pytest.raises(SessionExpired):
        await sessions.validate(opened.session_id)
    assert await stores.everything() == {}
    await sessions.lift_ban(handle)


async def test_operators_see_each_session_there_is_and_no_secret(stores: Stores) -> None:
    sessions = stores.sessions(device_classes=("default", "pc"))
    states = ("live", "kicked", "banned", "gone", "unreadable")
    opened = {state: await log_in(sessions, identity(f"o{state}"), "pc") for state in states}
    handles = {state: one.session_id.handle for state, one in opened.items()}
    for reason in ("kicked", "banned"):
        await sessions.terminate(handles[reason], reason)
    await sessions.delete(handles["gone"])
    await stores.redis.set(KEY_PREFIX + handles["unreadable"], b"{}")
    views = {one.handle: one for one in await sessions.view([*handles.values(), "N" * 22])}
    assert set(views) == {handles["live"], handles["kicked"], handles["banned"]}
    for state in ("live", "kicked", "banned"):
        view = views[handles[state]]
        assert (view.appid, view.device, view.state) == (APPID, "pc", state)
        assert view.issued_at / 1000 == pytest.approx(time.time(), abs=60)
        assert 7100 < view.expires_in <= 7200
        assert not view.key_lost
        assert opened[state].session_id.secret not in repr(view)
        assert opened[state].session_id.digest not in repr(view)
    assert await sessions.view([]) == []


async def test_what_serves_nobody_is_no_session_to_see(stores: Stores) -> None:
    handle = (await log_in(stores.sessions())).session_id.handle
    assert [one.state for one in await stores.sessions().view([handle])] == ["live"]
    lost = await stores.sessions(secret_keys=NEW_KEY).view([handle])
    assert [one.key_lost for one in lost] == [True]
    assert await stores.sessions(device_classes=("phone",)).view([handle]) == []
    since = int(time.time()) + 1
    assert await stores.sessions(sessions_since=since).view([handle]) == []
    await stores.redis.persist(KEY_PREFIX + handle)  # as somebody may have done by hand
    assert await stores.sessions().view([handle]) == []


async def test_what_is_noted_of_a_user_is_told_for_as_long_as_a_login_takes(
    stores: Stores,
) -> None:
    sessions = stores.sessions()
    assert await sessions.user_mark("someone") is None
    await sessions.mark_user("someone", "banned")
    assert await sessions.user_mark("someone") == "banned"
    await sessions.mark_user("someone", "deleted")
    assert await sessions.user_mark("someone") == "deleted"
    assert await sessions.user_mark("somebody else") is None
    (key,) = await stores.everything()
    assert b"someone" not in key
    assert 20_000 < await stores.redis.pttl(key) <= 30_000
    await stores.redis.set(key, b"1")  # by the former version
    assert await sessions.user_mark("someone") == "deleted"


@ALSO_FAKEREDIS
async def test_a_tombstone_holds_no_keys_and_makes_way_for_a_login(stores: Stores) -> None:
    sessions = stores.sessions()
    kicked = await log_in(sessions)
    await sessions.terminate(kicked.session_id.handle, "kicked")
    assert all(b'"k":""' in value for value in (await stores.everything()).values())
    assert not await sessions.revoke(kicked.session_id)
    again = await log_in(sessions)
    assert not again.shared
    assert await is_live(sessions, again.session_id)
    with pytest.raises(SessionReplaced):
        await sessions.validate(kicked.session_id)


async def test_ending_where_nothing_lives_says_so(stores: Stores) -> None:
    sessions = stores.sessions()
    assert not await sessions.terminate(handle_of(APPID, "oNobody", "default"), "kicked")


async def test_a_thousand_logins_are_a_thousand_keys_of_two_hours_without_secrets(
    stores: Stores,
) -> None:
    sessions = stores.sessions()
    identities = [identity(f"o{i}") for i in range(1000)]
    opened = []
    for start in range(0, 1000, 50):
        opened += await asyncio.gather(
            *(log_in(sessions, who) for who in identities[start : start + 50])
        )
    ttls = [await stores.redis.ttl(key) for key in await stores.everything()]
    assert len(ttls) == 1000
    assert all(7190 < ttl <= 7200 for ttl in ttls)

    dump = b"\n".join(key + b" " + value for key, value in (await stores.everything()).items())
    needles = [
        needle
        for one, who in zip(opened, identities, strict=True)
        for needle in (*encodings(who.session_key), *encodings(one.session_id.secret.encode()))
    ] + [one.session_id.secret.encode() for one in opened]
    assert not [needle for needle in needles if needle in dump]


def encodings(secret: bytes) -> list[bytes]:
    """The forms in which a secret might lie about."""
    plain = base64.b64encode(secret)
    url = base64.urlsafe_b64encode(secret)
    return [secret, plain, plain.rstrip(b"="), url.rstrip(b"="), secret.hex().encode()]


async def test_the_scan_for_secrets_would_find_one(stores: Stores) -> None:
    who = identity()
    await stores.redis.set("leak", base64.b64encode(who.session_key))
    dump = b"".join((await stores.everything()).values())
    assert any(needle in dump for needle in encodings(who.session_key))


@ALSO_FAKEREDIS
async def test_a_session_ends_when_its_time_is_up(stores: Stores) -> None:
    sessions = stores.sessions(session_ttl=1)
    opened = await log_in(sessions)
    assert await is_live(sessions, opened.session_id)
    await stores.redis.pexpire(KEY_PREFIX + opened.session_id.handle, 1)
    await asyncio.sleep(0.01)
    assert not await is_live(sessions, opened.session_id)


async def test_a_fixed_session_is_not_prolonged_by_use(stores: Stores) -> None:
    sessions = stores.sessions()
    opened = await log_in(sessions)
    key = KEY_PREFIX + opened.session_id.handle
    await stores.redis.pexpire(key, 60_000)
    await sessions.validate(opened.session_id)
    assert await stores.redis.pttl(key) <= 60_000


@ALSO_FAKEREDIS
async def test_a_sliding_session_is_renewed_only_below_half_its_time(stores: Stores) -> None:
    sessions = stores.sessions(session_renewal="sliding", session_ttl=100)
    opened = await log_in(sessions)
    key = KEY_PREFIX + opened.session_id.handle

    await stores.redis.pexpire(key, 60_000)
    assert (await sessions.validate(opened.session_id)).expires_in <= 60
    assert await stores.redis.pttl(key) <= 60_000

    before = await stores.redis.get(key)
    await stores.redis.pexpire(key, 40_000)
    assert (await sessions.validate(opened.session_id)).expires_in == 100
    assert await stores.redis.pttl(key) > 90_000
    assert await stores.redis.get(key) == before


async def test_a_sliding_session_never_outlives_its_greatest_age(stores: Stores) -> None:
    sessions = stores.sessions(session_renewal="sliding", session_ttl=100, session_max_age=110)
    opened = await log_in(sessions)
    key = KEY_PREFIX + opened.session_id.handle
    raw = await stores.raw(key)
    issued = (await sessions.validate(opened.session_id)).issued_at
    older = raw.replace(f'"iat":{issued}'.encode(), f'"iat":{issued - 80_000}'.encode())
    await stores.redis.set(key, older, px=10_000)
    assert (await sessions.validate(opened.session_id)).expires_in <= 30
    assert 20_000 < await stores.redis.pttl(key) <= 30_000


async def test_a_shared_login_tells_what_is_left_without_renewal(stores: Stores) -> None:
    sessions = stores.sessions(session_renewal="sliding", session_ttl=100, session_max_age=9000)
    first, shared = await log_in(sessions), await log_in(sessions)
    assert first.expires_in == 100
    assert 95 <= shared.expires_in <= 100


NEW_KEY: Final = "another-key-5b08fa917c36d2e4901b"
SLIDING: Final[dict[str, object]] = {
    "session_renewal": "sliding",
    "session_ttl": 7200,
    "session_max_age": 604_800,
}


@pytest.mark.parametrize("now", [{}, SLIDING], ids=["fixed", "sliding"])
async def test_a_shared_login_tells_what_its_session_has_left(
    stores: Stores, now: dict[str, object]
) -> None:
    opened = await log_in(stores.sessions(**SLIDING))
    await stores.redis.pexpire(KEY_PREFIX + opened.session_id.handle, 96_000)
    shared = await log_in(stores.sessions(**now))
    assert shared.shared
    assert 90 < shared.expires_in <= 96


@pytest.mark.parametrize("ttl", [10, 100_000])
async def test_a_fixed_session_keeps_its_life_when_the_settings_change(
    stores: Stores, ttl: int
) -> None:
    opened = await log_in(stores.sessions())
    now = stores.sessions(session_ttl=ttl)
    assert 7190 < (await now.validate(opened.session_id)).expires_in <= 7200
    assert 7190 < (await log_in(now)).expires_in <= 7200
    # One MGET and no more, as always.
    assert all("reads_with_ttl" not in vars(node) for node in now.redis.topology.nodes())


@pytest.mark.parametrize("ttl", [10, 7200, 604_800])
async def test_a_sliding_session_tells_what_is_left_when_sessions_are_fixed_by_now(
    stores: Stores, ttl: int
) -> None:
    opened = await log_in(stores.sessions(**SLIDING))
    key = KEY_PREFIX + opened.session_id.handle
    await stores.redis.pexpire(key, 96_000)
    now = stores.sessions(session_ttl=ttl)
    assert 90 < (await now.validate(opened.session_id)).expires_in <= 96
    assert await stores.redis.pttl(key) <= 96_000


async def test_renewal_never_touches_a_newer_session(stores: Stores) -> None:
    sessions = stores.sessions(login_coalesce_ms=0)
    first, second = await log_in(sessions), await log_in(sessions)
    scripts = stores.scripts()
    key = KEY_PREFIX + second.session_id.handle
    digest = first.session_id.digest
    reply = await scripts.run_fenced(script("renew"), key, digest, 1000, expected_echo=digest)
    assert reply[0] == b"absent"
    assert await stores.redis.pttl(key) > 7_000_000


async def test_a_rotated_key_still_opens_what_it_sealed(stores: Stores) -> None:
    old = stores.sessions()
    opened = await log_in(old)
    rotated = stores.sessions(secret_keys=f"{NEW_KEY},{SECRET_KEY}")
    assert await is_live(rotated, opened.session_id)
    assert (await log_in(rotated)).session_id == opened.session_id


@pytest.mark.bar("E4")
async def test_a_key_that_left_the_ring_costs_a_new_session_at_most(stores: Stores) -> None:
    opened = await log_in(stores.sessions())
    other = stores.sessions(secret_keys=NEW_KEY)
    assert await is_live(other, opened.session_id)
    again = await log_in(other)
    assert again.session_id != opened.session_id
    assert await is_live(other, again.session_id)


@pytest.mark.bar("E2")
async def test_a_sealed_part_opens_for_no_other_user(stores: Stores) -> None:
    sessions = stores.sessions()
    alice, bob = (
        await log_in(sessions, identity("oAlice")),
        await log_in(sessions, identity("oBob")),
    )
    alices, bobs = (KEY_PREFIX + one.session_id.handle for one in (alice, bob))
    sealed = [
        SessionRecord.read(await stores.raw(key), handle=one.session_id.handle)
        for key, one in ((alices, alice), (bobs, bob))
    ]
    moved = (await stores.raw(bobs)).replace(sealed[1].sealed.encode(), sealed[0].sealed.encode())
    await stores.redis.set(bobs, moved, px=10_000)
    assert await sessions.restore_id(bob.session_id.handle, bob.session_id.digest) is None


async def test_a_reply_meant_for_another_key_is_no_verdict(stores: Stores) -> None:
    sessions = stores.sessions()
    alice, bob = (
        await log_in(sessions, identity("oAlice")),
        await log_in(sessions, identity("oBob")),
    )
    alices = await stores.raw(KEY_PREFIX + alice.session_id.handle)
    await stores.redis.set(KEY_PREFIX + bob.session_id.handle, alices, px=10_000)
    with pytest.raises(SessionStoreUnavailable):
        await sessions.validate(bob.session_id)


NEWER: Final = b'{"v":2,"h":"%b","d":{"sha3":"x"},"p":7,"iat":[1],"k":{}}'
"""As a later version of this service could have written it before it was rolled back."""


async def unreadable(stores: Stores, sessions: RedisSessions, record: bytes) -> SessionId:
    """A session whose record has become this; `%b` in it is the handle."""
    opened = await log_in(sessions)
    handle = opened.session_id.handle
    await stores.redis.set(KEY_PREFIX + handle, record.replace(b"%b", handle.encode()))
    return opened.session_id


@pytest.mark.parametrize("junk", [b"", b"junk", b"[]", b"null", b'{"h":1}', b"\xff\xfe"])
async def test_a_record_that_nobody_can_read_is_logged_and_yields_to_a_login(
    stores: Stores, junk: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    sessions = stores.sessions()
    session_id = await unreadable(stores, sessions, junk)
    with pytest.raises(SessionStoreUnavailable):  # whether the session lives, nobody knows
        await sessions.validate(session_id)
    assert "sessions: reading a record failed: " in caplog.text
    assert session_id.handle not in caplog.text
    assert not await sessions.revoke(session_id)
    assert not await sessions.terminate(session_id.handle, "kicked")
    again = await log_in(sessions)
    assert await is_live(sessions, again.session_id)
    assert await stores.redis.ttl(KEY_PREFIX + session_id.handle) > 7190


async def test_a_record_of_a_later_version_is_a_dead_session_and_yields_to_a_login(
    stores: Stores,
) -> None:
    sessions = stores.sessions()
    session_id = await unreadable(stores, sessions, NEWER)
    with pytest.raises(SessionExpired):  # or the client would never log in
        await sessions.validate(session_id)
    assert await is_live(sessions, (await log_in(sessions)).session_id)


@ALSO_FAKEREDIS
async def test_a_login_that_replaces_what_nobody_can_read_says_so_in_the_log(
    stores: Stores, caplog: pytest.LogCaptureFixture
) -> None:
    sessions = stores.sessions()
    opened = await log_in(sessions)
    await log_in(sessions)
    assert not caplog.records
    key = KEY_PREFIX + opened.session_id.handle
    await stores.redis.delete(key)
    await stores.redis.rpush(key, "a list")
    assert await is_live(sessions, (await log_in(sessions)).session_id)
    assert [one.message for one in caplog.records] == [
        "sessions: reading a record failed: replaced by a login"
    ]


async def issued_ahead(
    stores: Stores, sessions: RedisSessions, milliseconds: int, *, px: int | None
) -> OpenedSession:
    """A session that was opened so much later than now, as after a failover to a slow clock."""
    opened = await log_in(sessions)
    key = KEY_PREFIX + opened.session_id.handle
    record = orjson.loads(await stores.raw(key))
    record["iat"] += milliseconds
    await stores.redis.set(key, orjson.dumps(record), px=px)
    return opened


@pytest.mark.parametrize("ahead", [1500, 10**12])
async def test_a_session_from_the_future_is_not_shared_but_replaced(
    stores: Stores, ahead: int
) -> None:
    sessions = stores.sessions(login_coalesce_ms=60_000)
    early = await issued_ahead(stores, sessions, ahead, px=7_200_000)
    again = await log_in(sessions)
    assert not again.shared
    assert again.session_id != early.session_id
    assert await is_live(sessions, again.session_id)


async def test_clocks_that_differ_by_half_a_second_are_no_future(stores: Stores) -> None:
    sessions = stores.sessions()
    early = await issued_ahead(stores, sessions, 500, px=7_200_000)
    assert (await log_in(sessions)).session_id == early.session_id


async def test_a_session_that_redis_would_keep_for_ever_is_not_shared(stores: Stores) -> None:
    sessions = stores.sessions()
    opened = await log_in(sessions)
    await stores.redis.persist(KEY_PREFIX + opened.session_id.handle)
    assert not (await log_in(sessions)).shared


@pytest.mark.parametrize("renewal", ["fixed", "sliding"])
async def test_a_session_from_the_future_has_left_what_redis_gives_it(
    stores: Stores, renewal: str
) -> None:
    sessions = stores.sessions(session_renewal=renewal)
    opened = await issued_ahead(stores, sessions, 3_600_000, px=60_000)
    for _ in range(2):
        assert 55 < (await sessions.validate(opened.session_id)).expires_in <= 60
    left = await stores.redis.pttl(KEY_PREFIX + opened.session_id.handle)
    assert left <= 60_000, "it was renewed"


@pytest.mark.parametrize("renewal", ["fixed", "sliding"])
@pytest.mark.parametrize("px", [None, 10**12])
async def test_a_session_from_the_future_outlives_no_other(
    stores: Stores, renewal: str, px: int | None
) -> None:
    sessions = stores.sessions(session_renewal=renewal)
    opened = await issued_ahead(stores, sessions, 3_600_000, px=px)
    with pytest.raises(SessionExpired):
        await sessions.validate(opened.session_id)


@pytest.mark.parametrize("renewal", ["fixed", "sliding"])
async def test_a_session_without_a_time_to_live_ends_in_time(stores: Stores, renewal: str) -> None:
    sessions = stores.sessions(session_renewal=renewal)
    longest_ms = 7 * 86_400_000 if renewal == "sliding" else 7_200_000
    opened = await issued_ahead(stores, sessions, 5000 - longest_ms, px=None)
    assert await is_live(sessions, opened.session_id)
    opened = await issued_ahead(stores, sessions, -5000 - longest_ms, px=None)
    assert not await is_live(sessions, opened.session_id)


async def test_a_young_record_of_a_later_version_is_not_shared_but_replaced(
    stores: Stores,
) -> None:
    sessions = stores.sessions()
    opened = await log_in(sessions)
    key = KEY_PREFIX + opened.session_id.handle
    record = orjson.loads(await stores.raw(key))
    await stores.redis.set(key, orjson.dumps({**record, "v": 2}))
    again = await log_in(sessions)
    assert not again.shared
    assert await is_live(sessions, again.session_id)


async def test_a_reply_to_something_else_is_asked_for_once_more(
    stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    sessions = stores.sessions()
    alice, bob = await log_in(sessions), await log_in(sessions, identity("oBob"))
    bobs = await stores.raw(KEY_PREFIX + bob.session_id.handle)

    async def mixed_up(_key: str, *, with_ttl: bool) -> Reading:
        return Reading(bobs, 7_200_000 if with_ttl else None)

    monkeypatch.setattr(stores.client, "read", mixed_up)
    assert (await sessions.validate(alice.session_id)).openid == "oAlice"


@ALSO_FAKEREDIS
@pytest.mark.parametrize(
    "name", ["create", "rekey", "revoke", "terminate", "lift_ban", "delete", "renew"]
)
async def test_no_script_changes_anything_after_its_deadline(stores: Stores, name: str) -> None:
    sessions = stores.sessions()
    opened = await log_in(sessions)
    key = KEY_PREFIX + opened.session_id.handle
    before = await stores.everything()
    sealed = SessionRecord.read(before[key.encode()], handle=opened.session_id.handle).sealed
    if name == "lift_ban":
        await sessions.terminate(opened.session_id.handle, "banned")
        before = await stores.everything()
    past = await stores.scripts().now_ms(key) - 1000
    by_name: dict[str, list[str | int]] = {
        "create": ['{"d":"new"}', "new", 1000, 0],
        "rekey": [sealed, "new"],
        "revoke": [opened.session_id.digest],
        "terminate": ["kicked"],
        "lift_ban": [],
        "delete": [],
        "renew": [opened.session_id.digest, 1000],
    }
    arguments = by_name[name]
    reply = await stores.scripts().run_idempotent(script(name), key, past, *arguments)
    assert reply[0] == b"late"
    assert await stores.everything() == before
    in_time = past + 60_000
    reply = await stores.scripts().run_idempotent(script(name), key, in_time, *arguments)
    assert reply[0] in {b"stored", b"ended", b"renewed"}


@ALSO_FAKEREDIS
@pytest.mark.parametrize("put", ["rpush", "sadd", "pfadd"])
async def test_no_script_stumbles_over_what_is_no_text(stores: Stores, put: str) -> None:
    sessions = stores.sessions()
    opened = await log_in(sessions)
    handle, digest = opened.session_id.handle, opened.session_id.digest
    key = KEY_PREFIX + handle

    async def run(name: str, *arguments: str | int) -> list[bytes]:
        await stores.redis.delete(key)
        await getattr(stores.redis, put)(key, "somebody's")
        deadline = await stores.scripts().now_ms(key) + 60_000
        reply: list[bytes] = await stores.scripts().run_idempotent(
            script(name), key, deadline, *arguments
        )
        return [one for one in reply if isinstance(one, bytes)]

    assert await run("revoke", digest) == [b"absent"]
    assert await run("terminate", "kicked") == [b"absent"]
    assert await run("lift_ban") == [b"ended", b"lifted"]
    assert await stores.redis.exists(key)
    assert await run("renew", digest, 1000) == [b"absent"]
    assert await run("rekey", "old", "new") == [b"changed"]
    assert await stores.redis.exists(key)
    assert await run("create", "{}", digest, 1000, 3000) == [
        b"stored",
        digest.encode(),
        b"unreadable",
    ]
    assert await stores.raw(key) == b"{}"
    assert await run("delete") == [b"ended", b"deleted"]
    assert not await stores.redis.exists(key)


@pytest.mark.parametrize("former", ['a"b,c', "ü" * 22, "x" * 100, ""])
async def test_nothing_of_a_former_record_can_spoil_the_next(stores: Stores, former: str) -> None:
    sessions = stores.sessions(login_coalesce_ms=0)
    opened = await log_in(sessions)
    handle = opened.session_id.handle
    for field in ("d", "p"):
        record = {"h": handle, "d": "x" * 22, "iat": 1, "p": "", field: former}
        await stores.redis.set(KEY_PREFIX + handle, orjson.dumps(record), px=10_000)
        assert await is_live(sessions, (await log_in(sessions)).session_id)


async def test_a_repeated_login_script_is_one_login(stores: Stores) -> None:
    sessions = stores.sessions(login_coalesce_ms=0)
    first = await log_in(sessions)
    key, digest = KEY_PREFIX + first.session_id.handle, first.session_id.digest
    record = await stores.raw(key)
    deadline = await stores.scripts().now_ms(key) + 60_000
    arguments: tuple[str | bytes | int, ...] = (deadline, record, digest, 7_200_000, 3000)
    assert (await stores.scripts().run_idempotent(script("create"), key, *arguments))[
        0
    ] == b"stored"
    assert await stores.redis.get(key) == record


@pytest.mark.parametrize("since", [1, 4])
async def test_a_repeat_of_a_login_that_has_been_replaced_replaces_nobody(
    stores: Stores, since: int
) -> None:
    """As when its reply is lost, others log in, and then the driver sends it again."""
    sessions = stores.sessions(login_coalesce_ms=0)
    first = await log_in(sessions)
    key, digest = KEY_PREFIX + first.session_id.handle, first.session_id.digest
    record = await stores.raw(key)
    later = [await log_in(sessions) for _ in range(since)]
    before = await stores.everything()
    for window_ms in (0, 3000):
        arguments = (record, digest, 7_200_000, window_ms)
        reply = await stores.scripts().run_fenced(
            script("create"), key, *arguments, expected_echo=digest
        )
        assert reply[0] == b"stored"
    assert await stores.everything() == before
    assert await is_live(sessions, later[-1].session_id)
    with pytest.raises(SessionReplaced):
        await sessions.validate(first.session_id)


@pytest.mark.bar("B8")
@ALSO_FAKEREDIS
async def test_scripts_survive_a_flush_of_the_script_cache(stores: Stores) -> None:
    sessions = stores.sessions()
    await log_in(sessions)
    await stores.redis.script_flush()
    opened = await log_in(sessions, identity("oBob"))
    assert await is_live(sessions, opened.session_id)


@ALSO_FAKEREDIS
async def test_an_erased_session_leaves_no_key(stores: Stores) -> None:
    sessions = stores.sessions()
    opened = await log_in(sessions)
    await sessions.delete(opened.session_id.handle)
    assert await stores.everything() == {}
    await sessions.delete(opened.session_id.handle)


async def test_recall_gives_the_id_of_a_live_session_only(stores: Stores) -> None:
    sessions = stores.sessions(login_coalesce_ms=0)
    first = await log_in(sessions)
    handle, digest = first.session_id.handle, first.session_id.digest
    assert await sessions.restore_id(handle, digest) == first.session_id
    await log_in(sessions)
    assert await sessions.restore_id(handle, digest) is None
