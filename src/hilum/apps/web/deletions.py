"""Deletions: many studies, or all that is known of a patient; what goes is shown first.

Studies go into the trash, and can be put back for some days; a patient is erased at once.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Request
from sqlalchemy import select
from sqlalchemy.orm import defer

from hilum.apps.store import deletion, trash
from hilum.apps.store.deletion import Chosen, Going
from hilum.apps.store.people import Role
from hilum.apps.store.tables import Trashed, iso
from hilum.apps.web import named
from hilum.apps.web.access import Visitor, needs
from hilum.apps.web.answers.operation import DeletionAnswer, TrashAnswer, TrashedStudy
from hilum.apps.web.films import pictures_of
from hilum.apps.web.problems import Problem, not_found
from hilum.apps.web.schemas import API, AskDeletion, Deletion, StudyId
from hilum.apps.web.service import Served, Service

router = APIRouter(prefix=API, tags=["studies"])
_Administrator = Annotated[Visitor, needs(Role.ADMINISTRATOR)]


@router.post("/deletions/preview", summary="What would be deleted")
def preview(body: AskDeletion, _: _Administrator, service: Served) -> DeletionAnswer:
    """Count what belongs to studies, or to a patient; ``confirm`` goes into the deletion."""
    with service.store.read() as session:
        return _show(deletion.preview(session, _chosen(body)), _days(service, body))


@router.post("/deletions", summary="Delete studies, or erase a patient")
def delete(
    body: Deletion, request: Request, visitor: _Administrator, service: Served
) -> DeletionAnswer:
    """Delete what a preview showed, with films, readings, verdicts, marks and reports.

    Studies can be put back from the trash while its days last, unless they go ``for_good``. The
    log keeps its lines: that it happened, and no patient's id. Of an erased patient's verdicts in
    reading lists the figures stay, as of a patient and films that nobody knows.
    """

    def agreed(going: Going) -> None:
        if going.mark != body.confirm:
            raise Problem(
                409,
                "conflict",
                "what would be deleted is not what was shown",
                hint="look at the preview again",
            )

    store, folder, log = service.store, service.folder, service.log
    why = {"reason": body.reason} if body.reason else {}
    days = None if body.for_good else _days(service, body)
    chosen, who, kept = _chosen(body), visitor.name, days is not None
    gone = deletion.delete(store, folder, log, chosen, who, agreed=agreed, restorable=kept, **why)
    pictures_of(request).forget()
    named.forget()
    return _show(gone, days)


@router.get("/trash", summary="What was deleted and can be put back")
def trashed(_: _Administrator, service: Served) -> TrashAnswer:
    """List the studies in the trash, the one that was deleted last first."""
    lasts_ms = round(service.settings.retention.trash_days * 86_400_000)
    with service.store.read() as session:
        query = select(Trashed).options(defer(Trashed.rows, raiseload=True))
        found = session.scalars(query.order_by(Trashed.at_ms.desc(), Trashed.study_id)).all()
    return TrashAnswer(
        items=[
            TrashedStudy(
                study_id=each.study_id,
                patient_id=each.patient_id,
                study_date=each.study_date,
                by=each.person,
                reason=each.reason,
                at=iso(each.at_ms),
                until=iso(each.at_ms + lasts_ms),
                **each.counts,
            )
            for each in found
        ]
    )


@router.post("/trash/{study_id}/restore", status_code=204, summary="Put a study back")
def restore(study_id: StudyId, visitor: _Administrator, service: Served) -> None:
    """Put a study back with films, readings, verdicts, marks, reports and its reading lists."""
    done = trash.restore(service.store, service.log, study_id, visitor.name)
    if done is None:
        raise not_found("study")
    if not done:
        raise Problem(
            409,
            "conflict",
            "a film of this study came again since it was deleted",
            hint="delete what came, then put the study back; or leave it in the trash",
        )


@router.delete("/trash/{study_id}", status_code=204, summary="Delete a study for good")
def delete_for_good(study_id: StudyId, visitor: _Administrator, service: Served) -> None:
    """Delete from the trash; nothing brings it back."""
    this = select(Trashed.study_id).where(Trashed.study_id == study_id)
    store, folder, log = service.store, service.folder, service.log
    if deletion.empty(store, folder, log, this, visitor.name) == 0:
        raise not_found("study")
    named.forget()


def _days(service: Service, body: AskDeletion) -> float | None:
    """Return for how long what is deleted can be put back; None if it cannot."""
    days = service.settings.retention.trash_days
    return days if days > 0 and body.patient_id is None else None


def _chosen(body: AskDeletion) -> Chosen:
    return Chosen(tuple(body.study_ids), body.patient_id)


def _show(going: Going, trash_days: float | None) -> DeletionAnswer:
    return DeletionAnswer(
        studies=going.studies,
        films=going.films,
        readings=going.readings,
        verdicts=going.verdicts,
        marks=going.marks,
        reference_standards=going.references,
        reports=going.reports,
        unfinished=going.desks,
        rulers=going.rulers,
        kept_verdicts=going.kept,
        trashed=going.trashed,
        trash_days=trash_days,
        first_at=iso(going.first_ms),
        last_at=iso(going.last_ms),
        confirm=going.mark,
    )
