"""Where a Redis of several machines is found: what REDIS_URL says beyond one server."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final, Literal, NamedTuple
from urllib.parse import unquote

CLUSTER_SCHEMES: Final = ("redis+cluster://", "rediss+cluster://")
SENTINEL_SCHEMES: Final = ("redis+sentinel://",)

_CLUSTER_FORM: Final = "redis+cluster://[[user]:password@]host[:port][,host[:port]...]"
_SENTINEL_FORM: Final = (
    "redis+sentinel://[[user]:password@]host[:port][,host[:port]...]/master-name[/database]"
)
_NODE: Final = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9_.-]+))(?::([0-9]{1,5}))?", re.ASCII)
_MASTER: Final = re.compile(r"([A-Za-z0-9._-]+)(?:/([0-9]{1,4}))?/?", re.ASCII)
_HIGHEST_PORT: Final = 65535


class Node(NamedTuple):
    """Where one server listens."""

    host: str
    port: int


@dataclass(frozen=True, slots=True)
class RedisAddress:
    """A cluster by some of its nodes, or a primary by the sentinels that know it."""

    kind: Literal["cluster", "sentinel"]
    nodes: tuple[Node, ...]
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    tls: bool = False
    master: str = ""
    """What the sentinels call the primary."""
    database: int = 0

    @classmethod
    def parse(cls, url: str) -> RedisAddress | None:
        """None for an address of a single server, which the driver reads itself.

        Raises ValueError; its text shows the form and nothing of `url`.
        """
        scheme, _, rest = url.partition("://")
        credentials, _, place = rest.rpartition("@")
        hosts, _, path = place.partition("/")
        if f"{scheme}://" in CLUSTER_SCHEMES:
            if path:  # a cluster has no databases
                raise _WrongForm(_CLUSTER_FORM)
            nodes = _nodes(hosts, 6379, _CLUSTER_FORM)
            tls = scheme.startswith("rediss")
            return cls("cluster", nodes, *_credentials(credentials), tls=tls)
        if f"{scheme}://" in SENTINEL_SCHEMES:
            named = _MASTER.fullmatch(path)
            if named is None:
                raise _WrongForm(_SENTINEL_FORM)
            nodes = _nodes(hosts, 26379, _SENTINEL_FORM)
            master, database = named[1], int(named[2] or 0)
            return cls(
                "sentinel", nodes, *_credentials(credentials), master=master, database=database
            )
        return None


class _WrongForm(ValueError):
    def __init__(self, form: str) -> None:
        super().__init__(f"must be of the form {form}")


def _credentials(text: str) -> tuple[str | None, str | None]:
    if not text:
        return None, None
    username, _, password = text.partition(":")
    if not password:
        raise ValueError("must have user:password@ or :password@ before the hosts")
    return unquote(username) or None, unquote(password)


def _nodes(text: str, usual_port: int, form: str) -> tuple[Node, ...]:
    found = [_NODE.fullmatch(part) for part in text.split(",")]
    nodes = [Node(one[1] or one[2], int(one[3] or usual_port)) for one in found if one]
    if len(nodes) < len(found):
        raise _WrongForm(form)
    if not all(0 < node.port <= _HIGHEST_PORT for node in nodes):
        raise ValueError("must have ports from 1 to 65535")
    return tuple(dict.fromkeys(nodes))
