"""Gate: films that opened but must not be read, each with the reason.

First what the file says of itself and what needs no network; then, where the bundle carries a
``gate.json``, what the lung network saw. A film that is inverted or turned is corrected where that
is certain and the corrected film passes; otherwise it is refused.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from hilum.bundle.gate import Broken, Gate
from hilum.bundle.onepass import Segmenter
from hilum.core.labels import View
from hilum.core.radiograph import Metadata, Pixels, Radiograph, Sides
from hilum.core.refusal import Reason, Refusal
from hilum.core.rounded import figures
from hilum.image.lungs import Lungs
from hilum.image.signs import signs

MIN_SIDE = 64
"""Pixels; below it lungs cannot be told from noise."""

MIN_CONTRAST = 1e-3
"""Range of grey levels in [0, 1] below which a picture is blank."""

ADULT_YEARS = 18

OTHER_MODALITIES: dict[str, str] = {
    "CT": "a CT slice",
    "MR": "a magnetic resonance image",
    "US": "an ultrasound image",
    "NM": "a nuclear medicine image",
    "PT": "a PET image",
    "MG": "a mammogram",
    "IO": "a dental film",
    "PX": "a dental panorama",
    "XA": "an angiogram",
}
"""DICOM Modality (0008,0060) that is certainly no plain radiograph of a chest, in words."""


class Correction(NamedTuple):
    """How a film is put right.

    Attributes:
        put_right: from the pixels as they came, float32 (H, W) in [0, 1].
        done: what it does, in words.
        turns: rows become columns.
        moves: pixels change their places.
    """

    put_right: Callable[[Pixels], Pixels]
    done: str
    turns: bool = False
    moves: bool = True


CORRECTIONS: dict[str, Correction] = {
    "inverted": Correction(
        lambda film: np.float32(1) - film, "polarity turned, bone is white now", moves=False
    ),
    "rotated-left": Correction(
        lambda film: np.rot90(film, -1), "turned right by 90 degrees", turns=True
    ),
    "rotated-right": Correction(
        lambda film: np.rot90(film, 1), "turned left by 90 degrees", turns=True
    ),
    "upside-down": Correction(lambda film: np.rot90(film, 2), "turned by 180 degrees"),
}
"""Kind of picture -> what makes it a frontal film."""

_MOST_CORRECTIONS = 2
"""A film may be both inverted and turned."""


@dataclass(frozen=True, slots=True)
class Admission:
    """What the gate makes of a film.

    Attributes:
        radiograph: the film, corrected where it was.
        lungs: of that film, where a lung network saw it.
        refusal: why it must not be read; None if it may.
    """

    radiograph: Radiograph
    lungs: Lungs | None = None
    refusal: Refusal | None = None


def admit(
    radiograph: Radiograph,
    segmenter: Segmenter | None = None,
    gate: Gate | None = None,
    *,
    force: bool = False,
) -> Admission:
    """Ask whether a film may be read, and find its lungs.

    Args:
        radiograph: an opened film.
        segmenter: finds the lungs; None leaves them unknown.
        gate: of the bundle; None leaves the rules that need no network.
        force: find the lungs of a film that ``refuse`` names, too.
    """
    refusal = refuse(radiograph)
    if segmenter is None or (refusal and not force):
        return Admission(radiograph, None, refusal)
    lungs, broken = _look(radiograph, segmenter, gate)
    if refusal is None and broken is not None:
        if corrected := _corrected(radiograph, broken, segmenter, gate):
            return corrected
        refusal = _refusal(broken)
    return Admission(radiograph, lungs, refusal)


def refuse(radiograph: Radiograph) -> Refusal | None:
    """Return why a film must not be read, by what needs no network; None if it may be."""
    return _by_metadata(radiograph) or _by_pixels(radiograph)


def _by_metadata(radiograph: Radiograph) -> Refusal | None:
    metadata = radiograph.metadata
    if named := OTHER_MODALITIES.get(metadata.modality or ""):
        code = Reason.CT_SLICE if metadata.modality == "CT" else Reason.OTHER_MODALITY
        return _stated(code, f"modality {metadata.modality} ({named}); expected CR or DX")
    if metadata.view is View.LATERAL:
        return _stated(Reason.LATERAL, "the file says so; expected a frontal one (PA or AP)")
    if metadata.age_years is not None and metadata.age_years < ADULT_YEARS:
        return Refusal(
            code=Reason.PEDIATRIC,
            measured="age in years, as the file says,",
            value=metadata.age_years,
            limit=ADULT_YEARS,
            hint=Reason.PEDIATRIC.hint,
        )
    return None


def _by_pixels(radiograph: Radiograph) -> Refusal | None:
    height, width = radiograph.shape
    if min(height, width) < MIN_SIDE:
        return Refusal(
            code=Reason.TOO_SMALL,
            measured=f"{width} x {height} pixels; the shorter side is",
            value=min(height, width),
            limit=MIN_SIDE,
            hint=Reason.TOO_SMALL.hint,
        )
    contrast = float(radiograph.pixels.max() - radiograph.pixels.min())
    if contrast < MIN_CONTRAST:
        return Refusal(
            code=Reason.BLANK,
            measured="grey levels differ by",
            value=contrast,
            limit=MIN_CONTRAST,
            hint=Reason.BLANK.hint,
        )
    return None


def _look(
    radiograph: Radiograph, segmenter: Segmenter, gate: Gate | None
) -> tuple[Lungs, Broken | None]:
    square = segmenter.preprocess.square(radiograph)
    lungs = segmenter.segment_squares([square])[0]
    if gate is None:
        return lungs, None
    return lungs, gate.judge(lungs.embedding, signs(radiograph, square, lungs))


def _corrected(
    radiograph: Radiograph, broken: Broken, segmenter: Segmenter, gate: Gate | None
) -> Admission | None:
    """Put the film right as long as that is certain; None if it does not pass in the end."""
    for _ in range(_MOST_CORRECTIONS):
        if not broken.certain or broken.kind not in CORRECTIONS:
            return None
        correction = CORRECTIONS[broken.kind]
        found = f"{broken.reason.meaning}: {broken.measured} {figures(broken.value)}"
        pixels = np.ascontiguousarray(correction.put_right(radiograph.pixels), np.float32)
        film = radiograph.stepped(pixels, "corrected", f"{correction.done} ({found})")
        notes = [f"the film came {broken.reason.meaning}; {correction.done}, before it was read"]
        if correction.moves:
            if film.metadata.sides is Sides.STATED:
                notes.append("so the file is wrong about its orientation; the side is assumed")
            film = replace(film, metadata=moved(film.metadata, correction))
        radiograph = replace(film, notes=(*film.notes, *notes))
        lungs, left = _look(radiograph, segmenter, gate)
        if left is None:
            return Admission(radiograph, lungs)
        broken = left
    return None


def lies_otherwise(radiograph: Radiograph) -> bool:
    """Say whether a correction moved the pixels of a film: masks of its file do not fit it."""
    moves = tuple(each.done for each in CORRECTIONS.values() if each.moves)
    steps = radiograph.history
    return any(step.name == "corrected" and step.detail.startswith(moves) for step in steps)


def moved(metadata: Metadata, correction: Correction) -> Metadata:
    """Return what is known of a film after a correction: no file said that it lies like this."""
    if not correction.moves:
        return metadata
    spacing = metadata.spacing_mm
    if correction.turns and spacing is not None:
        spacing = spacing[::-1]
    return replace(metadata, spacing_mm=spacing, orientation=None, sides=Sides.ASSUMED)


def _refusal(broken: Broken) -> Refusal:
    return Refusal(
        code=broken.reason,
        measured=broken.measured,
        value=broken.value,
        limit=broken.limit,
        hint=broken.reason.hint,
    )


def _stated(code: Reason, found: str) -> Refusal:
    return Refusal(code=code, measured=found, hint=code.hint)
