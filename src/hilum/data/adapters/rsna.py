"""RSNA pneumonia challenge 2018 (Shih et al., Radiology: AI 2019), drawn from NIH ChestX-ray14.

Boxes are drawn on the 1024 x 1024 challenge files; here they are in pixels of the file. The
challenge gives each film an id of its own: ``rsna_nih_mapping.csv`` (torchxrayvision) links it to
the NIH film, and so to the person.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from pathlib import Path

from hilum.core.csvtable import number_in, read_table, rows_of
from hilum.core.errors import CohortError
from hilum.core.labels import Label, ReferenceStandard
from hilum.data import values
from hilum.data.adapters.prepared import Box, boxes_json, boxes_of, boxes_on, films_of, is_prepared
from hilum.data.cohort import Cohort
from hilum.data.finder import stem_of
from hilum.data.folder import Folder, Record
from hilum.data.header import dicom_header, image_size, is_dicom

SITE = "NIH Clinical Center"
_CLASSES = "stage_2_detailed_class_info.csv"
_BOXES = "stage_2_train_labels.csv"
_MAPPING = "rsna_nih_mapping.csv"
ORIGINAL = (1024.0, 1024.0)
"""(width, height) in pixels of the pictures that the boxes of RSNA and NIH are drawn on."""
_LICENCE = "RSNA Pneumonia Challenge terms: non-commercial research and education"
_TAGS = ["PatientID", "PatientSex", "PatientAge", "ViewPosition", "Rows", "Columns"]

_NIH_IMAGE = re.compile(r"[0-9]+_[0-9]+\.png")
_NIH_PATIENT = re.compile(r"nih-([0-9]+)")
_PREPARED = {"No Finding": "Normal", "Pneumonia (RSNA: Lung Opacity)": "Lung Opacity"}

CLASSES: dict[str, dict[Label, float]] = {
    "Lung Opacity": {Label.LUNG_OPACITY: 1.0, Label.PNEUMONIA: 1.0, Label.NO_FINDING: 0.0},
    "No Lung Opacity / Not Normal": {
        Label.LUNG_OPACITY: 0.0,
        Label.PNEUMONIA: 0.0,
        Label.NO_FINDING: 0.0,
    },
    "Normal": {Label.LUNG_OPACITY: 0.0, Label.PNEUMONIA: 0.0, Label.NO_FINDING: 1.0},
}
"""Class -> labels; "Lung Opacity", the target, is an opacity suspicious for pneumonia."""


@dataclass(frozen=True, slots=True)
class RsnaLabels:
    """What the RSNA radiologists said, by ``patientId`` (one film each).

    Attributes:
        classes, boxes: theirs.
        nih_image: the NIH film that it is.
        patients: the person, where the table of films says it instead.
    """

    classes: dict[str, str] = field(default_factory=dict)
    boxes: dict[str, list[Box]] = field(default_factory=dict)
    nih_image: dict[str, str] = field(default_factory=dict)
    patients: dict[str, str] = field(default_factory=dict)

    def labels_of(self, rsna_id: str, labels: tuple[Label, ...]) -> dict[str, float]:
        """Return ``labels`` of a film: 1, 0, or NaN where they said nothing."""
        said = CLASSES.get(self.classes.get(rsna_id, ""), {})
        return {label.value: said.get(label, math.nan) for label in labels}


def read_rsna_pneumonia(root: Path, *, name: str = "rsna-pneumonia") -> Cohort:
    """Read the DICOM headers, the class table and the boxes.

    Pictures that were made of the DICOM files are read by their names; a smaller copy with
    ``films.csv`` (see ``prepared``), too. A film that the mapping links to NIH carries the NIH
    patient ("nih-chestxray14/17111"), whom other films may share; any other film counts as a person
    of its own.

    Raises:
        CohortError: no class table, or a header that cannot be read.
    """
    if is_prepared(root):
        return _prepared(root, name)
    labels, folder = read_rsna_labels(root), Folder(root)
    records, seen = [], set()
    for file in folder.files:
        header = _header(file)
        seen.add(header["PatientID"])
        records.append(_record(file, header, labels, name))
    absent = [patient for patient in labels.classes if patient not in seen]
    folder.missing += [f"{_CLASSES}: {patient}.dcm" for patient in absent]
    unlisted = [Path(record["path"]).name for record in records if not record["finding"]]
    return folder.cohort(name, records, rows=len(labels.classes), without_row=unlisted)


def _prepared(root: Path, name: str) -> Cohort:
    folder, labels = Folder(root), RsnaLabels()
    found, rows = films_of(root, folder, _PREPARED)
    drawn = boxes_of(root, {"Lung Opacity": Label.LUNG_OPACITY})
    records = []
    for row, film in found:
        rsna_id, size = stem_of(film.name), image_size(film)
        labels.classes[rsna_id] = _PREPARED[row["finding"]]
        labels.boxes[rsna_id] = boxes_on(drawn.get(row["image"], []), size)
        if nih := _NIH_PATIENT.fullmatch(row["patient_id"]):
            labels.patients[rsna_id] = f"nih-chestxray14/{int(nih[1])}"
        said = {"PatientSex": row["sex"], "PatientAge": row["age"], "ViewPosition": row["view"]}
        records.append(_record(film, _picture(rsna_id, size) | said, labels, name))
    return folder.cohort(name, records, rows=rows)


def read_rsna_labels(root: Path) -> RsnaLabels:
    """Read the class table, and boxes and mapping where they are there.

    Raises:
        CohortError: no class table, or a class or column that is not known.
    """
    table = read_table(root / _CLASSES, ("patientId", "class"))
    if unknown := set(table["class"]) - CLASSES.keys():
        raise CohortError(
            f"{root / _CLASSES}, column class: {sorted(unknown)[0]!r}; "
            f"expected {', '.join(CLASSES)}"
        )
    classes = dict(zip(table["patientId"], table["class"], strict=True))
    mapping: dict[str, str] = {}
    if (root / _MAPPING).is_file():
        links = read_table(root / _MAPPING, ("patientId", "Image Index"))
        for where, row in rows_of(links, root / _MAPPING):
            if _NIH_IMAGE.fullmatch(row["Image Index"]) is None:
                found = row["Image Index"]
                raise CohortError(f"{where}: {found!r}; expected a name like 00017111_005.png")
            mapping[row["patientId"]] = row["Image Index"]
    return RsnaLabels(classes, _boxes(root / _BOXES), mapping)


def _boxes(path: Path) -> dict[str, list[Box]]:
    found: dict[str, list[Box]] = {}
    if not path.is_file():
        return found
    sides = ("x", "y", "width", "height")
    for where, row in rows_of(read_table(path, ("patientId", *sides)), path):
        if row["x"]:  # blank where there is no opacity
            x, y, width, height = (number_in(row, side, where) for side in sides)
            box = Box(Label.LUNG_OPACITY.value, x, y, width, height, ORIGINAL)
            found.setdefault(row["patientId"], []).append(box)
    return found


def _record(file: Path, header: dict[str, str], labels: RsnaLabels, name: str) -> Record:
    rsna_id = header["PatientID"]
    boxes = labels.boxes.get(rsna_id, [])
    return {
        "case_id": f"{name}/{stem_of(file.name)}",
        "path": str(file),
        "source": SITE,
        "patient_id": _patient(rsna_id, labels, name),
        "view": values.view_of(header["ViewPosition"]),
        "sex": values.sex_of(header["PatientSex"]),
        "age_years": values.age_of(header["PatientAge"]),
        "finding": labels.classes.get(rsna_id, ""),
        "reference_standard": (
            ReferenceStandard.RADIOLOGIST
            if rsna_id in labels.classes
            else ReferenceStandard.UNSTATED
        ).value,
        "licence": _LICENCE,
        "boxes": boxes_json(boxes, (float(header["Columns"]), float(header["Rows"]))),
        "note": f"NIH film {labels.nih_image[rsna_id]}" if rsna_id in labels.nih_image else "",
        Label.COVID_19.value: 0.0,  # NIH films are from before 2018
    } | labels.labels_of(rsna_id, (Label.PNEUMONIA, Label.LUNG_OPACITY, Label.NO_FINDING))


def _patient(rsna_id: str, labels: RsnaLabels, name: str) -> str:
    if rsna_id in labels.patients:
        return labels.patients[rsna_id]
    image = labels.nih_image.get(rsna_id)
    # NIH names a film PATIENT_SERIAL.png: 00017111_005.png is of patient 17111
    return f"nih-chestxray14/{int(image.split('_')[0])}" if image else f"{name}/{rsna_id}"


def _header(file: Path) -> dict[str, str]:
    if not is_dicom(file):
        return _picture(stem_of(file.name), image_size(file))
    header = dicom_header(file, _TAGS)
    return {tag: str(header.get(tag, "")) for tag in _TAGS}


def _picture(rsna_id: str, size: tuple[int, int]) -> dict[str, str]:
    """Return what the header would say, of a picture."""
    known = {"PatientID": rsna_id, "Columns": str(size[0]), "Rows": str(size[1])}
    return dict.fromkeys(_TAGS, "") | known
