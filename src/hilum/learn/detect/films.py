"""Films with boxes: opened once, as squares on disk that the detector takes."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

from hilum.bundle.lungs import LungSegmenter
from hilum.data.coco import Coco, boxed, from_coco
from hilum.data.cohorts import read_cohort
from hilum.data.duplicates import find_duplicates, link_groups
from hilum.data.split import make_split
from hilum.data.table import merge_cases
from hilum.image.open import open_radiograph
from hilum.image.preprocess import Preprocess
from hilum.learn.detect.recipe import DetectorRecipe

SQUARES = "films.npy"


class Boxed(NamedTuple):
    """Films and the boxes that readers drew.

    Attributes:
        cases: a cases table with ``fold``, one row a film.
        squares: uint8 (n, S, S), the films through ``Preprocess.square``, read from disk as needed.
        boxes: of each film, float32 (k, 4): left, top, right, bottom, as fractions of the square.
        windows: float64 (n, 4): left, top, width, height of the square, in pixels of the film.
    """

    cases: pd.DataFrame
    squares: NDArray[np.uint8]
    boxes: list[Tensor]
    windows: NDArray[np.float64]

    def films(self, rows: Any) -> Tensor:
        """Return some films, float32 (n, 1, S, S) in [0, 1]."""
        squares = torch.from_numpy(np.array(self.squares[np.asarray(rows)]))
        return squares[:, None].float() / 255


def gather_boxed(recipe: DetectorRecipe, root: Path, *, progress: bool = True) -> pd.DataFrame:
    """Return the films on which boxes were drawn or known to be absent, in folds by patient.

    Raises:
        CohortError: a collection is not there, or none of its films has such a box.
    """
    cohorts = [read_cohort(each.name, root / each.folder) for each in recipe.data.cohorts]
    cases = merge_cases(
        [each.cases for each in cohorts], [each.folder for each in recipe.data.cohorts]
    )
    return divide(boxed(cases, recipe.data.label.value), recipe, progress=progress)


def divide(cases: pd.DataFrame, recipe: DetectorRecipe, *, progress: bool = True) -> pd.DataFrame:
    """Put films into folds by patient and duplicate group."""
    pairs = find_duplicates(cases, progress=progress)
    return make_split(link_groups(cases, pairs), recipe.split)


def open_boxed(
    cases: pd.DataFrame, coco: Coco, preprocess: Preprocess, out: Path, *, progress: bool = True
) -> Boxed:
    """Open films.

    Args:
        cases: a cases table with ``fold``.
        coco: boxes, of one category, by ``case_id``; other films of ``cases`` are left out.
        preprocess: from a film to the square; its lung field is found by the default bundle.
        out: folder for the squares.

    Raises:
        ImageError: a film cannot be opened.
    """
    drawn = from_coco(coco)
    cases = cases[cases["case_id"].isin(drawn)].reset_index(drop=True)
    out.mkdir(parents=True, exist_ok=True)
    shape = len(cases), preprocess.size, preprocess.size
    segmenter = LungSegmenter(threads=1) if preprocess.needs_lungs else None
    squares = np.lib.format.open_memmap(out / SQUARES, mode="w+", dtype=np.uint8, shape=shape)
    windows, boxes = np.empty((len(cases), 4)), []
    pairs = zip(cases["case_id"], cases["path"], strict=True)
    bar = tqdm(pairs, total=len(cases), desc="open films", disable=None if progress else True)
    for row, (case_id, path) in enumerate(bar):
        radiograph = open_radiograph(path)
        lungs = segmenter.segment(radiograph) if segmenter else None
        squares[row] = np.round(255 * preprocess.square(radiograph, lungs)).astype(np.uint8)
        windows[row] = preprocess.window(radiograph.shape, lungs)
        boxes.append(_in_window(drawn[case_id], windows[row]))
    return Boxed(cases, squares, boxes, windows)


def on_film(boxes: NDArray[np.float64], window: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return boxes (k, 4), fractions of the square, as x, y, width, height in film pixels."""
    left, top, width, height = window
    corners = boxes * [width, height, width, height] + [left, top, left, top]
    found: NDArray[np.float64] = np.hstack([corners[:, :2], corners[:, 2:] - corners[:, :2]])
    return found


def _in_window(boxes: list[dict[str, Any]], window: NDArray[np.float64]) -> Tensor:
    """Return what of the boxes the square shows, as fractions of its side."""
    left, top, width, height = window
    drawn = np.array([[box[side] for side in ("x", "y", "width", "height")] for box in boxes])
    drawn = drawn.reshape(-1, 4)
    corners = np.hstack([drawn[:, :2], drawn[:, :2] + drawn[:, 2:]])
    inside = (corners - [left, top, left, top]) / [width, height, width, height]
    inside = inside.clip(0, 1)
    seen = (inside[:, 2] > inside[:, 0]) & (inside[:, 3] > inside[:, 1])
    return torch.from_numpy(inside[seen].astype(np.float32))
