"""DICOM metadata: what a data set says of a film, in Hilum's words.

View positions are translated here and nowhere else. What a file does not say stays None.
"""

from __future__ import annotations

import re
from datetime import date, datetime

from pydicom.dataset import Dataset

from hilum.core.labels import View
from hilum.core.radiograph import Metadata
from hilum.image.dicom_values import code_of, numbers, text_of, value_of

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
        modality=code_of(dataset, "Modality"),
        view=view_of(dataset),
        laterality=code_of(dataset, "ImageLaterality") or code_of(dataset, "Laterality"),
        patient_id=text_of(dataset, "PatientID"),
        age_years=age_years(dataset),
        sex=_one_of(dataset, "PatientSex", ("M", "F", "O")),
        spacing_mm=spacing_mm(dataset),
        study_uid=text_of(dataset, "StudyInstanceUID"),
        series_uid=text_of(dataset, "SeriesInstanceUID"),
        instance_uid=text_of(dataset, "SOPInstanceUID"),
        sop_class_uid=text_of(dataset, "SOPClassUID"),
        study_date=_iso(_date(dataset, "StudyDate")),
        manufacturer=text_of(dataset, "Manufacturer"),
        presentation_intent=code_of(dataset, "PresentationIntentType"),
        burned_in_annotation={"YES": True, "NO": False}.get(
            code_of(dataset, "BurnedInAnnotation") or ""
        ),
    )


def view_of(dataset: Dataset) -> View | None:
    """Translate ViewPosition, else ViewCodeSequence; AP becomes AP supine only if the file says so.

    PatientPosition (0018,5100) is not asked: it is defined for tomographs, and radiography
    devices fill it with a constant.
    """
    view = _VIEW_POSITIONS.get(code_of(dataset, "ViewPosition") or "")
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
    match = _AGE.fullmatch((text_of(dataset, "PatientAge") or "").upper())
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


def _one_of(dataset: Dataset, keyword: str, known: tuple[str, ...]) -> str | None:
    value = code_of(dataset, keyword) or ""
    return value if value in known else None


def _date(dataset: Dataset, keyword: str) -> date | None:
    try:
        return datetime.strptime(text_of(dataset, keyword) or "", "%Y%m%d").date()
    except ValueError:
        return None


def _iso(day: date | None) -> str | None:
    return day.isoformat() if day else None


def _codes(dataset: Dataset, keyword: str) -> list[str]:
    items = value_of(dataset, keyword) or []
    return [code for item in items if (code := text_of(item, "CodeValue"))]


def _says_supine(dataset: Dataset) -> bool:
    texts = (text_of(dataset, keyword) or "" for keyword in _SUPINE_TEXTS)
    if any(re.search(r"\bsupine\b", text, re.IGNORECASE) for text in texts):
        return True
    orientations = value_of(dataset, "PatientOrientationCodeSequence") or []
    return any(
        code in _SUPINE_CODES
        for item in orientations
        for code in _codes(item, "PatientOrientationModifierCodeSequence")
    )
