"""Objects: a film's reading as DICOM, for an archive, and as FHIR, for a record."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter, Request, Response
from sqlalchemy.orm import Session

from hilum.apps.store import outbox, takeback
from hilum.apps.store.marks import marks_of, measure
from hilum.apps.store.people import Role
from hilum.apps.store.tables import Made, iso
from hilum.apps.web.access import Visitor, needs
from hilum.apps.web.answers.films import SentAnswer, SentTo
from hilum.apps.web.films import pictures_of, spacing_of
from hilum.apps.web.named import withheld
from hilum.apps.web.problems import Problem, without_name
from hilum.apps.web.readings import Shown, find, with_answers
from hilum.apps.web.schemas import API, FilmId, TakeBack, gives
from hilum.apps.web.service import Served, Service
from hilum.core.errors import ImageError
from hilum.core.extras import require
from hilum.core.reading import Status
from hilum.serve.dicom import Kind, Sent
from hilum.serve.fhir import fhir_bundle, header_of

if TYPE_CHECKING:
    from hilum.serve.dicom import PersonMark

_FHIR = "application/fhir+json"
router = APIRouter(prefix=API, tags=["readings"])
_Reader = Annotated[Visitor, needs(Role.READER)]
_Reviewer = Annotated[Visitor, needs(Role.REVIEWER)]


@router.get(
    "/films/{film_id}/objects/{kind}.dcm",
    summary="A reading as a DICOM object",
    response_class=Response,
    responses=gives("application/dicom", "of the film's patient and study; research use only"),
)
def object_dcm(
    film_id: FilmId, kind: Kind, request: Request, visitor: _Reader, service: Served
) -> Response:
    """Give the reading as SR, SEG, GSPS, SC or PDF; the taking out stands in the log.

    What the visitor has drawn and measured on the film goes into SR and GSPS, as theirs. Name and
    accession number are empty where the visitor may not see them (``[identity]``).
    """
    found = _read(service, film_id, visitor)
    require("pacs")
    from pydicom.filebase import DicomBytesIO

    from hilum.serve.dicom import objects_of

    path = service.folder.path(found.film.sha256)
    try:
        ((_, dataset, why),) = objects_of(
            with_answers(found.read.reading),
            path,
            [kind],
            read_at=service.settings.moment(found.read.created_ms),
            bundle=service.bundles.open(),
            marks=_marks(request, service, found, visitor),
            max_megapixels=service.settings.limits.megapixels,
            former=_former(service, found),
            form=service.settings.node.objects if service.settings.node else None,
            blank=withheld(service, visitor),
        )
    except ImageError as error:  # without the place on this machine
        raise without_name(error, path) from None
    if dataset is None:
        raise Problem(404, "not-found", f"there is no {kind} of this film: {why}")
    file = DicomBytesIO()
    dataset.save_as(file, enforce_file_format=True)
    _log(service, found, visitor, f"object.{kind}")
    headers = {"Content-Disposition": f'attachment; filename="{film_id}.{kind}.dcm"'}
    return Response(file.getvalue(), media_type="application/dicom", headers=headers)


@router.get(
    "/films/{film_id}/fhir",
    summary="A reading as FHIR",
    response_class=Response,
    responses=gives(_FHIR, "A transaction Bundle of FHIR R4; research use only"),
)
def fhir(film_id: FilmId, visitor: _Reader, service: Served) -> Response:
    """Give the reading as a Bundle of FHIR R4; the taking out stands in the log.

    Without the accession number where the visitor may not see it (``[identity]``).
    """
    found = _read(service, film_id, visitor)
    header = header_of(service.folder.path(found.film.sha256))
    if "AccessionNumber" in withheld(service, visitor):
        header.pop("accession", None)
    bundle = fhir_bundle(
        with_answers(found.read.reading),
        read_at=service.settings.moment(found.read.created_ms),
        **header,
    )
    _log(service, found, visitor, "fhir")
    return Response(json.dumps(bundle, allow_nan=False), media_type=_FHIR)


def _read(service: Service, film_id: str, visitor: Visitor) -> Shown:
    """Return a film that was read, with its reading."""
    found = find(service, film_id, visitor)
    if found.read.reading["status"] != Status.READ:
        raise Problem(409, "not-read", "the film was not read, so that there is no object of it")
    return found


def _log(service: Service, found: Shown, visitor: Visitor, what: str) -> None:
    ids = {"film_id": found.film.id, "study_id": found.film.study_id}
    with service.store.write() as session:
        service.log.add(session, visitor.name, "exported", **ids, what=what)


@router.get("/films/{film_id}/sent", summary="Where a film's results are")
def sent(film_id: FilmId, visitor: _Reader, service: Served) -> SentAnswer:
    """Say which archives have results of a film, by the node."""
    found = find(service, film_id, visitor)  # whether there are any may tell the answer
    with service.store.read() as session:
        return _sent(session, found.film.id)


@router.post("/films/{film_id}/retract", summary="Take back what archives were sent")
def retract(film_id: FilmId, body: TakeBack, visitor: _Reviewer, service: Served) -> SentAnswer:
    """Have every archive told to reject the results of a film; what was not sent yet never is."""
    found = find(service, film_id, visitor)
    with service.store.write() as session:
        name, log = visitor.name, service.log
        if not takeback.retract(session, log, name, [found.film.id], reason=body.reason):
            raise Problem(409, "conflict", "no archive was sent results of this film")
        return _sent(session, found.film.id)


def _sent(session: Session, film_id: str) -> SentAnswer:
    rows, taking_back = outbox.of_film(session, film_id)
    items = [SentTo(last_sent=iso(row.pop("last_ms")), **row) for row in rows]
    return SentAnswer(items=items, taking_back=taking_back)


def _former(service: Service, found: Shown) -> Sent | None:
    """Return what the archive was sent of the reading before: the node names it, too."""
    with service.store.read() as session:
        made = session.get(Made, found.read.id)
        return Sent(*made.former) if made is not None and made.former else None


def _marks(request: Request, service: Service, found: Shown, visitor: Visitor) -> list[PersonMark]:
    """Return what the visitor has drawn on a film, measured."""
    from hilum.serve.dicom import PersonMark

    with service.store.read() as session:
        drawn, _ = marks_of(session, found.film, visitor.person_id)
    if not drawn:
        return []
    spacing = spacing_of(pictures_of(request), service.store, found.film.id)
    marks = []
    for each in drawn:
        value, power = measure(each, spacing) or (None, 1)
        mark = PersonMark(
            by=visitor.name,
            kind=each["kind"],
            points=each["points"],
            text=each.get("text") or "",
            measured=value,
            power=power,
            millimeters=spacing is not None,
            at_detector=spacing is not None and spacing.at_detector,
        )
        marks.append(mark)
    return marks
