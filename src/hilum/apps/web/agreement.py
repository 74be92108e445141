"""Agreement of people and machine, and the reader study as CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter, Query, Response
from numpy.typing import NDArray

from hilum.apps.store.people import Role
from hilum.apps.store.reviewed import Reviewed, reviewed
from hilum.apps.store.tables import iso
from hilum.apps.web import blind
from hilum.apps.web.access import Visitor, needs
from hilum.apps.web.answers.watch import Against, Agreement, AgreementAnswer, AgreementCounts
from hilum.apps.web.days import day_ms, zone_of
from hilum.apps.web.schemas import API, Day, Zone, gives
from hilum.apps.web.service import Served
from hilum.core.labels import Label
from hilum.core.row import inert
from hilum.judge.reader_study import against_reference, kappa, share

router = APIRouter(prefix=API, tags=["agreement"])
_Reader = Annotated[Visitor, needs(Role.READER)]
FOLDS = 1000

COLUMNS = (
    "film_id",
    "study_id",
    "patient",
    "finding",
    "reviewer",
    "blind_verdict",
    "blind_call",
    "blind_at",
    "verdict",
    "call",
    "at",
    "corrected_label",
    "machine_answer",
    "machine_present",
    "machine_score",
    "machine_probability",
    "machine_prediction_set",
    "bundle",
    "reference",
    "reference_standard",
)


@router.get("/agreement", summary="Agreement of people and machine")
def agreement(
    visitor: _Reader,
    service: Served,
    label: Label = Label.COVID_19,
    from_: Annotated[Day, Query(alias="from")] = None,
    to: Day = None,
    zone: Zone = None,
) -> AgreementAnswer:
    """Give kappa, and sensitivity and specificity of each, with 95 % intervals over patients."""
    blind.check_off(service, visitor)
    where = zone_of(zone, service.settings.zone)
    with service.store.read() as session:
        days = day_ms(from_, where), day_ms(to, where, days=1)
        found = list(reviewed(session, label, *days, visitor.person_id))
    return AgreementAnswer(label=label, **dict(measure(found)))


@router.get(
    "/agreement.csv",
    summary="The reader study",
    response_class=Response,
    responses=gives("text/csv", "one row per film, finding and reviewer", ",".join(COLUMNS) + "\n"),
)
def agreement_csv(visitor: _Reader, service: Served) -> Response:
    """Give every reviewed film; patients are numbered by a hash that is not their id."""
    blind.check_off(service, visitor)
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    told = set()
    with service.store.read() as session:
        for each in reviewed(session, person_id=visitor.person_id):
            writer.writerow(_row(each, service.log.pseudonym(each.patient)))
            told.add(each.film_id)
    blind.show(service, visitor, told)
    with service.store.write() as session:
        service.log.add(session, visitor.name, "exported", what="agreement.csv")
    headers = {"Content-Disposition": 'attachment; filename="reader-study.csv"'}
    return Response(out.getvalue(), media_type="text/csv; charset=utf-8", headers=headers)


def measure(found: Sequence[Reviewed], folds: int = FOLDS) -> Agreement:
    """Measure agreement over rows of ``reviewed``; without folds there are no intervals.

    People and model agree on what both answer: who is unsure, and a model that cannot say, leave
    the film out and are counted. Who never saw the answer has said nothing after it. Against the
    reference standard the model counts at its operating point, as in its evaluation.
    """
    groups = np.array([each.patient for each in found], dtype=str)
    human = _floats([each.call for each in found])
    unseen = _floats([each.blind_call for each in found])
    answers = _floats([each.answer for each in found])
    machine = _floats([each.machine for each in found])
    truth = _floats([each.reference for each in found])
    both = kappa(human, answers, groups, folds=folds)
    again = ~(np.isnan(human) | np.isnan(unseen))  # who held to it changed nothing
    films = np.array([each.film_id for each in found], dtype=str)
    once = np.unique(films, return_index=True)[1]  # the machine says the same to every reviewer
    moved = share(human[again] != unseen[again], groups[again], folds=folds)
    return Agreement(
        films=once.size,
        reviewers=len({each.person for each in found}),
        kappa=both["kappa"],
        agreement=both["agreement"],
        blind_kappa=kappa(unseen, answers, groups, folds=folds)["kappa"],
        changed_after_reading=moved,
        machine=Against(**against_reference(machine[once], truth[once], groups[once], folds=folds)),
        human=Against(**against_reference(human, truth, groups, folds=folds)),
        blind_human=Against(**against_reference(unseen, truth, groups, folds=folds)),
        counts=AgreementCounts(
            both_present=int(((human == 1) & (answers == 1)).sum()),
            only_machine=int(((human == 0) & (answers == 1)).sum()),
            only_human=int(((human == 1) & (answers == 0)).sum()),
            both_absent=int(((human == 0) & (answers == 0)).sum()),
            unsure=sum(each.told and each.call is None for each in found),
            cannot_say=int((np.isnan(answers) & ~np.isnan(human)).sum()),
        ),
    )


def _floats(values: Sequence[int | None]) -> NDArray[np.float64]:
    return np.array([np.nan if each is None else each for each in values], dtype=np.float64)


def _row(each: Reviewed, patient: str) -> list[Any]:
    unseen, verdict = each.blind_verdict, each.verdict
    return [
        each.film_id,
        each.study_id,
        patient,
        each.finding,
        inert(each.person),
        unseen.verdict if unseen else "",
        _blank(each.blind_call),
        iso(unseen.at_ms) if unseen else "",
        verdict.verdict if verdict else "",
        _blank(each.call),
        iso(verdict.at_ms) if verdict else "",
        (verdict.corrected_label or "") if verdict else "",
        _blank(each.answer),
        each.machine,
        repr(each.score),
        repr(each.probability),
        each.prediction_set or "",
        inert(each.bundle),
        _blank(each.reference),
        each.standard or "",
    ]


def _blank(value: int | None) -> int | str:
    return "" if value is None else value
