"""COVID-CXNet (Haghanifar et al.): COVID-19 films from social media, journals, teaching sites.

``source`` is the host that published the film, as in covid-chestxray-dataset, so that one host is
one source in both. Some films have no row: their patient is unknown, and each is a person of its
own until a duplicate links it. A film whose ``pcr_test`` is negative has no COVID-19 label.
"""

from __future__ import annotations

import math
from pathlib import Path

from hilum.core.csvtable import number_of, read_table
from hilum.core.labels import Label, ReferenceStandard
from hilum.data import values
from hilum.data.cohort import Cohort
from hilum.data.folder import Folder, Record, first_folder

_TABLE = "metadata.csv"
_LICENCE = "CC BY 4.0 as stated; images come from third parties, treat as research only"
_PCR = {"positive": 1.0, "negative": math.nan, "": 1.0}
_SITES = {"dx.doi.org": "doi.org", "doi-org.cyber.usask.ca": "doi.org"}


def read_covid_cxnet(root: Path, *, name: str = "covid-cxnet") -> Cohort:
    """Read ``metadata.csv`` and ``chest_xray_images/covid19/``.

    Raises:
        CohortError: no such table, or a column is missing.
    """
    path = root / _TABLE
    rows = read_table(path, ("filename", "patient_id", "label", "pcr_test", "view"))
    folder = Folder(first_folder(root, "chest_xray_images/covid19", "chest_xray_images"))
    return folder.listed(name, rows, path, "filename", _record)


def _record(row: dict[str, str], image: Path, name: str) -> Record:
    pcr = row.get("pcr_test", "")
    known = f"{name}/{row['patient_id']}" if row.get("patient_id") else ""
    offset = row.get("symptom_offset") or row.get("admission_offset") or ""
    return {
        "case_id": f"{name}/{image.name}",
        "path": str(image),
        "source": _site(row.get("url", "")) or name,
        "patient_id": known or f"{name}/unknown-{image.name}",
        "view": values.view_of(row.get("view", "")),
        "sex": values.sex_of(row.get("sex", "")),
        "age_years": values.age_of(row.get("age", "")),
        "offset_days": number_of(offset),
        "finding": row.get("label") or "COVID-19",
        "reference_standard": (
            ReferenceStandard.RT_PCR
            if pcr in {"positive", "negative"}
            else ReferenceStandard.UNSTATED
        ).value,
        "licence": _LICENCE,
        "note": "; ".join(_notes(row, image)),
        Label.COVID_19.value: _PCR.get(pcr, math.nan),
        # a dash after the number says: no visible abnormality (COVID-CXNet README)
        Label.NO_FINDING.value: 1.0 if "-" in _suffix(image) else math.nan,
    }


def _notes(row: dict[str, str], image: Path) -> list[str]:
    said = []
    if not row:
        said.append("no row in the table; patient unknown")
    if "-" in _suffix(image):
        said.append("no visible abnormality, says the file name")
    if "p" in _suffix(image):
        said.append("child, says the file name")
    if row.get("pcr_test") == "negative":
        said.append("labelled COVID-19, but pcr_test negative")
    return said


def _suffix(image: Path) -> str:
    return image.stem.lstrip("0123456789").lower()


def _site(url: str) -> str:
    site = values.site_of(url)
    return _SITES.get(site, site)
