"""Whether a peer has confirmed that it keeps what it was sent."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Go one step forward."""
    zero = sa.text("0")
    for column in (
        sa.Column("transaction", sa.String(length=64), nullable=True),
        sa.Column("asked", sa.Integer(), nullable=False, server_default=zero),
        sa.Column("asked_ms", sa.BigInteger(), nullable=True),
        sa.Column("committed_ms", sa.BigInteger(), nullable=True),
    ):
        op.add_column("deliveries", column)
    op.create_index(op.f("ix_deliveries_transaction"), "deliveries", ["transaction"])
