"""Run an audit: films or scores -> what was measured -> ``hilum.judge.audit`` -> a folder."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd

from hilum.bundle.manifest import EVALUATION
from hilum.bundle.seen import KnownFilms, learned_from
from hilum.core.case import patients_in
from hilum.core.errors import CohortError, ConfigError
from hilum.core.estimate import Estimate
from hilum.core.extras import require
from hilum.core.labels import Label
from hilum.data.leaks import refuse_leaks
from hilum.data.table import arrange
from hilum.judge.audit.limits import AuditLimits
from hilum.judge.audit.material import Material
from hilum.judge.audit.report import write_audit
from hilum.judge.audit.schema import Audit
from hilum.judge.audit.suite import NEEDS, TESTS, choose_tests, judge, overall, variants_of
from hilum.judge.operating import choose_threshold
from hilum.judge.predictions import check_predictions
from hilum.judge.schema import About, Evaluation, FlowStep, NotRead
from hilum.serve.audit.sample import sample
from hilum.serve.audit.scores import GivenScores, MeasuredFilms, measure, measure_given
from hilum.serve.audit.subject import (
    AuditSubject,
    BundleSubject,
    FindLungs,
    FindOpacities,
    Predict,
    PredictSubject,
)
from hilum.serve.evaluate import choose_cases, counted, versions

MAX_FILMS = 300
"""About two minutes on two cores with every test."""


def audit(
    predict: Predict | None = None,
    cases: pd.DataFrame | None = None,
    *,
    subject: AuditSubject | None = None,
    scores: pd.DataFrame | None = None,
    split: str | None = None,
    label: str = Label.COVID_19.value,
    threshold: float | None = None,
    operating_point: str = "",
    find_lungs: FindLungs | None = None,
    find_opacities: FindOpacities | None = None,
    learned: Collection[str] | None = None,
    loso: pd.DataFrame | None = None,
    limits: AuditLimits | None = None,
    only: Sequence[str] = (),
    max_films: int = MAX_FILMS,
    allow_seen: bool = False,
    folds: int = 1000,
    seed: int = 0,
    out: Path | None = None,
    name: str = "",
    cases_name: str = "",
    command: str = "",
    progress: bool = True,
) -> Audit:
    """Audit a model on films whose label is known.

    Args:
        predict: from films to scores in [0, 1]; or give ``subject`` or ``scores``.
        cases: a cases table (``hilum.data.table.read_cases``) with a column ``label``.
        subject: a ``BundleSubject``, ``OnnxSubject`` or another ``AuditSubject``.
        scores: case_id and score of a model that cannot be run here; only the tests that need no
            changed films are run.
        split: rows whose ``split`` is this, or "fold=2"; None for all rows.
        label: which label is audited.
        threshold: a film is called when score >= threshold. None takes that of a bundle, else
            the largest Youden index on these very films, and says so.
        operating_point: the threshold in words.
        find_lungs: from a film to its lungs (``LungSegmenter().segment``, or masks drawn by hand
            through ``Lungs.drawn``); without it the tests of the lungs are not run.
        find_opacities: from a film and its lungs to what is opaque in them; None takes the map of a
            bundle.
        learned: cohorts and sources that the model learned from; None takes those that a bundle
            names.
        loso: case_id, truth and score of models that never saw the film's source.
        limits: what may be measured at most, or must be at least.
        only: names of tests; none for all.
        max_films: most films, spread over cohort and class; 0 for all.
        allow_seen: audit a bundle on films as well that it was trained on, chosen by or calibrated
            to; the report counts them.
        folds, seed: of the bootstrap, of the sample and of every other draw.
        out: folder for the page, ``audit.json`` and tables; None writes nothing.
        name, cases_name, command: for the report.
        progress: show a bar on stderr.

    Raises:
        CohortError: no column of the label, no truth known, or no film could be read.
        LeakageError: the table has a patient on two sides of its split, or the bundle has seen
            films of it.
        ConfigError: no model or two of them, an unknown test, or scores outside [0, 1].
        MissingExtraError: the extra ``evaluate`` is not installed.
    """
    require("evaluate")
    tests = choose_tests(only)
    model = _model(predict, subject, scores, label, name)
    if cases is None:
        raise ConfigError("an audit needs a cases table", hint="cases=read_cases('cases.csv')")
    limits = limits or AuditLimits()
    whole = refuse_leaks(arrange(cases))
    asked = whole[choose_cases(whole, split)]
    chosen = sample(asked, label, max_films, seed)
    seen = _seen(model, whole, chosen)
    seen = seen and seen.refuse(allow=allow_seen)
    threshold, point = _given_point(model, threshold, operating_point)
    if isinstance(model, GivenScores):
        measured, absent = measure_given(model, chosen, label, progress=progress), dict(_NO_PIXELS)
    else:
        measured = measure(
            model, chosen, label, variants_of(tests), find_lungs=find_lungs,
            find_opacities=find_opacities or _map_of(model), threshold=threshold, seed=seed,
            progress=progress,
        )  # fmt: skip
        absent = _absent(model, measured, find_lungs)
        seen = seen and seen.with_copies(_copies(model, measured)).refuse(allow=allow_seen)
    table = check_predictions(pd.DataFrame(measured.rows))
    if threshold is None:
        threshold, point = _youden(table)
    material = Material(
        table=table,
        threshold=threshold,
        limits=limits,
        variants=_usable(measured),
        embedding=np.stack(measured.embedding).astype(np.float64) if measured.embedding else None,
        evidence=_or_none(measured.evidence),
        lung_area=_or_none(measured.area),
        loso=None if loso is None else _of_label(loso, table, label),
        external=_external(model, label),
        learned=_learned(model) if learned is None else frozenset(learned),
        absent=absent,
        folds=folds,
        seed=seed,
    )
    outcomes = judge(material, tests)
    verdict, said = overall(outcomes)
    found = Audit(
        about=_about(model, cases_name, command),
        subject=model.name,
        label=label,
        threshold=threshold,
        operating_point=point,
        limits=limits,
        changed=tuple(key for key, value in AuditLimits() if value != getattr(limits, key)),
        seed=seed,
        folds=folds,
        flow=_flow(whole, asked, chosen, table, measured.not_read, label, split),
        not_read=tuple(measured.not_read),
        verdict=verdict,
        said=said,
        tests=outcomes,
        seen=seen and seen.record(),
    )
    if out is not None:
        write_audit(found, _scores_table(material), out, measured.examples)
    return found


_NO_PIXELS = {
    "pixels": "the model cannot be run here: only its scores are known",
    "embedding": "only scores are known",
    "evidence": "only scores are known",
}


def _model(
    predict: Predict | None,
    subject: AuditSubject | None,
    scores: pd.DataFrame | None,
    label: str,
    name: str,
) -> AuditSubject | GivenScores:
    if sum(one is not None for one in (predict, subject, scores)) != 1:
        raise ConfigError("give one of predict, subject and scores", hint="see hilum.serve.audit")
    if predict is not None:
        return PredictSubject(predict, name or getattr(predict, "__name__", "predict"))
    if scores is not None:
        return GivenScores.of(scores, label, name or "scores of a model")
    if subject is None:
        raise ConfigError("no model to audit")
    return subject


def _map_of(model: AuditSubject) -> FindOpacities | None:
    return model.opacities if isinstance(model, BundleSubject) else None


def _learned(model: AuditSubject | GivenScores) -> frozenset[str] | None:
    return learned_from(model.reader.bundle.root) if isinstance(model, BundleSubject) else None


def _seen(
    model: AuditSubject | GivenScores, cases: pd.DataFrame, chosen: pd.DataFrame
) -> KnownFilms | None:
    """What a bundle knew of the chosen films; None for any other model."""
    if not isinstance(model, BundleSubject):
        return None
    return model.reader.bundle.seen(cases).among(chosen["case_id"])


def _copies(model: AuditSubject, measured: MeasuredFilms) -> list[str]:
    """The films that are copies of some that a bundle was trained on."""
    if not isinstance(model, BundleSubject) or not measured.embedding:
        return []
    known = zip(measured.embedding, measured.looks, strict=True)
    originals = [model.reader.copy_of(embedding, look) for embedding, look in known]
    return [row["case_id"] for row, one in zip(measured.rows, originals, strict=True) if one]


def _given_point(
    model: AuditSubject | GivenScores, threshold: float | None, words: str
) -> tuple[float | None, str]:
    if threshold is not None:
        return threshold, words or f"score of at least {threshold:g}, as given"
    if isinstance(model, BundleSubject):
        point = model.output.operating_points[0]
        said = f"'{point.name}': score of at least {point.threshold:.3g}, chosen on"
        return point.threshold, f"{said} {point.chosen_on}"
    return None, ""


def _youden(table: pd.DataFrame) -> tuple[float, str]:
    try:
        threshold = choose_threshold(table["truth"].to_numpy() == 1, table["score"].to_numpy())
    except CohortError as error:
        raise CohortError(error.message, hint="state the threshold: --threshold 0.5") from None
    return threshold, (
        f"score of at least {threshold:.3g}: largest Youden index on these very films, which "
        "flatters sensitivity and specificity; give --threshold to state your own"
    )


def _absent(
    model: AuditSubject, measured: MeasuredFilms, find_lungs: FindLungs | None
) -> dict[str, str]:
    found = {"loso": "give --loso: predictions of models that never saw the film's source"}
    if find_lungs is None:
        found["lungs"] = "no lungs: neither a lung network nor masks were given"
    elif np.isnan(measured.area).all():
        found["lungs"] = "no lungs were found on any film"
    found["opacities"] = found.get("lungs", "no map of opacities, or it marks nothing on any film")
    if not measured.embedding:
        found["embedding"] = f"{model.name} gives no embedding"
    if np.isnan(measured.evidence).all():
        found["evidence"] = found.get("lungs", f"{model.name} gives no evidence maps")
    return found


def _usable(measured: MeasuredFilms) -> dict[str, np.ndarray]:
    """The scores of each perturbation; those inside the lungs only where a film could be changed.

    Without any score of an inverted film, on the other hand, all of them were refused.
    """
    arrays = {name: np.array(values) for name, values in measured.variants.items()}
    inside = {variant for test in NEEDS for variant in TESTS[test].variants}
    return {k: v for k, v in arrays.items() if np.isfinite(v).any() or k not in inside}


def _or_none(values: list[float]) -> np.ndarray | None:
    array = np.array(values, np.float64)
    return array if array.size and np.isfinite(array).any() else None


def _of_label(loso: pd.DataFrame, table: pd.DataFrame, label: str) -> pd.DataFrame:
    """The rows of the label, with truth from the audited films where the table has none."""
    rows = loso.copy()
    if "label" in rows:
        rows = rows[rows["label"].astype(str) == label]
    rows["label"] = label
    if "truth" not in rows:
        rows["truth"] = rows["case_id"].map(table.set_index("case_id")["truth"])
    checked = check_predictions(rows, where="--loso")
    return checked[checked["truth"].notna()].reset_index(drop=True)


def _external(model: AuditSubject | GivenScores, label: str) -> Estimate | None:
    """AUROC on sources never trained on, if the bundle's own evaluation has it."""
    if not isinstance(model, BundleSubject):
        return None
    path = model.reader.bundle.root / EVALUATION
    if not path.is_file():
        return None
    try:
        evaluation = Evaluation.load(path)
    except CohortError:  # of another version of Hilum: the test says that it was not run
        return None
    for entry in evaluation.labels:
        for part in entry.strata:
            if entry.label == label and (part.column, part.value) == ("training", "no"):
                found = part.metrics.get("auroc")
                return None if found is None or np.isnan(found.value) else found
    return None


def _about(model: AuditSubject | GivenScores, cases: str, command: str) -> About:
    created = datetime.now(UTC).isoformat(timespec="seconds")
    about = About(
        title=model.name, cases=cases, command=command, created=created, versions=versions()
    )
    if not isinstance(model, BundleSubject):
        return about
    bundle = model.reader.bundle
    return about.model_copy(
        update={
            "bundle": bundle.identity,
            "checksum": bundle.checksum,
            "trained_on": bundle.manifest.trained_on,
            "intended_use": bundle.manifest.intended_use,
        }
    )


def _flow(
    whole: pd.DataFrame,
    asked: pd.DataFrame,
    chosen: pd.DataFrame,
    table: pd.DataFrame,
    not_read: Sequence[NotRead],
    label: str,
    split: str | None,
) -> tuple[FlowStep, ...]:
    known = int(pd.to_numeric(asked[label], errors="coerce").notna().sum())
    positives = int(table["truth"].sum())
    return (
        FlowStep(step="Films in the table", films=len(whole)),
        FlowStep(step=f"In split '{split}'" if split else "Chosen: all", films=len(asked)),
        FlowStep(step=f"Known for {label}", films=known),
        FlowStep(
            step="Sampled, spread over cohort and class" if len(chosen) < known else "All taken",
            films=len(chosen),
        ),
        FlowStep(
            step="Scored",
            films=len(table),
            patients=patients_in(table),
            detail=f"{positives} positive, {len(table) - positives} negative; {counted(not_read)}",
        ),
    )


def _scores_table(material: Material) -> pd.DataFrame:
    kept = ["case_id", "source", "group", "truth", "score", "probability", "weight"]
    table = material.table[[column for column in kept if column in material.table]].copy()
    for name, values in material.variants.items():
        table[f"score_{name}"] = values
    if material.lung_area is not None:
        table["lung_area"] = material.lung_area
    if material.evidence is not None:
        table["evidence_in_lungs"] = material.evidence
    return table
