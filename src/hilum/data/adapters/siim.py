"""SIIM-FISABIO-RSNA COVID-19 detection challenge 2021 (Lakhani et al., J Digit Imaging 2023).

Films of BIMCV-COVID19 and MIDRC-RICORD with boxes around opacities, and for each study one of four
appearances (Litmanovich et al., J Thorac Imaging 2020, after the RSNA consensus for CT, Simpson et
al. 2020), which the column ``appearance`` holds. They are readings of films, and no tests:
"typical" is covid-19 1 here, and "negative" 0, that is, no COVID-19 pneumonia on the film; the
patient may be infected. The other two leave covid-19 unknown.

Boxes are in pixels of the DICOM files. Beside pictures that were made smaller lie a ``meta.csv``
(image_id, dim0 = height, dim1 = width of the original) and a ``train_meta.csv`` (imageid,
patientid): a picture does not say who it is, and one person may have dozens of studies.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import NamedTuple

from hilum.core.csvtable import number_in, read_table, rows_of
from hilum.core.errors import CohortError
from hilum.core.labels import Label, ReferenceStandard
from hilum.data import values
from hilum.data.adapters.prepared import Box, boxes_json
from hilum.data.cohort import Cohort
from hilum.data.finder import stem_of
from hilum.data.folder import Folder, Record
from hilum.data.header import dicom_header, image_size, is_dicom

_IMAGES, _STUDIES, _META = "train_image_level.csv", "train_study_level.csv", "meta.csv"
_PEOPLE = "train_meta.csv"
APPEARANCE = "appearance"
"""Column: typical, indeterminate, atypical, negative, or blank."""

_LICENCE = "BIMCV and MIDRC-RICORD terms (CC BY-NC 4.0): non-commercial research"
_TAGS = ["PatientID", "PatientSex"]
_OPACITY, _NONE = "opacity", "none"
_FIELDS = 6

APPEARANCES: dict[str, tuple[str, float, float]] = {
    "Negative for Pneumonia": ("negative", 0.0, 0.0),
    "Typical Appearance": ("typical", 1.0, 1.0),
    "Indeterminate Appearance": ("indeterminate", 1.0, math.nan),
    "Atypical Appearance": ("atypical", 1.0, math.nan),
}
"""Column of the study table -> appearance, pneumonia, covid-19."""

_NOTES = {"negative": "no pneumonia on the film; the patient may be infected all the same"}


class _Header(NamedTuple):
    patient: str
    sex: str
    size: tuple[float, float]


def read_siim_covid19(root: Path, *, name: str = "siim-covid19") -> Cohort:
    """Read the image table, the study table where it is there, and the films.

    The person is the PatientID of the DICOM file; of a picture, what ``train_meta.csv`` says, else
    the study. A film on which nothing was drawn has lung-opacity 0, unless another film of its
    study has boxes: readers marked one film a study.

    Raises:
        CohortError: no image table, a row that cannot be read, or boxes that leave the picture.
    """
    path = root / _IMAGES
    table = read_table(path, ("id", "label", "StudyInstanceUID"))
    folder, people = Folder(root), _people(root)
    appearances, sizes = _appearances(root), _sizes(root)
    drawn = {row["id"]: _drawn(row["label"], where) for where, row in rows_of(table, path)}
    marked = {row["StudyInstanceUID"] for _, row in rows_of(table, path) if drawn[row["id"]]}
    records = []
    for where, row, image in folder.rows(table, path, _image_of):
        study = row["StudyInstanceUID"]
        opacity = 1.0 if drawn[row["id"]] else math.nan if study in marked else 0.0
        stem = stem_of(image.name)
        header = _header(image, people.get(stem, study))
        boxes = _boxes_json(drawn[row["id"]], header, sizes.get(stem), where)
        record = _record(image, study, header, name, appearances.get(study, ""))
        records.append(record | {"boxes": boxes, Label.LUNG_OPACITY.value: opacity})
    folder.skipped += [f"{file.name}: no row in {_IMAGES}" for file in folder.left()]
    return folder.cohort(name, records, rows=len(table))


def _image_of(row: dict[str, str], _: str) -> str:
    return row["id"].removesuffix("_image")


def _drawn(label: str, where: str) -> list[tuple[float, float, float, float]]:
    """Read "opacity 1 x1 y1 x2 y2 opacity 1 ..." as (x, y, width, height)."""
    words, found = label.split(), []
    if not words or len(words) % _FIELDS:
        raise CohortError(f"{where}, column label: {label!r}; expected six words for each box")
    for place in range(0, len(words), _FIELDS):
        kind, _, *corners = words[place : place + _FIELDS]
        if kind not in (_OPACITY, _NONE):
            raise CohortError(f"{where}, column label: {kind!r}; expected opacity or none")
        sides = dict(zip(("x1", "y1", "x2", "y2"), corners, strict=True))
        left, top, right, bottom = (number_in(sides, side, where) for side in sides)
        if kind == _OPACITY:
            found.append((left, top, right - left, bottom - top))
    return found


def _boxes_json(
    drawn: list[tuple[float, float, float, float]],
    header: _Header,
    original: tuple[float, float] | None,
    where: str,
) -> str:
    size = original or header.size
    for x, y, width, height in drawn:
        if x + width > size[0] + 1 or y + height > size[1] + 1:
            raise CohortError(
                f"{where}: a box reaches {x + width:.0f}, {y + height:.0f} on a film of "
                f"{size[0]:.0f} x {size[1]:.0f}",
                hint=f"pictures that were made smaller need {_META}: image_id, dim0, dim1",
            )
    boxes = [Box(Label.LUNG_OPACITY.value, *each, size) for each in drawn]
    return boxes_json(boxes, header.size)


def _appearances(root: Path) -> dict[str, str]:
    """Return StudyInstanceUID -> column of the study table; {} without one."""
    path = root / _STUDIES
    if not path.is_file():
        return {}
    found = {}
    for where, row in rows_of(read_table(path, ("id", *APPEARANCES)), path):
        said = [word for word in APPEARANCES if row[word] == "1"]
        if len(said) != 1:
            raise CohortError(f"{where}: {len(said)} appearances; expected one of them to be 1")
        found[row["id"].removesuffix("_study")] = said[0]
    return found


def _sizes(root: Path) -> dict[str, tuple[float, float]]:
    """Return image -> (width, height) of the original; {} without ``meta.csv``."""
    path = root / _META
    if not path.is_file():
        return {}
    rows = rows_of(read_table(path, ("image_id", "dim0", "dim1")), path)
    return {
        row["image_id"]: (number_in(row, "dim1", where), number_in(row, "dim0", where))
        for where, row in rows
    }


def _people(root: Path) -> dict[str, str]:
    """Return image -> patient; {} without ``train_meta.csv``."""
    path = root / _PEOPLE
    if not path.is_file():
        return {}
    rows = rows_of(read_table(path, ("imageid", "patientid")), path)
    return {row["imageid"]: row["patientid"] for _, row in rows if row["patientid"]}


def _record(image: Path, study: str, header: _Header, name: str, said: str) -> Record:
    appearance, pneumonia, covid = APPEARANCES.get(said, ("", math.nan, math.nan))
    return {
        "case_id": f"{name}/{stem_of(image.name)}",
        "path": str(image),
        "patient_id": f"{name}/{header.patient}",
        "sex": values.sex_of(header.sex),
        "reference_standard": ReferenceStandard.RADIOLOGIST.value,
        "licence": _LICENCE,
        "finding": said,
        "note": "; ".join(filter(None, (f"study {study}", _NOTES.get(appearance)))),
        APPEARANCE: appearance,
        Label.COVID_19.value: covid,
        Label.PNEUMONIA.value: pneumonia,
    }


def _header(image: Path, person: str) -> _Header:
    """Read size, sex and patient; ``person`` where the file does not say who it is."""
    size = image_size(image)
    if not is_dicom(image):
        return _Header(person, "", size)
    header = dicom_header(image, _TAGS)
    return _Header(str(header.get("PatientID") or person), str(header.get("PatientSex", "")), size)
