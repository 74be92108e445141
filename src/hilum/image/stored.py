"""Stored: the whole depth of a film, for a viewer in which a person chooses the window.

Reading goes through ``hilum.image.open``; this is for showing. Both have the same geometry: what
lies at a pixel of one lies at that pixel of the other.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hilum.core.radiograph import Pixels, Radiograph
from hilum.image.automatic import PERCENTILES, automatic_note, automatic_window
from hilum.image.open import MAX_MEGAPIXELS, in_decoder, open_bytes, read_file
from hilum.image.raster import open_raster
from hilum.image.sniff import SNIFFED_BYTES, FileKind, sniff

if TYPE_CHECKING:
    from hilum.image.dicom_full import Full

_SAMPLE_SIDE = 512


@dataclass(frozen=True)
class Window:
    """Values shown black and white; ``name`` says whose choice that is."""

    name: str
    low: float
    high: float


@dataclass(frozen=True, eq=False)
class Stored:
    """A film with all that was stored.

    Attributes:
        values: uint16 (H, W); a higher value is whiter.
        top: largest value that its bits can hold.
        bits: stored bits a pixel.
        slope, intercept: ``value * slope + intercept`` is the modality's own unit.
        inverted: the file stores white low; it was turned.
        windows: those of the file, the first first; the automatic one where it names none and
            needs one (``hilum.image.automatic``); else empty.
        radiograph: the same film as it is read, with metadata and notes.
    """

    values: NDArray[np.uint16]
    top: int
    bits: int
    slope: float
    intercept: float
    inverted: bool
    windows: tuple[Window, ...]
    radiograph: Radiograph


def open_stored(
    path: str | Path, *, max_megapixels: float = MAX_MEGAPIXELS, turned: bool = True
) -> Stored:
    """Open a film with its whole depth.

    Args:
        path: of the film.
        max_megapixels: larger films are refused.
        turned: as ``open_radiograph`` turns it; False leaves it as it lies in its file, as all
            films were read once.

    Raises:
        ImageError: as ``hilum.image.open.open_radiograph``.
    """
    return in_decoder(_open_here, path, max_megapixels, turned)


def _open_here(path: str, name: str, max_megapixels: float, turned: bool) -> Stored:
    data = read_file(path, name)
    kind = sniff(data[:SNIFFED_BYTES])
    if kind is not None and kind is not FileKind.DICOM:
        return _of_radiograph(open_raster(data, kind, name, max_megapixels, whole=True))
    if kind is not FileKind.DICOM:
        return _of_radiograph(open_bytes(data, name, max_megapixels=max_megapixels))
    from hilum.image.dicom import open_dicom, open_stored_dicom

    found = open_stored_dicom(data, name, max_megapixels, turned=turned)
    if found is None:  # in colour
        return _of_radiograph(open_dicom(data, name, max_megapixels, turned=turned))
    radiograph, full = found
    return Stored(
        values=np.asarray(np.rint(radiograph.pixels), np.uint16),
        top=full.top,
        bits=max(1, full.top.bit_length()),
        slope=full.slope,
        intercept=full.intercept,
        inverted=full.inverted,
        windows=tuple(_named(full)),
        radiograph=radiograph,
    )


def _named(full: Full) -> Iterator[Window]:
    if full.automatic:
        yield Window("auto", *full.automatic)
    for place, (low, high) in enumerate(full.windows):
        yield Window("film" if place == 0 else f"film-{place + 1}", low, high)


def was_turned(radiograph: Radiograph) -> bool:
    """Say whether a film lay otherwise in its file: mirrored or turned, as its header says."""
    return any(
        step.name == "orientation" and step.detail.startswith("stored ")
        for step in radiograph.history
    )


def windows_of(values: NDArray[np.uint16], top: int) -> list[Window]:
    """Return the windows that follow from the values: full, auto, lungs and bone.

    Args:
        values: uint16 (H, W).
        top: largest value that can be stored.
    """
    step = max(1, max(values.shape) // _SAMPLE_SIDE)
    low, middle, high = np.percentile(values[::step, ::step], [PERCENTILES[0], 50, PERCENTILES[1]])
    auto = Window("auto", float(low), float(max(high, low + 1)))
    return [
        Window("full", 0.0, float(top)),
        auto,
        Window("lungs", auto.low, float(max(middle + 0.1 * (high - middle), low + 1))),
        Window("bone", float(min(middle, high - 1)), auto.high),
    ]


def shown(values: NDArray[np.uint16], window: Window) -> Pixels:
    """Window values to float32 in [0, 1], any shape."""
    width = max(window.high - window.low, 1.0)
    scaled = (values.astype(np.float32) - np.float32(window.low)) / np.float32(width)
    return np.asarray(np.clip(scaled, 0, 1), np.float32)


def _of_radiograph(radiograph: Radiograph) -> Stored:
    """Pictures name no window: their pixels are the stored values over the largest one."""
    bits = max(radiograph.bits, 8)
    top = 2**bits - 1
    windows: tuple[Window, ...] = ()
    if window := automatic_window(radiograph.pixels, top):
        windows = (Window("auto", window[0] * top, window[1] * top),)
        radiograph = replace(radiograph, notes=(*radiograph.notes, automatic_note(window)))
    return Stored(
        values=np.asarray(np.rint(radiograph.pixels * np.float32(top)), np.uint16),
        top=top,
        bits=bits,
        slope=1.0,
        intercept=0.0,
        inverted=False,
        windows=windows,
        radiograph=radiograph,
    )
