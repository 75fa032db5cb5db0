"""Fills a stage: users to log in, others with live sessions in every layout."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from redis import Redis

from tests.bench.people import (
    aiohttp_records,
    our_records,
    people,
    plain_records,
    register,
    register_plainly,
    store,
)
from tests.bench.tasks import Login, Validation

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tests.bench.people import Person
    from tests.bench.stage import Running

SESSIONS: Final = 1000
_LOGIN_CROWD: Final = 30_000


@dataclass(frozen=True, slots=True)
class Population:
    """What there is to do on a stage."""

    login: Login
    validation: Validation
    spare: Person
    """Somebody whose session nobody needs."""


def populate(
    redis: Running, simulator: Running, *, ours: Path, theirs: Sequence[Path] = ()
) -> Population:
    """Give everybody sessions in `redis`, and accounts in MiniGate's database and the peers'.

    Those who log in are others than those whose sessions are checked, for a
    login ends the session before it.
    """
    members = list(people(_LOGIN_CROWD))
    holders = list(people(SESSIONS + 1, first=_LOGIN_CROWD))
    with Redis(port=redis.port) as client:
        store(client, plain_records([*members, *holders]))
        store(client, our_records(holders))
        store(client, aiohttp_records(holders))
    register(ours, [*members, *holders])
    for database in theirs:
        register_plainly(database, [*members, *holders])
    return Population(Login(simulator, members), Validation(holders[:-1]), holders[-1])
