"""Users and what WeChat calls them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make the four tables."""
    op.create_table(
        "users",
        sa.Column("id", sa.String(22), nullable=False),
        sa.Column("nickname", sa.String(64), nullable=False),
        sa.Column("avatar", sa.String(255), nullable=False),
        sa.Column("phone", sa.Text),
        sa.Column("banned_at", sa.BigInteger),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("updated_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_users"),
    )
    _claims(
        "identities", ("appid", 64), ("openid", 64), extra=[sa.Column("unionid", sa.String(64))]
    )
    _claims("unions", ("unionid", 64))
    _claims("phones", ("fingerprint", 43))


def downgrade() -> None:
    """Drop them, and every user with them."""
    for table in ("phones", "unions", "identities", "users"):
        op.drop_table(table)


def _claims(table: str, *key: tuple[str, int], extra: list[sa.Column[str]] | None = None) -> None:
    """A table of what belongs to a user: a key and its owner."""
    op.create_table(
        table,
        *(sa.Column(name, sa.String(length), nullable=False) for name, length in key),
        *(extra or []),
        sa.Column("user_id", sa.String(22), nullable=False),
        sa.PrimaryKeyConstraint(*(name for name, _ in key), name=f"pk_{table}"),
        sa.ForeignKeyConstraint(
            ["user_id"],
            ["users.id"],
            name=f"fk_{table}_user_id",
            ondelete="CASCADE",
            deferrable=True,
            initially="DEFERRED",
        ),
    )
    op.create_index(f"ix_{table}_user_id", table, ["user_id"])
