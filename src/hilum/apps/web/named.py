"""Named: the patient's name and the accession number of a study, for whom the site lets see them.

They are read from a film when a study is shown, and stand in no table, log or export; objects that
go to such a person have them, and so has what the node sends to archives.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from time import monotonic
from typing import NamedTuple

from sqlalchemy import select
from sqlalchemy.orm import Session

from hilum.apps.store import queue
from hilum.apps.store.people import Role
from hilum.apps.store.store import parts
from hilum.apps.store.tables import Film
from hilum.apps.web.access import Visitor
from hilum.apps.web.service import Service
from hilum.core.errors import HilumError
from hilum.image.decoders import run
from hilum.image.dicom_metadata import read_names


class Named(NamedTuple):
    """As far as a header says it and the visitor may see it; None else."""

    name: str | None = None
    accession: str | None = None


def names_of(
    service: Service, session: Session, visitor: Visitor, study_ids: list[str]
) -> dict[str, Named]:
    """Return what is shown of studies; those of which nothing is are left out."""
    shown = service.settings.identity
    name, accession = _may(visitor, shown.name), _may(visitor, shown.accession)
    told: dict[str, Named] = {}
    if not (name or accession):
        return told
    for part in parts(study_ids):
        films = select(Film).where(Film.study_id.in_(part), Film.format.startswith("DICOM"))
        for film in session.scalars(films.order_by(Film.created_ms, Film.id)).all():
            if film.study_id in told or queue.is_dangerous(session, film):
                continue
            if found := _found(service.folder.path(film.sha256), film.size):
                told[film.study_id] = Named(
                    found.name if name else None, found.accession if accession else None
                )
    return told


def withheld(service: Service, visitor: Visitor) -> tuple[str, ...]:
    """Return the keywords of what a visitor may not see of a film's header."""
    shown = service.settings.identity
    least = {"PatientName": shown.name, "AccessionNumber": shown.accession}
    return tuple(keyword for keyword, role in least.items() if not _may(visitor, role))


def _may(visitor: Visitor, least: Role | None) -> bool:
    return least is not None and visitor.role.covers(least)


_AGAIN = 300.0
"""Seconds after which a header that could not be read is tried again: a failure may take long."""
_failed: dict[Path, float] = {}
"""When, by ``monotonic``."""


def _found(path: Path, size: int) -> Named | None:
    if monotonic() < _failed.get(path, -_AGAIN) + _AGAIN:
        return None
    try:
        return _read(path, size)
    except (HilumError, OSError):
        _failed[path] = monotonic()
        return None


@lru_cache(maxsize=4096)
def _read(path: Path, size: int) -> Named:
    """Read a header once, in a process of its own as every film."""
    return Named(*run(read_names, "film", size, 0, str(path)))


def forget() -> None:
    """Keep nothing in memory of films that are deleted."""
    _read.cache_clear()
    _failed.clear()
