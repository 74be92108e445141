"""Prepared: a collection made smaller, with one table: ``films.csv``, ``annotations/boxes.csv``.

``films.csv``: image, patient_id, finding, covid, view, sex, age, and where there is one lung_mask.
Boxes are in pixels of the files at hand, as x, y, width, height or as xmin, ymin, xmax, ymax.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from hilum.core.csvtable import number_in, read_table, rows_of
from hilum.core.errors import CohortError
from hilum.core.labels import Label
from hilum.core.textfile import read_json
from hilum.data.folder import Folder
from hilum.data.header import image_size

FILMS = "films.csv"
_BOXES = "annotations/boxes.csv"
_COLUMNS = ("image", "patient_id", "finding", "view", "sex", "age")
_SIDES, _CORNERS = ("x", "y", "width", "height"), ("xmin", "ymin", "xmax", "ymax")
Drawn = list[tuple[str, tuple[float, float, float, float]]]
"""Label and (x, y, width, height) of each box."""


def is_prepared(root: Path) -> bool:
    """Say whether a collection lies there in this form."""
    return (root / FILMS).is_file()


def films_of(
    root: Path, folder: Folder, findings: Collection[str]
) -> tuple[list[tuple[dict[str, str], Path]], int]:
    """Return the rows of the table whose film is there, with the film, and how many rows it has.

    Raises:
        CohortError: a column is missing, or the finding of such a row is none of ``findings``.
    """
    path = root / FILMS
    rows = read_table(path, _COLUMNS)
    found = []
    for where, row, film in folder.rows(rows, path, lambda row, _: row["image"]):
        if row["finding"] not in findings:
            raise CohortError(f"{where}: {row['finding']!r}; expected {', '.join(findings)}")
        found.append((row, film))
    return found, len(rows)


def boxes_of(root: Path, labels: Mapping[str, Label]) -> dict[str, Drawn]:
    """Return image, as the table of films calls it -> boxes; {} without a table of boxes.

    Args:
        root: of the collection.
        labels: from the classes of the table to ours.

    Raises:
        CohortError: a class that is not known, or a side that is no number.
    """
    path = root / _BOXES
    found: dict[str, Drawn] = {}
    if not path.is_file():
        return found
    rows = read_table(path, ("image", "class"))
    for where, row in rows_of(rows, path):
        if row["class"] not in labels:
            raise CohortError(f"{where}: {row['class']!r}; expected {', '.join(labels)}")
        box = labels[row["class"]].value, _sides(row, where)
        found.setdefault(row["image"], []).append(box)
    return found


def boxes_on(drawn: Drawn, size: tuple[float, float]) -> list[Box]:
    """Return boxes as drawn on a film of ``size`` = (width, height) in pixels."""
    return [Box(label, *sides, size) for label, sides in drawn]


def drawn_json(drawn: Drawn, film: Path) -> str:
    """Return the column ``boxes`` of a film, or ""."""
    size = image_size(film) if drawn else (1.0, 1.0)
    return boxes_json(boxes_on(drawn, size), size)


def _sides(row: dict[str, str], where: str) -> tuple[float, float, float, float]:
    names = _CORNERS if _CORNERS[0] in row else _SIDES
    if lacking := [name for name in names if name not in row]:
        raise CohortError(f"{where}: no column {', '.join(lacking)}")
    left, top, across, down = (number_in(row, name, where) for name in names)
    if names is _CORNERS:
        return left, top, round(across - left, 3), round(down - top, 3)
    return left, top, across, down


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle; x and y are its upper left corner, counted from that of the picture.

    Attributes:
        drawn_on: (width, height) in pixels of the picture that the numbers refer to.
    """

    label: str
    x: float
    y: float
    width: float
    height: float
    drawn_on: tuple[float, float]

    def on(self, size: tuple[float, float]) -> dict[str, float | str]:
        """Return label, x, y, width and height in pixels of a picture of ``size``.

        >>> Box("nodule", 512, 256, 100, 200, (1024, 1024)).on((256, 512))
        {'label': 'nodule', 'x': 128.0, 'y': 128.0, 'width': 25.0, 'height': 100.0}
        """
        across, down = size[0] / self.drawn_on[0], size[1] / self.drawn_on[1]
        return {
            "label": self.label,
            "x": round(self.x * across, 1),
            "y": round(self.y * down, 1),
            "width": round(self.width * across, 1),
            "height": round(self.height * down, 1),
        }


def boxes_json(boxes: Sequence[Box], size: tuple[float, float]) -> str:
    """Return the column ``boxes`` of a film of ``size`` = (width, height) in pixels, or ""."""
    return json.dumps([box.on(size) for box in boxes]) if boxes else ""


def coco_boxes(path: Path) -> tuple[dict[str, list[Box]], int]:
    """Read COCO annotations: file_name -> its boxes, and how many without a label were left out.

    A label is the name of its category in lower case, with hyphens.

    Raises:
        CohortError: no such file, or no such annotations.
    """
    try:
        coco = read_json(path, CohortError)
        labels = {each["id"]: each["name"].lower().replace(" ", "-") for each in coco["categories"]}
        images = {each["id"]: each for each in coco["images"]}
        found: dict[str, list[Box]] = {}
        labeled = [each for each in coco["annotations"] if "category_id" in each]
        for each in labeled:
            image, (x, y, width, height) = images[each["image_id"]], each["bbox"]
            drawn_on = (image["width"], image["height"])
            box = Box(labels[each["category_id"]], x, y, width, height, drawn_on)
            found.setdefault(image["file_name"], []).append(box)
    except (ValueError, KeyError, TypeError) as error:
        raise CohortError(f"{path}: not COCO annotations: {error!r}") from None
    return found, len(coco["annotations"]) - len(labeled)
