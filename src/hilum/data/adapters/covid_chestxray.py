"""covid-chestxray-dataset (Cohen et al.), in both of its layouts; also Figure1 and Actualmed.

Layout of August 2020: flat findings ("COVID-19, ARDS"). Later: ``RT_PCR_positive`` and a path of
findings ("Pneumonia/Viral/COVID-19"). Figure1 and Actualmed share the columns; Figure1 names the
image by ``patientid``, Actualmed by ``imagename``. ``source`` is the host that published the film
(radiopaedia.org, eurorad.org, ...): films of one host share its editing, marks and compression,
which is what a shortcut learns. Films of the Hannover repository carry the hospital's own name,
so that leaving a source out leaves them out in every cohort.
"""

from __future__ import annotations

import math
import re
from pathlib import Path

from hilum.core.csvtable import number_of, read_table
from hilum.core.errors import CohortError
from hilum.core.labels import Label, ReferenceStandard
from hilum.data import values
from hilum.data.adapters import cohen_extras
from hilum.data.adapters.findings import FIRST_COVID_MONTH, labels_of
from hilum.data.cohort import Cohort
from hilum.data.folder import Folder, Record, first_folder

HANNOVER = "Hannover Medical School"
_HANNOVER_URL = "https://github.com/ml-workgroup/covid-19-image-repository"
_EXCLUDED = "Negative (covid-19 viral infection is excluded)"
_DATE_TAKEN = re.compile(r"date taken \(YYYYMMDD\): (\d{8})")
_SERIES_LETTER = re.compile(r"(COVID-\d+)[a-z]")
_CT_VIEWS = frozenset({"axial", "coronal", "sagittal"})


def read_covid_chestxray_dataset(
    root: Path, *, name: str = "covid-chestxray-dataset", table: str = "metadata.csv"
) -> Cohort:
    """Read covid-chestxray-dataset, Figure1 or Actualmed.

    Args:
        root: folder with ``metadata.csv`` and ``images/``. Masks, lung boxes, severity and Brixia
            scores are taken from ``annotations/`` or from the folders beside ``root``.
        name: what to call the cohort, e.g. "figure1".
        table: file name of the table.

    Raises:
        CohortError: no such table, or a column is missing.
    """
    path = root / table
    rows = read_table(path, ("patientid", "finding", "view", "modality"))
    folder = Folder(first_folder(root, "images"))
    extras = cohen_extras.load(root)
    extras.settle(folder.files)
    unmapped: set[str] = set()
    records = []
    for _, row, image in folder.rows(rows, path, _file_name):
        records.append(_record(row, image, name, unmapped) | extras.of(image))
    folder.notes += [
        f"finding without a mapping, labels blank: {word}" for word in sorted(unmapped)
    ]
    folder.notes += extras.notes
    unnamed = _without_row(folder, name)
    records += unnamed
    return folder.cohort(
        name, records, rows=len(rows), without_row=[Path(r["path"]).name for r in unnamed]
    )


def _file_name(row: dict[str, str], where: str) -> str:
    named = row.get("filename") or row.get("imagename") or row["patientid"]
    if not named:
        raise CohortError(f"{where}: no filename, imagename or patientid; expected one")
    return f"{row['folder']}/{named}" if row.get("folder") else named


def _record(row: dict[str, str], image: Path, name: str, unmapped: set[str]) -> Record:
    notes = " ".join((row.get("clinical_notes", ""), row.get("notes", ""))).strip()
    date = row.get("date", "") or "".join(_DATE_TAKEN.findall(notes)[:1])
    is_ct = row["modality"].upper() == "CT" or row["view"].lower() in _CT_VIEWS
    hannover = row.get("url", "").startswith(_HANNOVER_URL)
    pcr = row.get("RT_PCR_positive", "").upper()
    return {
        "case_id": f"{name}/{image.name}",
        "path": str(image),
        "cohort": name,
        "source": HANNOVER if hannover else values.site_of(row.get("url", "")) or name,
        "patient_id": f"{name}/{_patient(row)}",
        "modality": "CT" if is_ct else "X-ray" if row["modality"] == "X-ray" else "",
        "view": values.view_of(row["view"]),
        "sex": values.sex_of(row.get("sex", "")),
        "age_years": values.age_of(row.get("age", "")),
        "study_date": values.date_of(date),
        "offset_days": number_of(row.get("offset", "")),
        "finding": row["finding"],
        "reference_standard": (
            ReferenceStandard.RT_PCR if pcr in {"Y", "N"} else ReferenceStandard.UNSTATED
        ).value,
        "licence": row.get("license", "") or "unspecified",
        "note": "; ".join(_notes(row, is_ct, hannover)),
    } | _labels(row, hannover, pcr, notes, date, unmapped)


def _labels(
    row: dict[str, str], hannover: bool, pcr: str, notes: str, date: str, unmapped: set[str]
) -> dict[str, float]:
    word, covid = row["finding"].lower(), Label.COVID_19.value
    found = labels_of(word, before_covid=_before_covid(date), unmapped=unmapped)
    if word == "todo" and (hannover or pcr == "Y"):
        # every patient of that repository has COVID-19; "todo" means not yet transcribed
        found[covid] = 1.0
    if found[covid] == 1 and pcr == "N":
        found[covid] = math.nan
    if word == "no finding" and notes.startswith(_EXCLUDED):
        found[covid] = 0.0
    return found


def _notes(row: dict[str, str], is_ct: bool, hannover: bool) -> list[str]:
    said = []
    if is_ct:
        said.append("CT slice, not a radiograph")
    if hannover and row["finding"].lower() == "todo":
        said.append("finding 'todo'; from a repository whose patients all have COVID-19")
    elif hannover and row["finding"].lower() in {"no finding", "unknown"}:
        said.append(f"finding '{row['finding']}'; patient of a COVID-19 repository")
    elif row["finding"].lower() == "no finding":
        said.append("no finding on this film; COVID-19 of the patient not excluded")
    return said


def _patient(row: dict[str, str]) -> str:
    # Figure1 appends a letter for the films of one person: COVID-00003a, COVID-00003b
    lettered = _SERIES_LETTER.fullmatch(row["patientid"])
    return lettered[1] if lettered else row["patientid"] or f"unknown-{_file_name(row, '')}"


def _before_covid(date: str) -> bool:
    whole = values.date_of(date)
    if whole:
        return whole < FIRST_COVID_MONTH
    year = date[-4:]
    return len(year) == 4 and year.isdecimal() and year < FIRST_COVID_MONTH[:4]


def _without_row(folder: Folder, name: str) -> list[Record]:
    return [
        {
            "case_id": f"{name}/{image.name}",
            "path": str(image),
            "cohort": name,
            "source": name,
            "patient_id": f"{name}/unknown-{image.name}",
            "reference_standard": ReferenceStandard.UNSTATED.value,
            "licence": "unspecified",
            "note": "no row in the table; patient and labels unknown",
        }
        for image in folder.left()
    ]
