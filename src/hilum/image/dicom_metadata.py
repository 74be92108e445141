"""DICOM metadata: what a data set says of a film, in Hilum's words.

View positions are translated here and nowhere else. What a file does not say stays None.
"""

from __future__ import annotations

import re
from datetime import date, datetime
from typing import Any

from pydicom.dataset import Dataset

from hilum.core.labels import View
from hilum.core.radiograph import Metadata

_VIEW_POSITIONS: dict[str, View] = {
    "PA": View.PA,
    "AP": View.AP,
    "AP SUPINE": View.AP_SUPINE,
    "LL": View.LATERAL,
    "RL": View.LATERAL,
    "LAT": View.LATERAL,
    "LATERAL": View.LATERAL,
}
"""ViewPosition (0018,5101), PS3.3 C.8.1.2 and C.8.11.5. Decubitus and oblique views have no name
in Hilum and stay unknown."""

_VIEW_CODES: dict[str, View] = {
    "272479007": View.PA,
    "R-10214": View.PA,
    "399348003": View.AP,
    "R-10206": View.AP,
    "399067008": View.LATERAL,
    "399173006": View.LATERAL,
    "399198007": View.LATERAL,
}
"""ViewCodeSequence (0054,0220), PS3.16 CID 4010; SNOMED CT, and its older form for PA and AP."""

_SUPINE_CODES = ("40199007", "F-10340")  # PS3.16 CID 20
_SUPINE_TEXTS = ("SeriesDescription", "ProtocolName", "AcquisitionDeviceProcessingDescription")
_AGE = re.compile(r"(\d{1,3})([YMWD]?)")
_YEARS_PER = {"Y": 1.0, "": 1.0, "M": 1 / 12, "W": 7 / 365.25, "D": 1 / 365.25}
_OLDEST_YEARS = 130  # public files hold ages up to 412


def read_metadata(dataset: Dataset) -> Metadata:
    """Read what is known of a film; never raises for a wrong or missing value."""
    return Metadata(
        modality=_text(dataset, "Modality"),
        view=view_of(dataset),
        laterality=_text(dataset, "ImageLaterality") or _text(dataset, "Laterality"),
        patient_id=_text(dataset, "PatientID"),
        age_years=age_years(dataset),
        sex=_one_of(dataset, "PatientSex", ("M", "F", "O")),
        spacing_mm=spacing_mm(dataset),
        study_uid=_text(dataset, "StudyInstanceUID"),
        series_uid=_text(dataset, "SeriesInstanceUID"),
        instance_uid=_text(dataset, "SOPInstanceUID"),
        sop_class_uid=_text(dataset, "SOPClassUID"),
        study_date=_iso(_date(dataset, "StudyDate")),
        manufacturer=_text(dataset, "Manufacturer"),
        presentation_intent=_text(dataset, "PresentationIntentType"),
        burned_in_annotation={"YES": True, "NO": False}.get(
            _text(dataset, "BurnedInAnnotation") or ""
        ),
    )


def view_of(dataset: Dataset) -> View | None:
    """Translate ViewPosition, else ViewCodeSequence; AP becomes AP supine only if the file says so.

    PatientPosition (0018,5100) is not asked: it is defined for tomographs, and radiography
    devices fill it with a constant.
    """
    view = _VIEW_POSITIONS.get((_text(dataset, "ViewPosition") or "").upper())
    if view is None:
        codes = (_VIEW_CODES.get(code) for code in _codes(dataset, "ViewCodeSequence"))
        view = next((code for code in codes if code), None)
    if view is View.AP and _says_supine(dataset):
        return View.AP_SUPINE
    return view


def age_years(dataset: Dataset) -> float | None:
    """Read PatientAge (0010,1010), else birth date to study date; in years.

    A bare number, as some archives write it, counts as years.
    """
    match = _AGE.fullmatch((_text(dataset, "PatientAge") or "").upper())
    if match:
        years = int(match[1]) * _YEARS_PER[match[2]]
        return years if years <= _OLDEST_YEARS else None
    born, studied = _date(dataset, "PatientBirthDate"), _date(dataset, "StudyDate")
    if born is None or studied is None or studied < born:
        return None
    years = (studied - born).days / 365.25
    return years if years <= _OLDEST_YEARS else None


def spacing_mm(dataset: Dataset) -> tuple[float, float] | None:
    """Read PixelSpacing (0028,0030), else ImagerPixelSpacing (0018,1164): (row, column) in mm."""
    for keyword in ("PixelSpacing", "ImagerPixelSpacing"):
        values = numbers(dataset, keyword)
        if len(values) == 2 and min(values) > 0:
            return values[0], values[1]
    return None


def numbers(dataset: Dataset, keyword: str) -> list[float]:
    """Read the finite numbers of an attribute, none if it is absent, empty or not numbers."""
    value = _value(dataset, keyword)
    values = value if isinstance(value, (list, tuple)) or hasattr(value, "append") else [value]
    try:
        found = [float(v) for v in values if v is not None and v != ""]
    except (TypeError, ValueError):
        return []
    return [v for v in found if abs(v) < float("inf")]


def _value(dataset: Dataset, keyword: str) -> Any:
    try:
        return dataset.get(keyword)
    except (ValueError, TypeError, KeyError, NotImplementedError):
        return None  # a value that its VR forbids: as if it were absent


def _text(dataset: Dataset, keyword: str) -> str | None:
    value = _value(dataset, keyword)
    return (str(value).strip() or None) if value is not None else None


def _one_of(dataset: Dataset, keyword: str, known: tuple[str, ...]) -> str | None:
    value = (_text(dataset, keyword) or "").upper()
    return value if value in known else None


def _date(dataset: Dataset, keyword: str) -> date | None:
    try:
        return datetime.strptime(_text(dataset, keyword) or "", "%Y%m%d").date()
    except ValueError:
        return None


def _iso(day: date | None) -> str | None:
    return day.isoformat() if day else None


def _codes(dataset: Dataset, keyword: str) -> list[str]:
    items = _value(dataset, keyword) or []
    return [code for item in items if (code := _text(item, "CodeValue"))]


def _says_supine(dataset: Dataset) -> bool:
    texts = (_text(dataset, keyword) or "" for keyword in _SUPINE_TEXTS)
    if any(re.search(r"\bsupine\b", text, re.IGNORECASE) for text in texts):
        return True
    orientations = _value(dataset, "PatientOrientationCodeSequence") or []
    return any(
        code in _SUPINE_CODES
        for item in orientations
        for code in _codes(item, "PatientOrientationModifierCodeSequence")
    )
