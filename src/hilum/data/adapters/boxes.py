"""Boxes: rectangles drawn on one size of a picture, in pixels of the file at hand."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hilum.core.errors import CohortError
from hilum.core.textfile import read_json


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
