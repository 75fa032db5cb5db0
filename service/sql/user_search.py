"""Users as operators look for them: one page of them, by one field."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from sqlalchemy import ColumnElement, collate, or_, select

from service.core import base64url
from service.core.errors import InvalidRequest
from service.core.search_value import is_name
from service.sql.schema import identities, phones, users

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Column, Connection, Row, Select

    from service.core.models import SearchField
    from service.stores.keyring import Keyring

_BYTEWISE: Final = {"postgresql": "C", "sqlite": "BINARY"}
"""The collation of either that goes by code points. It is that of the index."""
_SURROGATES: Final = (0xD800, 0xDFFF)


class FoundRows(NamedTuple):
    """Rows of users, and what `after` has to be for more."""

    rows: Sequence[Row[Any]]
    next: str


class UserSearch:
    """A question that may be asked more than once.

    Pages are told apart by nickname and id, the order in which users come: who comes or
    goes meanwhile moves nobody else from one page to another.
    """

    def __init__(
        self, field: SearchField, value: str, keyring: Keyring, *, limit: int, after: str
    ) -> None:
        """Raises InvalidRequest for an `after` that no page said."""
        self._field = field
        self._value = value
        self._fingerprints = keyring.fingerprints(value) if field == "phone" else []
        self._limit = limit
        self._after = _read_cursor(after) if after else None

    def rows(self, db: Connection) -> FoundRows:
        """The page, in one statement."""
        rows = db.execute(self.statement(db.dialect.name)).all()
        page = rows[: self._limit]
        return FoundRows(page, _cursor(page[-1]) if len(rows) > self._limit else "")

    def statement(self, dialect: str) -> Select[Any]:
        """That page, and one row more where there is one."""
        nickname = collate(users.c.nickname, _BYTEWISE[dialect])
        statement = select(users).where(self._wanted(nickname)).order_by(nickname, users.c.id)
        if self._after:
            name, user_id = self._after
            later = (nickname == name) & (users.c.id > user_id)
            # The nickname also by itself: from there on the index is read.
            statement = statement.where(nickname >= name, or_(nickname > name, later))
        return statement.limit(self._limit + 1)

    def _wanted(self, nickname: ColumnElement[str]) -> ColumnElement[bool]:
        match self._field:
            case "id":
                return users.c.id == self._value
            case "openid":
                return _owns(identities.c.openid, [self._value], identities.c.user_id)
            case "unionid":
                return _owns(identities.c.unionid, [self._value], identities.c.user_id)
            case "phone":
                return _owns(phones.c.fingerprint, self._fingerprints, phones.c.user_id)
            case "nickname":
                # No LIKE: nothing in it means anything else, and an index is used.
                end = _after_all(self._value)
                begins = nickname >= self._value
                return begins & (nickname < end) if end else begins


def _owns(column: Column[Any], values: list[str], owner: Column[str]) -> ColumnElement[bool]:
    return users.c.id.in_(select(owner).where(column.in_(values)))


def _after_all(prefix: str) -> str:
    """The least text that comes after all that begin with `prefix`, by code points; "" if none."""
    rest = prefix.rstrip(chr(sys.maxunicode))
    if not rest:
        return ""
    following = ord(rest[-1]) + 1
    if following == _SURROGATES[0]:  # which are no characters
        following = _SURROGATES[1] + 1
    return rest[:-1] + chr(following)


def _cursor(row: Row[Any]) -> str:
    return f"{row.id}.{base64url.encode(row.nickname.encode())}"


def _read_cursor(text: str) -> tuple[str, str]:
    """Nickname and id of the last one of a page."""
    user_id, _, name = text.partition(".")
    try:
        nickname = base64url.decode(name).decode()
    except ValueError:
        nickname = ""
    if not nickname or "\0" in nickname or not is_name(user_id):
        raise InvalidRequest("after", "not the `next` of an answer")
    return nickname, user_id
