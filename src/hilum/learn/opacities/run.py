"""From collections with lesion masks to opacities.onnx and opacities.json, in one go."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from hilum.bundle.opacities import OPACITIES, OPACITIES_SPEC, OpacitySpec
from hilum.core.estimate import Estimate
from hilum.core.files import atomic_path, sha256_of, write_text
from hilum.image.opacities import KINDS
from hilum.learn.environment import describe_environment
from hilum.learn.films import fingerprint
from hilum.learn.fit import claim
from hilum.learn.module import standardise
from hilum.learn.opacities.export import OpacityParity, export_opacities
from hilum.learn.opacities.films import DRAWN, Films, gather_opacities, open_all
from hilum.learn.opacities.fit import Fitted, fit_opacities
from hilum.learn.opacities.measure import limits_of, measure_films, summarize
from hilum.learn.opacities.recipe import OpacityRecipe
from hilum.learn.opacities.regions import rule_films
from hilum.learn.opacities.validate import Scores, cross_validate

PARITY_FILMS = 32
MEASURED = "films.csv"
OUT_OF_FOLD = "out-of-fold.npz"


@dataclass(frozen=True, slots=True)
class TrainedOpacities:
    """What a run left in its folder.

    Attributes:
        folder: holds opacities.onnx, opacities.json, films.csv (numbers of each film) and
            out-of-fold.npz (case_id; scores float16 (n, K, s, s); lungs bool (n, s, s)).
        spec: what ``opacities.json`` holds.
    """

    folder: Path
    spec: OpacitySpec


def train_opacities(
    recipe: OpacityRecipe,
    out: Path,
    *,
    root: Path | None,
    command: str,
    resume: bool = False,
    tell: Callable[[str], None] = lambda _: None,
    progress: bool = True,
) -> TrainedOpacities:
    """Gather, cross-validate, choose thresholds, train on all films, export, check.

    Args:
        recipe: the whole run.
        out: the run folder.
        root: where the collections of the recipe lie.
        command: stored in ``opacities.json``; must name no folder.
        resume: go on with a run that was broken off: whole folds are kept, the one that was
            being trained goes on from its last checkpoint.
        tell: gets one line for each stage.
        progress: show bars on a terminal.

    Raises:
        ConfigError: ``out`` holds another run, or collections without a root.
        CohortError: a collection is not there, none of its films has a lesion mask, or a mask
            cannot be read.
        BundleError: ONNX differs from torch.
    """
    claim(out, recipe, resume=resume)
    tell("reading the collections")
    cases = gather_opacities(recipe, root, progress=progress)
    films = open_all(cases, recipe.preprocess, progress=progress)
    tell(in_words(films.cases))
    scores = cross_validate(recipe, films, out, progress=progress)
    _keep(out / OUT_OF_FOLD, films, scores)
    measured = measure_films(films, scores)
    measured.round(5).to_csv(out / MEASURED, index=False)
    tell("training on all films")
    fitted = fit_opacities(recipe, films, out / "all", progress=progress, name="all films")
    parity = export_opacities(fitted.network, out / OPACITIES, _some(films, recipe))
    limits, rule = limits_of(films, scores, rule_films(films, scores))
    spec = OpacitySpec(
        preprocess=recipe.preprocess,
        thresholds=dict(zip(KINDS, limits, strict=True)),
        regions=rule,
        made=_made(recipe, films.cases, fitted, parity, command),
        measured=_measured(recipe, summarize(measured)),
    )
    text = json.dumps(spec.model_dump(mode="json"), indent=2, allow_nan=False)
    write_text(out / OPACITIES_SPEC, text + "\n")
    return TrainedOpacities(out, spec)


def in_words(cases: pd.DataFrame) -> str:
    """Count films: "clear: openist 60, shenzhen 60; drawn: ...", each material by collection."""
    counts = cases.groupby(["material", "cohort"]).size().reset_index(name="films")
    return "; ".join(
        f"{name}: {', '.join(f'{row.cohort} {row.films}' for row in rows.itertuples())}"
        for name, rows in counts.groupby("material")
    )


def _keep(path: Path, films: Films, scores: Scores) -> None:
    """Keep what severity scores and boxes are measured on: scores of films held out."""
    kept = np.flatnonzero(films.cases["fold"] > 0)
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(
            file,
            case_id=films.cases["case_id"].to_numpy(str)[kept],
            scores=scores[kept].astype(np.float16),
            lungs=np.stack([films.lungs[row].mask for row in kept]),
        )


def _some(films: Films, recipe: OpacityRecipe) -> torch.Tensor:
    """Films of every material, standardised, for the comparison of ONNX with torch."""
    total = len(films.cases)
    rows = np.unique(np.linspace(0, total - 1, min(total, PARITY_FILMS)).round().astype(int))
    return standardise(films.squares[rows], recipe.preprocess).contiguous()


def _made(
    recipe: OpacityRecipe,
    cases: pd.DataFrame,
    fitted: Fitted,
    parity: OpacityParity,
    command: str,
) -> dict[str, Any]:
    masks = cases.assign(masks=cases["lesion_masks"].fillna("").map(_checksums))
    losses = np.array_split(np.asarray(fitted.losses), min(10, len(fitted.losses)))
    return {
        "recipe": recipe.model_dump(mode="json"),
        "command": command,
        "environment": describe_environment(),
        "data_fingerprint": fingerprint(masks, ["masks", "boxes"], {}),
        "seed": recipe.fit.seed,
        "training_time_s": round(fitted.seconds, 1),
        "losses": [round(float(part.mean()), 4) for part in losses],
        "films": {name: int(n) for name, n in cases["material"].value_counts().items()},
        "trained_on": sorted(cases.loc[cases["material"] == DRAWN, "case_id"]),
        "onnx_parity": parity.model_dump(),
    }


def _checksums(text: str) -> str:
    return " ".join(sha256_of(Path(path)) for _, path in sorted(json.loads(text or "{}").items()))


def _measured(recipe: OpacityRecipe, numbers: dict[str, Estimate]) -> dict[str, Any]:
    folds = recipe.split.folds
    return {
        "what": f"{folds}-fold cross-validation by patient and duplicate group, networks, "
        "thresholds and rule of regions of the other folds; 95 % intervals by bootstrap over "
        "patients; Dice over the films on which a kind was drawn, pooled over all drawn films",
        "metrics": {name: json.loads(each.model_dump_json()) for name, each in numbers.items()},
    }
