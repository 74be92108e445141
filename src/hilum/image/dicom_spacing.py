"""DICOM spacing: how far the pixels of a film lie apart, and in which plane (PS3.3 10.7.1.3).

X-rays spread: what lies in the patient is larger on the detector. A length on the detector is
one in the patient only after a division by the magnification.
"""

from __future__ import annotations

from dataclasses import dataclass

from pydicom.dataset import Dataset

from hilum.core.radiograph import Plane
from hilum.image.dicom_values import given, numbers

Pair = tuple[float, float]

_SAME = 0.005
"""Relative difference below which two spacings are one, rounded in two ways."""

_LEAST, _MOST = 0.01, 10.0
"""Spacing in mm that a film can have; 0.000143 is one in meters."""

_MOST_MAGNIFIED = 5.0
"""No film of a chest is magnified more; a larger factor is a mistake."""


@dataclass(frozen=True, slots=True)
class PixelSpacing:
    """How far the pixels of a film lie apart.

    Attributes:
        mm: (row, column) distance of pixel centers in millimeters; None if the file says nothing.
        plane: where those millimeters hold; None without ``mm``.
        source: what they were made from, in words.
        notes: what the file says and was left out.
    """

    mm: Pair | None = None
    plane: Plane | None = None
    source: str | None = None
    notes: tuple[str, ...] = ()


def spacing_of(dataset: Dataset) -> PixelSpacing:
    """Read the spacing of a film; never raises for a wrong or missing value.

    PixelSpacing (0028,0030) that is calibrated, by PixelSpacingCalibrationType (0028,0A02) or as it
    differs from the detector's, holds in the patient. What holds at the detector is divided by
    EstimatedRadiographicMagnificationFactor (0018,1114), else by DistanceSourceToDetector over
    DistanceSourceToPatient (0018,1110 and 0018,1111), where the file gives them.
    """
    notes: list[str] = []
    pixel = _pair(dataset, "PixelSpacing", notes)
    detector = _pair(dataset, "ImagerPixelSpacing", notes)
    at_detector = "ImagerPixelSpacing"
    if detector is None:
        detector = _pair(dataset, "NominalScannedPixelSpacing", notes)
        at_detector = "NominalScannedPixelSpacing"
    if pixel and (how := _calibrated(dataset, pixel, detector)):
        return PixelSpacing(pixel, Plane.PATIENT, f"PixelSpacing, {how}", tuple(notes))
    if detector is None:
        detector, at_detector = pixel, "PixelSpacing, not calibrated"
    if detector is None:
        return PixelSpacing(notes=tuple(notes))
    factor, by = _magnification(dataset, notes)
    if factor is None:
        return PixelSpacing(detector, Plane.DETECTOR, at_detector, tuple(notes))
    mm = detector[0] / factor, detector[1] / factor
    return PixelSpacing(mm, Plane.PATIENT, f"{at_detector}, divided by {by}", tuple(notes))


def _pair(dataset: Dataset, keyword: str, notes: list[str]) -> Pair | None:
    values = given(dataset, keyword)
    if not values:
        return None
    found = [mm for each in values if _LEAST <= (mm := each.number or 0.0) <= _MOST]
    if len(values) == 2 == len(found):
        notes += [each.note for each in values if each.note]
        return found[0], found[1]
    written = "\\".join(each.text for each in values)
    notes.append(
        f"{keyword} '{written}': expected two numbers of {_LEAST:g} to {_MOST:g} mm; left out"
    )
    return None


def _calibrated(dataset: Dataset, pixel: Pair, detector: Pair | None) -> str:
    """Say how PixelSpacing was calibrated; "" if it was not."""
    kind = next((each.text.upper() for each in given(dataset, "PixelSpacingCalibrationType")), "")
    if kind in ("GEOMETRY", "FIDUCIAL"):
        return f"calibrated: {kind}"
    if detector is None or all(
        abs(a - b) <= _SAME * b for a, b in zip(pixel, detector, strict=True)
    ):
        return ""
    return "corrected: it differs from the detector's"


def _magnification(dataset: Dataset, notes: list[str]) -> tuple[float | None, str]:
    """Return by how much the detector shows the patient larger, and where that is known from."""
    keyword = "EstimatedRadiographicMagnificationFactor"
    factor = _positive(dataset, keyword)
    if factor is not None and 1 <= factor <= _MOST_MAGNIFIED:
        return factor, f"the magnification factor {factor:g}"
    if written := "\\".join(each.text for each in given(dataset, keyword)):
        notes.append(f"{keyword} '{written}': expected 1 to {_MOST_MAGNIFIED:g}; left out")
    far = _positive(dataset, "DistanceSourceToDetector")
    near = _positive(dataset, "DistanceSourceToPatient")
    if far and near and 1 < far / near <= _MOST_MAGNIFIED:
        words = f"{far:g} mm / {near:g} mm, the distances of detector and patient (an estimate)"
        return far / near, words
    return None, ""


def _positive(dataset: Dataset, keyword: str) -> float | None:
    values = numbers(dataset, keyword)
    return values[0] if len(values) == 1 and values[0] > 0 else None
