"""Verdicts are of the finding itself, and the worklist knows the model's answer.

"Agree" and "disagree" were kept with what the operating point said, though the page showed the
prediction set first. Where both said the same, the verdict is derived from that; where the set left
both answers or none, or contradicted the operating point, nobody can tell any more what was meant,
and the verdict is unknown. The log keeps its lines as they were written.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from alembic import op

from hilum.core.reading import answer_in

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_verdicts = sa.table(
    "verdicts",
    sa.column("id"),
    sa.column("reading_id"),
    sa.column("finding"),
    sa.column("verdict"),
    sa.column("call"),
)
_readings = sa.table("readings", sa.column("id"), sa.column("reading", sa.JSON))
_films = sa.table("films", sa.column("id"), sa.column("reading_id"))
_studies = sa.table(
    "studies", sa.column("id"), sa.column("film_id"), sa.column("findings", sa.JSON)
)
_CALLS = {"present": 1, "absent": 0, "unknown": None}
_NEEDED = {"label", "present", "probability"}


def upgrade() -> None:
    """Go one step forward."""
    connection = op.get_bind()
    given = sa.select(_verdicts).where(_verdicts.c.verdict.in_(("agree", "disagree")))
    for verdict in connection.execute(given).mappings().all():
        finding = _finding(connection, verdict["reading_id"], verdict["finding"])
        said = meant(verdict["verdict"], finding)
        change = sa.update(_verdicts).where(_verdicts.c.id == verdict["id"])
        connection.execute(change.values(verdict=said, call=_CALLS[said]))
    for study_id, film_id, findings in connection.execute(sa.select(_studies)).all():
        if findings:
            answers = _answers(connection, film_id)
            known = [_with_answer(each, answers) for each in findings]
            change = sa.update(_studies).where(_studies.c.id == study_id)
            connection.execute(change.values(findings=known))


def meant(verdict: str, finding: Mapping[str, Any] | None) -> str:
    """Return what "agree" or "disagree" said of a finding: present, absent or unknown."""
    if finding is None:
        return "unknown"
    at_point = "present" if finding["present"] else "absent"
    if finding.get("prediction_set") not in (None, at_point):
        return "unknown"
    other = {"present": "absent", "absent": "present"}
    return at_point if verdict == "agree" else other[at_point]


def _finding(
    connection: sa.Connection, reading_id: str | None, label: str
) -> Mapping[str, Any] | None:
    found = _findings(connection, reading_id)
    return next((each for each in found if each["label"] == label), None)


def _with_answer(finding: dict[str, Any], answers: dict[str, str]) -> dict[str, Any]:
    return finding | {"answer": answers.get(finding["label"]) or answer_in(finding).value}


def _answers(connection: sa.Connection, film_id: str) -> dict[str, str]:
    query = sa.select(_films.c.reading_id).where(_films.c.id == film_id)
    found = _findings(connection, connection.execute(query).scalar())
    return {each["label"]: answer_in(each).value for each in found}


def _findings(connection: sa.Connection, reading_id: str | None) -> list[dict[str, Any]]:
    query = sa.select(_readings.c.reading).where(_readings.c.id == reading_id)
    reading: dict[str, Any] | None = connection.execute(query).scalar()
    found = (reading or {}).get("findings") or []
    return [each for each in found if each.keys() >= _NEEDED]  # what is damaged says nothing
