"""Collection: pictures of the training films that a reading names as similar.

A bundle carries where its training films lie in feature space, not their pictures. Who has the
collection beside the server names its cases table (``hilum serve --cases``); its films are
joined by ``case_id``, which may tell of a patient and so stands in no address and no log.
"""

from __future__ import annotations

import logging
import threading
from functools import lru_cache
from pathlib import Path
from typing import Any

from hilum.apps.web.pictures import QUALITY, THUMBNAIL
from hilum.apps.web.schemas import API
from hilum.bundle.folder import Bundle
from hilum.bundle.similar import open_similar
from hilum.core.errors import CohortError, ConfigError, ImageError
from hilum.image.open import open_radiograph
from hilum.image.write import jpeg
from hilum.serve.heatmap import thumbnail

_LOG = logging.getLogger("hilum.web")
_KEPT = 500
_AT_ONCE = 2
_FIRST_ROW = 2


class Collection:
    """Films that a bundle was trained on, by ``case_id``.

    Args:
        paths: of the films, absolute, in the order of the table.
        table: the name of the table, for messages.
    """

    def __init__(self, paths: dict[str, str], table: str) -> None:
        self._paths = paths
        self._rows = {case_id: row for row, case_id in enumerate(paths, start=_FIRST_ROW)}
        self._table = table
        self._decoding = threading.Semaphore(_AT_ONCE)
        self._drawn = lru_cache(_KEPT)(self._draw)

    def __contains__(self, case_id: str) -> bool:
        """Say whether a film is in the table and its file is there now."""
        return case_id in self._paths and Path(self._paths[case_id]).is_file()

    def picture(self, case_id: str) -> bytes:
        """Return a film as a JPEG with a long side of at most ``THUMBNAIL``.

        Raises:
            KeyError: the film is not in the table.
            ImageError: its file is gone, or cannot be opened; the log names the table's row.
        """
        return self._drawn(case_id)

    def _draw(self, case_id: str) -> bytes:
        path = self._paths[case_id]
        try:
            with self._decoding:
                pixels = thumbnail(open_radiograph(path).pixels, THUMBNAIL)
        except ImageError:
            row = self._rows[case_id]
            _LOG.warning("%s row %d: the film cannot be opened", self._table, row)
            raise
        return jpeg(pixels, QUALITY)


def open_collection(table: Path, bundle: Bundle) -> tuple[Collection, str]:
    """Open a cases table as the collection that a bundle was trained on.

    Returns:
        The collection, and a line that says how much of the bundle's films it has.

    Raises:
        CohortError: not a cases table, a ``case_id`` stands twice in it, or it is of other films.
        ConfigError: the bundle names no films, or none of them is where the table says.
    """
    from hilum.data.table import read_cases

    neighbors = open_similar(bundle.root)
    if neighbors is None:
        raise ConfigError(
            f"--cases: {bundle.identity} does not know which films are similar",
            hint="hilum bundle index split.csv -b BUNDLE -o similar.npz, then hilum bundle add",
        )
    cases = read_cases(table)
    found = Collection(dict(zip(cases["case_id"], cases["path"], strict=True)), table.name)
    asked = neighbors.index.case_id.tolist()
    here = set(cases["case_id"])
    named = [case_id for case_id in asked if case_id in here]
    if not named:
        raise CohortError(
            f"{table}: none of its {len(cases)} films is one of the {len(asked)} that "
            f"{bundle.identity} was trained on",
            hint="name the cases table that the bundle was trained with; case_id joins them",
        )
    there = sum(case_id in found for case_id in named)
    if not there:
        raise ConfigError(
            f"{table}: none of the {len(named)} films that it shares with {bundle.identity} "
            f"is there; the first should be {cases['path'][cases['case_id'] == named[0]].iloc[0]}",
            hint="mount the collection, or correct the column 'path'",
        )
    return found, f"similar films: pictures of {there} of the {len(asked)} of {bundle.identity}"


def similar_of(said: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the similar films that a reading (as JSON) names, nearest first."""
    similar: list[dict[str, Any]] = (said.get("details") or {}).get("similar", [])
    return similar


def picture_addresses(
    collection: Collection | None, reading_id: str, said: dict[str, Any]
) -> list[str | None]:
    """Return where the picture of each of a reading's similar films is, None where there is none.

    Args:
        collection: None where the server was given none.
        reading_id, said: a reading, as JSON.
    """
    return [
        f"{API}/readings/{reading_id}/similar/{place}.jpg"
        if collection is not None and each["case_id"] in collection
        else None
        for place, each in enumerate(similar_of(said))
    ]
