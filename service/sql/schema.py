"""The tables of the user store.

    users       one row per person
    identities  which user an openid is, per mini-program
    unions      which user a unionid is, in all mini-programs of one open-platform account
    phones      which user a phone number is, by a keyed hash of the number; and whether
                a code of WeChat's has proven it, or encryptedData merely bound it

A user's row appears in the transaction that claims its first identity, so the
foreign keys are checked at commit. Times are Unix seconds.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    MetaData,
    String,
    Table,
    Text,
    true,
)

from service.core.models import LONGEST_REASON

metadata: Final = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "ix": "ix_%(table_name)s_%(column_0_name)s",
    }
)


def _owner() -> Column[str]:
    return Column(
        "user_id",
        String(22),
        ForeignKey("users.id", ondelete="CASCADE", deferrable=True, initially="DEFERRED"),
        nullable=False,
        index=True,
    )


users: Final = Table(
    "users",
    metadata,
    Column("id", String(22), primary_key=True),
    Column("nickname", String(64), nullable=False),
    Column("avatar", String(255), nullable=False),
    Column("phone", Text),  # sealed
    Column("banned_at", BigInteger),
    Column("banned_until", BigInteger),  # null: until an operator ends it
    Column("ban_reason", String(LONGEST_REASON)),
    Column("created_at", BigInteger, nullable=False),
    Column("updated_at", BigInteger, nullable=False),
    # By code points, as SQLite does it by itself: for what a nickname begins with, in that order.
    Index("ix_users_nickname", "nickname", "id", postgresql_ops={"nickname": 'COLLATE "C"'}),
)

identities: Final = Table(
    "identities",
    metadata,
    Column("appid", String(64), primary_key=True),
    # By themselves for operators, who know nothing else of a user.
    Column("openid", String(64), primary_key=True, index=True),
    Column("unionid", String(64), index=True),
    _owner(),
)

unions: Final = Table(
    "unions",
    metadata,
    Column("unionid", String(64), primary_key=True),
    _owner(),
)

phones: Final = Table(
    "phones",
    metadata,
    Column("fingerprint", String(43), primary_key=True),  # keyed hash of the number
    # The default is for workers of the version before migration 0003, which knew no other proof.
    Column("proven", Boolean, nullable=False, server_default=true()),
    _owner(),
)
