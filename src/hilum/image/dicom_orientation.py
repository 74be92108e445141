"""DICOM orientation: which way a film lies in its file, and how it is turned to be displayed.

PatientOrientation (0020,0020), PS3.3 C.7.6.1.1.1: towards which part of the patient the rows run
(left to right), then the columns (top to bottom). A frontal film is displayed as L\\F: the
patient's left on the right, the feet below.
"""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

from pydicom.dataset import Dataset

from hilum.core.radiograph import Metadata, Radiograph, Sides, Step
from hilum.image.dicom_values import given, numbers
from hilum.image.turns import ACROSS, TURNS, turn_upright

_OPPOSITE = {"L": "R", "R": "L", "A": "P", "P": "A", "H": "F", "F": "H"}
_TURN_OF: dict[tuple[str, str], int] = {
    ("L", "F"): 1,
    ("R", "F"): 2,
    ("R", "H"): 3,
    ("L", "H"): 4,
    ("F", "L"): 5,
    ("F", "R"): 6,
    ("H", "R"): 7,
    ("H", "L"): 8,
}
"""How a frontal film lies -> its place in ``TURNS``."""
_UNCLEAR = 0.9
"""Cosine below which a direction of ImageOrientationPatient is oblique, 26 degrees off."""


class Lies(NamedTuple):
    """How a film lies in its file.

    Attributes:
        rows, columns: towards what they run: one of L, R, A, P, H, F.
        written: where the file says so, and how.
    """

    rows: str
    columns: str
    written: str


def oriented(radiograph: Radiograph, dataset: Dataset) -> Radiograph:
    """Turn a frontal film as it is displayed, and say where its sides are known from.

    A film that lies otherwise (lateral), or does not say how it lies, stays as it is.
    """
    lies, notes = lies_of(dataset)
    turn = _TURN_OF.get((lies.rows, lies.columns)) if lies else None
    if lies and not turn:
        notes.append(f"{lies.written}: no frontal film; the side of each lung is assumed")
    radiograph = replace(radiograph, notes=(*radiograph.notes, *notes))
    if not lies:
        return radiograph
    if not turn:
        return _with(radiograph, orientation=(lies.rows, lies.columns))
    if turn > 1:
        radiograph = _turned(radiograph, turn, lies)
    return _with(radiograph, orientation=("L", "F"), sides=Sides.STATED)


def lies_of(dataset: Dataset) -> tuple[Lies | None, list[str]]:
    """Read PatientOrientation, else ImageOrientationPatient (0020,0037).

    Returns:
        How the film lies, None if the file does not say it; and what to say of wrong values.
    """
    written = [each.text for each in given(dataset, "PatientOrientation")]
    if written:
        said = "PatientOrientation '" + "\\".join(written) + "'"
        letters = _letters(written)
        if letters:
            return Lies(*letters, said), []
        note = f"{said}: expected two directions, e.g. L\\F; the side of each lung is assumed"
        return None, [note]
    return _by_cosines(dataset), []


def _letters(written: list[str]) -> tuple[str, str] | None:
    """Take the principal direction, the first letter of each value."""
    values = [each.upper() for each in written]
    if len(values) != 2 or not all(map(_is_direction, values)):
        return None
    rows, columns = values[0][0], values[1][0]
    return None if columns in (rows, _OPPOSITE[rows]) else (rows, columns)


def _is_direction(value: str) -> bool:
    """One to three letters, each of another axis."""
    axes = ["".join(sorted((each, _OPPOSITE.get(each, "?")))) for each in value]
    return bool(value) and "?" not in "".join(axes) and len(set(axes)) == len(axes)


def _by_cosines(dataset: Dataset) -> Lies | None:
    """Read directions in the patient's axes: x runs to the left, y to the back, z to the head."""
    cosines = numbers(dataset, "ImageOrientationPatient")
    if len(cosines) != 6:
        return None
    letters = []
    for vector in (cosines[:3], cosines[3:]):
        largest = max(range(3), key=lambda axis: abs(vector[axis]))
        if abs(vector[largest]) < _UNCLEAR:
            return None
        letters.append("LPH"[largest] if vector[largest] > 0 else "RAF"[largest])
    found = _letters(letters)
    said = "\\".join(letters)
    return Lies(*found, f"ImageOrientationPatient ({said})") if found else None


def _turned(radiograph: Radiograph, turn: int, lies: Lies) -> Radiograph:
    pixels = turn_upright(radiograph.pixels, turn)
    step = Step("orientation", f"stored {lies.rows}\\{lies.columns}, {TURNS[turn]} to L\\F")
    spacing = radiograph.metadata.spacing_mm
    if spacing and turn in ACROSS:
        radiograph = _with(radiograph, spacing_mm=spacing[::-1])
    return radiograph.stepped(pixels, step.name, step.detail)


def _with(radiograph: Radiograph, **known: object) -> Radiograph:
    metadata: Metadata = replace(radiograph.metadata, **known)  # type: ignore[arg-type]
    return replace(radiograph, metadata=metadata)
