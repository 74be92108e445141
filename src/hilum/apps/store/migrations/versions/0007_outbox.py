"""What is made of readings for the archive, and what has become of it on its way there."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


_COUNTER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def _number() -> sa.Column[int]:
    return sa.Column("id", _COUNTER, autoincrement=True, nullable=False)


def _of(table: str, column: str, target: str) -> sa.ForeignKeyConstraint:
    name = op.f(f"fk_{table}_{column}")
    return sa.ForeignKeyConstraint([column], [target], name=name, ondelete="CASCADE")


def upgrade() -> None:
    """Go one step forward."""
    op.create_table(
        "made",
        sa.Column("reading_id", sa.String(length=16), nullable=False),
        sa.Column("film_id", sa.String(length=16), nullable=False),
        sa.Column("state", sa.String(length=8), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("error", sa.String(length=255), nullable=True),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        _of("made", "reading_id", "readings.id"),
        _of("made", "film_id", "films.id"),
        sa.PrimaryKeyConstraint("reading_id", name=op.f("pk_made")),
    )
    op.create_table(
        "results",
        _number(),
        sa.Column("film_id", sa.String(length=16), nullable=False),
        sa.Column("reading_id", sa.String(length=16), nullable=False),
        sa.Column("kind", sa.String(length=8), nullable=False),
        sa.Column("sop_class", sa.String(length=64), nullable=False),
        sa.Column("sop_uid", sa.String(length=64), nullable=False),
        sa.Column("study_uid", sa.String(length=64), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("superseded", sa.Boolean(), nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        _of("results", "film_id", "films.id"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_results")),
        sa.UniqueConstraint("sop_uid", name=op.f("uq_results_sop_uid")),
    )
    op.create_table(
        "deliveries",
        _number(),
        sa.Column("result_id", _COUNTER, nullable=False),
        sa.Column("peer", sa.String(length=32), nullable=False),
        sa.Column("state", sa.String(length=10), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("next_ms", sa.BigInteger(), nullable=False),
        sa.Column("status", sa.Integer(), nullable=True),
        sa.Column("error", sa.String(length=255), nullable=True),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("sent_ms", sa.BigInteger(), nullable=True),
        _of("deliveries", "result_id", "results.id"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_deliveries")),
        sa.UniqueConstraint("result_id", "peer", name=op.f("uq_deliveries_result_id_peer")),
    )
    for table, columns in (
        ("made", ["film_id"]),
        ("made", ["state"]),
        ("results", ["film_id"]),
        ("results", ["study_uid"]),
        ("results", ["sha256"]),
    ):
        op.create_index(op.f(f"ix_{table}_{columns[0]}"), table, columns)
    op.create_index("ix_deliveries_state_peer_next", "deliveries", ["state", "peer", "next_ms"])
