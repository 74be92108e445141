"""What is left of a reading list's verdicts after their patient was erased."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Go one step forward."""
    counter = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    name = "bygone_verdicts"
    op.create_table(
        name,
        sa.Column("id", counter, autoincrement=True, nullable=False),
        *(
            sa.Column(each, sa.String(length=16), nullable=False)
            for each in ("list_id", "film", "patient", "person_id", "verdict")
        ),
        sa.Column("finding", sa.String(length=32), nullable=False),
        *(sa.Column(each, sa.Boolean(), nullable=False) for each in ("blind", "held")),
        *(
            sa.Column(each, sa.Integer(), nullable=True)
            for each in ("call", "confidence", "truth", "machine", "answer")
        ),
        *(sa.Column(each, sa.Float(), nullable=True) for each in ("seconds", "score")),
        sa.ForeignKeyConstraint(
            ["list_id"], ["reading_lists.id"], name=op.f(f"fk_{name}_list_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["person_id"], ["people.id"], name=op.f(f"fk_{name}_person_id")),
        sa.PrimaryKeyConstraint("id", name=op.f(f"pk_{name}")),
    )
    op.create_index(op.f(f"ix_{name}_list_id"), name, ["list_id"])
