"""Annotated films of a cases table: where people marked disease, as masks over the film."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hilum.core.errors import CohortError
from hilum.core.labels import Label
from hilum.image.open import open_radiograph

Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Target:
    """One kind of annotation.

    Attributes:
        what: in words.
        labels: the map of the first of these that the bundle answers is scored.
        boxes: labels of the boxes that count; () for lesion masks.
    """

    what: str
    labels: tuple[str, ...]
    boxes: tuple[str, ...] = ()


TARGETS: dict[str, Target] = {
    "lesion-masks": Target(
        "ground-glass and consolidation, drawn by hand, on films of COVID-19",
        (Label.COVID_19, Label.PNEUMONIA),
    ),
    "rsna-boxes": Target(
        "boxes of lung opacity, RSNA radiologists, on NIH films",
        (Label.LUNG_OPACITY, Label.PNEUMONIA, Label.COVID_19),
        (Label.LUNG_OPACITY,),
    ),
    "nih-boxes": Target(
        "boxes of pneumonia, NIH radiologists",
        (Label.PNEUMONIA, Label.COVID_19),
        (Label.PNEUMONIA,),
    ),
}
"""Name -> annotation, in the order of the table."""


def label_of(target: str, labels: Sequence[str]) -> str | None:
    """Name the label whose map is scored against a target, of those that a bundle answers."""
    known = {str(label) for label in labels}
    return next((str(each) for each in TARGETS[target].labels if str(each) in known), None)


def annotated(cases: pd.DataFrame) -> pd.DataFrame:
    """Return the rows with a target, and a column ``targets``: their names, a tuple a row.

    Raises:
        CohortError: no row has one.
    """
    named = [_names(row) for row in cases[["lesion_masks", "boxes"]].itertuples(index=False)]
    cases = cases.assign(targets=pd.Series(named, index=cases.index, dtype=object))
    found = cases[[bool(names) for names in named]]
    if found.empty:
        raise CohortError(
            "no row of the cases table has a lesion mask or a box of pneumonia or lung opacity",
            hint="columns lesion_masks and boxes; 'hilum cohort read' fills them",
        )
    return found.reset_index(drop=True)


def target_mask(name: str, row: Any, shape: tuple[int, int], small: tuple[int, int]) -> Mask:
    """Draw a target.

    Args:
        name: a key of ``TARGETS``.
        row: of the cases table.
        shape: (height, width) of the film; boxes are in its pixels.
        small: (height, width) of the mask.

    Returns:
        bool (height, width) = ``small``; the union of all boxes, or of the masks of all kinds.
    """
    kinds = TARGETS[name].boxes
    if not kinds:
        return _union(json.loads(row.lesion_masks).values(), small)
    mask = np.zeros(small, np.uint8)
    down, across = small[0] / shape[0], small[1] / shape[1]
    for box in json.loads(row.boxes):
        if box["label"] in kinds:
            start = round(box["x"] * across), round(box["y"] * down)
            far = (box["x"] + box["width"]) * across, (box["y"] + box["height"]) * down
            mask[start[1] : round(far[1]), start[0] : round(far[0])] = 1
    return mask > 0


def _names(row: Any) -> tuple[str, ...]:
    boxes = {box["label"] for box in json.loads(row.boxes)} if row.boxes else set()
    return tuple(
        name
        for name, target in TARGETS.items()
        if (boxes & set(target.boxes) if target.boxes else row.lesion_masks)
    )


def _union(paths: Any, small: tuple[int, int]) -> Mask:
    masks = [open_radiograph(Path(path)).pixels for path in paths]
    sized = [cv2.resize(m, (small[1], small[0]), interpolation=cv2.INTER_AREA) for m in masks]
    return np.asarray(np.max(sized, axis=0) > 0.5)
