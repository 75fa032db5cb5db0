"""Where Redis is found: what REDIS_URL may say, and what it says of several machines."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal, NamedTuple
from urllib.parse import parse_qsl, unquote, urlsplit

CLUSTER_SCHEMES: Final = ("redis+cluster://", "rediss+cluster://")
SENTINEL_SCHEMES: Final = ("redis+sentinel://", "rediss+sentinel://")

_SERVER_FORM: Final = "redis://[[user]:password@]host[:port][/database]"
_SOCKET_FORM: Final = "unix://[[user]:password@]/path/of.sock[?db=database]"
_CLUSTER_FORM: Final = "redis+cluster://[[user]:password@]host[:port][,host[:port]...]"
_SENTINEL_FORM: Final = (
    "redis+sentinel://[[user]:password@]host[:port][,host[:port]...]/master-name[/database]"
)
_NODE: Final = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9_.-]+))(?::([0-9]{1,5}))?", re.ASCII)
_MASTER: Final = re.compile(r"([A-Za-z0-9._-]+)(?:/([0-9]{1,4}))?/?", re.ASCII)
_DATABASE: Final = re.compile(r"(?:[0-9]{1,4}/?)?", re.ASCII)
_SOCKET: Final = re.compile(r"(?:[^/?#]*@)?/[^?#]+(?:\?db=[0-9]{1,4})?", re.ASCII)
_TLS_FILES: Final = frozenset({"ssl_ca_certs", "ssl_certfile", "ssl_keyfile"})
_HIGHEST_PORT: Final = 65535

_UNENCODED: Final = (
    "must have % / ? # @ [ ] of its password percent-encoded: %25 %2F %3F %23 %40 %5B %5D,"
    " and likewise what is not ASCII"
)
_PARAMETERS: Final = (
    "must have no ?parameters but ssl_ca_certs, ssl_certfile and ssl_keyfile with rediss://;"
    " the database is a /number, the rest REDIS_TLS_VERIFY, REDIS_TIMEOUT_MS and"
    " REDIS_MAX_CONNECTIONS"
)


class HostPort(NamedTuple):
    """Where one server listens."""

    host: str
    port: int


@dataclass(frozen=True, slots=True)
class RedisAddress:
    """A cluster by some of its nodes, or a primary by the sentinels that know it."""

    kind: Literal["cluster", "sentinel"]
    hosts: tuple[HostPort, ...]
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    tls: bool = False
    master: str = ""
    """What the sentinels call the primary."""
    database: int = 0
    tls_files: tuple[tuple[str, str], ...] = ()
    """What the driver calls a certificate, or a key, and the file that it is in."""

    @classmethod
    def parse(cls, url: str) -> RedisAddress | None:
        """None for an address of a single server, which the driver reads itself.

        Raises ValueError for any that cannot be read, or that would tell the
        driver what the settings decide; its text shows nothing of `url`.
        """
        scheme, _, rest = url.partition("://")
        if scheme == "unix":  # its path may have an @
            if not _SOCKET.fullmatch(rest):
                raise _WrongForm(_SOCKET_FORM)
            return None
        credentials, _, place = rest.rpartition("@")
        if any(mark in credentials for mark in "/?#"):
            raise ValueError(_UNENCODED)
        tls = scheme.startswith("rediss")
        if f"{scheme}://" not in (*CLUSTER_SCHEMES, *SENTINEL_SCHEMES):
            _check_server(url, place)
            return None
        servers, _, parameters = place.partition("?")
        files = _tls_files(parameters, tls=tls)
        hosts, _, path = servers.partition("/")
        if f"{scheme}://" in CLUSTER_SCHEMES:
            if path:  # a cluster has no databases
                raise _WrongForm(_CLUSTER_FORM)
            nodes = _nodes(hosts, 6379, _CLUSTER_FORM)
            return cls("cluster", nodes, *_credentials(credentials), tls=tls, tls_files=files)
        named = _MASTER.fullmatch(path)
        if named is None:
            raise _WrongForm(_SENTINEL_FORM)
        return cls(
            "sentinel",
            _nodes(hosts, 26379, _SENTINEL_FORM),
            *_credentials(credentials),
            tls=tls,
            master=named[1],
            database=int(named[2] or 0),
            tls_files=files,
        )


def place_of(url: str) -> str:
    """Where a REDIS_URL leads, for the log: without user, password and parameters."""
    address = RedisAddress.parse(url)
    if address is not None:
        return ",".join(f"{one.host}:{one.port}" for one in address.hosts)
    scheme, _, rest = url.partition("://")
    place = rest.rpartition("@")[2].partition("?")[0]
    if scheme == "unix":
        return place
    [node] = _nodes(place.partition("/")[0], 6379, _SERVER_FORM)
    return f"{node.host}:{node.port}"


class _WrongForm(ValueError):
    def __init__(self, form: str) -> None:
        super().__init__(f"must be of the form {form}")


def _check_server(url: str, place: str) -> None:
    """Raise ValueError for what the driver would fail on, ignore, or put above the settings."""
    address, _, parameters = place.partition("?")
    host, _, database = address.partition("/")
    _nodes(host, 6379, _SERVER_FORM)
    if "," in host or not _DATABASE.fullmatch(database):
        raise _WrongForm(_SERVER_FORM)
    _tls_files(parameters, tls=url.startswith("rediss://"))
    try:
        urlsplit(url)  # as the driver does: its own texts show the password
    except ValueError:
        raise ValueError(_UNENCODED) from None


def _tls_files(text: str, *, tls: bool) -> tuple[tuple[str, str], ...]:
    # The driver puts parameters above the settings: only what no setting says is allowed.
    given = parse_qsl(text, keep_blank_values=True)
    if not {name for name, _ in given} <= (_TLS_FILES if tls else set()):
        raise ValueError(_PARAMETERS)
    if not all(Path(file).is_file() for _, file in given):
        raise ValueError("must name files that are there in its ?parameters")
    return tuple(given)


def _credentials(text: str) -> tuple[str | None, str | None]:
    if not text:
        return None, None
    username, _, password = text.partition(":")
    if not password:
        raise ValueError("must have user:password@ or :password@ before the hosts")
    return unquote(username) or None, unquote(password)


def _nodes(text: str, usual_port: int, form: str) -> tuple[HostPort, ...]:
    found = [_NODE.fullmatch(part) for part in text.split(",")]
    nodes = [HostPort(one[1] or one[2], int(one[3] or usual_port)) for one in found if one]
    if len(nodes) < len(found):
        raise _WrongForm(form)
    if not all(0 < node.port <= _HIGHEST_PORT for node in nodes):
        raise ValueError("must have ports from 1 to 65535")
    return tuple(dict.fromkeys(nodes))
