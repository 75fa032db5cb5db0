"""The rows of phone numbers: whose a number is, and by what proof.

A number is *proven* by a code that WeChat redeemed for its user, and merely *bound*
by encryptedData, which has no authentication. What is proven stands; what is bound
gives way to whoever proves the number, and opens nobody's account.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import Row, Table, delete, or_, select, update

from service.core.errors import PhoneTaken
from service.sql.rows import identities_of, lock_user, update_user
from service.sql.schema import phones

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sqlalchemy import Connection, Insert

    from service.core.models import Phone, WeChatIdentity
    from service.stores.keyring import Keyring


class PhoneRows:
    """The steps of one transaction; `upsert` makes the dialect's INSERT."""

    def __init__(self, db: Connection, keyring: Keyring, upsert: Callable[[Table], Insert]) -> None:
        self._db = db
        self._keyring = keyring
        self._upsert = upsert
        self._former_owners: set[str] = set()

    def lock(self, phone: Phone, user_id: str | None) -> None:
        """Lock the rows of the number and the user's others, in one order.

        The others are deleted late, when other rows are locked already: two people who
        swap their numbers would wait for each other.
        """
        wanted = or_(
            phones.c.fingerprint.in_(self._keyring.fingerprints(phone.number)),
            phones.c.user_id == user_id,
        )
        rows = select(phones.c.fingerprint).where(wanted).order_by(phones.c.fingerprint)
        self._db.execute(rows.with_for_update())

    def claim(self, owner: str, phone: Phone, *, proven: bool) -> None:
        """Claim the number under every key of the ring; raises PhoneTaken naming its owner.

        A proven claim takes the number from an owner who has only bound it. A proof
        that the number's owner has given before is kept.
        """
        # Sorted: two processes whose rings differ in order must not lock each other out.
        # All before any is judged: who joins the number's owner has them under every key.
        fingerprints = sorted(self._keyring.fingerprints(phone.number))
        rows = [self._claim(one, owner, proven=proven) for one in fingerprints]
        others = [row for row in rows if row.user_id != owner]
        for row in others:
            if row.proven or not proven:
                raise PhoneTaken(owner=row.user_id)
        unproven = sum(not row.proven for row in rows)
        if unproven and (proven or unproven < len(rows)):
            self._db.execute(
                update(phones)
                .where(phones.c.fingerprint.in_(fingerprints))
                .values(user_id=owner, proven=True)
            )
        self._former_owners.update(row.user_id for row in others)

    def claim_or_join(
        self,
        candidate: str,
        appid: str,
        identity: WeChatIdentity,
        phone: Phone,
        platforms: Mapping[str, str],
    ) -> str:
        """Claim the proven number for `candidate`; returns the candidate, or the owner to join."""
        try:
            self.claim(candidate, phone, proven=True)
        except PhoneTaken as taken:
            # An ordinary login may bring the owner here by unionid right after this look.
            # It may do so after the commit as well, with the same end; so nothing is locked.
            if self._may_be(taken.owner, appid, identity.unionid, platforms):
                return taken.owner
        return candidate

    def pass_claims(self, former: str, owner: str) -> None:
        """Give the numbers that `former` has claimed to `owner`."""
        self._db.execute(update(phones).where(phones.c.user_id == former).values(user_id=owner))

    def lock_owners(self, owner: str) -> Row[Any] | None:
        """Lock the user's row and those of users who lose the number; returns the former."""
        rows = {one: lock_user(self._db, one) for one in sorted({owner, *self._losers(owner)})}
        return rows[owner]

    def set(self, owner: str, phone: Phone) -> list[str]:
        """Keep the claimed number, sealed, and give up any other; returns who has lost it."""
        fingerprints = self._keyring.fingerprints(phone.number)
        self._db.execute(
            delete(phones).where(
                phones.c.user_id == owner, phones.c.fingerprint.not_in(fingerprints)
            )
        )
        sealed = self._keyring.seal(phone.number.encode(), owner=owner)
        update_user(self._db, owner, phone=sealed)
        losers = self._losers(owner)
        for one in losers:
            update_user(self._db, one, phone=None)
        return losers

    def _losers(self, owner: str) -> list[str]:
        return sorted(self._former_owners - {owner})

    def _may_be(
        self, owner: str, appid: str, unionid: str | None, platforms: Mapping[str, str]
    ) -> bool:
        """Whether an identity that is new here may be the owner's.

        It is not if this mini-program knows the owner by another openid, or the same
        open platform by another unionid: then the number has changed hands.
        """
        theirs = identities_of(self._db, owner)
        if any(one.appid == appid for one in theirs):
            return False
        here = platforms.get(appid, "")
        beside = [one for one in theirs if platforms.get(one.appid, "") == here]
        known = {one.unionid for one in beside if one.unionid}
        return unionid is None or not known or unionid in known

    def _claim(self, fingerprint: str, owner: str, *, proven: bool) -> Row[Any]:
        """Insert the row unless it is there; returns it. Waits for others' claims."""
        statement: Any = self._upsert(phones).values(
            fingerprint=fingerprint, user_id=owner, proven=proven
        )
        claimed = statement.on_conflict_do_update(
            index_elements=["fingerprint"], set_={"fingerprint": statement.excluded.fingerprint}
        )
        return self._db.execute(claimed.returning(phones.c.user_id, phones.c.proven)).one()
