"""DICOM metadata: what a data set says of a film, in Hilum's words.

View positions are translated here and nowhere else. What a file does not say stays None.
"""

from __future__ import annotations

import math
import re
from datetime import date, datetime

from pydicom import dcmread
from pydicom.dataset import Dataset

from hilum.core.labels import View
from hilum.core.radiograph import Metadata
from hilum.image.dicom_spacing import spacing_of
from hilum.image.dicom_values import code_of, items_of, text_of

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
_YEARS_APART = 2.0  # an age in whole years and one from dates may differ by less
_FIRST_DICOM_YEAR = 1993
_STUDY_DATES = ("StudyDate", "SeriesDate", "AcquisitionDate", "ContentDate")


def read_metadata(dataset: Dataset) -> Metadata:
    """Read what is known of a film; never raises for a wrong or missing value.

    Orientation and sides are those of the picture: ``hilum.image.dicom_orientation`` adds them.
    """
    spacing = spacing_of(dataset)
    return Metadata(
        modality=code_of(dataset, "Modality"),
        view=view_of(dataset),
        laterality=code_of(dataset, "ImageLaterality") or code_of(dataset, "Laterality"),
        patient_id=text_of(dataset, "PatientID"),
        age_years=age_years(dataset),
        sex=_one_of(dataset, "PatientSex", ("M", "F", "O")),
        spacing_mm=spacing.mm,
        spacing_plane=spacing.plane,
        spacing_source=spacing.source,
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


def read_names(path: str) -> tuple[str | None, str | None]:
    """Read the patient's name, as people write it, and the accession number of a file.

    Of the name's three forms (PS3.5 6.2.1.2) every one that is given: "Yamada, Tarou (山田, 太郎)".
    """
    tags = ["PatientName", "AccessionNumber"]
    dataset = dcmread(path, stop_before_pixels=True, specific_tags=tags, force=True)
    forms = []
    for form in (text_of(dataset, "PatientName") or "").split("="):
        family, *given = [" ".join(part.split()) for part in form.split("^")]
        forms.append(", ".join(filter(None, [family, " ".join(filter(None, given))])))
    first, *others = [each for each in forms if each] or [""]
    name = f"{first} ({', '.join(others)})" if others else first
    accession = text_of(dataset, "AccessionNumber") or ""
    plain = ["".join(sign for sign in each if sign.isprintable()) for each in (name, accession)]
    return plain[0][:200] or None, plain[1][:64] or None


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
    """Read PatientAge (0010,1010), else birth date to study date; in years. See ``age_of``."""
    return age_of(dataset)[0]


def age_of(dataset: Dataset) -> tuple[float | None, str]:
    """Read the age in years, and say where PatientAge and the dates disagree; "" as a rule.

    A bare number, as some archives write it, counts as years. PatientAge was written for this
    study, and birth dates are what de-identification changes, so it is believed, with one
    exception: an age of 0, which devices write for one that is not known, of somebody who was born
    years before.
    """
    written = text_of(dataset, "PatientAge") or ""
    stated, dated = _stated_years(written), _dated_years(dataset)
    if stated == 0 and dated is None and _born_before_dicom(dataset):
        return None, f"PatientAge '{written}' of somebody born before 1993: age unknown"
    if stated is None or dated is None:
        doubt = f"PatientAge '{written}' cannot be: left out" if written and stated is None else ""
        return (dated if stated is None else stated), doubt
    if abs(stated - dated) < _YEARS_APART:
        return stated, ""
    taken = "the dates" if stated == 0 else "PatientAge"
    return (dated if stated == 0 else stated), (
        f"PatientAge '{written}', but {int(dated)} years from birth to study: {taken} believed"
    )


def _stated_years(written: str) -> float | None:
    match = _AGE.fullmatch(written.upper())
    years = int(match[1]) * _YEARS_PER[match[2]] if match else None
    return years if years is not None and years <= _OLDEST_YEARS else None


def _born_before_dicom(dataset: Dataset) -> bool:
    """True for a birth date before the year of the first DICOM file: no newborn of any film."""
    born = _date(dataset, "PatientBirthDate")
    return born is not None and born.year < _FIRST_DICOM_YEAR


def _dated_years(dataset: Dataset) -> float | None:
    born = _date(dataset, "PatientBirthDate")
    dates = (_date(dataset, keyword) for keyword in _STUDY_DATES)
    studied = next((day for day in dates if day is not None), None)
    if born is None or studied is None or studied < born:
        return None
    whole = studied.year - born.year - ((studied.month, studied.day) < (born.month, born.day))
    # a year has not always 365.25 days: one birthday more or less would be another age
    years = min(max((studied - born).days / 365.25, whole), math.nextafter(whole + 1, 0))
    return years if years <= _OLDEST_YEARS else None


def _one_of(dataset: Dataset, keyword: str, known: tuple[str, ...]) -> str | None:
    value = code_of(dataset, keyword) or ""
    return value if value in known else None


def _date(dataset: Dataset, keyword: str) -> date | None:
    """Read a date: 19700131, or with the dots of ACR-NEMA (PS3.5 6.2) or dashes in between."""
    written = re.sub(r"[.-]", "", text_of(dataset, keyword) or "")
    try:
        return datetime.strptime(written, "%Y%m%d").date()
    except ValueError:
        return None


def _iso(day: date | None) -> str | None:
    return day.isoformat() if day else None


def _codes(dataset: Dataset, keyword: str) -> list[str]:
    codes = (text_of(item, "CodeValue") for item in items_of(dataset, keyword))
    return [code for code in codes if code]


def _says_supine(dataset: Dataset) -> bool:
    texts = (text_of(dataset, keyword) or "" for keyword in _SUPINE_TEXTS)
    if any(re.search(r"\bsupine\b", text, re.IGNORECASE) for text in texts):
        return True
    return any(
        code in _SUPINE_CODES
        for item in items_of(dataset, "PatientOrientationCodeSequence")
        for code in _codes(item, "PatientOrientationModifierCodeSequence")
    )
