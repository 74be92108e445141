"""Annotations of covid-chestxray-dataset: lung masks, lung boxes, lesion masks and scores.

They come from several groups, in folders of the collection and beside it. Each is optional.

- ``annotations/semantic_masks_v7labs_lungs/STEM_mask.png`` (manual), ``lungVAE-masks`` (a model's).
- COCO lung boxes: ``covid-19-chest-xray-lung-bounding-boxes-dataset`` and
  ``annotations/imageannotation_ai_lung_bounding_boxes.json``.
- ``covid-19-chest-xray-segmentations-dataset/lesion-masks/STEM_ggo.png`` and
  ``STEM_consolidation.png``.
- ``annotations/covid-severity-scores.csv`` (Cohen et al., arXiv:2005.11856): geographic extent 0-8,
  opacity 0-6, means of three readers.
- ``brixia-score/public-annotations.csv`` (Signoroni et al. 2021): six zones 0-3, global 0-18, by a
  senior (S) and a junior (J) reader.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from hilum.core.csvtable import number_in, read_table, rows_of
from hilum.data.adapters.boxes import Box, boxes_json, coco_boxes
from hilum.data.folder import Record, beside
from hilum.data.header import image_size

_LUNG_MASKS = ("annotations/semantic_masks_v7labs_lungs", "annotations/lungVAE-masks")
_BOXES = (
    "covid-19-chest-xray-lung-bounding-boxes-dataset/annotations/annotations.json",
    "annotations/imageannotation_ai_lung_bounding_boxes.json",
)
_LESIONS = "covid-19-chest-xray-segmentations-dataset/lesion-masks"
_LESION_NAMES = {"ggo": "ground-glass", "consolidation": "consolidation"}
_SEVERITY = "annotations/covid-severity-scores.csv"
_BRIXIA = "brixia-score/public-annotations.csv"


@dataclass(slots=True)
class Annotations:
    """What is known of each image, by file name or stem.

    Attributes:
        notes: where each kind of annotation came from, for the report.
    """

    lung_masks: dict[str, Path] = field(default_factory=dict)
    boxes: dict[str, list[Box]] = field(default_factory=dict)
    lesion_masks: dict[str, dict[str, str]] = field(default_factory=dict)
    scores: dict[str, dict[str, float]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def of(self, image: Path) -> Record:
        """Return the columns lung_mask, lesion_masks, boxes and scores of an image."""
        mask = self.lung_masks.get(image.stem)
        boxes = self.boxes.get(image.name, [])
        return {
            "lung_mask": str(mask) if mask else "",
            "lesion_masks": _json(self.lesion_masks.get(image.stem)),
            "boxes": boxes_json(boxes, image_size(image)) if boxes else "",
            "scores": _json(self.scores.get(image.name)),
        }

    def settle(self, images: Iterable[Path]) -> None:
        """Leave out the masks of a name that two images share: they may be of either."""
        stems = Counter(image.stem for image in images)
        for stem in sorted(stem for stem, number in stems.items() if number > 1):
            if any([self.lung_masks.pop(stem, None), self.lesion_masks.pop(stem, None)]):
                self.notes.append(f"masks of {stem} left out: {stems[stem]} images are called so")


def load(root: Path) -> Annotations:
    """Read what lies in ``root`` and beside it."""
    found = Annotations()
    for place in reversed(_LUNG_MASKS):  # a manual mask replaces a model's
        if folder := beside(root, place):
            masks = folder.resolve().glob("*_mask.png")
            found.lung_masks |= {path.stem.removesuffix("_mask"): path for path in masks}
            found.notes.append(f"lung masks: {place}")
    for place in reversed(_BOXES):
        if path := beside(root, place):
            boxes, unlabeled = coco_boxes(path)
            found.boxes |= boxes
            left_out = f"; {unlabeled} without a label left out" if unlabeled else ""
            found.notes.append(f"lung boxes: {place}{left_out}")
    if folder := beside(root, _LESIONS):
        found.lesion_masks = _lesions(folder.resolve())
        found.notes.append(f"lesion masks: {_LESIONS}")
    if path := beside(root, _SEVERITY):
        _merge(found.scores, _severity(path))
        found.notes.append(f"severity scores: {_SEVERITY}")
    if path := beside(root, _BRIXIA):
        _merge(found.scores, _brixia(path))
        found.notes.append(f"Brixia scores: {_BRIXIA}")
    return found


def _lesions(folder: Path) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {}
    for path in sorted(folder.glob("*.png")):
        stem, _, kind = path.stem.rpartition("_")
        if kind in _LESION_NAMES:
            found.setdefault(stem, {})[_LESION_NAMES[kind]] = str(path)
    return found


def _severity(path: Path) -> dict[str, dict[str, float]]:
    names = {"geographic_mean": "geographic-extent", "opacity_mean": "opacity"}
    table = read_table(path, ("filename", *names), comments=True)
    return _scores(table, path, names)


def _brixia(path: Path) -> dict[str, dict[str, float]]:
    zones = (*"ABCDEF", "Global")
    readers = {"S": "senior", "J": "junior"}
    names = {
        f"{key}-{zone}": f"brixia-{reader}-{zone.lower()}"
        for key, reader in readers.items()
        for zone in zones
    }
    table = read_table(path, ("filename", *names))
    return _scores(table, path, names)


def _scores(table: pd.DataFrame, path: Path, names: dict[str, str]) -> dict[str, dict[str, float]]:
    return {
        row["filename"]: {
            name: number_in(row, column, where) for column, name in names.items() if row[column]
        }
        for where, row in rows_of(table, path)
    }


def _merge(into: dict[str, dict[str, float]], scores: dict[str, dict[str, float]]) -> None:
    for name, values in scores.items():
        into.setdefault(name, {}).update(values)


def _json(value: object) -> str:
    return json.dumps(value) if value else ""
