"""Alembic's entry: migrate over the connection that ``open_store`` hands over."""

from __future__ import annotations

from alembic import context

from hilum.apps.store.tables import Table

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Table.metadata,
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()
