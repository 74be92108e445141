"""Evaluate a reader: films of a cases table -> readings -> predictions -> ``hilum.judge``."""

from __future__ import annotations

import importlib.metadata
import platform
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd

from hilum.bundle.folder import Bundle
from hilum.bundle.manifest import LabelOutput
from hilum.core.case import owner_of, patients_in
from hilum.core.config import did_you_mean
from hilum.core.errors import CohortError
from hilum.core.extras import require
from hilum.core.labels import Appearance, View
from hilum.core.prefetch import watched
from hilum.core.reading import Reading, Status
from hilum.core.refusal import Refusal
from hilum.data.fingerprint import look
from hilum.data.leaks import sides
from hilum.image.nuisance import nuisance_features
from hilum.judge.appearance_study import CHANCE, evaluate_appearance
from hilum.judge.calibration import Calibration, OperatingPoint
from hilum.judge.evaluation import choose_labels, evaluate_predictions
from hilum.judge.predictions import NUISANCE_PREFIX
from hilum.judge.report import write_report
from hilum.judge.schema import (
    About,
    AppearanceEvaluation,
    Evaluation,
    EvaluationSettings,
    FlowStep,
    NotRead,
    Threshold,
)
from hilum.serve.drawn import COLUMNS, Drawn, is_clear
from hilum.serve.findings import choose_points
from hilum.serve.reader import Examined, Reader

CARRIED = (
    "patient_id",
    "group",
    "cohort",
    "source",
    "view",
    "sex",
    "age_years",
    "reference_standard",
    "training",
)
"""Columns of a case that its predictions keep, where the table has them."""

_DISTRIBUTIONS = (
    "hilum",
    "onnxruntime",
    "numpy",
    "opencv-python-headless",
    "pillow",
    "pydicom",
    "pandas",
    "scikit-learn",
)
_BATCH = 4  # films are kept until they are measured


@dataclass(frozen=True, slots=True)
class Predictions:
    """Readings of a cases table, ready to be judged.

    Attributes:
        table: one row per film read and label; see ``hilum.judge.predictions``.
        not_read: films refused or in error.
        copies: films that are copies of some that the bundle was trained on, by ``case_id``.
        appearances: one row per film read whose appearance is known; see ``evaluate_appearance``.
            Empty where the bundle says none.
    """

    table: pd.DataFrame
    not_read: tuple[NotRead, ...]
    copies: tuple[str, ...] = ()
    appearances: pd.DataFrame = field(default_factory=pd.DataFrame)


def evaluate(
    reader: Reader,
    cases: pd.DataFrame,
    *,
    out: Path | None = None,
    split: str | None = None,
    labels: Sequence[str] = (),
    operating_point: str | None = None,
    prevalence: float | None = None,
    settings: EvaluationSettings | None = None,
    allow_seen: bool = False,
    name: str = "",
    command: str = "",
    progress: bool = True,
) -> Evaluation:
    """Read the films of a cases table and judge the readings.

    Args:
        reader: of ``hilum.load_bundle``.
        cases: a cases table (``Cohort.cases``, ``hilum.data.table.read_cases``).
        out: folder for ``evaluation.json``, pictures and page; None writes nothing.
        split: rows whose ``split`` is this, or "fold=2"; None for all rows.
        labels: which to judge; none for those that both the bundle and the table have.
        operating_point: name in the bundle; None for its first.
        prevalence: of COVID-19 pneumonia (else of the first label), for PPV and NPV; replaces that
            of ``settings``.
        settings: bootstrap folds, seed, smallest stratum, baseline.
        allow_seen: judge films as well that the bundle was trained on, chosen by or calibrated to;
            the report counts them.
        name, command: of the table and of this run, for the report.
        progress: show a bar on stderr.

    Raises:
        CohortError: a column is missing, no case is chosen, no film could be read, or no truth
            is known.
        LeakageError: the table has a patient on two sides of its split, or the bundle has seen
            films of it.
        ConfigError: the bundle has no operating point of that name, or does not answer a label.
        MissingExtraError: the extra ``evaluate`` is not installed.
    """
    require("evaluate")
    settings = _settings(settings, prevalence)
    chosen = _with_training(cases, split)
    outputs = _outputs(reader, chosen, labels)
    seen = reader.bundle.seen(cases).among(chosen["case_id"]).refuse(allow=allow_seen)
    points = choose_points(reader.bundle.manifest, operating_point)
    # networks for the parts alone may have learned from films that the bundle itself never saw
    drawn = Drawn() if reader.bundle.manifest.maps else None
    names = [o.label for o in outputs]
    found = predict(reader, chosen, names, settings.nuisance, progress, drawn=drawn)
    seen = seen.with_copies(found.copies).refuse(allow=allow_seen)
    evaluation = evaluate_predictions(
        found.table,
        operating_points={point.label: _threshold(point) for point in points},
        calibrated=[o.label for o in outputs if o.calibration.fitted],
        fitted={o.label: o.calibration.prevalence for o in outputs if o.calibration.prevalence},
        stated={o.label: o.stated for o in outputs if o.stated},
        coverage={o.label: o.conformal.coverage for o in outputs if o.conformal},
        settings=settings,
        about=_about(reader.bundle, name, split, command),
        flow=flow_of(cases, chosen, split, found),
        not_read=found.not_read,
        seen=seen.record(),
        appearance=_of_appearance(reader, found, chosen, settings),
    )
    if drawn is not None:
        numbers = drawn.summarize(folds=settings.folds, seed=settings.seed)
        unknown = (*evaluation.not_known, *drawn.not_known)
        evaluation = evaluation.model_copy(update={"drawn": numbers, "not_known": unknown})
    if out is not None:
        write_report(evaluation, found.table, out)
        if drawn is not None:
            drawn.write(out)
    return evaluation


def predict(
    reader: Reader,
    cases: pd.DataFrame,
    labels: Sequence[str],
    nuisance: bool = True,
    progress: bool = False,
    *,
    drawn: Drawn | None = None,
) -> Predictions:
    """Read every film of ``cases``; keep what is said of ``labels``, joined on ``case_id``.

    Args:
        reader, cases, labels: what reads what, and what is kept of it.
        nuisance: measure the numbers of the baseline, too.
        progress: show a bar on stderr.
        drawn: is told of every film that was read.

    Raises:
        CohortError: not one film could be read.
    """
    rows: list[dict[str, Any]] = []
    not_read: list[NotRead] = []
    copies: list[str] = []
    carried = [column for column in CARRIED if column in cases]
    looks: list[dict[str, Any]] = []
    calibrations = {o.label.value: o.calibration for o in reader.bundle.manifest.labels}
    masks = COLUMNS if drawn is not None else ()
    wanted = ["case_id", "path", *carried, *labels, *masks, "appearance"]
    columns = [name for name in dict.fromkeys(wanted) if name in cases]
    records: list[dict[Any, Any]] = cases[columns].assign(owner=owner_of(cases)).to_dict("records")
    examined = reader.examine([case["path"] for case in records], keep=True, batch_size=_BATCH)
    watching = watched(examined, len(records), "reading", shown=progress)
    for case, one in zip(records, watching, strict=True):
        reading = one.reading
        if reading.status is Status.READ:
            rows += _rows(case, one, calibrations, labels, carried, nuisance)
            looks += _look(case, reading)
            kept = None if one.radiograph is None else look(one.radiograph.pixels)
            copies += [case["case_id"]] if reader.copy_of(one.embedding, kept) else []
            if drawn is not None and one.radiograph is not None and one.lungs is not None:
                looked = case.get("lesion_masks") or is_clear(case)
                found = reader.details.opacities(one.radiograph, one.lungs) if looked else None
                drawn.add(case, case["owner"], one.radiograph, one.lungs, found)
        else:
            not_read.append(without_reading(case, reading.status, reading.reason, reading.refusal))
    if not rows:
        raise CohortError(
            f"none of {len(records)} films could be read; the first: "
            f"{not_read[0].case_id}: {not_read[0].reason}",
            hint="check that the paths of the table still hold",
        )
    return Predictions(pd.DataFrame(rows), tuple(not_read), tuple(copies), pd.DataFrame(looks))


def without_reading(
    case: Mapping[Any, Any], status: Status, reason: str | None, refusal: Refusal | None = None
) -> NotRead:
    """Return what is told of a film, a row of the cases table, that was refused or in error."""
    cohort = case.get("cohort")
    return NotRead(
        case_id=case["case_id"],
        status=status,
        reason=reason or "no reason given",
        code=refusal.code if refusal else "",
        cohort=cohort if isinstance(cohort, str) else "",
    )


def counted(not_read: Sequence[NotRead]) -> str:
    """Say how many films were refused and how many in error."""
    if not not_read:
        return "none refused, none in error"
    refused = sum(film.status == Status.REFUSED for film in not_read)
    return f"{refused} refused, {len(not_read) - refused} in error; the reasons are below"


def choose_cases(cases: pd.DataFrame, split: str | None) -> pd.Series:
    """Return bool per row: is it in ``split`` ("test", "fold=2"; None for all)?

    Raises:
        CohortError: no such column, or no case in it.
    """
    if split is None:
        chosen = pd.Series(data=True, index=cases.index)
    else:
        column, value = _column_and_value(split)
        if column not in cases:
            raise CohortError(
                f"no column '{column}' in the cases table; expected one, to find '{value}'",
                hint="'hilum cohort split' makes one; '--split all' evaluates every film",
            )
        chosen = (sides(cases, column) == value) & (value != "")
    if not chosen.any():
        raise CohortError(f"no case in split '{split or 'all'}'", hint=_other_splits(cases, split))
    return chosen


def _other_splits(cases: pd.DataFrame, split: str | None) -> str:
    if split is None:
        return "the table has no rows"
    column, value = _column_and_value(split)
    known = set(sides(cases, column)) - {""}
    return did_you_mean(value, known) if known else f"the column '{column}' is blank"


def _column_and_value(split: str) -> tuple[str, str]:
    column, equals, value = split.partition("=")
    return (column, value) if equals else ("split", split)


def _with_training(cases: pd.DataFrame, split: str | None) -> pd.DataFrame:
    """The chosen rows, with ``training``: did the film's source give training rows as well?"""
    chosen = choose_cases(cases, split)
    if split is None or "source" not in cases:
        return cases[chosen]
    column, _ = _column_and_value(split)
    trained = sides(cases, "split") == "train" if column == "split" else ~chosen
    if not trained.any():
        return cases[chosen]
    seen = cases.loc[chosen, "source"].isin(set(cases.loc[trained, "source"]))
    return cases[chosen].assign(training=seen.map({True: "yes", False: "no"}))


def _outputs(reader: Reader, cases: pd.DataFrame, labels: Sequence[str]) -> list[LabelOutput]:
    for column in ("case_id", "path"):
        if column not in cases:
            raise CohortError(f"no column '{column}' in the cases table")
    outputs = reader.bundle.manifest.labels
    names = choose_labels(labels, [o.label.value for o in outputs], reader.bundle.identity)
    present = [name for name in names if name in cases]
    if not present or (labels and len(present) < len(names)):
        lacking = [name for name in names if name not in cases]
        raise CohortError(
            f"no column '{lacking[0]}' in the cases table; {reader.bundle.identity} answers it",
            hint="'hilum cohort read' gives the labels that a collection has",
        )
    return [output for output in outputs if output.label in present]


def _rows(
    case: dict[Any, Any],
    one: Examined,
    calibrations: Mapping[str, Calibration],
    labels: Sequence[str],
    carried: Sequence[str],
    nuisance: bool,
) -> Iterator[dict[str, Any]]:
    measured: dict[str, float] = {}
    if nuisance and one.radiograph is not None:
        features = nuisance_features(one.radiograph)
        measured = {f"{NUISANCE_PREFIX}{name}": value for name, value in features.items()}
    for finding in one.reading.findings:
        if finding.label in labels:
            yield {
                "case_id": case["case_id"],
                "label": finding.label.value,
                "truth": case[finding.label],
                "score": finding.score,
                # at the prevalence that it was fitted at, not at the one that a reading states
                "probability": float(calibrations[finding.label](finding.score)),
                "prediction_set": finding.prediction_set or "",
                **{column: case[column] for column in carried},
                **measured,
            }


def _look(case: dict[Any, Any], reading: Reading) -> Iterator[dict[str, Any]]:
    """Yield what was said of the appearance of a film, beside what radiologists said."""
    said, told = reading.appearance, case.get("appearance")
    if said is not None and told in tuple(Appearance):
        yield {
            "case_id": case["case_id"],
            "truth": told,
            **{f"{CHANCE}{each}": chance for each, chance in said.chances.items()},
            "kept": None if said.prediction_set is None else "|".join(said.prediction_set),
        }


def _of_appearance(
    reader: Reader, found: Predictions, cases: pd.DataFrame, settings: EvaluationSettings
) -> AppearanceEvaluation | None:
    output, table = reader.bundle.manifest.appearance, found.appearances
    if output is None or table.empty:
        return None
    owners = owner_of(cases).set_axis(cases["case_id"])
    table = table.assign(group=owners.loc[table["case_id"]].to_numpy())
    return evaluate_appearance(table, settings, output.coverage)


def _threshold(point: OperatingPoint) -> Threshold:
    return Threshold(
        name=point.name,
        threshold=point.threshold,
        chosen_on=point.chosen_on,
        rule=point.rule,
        sensitivity=point.sensitivity,
        specificity=point.specificity,
    )


def _settings(settings: EvaluationSettings | None, prevalence: float | None) -> EvaluationSettings:
    values = (settings or EvaluationSettings()).model_dump()
    if prevalence is not None:
        values["prevalence"] = prevalence
    return EvaluationSettings.parse(values, where="evaluate")


def flow_of(
    cases: pd.DataFrame, chosen: pd.DataFrame, split: str | None, found: Predictions
) -> list[FlowStep]:
    """Return the steps from a table, one row a film, to the films that were read."""
    read = chosen[chosen["case_id"].isin(set(found.table["case_id"]))]
    return [
        FlowStep(step="Films in the table", films=len(cases), patients=patients_in(cases)),
        FlowStep(
            step=f"In split '{split}'" if split else "Chosen: all",
            films=len(chosen),
            patients=patients_in(chosen),
            detail=_unusual(chosen),
        ),
        FlowStep(
            step="Read",
            films=len(read),
            patients=patients_in(read),
            detail=counted(found.not_read),
        ),
    ]


def _unusual(chosen: pd.DataFrame) -> str:
    """Say what the table itself calls no frontal film; a PNG cannot say it, so it may be read."""
    count = {
        "lateral films": int((chosen["view"] == View.LATERAL).sum()) if "view" in chosen else 0,
        "CT slices": int((chosen["modality"] == "CT").sum()) if "modality" in chosen else 0,
    }
    named = [f"{films} {what}" for what, films in count.items() if films]
    return f"by the table, among them {' and '.join(named)}" if named else ""


def _about(bundle: Bundle, name: str, split: str | None, command: str) -> About:
    return About(
        title=f"{bundle.manifest.name} {bundle.manifest.version}",
        bundle=bundle.identity,
        checksum=bundle.checksum,
        trained_on=bundle.manifest.trained_on,
        intended_use=bundle.manifest.intended_use,
        cases=name,
        split=split or "all",
        command=command,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        versions=versions(),
    )


def versions() -> dict[str, str]:
    """Return the versions that can change a number of an evaluation."""
    found = {name: importlib.metadata.version(name) for name in _DISTRIBUTIONS}
    return {"python": platform.python_version(), **found}
