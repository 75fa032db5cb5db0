"""The rows of users: what a change of SqlUsers is made of, within its transaction.

Every find-or-create is an upsert that returns the owner, old or new, so that of
many first logins at once one makes the user and all others get that user. The
locks of a transaction are taken in one order: phones, unions, identities, users.
"""

from __future__ import annotations

import secrets
import time
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import (
    ARRAY,
    String,
    Table,
    and_,
    bindparam,
    exists,
    func,
    insert,
    select,
    update,
)

from service.core.models import DEFAULT_AVATAR, UserIdentity
from service.sql.schema import identities, phones, unions, users

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from sqlalchemy import Connection, Insert, Row

    from service.core.models import WeChatIdentity

_NICKNAME_LETTERS: Final = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ"

# Made once: SQLAlchemy recognises a statement it has compiled by its object, and
# this one is asked at every login.
BY_OPENID: Final = (
    select(users, identities.c.unionid)
    .select_from(identities.join(users))
    .where(
        identities.c.appid == bindparam("appid"),
        identities.c.openid == bindparam("openid"),
    )
)
_NAMES: Final = (
    func.unnest(bindparam("appids", type_=ARRAY(String)), bindparam("openids", type_=ARRAY(String)))
    .table_valued("appid", "openid")
    .render_derived(name="asked")
)
_BY_OPENIDS: Final = (
    # PostgreSQL's; one text however many there are, so that it stays prepared.
    select(users, identities.c.unionid, identities.c.appid, identities.c.openid).select_from(
        identities.join(users).join(
            _NAMES,
            and_(identities.c.appid == _NAMES.c.appid, identities.c.openid == _NAMES.c.openid),
        )
    )
)
_BY_ID: Final = select(users).where(users.c.id == bindparam("user_id"))
_EXISTING: Final = select(users.c.id).where(users.c.id.in_(bindparam("user_ids", expanding=True)))


def by_openid(db: Connection, appid: str, openid: str) -> Row[Any] | None:
    """The user's row, with the unionid known of this openid."""
    return db.execute(BY_OPENID, {"appid": appid, "openid": openid}).first()


def by_openids(
    db: Connection, names: Collection[tuple[str, str]]
) -> dict[tuple[str, str], Row[Any]]:
    """The same of several, by appid and openid, in one question to PostgreSQL."""
    appids, openids = zip(*names, strict=True)
    rows = db.execute(_BY_OPENIDS, {"appids": list(appids), "openids": list(openids)})
    return {(row.appid, row.openid): row for row in rows}


def by_id(db: Connection, user_id: str) -> Row[Any] | None:
    """The user's row."""
    return db.execute(_BY_ID, {"user_id": user_id}).first()


def existing(db: Connection, user_ids: Collection[str]) -> set[str]:
    """Those of these ids that a user has."""
    return set(db.execute(_EXISTING, {"user_ids": list(user_ids)}).scalars())


def lock_user(db: Connection, user_id: str) -> Row[Any] | None:
    """The user's row; until this transaction ends no other can change it or refer to it."""
    return db.execute(_BY_ID.with_for_update(), {"user_id": user_id}).first()


def lock_names(db: Connection, user_id: str) -> None:
    """Lock the user's phones, unions and identities, in the order in which a login does."""
    for table in (phones, unions, identities):
        db.execute(select(table).where(table.c.user_id == user_id).with_for_update())


def update_user(db: Connection, user_id: str, **values: str | int | None) -> Row[Any] | None:
    """Change columns of the user's row; the row as it is then."""
    statement = update(users).where(users.c.id == user_id).values(**values)
    return db.execute(statement.values(updated_at=int(time.time())).returning(*users.c)).first()


def likely_owner(
    db: Connection, appid: str, identity: WeChatIdentity
) -> tuple[str | None, str | None]:
    """Whose the identity is at this moment, and the unionid that is known of it.

    Nothing is locked: it may be another's in the next.
    """
    row = by_openid(db, appid, identity.openid)
    if row is not None:
        return str(row.id), identity.unionid or row.unionid
    union = select(unions.c.user_id).where(unions.c.unionid == identity.unionid)
    return db.execute(union).scalar() if identity.unionid else None, identity.unionid


def identities_of(db: Connection, user_id: str) -> list[UserIdentity]:
    """All that WeChat calls this user."""
    rows = db.execute(select(identities).where(identities.c.user_id == user_id)).all()
    return [UserIdentity(row.appid, row.openid, row.unionid) for row in rows]


class UserRows:
    """The steps of one transaction; `upsert` makes the dialect's INSERT."""

    def __init__(self, db: Connection, upsert: Callable[[Table], Insert]) -> None:
        self._db = db
        self._upsert = upsert

    def claim_union(self, unionid: str | None, owner: str) -> str:
        """Claim the unionid for `owner`; returns whose it is. Without one, `owner`."""
        if unionid is None:
            return owner
        return self._claim(unions, ["unionid"], {"unionid": unionid}, owner)

    def claim_identity(self, appid: str, identity: WeChatIdentity, owner: str) -> str:
        """Claim the identity for `owner`; returns whose it is. Keeps a unionid that is new."""
        row = {"appid": appid, "openid": identity.openid, "unionid": identity.unionid}
        settled = self._claim(identities, ["appid", "openid"], row, owner)
        if identity.unionid is not None:
            self._db.execute(
                update(identities)
                .where(identities.c.appid == appid, identities.c.openid == identity.openid)
                .values(unionid=identity.unionid)
            )
            if settled != owner:
                # The openid counts more than the unionid. A unionid just claimed for a
                # candidate without a row goes to the openid's user; another user keeps theirs.
                self._db.execute(
                    update(unions)
                    .where(unions.c.unionid == identity.unionid, unions.c.user_id == owner)
                    .where(~exists().where(users.c.id == owner))
                    .values(user_id=settled)
                )
        return settled

    def insert_user(self, user_id: str) -> None:
        """Make the row, with a random nickname and the default avatar."""
        now = int(time.time())
        letters = "".join(secrets.choice(_NICKNAME_LETTERS) for _ in range(6))
        self._db.execute(
            insert(users).values(
                id=user_id,
                nickname=f"用户{letters}",
                avatar=DEFAULT_AVATAR,
                created_at=now,
                updated_at=now,
            )
        )

    def _claim(self, table: Table, key: list[str], row: dict[str, Any], owner: str) -> str:
        """Insert the row unless its key is taken; returns the owner. Waits for others' claims."""
        statement: Any = self._upsert(table).values(**row, user_id=owner)
        unchanged = {key[0]: statement.excluded[key[0]]}
        claimed = statement.on_conflict_do_update(index_elements=key, set_=unchanged)
        return str(self._db.execute(claimed.returning(table.c.user_id)).scalar_one())
