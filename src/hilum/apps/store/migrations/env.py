"""Alembic's entry: migrate over the connection that ``open_store`` hands over."""

from __future__ import annotations

from alembic import context

from hilum.apps.store.tables import Table


def migrate() -> None:
    """Run the steps that are missing."""
    context.configure(
        connection=context.config.attributes["connection"],
        target_metadata=Table.metadata,
        render_as_batch=True,
    )
    with context.begin_transaction():
        context.run_migrations()


if hasattr(context, "config"):  # absent where the file is imported only to be looked at
    migrate()
