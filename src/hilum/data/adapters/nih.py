"""NIH ChestX-ray14 (Wang et al., CVPR 2017).

Labels were mined from reports. All films are from before 2018, so COVID-19 is 0 by date. Boxes are
drawn on 1024 x 1024 originals; here they are in pixels of the file. RSNA radiologists read 30,000
of the films again: where ``rsna-pneumonia`` lies beside this collection, their opacity label and
boxes are joined. Google's adjudicated labels (Majkowska et al. 2019) are joined where the file is
there.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from hilum.core.csvtable import number_in, read_table, rows_of
from hilum.core.errors import CohortError
from hilum.core.labels import Label, ReferenceStandard
from hilum.data import values
from hilum.data.adapters.prepared import Box, boxes_json
from hilum.data.adapters.rsna import ORIGINAL, SITE, RsnaLabels, read_rsna_labels
from hilum.data.cohort import Cohort
from hilum.data.folder import Folder, Record, beside
from hilum.data.header import image_size

_TABLES = ("Data_Entry_2017_v2020.csv", "Data_Entry_2017.csv")
_BOXES = "BBox_List_2017.csv"
_ADJUDICATED = "google2019_nih-chest-xray-labels.csv"
_LICENCE = "NIH Clinical Center public release, no restriction on use"
_YES_NO = {"YES": 1.0, "NO": 0.0}

FINDINGS: dict[str, Label] = {
    "Atelectasis": Label.ATELECTASIS,
    "Cardiomegaly": Label.CARDIOMEGALY,
    "Consolidation": Label.CONSOLIDATION,
    "Edema": Label.EDEMA,
    "Effusion": Label.EFFUSION,
    "Emphysema": Label.EMPHYSEMA,
    "Fibrosis": Label.FIBROSIS,
    "Hernia": Label.HERNIA,
    "Infiltration": Label.INFILTRATION,
    "Infiltrate": Label.INFILTRATION,
    "Mass": Label.MASS,
    "No Finding": Label.NO_FINDING,
    "Nodule": Label.NODULE,
    "Pleural_Thickening": Label.PLEURAL_THICKENING,
    "Pneumonia": Label.PNEUMONIA,
    "Pneumothorax": Label.PNEUMOTHORAX,
}
"""NIH word -> label; "Infiltrate" is what the box table writes for Infiltration."""


@dataclass(frozen=True, slots=True)
class _Extras:
    boxes: dict[str, list[Box]]
    adjudicated: dict[str, dict[str, str]]
    rsna: RsnaLabels
    rsna_id: dict[str, str]


def read_nih_chestxray14(root: Path, *, name: str = "nih-chestxray14") -> Cohort:
    """Read NIH ChestX-ray14.

    Args:
        root: folder with the data entry table and the images, however deep.
        name: what to call the cohort.

    Raises:
        CohortError: no such table, or a column is missing.
    """
    path = next((root / table for table in _TABLES if (root / table).is_file()), root / _TABLES[0])
    columns = ("Image Index", "Finding Labels", "Patient ID", "Patient Age", "View Position")
    rows = read_table(path, columns)
    folder = Folder(root)
    extras = _extras(root, folder.notes)
    unmapped: set[str] = set()
    records = []
    for _, row, image in folder.rows(rows, path, lambda row, _: row["Image Index"]):
        records.append(_record(row, image, name, extras, unmapped))
    folder.notes += [f"finding without a mapping: {word}" for word in sorted(unmapped)]
    folder.skipped += [f"{file.name}: no row in {path.name}" for file in folder.left()]
    return folder.cohort(name, records, rows=len(rows))


def _extras(root: Path, notes: list[str]) -> _Extras:
    rsna = RsnaLabels()
    if folder := beside(root, "rsna-pneumonia"):
        rsna = read_rsna_labels(folder)
        notes.append(f"lung opacity and boxes of RSNA radiologists: {folder.name}")
    by_image = {image: patient for patient, image in rsna.nih_image.items()}
    return _Extras(_boxes(root), _adjudicated(root), rsna, by_image)


def _boxes(root: Path) -> dict[str, list[Box]]:
    found: dict[str, list[Box]] = {}
    path = root / _BOXES
    if not path.is_file():
        return found
    # the header is "Bbox [x,y,w,h],,,": one title spread over four columns
    sides = ("Bbox [x", "y", "w", "h]")
    for where, row in rows_of(read_table(path, ("Image Index", "Finding Label", *sides)), path):
        if row["Finding Label"] not in FINDINGS:
            raise CohortError(f"{where}, finding {row['Finding Label']!r} is not known")
        x, y, width, height = (number_in(row, side, where) for side in sides)
        box = Box(FINDINGS[row["Finding Label"]].value, x, y, width, height, ORIGINAL)
        found.setdefault(row["Image Index"], []).append(box)
    return found


def _adjudicated(root: Path) -> dict[str, dict[str, str]]:
    path = root / _ADJUDICATED
    if not path.is_file():
        return {}
    table = read_table(path, ("Image Index", "Pneumothorax", "Airspace opacity"))
    return {row["Image Index"]: row for _, row in rows_of(table, path)}


def _record(
    row: dict[str, str], image: Path, name: str, extras: _Extras, unmapped: set[str]
) -> Record:
    index = row["Image Index"]
    rsna_id = extras.rsna_id.get(index, "")
    boxes = [*extras.boxes.get(index, []), *extras.rsna.boxes.get(rsna_id, [])]
    return {
        "case_id": f"{name}/{index}",
        "path": str(image),
        "source": SITE,
        "patient_id": f"{name}/{row['Patient ID']}",
        "view": values.view_of(row["View Position"]),
        "sex": values.sex_of(row.get("Patient Gender", "")),
        "age_years": values.age_of(row["Patient Age"]),
        "finding": row["Finding Labels"],
        "reference_standard": ReferenceStandard.REPORT.value,
        "licence": _LICENCE,
        "boxes": boxes_json(boxes, image_size(image)) if boxes else "",
        "note": "; ".join(_notes(row, rsna_id, extras)),
    } | _labels(row, rsna_id, extras, unmapped)


def _labels(
    row: dict[str, str], rsna_id: str, extras: _Extras, unmapped: set[str]
) -> dict[str, float]:
    words = {word.strip() for word in row["Finding Labels"].split("|")}
    unmapped.update(words - FINDINGS.keys())
    said = {FINDINGS[word] for word in words & FINDINGS.keys()}
    found = {label.value: float(label in said) for label in FINDINGS.values()}
    found[Label.COVID_19.value] = 0.0
    found |= extras.rsna.labels_of(rsna_id, (Label.LUNG_OPACITY,))
    if experts := extras.adjudicated.get(row["Image Index"]):
        found[Label.LUNG_OPACITY.value] = _YES_NO.get(experts["Airspace opacity"], math.nan)
        found[Label.PNEUMOTHORAX.value] = _YES_NO.get(experts["Pneumothorax"], math.nan)
    return found


def _notes(row: dict[str, str], rsna_id: str, extras: _Extras) -> list[str]:
    said = []
    if rsna_id in extras.rsna.classes:
        said.append(f"RSNA radiologists: {extras.rsna.classes[rsna_id]}")
    if row["Image Index"] in extras.adjudicated:
        said.append("lung opacity and pneumothorax adjudicated by radiologists")
    return said
