"""Similar: small pictures of the training films that a reading names as similar."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Response

from hilum.apps.store.people import Role
from hilum.apps.store.tables import Read
from hilum.apps.web.access import Visitor, needs
from hilum.apps.web.collection import similar_of
from hilum.apps.web.problems import not_found
from hilum.apps.web.readings import find
from hilum.apps.web.schemas import API, AnyId, gives
from hilum.apps.web.service import Served
from hilum.core.errors import ImageError

router = APIRouter(prefix=API, tags=["readings"])


@router.get(
    "/readings/{reading_id}/similar/{place}.jpg",
    summary="A similar film of the training",
    response_class=Response,
    responses=gives("image/jpeg", "long side at most 256"),
)
def similar_picture(
    reading_id: AnyId,
    place: Annotated[int, Path(ge=0, le=999, description="in ``details.similar``, from 0")],
    visitor: Annotated[Visitor, needs(Role.READER)],
    service: Served,
) -> Response:
    """Give a small picture of a film that the bundle was trained on; see ``similar_pictures``."""
    with service.store.read() as session:
        read = session.get(Read, reading_id)
    if read is None:
        raise not_found("reading")
    found = find(service, read.film_id, visitor)
    similar = similar_of(found.read.reading)
    if service.collection is None or found.read.id != reading_id or place >= len(similar):
        raise not_found("picture of a similar film")
    try:
        body = service.collection.picture(similar[place]["case_id"])
    except (KeyError, ImageError):
        raise not_found("picture of a similar film") from None
    return Response(body, media_type="image/jpeg", headers={"Cache-Control": "private, no-cache"})
