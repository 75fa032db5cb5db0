"""Keep until when a user is banned, and why; find users by what operators know of them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Add what may be null, and indexes: the former version goes on beside them.

    Who is banned already stays so until an operator ends it. While an index is made,
    PostgreSQL keeps changes of its table waiting, but no read; adding the columns, which
    stops both, takes a moment and comes last.
    """
    op.create_index("ix_identities_openid", "identities", ["openid"])
    op.create_index("ix_identities_unionid", "identities", ["unionid"])
    op.create_index(
        "ix_users_nickname",
        "users",
        ["nickname", "id"],
        postgresql_ops={"nickname": 'COLLATE "C"'},
    )
    op.add_column("users", sa.Column("banned_until", sa.BigInteger))
    op.add_column("users", sa.Column("ban_reason", sa.String(200)))


def downgrade() -> None:
    """Forget it again: who was banned until some day stays so until an operator ends it."""
    op.drop_column("users", "ban_reason")
    op.drop_column("users", "banned_until")
    op.drop_index("ix_users_nickname", "users")
    op.drop_index("ix_identities_unionid", "identities")
    op.drop_index("ix_identities_openid", "identities")
