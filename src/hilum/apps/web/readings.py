"""Readings: what the machine says of a film, and what can be laid over the film to show why."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

import cv2
import numpy as np
from fastapi import APIRouter, Response
from numpy.typing import NDArray

from hilum.apps.store import queue
from hilum.apps.store.people import Role
from hilum.apps.store.tables import Film, Model, Read, iso
from hilum.apps.web import blind
from hilum.apps.web.access import Visitor, needs
from hilum.apps.web.answers.films import (
    HeatmapFacts,
    LungOutline,
    OverlaysAnswer,
    ReadingAnswer,
    ReadingLine,
)
from hilum.apps.web.collection import picture_addresses
from hilum.apps.web.evidence import Evidence, fill, outlines, unpack
from hilum.apps.web.films import find_open
from hilum.apps.web.problems import Problem, not_found
from hilum.apps.web.schemas import API, Choice, FilmId, Prevalence, gives
from hilum.apps.web.service import Served, Service
from hilum.bundle.manifest import Manifest
from hilum.core.details import Opacity
from hilum.core.labels import Label
from hilum.core.reading import Reading, answer_in
from hilum.core.words import Language
from hilum.serve.findings import check_prevalence, findings_of
from hilum.serve.heatmap import limit_of
from hilum.serve.said import lines_of, said_of

router = APIRouter(prefix=API, tags=["readings"])
SIDE = 512
"""Long side of a heatmap: finer than any network's map, and small."""
_Reader = Annotated[Visitor, needs(Role.READER)]


@dataclass(frozen=True)
class Shown:
    """A film's reading with the bundle's manifest and the evidence behind it."""

    film: Film
    read: Read
    manifest: Manifest
    evidence: Evidence

    @property
    def shape(self) -> tuple[int, int]:
        """(height, width) of the film as it was read.

        Raises:
            Problem: the film did not open.
        """
        facts = self.read.reading["film"]
        if "height" not in facts:
            raise Problem(409, "not-read", "the film could not be opened")
        return facts["height"], facts["width"]


@router.get("/films/{film_id}/reading", summary="The reading")
def reading(
    film_id: FilmId,
    visitor: _Reader,
    service: Served,
    prevalence: Prevalence = None,
    operating_point: Choice = None,
    language: Language = "en",
) -> ReadingAnswer:
    """Give what the machine says; ``reading`` is null while the film waits."""
    with service.store.read() as session:
        film = find_open(session, film_id, visitor)
        read = session.get(Read, film.reading_id) if film.reading_id else None
        waits = film.status in ("queued", "reading")
        if read is None or waits:
            ahead = queue.ahead_of(session, film_id)
            return ReadingAnswer(film_id=film_id, status=film.status, queue_ahead=ahead)
        model = session.get_one(Model, read.checksum)
    blind.show(service, visitor, [film_id])
    service.looks.note(visitor, film)
    said = with_answers(read.reading)
    if prevalence is not None or operating_point is not None:
        said = restate(said, model.manifest, operating_point, prevalence)
    told = Reading.model_validate(said)
    return ReadingAnswer(
        film_id=film_id,
        status=film.status,
        queue_ahead=0,
        reading_id=read.id,
        read_at=iso(read.created_ms),
        bundle=model.identity,
        bundle_checksum=model.checksum,
        site=model.site,
        reading=said,
        lines=[
            ReadingLine(label=label, line=line) for label, line in lines_of(told, language).items()
        ],
        trained=said_of(told, language).trained,
        similar_pictures=[
            each and service.settings.prefix + each
            for each in picture_addresses(service.collection, read.id, said)
        ],
    )


@router.get("/films/{film_id}/overlays", summary="What can be laid over a film")
def overlays(film_id: FilmId, visitor: _Reader, service: Served) -> OverlaysAnswer:
    """Give outlines, boxes and where the heatmaps are, in pixels of the film."""
    found = find(service, film_id, visitor)
    height, width = found.shape
    details = found.read.reading.get("details") or {}
    return OverlaysAnswer(
        rows=height,
        columns=width,
        lungs=_lungs(found, details),
        lesions=details.get("lesions", []),
        boxes=details.get("boxes", []),
        heatmaps=_heatmaps(found, service.settings.prefix),
    )


@router.get(
    "/films/{film_id}/heatmaps/{label}.png",
    summary="Evidence as a 16-bit PNG",
    response_class=Response,
    responses=gives("image/png", "0 is NaN, else low + (value - 1) * (high - low) / 65534"),
)
def heatmap_png(film_id: FilmId, label: Label, visitor: _Reader, service: Served) -> Response:
    """Give the evidence for a label, in logits."""
    heatmap = _heatmap(find(service, film_id, visitor), label)
    low, high = _range(heatmap)
    scaled = 1 + np.rint((heatmap - low) / max(high - low, 1e-9) * 65534)
    pixels = np.where(np.isfinite(heatmap), scaled, 0).astype(np.uint16)
    return Response(_png(pixels), media_type="image/png", headers=_headers(heatmap))


@router.get(
    "/films/{film_id}/heatmaps/{label}.f32",
    summary="Evidence as numbers",
    response_class=Response,
    responses=gives("application/octet-stream", "float32, little-endian, rows * columns; logits"),
)
def heatmap_f32(film_id: FilmId, label: Label, visitor: _Reader, service: Served) -> Response:
    """Give the evidence for a label, in logits; NaN where the network did not look."""
    heatmap = _heatmap(find(service, film_id, visitor), label)
    body = heatmap.astype("<f4").tobytes()
    return Response(body, media_type="application/octet-stream", headers=_headers(heatmap))


@router.get(
    "/films/{film_id}/lungs.png",
    summary="The lungs as a mask",
    response_class=Response,
    responses=gives("image/png", "8 bits, 255 inside, size of the film"),
)
def lungs_png(film_id: FilmId, visitor: _Reader, service: Served) -> Response:
    """Give the mask that the lung network drew."""
    found = find(service, film_id, visitor)
    if found.evidence.lungs is None:
        raise not_found("lung mask of this film")
    mask = found.evidence.lungs.on_film(found.shape).astype(np.uint8) * 255
    return Response(_png(mask), media_type="image/png")


@router.get(
    "/films/{film_id}/opacities/{kind}.png",
    summary="Opacities as a mask",
    response_class=Response,
    responses=gives("image/png", "8 bits, 255 inside, size of the film"),
)
def opacities_png(film_id: FilmId, kind: Opacity, visitor: _Reader, service: Served) -> Response:
    """Give the opacities of a kind."""
    found = find(service, film_id, visitor)
    details = found.read.reading.get("details")
    if details is None:
        raise not_found("opacity mask of this film")
    polygons = [each["outline"] for each in details["lesions"] if each["kind"] == kind]
    return Response(_png(fill(polygons, found.shape)), media_type="image/png")


def find(service: Service, film_id: str, visitor: Visitor) -> Shown:
    """Return a film's reading for this visitor.

    Raises:
        Problem: no such film, not read yet, or a blind verdict is owed.
    """
    with service.store.read() as session:
        film = find_open(session, film_id, visitor)
        read = session.get(Read, film.reading_id) if film.reading_id else None
        if read is None:
            raise Problem(409, "not-read", "the film was not read yet", hint="see GET /events")
        model = session.get_one(Model, read.checksum)
    blind.show(service, visitor, [film_id])
    service.looks.note(visitor, film)
    manifest = Manifest.model_validate(model.manifest)
    return Shown(film, read, manifest, unpack(read.evidence))


def with_answers(said: dict[str, Any]) -> dict[str, Any]:
    """Return a stored reading with the answer of each finding, which older ones do not carry."""
    findings = [{**each, "answer": answer_in(each)} for each in said["findings"]]
    return {**said, "findings": findings}


def restate(
    said: dict[str, Any],
    manifest: dict[str, Any],
    operating_point: str | None,
    prevalence: float | None,
) -> dict[str, Any]:
    """Say a reading again for another operating point or prevalence, see ``findings_of``.

    Raises:
        ConfigError: there is no such operating point, or nothing was calibrated.
    """
    known = Manifest.model_validate(manifest)
    before = Reading.model_validate(said)
    if not before.findings:
        return said
    check_prevalence(known, prevalence)
    logits = np.array([finding.logit for finding in before.findings], np.float32)
    now = findings_of(known, logits, operating_point, prevalence)
    shares = [finding.in_lung_share for finding in before.findings]
    findings = tuple(
        finding.model_copy(update={"in_lung_share": share})
        for finding, share in zip(now, shares, strict=True)
    )
    return before.model_copy(update={"findings": findings}).model_dump(mode="json")


def _lungs(found: Shown, details: dict[str, Any]) -> list[LungOutline]:
    """Take the lungs with their sides where they are known, else the mask's borders."""
    if details.get("lungs"):
        return [LungOutline.model_validate(each) for each in details["lungs"]]
    if found.evidence.lungs is None:
        return []
    mask = found.evidence.lungs.on_film(found.shape)
    return [LungOutline(side=None, outline=each) for each in outlines(mask)[:4]]


def _heatmaps(found: Shown, prefix: str) -> list[HeatmapFacts]:
    if found.evidence.maps is None:
        return []
    where = f"{prefix}/api/v1/films/{found.film.id}/heatmaps"
    listed = []
    for output in found.manifest.labels:
        heatmap = _heatmap(found, output.label)
        low, high = _range(heatmap)
        listed.append(
            HeatmapFacts(
                label=output.label,
                png=f"{where}/{output.label}.png",
                f32=f"{where}/{output.label}.f32",
                rows=heatmap.shape[0],
                columns=heatmap.shape[1],
                low=low,
                high=high,
                limit=limit_of(heatmap),
            )
        )
    return listed


def _heatmap(found: Shown, label: Label) -> NDArray[np.float32]:
    height, width = found.shape
    scale = min(1.0, SIDE / max(height, width))
    shape = max(1, round(height * scale)), max(1, round(width * scale))
    try:
        return found.evidence.heatmap(found.manifest, label, shape)
    except KeyError:
        raise not_found(f"heatmap of {label}") from None


def _range(heatmap: NDArray[np.float32]) -> tuple[float, float]:
    if not np.isfinite(heatmap).any():
        return 0.0, 0.0
    return float(np.nanmin(heatmap)), float(np.nanmax(heatmap))


def _headers(heatmap: NDArray[np.float32]) -> dict[str, str]:
    low, high = _range(heatmap)
    return {
        "X-Hilum-Rows": str(heatmap.shape[0]),
        "X-Hilum-Columns": str(heatmap.shape[1]),
        "X-Hilum-Low": repr(low),
        "X-Hilum-High": repr(high),
        "X-Hilum-Limit": repr(limit_of(heatmap)),
    }


def _png(pixels: NDArray[Any]) -> bytes:
    done, encoded = cv2.imencode(".png", pixels, [cv2.IMWRITE_PNG_COMPRESSION, 1])
    if not done:
        raise ValueError("OpenCV could not encode a PNG")
    return encoded.tobytes()
