"""What a user of Redis may do, found out by doing it to a key of one's own."""

from __future__ import annotations

import hashlib
import re
import secrets
from typing import TYPE_CHECKING, Final

from service.redis.errors import FAULTS, code_word

if TYPE_CHECKING:
    from collections.abc import Iterator

    from service.config.settings import Settings
    from service.redis.client import RedisClient
    from service.redis.node import Node

_NOTHING: Final = "return 1"
_SHA: Final = hashlib.sha1(_NOTHING.encode(), usedforsecurity=False).hexdigest()
_NUMBER: Final = re.compile(r"(?:/|\?db=)([0-9]{1,4})/?$", re.ASCII)
_COMMAND: Final = re.compile(r"'([a-z|]+)' command", re.ASCII)
_MARK_MS: Final = 1000
"""After which nothing is left, whatever becomes of whoever made it."""

_LOOKED_AT: Final = frozenset({"NOSCRIPT", "WRONGTYPE", "ERR"})
"""How Redis refuses what it would let this user do."""

Command = tuple[str | int, ...]


CAN_DO_WITHOUT: Final = frozenset(
    {"+role", "+echo", "+info", "+xadd", "+xrevrange", "+pfadd", "+pfcount"}
)
"""Sessions do: what is missing then is a look, or events."""


def commands_for(
    key: str, *, database: int | None, confirmed: bool, in_cluster: bool, events: bool
) -> Iterator[tuple[str, Command]]:
    """What the service has to be allowed, as config/redis-acl.conf writes it, and one such command.

    `database`: the number in REDIS_URL. `confirmed`: SESSION_CONFIRM_REPLICAS is set.
    `events`: EVENTS_KEPT is not 0. Where the key holds a text, those of other kinds change nothing.
    """
    yield "+set", ("SET", key, "", "PX", _MARK_MS)
    yield "+get", ("GET", key)
    yield "+mget", ("MGET", key)
    yield "+type", ("TYPE", key)
    yield "+pttl", ("PTTL", key)
    yield "+pexpire", ("PEXPIRE", key, _MARK_MS)
    if events:
        yield "+xadd", ("XADD", key, "*", "e", "")
        yield "+xrevrange", ("XREVRANGE", key, "+", "-", "COUNT", 1)
    yield "+pfadd", ("PFADD", key, "")
    yield "+pfcount", ("PFCOUNT", key)
    yield "+eval", ("EVAL", _NOTHING, 1, key)
    yield "+evalsha", ("EVALSHA", _SHA, 1, key)
    yield "+time", ("TIME",)
    yield "+info", ("INFO", "server")
    yield "+role", ("ROLE",)
    yield "+echo", ("ECHO", "1")
    if database is not None:
        yield "+select", ("SELECT", database)
    if confirmed:
        yield "~{<prefix>*}:confirm", ("SET", f"{{{key}}}:confirm", "", "PX", _MARK_MS)
        yield "+wait", ("WAIT", 0, 1)
    if in_cluster:
        yield "+asking", ("ASKING",)
        yield "+cluster|info", ("CLUSTER", "INFO")
        yield "+cluster|slots", ("CLUSTER", "SLOTS")
    yield "+del", ("DEL", key)


async def missing_rights(client: RedisClient, settings: Settings) -> tuple[int, list[str]]:
    """How much was tried, and what of it is refused on some server. Raises FAULTS."""
    url = settings.redis_url.get_secret_value() if settings.redis_url else ""
    number = _NUMBER.search(url)
    tried, missing = 0, dict[str, None]()
    for node in client.topology.nodes():
        key = key_at(client, node)
        wanted = commands_for(
            key,
            database=int(number[1]) if number else None,
            confirmed=client.replicas > 0,
            in_cluster=node.in_cluster,
            events=settings.events_kept > 0,
        )
        tried = 0
        for right, command in wanted:
            tried += 1
            if refused := await _refused(node, right, command, client.prefix):
                missing[refused] = None
    return tried, list(missing)


def key_at(client: RedisClient, node: Node) -> str:
    """A key of this server that nobody else has."""
    while True:
        key = f"{client.prefix}doctor:{secrets.token_hex(8)}"
        if client.topology.node_of(key) is node:
            return key


async def _refused(node: Node, right: str, command: Command, prefix: str) -> str:
    """The right that is lacking for it, or ""."""
    try:
        await node.execute(*command)
    except FAULTS as fault:
        word = code_word(fault)
        if word in _LOOKED_AT:  # it was looked at, so it is allowed
            return ""
        if word != "NOPERM":
            raise
        # Of a key, or of a command: the words of Redis 6.2 and of 7 differ. The command may be
        # another one, by which the connection is made.
        if " key" in str(fault):
            return (right if right.startswith("~") else "~<prefix>*").replace("<prefix>", prefix)
        named = _COMMAND.search(str(fault))
        return f"+{named[1]}" if named else right
    return ""
