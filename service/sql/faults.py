"""Why the user database failed, in words that an operator can look up."""

from __future__ import annotations

import re
from typing import Final

from service.core.fault_cause import name_fault

_ON_TLS: Final = "?sslrootcert= in DATABASE_URL names an authority of your own"
_SQLSTATE: Final = re.compile(r"\(SQLSTATE (\w{5})")
_HINTS: Final = {
    "28P01": "the user or the password in DATABASE_URL is wrong",
    "28000": "pg_hba.conf lets this user not in from here, or not without TLS",
    "3D000": "there is no database of the name in DATABASE_URL",
    "42501": "the user in DATABASE_URL may not do this: see GRANT",
    "53300": "the server has no more connections: compare DATABASE_CONNECTIONS and max_connections",
    "25006": "a replica answers at this address, or the server is set to be read-only",
    "57P03": "the server is starting or stopping",
}


class NotInTime(TimeoutError):
    """A place, a connection or an answer was waited for in vain; the text says which."""


def name_sql_fault(fault: BaseException) -> str:
    """What `fault` was, for the log: no text of the driver's, which may hold the address."""
    if isinstance(fault, NotInTime):
        return str(fault)
    if type(fault) is TimeoutError:
        return "no answer in time"
    name = name_fault(fault, on_tls=_ON_TLS)
    state = _SQLSTATE.search(name)
    hint = _HINTS.get(state[1]) if state else None
    return f"{name}: {hint}" if hint else name
