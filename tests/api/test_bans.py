"""Users whom an operator shuts out: their sessions end, their logins are refused, till the end."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from service.core.errors import (
    InvalidRequest,
    SessionStoreUnavailable,
    UserNotFound,
    UserStoreUnavailable,
)
from tests.support.events import RecordedEvents
from tests.support.running import running_service

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

    from service.config.settings import Settings
    from service.core.admin import Admin
    from tests.support.running import Answer, Api, Simulator

BY = "ops"
TOMORROW = int(time.time()) + 86_400


@pytest.fixture
async def api(settings: Callable[..., Settings], simulator: Simulator) -> AsyncIterator[Api]:
    own = settings(
        wechat_api_base=(simulator.url,), login_coalesce_ms=0, device_classes=("phone", "pc")
    )
    async with running_service(own) as running:
        yield running


@pytest.fixture
def admin(api: Api) -> Admin:
    found: Admin = api.app.ctx.services.admin
    return found


@pytest.fixture
def events(admin: Admin, monkeypatch: pytest.MonkeyPatch) -> RecordedEvents:
    recorded = RecordedEvents()
    monkeypatch.setattr(admin, "_events", recorded)
    return recorded


class Person(NamedTuple):
    id: str
    session: dict[str, str]


async def log_in(api: Api, simulator: Simulator, user: str = "alice", **more: str) -> Person:
    login = await api.login(await simulator.code(user), **more)
    assert login.status == 200, login.body
    return Person(login.data["user"]["id"], {"sessionid": login.data["sessionid"]})


def is_ban(answer: Answer, *, until: int | None) -> bool:
    """Whether the client was told when, until when, and nothing else."""
    assert (answer.status, answer.code) == (403, 40300), answer.body
    at = answer.data.pop("at")
    assert abs(at - time.time()) < 60
    assert answer.data == {"until": until}
    return True


async def live(admin: Admin, user_id: str) -> int:
    """How many sessions of the user live."""
    return [one.state for one in (await admin.show(user_id)).sessions].count("live")


async def test_a_ban_ends_every_session_and_refuses_logins_and_tells_no_reason(
    api: Api, simulator: Simulator, admin: Admin, events: RecordedEvents
) -> None:
    phone = await log_in(api, simulator)
    pc = await log_in(api, simulator, device="pc")
    bob = await log_in(api, simulator, "bob")
    user, ended = await admin.ban(phone.id, by=BY, reason="刷单\nline\x00\u202e two")
    assert ended == 2
    assert user.banned
    assert user.ban is not None
    assert user.ban.reason == "刷单 line two"
    assert [(one.event, one.user, one.by, one.reason) for one in events.told] == [
        ("banned", phone.id, BY, "刷单 line two")
    ]
    for session in (phone.session, pc.session):
        for path in ("/verify", "/session", "/me"):
            async with api.http.get(api.url + path, headers=session) as reply:
                assert reply.status == 403
                assert "刷单" not in await reply.text()
        assert is_ban(await api.ask("GET", "/me", headers=session), until=None)
    assert is_ban(await api.login(await simulator.code("alice")), until=None)
    assert (await api.ask("GET", "/me", headers=bob.session)).status == 200


async def test_it_ends_by_itself_and_the_client_logs_in_again_by_itself(
    api: Api, simulator: Simulator, admin: Admin
) -> None:
    alice = await log_in(api, simulator)
    until = int(time.time()) + 3
    await admin.ban(alice.id, by=BY, until=until)
    assert is_ban(await api.ask("GET", "/me", headers=alice.session), until=until)
    assert is_ban(await api.login(await simulator.code()), until=until)
    async with asyncio.timeout(15):
        while (answer := await api.ask("GET", "/me", headers=alice.session)).status == 403:
            await asyncio.sleep(0.05)
    assert time.time() >= until
    assert (answer.status, answer.code) == (401, 40102)
    again = await log_in(api, simulator)
    assert again.id == alice.id
    assert not (await admin.show(alice.id)).user.banned


async def test_another_ban_takes_the_place_of_the_first(
    api: Api, simulator: Simulator, admin: Admin, events: RecordedEvents
) -> None:
    alice = await log_in(api, simulator)
    assert (await admin.ban(alice.id, by=BY, reason="spam", until=TOMORROW))[1] == 1
    user, ended = await admin.ban(alice.id, by=BY, reason="fraud")
    assert ended == 0
    assert user.ban is not None
    assert (user.ban.reason, user.ban.until) == ("fraud", None)
    assert is_ban(await api.ask("GET", "/me", headers=alice.session), until=None)
    assert is_ban(await api.login(await simulator.code()), until=None)
    assert events.names == ["banned", "banned"]


async def test_who_was_kicked_before_is_told_of_the_ban(
    api: Api, simulator: Simulator, admin: Admin
) -> None:
    alice = await log_in(api, simulator)
    await admin.kick(alice.id, by=BY)
    assert (await api.ask("GET", "/me", headers=alice.session)).code == 40103
    assert (await admin.ban(alice.id, by=BY, until=TOMORROW))[1] == 0
    assert is_ban(await api.ask("GET", "/me", headers=alice.session), until=TOMORROW)


async def test_an_unban_lets_the_user_in_again_at_once(
    api: Api, simulator: Simulator, admin: Admin, events: RecordedEvents
) -> None:
    alice = await log_in(api, simulator)
    await admin.ban(alice.id, by=BY)
    assert (await admin.unban(alice.id, by=BY)).ban is None
    assert (await api.ask("GET", "/me", headers=alice.session)).code == 40102
    again = await log_in(api, simulator)
    # Again, and of somebody whose session lives: it stays.
    assert (await admin.unban(alice.id, by=BY)).ban is None
    assert (await api.ask("GET", "/me", headers=again.session)).status == 200
    assert events.names == ["banned", "unbanned"]


async def test_an_unban_that_failed_half_way_can_be_done_again(
    api: Api, simulator: Simulator, admin: Admin, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice = await log_in(api, simulator)
    await admin.ban(alice.id, by=BY)
    with monkeypatch.context() as patched:
        patched.setattr(admin._sessions, "lift_ban", away)
        with pytest.raises(SessionStoreUnavailable):
            await admin.unban(alice.id, by=BY)
    assert (await api.ask("GET", "/me", headers=alice.session)).code == 40300
    await admin.unban(alice.id, by=BY)
    assert (await api.ask("GET", "/me", headers=alice.session)).code == 40102


async def away(*_: object, **__: object) -> None:
    raise SessionStoreUnavailable


async def test_a_ban_that_failed_half_way_refuses_logins_and_can_be_done_again(
    api: Api, simulator: Simulator, admin: Admin, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice = await log_in(api, simulator)
    with monkeypatch.context() as patched:
        patched.setattr(admin._sessions, "mark_user", away)
        with pytest.raises(SessionStoreUnavailable):
            await admin.ban(alice.id, by=BY)
    assert is_ban(await api.login(await simulator.code()), until=None)
    assert (await api.ask("GET", "/me", headers=alice.session)).status == 200, "not ended yet"
    assert (await admin.ban(alice.id, by=BY))[1] == 1
    assert is_ban(await api.ask("GET", "/me", headers=alice.session), until=None)


async def test_a_ban_whose_operator_goes_away_is_seen_through(
    api: Api, simulator: Simulator, admin: Admin, hold: Callable[[str], Pause]
) -> None:
    alice = await log_in(api, simulator)
    pause = hold("ban")
    banning = asyncio.create_task(admin.ban(alice.id, by=BY))
    await pause.reached()
    banning.cancel()
    with suppress(asyncio.CancelledError):
        await banning
    pause.over.set()
    async with asyncio.timeout(5):
        while (await api.ask("GET", "/me", headers=alice.session)).status == 200:
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("until", [0, -1, 1_700_000_000, 4_102_444_800_000])
async def test_an_end_that_is_none_bans_nobody(
    api: Api, simulator: Simulator, admin: Admin, until: int
) -> None:
    alice = await log_in(api, simulator)
    with pytest.raises(InvalidRequest) as refused:
        await admin.ban(alice.id, by=BY, until=until)
    assert refused.value.data is not None
    assert refused.value.data["field"] == "until"
    assert (await api.ask("GET", "/me", headers=alice.session)).status == 200


@pytest.mark.parametrize("user_id", ["nobody", "", "a\0b", "用户", "x" * 500, "\ud800"])
async def test_nobody_is_not_found(admin: Admin, events: RecordedEvents, user_id: str) -> None:
    acts: list[Awaitable[object]] = [
        admin.show(user_id),
        admin.kick(user_id, by=BY),
        admin.ban(user_id, by=BY),
        admin.unban(user_id, by=BY),
        admin.delete(user_id, by=BY),
    ]
    told = await asyncio.gather(*acts, return_exceptions=True)
    assert [type(one) for one in told] == [UserNotFound] * len(acts)
    assert events.told == []


class Pause:
    """Holds one call of a method, when it has been done, until the test lets it go on."""

    def __init__(self, method: Callable[..., Awaitable[Any]]) -> None:
        self._method = method
        self._reached = asyncio.Event()
        self.over = asyncio.Event()

    async def reached(self) -> None:
        async with asyncio.timeout(10):
            await self._reached.wait()

    async def __call__(self, *args: Any, **named: Any) -> Any:
        done = await self._method(*args, **named)
        if not self._reached.is_set():
            self._reached.set()
            await self.over.wait()
        return done


@pytest.fixture
def hold(admin: Admin, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], Pause]]:
    """Stops the next one at that step, of the users or of the sessions."""
    pauses: list[Pause] = []

    def hold(step: str) -> Pause:
        thing: Any = admin._users if hasattr(admin._users, step) else admin._sessions
        pauses.append(Pause(getattr(thing, step)))
        monkeypatch.setattr(thing, step, pauses[-1])
        return pauses[-1]

    yield hold
    for pause in pauses:  # whatever a test that failed has left
        pause.over.set()


@pytest.mark.parametrize(
    ("step", "code"), [("find_or_create", 40300), ("create", 40300), ("user_mark", 0)]
)
async def test_a_login_that_is_anywhere_when_a_ban_comes_leaves_no_live_session(
    api: Api,
    simulator: Simulator,
    admin: Admin,
    hold: Callable[[str], Pause],
    step: str,
    code: int,
) -> None:
    alice = await log_in(api, simulator)
    pause = hold(step)
    login = asyncio.create_task(api.login(await simulator.code()))
    await pause.reached()
    await admin.ban(alice.id, by=BY)
    pause.over.set()
    assert (await login).code == code
    assert await live(admin, alice.id) == 0


@pytest.mark.parametrize("step", ["ban", "mark_user", "identities", "terminate"])
async def test_a_ban_that_is_anywhere_when_a_login_goes_on_leaves_no_live_session(
    api: Api, simulator: Simulator, admin: Admin, hold: Callable[[str], Pause], step: str
) -> None:
    """The login has read that the user may come in, and writes its session in the midst of it."""
    alice = await log_in(api, simulator)
    reading = hold("find_or_create")
    login = asyncio.create_task(api.login(await simulator.code()))
    await reading.reached()
    banning = hold(step)
    ban = asyncio.create_task(admin.ban(alice.id, by=BY))
    await banning.reached()
    reading.over.set()
    if step == "ban":  # only the row says it yet, and nobody looks there twice without a mark
        answer = await login
        assert answer.code == 0
        assert (await api.ask("GET", "/me", headers={"sessionid": answer.data["sessionid"]})).data
    else:
        assert (await login).code == 40300
    banning.over.set()
    await ban
    assert await live(admin, alice.id) == 0
    if step == "ban":
        session = {"sessionid": answer.data["sessionid"]}
        assert is_ban(await api.ask("GET", "/me", headers=session), until=None)


@pytest.mark.parametrize(
    ("mark", "row", "status", "code"),
    [
        ("away", "there", 403, 40300),
        ("there", "away", 503, 50301),
        ("away", "away", 503, 50301),
    ],
)
async def test_where_a_store_goes_away_just_then_the_session_does_not_stand(
    api: Api,
    simulator: Simulator,
    admin: Admin,
    monkeypatch: pytest.MonkeyPatch,
    hold: Callable[[str], Pause],
    mark: str,
    row: str,
    status: int,
    code: int,
) -> None:
    alice = await log_in(api, simulator)
    with monkeypatch.context() as patched:
        pause = hold("find_or_create")
        login = asyncio.create_task(api.login(await simulator.code()))
        await pause.reached()
        await admin.ban(alice.id, by=BY)
        if mark == "away":
            patched.setattr(admin._sessions, "user_mark", away)
        if row == "away":
            patched.setattr(admin._users, "get", users_away)
        pause.over.set()
        answer = await login
    assert (answer.status, answer.code) == (status, code)
    if status == 503:
        assert answer.data["retry"] == "new_code"
    assert await live(admin, alice.id) == 0


async def users_away(_: str) -> None:
    raise UserStoreUnavailable


async def test_a_login_whose_answer_was_lost_is_not_told_it_again(
    api: Api, simulator: Simulator, admin: Admin
) -> None:
    code = await simulator.code()
    login = await api.login(code, key="one-and-the-same-key")
    await admin.ban(login.data["user"]["id"], by=BY, until=TOMORROW)
    assert is_ban(await api.login(code, key="one-and-the-same-key"), until=TOMORROW)
    # And one that was refused is refused again in the same words.
    code = await simulator.code()
    for _ in range(2):
        assert is_ban(await api.login(code, key="another-key-of-theirs"), until=TOMORROW)
