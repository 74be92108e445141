"""Films by study and verdicts by person: the indexes hold all that reading through asks of them."""

from __future__ import annotations

from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Go one step forward."""
    op.drop_index(op.f("ix_films_study_id"), table_name="films")
    op.create_index("ix_films_study", "films", ["study_id", "status", "id"])
    op.drop_index(op.f("ix_verdicts_person_id"), table_name="verdicts")
    op.create_index("ix_verdicts_person", "verdicts", ["person_id", "film_id", "at_ms"])
