"""Films with masks: opened once, as squares that the network takes."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

from hilum.core.errors import CohortError
from hilum.data.cohorts import read_cohort
from hilum.data.duplicates import find_duplicates, link_groups
from hilum.data.split import make_split
from hilum.data.table import merge_cases
from hilum.image.open import open_radiograph
from hilum.image.preprocess import Preprocess
from hilum.learn.lungs.recipe import LungRecipe

_ASPECT = 0.03


class Masked(NamedTuple):
    """Films and the masks that a reader drew.

    Attributes:
        cases: a cases table with ``split``, one row a film.
        squares: float32 (n, 1, S, S) in [0, 1].
        masks: float32 (n, 1, S, S), 1 inside a lung.
    """

    cases: pd.DataFrame
    squares: Tensor
    masks: Tensor

    def side(self, name: str) -> Masked:
        """Return the films of one side of the split."""
        kept = (self.cases["split"] == name).to_numpy(copy=True)  # torch wants it writable
        cases = self.cases[kept].reset_index(drop=True)
        return Masked(cases, self.squares[kept], self.masks[kept])


def gather_masked(recipe: LungRecipe, root: Path, *, progress: bool = True) -> pd.DataFrame:
    """Return the radiographs with a lung mask, split by patient and duplicate group.

    Raises:
        CohortError: a collection is not there, or none of its films has a mask.
    """
    cohorts = [read_cohort(each.name, root / each.folder) for each in recipe.data.cohorts]
    cases = merge_cases(
        [each.cases for each in cohorts], [each.folder for each in recipe.data.cohorts]
    )
    cases = cases[(cases["lung_mask"] != "") & (cases["modality"] != "CT")].reset_index(drop=True)
    if cases.empty:
        raise CohortError(
            "no film of these collections has a lung mask",
            hint="masks lie beside the collections; 'hilum cohort read NAME FOLDER' counts them",
        )
    pairs = find_duplicates(cases, progress=progress)
    return make_split(link_groups(cases, pairs), recipe.split)


def open_masked(cases: pd.DataFrame, preprocess: Preprocess, *, progress: bool = True) -> Masked:
    """Open films and masks.

    Raises:
        CohortError: a mask that cannot be read, or of another shape than its film.
    """
    size = preprocess.size
    squares = np.empty((len(cases), 1, size, size), np.float32)
    masks = np.empty_like(squares)
    pairs = zip(cases["path"], cases["lung_mask"], strict=True)
    bar = tqdm(pairs, total=len(cases), desc="open films", disable=None if progress else True)
    for row, (film, mask) in enumerate(bar):
        radiograph = open_radiograph(film)
        squares[row, 0] = preprocess.square(radiograph)
        masks[row, 0] = _square_mask(mask, radiograph.shape, size)
    return Masked(cases.reset_index(drop=True), torch.from_numpy(squares), torch.from_numpy(masks))


def read_mask(path: str, shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Read a mask as bool (H, W) = ``shape``; any grey level in the upper half is lung.

    Raises:
        CohortError: not a picture, or of another aspect ratio than the film.
    """
    stored = cv2.imread(path, cv2.IMREAD_GRAYSCALE)
    if stored is None:
        raise CohortError(f"{path}: not a picture", hint="download the mask again")
    height, width = shape
    if abs(stored.shape[1] / stored.shape[0] - width / height) > _ASPECT * width / height:
        raise CohortError(
            f"{path}: {stored.shape[1]} x {stored.shape[0]}; its film is {width} x {height}",
            hint="the mask belongs to another film, or is a crop",
        )
    resized = cv2.resize(stored, (width, height), interpolation=cv2.INTER_AREA)
    return np.asarray(resized > 127)


def _square_mask(path: str, shape: tuple[int, int], size: int) -> NDArray[np.float32]:
    mask = read_mask(path, shape).astype(np.float32)
    return np.asarray(cv2.resize(mask, (size, size), interpolation=cv2.INTER_AREA) > 0.5)
