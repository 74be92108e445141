"""Pictures: films decoded for the viewer, with a small memory of what was asked for last."""

from __future__ import annotations

import threading
import zlib
from collections import OrderedDict
from dataclasses import asdict, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hilum.apps.store.folder import FilmFolder
from hilum.apps.web.evidence import AS_FILED, put_right
from hilum.apps.web.problems import without_name
from hilum.core.errors import ImageError
from hilum.core.radiograph import Radiograph
from hilum.image.stored import Stored, Window, open_stored, shown, was_turned, windows_of
from hilum.image.write import jpeg
from hilum.serve.gate import CORRECTIONS, moved
from hilum.serve.heatmap import thumbnail

MEMORY_BYTES = 96_000_000
THUMBNAIL = 256
QUALITY = 85
"""Of JPEGs."""
_SHOWN = (
    "modality",
    "view",
    "laterality",
    "patient_id",
    "age_years",
    "sex",
    "study_date",
    "manufacturer",
)
_OLD = (
    "read as it lies in its file, before films were turned: its sides are wrong; have it read again"
)
_GEOMETRY = ("orientation", "sides", "spacing_mm", "spacing_plane", "spacing_source")
_AT_ONCE = 2
Kinds = tuple[str, ...]


class Pictures:
    """Decoded films.

    Args:
        folder: where they lie.
        megapixels: largest film.
    """

    def __init__(self, folder: FilmFolder, megapixels: float) -> None:
        self._folder = folder
        self._megapixels = megapixels
        self._memory = _Memory(MEMORY_BYTES)
        self._decoding = threading.Semaphore(_AT_ONCE)

    def describe(self, sha256: str, kinds: Kinds) -> dict[str, Any]:
        """Return what ``GET /films/{film_id}/image`` says.

        Raises:
            ImageError: the film cannot be opened.
        """
        found: dict[str, Any] = self._memory.get(("image", sha256, kinds), self._described)
        return found

    def pixels(self, sha256: str, kinds: Kinds, *, zipped: bool) -> bytes:
        """Return the values, uint16 little-endian, row by row; gzip if ``zipped``."""
        name = "gzip" if zipped else "raw"
        found: bytes = self._memory.get((name, sha256, kinds), self._encoded)
        return found

    def thumbnail(self, sha256: str, kinds: Kinds) -> bytes:
        """Return a JPEG with a long side of at most ``THUMBNAIL``."""
        found: bytes = self._memory.get(("thumbnail", sha256, kinds), self._small)
        return found

    def forget(self) -> None:
        """Forget every picture: some are of films that were deleted."""
        self._memory.clear()

    def window(self, sha256: str, kinds: Kinds, side: int) -> NDArray[np.float32]:
        """Return a film as it is shown at first, float32 (h, w) in [0, 1], long side ``side``."""
        stored, values = self._open(sha256, kinds)
        small = thumbnail(values.astype(np.float32), side)
        return shown(np.rint(small).astype(np.uint16), presets(stored, values, kinds)[0])

    def _open(self, sha256: str, kinds: Kinds) -> tuple[Stored, NDArray[np.uint16]]:
        with self._decoding:
            path, most = self._folder.path(sha256), self._megapixels
            try:
                stored = open_stored(path, max_megapixels=most)
                if AS_FILED in kinds and was_turned(stored.radiograph):
                    stored = _as_filed(open_stored(path, max_megapixels=most, turned=False))
            except ImageError as error:
                raise without_name(error, path) from None
            return stored, put_right(stored.values, stored.top, _corrections(kinds))

    def _described(self, key: tuple[str, str, Kinds]) -> tuple[dict[str, Any], int]:
        _, sha256, kinds = key
        stored, values = self._open(sha256, kinds)
        radiograph, kinds = stored.radiograph, _corrections(kinds)
        known = radiograph.metadata
        for kind in kinds:
            known = moved(known, CORRECTIONS[kind])
        metadata = asdict(known)
        slope, intercept = stored.slope, stored.intercept
        if "inverted" in kinds:
            slope, intercept = -slope, intercept + slope * stored.top
        windows = presets(stored, values, kinds)
        described = {
            "rows": values.shape[0],
            "columns": values.shape[1],
            "bits": stored.bits,
            "min": 0,
            "max": stored.top,
            "slope": slope,
            "intercept": intercept,
            **{name: metadata[name] for name in _GEOMETRY},
            "inverted": stored.inverted,
            "corrected": [*_turn(radiograph), *(CORRECTIONS[kind].done for kind in kinds)],
            "presets": [_preset(each) for each in windows],
            "default": windows[0].name,
            "metadata": {"format": radiograph.format} | {key: metadata[key] for key in _SHOWN},
            "notes": list(radiograph.notes),
        }
        return described, 2000

    def _encoded(self, key: tuple[str, str, Kinds]) -> tuple[bytes, int]:
        name, sha256, kinds = key
        _, values = self._open(sha256, kinds)
        body = values.astype("<u2").tobytes()
        if name == "gzip":
            packer = zlib.compressobj(1, zlib.DEFLATED, 16 + zlib.MAX_WBITS)
            body = packer.compress(body) + packer.flush()
        return body, len(body)

    def _small(self, key: tuple[str, str, Kinds]) -> tuple[bytes, int]:
        _, sha256, kinds = key
        encoded = jpeg(self.window(sha256, kinds, THUMBNAIL), QUALITY)
        return encoded, len(encoded)


def presets(stored: Stored, values: NDArray[np.uint16], kinds: Kinds) -> list[Window]:
    """Return the windows of a film that was put right; it is shown with the first at first."""
    windows = stored.windows
    if "inverted" in kinds:
        windows = tuple(
            Window(each.name, stored.top - each.high, stored.top - each.low) for each in windows
        )
    names = {each.name for each in windows}
    further = (each for each in windows_of(values, stored.top) if each.name not in names)
    return [*windows, *further]


def _corrections(kinds: Kinds) -> Kinds:
    return tuple(kind for kind in kinds if kind != AS_FILED)


def _turn(radiograph: Radiograph) -> list[str]:
    """Say how a film lay in its file, if otherwise than it is displayed."""
    steps = [step.detail for step in radiograph.history if step.name == "orientation"]
    return steps if was_turned(radiograph) else []


def _as_filed(stored: Stored) -> Stored:
    """Say that a film is shown as it was read: the wrong way around."""
    film = stored.radiograph
    notes = (*film.notes, _OLD)
    return replace(stored, radiograph=replace(film, notes=notes))


def _preset(window: Window) -> dict[str, Any]:
    """Write a window both ways; center and width as in PS3.3 C.11.2.1.2."""
    width = window.high - window.low + 1
    return {
        "name": window.name,
        "center": (window.low + window.high) / 2 + 0.5,
        "width": width,
        "low": window.low,
        "high": window.high,
    }


class _Memory:
    """What was made last, up to so many bytes."""

    def __init__(self, most: int) -> None:
        self._most, self._size = most, 0
        self._lock = threading.Lock()
        self._kept: OrderedDict[Any, tuple[Any, int]] = OrderedDict()

    def clear(self) -> None:
        """Keep nothing."""
        with self._lock:
            self._kept.clear()
            self._size = 0

    def get(self, key: Any, make: Any) -> Any:
        """Return what is kept under a key, or make it: ``make(key)`` gives it and its size."""
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key][0]
        value, size = make(key)
        with self._lock:
            if key not in self._kept and size <= self._most:
                self._kept[key] = (value, size)
                self._size += size
            while self._size > self._most:
                _, (_, dropped) = self._kept.popitem(last=False)
                self._size -= dropped
        return value
