"""What is read, made and sent before others."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Go one step forward."""
    for table in ("jobs", "made", "deliveries"):
        no = sa.false()
        op.add_column(table, sa.Column("urgent", sa.Boolean(), nullable=False, server_default=no))
