"""From collections with boxes to a detector, cross-validated by patient, in one go.

The run folder holds recipe.toml, weights.txt (where the detectors started), coco.json (the boxes),
folds.csv, detections.json (COCO results, each film's by the detector that never saw its patient),
scores.json, fold-K/ (checkpoint, and the detector in ``model/``) and, with ``fit.final``, model/
and detector.onnx of one trained on all.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from hilum.core.case import owner_of
from hilum.core.errors import CohortError, ConfigError
from hilum.core.estimate import Estimate
from hilum.core.files import write_text
from hilum.data.coco import Coco, boxed, boxes_in, to_coco, write_coco
from hilum.data.duplicates import find_duplicates
from hilum.data.leaks import refuse_leaks
from hilum.data.table import write_cases
from hilum.judge.detection import FilmBoxes, estimate_detection
from hilum.learn.detect.export import export_detector
from hilum.learn.detect.films import Boxed, divide, gather_boxed, open_boxed
from hilum.learn.detect.fit import Fitted, fit_detector, predict
from hilum.learn.detect.network import save_detector
from hilum.learn.detect.recipe import DetectorRecipe
from hilum.learn.environment import describe_environment
from hilum.learn.fit import claimed

COCO, FOLDS, DETECTIONS, SCORES = "coco.json", "folds.csv", "detections.json", "scores.json"
MODEL, ONNX, WEIGHTS = "model", "detector.onnx", "weights.txt"


@dataclass(frozen=True, slots=True)
class TrainedDetector:
    """What a run left in its folder.

    Attributes:
        folder: of the run.
        scores: "map" and "recall" over all folds, each film scored by the detector of the fold
            that held its patient out.
    """

    folder: Path
    scores: dict[str, Estimate]


def train_detector(
    recipe: DetectorRecipe,
    out: Path,
    *,
    root: Path | None = None,
    cases: pd.DataFrame | None = None,
    weights: str | None = None,
    command: str = "",
    resume: bool = False,
    tell: Callable[[str], None] = lambda _: None,
    progress: bool = True,
) -> TrainedDetector:
    """Gather, then for each fold train on the others and detect on it; then, if asked, on all.

    Args:
        recipe: the whole run.
        out: the run folder.
        root: where the collections of the recipe lie.
        cases: a cases table to take instead of the collections; without ``fold`` it is divided.
        weights: where each detector starts: a folder or a name on the hub; None for the network
            of the recipe.
        command: stored in ``scores.json``; must name no folder.
        resume: go on with a run that was broken off.
        tell: gets one line for each stage.
        progress: show bars on a terminal.

    Raises:
        ConfigError: ``out`` holds another run or one from other weights, or ``weights`` is no
            detector.
        CohortError: no collections, or no boxes in them.
        LeakageError: ``cases`` has a patient, or copies of a film, in two folds.
        TrainingError: a loss that is not a number.
        BundleError: ONNX differs from torch.
    """
    if cases is None and root is None:
        raise CohortError(
            "where the collections lie is not known",
            hint="name their folder with --data or HILUM_DATA",
        )
    with claimed(out, recipe, resume=resume):
        claim_weights(out, weights, resume=resume)
        if cases is None:
            cases = gather_boxed(recipe, Path(root or ""), progress=progress)
        elif "fold" in refuse_leaks(cases):
            refuse_leaks(cases, find_duplicates(cases, progress=progress))
        else:
            cases = divide(boxed(cases, recipe.data.label.value), recipe, progress=progress)
    coco = to_coco(cases, [recipe.data.label.value])
    write_coco(coco, out / COCO)
    films = open_boxed(cases, coco, recipe.preprocess, out, progress=progress)
    write_cases(films.cases, out / FOLDS)
    tell(_in_words(films))
    device = "cuda" if torch.cuda.is_available() else "cpu"
    started: dict[str, Any] = {"weights": weights, "device": device, "progress": progress}
    found = _cross_validate(recipe, films, coco, out, started, tell)
    scores = _score(found, films, recipe.data.label.value)
    made = {"command": command, "weights": weights or "", "environment": describe_environment()}
    numbers = {name: json.loads(each.model_dump_json()) for name, each in scores.items()}
    write_text(out / SCORES, json.dumps({"scores": numbers, "made": made}, indent=2) + "\n")
    if recipe.fit.final:
        tell("training on every film")
        rows = list(range(len(films.cases)))
        fitted = fit_detector(recipe, films, rows, out, **started)
        save_detector(fitted.model, out / MODEL)
        export_detector(fitted.model, out / ONNX, films, recipe)
    return TrainedDetector(out, scores)


def claim_weights(out: Path, weights: str | None, *, resume: bool) -> None:
    """Remember where a run starts, or raise ``ConfigError`` when it started elsewhere."""
    stored, given = out / WEIGHTS, weights or "none"
    before = stored.read_text(encoding="utf-8").strip() if stored.is_file() else given
    if resume and before != given:
        raise ConfigError(
            f"{out}: cannot resume, it started from weights {before}; found {given}",
            hint="give --weights as before, or train into another folder with --out",
        )
    write_text(stored, given + "\n")


def _cross_validate(
    recipe: DetectorRecipe,
    films: Boxed,
    coco: Coco,
    out: Path,
    started: dict[str, Any],
    tell: Callable[[str], None],
) -> dict[str, list[dict[str, Any]]]:
    """Return case_id -> what was found by the detector that never saw that patient."""
    folds = films.cases["fold"].to_numpy()
    found: dict[str, list[dict[str, Any]]] = {}
    for fold in sorted(set(folds)):
        held_out = np.flatnonzero(folds == fold)
        learned = np.flatnonzero(folds != fold).tolist()
        folder = out / f"fold-{fold:.0f}"
        fitted = fit_detector(recipe, films, learned, folder, **started)
        save_detector(fitted.model, folder / MODEL)
        detected = predict(fitted.model, recipe, films, held_out, device=started["device"])
        found |= dict(zip(films.cases["case_id"].iloc[held_out], detected, strict=True))
        write_coco(_results(found, coco), out / DETECTIONS)  # what is done is kept
        tell(f"fold {fold:.0f}: {_losses(fitted)}")
    return found


def _results(found: dict[str, list[dict[str, Any]]], coco: Coco) -> list[dict[str, Any]]:
    """Return detections in COCO's results format, with the ``case_id`` beside the image."""
    return [
        {"image_id": image["id"], "case_id": image["case_id"], "category_id": 1} | box
        for image in coco["images"]
        for box in found.get(image["case_id"], [])
    ]


def _score(found: dict[str, list[dict[str, Any]]], films: Boxed, label: str) -> dict[str, Estimate]:
    pairs = zip(films.cases["case_id"], films.cases["boxes"], strict=True)
    each = [
        FilmBoxes.of(
            boxes_in(drawn, label),
            [box["bbox"] for box in found[case_id]],
            [box["score"] for box in found[case_id]],
        )
        for case_id, drawn in pairs
    ]
    return estimate_detection(each, owner_of(films.cases).to_numpy())


def _in_words(films: Boxed) -> str:
    drawn = sum(len(each) > 0 for each in films.boxes)
    count = sum(len(each) for each in films.boxes)
    folds = films.cases["fold"].nunique()
    return f"{len(films.cases)} films, {drawn} of them with {count} boxes; {folds} folds"


def _losses(fitted: Fitted) -> str:
    return f"loss {fitted.losses[0]:.2f} in the first epoch, {fitted.losses[-1]:.2f} in the last"
