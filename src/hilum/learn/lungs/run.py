"""From collections with lung masks to lungs.onnx and lungs.json, in one go."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from hilum.bundle.lungs import LUNGS, LUNGS_SPEC, LungSegmenter, LungSpec
from hilum.core.errors import CohortError
from hilum.core.files import sha256_of, write_text
from hilum.learn.environment import describe_environment
from hilum.learn.films import fingerprint
from hilum.learn.fit import claim
from hilum.learn.lungs.export import LungParity, export_lungs
from hilum.learn.lungs.films import Masked, gather_masked, open_masked
from hilum.learn.lungs.fit import Fitted, fit_lungs
from hilum.learn.lungs.measure import measure_films, summarize
from hilum.learn.lungs.recipe import LungRecipe
from hilum.learn.module import standardise

PARITY_FILMS = 32
MEASURED = "films.csv"


@dataclass(frozen=True, slots=True)
class TrainedLungs:
    """What a run left in its folder.

    Attributes:
        folder: holds lungs.onnx, lungs.json and films.csv (the numbers of each held-out film).
        spec: what ``lungs.json`` holds.
    """

    folder: Path
    spec: LungSpec


def train_lungs(
    recipe: LungRecipe,
    out: Path,
    *,
    root: Path | None,
    command: str,
    resume: bool = False,
    tell: Callable[[str], None] = lambda _: None,
    progress: bool = True,
) -> TrainedLungs:
    """Gather, train, export, check, measure.

    Args:
        recipe: the whole run.
        out: the run folder.
        root: where the collections of the recipe lie.
        command: stored in ``lungs.json``; must name no folder.
        resume: go on with a run that was broken off, after its last whole epoch.
        tell: gets one line for each stage.
        progress: show bars on a terminal.

    Raises:
        ConfigError: ``out`` holds another run.
        CohortError: a collection is not there, none of its films has a mask, or a mask cannot be
            read.
        BundleError: ONNX differs from torch.
    """
    if root is None:
        raise CohortError(
            "where the collections lie is not known",
            hint="name their folder with --data or HILUM_DATA",
        )
    claim(out, recipe, resume=resume)
    tell("reading the collections")
    masked = open_masked(
        gather_masked(recipe, root, progress=progress), recipe.preprocess, progress=progress
    )
    tell(_in_words(masked.cases))
    fitted = fit_lungs(recipe, masked.side("train"), out, progress=progress)
    test = masked.side("test")
    parity = export_lungs(fitted.network, out / LUNGS, _some(test, recipe))
    made = _made(recipe, masked.cases, fitted, parity, command)
    _write(out, LungSpec(preprocess=recipe.preprocess, made=made))
    tell(f"measuring on {len(test.cases)} films of test")
    films = measure_films(test.cases, LungSegmenter(out), progress=progress)
    films[["case_id", "kind", "dice", "hd95"]].to_csv(out / MEASURED, index=False)
    spec = LungSpec(preprocess=recipe.preprocess, made=made, measured=summarize(films))
    _write(out, spec)
    return TrainedLungs(out, spec)


def _in_words(cases: pd.DataFrame) -> str:
    counts = cases.groupby(["split", "cohort"]).size().reset_index(name="films")
    return "; ".join(
        f"{split}: {', '.join(f'{row.cohort} {row.films}' for row in rows.itertuples())}"
        for split, rows in counts.groupby("split", sort=False)
    )


def _some(test: Masked, recipe: LungRecipe) -> torch.Tensor:
    """Films of every collection, standardised, for the comparison of ONNX with torch."""
    total = len(test.cases)
    rows = np.unique(np.linspace(0, total - 1, min(total, PARITY_FILMS)).round().astype(int))
    return standardise(test.squares[rows], recipe.preprocess).contiguous()


def _made(
    recipe: LungRecipe, cases: pd.DataFrame, fitted: Fitted, parity: LungParity, command: str
) -> dict[str, Any]:
    masks = cases.assign(mask=[sha256_of(Path(path)) for path in cases["lung_mask"]])
    return {
        "recipe": recipe.model_dump(mode="json"),
        "command": command,
        "environment": describe_environment(),
        "data_fingerprint": fingerprint(masks, ["mask"], {}),
        "seed": recipe.fit.seed,
        "training_time_s": round(sum(fitted.seconds), 1),
        "losses": [round(loss, 4) for loss in fitted.losses],
        "films": {name: int(count) for name, count in cases["split"].value_counts().items()},
        "held_out": sorted(cases.loc[cases["split"] == "test", "case_id"]),
        "onnx_parity": parity.model_dump(),
    }


def _write(out: Path, spec: LungSpec) -> None:
    text = json.dumps(spec.model_dump(mode="json"), indent=2, allow_nan=False)
    write_text(out / LUNGS_SPEC, text + "\n")
