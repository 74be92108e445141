"""What of the results was superseded or taken back, and by what it is named in a rejection note."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Go one step forward."""
    op.add_column("made", sa.Column("former", sa.JSON(), nullable=True))
    op.add_column("made", sa.Column("reject", sa.JSON(), nullable=True))
    series = sa.Column("series_uid", sa.String(length=64), nullable=False, server_default="")
    op.add_column("results", series)
    no = sa.false()
    op.add_column(
        "results", sa.Column("forgotten", sa.Boolean(), nullable=False, server_default=no)
    )
