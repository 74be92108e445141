"""By which tables a study in the trash was packed: those of before were, by revision 0014."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Go one step forward."""
    column = sa.Column("revision", sa.String(length=16), nullable=False, server_default="0014")
    op.add_column("trash", column)
