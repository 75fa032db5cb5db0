"""What DATABASE_URL may say, and what it means to SQLAlchemy and its driver."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy.engine import make_url

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy.engine import URL

_TLS_MODES: Final = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
_HIGHEST_PORT: Final = 65535


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
    backend = url.drivername.partition("+")[0]
    if backend == "sqlite":
        _refuse_no_file(url)
        return url.set(drivername="sqlite"), {}
    if backend in {"postgres", "postgresql"}:
        if url.port is not None and not 0 < url.port <= _HIGHEST_PORT:
            raise ValueError("must have a port from 1 to 65535")
        # Of libpq's parameters asyncpg knows these, some as arguments; others are left out.
        kept = {name: value for name, value in url.query.items() if name in {"host", "port"}}
        arguments: dict[str, Any] = {"ssl": _tls(url.query)}
        if "application_name" in url.query:
            arguments["server_settings"] = {"application_name": url.query["application_name"]}
        return url.set(drivername="postgresql+asyncpg", query=kept), {
            name: value for name, value in arguments.items() if value is not None
        }
    raise ValueError("must begin with postgresql://, postgres:// or sqlite:///")


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
