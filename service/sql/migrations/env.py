"""Alembic's entry point: runs the migrations on the connection that migrate.py gives."""

from __future__ import annotations

from alembic import context

from service.sql.schema import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,  # SQLite changes tables by copying them
)
with context.begin_transaction():
    context.run_migrations()
