"""The users of a benchmark, and their sessions in Redis in every layout that is measured."""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Final

import orjson
from sqlalchemy import create_engine, insert

from service.core.lifetime import Lifetime
from service.core.models import SessionId, WeChatIdentity, handle_of
from service.simulator.state.identities import openid_of
from service.sql.schema import identities, users
from service.stores import session_record
from service.stores.keyring import Keyring
from tests.support.keys import SESSION_PREFIX as KEY_PREFIX

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from redis import Redis

APPID: Final = "wx0be9c4a11ab1e000"
APP_SECRET: Final = "bench" * 6
SECRET_KEY: Final = "benchmark-3f7a91c0d84e62b5a17f9c20"
TTL: Final = 7200
_SESSION_KEY: Final = bytes(range(16))
_AT_ONCE: Final = 5000


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody with an account and a live session."""

    name: str
    openid: str
    user_id: str
    session_id: SessionId

    @property
    def sessionid(self) -> str:
        """What the client sends."""
        return self.session_id.text


def people(count: int, *, first: int = 0) -> Iterator[Person]:
    """`count` users as the simulator knows them, each with a session id."""
    return (_person(number) for number in range(first, first + count))


def _person(number: int) -> Person:
    name = f"user{number}"
    openid = openid_of(appid=APPID, user=name)
    handle = handle_of(APPID, openid, "default")
    return Person(name, openid, f"u{number:015d}", SessionId.new(handle))


def our_records(crowd: Iterable[Person]) -> Iterator[tuple[str, bytes]]:
    """Key and record of each session as a first login of MiniGate writes them."""
    keyring = Keyring([SECRET_KEY], purpose="session")
    for person in crowd:
        record = session_record.write(
            person.session_id,
            WeChatIdentity(person.openid, _SESSION_KEY),
            appid=APPID,
            device="default",
            user_id=person.user_id,
            issued_at=int(time.time() * 1000),
            lifetime=Lifetime.of(ttl=TTL, max_age=TTL, sliding=False),
            keyring=keyring,
        )
        yield KEY_PREFIX + person.session_id.handle, record


def plain_records(crowd: Iterable[Person]) -> Iterator[tuple[str, bytes]]:
    """The two keys of the usual layout: id to session, user to id."""
    for person in crowd:
        yield f"session:{person.sessionid}", orjson.dumps(_plain_session(person))
        yield f"user:{person.openid}", person.sessionid.encode()


def aiohttp_records(crowd: Iterable[Person]) -> Iterator[tuple[str, bytes]]:
    """The same as aiohttp-session writes it."""
    for person in crowd:
        kept = {"created": int(time.time()), "session": _plain_session(person)}
        yield f"AIOHTTP_SESSION_{person.sessionid}", orjson.dumps(kept)


def _plain_session(person: Person) -> dict[str, object]:
    return {
        "user": person.user_id,
        "openid": person.openid,
        "appid": APPID,
        "unionid": "",
        "session_key": "AAECAwQFBgcICQoLDA0ODw==",
        "expires_at": time.time() + TTL,
    }


def store(redis: Redis, records: Iterable[tuple[str, bytes]]) -> None:
    """Write records, each with the life of a session."""
    rows = iter(records)
    while batch := list(islice(rows, _AT_ONCE)):
        pipeline = redis.pipeline(transaction=False)
        for key, value in batch:
            pipeline.set(key, value, px=TTL * 1000)
        pipeline.execute()


def register(database: Path, crowd: Sequence[Person]) -> None:
    """Give everybody an account, as if they had logged in before."""
    now = int(time.time())
    accounts = [
        {
            "id": person.user_id,
            "nickname": "用户ABCDEF",
            "avatar": "default-avatar.png",
            "created_at": now,
            "updated_at": now,
        }
        for person in crowd
    ]
    names = [
        {"appid": APPID, "openid": person.openid, "user_id": person.user_id} for person in crowd
    ]
    engine = create_engine(f"sqlite:///{database}")
    with engine.begin() as connection:
        connection.execute(insert(users), accounts)
        connection.execute(insert(identities), names)
    engine.dispose()


def register_plainly(database: Path, crowd: Sequence[Person]) -> None:
    """The same in a peer's one table, which it has made."""
    rows = [
        (person.user_id, APPID, person.openid, "用户ABCDEF", "/uploads/default-avatar.png")
        for person in crowd
    ]
    columns = "id, appid, openid, nickname, avatar"
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.executemany(f"INSERT INTO users ({columns}) VALUES (?, ?, ?, ?, ?)", rows)  # noqa: S608 # ours
