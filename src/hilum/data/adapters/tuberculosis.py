"""Shenzhen and Montgomery (Jaeger et al., Quant Imaging Med Surg 2014): tuberculosis or normal.

The last digit of a file name is the label: ``CHNCXR_0004_0.png`` is normal, ``CHNCXR_0327_1.png``
tuberculosis. ``ClinicalReadings/NAME.txt`` gives sex, age and the reading, where it is there. Both
collections are from before COVID-19.
"""

from __future__ import annotations

import re
from pathlib import Path

from hilum.core.labels import Label, ReferenceStandard, View
from hilum.data import values
from hilum.data.cohort import Cohort
from hilum.data.folder import Folder, Record, first_folder

_LICENCE = "NLM public use with acknowledgement"
_SHENZHEN_MASKS = "NLM public use with acknowledgement; mask CC BY-NC-SA 4.0"
_NAME = re.compile(r"(CHNCXR|MCUCXR)_(\d{4})_([01])")
_SHENZHEN_READING = re.compile(r"(male|female)\s*,?\s*(\d+)\s*(?:yrs|yr|years)", re.IGNORECASE)
_MONTGOMERY_SEX = re.compile(r"Patient's Sex:\s*([MF])")
_MONTGOMERY_AGE = re.compile(r"Patient's Age:\s*(\d+[YMWD])")
_MASK_FOLDERS = ("masks", "mask")


def read_shenzhen(root: Path, *, name: str = "shenzhen") -> Cohort:
    """Read Shenzhen Hospital's films: ``CXR_png/``, ``ClinicalReadings/``, ``masks/``.

    Raises:
        CohortError: no film with such a name.
    """
    return _read(root, name, "Shenzhen No. 3 People's Hospital")


def read_montgomery(root: Path, *, name: str = "montgomery") -> Cohort:
    """Read Montgomery County's films: ``CXR_png/``, ``ClinicalReadings/``, ``ManualMask/``.

    The collection keeps left and right lung in two masks; ``lung_mask`` is given only where a
    copy has them joined, as ``masks/NAME.png``.

    Raises:
        CohortError: no film with such a name.
    """
    return _read(root, name, "Montgomery County, Maryland")


def _read(root: Path, name: str, site: str) -> Cohort:
    folder = Folder(first_folder(root, "CXR_png"))
    records = []
    for file in folder.files:
        named = _NAME.fullmatch(file.stem)
        if named is None:
            folder.skipped.append(f"{file.name}: expected a name like CHNCXR_0004_0.png")
            continue
        records.append(_record(file, named, root, name, site))
    if (root / "ManualMask").is_dir():
        folder.notes.append("left and right lung masks in ManualMask are not joined here")
    return folder.cohort(name, records, rows=len(folder.files))


def _record(file: Path, named: re.Match[str], root: Path, name: str, site: str) -> Record:
    tuberculous = float(named[3])
    reading = _reading(root, file.stem)
    sex, age = _sex_and_age(reading)
    mask = _mask(root, file.stem)
    return {
        "case_id": f"{name}/{file.stem}",
        "path": str(file),
        "source": site,
        "patient_id": f"{name}/{named[2]}",
        "view": View.PA.value,
        "sex": values.sex_of(sex),
        "age_years": values.age_of(age),
        "finding": _last_line(reading) or ("Tuberculosis" if tuberculous else "No finding"),
        "reference_standard": ReferenceStandard.RADIOLOGIST.value,
        "licence": _SHENZHEN_MASKS if mask and named[1] == "CHNCXR" else _LICENCE,
        "lung_mask": mask,
        Label.COVID_19.value: 0.0,
        Label.TUBERCULOSIS.value: tuberculous,
        Label.NO_FINDING.value: 1.0 - tuberculous,
    }


def _reading(root: Path, stem: str) -> str:
    path = root / "ClinicalReadings" / f"{stem}.txt"
    return path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""


def _sex_and_age(reading: str) -> tuple[str, str]:
    if shenzhen := _SHENZHEN_READING.search(reading):
        return shenzhen[1], shenzhen[2]
    sex, age = _MONTGOMERY_SEX.search(reading), _MONTGOMERY_AGE.search(reading)
    return sex[1] if sex else "", age[1] if age else ""


def _last_line(reading: str) -> str:
    lines = [line.strip() for line in reading.splitlines() if line.strip()]
    return lines[-1] if len(lines) > 1 else ""


def _mask(root: Path, stem: str) -> str:
    names = [f"{folder}/{stem}{end}.png" for folder in _MASK_FOLDERS for end in ("_mask", "")]
    return next((str((root / place).resolve()) for place in names if (root / place).is_file()), "")
