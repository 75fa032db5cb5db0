"""`keys`: a fresh one, and where the change of SECRET_KEYS stands, by what the stores hold."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import pytest
import redis

from service.core.models import Phone, WeChatIdentity
from service.core.outage import Outage
from service.redis.connect import open_client
from service.redis.scripts import Scripts
from service.sql.connect import connect_sql
from service.sql.users import SqlUsers
from service.stores.keyring import Keyring
from service.stores.sessions import RedisSessions
from tests.support.events import RecordedEvents
from tests.support.settings import APPID

if TYPE_CHECKING:
    from collections.abc import Callable

    from service.config.settings import Settings
    from tests.unit.cli.conftest import Cli, Ended

OLD: Final = "old-canary-1c9e4b7a2d8f6053e1b7-of-some-length"
NEW: Final = "new-canary-7f30a5c2e94d8b61f0a2-of-some-length"
LOST: Final = "lost-canary-52b8d1e6f4a907c3b5d9-of-some-length"


def test_a_new_key_is_one_that_the_settings_take(cli: Cli) -> None:
    one, other = (cli("keys", "new").out.strip() for _ in range(2))
    assert one != other
    assert len(one) == 64
    assert cli("check", SECRET_KEYS=one, INTERNAL_TOKEN=other).code == 0


@pytest.fixture
async def sealed(settings: Callable[..., Settings]) -> Callable[..., Any]:
    """Has a number and a session of a user sealed by a key, in the test's stores."""

    async def seal(key: str, openid: str, *, number: bool = True, session: bool = True) -> None:
        own = settings(secret_keys=key)
        client = open_client(own, Outage("redis"))
        assert own.database_url is not None
        database = connect_sql(own.database_url.get_secret_value(), pool_size=2)
        users = SqlUsers(database, Keyring([key], purpose="phone"), Outage("sql"))
        identity = WeChatIdentity(openid, b"k" * 16)
        match = await users.find_or_create(APPID, identity)
        if number:
            phone = Phone.of("86", f"138{len(openid):08d}")
            await users.bind_phone(match.user.id, phone, proven=True, may_change=True)
        if session:
            sessions = RedisSessions(client, Scripts(client), own, events=RecordedEvents())
            await sessions.create(identity, appid=APPID, device="default", user_id=match.user.id)
        await client.aclose()
        await database.aclose()

    return seal


@pytest.fixture
def rotate(settings: Callable[..., Settings], cli: Cli) -> Callable[..., Ended]:
    """Runs `keys rotate` with a ring."""
    own = settings()
    assert own.redis_url is not None
    assert own.database_url is not None
    places = {
        "REDIS_URL": own.redis_url.get_secret_value(),
        "DATABASE_URL": own.database_url.get_secret_value(),
    }

    def run(*ring: str, **variables: str) -> Ended:
        both = {**places, "SECRET_KEYS": ",".join(ring), **variables}
        ended = cli("keys", "rotate", **both)
        assert "canary" not in ended.said
        told = cli("keys", "rotate", "--json", **both)
        assert told.code == ended.code
        return ended._replace(err=told.out)

    return run


def counts(ended: Ended) -> list[tuple[int | None, int, int | None]]:
    """What each key seals: its place, numbers, sessions."""
    keys = json.loads(ended.err)["keys"]
    return [(one["place"], one["phoneNumbers"], one["sessions"]) for one in keys]


def step(ended: Ended) -> str:
    return str(json.loads(ended.err)["step"])


async def run(rotate: Callable[..., Ended], *ring: str, **variables: str) -> Ended:
    """In a thread: a command has an event loop of its own."""
    import asyncio  # noqa: PLC0415

    return await asyncio.to_thread(rotate, *ring, **variables)


async def test_each_step_is_told_with_the_next_command(
    sealed: Callable[..., Any], rotate: Callable[..., Ended]
) -> None:
    await sealed(OLD, "a")
    await sealed(OLD, "bb")

    ended = await run(rotate, OLD)
    assert (ended.code, step(ended)) == (0, "none")
    assert counts(ended) == [(1, 2, 2), (None, 0, 0)]
    assert "python -m service keys new" in ended.out
    assert "(old,new)" in ended.out

    ended = await run(rotate, OLD, NEW)  # step 1 is done
    assert step(ended) == "added_or_old"
    assert "step 1 is done. Move the new one to the FRONT" in ended.out

    ended = await run(rotate, NEW, OLD)  # step 2 is done
    assert step(ended) == "migrate"
    assert counts(ended) == [(1, 0, 0), (2, 2, 2), (None, 0, 0)]
    assert "\n  python -m service migrate\n" in ended.out

    await sealed(NEW, "ccc")
    ended = await run(rotate, NEW, OLD)
    assert counts(ended) == [(1, 1, 1), (2, 2, 2), (None, 0, 0)]


async def test_once_the_numbers_have_moved_the_sessions_are_waited_for(
    sealed: Callable[..., Any], rotate: Callable[..., Ended]
) -> None:
    await sealed(NEW, "a")
    await sealed(OLD, "bb", number=False)
    ended = await run(rotate, NEW, OLD)
    assert (ended.code, step(ended)) == (0, "wait")
    assert "7200 s at\nmost" in ended.out
    longer = {"SESSION_RENEWAL": "sliding", "SESSION_MAX_AGE": "90000"}
    assert "90000 s" in (await run(rotate, NEW, OLD, **longer)).out
    await sealed(NEW, "bb", number=False)  # who logs in again
    assert step(await run(rotate, NEW, OLD)) == "added_or_old"


async def test_a_number_that_no_key_opens_is_exit_1(
    sealed: Callable[..., Any], rotate: Callable[..., Ended]
) -> None:
    await sealed(LOST, "a")
    ended = await run(rotate, NEW, OLD)
    assert (ended.code, step(ended)) == (1, "lost")
    assert counts(ended)[-1] == (None, 1, 1)
    assert "put the lost key back" in ended.out


async def test_where_it_may_not_look_it_says_so(
    sealed: Callable[..., Any],
    rotate: Callable[..., Ended],
    settings: Callable[..., Settings],
) -> None:
    await sealed(NEW, "a")
    address = settings().redis_url
    assert address is not None
    with redis.Redis.from_url(address.get_secret_value()) as client:
        rights = ["on", ">password-canary", "~minigate:*", "+@all", "-scan"]
        client.execute_command("ACL", "SETUSER", "blind", "reset", *rights)
        try:
            kw: dict[str, Any] = client.connection_pool.connection_kwargs
            host = f"{kw['host']}:{kw['port']}" if "host" in kw else None
            prefix = "unix://blind:password-canary@"
            url = f"redis://blind:password-canary@{host}" if host else prefix + kw["path"]
            ended = await run(rotate, NEW, OLD, REDIS_URL=url)
        finally:
            client.execute_command("ACL", "DELUSER", "blind")
    assert ended.code == 0
    assert counts(ended) == [(1, 1, None), (2, 0, None), (None, 0, None)]
    assert "not allowed to look" in ended.out
    assert "step 4, 7200 s after the last restart" in ended.out


async def test_without_redis_the_numbers_are_told_all_the_same(
    sealed: Callable[..., Any], rotate: Callable[..., Ended]
) -> None:
    await sealed(OLD, "a")
    ended = await run(rotate, NEW, OLD, REDIS_URL="redis://127.0.0.1:1")
    assert (ended.code, step(ended)) == (0, "migrate")
    assert "could not be asked" in ended.out
    assert "python -m service doctor" in ended.out


async def test_without_the_database_there_is_nothing_to_tell(
    rotate: Callable[..., Ended],
) -> None:
    with pytest.raises(json.JSONDecodeError):
        json.loads((await run(rotate, NEW, DATABASE_URL="sqlite:////nowhere/at/all.db")).err)
