"""Alembic's entry point: runs the migrations as migrate.py asks for them."""

from __future__ import annotations

from alembic import context

from service.sql.schema import metadata

attributes = context.config.attributes
if context.is_offline_mode():  # prints the statements
    context.configure(
        dialect_name=attributes["dialect"],
        target_metadata=metadata,
        literal_binds=True,
        transactional_ddl=True,
    )
else:
    context.configure(
        connection=attributes["connection"],
        target_metadata=metadata,
        render_as_batch=True,  # SQLite changes tables by copying them
        on_version_apply=attributes.get("on_step"),
    )
with context.begin_transaction():
    context.run_migrations()
