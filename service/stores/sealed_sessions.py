"""Which keys sessions are sealed by: of a sample, for there may be millions."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

from redis.exceptions import ResponseError

from service.redis.errors import code_word
from service.stores import session_record
from service.stores.session_record import InvalidRecord, SessionRecord

if TYPE_CHECKING:
    from service.redis.client import RedisClient
    from service.redis.node import Node
    from service.stores.keyring import Keyring

_KIND: Final = "session:"
"""As sessions.py has it."""
_PAGE: Final = 200
_MOST_PAGES: Final = 200
"""Where Redis has other things too, sessions may be far apart."""


async def count_by_key(
    redis: RedisClient, keyring: Keyring, *, most: int
) -> Counter[int | None] | None:
    """Of `most` live sessions or fewer, of every server: how many each key of the ring sealed.

    None for a key that is not in it. None in place of all where this user of Redis may
    not look (config/redis-acl.conf). Raises FAULTS and SessionStoreUnavailable.
    """
    found: Counter[int | None] = Counter()
    await redis.topology.find_node(redis.prefix)
    nodes = redis.topology.nodes()
    try:
        for node in nodes:
            found += await _count_at(node, redis.prefix + _KIND, keyring, -(-most // len(nodes)))
    except ResponseError as fault:
        if code_word(fault) == "NOPERM":
            return None
        raise
    return found


async def _count_at(node: Node, prefix: str, keyring: Keyring, most: int) -> Counter[int | None]:
    found: Counter[int | None] = Counter()
    cursor = b"0"
    for _ in range(_MOST_PAGES):
        cursor, keys = await node.execute("SCAN", cursor, "MATCH", f"{prefix}*", "COUNT", _PAGE)
        for key in keys[: most - found.total()]:
            raw = await node.get(key.decode())
            if raw is None:
                continue
            try:
                record = SessionRecord.read(raw, handle=key.decode().removeprefix(prefix))
            except (InvalidRecord, ValueError):
                continue
            if record.ending is None:
                found[session_record.place_of_key(record.sealed, keyring)] += 1
        if cursor == b"0" or found.total() >= most:
            break
    return found
