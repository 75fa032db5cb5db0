"""What DATABASE_URL may say, and what it means to SQLAlchemy and its driver."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote

from sqlalchemy.engine import make_url

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy.engine import URL

_TLS_MODES: Final = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
_HIGHEST_PORT: Final = 65535
_SERVER_KINDS: Final = (
    "any",
    "primary",
    "standby",
    "read-write",
    "read-only",
    "prefer-standby",
)
_DRIVERS: Final = ("host", "port", "target_session_attrs")
"""Parameters that the driver reads itself."""
_POOLED: Final = {
    "pgbouncer": "true",
    "statement_cache_size": "0",
    "prepared_statement_cache_size": "0",
}
"""How others say that there is a pooler in transaction mode: any of these will do."""
_TAKEN: Final = (*_DRIVERS, "sslmode", "ssl", "sslrootcert", "application_name", *_POOLED)
_COMMON: Final = frozenset(
    {
        "channel_binding",
        "client_encoding",
        "connect_timeout",
        "connection_limit",
        "gssencmode",
        "hostaddr",
        "keepalives",
        "keepalives_count",
        "keepalives_idle",
        "keepalives_interval",
        "options",
        "passfile",
        "pool_timeout",
        "requirepeer",
        "schema",
        "search_path",
        "service",
        "sslcert",
        "sslcrl",
        "sslkey",
        "sslpassword",
        "statement_timeout",
        "tcp_user_timeout",
    }
)
"""What other programs take. No other name is shown: it may be a part of a password."""
_OF_SQLITE: Final = frozenset(
    ("cache", "cached_statements", "immutable", "mode", "modeof", "nolock", "timeout", "uri", "vfs")
)
_UNENCODED: Final = (
    "must have @ of its password and its ?parameters percent-encoded: %40; so had better be"
    " / ? # : and %, %2F %3F %23 %3A %25"
)


def driver_url(address: str) -> tuple[URL, dict[str, Any]]:
    """The URL for our driver, and its arguments, from any common spelling of a database URL.

    Hosted databases hand out `postgres://` and libpq's `sslmode`, which
    SQLAlchemy and asyncpg spell otherwise. Raises ValueError for other databases
    and for what no connection can be made of; its text shows nothing of `address`.
    """
    try:
        url = make_url(address)
    except Exception:  # noqa: BLE001 # whatever the parser stumbles over, with the address in its text
        raise ValueError(
            "not a database URL: must be postgresql://user:password@host:port/name, with"
            " / ? # @ : of the password percent-encoded, or sqlite:///file"
        ) from None
    _refuse_misread(address, url)
    backend = url.drivername.partition("+")[0]
    if backend == "sqlite":
        _refuse_no_file(url)
        if not url.query.keys() <= _OF_SQLITE:
            raise ValueError(f"must have no ?parameters but {', '.join(sorted(_OF_SQLITE))}")
        return url.set(drivername="sqlite"), {}
    if backend in {"postgres", "postgresql"}:
        if url.port is not None and not 0 < url.port <= _HIGHEST_PORT:
            raise ValueError("must have a port from 1 to 65535")
        _refuse_unknown(url.query)
        kept = {name: value for name, value in url.query.items() if name in _DRIVERS}
        arguments: dict[str, Any] = {"ssl": _tls(url.query)}
        if "application_name" in url.query:
            arguments["server_settings"] = {"application_name": url.query["application_name"]}
        if not _POOLED.keys().isdisjoint(url.query):
            arguments["statement_cache_size"] = 0
        return url.set(drivername="postgresql+asyncpg", query=kept), {
            name: value for name, value in arguments.items() if value is not None
        }
    raise ValueError("must begin with postgresql://, postgres:// or sqlite:///")


def place_of(address: str) -> str:
    """Where a DATABASE_URL leads, for the log: a file, or host and port."""
    url, _ = driver_url(address)
    if url.get_backend_name() == "sqlite":
        return str(url.database)
    host = url.host or url.query.get("host") or "localhost"
    return f"{host}:{url.port or url.query.get('port') or 5432}"


def _refuse_misread(address: str, url: URL) -> None:
    """Raise ValueError where a password was taken for a part of the host."""
    credentials, at, _ = address.partition("://")[2].rpartition("@")
    user, _, password = credentials.partition(":")
    if at and (unquote(user), unquote(password)) != (url.username or "", url.password or ""):
        raise ValueError(_UNENCODED)


def _refuse_unknown(query: Mapping[str, Any]) -> None:
    """Raise ValueError for parameters that would be passed over, or be taken for others."""
    unknown = sorted(query.keys() - set(_TAKEN))
    if unknown:
        shown = [name if name in _COMMON else "one of another name" for name in unknown]
        raise ValueError(
            f"must have no ?parameters but {', '.join(_TAKEN)}: {', '.join(dict.fromkeys(shown))}"
            " would have no effect"
        )
    for name in set(_POOLED) & query.keys():
        if query[name] != _POOLED[name]:
            raise ValueError(f"must have {name}={_POOLED[name]}, or no {name} at all")
    if query.get("target_session_attrs", "any") not in _SERVER_KINDS:
        raise ValueError(f"must have one of {' '.join(_SERVER_KINDS)} for target_session_attrs")


def _refuse_no_file(url: URL) -> None:
    """Raise ValueError for a database in memory: each connection would have its own."""
    in_memory = url.database == ":memory:" or url.query.get("mode") == "memory"
    if url.host or not url.database or in_memory:
        raise ValueError("must name a file: sqlite:///users.db or sqlite:////whole/path/users.db")


def _tls(query: Mapping[str, Any]) -> str | ssl.SSLContext | None:
    """What asyncpg takes for libpq's sslmode and sslrootcert."""
    mode = query.get("sslmode") or query.get("ssl")
    if mode and mode not in _TLS_MODES:
        raise ValueError(f"must have one of {' '.join(_TLS_MODES)} for sslmode")
    if "sslrootcert" not in query:
        return str(mode) if mode else None
    try:
        context = ssl.create_default_context(cafile=str(query["sslrootcert"]))
    except OSError:  # ssl's own are of these, too
        raise ValueError("must have for sslrootcert a file of certificates, in PEM") from None
    context.check_hostname = mode == "verify-full"
    return context
