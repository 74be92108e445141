"""JSRT (Shiraishi et al., AJR 2000): films with one nodule, or without; adults, Japan, PA.

``JPCLN001`` to 154 have a nodule, ``JPCNN001`` to 093 have none. The collection comes as raw pixels
(``.IMG``, 2048 x 2048, 12 bits), which are to be converted to PNG under the same names.
``CLNDAT_EN.txt`` and ``CNNDAT_EN.TXT`` give age and sex, where they are there. Lung masks are those
of SCR (van Ginneken et al., Med Image Anal 2006), both lungs joined: ``masks/NAME_lung.png``. All
films are from before COVID-19.
"""

from __future__ import annotations

import re
from pathlib import Path

from hilum.core.errors import CohortError
from hilum.core.labels import Label, ReferenceStandard, View
from hilum.core.textfile import read_text
from hilum.data import values
from hilum.data.cohort import Cohort
from hilum.data.finder import stem_of
from hilum.data.folder import Folder, Record

_LICENCE = "JSRT: free for research, cite Shiraishi 2000; masks SCR, research"
_NAME = re.compile(r"JPC(LN|NN)\d{3}", re.IGNORECASE)
_NODULE = "LN"
_TABLES = {"clndat_en.txt": (3, 4), "cnndat_en.txt": (1, 2)}
"""Table, without a header -> places of age and sex; the first word of a line is the file."""


def read_jsrt(root: Path, *, name: str = "jsrt") -> Cohort:
    """Read the films by their names, and what the clinical tables and masks add.

    Raises:
        CohortError: no film with such a name.
    """
    folder = Folder(root)
    people = _people(folder)
    raw = sum(file.suffix.lower() == ".img" for file in folder.others)
    if raw:
        folder.skipped.append(f"{raw} files .IMG: raw pixels; convert them to 16-bit PNG")
    records = []
    for file in folder.files:
        stem = stem_of(file.name)
        if named := _NAME.fullmatch(stem):
            records.append(
                _record(file, named[1].upper(), people.get(stem.upper(), {}), root, name)
            )
        else:
            folder.skipped.append(f"{file.name}: expected a name like JPCLN001")
    return folder.cohort(name, records, rows=len(folder.files))


def _people(folder: Folder) -> dict[str, dict[str, str]]:
    found = {}
    for path in (path for path in folder.others if path.name.lower() in _TABLES):
        age, sex = _TABLES[path.name.lower()]
        for line in read_text(path, CohortError).splitlines():
            words = [word.strip() for word in line.split("\t")]
            if len(words) > sex:
                found[words[0].partition(".")[0].upper()] = {"age": words[age], "sex": words[sex]}
    return found


def _record(film: Path, kind: str, person: dict[str, str], root: Path, name: str) -> Record:
    stem = stem_of(film.name)
    nodule = float(kind == _NODULE)
    mask = (root / "masks" / f"{stem}_lung.png").resolve()
    return {
        "case_id": f"{name}/{stem}",
        "path": str(film),
        "patient_id": f"{name}/{stem}",
        "view": View.PA.value,
        "sex": values.sex_of(person.get("sex", "")),
        "age_years": values.age_of(person.get("age", "")),
        "finding": "Nodule" if nodule else "No Finding",
        "reference_standard": ReferenceStandard.RADIOLOGIST.value,
        "licence": _LICENCE,
        "lung_mask": str(mask) if mask.is_file() else "",
        Label.COVID_19.value: 0.0,
        Label.NODULE.value: nodule,
        Label.NO_FINDING.value: 1.0 - nodule,
    }
