"""Keep how a phone number came: proven by a code, or bound by encryptedData."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Take every number that is there for proven: how it came was not kept."""
    op.add_column(
        "phones", sa.Column("proven", sa.Boolean, nullable=False, server_default=sa.true())
    )


def downgrade() -> None:
    """Forget it again."""
    op.drop_column("phones", "proven")
