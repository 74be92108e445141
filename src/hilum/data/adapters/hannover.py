"""covid-19-image-repository: serial films of COVID-19 patients of Hannover Medical School.

Cite Winther et al., doi:10.6084/m9.figshare.12275009; CC BY 3.0. Age is redacted. The offset is
counted from hospital admission and often negative.
"""

from __future__ import annotations

import math
from pathlib import Path

from hilum.core.csvtable import number_of, read_table
from hilum.core.labels import Label, ReferenceStandard
from hilum.data import values
from hilum.data.adapters.covid_chestxray import HANNOVER
from hilum.data.cohort import Cohort
from hilum.data.folder import Folder, Record, first_folder

_TABLE = "data.csv"
_LICENCE = "CC BY 3.0"


def read_covid_19_image_repository(
    root: Path, *, name: str = "covid-19-image-repository"
) -> Cohort:
    """Read ``data.csv`` and ``png/``; every patient has COVID-19.

    Raises:
        CohortError: no such table, or a column is missing.
    """
    path = root / _TABLE
    rows = read_table(path, ("patient_id", "image_id", "sex", "admission_offset", "projection"))
    folder = Folder(first_folder(root, "png"))
    return folder.listed(name, rows, path, "image_id", _record)


def _record(row: dict[str, str], image: Path, name: str) -> Record:
    return {
        "case_id": f"{name}/{image.stem}",
        "path": str(image),
        "cohort": name,
        "source": HANNOVER,
        "patient_id": f"{name}/{row.get('patient_id') or f'unknown-{image.stem}'}",
        "modality": "X-ray",
        "view": values.view_of(row.get("projection", "")),
        "sex": values.sex_of(row.get("sex", "")),
        "age_years": values.age_of(row.get("age", "")),
        "offset_days": number_of(row.get("admission_offset", "")),
        "finding": "COVID-19" if row else "",
        "reference_standard": ReferenceStandard.UNSTATED.value,
        "licence": _LICENCE,
        "note": "" if row else "no row in the table; patient unknown",
        Label.COVID_19.value: 1.0 if row else math.nan,
    }
