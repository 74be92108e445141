"""Reading lists: films, readers, and what a verdict that is given in one says more."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Go one step forward."""
    op.create_table(
        "reading_lists",
        sa.Column("id", sa.String(length=16), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("findings", sa.JSON(), nullable=False),
        sa.Column("seed", sa.Integer(), nullable=True),
        sa.Column("blind", sa.Boolean(), nullable=False),
        sa.Column("reveal", sa.Boolean(), nullable=False),
        sa.Column("confidence", sa.Boolean(), nullable=False),
        sa.Column("deadline_ms", sa.BigInteger(), nullable=True),
        sa.Column("closed_ms", sa.BigInteger(), nullable=True),
        sa.Column("person_id", sa.String(length=16), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["person_id"], ["people.id"], name=op.f("fk_reading_lists_person_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_reading_lists")),
    )
    for table, other, column, gone in (
        ("listed_films", "films", "film_id", "CASCADE"),
        ("list_readers", "people", "person_id", None),
    ):
        place = [sa.Column("place", sa.Integer(), nullable=False)] if other == "films" else []
        op.create_table(
            table,
            sa.Column("list_id", sa.String(length=16), nullable=False),
            sa.Column(column, sa.String(length=16), nullable=False),
            *place,
            sa.ForeignKeyConstraint(
                ["list_id"],
                ["reading_lists.id"],
                name=op.f(f"fk_{table}_list_id"),
                ondelete="CASCADE",
            ),
            sa.ForeignKeyConstraint(
                [column], [f"{other}.id"], name=op.f(f"fk_{table}_{column}"), ondelete=gone
            ),
            sa.PrimaryKeyConstraint("list_id", column, name=op.f(f"pk_{table}")),
        )
        op.create_index(op.f(f"ix_{table}_{column}"), table, [column])
    op.add_column("verdicts", sa.Column("list_id", sa.String(length=16), nullable=True))
    op.add_column("verdicts", sa.Column("confidence", sa.Integer(), nullable=True))
    op.add_column("verdicts", sa.Column("seconds", sa.Float(), nullable=True))
    op.create_index(op.f("ix_verdicts_list_id"), "verdicts", ["list_id"])
