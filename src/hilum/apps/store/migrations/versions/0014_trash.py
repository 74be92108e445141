"""Studies that a person deleted, until they are put back or go for good."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Go one step forward."""
    op.create_table(
        "trash",
        sa.Column("study_id", sa.String(length=16), nullable=False),
        sa.Column("uid", sa.String(length=128), nullable=True),
        sa.Column("patient_id", sa.String(length=128), nullable=True),
        sa.Column("study_date", sa.String(length=10), nullable=True),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("counts", sa.JSON(), nullable=False),
        sa.Column("person", sa.String(length=64), nullable=False),
        sa.Column("reason", sa.String(length=200), nullable=False),
        sa.Column("rows", sa.LargeBinary(), nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("study_id", name=op.f("pk_trash")),
    )
    for name in ("patient_id", "at_ms"):
        op.create_index(op.f(f"ix_trash_{name}"), "trash", [name])
    op.create_table(
        "trashed_files",
        sa.Column("study_id", sa.String(length=16), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(
            ["study_id"],
            ["trash.study_id"],
            name=op.f("fk_trashed_files_study_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("study_id", "sha256", name=op.f("pk_trashed_files")),
    )
    op.create_index(op.f("ix_trashed_files_sha256"), "trashed_files", ["sha256"])
    op.create_index(op.f("ix_log_film_id"), "log", ["film_id"])
