"""Export: the films of the worklist's filter as one flat table."""

from __future__ import annotations

import tempfile
from functools import partial
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Request
from fastapi.responses import FileResponse
from starlette.background import BackgroundTask

from hilum.apps.store.export import columns_of, rows
from hilum.apps.store.people import Role
from hilum.apps.store.worklist import film_ids
from hilum.apps.web import blind
from hilum.apps.web.access import Visitor, needs
from hilum.apps.web.films import pictures_of, spacing_of
from hilum.apps.web.problems import Problem
from hilum.apps.web.schemas import API, AskExport, gives
from hilum.apps.web.service import Served
from hilum.apps.web.studies import asked_by
from hilum.core.extras import require
from hilum.core.row import EXPORT, columns, write_rows

router = APIRouter(prefix=API, tags=["export"])
_Reader = Annotated[Visitor, needs(Role.READER)]
MEDIA = {"csv": "text/csv; charset=utf-8", "parquet": "application/vnd.apache.parquet"}
_BEGINS = ",".join(columns(EXPORT, ["covid-19"])) + "\n"


@router.post(
    "/export",
    summary="Films as a table",
    response_class=FileResponse,
    responses=gives("text/csv", "a row a film and reader; Parquet where asked for", _BEGINS),
)
def export(body: AskExport, request: Request, visitor: _Reader, service: Served) -> FileResponse:
    """Give readings, verdicts and reference standards of the films that a filter lets through."""
    if body.patients and visitor.role is not Role.ADMINISTRATOR:
        raise Problem(
            403,
            "not-allowed",
            "only an administrator takes out the ids of patients",
            hint="leave 'patients' out: pseudonyms stand in their place",
        )
    blind.check_off(service, visitor)
    if body.format == "parquet":
        require("batch")
    with service.store.read() as session:
        ids = film_ids(session, asked_by(body.studies, service, session, visitor))
    blind.show(service, visitor, ids)
    with service.store.write() as session:
        service.log.add(
            session,
            visitor.name,
            "exported",
            what=body.format,
            films=len(ids),
            patients=body.patients,
        )
    with tempfile.NamedTemporaryFile(suffix=f".{body.format}", delete=False) as file:
        path = Path(file.name)
    measured = partial(spacing_of, pictures_of(request), service.store)
    try:
        with service.store.read() as session:
            table = rows(
                session,
                service.log,
                ids,
                measured,
                named=body.patients,
                person_id=visitor.person_id,
            )
            unnamed = set(session.scalars(blind.unnamed_to(session, visitor)))
            table = (
                each | {"address": None} if each["film_id"] in unnamed else each for each in table
            )
            write_rows(path, columns_of(session), table)
    except BaseException:
        path.unlink()
        raise
    return FileResponse(
        path,
        media_type=MEDIA[body.format],
        filename=f"films.{body.format}",
        background=BackgroundTask(path.unlink),
    )
