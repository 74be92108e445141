"""Deletions: many studies, or all that is known of a patient; what goes is shown first."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Request

from hilum.apps.store import deletion
from hilum.apps.store.deletion import Chosen, Going
from hilum.apps.store.people import Role
from hilum.apps.store.tables import iso
from hilum.apps.web.access import Visitor, needs
from hilum.apps.web.answers import DeletionAnswer
from hilum.apps.web.films import pictures_of
from hilum.apps.web.problems import Problem
from hilum.apps.web.schemas import API, AskDeletion, Deletion
from hilum.apps.web.service import Served

router = APIRouter(prefix=API, tags=["studies"])
_Administrator = Annotated[Visitor, needs(Role.ADMINISTRATOR)]


@router.post("/deletions/preview", summary="What would be deleted")
def preview(body: AskDeletion, _: _Administrator, service: Served) -> DeletionAnswer:
    """Count what belongs to studies, or to a patient; ``confirm`` goes into the deletion."""
    with service.store.read() as session:
        return _show(deletion.preview(session, _chosen(body)))


@router.post("/deletions", summary="Delete studies, or erase a patient")
def delete(
    body: Deletion, request: Request, visitor: _Administrator, service: Served
) -> DeletionAnswer:
    """Delete what a preview showed, with films, readings, verdicts, marks and reports.

    The log keeps its lines: that it happened, and no patient's id. Of an erased patient's verdicts
    in reading lists the figures stay, as of a patient and films that nobody knows.
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
    gone = deletion.delete(store, folder, log, _chosen(body), visitor.name, agreed=agreed, **why)
    pictures_of(request).forget()
    return _show(gone)


def _chosen(body: AskDeletion) -> Chosen:
    return Chosen(tuple(body.study_ids), body.patient_id)


def _show(going: Going) -> DeletionAnswer:
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
        first_at=iso(going.first_ms),
        last_at=iso(going.last_ms),
        confirm=going.mark,
    )
