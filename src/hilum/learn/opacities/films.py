"""Films to learn opacities from: chosen from the collections, opened once with all that is drawn.

A film is "drawn" (a reader outlined its opacities), "clear" (no finding), "boxed" (rectangles
around opacities), or "virtual" (rendered, with masks; never held out). A kind of opacity that was
not drawn on a drawn film is taken as absent: the reader of the collection drew both kinds, and the
films without consolidation show none that is as dense as those that were outlined.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

from hilum.bundle.lungs import LungSegmenter
from hilum.core.errors import CohortError
from hilum.core.labels import Label
from hilum.core.radiograph import Pixels, Radiograph
from hilum.data.duplicates import find_duplicates, link_groups
from hilum.data.leaks import refuse_leaks
from hilum.data.split import make_split
from hilum.data.table import read_cases
from hilum.image.lungs import Lungs
from hilum.image.opacities import KINDS
from hilum.image.open import open_radiograph
from hilum.image.preprocess import Preprocess
from hilum.learn.gather import choose_films
from hilum.learn.lungs.films import read_mask
from hilum.learn.opacities.recipe import OpacityRecipe

DRAWN, CLEAR, BOXED, VIRTUAL = "drawn", "clear", "boxed", "virtual"
BOX = Label.LUNG_OPACITY.value
MOST_BOXES = 4
"""Boxes of one film that are learned from."""

CHANNELS = len(KINDS) + 1 + MOST_BOXES
"""Of ``Material.targets``."""


@dataclass(frozen=True, slots=True)
class Films:
    """Films, opened.

    Attributes:
        cases: a cases table with ``material`` and ``fold`` (0: never held out), index 0..n-1.
        squares: float32 (n, 1, S, S) in [0, 1]; ``Preprocess.square`` of each.
        targets: uint8 (n, 7, S, S), in the same place: each kind of opacity, the lungs, each box.
        lungs: of each film.
        truth: bool (n, K, s, s): the kinds drawn, on the square that the lungs lie on.
    """

    cases: pd.DataFrame
    squares: Tensor
    targets: Tensor
    lungs: list[Lungs]
    truth: NDArray[np.bool_]

    def rows(self, material: str) -> NDArray[np.intp]:
        """Return where in the table the films of one material are."""
        return np.flatnonzero(self.cases["material"] == material)

    def take(self, kept: NDArray[np.intp]) -> Films:
        """Return the films at ``kept``."""
        cases = self.cases.iloc[kept].reset_index(drop=True)
        lungs = [self.lungs[row] for row in kept]
        return Films(cases, self.squares[kept], self.targets[kept], lungs, self.truth[kept])


def gather_opacities(
    recipe: OpacityRecipe, root: Path | None, *, progress: bool = True
) -> pd.DataFrame:
    """Return the films of a run, with ``material`` and ``fold``.

    Folds divide by patient and duplicate group, each material in proportion.

    Raises:
        ConfigError: collections without a root.
        CohortError: a collection is not there, or no film has a lesion mask.
    """
    cases, _, _ = choose_films(recipe.data, root, seed=recipe.split.seed)
    material = _material(cases)
    if not (material == DRAWN).any():
        raise CohortError(
            "no film of these collections has a lesion mask",
            hint="masks lie beside the collections; 'hilum cohort read NAME FOLDER' counts them",
        )
    cases = cases.assign(material=material)[material != ""]
    cases = cases[_kept(cases, recipe)].reset_index(drop=True)
    linked = link_groups(cases, find_duplicates(cases, progress=progress))
    strata = linked.assign(source=linked["material"])
    folds = make_split(strata, recipe.split)[["case_id", "group", "fold"]]
    cases = linked.drop(columns=["group", "fold"], errors="ignore").merge(
        folds, on="case_id", validate="one_to_one"
    )
    return pd.concat([cases, *_virtual(recipe, root)], ignore_index=True)


def open_all(cases: pd.DataFrame, preprocess: Preprocess, *, progress: bool = True) -> Films:
    """Open films with what is drawn on them; films without lungs are left out.

    Raises:
        CohortError: a mask that cannot be read, or of another shape than its film.
    """
    segmenter = LungSegmenter(None, threads=1)
    bar = tqdm(cases.to_dict("records"), desc="open films", disable=None if progress else True)
    opened, kept = [], []
    for row, case in enumerate(bar):
        film = open_radiograph(case["path"])
        lungs = segmenter.segment(film)
        if lungs.parts:
            kept.append(row)
            opened.append((*_open(film, lungs, case, preprocess), lungs))
    squares, targets, truth, found = zip(*opened, strict=True)
    return Films(
        cases.iloc[kept].reset_index(drop=True),
        torch.from_numpy(np.stack(squares)[:, None]),
        torch.from_numpy(np.stack(targets)),
        list(found),
        np.stack(truth),
    )


def _open(
    film: Radiograph, lungs: Lungs, case: dict[str, str], preprocess: Preprocess
) -> tuple[Pixels, NDArray[np.uint8], NDArray[np.bool_]]:
    drawn = read_kinds(case.get("lesion_masks") or "", film.shape)
    layers = [*drawn, lungs.on_film(film.shape), *_boxes(case.get("boxes") or "", film.shape)]
    targets = np.zeros((CHANNELS, preprocess.size, preprocess.size), np.uint8)
    as_is = preprocess.model_copy(
        update={"low_percentile": None, "high_percentile": None, "equalize": None}
    )
    for target, layer in zip(targets, layers, strict=False):
        shown = replace(film, pixels=layer.astype(np.float32))
        target[:] = as_is.square(shown, lungs) > 0.5
    return preprocess.square(film, lungs), targets, on_square(drawn, lungs.mask.shape[0])


def on_square(masks: Sequence[NDArray[np.bool_]], size: int) -> NDArray[np.bool_]:
    """Stretch masks at film size, bool (H, W), to the square of ``Lungs``: bool (K, s, s)."""
    sizes = (size, size)
    soft = [
        cv2.resize(each.astype(np.float32), sizes, interpolation=cv2.INTER_AREA) for each in masks
    ]
    return np.asarray(np.stack(soft) > 0.5)


def read_kinds(text: str, shape: tuple[int, int]) -> list[NDArray[np.bool_]]:
    """Read the column ``lesion_masks``: one bool (H, W) = ``shape`` a kind, empty if not drawn."""
    paths = json.loads(text or "{}")
    empty = np.zeros(shape, bool)
    return [read_mask(paths[kind], shape) if kind in paths else empty for kind in KINDS]


def _boxes(text: str, shape: tuple[int, int]) -> list[NDArray[np.bool_]]:
    boxes = [box for box in json.loads(text or "[]") if box["label"] == BOX][:MOST_BOXES]
    layers = []
    for box in boxes:
        layer = np.zeros(shape, bool)
        left, top = round(box["x"]), round(box["y"])
        layer[top : top + round(box["height"]), left : left + round(box["width"])] = True
        layers.append(layer)
    return layers


def _material(cases: pd.DataFrame) -> pd.Series[str]:
    drawn = cases["lesion_masks"].fillna("") != ""
    boxed = cases["boxes"].fillna("").str.contains(f'"{BOX}"')
    clear = (cases[Label.NO_FINDING.value] == 1) & (cases[BOX] != 1)
    material = pd.Series("", index=cases.index, dtype=object)
    return material.mask(clear, CLEAR).mask(boxed, BOXED).mask(drawn, DRAWN)


def _kept(cases: pd.DataFrame, recipe: OpacityRecipe) -> NDArray[np.bool_]:
    """Mark all films but the clear ones that are too many."""
    order = np.random.default_rng(recipe.split.seed).permutation(len(cases))
    shuffled = cases.iloc[order].sort_values(BOX, kind="stable", na_position="last")
    place = shuffled.groupby(["cohort", "material"]).cumcount().reindex(cases.index)
    few = place < recipe.material.clear_per_cohort
    return np.asarray((cases["material"] != CLEAR) | few)


def _virtual(recipe: OpacityRecipe, root: Path | None) -> list[pd.DataFrame]:
    named = recipe.material.virtual_films
    if named is None:
        return []
    path = (root or Path()) / named
    cases = refuse_leaks(read_cases(path))
    masks = [
        json.dumps({kind: str(path.parent / mask) for kind, mask in json.loads(text).items()})
        for text in cases["lesion_masks"]
    ]
    return [cases.assign(lesion_masks=masks, material=VIRTUAL, fold=0.0, group="virtual")]
