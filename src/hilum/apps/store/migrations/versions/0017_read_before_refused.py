"""A study of which a film was read and another one refused is shown as read."""

from __future__ import annotations

from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Go one step forward."""
    op.execute(
        "UPDATE studies SET status = 'read' WHERE status = 'refused' AND EXISTS ("
        "SELECT 1 FROM films WHERE films.study_id = studies.id AND films.status = 'read')"
    )
