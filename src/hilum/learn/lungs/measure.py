"""Measure the lung network on films of patients that it never saw, as a reader uses it.

Film and mask are compared at film size, through the ONNX file and the preprocessing that ship.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import torch
from monai.metrics.hausdorff_distance import compute_hausdorff_distance
from numpy.typing import NDArray
from tqdm import tqdm

from hilum.bundle.lungs import LungSegmenter
from hilum.core.estimate import Estimate
from hilum.image.open import open_radiograph
from hilum.judge.bootstrap import Support, bootstrap_all
from hilum.learn.lungs.films import read_mask

_SIDE = 256
"""Long side of the film on which distances are taken, in pixels."""

MADE_BY_MODEL = ("lungVAE-masks",)
"""Folders whose masks a network drew: never pooled with those of a reader."""


def dice(found: NDArray[np.bool_], drawn: NDArray[np.bool_]) -> float:
    """Return 2 |A and B| / (|A| + |B|), in [0, 1]; 1 where both are empty.

    >>> dice(np.array([True, True, False]), np.array([True, False, False]))
    0.6666666666666666
    """
    total = int(found.sum()) + int(drawn.sum())
    return 2 * int((found & drawn).sum()) / total if total else 1.0


def boundary(found: NDArray[np.bool_], drawn: NDArray[np.bool_]) -> float:
    """Return the 95 % Hausdorff distance of two masks (H, W), as a fraction of the long side.

    NaN where one of them is empty.
    """
    if not found.any() or not drawn.any():
        return float("nan")
    scale = _SIDE / max(found.shape)
    size = max(round(found.shape[1] * scale), 1), max(round(found.shape[0] * scale), 1)
    small = [
        torch.from_numpy(cv2.resize(mask.astype(np.float32), size, interpolation=cv2.INTER_AREA))
        for mask in (found, drawn)
    ]
    one, other = ((mask > 0.5).float()[None, None] for mask in small)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # MONAI uses an argument that it deprecated
        distance = compute_hausdorff_distance(one, other, include_background=True, percentile=95)
    return float(distance) / _SIDE


def measure_films(
    cases: pd.DataFrame, segmenter: LungSegmenter, *, progress: bool = True
) -> pd.DataFrame:
    """Segment films and compare each with its mask.

    Args:
        cases: a cases table with ``lung_mask``.
        segmenter: the network as it ships.
        progress: show a bar on a terminal.

    Returns:
        ``cases`` with ``dice``, ``hd95`` (fraction of the film's long side) and ``kind``.
    """
    bar = tqdm(cases["path"], desc="measure", unit="film", disable=None if progress else True)
    numbers = []
    for path, mask in zip(bar, cases["lung_mask"], strict=True):
        radiograph = open_radiograph(path)
        found = segmenter.segment(radiograph).on_film(radiograph.shape)
        drawn = read_mask(mask, radiograph.shape)
        numbers.append((dice(found, drawn), boundary(found, drawn)))
    measured = pd.DataFrame(numbers, columns=["dice", "hd95"], index=cases.index)
    return pd.concat([cases, measured, kinds_of(cases).rename("kind")], axis=1)


def kinds_of(cases: pd.DataFrame) -> pd.Series[str]:
    """Say what kind of film each is: normal, tuberculosis, COVID-19 with consolidation, ..."""
    return pd.Series([_kind(case) for case in cases.to_dict("records")], cases.index, dtype=object)


def _kind(case: dict[Any, Any]) -> str:
    if Path(case["lung_mask"]).parent.name in MADE_BY_MODEL:
        return "mask by a model"
    if case.get("covid-19") == 1:
        return f"COVID-19, {_opacity(case)}"
    for label, kind in (("tuberculosis", "tuberculosis"), ("no-finding", "normal")):
        if case.get(label) == 1:
            return kind
    return "other pneumonia" if case.get("pneumonia") == 1 else "other"


def _opacity(case: dict[Any, Any]) -> str:
    """What lesion masks and severity scores say of the lungs of a film."""
    lesions = json.loads(case.get("lesion_masks") or "{}")
    if "consolidation" in lesions:
        return "consolidation drawn"
    scores = json.loads(case.get("scores") or "{}")
    scored = [scores[name] for name in ("opacity", "brixia-senior-global") if name in scores]
    if lesions or any(score > 0 for score in scored):
        return "opacity drawn or scored"
    return "scored clear" if scored else "not scored"


def summarize(measured: pd.DataFrame, *, folds: int = 1000, seed: int = 0) -> dict[str, Any]:
    """Return what ``lungs.json`` says: per collection, and in it per kind of film.

    Args:
        measured: of ``measure_films``.
        folds, seed: of the bootstrap over patients.
    """
    parts = [(name, str(cohort), films) for name, cohort, films in _parts(measured)]
    collections: dict[str, dict[str, Any]] = {}
    for name, cohort, films in parts:
        collections.setdefault(cohort, {})[name] = _numbers(films, folds, seed)
    manual = measured[measured["kind"] != "mask by a model"]
    kinds = {
        str(kind): _numbers(films, folds, seed) for kind, films in manual.groupby("kind", sort=True)
    }
    covid = manual[manual["kind"].str.match(r"COVID-19, (consolidation|opacity)")]
    if len(covid):
        kinds["COVID-19, consolidation or opacity"] = _numbers(covid, folds, seed)
    return {
        "what": "held-out patients; through lungs.onnx, compared at film size; 95 % intervals by "
        "bootstrap over patients; hd95: 95 % Hausdorff distance / long side of the film",
        "collections": collections,
        "kinds": kinds,
    }


def _parts(measured: pd.DataFrame) -> Iterator[tuple[str, Any, pd.DataFrame]]:
    for cohort, films in measured.groupby("cohort", sort=True):
        manual = films[films["kind"] != "mask by a model"]
        if len(manual):
            yield "manual masks", cohort, manual
        for kind, some in films.groupby("kind", sort=True):
            yield str(kind), cohort, some


def _numbers(films: pd.DataFrame, folds: int, seed: int) -> dict[str, Any]:
    overlap, edge = _mean(films, "dice", folds, seed), _mean(films, "hd95", folds, seed)
    return {
        "dice": json.loads(overlap.model_dump_json()),
        "dice_percentile_5": float(np.percentile(films["dice"], 5)),
        "dice_lowest": float(films["dice"].min()),
        "hd95": json.loads(edge.model_dump_json()),
        "patients": int(films["group"].nunique()),
    }


def _mean(films: pd.DataFrame, column: str, folds: int, seed: int) -> Estimate:
    known = films[films[column].notna()]
    values, owners = known[column].to_numpy(np.float64), known["group"].to_numpy()
    if not len(known):
        return Estimate.undefined(0, "no film")

    def mean(weights: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
        return {"mean": (weights @ values) / weights.sum(axis=1)}

    support = {"mean": Support(len(known), known["group"].nunique())}
    return bootstrap_all(mean, owners, support, folds=folds, seed=seed)["mean"]
