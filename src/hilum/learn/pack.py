"""Pack: a trained network becomes a bundle; every file is written, then sealed, then moved in."""

from __future__ import annotations

import datetime
import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from hilum.bundle.card import write_card
from hilum.bundle.folder import DEFAULT_BUNDLE, seal
from hilum.bundle.gate import GATE, read_gate
from hilum.bundle.lungs import copy_lungs
from hilum.bundle.manifest import ENVIRONMENT, MANIFEST, MODEL, LabelOutput, Manifest
from hilum.bundle.opacities import OPACITIES_SPEC
from hilum.bundle.seen import SPLITS, split_table
from hilum.core.case import films_of, owner_of, patients_in
from hilum.core.files import sha256_of, write_text
from hilum.core.labels import CODES, Appearance, Label
from hilum.judge.appearance import AppearanceOutput, fit_appearance
from hilum.judge.decisions import PREVALENCE, Decisions, fit_decisions
from hilum.judge.predictions import check_predictions
from hilum.learn.environment import describe_environment
from hilum.learn.export import Parity, export_onnx, open_session, run_session, sigmoid
from hilum.learn.films import Films, fingerprint
from hilum.learn.fit import FitResult
from hilum.learn.predict import inputs_of
from hilum.learn.recipe import DENSE, Recipe
from hilum.learn.regions import choose_spec

PARITY_FILMS = 64
OUT_OF_SOURCE = "left-out sources, each film scored by a network that never saw its source"
"""How ``chosen_on`` and ``fitted_on`` begin where such predictions were given."""
LARGEST_SPLIT = 50_000

LICENCE_TEXT = """\
The weights and other files of this bundle are licensed under the Creative Commons
Attribution-NonCommercial-ShareAlike 4.0 International licence (CC BY-NC-SA 4.0).

Some of the radiographs that the weights were learned from are under this licence or under
other non-commercial terms; the weights are therefore offered for research and education.

The whole text: https://creativecommons.org/licenses/by-nc-sa/4.0/legalcode
A summary:      https://creativecommons.org/licenses/by-nc-sa/4.0/

Research use only; not a medical device. There is no warranty.
"""


def pack_bundle(
    result: FitResult,
    recipe: Recipe,
    cases: pd.DataFrame,
    folder: Path,
    *,
    command: str,
    out_of_source: pd.DataFrame | None = None,
) -> Parity:
    """Write a sealed bundle, not yet evaluated, to ``folder`` (replaced if it exists).

    A network that finds the lungs itself needs a gate of its own, which is fitted to the packed
    bundle; packed again, it keeps that gate.

    Args:
        result: of ``fit``.
        recipe: of the same run.
        cases: every film of the run, with ``split``: "test" among them.
        command: what to type to make it again; must name no folder.
        out_of_source: predictions (``hilum.judge.predictions``) of films by networks of the same
            recipe that never saw the film's source. Calibration and conformal sets are fitted on
            them instead of on val, whose sources were seen, so that its scores are over-confident
            anywhere else. Each collection counts alike. A column ``split`` keeps its "test" rows. A
            label without rows there is fitted on val.

    Returns:
        How far ONNX Runtime is from torch on films of val.

    Raises:
        BundleError: that is too far.
        CohortError: a fault in ``out_of_source``, or a label of one class.
    """
    staging = folder.with_name(f".{folder.name}.staging")
    shutil.rmtree(staging, ignore_errors=True)
    staging.mkdir(parents=True)
    try:
        parity = _export(result, recipe, staging / MODEL)
        foreign = None if out_of_source is None else _foreign(out_of_source, cases)
        manifest = _manifest(result, recipe, staging / MODEL, parity, foreign)
        if manifest.maps:
            _keep_gate(folder / GATE, staging)
            spec = choose_spec(staging / MODEL, result.val, recipe.preprocess, recipe.data.labels)
            write_text(staging / OPACITIES_SPEC, spec.model_dump_json(indent=2) + "\n")
        else:
            copy_lungs(DEFAULT_BUNDLE, staging)  # which the films were cut to
            if recipe.bundle.gate and (DEFAULT_BUNDLE / GATE).is_file():
                shutil.copyfile(DEFAULT_BUNDLE / GATE, staging / GATE)
        write_text(staging / MANIFEST, manifest.model_dump_json(indent=2) + "\n")
        write_text(staging / "recipe.toml", _portable(recipe).to_toml())
        write_text(staging / "LICENSE", _licence(recipe))
        facts = describe_environment() | _facts(result, recipe, cases, command, parity)
        write_text(staging / ENVIRONMENT, json.dumps(facts, indent=2) + "\n")
        if len(cases) <= LARGEST_SPLIT:
            split_table(cases).to_csv(staging / SPLITS, index=False, lineterminator="\n")
        write_card(staging)
        seal(staging)
        shutil.rmtree(folder, ignore_errors=True)
        staging.replace(folder)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return parity


def _keep_gate(gate: Path, staging: Path) -> None:
    """Keep the gate of the bundle that is replaced, if it was fitted to this very network."""
    if gate.is_file() and read_gate(gate).lungs == sha256_of(staging / MODEL):
        shutil.copyfile(gate, staging / GATE)


def _export(result: FitResult, recipe: Recipe, path: Path) -> Parity:
    total = len(result.val.cases)
    chosen = np.zeros(total, bool)
    chosen[np.linspace(0, total - 1, min(total, PARITY_FILMS)).round().astype(int)] = True
    films = inputs_of(result.val.take(chosen), recipe.preprocess)
    half = recipe.bundle.weights == "float16"
    return export_onnx(result.network, recipe.preprocess, path, films, half=half)


def score_films(model: Path, films: Films, recipe: Recipe) -> NDArray[np.float64]:
    """Return the scores of an ONNX file on films, float64 (n, L) in [0, 1]."""
    session = open_session(model)
    parts = [
        run_session(session, inputs_of(films, recipe.preprocess, start, start + 32))[0]
        for start in range(0, len(films.cases), 32)
    ]
    return sigmoid(np.concatenate(parts))


def _appearance(result: FitResult, recipe: Recipe, model: Path) -> AppearanceOutput | None:
    """Fit how the appearance is said, on films of val; None where the network learned none."""
    learned = result.train.cases.get("appearance", pd.Series(dtype=object))
    opaque = {each.value for each in Appearance if each is not Appearance.NEGATIVE}
    if recipe.network.name not in DENSE or not opaque <= set(learned):
        return None
    told = result.val.take(result.val.cases["appearance"].isin(list(Appearance)).to_numpy())
    session, count = open_session(model), len(told.cases)
    parts = [
        session.run(["appearance"], {"image": inputs_of(told, recipe.preprocess, at, at + 32)})[0]
        for at in range(0, count, 32)
    ]
    return fit_appearance(
        told.cases["appearance"],
        np.concatenate([*parts, np.empty((0, 4), np.float32)]),
        owner_of(told.cases),
        fitted_on=f"val: {describe_films(told.cases)}",
    )


def _manifest(
    result: FitResult,
    recipe: Recipe,
    model: Path,
    parity: Parity,
    foreign: pd.DataFrame | None,
) -> Manifest:
    scores = score_films(model, result.val, recipe)
    outputs = []
    for place, label in enumerate(recipe.data.labels):
        decisions = _decide(label, result.val.cases, scores[:, place], foreign)
        has_evidence = parity.evidence is not None
        outputs.append(_output(label, result, decisions, place, has_evidence=has_evidence))
    return Manifest(
        name=recipe.bundle.name,
        version=recipe.bundle.version,
        created=datetime.datetime.now(datetime.UTC).date().isoformat(),
        network=recipe.network.name,
        evidence=parity.evidence is not None,
        maps=recipe.network.name in DENSE and not recipe.preprocess.needs_lungs,
        appearance=_appearance(result, recipe, model),
        preprocess=recipe.preprocess,
        labels=tuple(outputs),
        licence=recipe.bundle.licence,
        trained_on=describe_films(result.train.cases),
        intended_use=recipe.bundle.intended_use,
    )


def _output(
    label: Label,
    result: FitResult,
    decisions: Decisions,
    place: int,
    *,
    has_evidence: bool,
) -> LabelOutput:
    code = CODES.get(label)
    bias = result.network.bias if has_evidence else None
    return LabelOutput(
        label=label,
        code=code.value if code else None,
        scheme=code.scheme if code else None,
        meaning=code.meaning if code else None,
        bias=_number(bias[place]) if isinstance(bias, torch.Tensor) else None,
        calibration=decisions.calibration,
        prevalence=PREVALENCE.get(label) if decisions.calibration.fitted else None,
        operating_points=decisions.operating_points,
        conformal=decisions.conformal,
    )


def _number(bias: torch.Tensor) -> float | None:
    """Return a bias; None for a label whose logit is no sum over its map."""
    return float(bias.detach()) if bias.isfinite() else None


def _decide(
    label: Label, val: pd.DataFrame, scores: NDArray[np.float64], foreign: pd.DataFrame | None
) -> Decisions:
    """Fit the decisions of one label on val; probability and sets on films out of source if any.

    Thresholds stay with val: chosen on films out of source they call as many films of a ward that
    no network saw. Probability and sets need scores that are as unsure as those of a film from
    elsewhere.
    """
    decisions = fit_decisions(
        val[label.value].to_numpy(),
        scores,
        owner_of(val).to_numpy(),
        label=label,
        fitted_on=f"val: {describe_films(val[val[label.value].notna()])}",
        sources=val["cohort"].to_numpy(),
    )
    if foreign is None or not len(rows := foreign[foreign["label"] == label.value]):
        return decisions
    known = rows[rows["truth"].notna()]
    outside = fit_decisions(
        known["truth"].to_numpy(),
        known["score"].to_numpy(),
        known["group"].to_numpy(),
        label=label,
        fitted_on=_in_words(known),
        sources=known["cohort"].to_numpy(),
        sources_alike=True,
    )
    return replace(decisions, calibration=outside.calibration, conformal=outside.conformal)


def _in_words(known: pd.DataFrame) -> str:
    if "left_out" not in known or (known["left_out"] == "source").all():
        return f"{OUT_OF_SOURCE}: {describe_films(known)}"
    source = known[known["left_out"] == "source"]
    patient = known[known["left_out"] != "source"]
    return (
        f"{OUT_OF_SOURCE}: {describe_films(source)}; and left-out patients of collections that "
        f"hold most films of a class: {describe_films(patient)}"
    )


def _foreign(predictions: pd.DataFrame, cases: pd.DataFrame) -> pd.DataFrame:
    """Return the predictions without the patients of this run's test: nothing is fitted on those.

    A run of ``hilum compare`` leaves whole sources out, so its test holds films of ours.
    """
    if "split" in predictions:
        predictions = predictions[predictions["split"] == "test"]
    table = check_predictions(predictions, where="out-of-source predictions")
    test = cases["split"] == "test"
    films = table["case_id"].isin(cases["case_id"][test])
    people = {*owner_of(cases)[test], *table["group"][films]}
    table = table[~films & ~table["group"].isin(people)]
    return table.assign(cohort=table["cohort"].where(table["cohort"] != "", table["source"]))


def describe_films(cases: pd.DataFrame) -> str:
    """Name the cohorts with their films, and count patients, in one line.

    >>> cases = pd.DataFrame({"case_id": ["a/x", "a/y", "b/z"], "cohort": ["a", "a", "b"]})
    >>> describe_films(cases.assign(patient_id=["1", "1", "2"]))
    '3 films of 2 patients (a 2, b 1)'
    """
    counts = cases["cohort"].value_counts().sort_index()
    cohorts = ", ".join(f"{name} {count}" for name, count in counts.items())
    return f"{films_of(len(cases), patients_in(cases))} ({cohorts})"


def _facts(
    result: FitResult, recipe: Recipe, cases: pd.DataFrame, command: str, parity: Parity
) -> dict[str, Any]:
    labels = [label.value for label in recipe.data.labels]
    return {
        "device": result.device,
        "seed": recipe.fit.seed,
        "command": command,
        "training_time_s": round(result.seconds, 1),
        "best_epoch": result.best_epoch,
        "epochs": len(result.rows),
        "monitor": recipe.fit.monitor,
        "onnx_parity": parity.model_dump(),
        "data_fingerprint": fingerprint(cases, labels, result.train.checksums),
        "films": {name: int(count) for name, count in cases["split"].value_counts().items()},
        "films_not_opened": len(result.train.refused),
    }


def _portable(recipe: Recipe) -> Recipe:
    """Return the recipe with the path of a cases table reduced to its name."""
    if recipe.data.cases is None:
        return recipe
    data = recipe.data.model_copy(update={"cases": Path(recipe.data.cases).name})
    return recipe.model_copy(update={"data": data})


def _licence(recipe: Recipe) -> str:
    if recipe.bundle.licence == "CC-BY-NC-SA-4.0":
        return LICENCE_TEXT
    return f"SPDX-License-Identifier: {recipe.bundle.licence}\n"
