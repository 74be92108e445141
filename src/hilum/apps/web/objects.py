"""Objects: a film's reading as DICOM, for an archive."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Response

from hilum.apps.store.people import Role
from hilum.apps.web.access import Visitor, needs
from hilum.apps.web.problems import Problem
from hilum.apps.web.readings import find, with_answers
from hilum.apps.web.schemas import API, FilmId, gives
from hilum.apps.web.service import Served
from hilum.core.errors import BundleError, ImageError
from hilum.core.extras import require
from hilum.core.reading import Status

router = APIRouter(prefix=API, tags=["readings"])
_Kind = Literal["sr", "seg", "gsps", "sc", "pdf"]
_Reader = Annotated[Visitor, needs(Role.READER)]


@router.get(
    "/films/{film_id}/objects/{kind}.dcm",
    summary="A reading as a DICOM object",
    response_class=Response,
    responses=gives("application/dicom", "of the film's patient and study; research use only"),
)
def object_dcm(film_id: FilmId, kind: _Kind, visitor: _Reader, service: Served) -> Response:
    """Give the reading as SR, SEG, GSPS, SC or PDF; the taking out stands in the log."""
    found = find(service, film_id, visitor)
    if found.read.reading["status"] != Status.READ:
        raise Problem(409, "not-read", "the film was not read, so that there is no object of it")
    require("pacs")
    from pydicom.filebase import DicomBytesIO

    from hilum.serve.dicom import objects_of

    path = service.folder.path(found.film.sha256)
    zone = ZoneInfo(service.settings.zone)
    try:
        ((_, dataset, why),) = objects_of(
            with_answers(found.read.reading),
            path,
            [kind],
            read_at=datetime.fromtimestamp(found.read.created_ms // 1000, zone),
            bundle=service.bundles.open(),
        )
    except ImageError as error:  # without the place on this machine
        raise type(error)(error.message.removeprefix(f"{path}: "), hint=error.hint) from None
    except BundleError as error:
        raise Problem(409, "conflict", error.message, hint="have the film read again") from None
    if dataset is None:
        raise Problem(404, "not-found", f"there is no {kind} of this film: {why}")
    with service.store.write() as session:
        service.log.add(
            session,
            visitor.name,
            "exported",
            film_id=found.film.id,
            study_id=found.film.study_id,
            what=f"object.{kind}",
        )
    file = DicomBytesIO()
    dataset.save_as(file, enforce_file_format=True)
    headers = {"Content-Disposition": f'attachment; filename="{film_id}.{kind}.dcm"'}
    return Response(file.getvalue(), media_type="application/dicom", headers=headers)
