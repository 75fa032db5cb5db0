"""Keep the name of an avatar, not its address: where it is served is no business of a row."""

from __future__ import annotations

from alembic import op

revision = "0002"
down_revision = "0001"

_PREFIX = "/uploads/"


def upgrade() -> None:
    """Take the path off."""
    start = len(_PREFIX) + 1
    op.execute(
        f"UPDATE users SET avatar = substr(avatar, {start}) WHERE avatar LIKE '{_PREFIX}%'"  # noqa: S608 # constants
    )


def downgrade() -> None:
    """Put it back."""
    op.execute(
        f"UPDATE users SET avatar = '{_PREFIX}' || avatar WHERE avatar NOT LIKE '{_PREFIX}%'"  # noqa: S608 # constants
    )
