"""TBX11K (Liu et al., CVPR 2020): tuberculosis, healthy, and sick without it; adults, China.

``imgs/health/``, ``imgs/sick/``, ``imgs/tb/``, and ``annotations/json/TBX11K_train.json`` and
``TBX11K_val.json``, in COCO's form, with the boxes. What lies in ``imgs/test`` has no published
label, and ``imgs/extra`` is of other collections: both are left out. The pictures are squares of
512 pixels: their aspect ratio is not that of the film. All are from before COVID-19. A smaller copy
with ``films.csv`` (see ``prepared``) is read as well.
"""

from __future__ import annotations

import math
from pathlib import Path

from hilum.core.labels import Label, ReferenceStandard, View
from hilum.data import values
from hilum.data.adapters.prepared import (
    Box,
    boxes_json,
    boxes_of,
    coco_boxes,
    drawn_json,
    films_of,
    is_prepared,
)
from hilum.data.cohort import Cohort
from hilum.data.folder import Folder, Record, first_folder
from hilum.data.header import image_size

_LICENCE = "TBX11K: non-commercial research (CC BY-NC-SA)"
_TABLES = ("TBX11K_train.json", "TBX11K_val.json")
_ACTIVE, _OLD, _UNSURE = (
    "ActiveTuberculosis",
    "ObsoletePulmonaryTuberculosis",
    "PulmonaryTuberculosis",
)
_HEALTHY, _SICK = "Healthy", "Sick, no tuberculosis"
_BOTH, _NO_KIND = "Active and latent tuberculosis", "Tuberculosis"

FINDINGS: dict[str, float] = {
    "Active tuberculosis": 1.0,
    "Latent tuberculosis": 1.0,
    _BOTH: 1.0,
    _NO_KIND: 1.0,
    _SICK: 0.0,
    _HEALTHY: 0.0,
}
"""Finding -> tuberculosis."""


def read_tbx11k(root: Path, *, name: str = "tbx11k") -> Cohort:
    """Read the films of health, sick and tb, with the boxes.

    A film in ``imgs/tb`` on which nothing was drawn (``tb1199.png``) has tuberculosis unknown.

    Raises:
        CohortError: no film, a finding that is not known, or boxes that cannot be read.
    """
    base = first_folder(root, "TBX11K")
    return _prepared(base, name) if is_prepared(base) else _upstream(base, name)


def _upstream(base: Path, name: str) -> Cohort:
    folder = Folder(first_folder(base, "imgs"))
    tables = [base / "annotations" / "json" / table for table in _TABLES]
    boxes: dict[str, list[Box]] = {}
    for path in (path for path in tables if path.is_file()):
        boxes |= coco_boxes(path)[0]
    if not boxes:
        folder.notes.append(f"no boxes: {' and '.join(_TABLES)} are not in annotations/json")
    records = []
    for file in folder.files:
        relative = file.relative_to(folder.root)
        finding = _finding(relative.parts[0], boxes.get(relative.as_posix(), []))
        if finding is None:
            folder.skipped.append(f"{relative.as_posix()}: no label; expected health, sick or tb")
            continue
        drawn = [_relabeled(box) for box in boxes.get(relative.as_posix(), [])]
        text = boxes_json(drawn, image_size(file)) if drawn else ""
        known = bool(drawn) or finding != _NO_KIND or not boxes
        records.append(_record(file, finding, name, text, known=known))
    return folder.cohort(name, records, rows=len(folder.files))


def _finding(kind: str, boxes: list[Box]) -> str | None:
    if kind == "tb":
        drawn = {box.label for box in boxes}
        active, old = _ACTIVE.lower() in drawn, _OLD.lower() in drawn
        if active and old:
            return _BOTH
        return "Active tuberculosis" if active else "Latent tuberculosis" if old else _NO_KIND
    return {"health": _HEALTHY, "sick": _SICK}.get(kind)


def _relabeled(box: Box) -> Box:
    return Box(Label.TUBERCULOSIS.value, box.x, box.y, box.width, box.height, box.drawn_on)


def _prepared(root: Path, name: str) -> Cohort:
    folder = Folder(root)
    boxes = boxes_of(root, dict.fromkeys((_ACTIVE, _OLD, _UNSURE), Label.TUBERCULOSIS))
    found, rows = films_of(root, folder, FINDINGS)
    records = []
    for row, film in found:
        text = drawn_json(boxes.get(row["image"], []), film)
        known = bool(text) or row["finding"] != _NO_KIND
        record = _record(film, row["finding"], name, text, known=known)
        seen = {"sex": values.sex_of(row["sex"]), "age_years": values.age_of(row["age"])}
        records.append(record | seen)
    return folder.cohort(name, records, rows=rows)


def _record(film: Path, finding: str, name: str, boxes: str, *, known: bool) -> Record:
    return {
        "case_id": f"{name}/{film.stem}",
        "path": str(film),
        "patient_id": f"{name}/{film.stem}",
        "view": View.PA.value,
        "finding": finding,
        "reference_standard": ReferenceStandard.RADIOLOGIST.value,
        "licence": _LICENCE,
        "boxes": boxes,
        "note": "" if known else "called tuberculosis, but nothing was drawn",
        Label.COVID_19.value: 0.0,
        Label.TUBERCULOSIS.value: FINDINGS[finding] if known else math.nan,
        Label.NO_FINDING.value: float(finding == _HEALTHY),
    }
