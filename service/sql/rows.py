"""The rows of users: what a change of SqlUsers is made of, within its transaction.

Every find-or-create is an upsert that returns the owner, old or new, so that of
many first logins at once one makes the user and all others get that user. The
locks of a transaction are taken in one order: phones, unions, identities, users.
"""

from __future__ import annotations

import secrets
import time
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import Table, bindparam, delete, exists, insert, select, update

from service.core.errors import PhoneTaken
from service.core.models import DEFAULT_AVATAR, UserIdentity
from service.sql.schema import identities, phones, unions, users

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Connection, Insert, Row

    from service.core.models import Phone, WeChatIdentity
    from service.stores.keyring import Keyring

_NICKNAME_LETTERS: Final = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ"

# Made once: SQLAlchemy recognises a statement it has compiled by its object, and
# this one is asked at every login.
_BY_OPENID: Final = (
    select(users, identities.c.unionid)
    .select_from(identities.join(users))
    .where(
        identities.c.appid == bindparam("appid"),
        identities.c.openid == bindparam("openid"),
    )
)
_BY_ID: Final = select(users).where(users.c.id == bindparam("user_id"))


def by_openid(db: Connection, appid: str, openid: str) -> Row[Any] | None:
    """The user's row, with the unionid known of this openid."""
    return db.execute(_BY_OPENID, {"appid": appid, "openid": openid}).first()


def by_id(db: Connection, user_id: str) -> Row[Any] | None:
    """The user's row."""
    return db.execute(_BY_ID, {"user_id": user_id}).first()


def lock_user(db: Connection, user_id: str) -> Row[Any] | None:
    """The user's row; until this transaction ends no other can change it or refer to it."""
    return db.execute(_BY_ID.with_for_update(), {"user_id": user_id}).first()


def lock_names(db: Connection, user_id: str) -> None:
    """Lock the user's phones, unions and identities, in the order in which a login does."""
    for table in (phones, unions, identities):
        db.execute(select(table).where(table.c.user_id == user_id).with_for_update())


def update_user(db: Connection, user_id: str, **values: str) -> Row[Any] | None:
    """Change columns of the user's row; the row as it is then."""
    statement = update(users).where(users.c.id == user_id).values(**values)
    return db.execute(statement.values(updated_at=int(time.time())).returning(*users.c)).first()


def identities_of(db: Connection, user_id: str) -> list[UserIdentity]:
    """All that WeChat calls this user."""
    rows = db.execute(select(identities).where(identities.c.user_id == user_id)).all()
    return [UserIdentity(row.appid, row.openid, row.unionid) for row in rows]


class UserRows:
    """The steps of one transaction; `upsert` makes the dialect's INSERT."""

    def __init__(self, db: Connection, keyring: Keyring, upsert: Callable[[Table], Insert]) -> None:
        self._db = db
        self._keyring = keyring
        self._upsert = upsert

    def has_identity(self, user_id: str, appid: str) -> bool:
        """Whether this mini-program knows the user already."""
        statement = select(identities.c.openid).where(
            identities.c.user_id == user_id, identities.c.appid == appid
        )
        return self._db.execute(statement).first() is not None

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

    def claim_phone(self, owner: str, phone: Phone) -> None:
        """Claim the number under every key of the ring; raises PhoneTaken naming its owner."""
        # Sorted: two processes whose rings differ in order must not lock each other out.
        # All before any is judged: who joins the number's owner has them under every key.
        fingerprints = sorted(self._keyring.fingerprints(phone.number))
        owners = [
            self._claim(phones, ["fingerprint"], {"fingerprint": one}, owner)
            for one in fingerprints
        ]
        for settled in owners:
            if settled != owner:
                raise PhoneTaken(owner=settled)

    def claim_phone_or_join(self, candidate: str, appid: str, phone: Phone) -> str:
        """Claim the number for `candidate`; returns the candidate, or the owner to join.

        An owner is joined only if it has no identity of this mini-program.
        """
        try:
            self.claim_phone(candidate, phone)
        except PhoneTaken as taken:
            # An ordinary login may bring the owner here by unionid right after this look.
            # It may do so after the commit as well, with the same end; so nothing is locked.
            return candidate if self.has_identity(taken.owner, appid) else taken.owner
        return candidate

    def pass_phone_claims(self, former: str, owner: str) -> None:
        """Give the numbers that `former` has claimed to `owner`."""
        self._db.execute(update(phones).where(phones.c.user_id == former).values(user_id=owner))

    def set_phone(self, user_id: str, phone: Phone) -> None:
        """Keep this number, sealed, and give up any other."""
        fingerprints = self._keyring.fingerprints(phone.number)
        self._db.execute(
            delete(phones).where(
                phones.c.user_id == user_id, phones.c.fingerprint.not_in(fingerprints)
            )
        )
        sealed = self._keyring.seal(phone.number.encode(), owner=user_id)
        update_user(self._db, user_id, phone=sealed)

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
