"""Which keys phone numbers are sealed by."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import func, select

from service.sql.schema import users
from service.stores.keyring import KEY_ID_CHARACTERS

if TYPE_CHECKING:
    from sqlalchemy import Connection


def count_by_key(db: Connection) -> dict[str, int]:
    """How many numbers there are by what they begin with, which tells the key."""
    key = func.substr(users.c.phone, 1, KEY_ID_CHARACTERS).label("key")
    counted = select(key, func.count().label("numbers")).where(users.c.phone.is_not(None))
    return {row.key: row.numbers for row in db.execute(counted.group_by(key)).all()}
