"""Whether a person has chosen to read blind or not; until then the site's setting counts."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Go one step forward."""
    chosen: sa.Column[bool] = sa.Column(
        "blind_chosen", sa.Boolean(), nullable=False, server_default=sa.false()
    )
    op.add_column("people", chosen)
    op.execute("UPDATE people SET blind_chosen = blind")
