"""Films: sent, listed, shown with their whole depth, read again."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any

from anyio import to_thread
from fastapi import APIRouter, Query, Request, Response
from sqlalchemy.orm import Session
from starlette.datastructures import FormData, UploadFile
from starlette.exceptions import HTTPException

from hilum.apps.store import queue
from hilum.apps.store.marks import Spacing
from hilum.apps.store.people import Role
from hilum.apps.store.rulers import ruler_of, with_ruler
from hilum.apps.store.store import Store
from hilum.apps.store.tables import Film, Read, iso
from hilum.apps.web import blind
from hilum.apps.web.access import Visitor, needs
from hilum.apps.web.answers.films import AskingList, FilmAnswer, ImageAnswer, Queued, Uploaded
from hilum.apps.web.blind import Sight, sight_of
from hilum.apps.web.evidence import kinds_of
from hilum.apps.web.pace import taking
from hilum.apps.web.pictures import Pictures
from hilum.apps.web.problems import Problem, answer, not_found
from hilum.apps.web.schemas import API, Again, FilmId, gives
from hilum.apps.web.service import Served, Service
from hilum.apps.web.upload import Intake, Part
from hilum.core.errors import ImageError, StoreError

router = APIRouter(prefix=API, tags=["films"])
UPLOAD = "/films"
_Reader = Annotated[Visitor, needs(Role.READER)]
_Ahead = Annotated[bool, Query(description="it is shown next: the log says so")]
_Reviewer = Annotated[Visitor, needs(Role.REVIEWER)]
_PATIENT_ID = 64
"""Requests whose films are taken at once: bounds memory, and leaves threads to the page."""
_GEOMETRY = "2"
"""Of pixels, in their tag: a browser keeps none from before films were turned."""

_FORM = {
    "required": True,
    "content": {
        "multipart/form-data": {
            "schema": {
                "type": "object",
                "required": ["files"],
                "properties": {
                    "files": {"type": "array", "items": {"type": "string", "format": "binary"}},
                    "patient_id": {"type": "string", "maxLength": _PATIENT_ID},
                },
            }
        }
    },
}


@router.post(
    UPLOAD,
    status_code=201,
    summary="Send films",
    response_model=Uploaded,
    openapi_extra={"requestBody": _FORM},
    response_description="Every accepted film is on disk and in the store",
)
async def add_films(request: Request, visitor: _Reviewer, service: Served) -> Uploaded | Response:
    """Send films by content: DICOM, PNG, JPEG, TIFF, WEBP, BMP, or ZIP of such."""
    if not request.headers.get("content-type", "").lower().startswith("multipart/form-data"):
        raise Problem(415, "invalid", "expected multipart/form-data", hint="curl -F files=@film")
    try:
        most = service.settings.limits.files
        async with request.form(max_files=most, max_fields=10) as form:
            parts, patient_id = _parts_of(form)
            take = partial(_take, service, visitor.name, patient_id, parts)
            outcome = await to_thread.run_sync(take, limiter=taking())
    except HTTPException as error:
        if error.status_code == 400:
            raise Problem(400, "invalid", str(error.detail), hint="see the limits") from None
        raise
    return _answer(outcome)


@router.get("/films/{film_id}", summary="One film")
def film(film_id: FilmId, visitor: _Reader, service: Served) -> FilmAnswer:
    """Say what is known of a film, without its reading."""
    with service.store.read() as session:
        return show_film(find_film(session, film_id), sight_of(session, visitor, [film_id]))


@router.get("/films/{film_id}/image", summary="How to show a film")
def image(
    film_id: FilmId, request: Request, visitor: _Reader, service: Served, ahead: _Ahead = False
) -> ImageAnswer:
    """Give size, depth, windows, spacing and metadata of a film."""
    return _described(request, service, film_id, visitor, ahead=ahead)


@router.get(
    "/films/{film_id}/pixels",
    summary="The pixels",
    response_class=Response,
    responses=gives("application/octet-stream", "uint16, little-endian, rows * columns"),
)
def pixels(
    film_id: FilmId, request: Request, visitor: _Reader, service: Served, ahead: _Ahead = False
) -> Response:
    """Give the stored values with their whole depth."""
    sha256, kinds = _file_of(service, film_id, visitor, ahead=ahead)
    tag = f'"{sha256[:32]}{"-".join(("", _GEOMETRY, *kinds))}"'
    headers = {
        "ETag": tag,
        "Cache-Control": "private, no-cache",
        "Vary": "Accept-Encoding",
    }
    if tag in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    zipped = "gzip" in request.headers.get("accept-encoding", "")
    body = pictures_of(request).pixels(sha256, kinds, zipped=zipped)
    if zipped:
        headers["Content-Encoding"] = "gzip"
    return Response(body, headers=headers, media_type="application/octet-stream")


@router.get(
    "/films/{film_id}/thumbnail.jpg",
    summary="A small picture",
    response_class=Response,
    responses=gives("image/jpeg", "long side at most 256"),
)
def thumbnail(film_id: FilmId, request: Request, _: _Reader, service: Served) -> Response:
    """Give a small picture for a list."""
    sha256, kinds = _file_of(service, film_id)
    body = pictures_of(request).thumbnail(sha256, kinds)
    return Response(body, media_type="image/jpeg", headers={"Cache-Control": "private, no-cache"})


@router.post("/films/{film_id}/opened", status_code=204, summary="A person opens a film")
def opened(film_id: FilmId, visitor: _Reader, service: Served) -> None:
    """Write into the log that this person looks at a film; the page says so when it opens one."""
    with service.store.read() as session:
        film = find_film(session, film_id)
    service.looks.opened(visitor, film)


@router.post("/films/{film_id}/read", status_code=202, summary="Read a film again")
def read_again(film_id: FilmId, body: Again, visitor: _Reviewer, service: Served) -> Queued:
    """Queue a film once more: for a new bundle, after an error, or in spite of its refusal."""
    with service.store.read() as session:
        find_film(session, film_id)
    queue.ask_again(service.store, service.log, film_id, visitor.name, force=body.force)
    return Queued(film_id=film_id)


def find_film(session: Session, film_id: str) -> Film:
    """Return a film, or raise the 404."""
    found = session.get(Film, film_id)
    if found is None:
        raise not_found("film")
    return found


def find_open(session: Session, film_id: str, visitor: Visitor) -> Film:
    """Return a film whose answer this visitor may see, or raise the 404 or the 409."""
    found = find_film(session, film_id)
    blind.check(session, visitor, found)
    return found


def show_film(film: Film, sight: Sight) -> FilmAnswer:
    """Return a film as the API says it to who has this sight of it."""
    return FilmAnswer(
        film_id=film.id,
        study_id=film.study_id,
        name=None if film.id in sight.unnamed else film.name,
        status=film.status,
        format=film.format,
        view=film.view,
        size=film.size,
        created_at=iso(film.created_ms),
        read_at=iso(film.read_ms),
        reading_id=film.reading_id,
        blind_pending=film.id in sight.owed,
        blind_owed=sight.owed.get(film.id, []),
        lists=[
            AskingList(
                list_id=one.id,
                name=one.name,
                findings=one.findings,
                owed=owed,
                blind=one.blind,
                reveal=one.reveal,
                confidence=one.confidence,
            )
            for one, owed in sight.asked.get(film.id, ())
        ],
    )


def _parts_of(form: FormData) -> tuple[list[Part], str | None]:
    """Return the files of a form, and whose they are.

    Raises:
        Problem: a file would be passed over, or it is not clear whose they are.
    """
    for name, each in form.multi_items():
        if isinstance(each, UploadFile) and name not in ("files", "patient_id"):
            raise Problem(
                422, "invalid", f"a file in the field '{name[:64]}'", hint="send films as 'files'"
            )
        if isinstance(each, str) and name == "files":
            raise Problem(
                422, "invalid", "text in the field 'files'", hint="curl -F files=@film.dcm"
            )
    named = form.getlist("patient_id")
    if not all(map(_good_patient_id, named)):
        raise Problem(422, "invalid", f"patient_id: up to {_PATIENT_ID} plain characters")
    if len(set(named)) > 1:
        raise Problem(422, "invalid", "more than one patient_id", hint="send one request a patient")
    files = [each for each in form.getlist("files") if isinstance(each, UploadFile)]
    whose = str(named[0]) if named and named[0] else None
    return [Part(each.filename or "film", each.file) for each in files], whose


def _good_patient_id(value: Any) -> bool:
    return isinstance(value, str) and len(value) <= _PATIENT_ID and value.isprintable()


def _take(service: Service, who: str, patient_id: str | None, parts: list[Part]) -> Uploaded:
    intake = Intake(service, who, patient_id)
    for number, part in enumerate(parts):
        try:
            intake.take(part)
        except StoreError as error:
            intake.give_up(parts[number:], error)
            break
    return intake.outcome


def _answer(outcome: Uploaded) -> Uploaded | Response:
    if outcome.accepted:
        return outcome
    if outcome.rejected:
        first = outcome.rejected[0].model_dump(mode="json", exclude={"name"})
        return answer(first | outcome.model_dump(mode="json"))
    raise Problem(422, "invalid", "no films in the field 'files'", hint="curl -F files=@film.dcm")


def _file_of(
    service: Service, film_id: str, visitor: Visitor | None = None, *, ahead: bool = False
) -> tuple[str, tuple[str, ...]]:
    """Return a film's checksum, and how its reading put it right.

    Args:
        service: the running one.
        film_id: of the film.
        visitor: who looks at it; None for a small picture in a list.
        ahead: or will look at it next.

    Raises:
        Problem: no such film, or one that ends the process that opens it: not this one's, too.
    """
    film, read = _openable(service.store, film_id)
    if visitor is not None:
        service.looks.note(visitor, film, ahead=ahead)
    return film.sha256, kinds_of(read)


def _openable(store: Store, film_id: str) -> tuple[Film, Read | None]:
    """Return a film, with its reading, that does not end the process that opens it.

    Raises:
        Problem: no such film, or it does.
    """
    with store.read() as session:
        film = find_film(session, film_id)
        if queue.is_dangerous(session, film):
            raise Problem(
                409,
                "not-read",
                "reading this film ended the worker; it is not opened here",
                hint="look at it with another program; have it read again if it was not the film",
            )
        read = session.get(Read, film.reading_id) if film.reading_id else None
    return film, read


def _described(
    request: Request,
    service: Service,
    film_id: str,
    visitor: Visitor | None = None,
    *,
    ahead: bool = False,
) -> ImageAnswer:
    described = pictures_of(request).describe(*_file_of(service, film_id, visitor, ahead=ahead))
    with service.store.read() as session:
        return ImageAnswer.model_validate(with_ruler(described, ruler_of(session, film_id)))


def spacing_of(pictures: Pictures, store: Store, film_id: str) -> Spacing | None:
    """Return how large the pixels of a film are, by its ruler, else by its file.

    None where that is not known.
    """
    try:
        film, read = _openable(store, film_id)
        kinds = kinds_of(read)
        known = read.reading["film"] if read is not None and not kinds else {}
        # the reading has it of a film that nothing moved: an export decodes no film for it
        described = known if "height" in known else pictures.describe(film.sha256, kinds)
    except (ImageError, Problem):
        return None  # it cannot be looked at, so that nothing was measured on it
    with store.read() as session:
        found = with_ruler(described, ruler_of(session, film_id))
    if found.get("spacing_mm") is None:
        return None
    row, column = found["spacing_mm"]
    return Spacing(row, column, at_detector=found["spacing_plane"] == "detector")


def pictures_of(request: Request) -> Pictures:
    """Return the memory of decoded films."""
    pictures: Pictures = request.app.state.pictures
    return pictures
