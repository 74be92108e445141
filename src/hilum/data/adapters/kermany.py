"""Kermany chest_xray (Cell 2018): children of 1 to 5 years, normal or pneumonia, Guangzhou.

``PNEUMONIA/person16_bacteria_54.jpeg`` names person and agent, ``NORMAL/IM-0467-0001-0002.jpeg``
the person (IM-0467). In the published split some children stand on both sides. The exact age is not
stated, hence blank. The films are from before COVID-19.
"""

from __future__ import annotations

import math
import re
from pathlib import Path

from hilum.core.labels import Label, ReferenceStandard, View
from hilum.data.cohort import Cohort
from hilum.data.folder import Folder, Record, first_folder

_PNEUMONIA = re.compile(r"(person\d+_(bacteria|virus))_\d+")
_NORMAL = re.compile(r"((?:NORMAL2-)?IM-\d+)-\d+(?:-\d+)?")
_AGENTS = {"bacteria": "Bacterial pneumonia", "virus": "Viral pneumonia"}
_LICENCE = "CC BY 4.0"


def read_kermany(root: Path, *, name: str = "kermany") -> Cohort:
    """Read ``train/``, ``test/`` and ``val/`` with their folders NORMAL and PNEUMONIA.

    Raises:
        CohortError: no film there.
    """
    folder = Folder(first_folder(root, "chest_xray"), but=("__MACOSX",))
    folder.notes.append("children of 1 to 5 years: leave them out of a model for adults")
    records: list[Record] = []
    for file in folder.files:
        named = _PNEUMONIA.fullmatch(file.stem) or _NORMAL.fullmatch(file.stem)
        kind = file.parent.name.upper()
        if named is None or kind not in {"NORMAL", "PNEUMONIA"}:
            folder.skipped.append(f"{file.name}: not a name of this collection")
            continue
        agent = named[2] if kind == "PNEUMONIA" and named.re is _PNEUMONIA else ""
        records.append(_record(file, folder.root, named[1], kind, agent, name))
    return folder.cohort(name, records, rows=len(folder.files))


def _record(file: Path, root: Path, person: str, kind: str, agent: str, name: str) -> Record:
    ill = float(kind == "PNEUMONIA")
    return {
        "case_id": f"{name}/{file.relative_to(root).as_posix()}",
        "path": str(file),
        "source": "Guangzhou Women and Children's Medical Center",
        "patient_id": f"{name}/{person}",
        "view": View.AP.value,
        "finding": _AGENTS.get(agent, "Pneumonia") if ill else "No finding",
        "reference_standard": ReferenceStandard.RADIOLOGIST.value,
        "licence": _LICENCE,
        "note": "child of 1 to 5 years",
        Label.COVID_19.value: 0.0,
        Label.PNEUMONIA.value: ill,
        Label.NO_FINDING.value: 1.0 - ill,
        Label.BACTERIAL_PNEUMONIA.value: _agent(ill, agent, "bacteria"),
        Label.VIRAL_PNEUMONIA.value: _agent(ill, agent, "virus"),
    }


def _agent(ill: float, agent: str, wanted: str) -> float:
    if not ill:
        return 0.0
    return float(agent == wanted) if agent else math.nan
