"""Card rows: the tables of the model card; each cell is a number of the bundle's files."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from typing import Any

from hilum.bundle.datasheet import Datasheet, LabelCounts
from hilum.bundle.facts import Facts
from hilum.bundle.manifest import Manifest
from hilum.bundle.markdown import Table
from hilum.bundle.outofsource import LeftOut, OutOfSource
from hilum.core.estimate import Estimate
from hilum.core.labels import ReferenceStandard
from hilum.judge.audit.schema import Audit
from hilum.judge.audit.words import limit, remark
from hilum.judge.panel import METRICS
from hilum.judge.schema import Evaluation, LabelEvaluation, Stratum

SMALL = 10
"""Films of a source below which it has no row of its own."""

_PARTS = {"sex": "sex", "age": "age band", "view": "view"}


def metric_rows(label: LabelEvaluation) -> list[list[object]]:
    """Return every metric that was measured: name, estimate, what it is."""
    return [
        [METRICS[name].title if name in METRICS else name, estimate, METRICS[name].meaning]
        if name in METRICS
        else [name, estimate, ""]
        for name, estimate in label.metrics.items()
        if name not in METRICS or METRICS[name].shown
    ]


def stratum_tables(label: LabelEvaluation) -> list[Table]:
    """Return a table for each column that films were divided by: parts with any number."""
    tables = []
    for column in dict.fromkeys(part.column for part in label.strata):
        parts = [part for part in label.strata if part.column == column and _has_number(part)]
        if parts:
            names = list(parts[0].metrics)
            titles = [METRICS[name].title if name in METRICS else name for name in names]
            rows: list[list[object]] = [
                [part.value, part.positives, part.negatives, *_defined(part, names)]
                for part in parts
            ]
            tables.append(Table(column, [column, "with", "without", *titles], rows))
    return tables


def _has_number(part: Stratum) -> bool:
    return any(not math.isnan(each.value) for each in part.metrics.values())


def _defined(part: Stratum, names: Iterable[str]) -> list[object]:
    found = [part.metrics[name] for name in names]
    return [None if math.isnan(each.value) else each for each in found]


def collection_rows(data: Datasheet) -> list[list[object]]:
    """Return one row a collection: films, patients, labels, dates."""
    return [
        [
            f"{each.name}: {each.what}" if each.what else each.name,
            each.films,
            each.patients,
            *(_counts(each.labels[label]) for label in data.labels),
            _dates(each.first_date, each.last_date, each.dated),
        ]
        for each in data.collections
    ]


def licence_rows(data: Datasheet) -> list[list[object]]:
    """Return one row a collection: its licence, those of its films, whom to cite."""
    return [[each.name, each.licence, each.licences, each.citation] for each in data.collections]


def source_rows(data: Datasheet) -> list[list[object]]:
    """Return one row a source, of collections with several; small ones are counted together."""
    many = Counter(source.cohort for source in data.sources)
    several = [source for source in data.sources if many[source.cohort] > 1]
    rows: list[list[object]] = [
        [s.cohort, s.name, s.films, s.patients, *(_counts(s.labels[name]) for name in data.labels)]
        for s in several
        if s.films >= SMALL
    ]
    for cohort in dict.fromkeys(source.cohort for source in several):
        small = [s for s in several if s.cohort == cohort and s.films < SMALL]
        if small:
            films = sum(source.films for source in small)
            named = f"{len(small)} with fewer than {SMALL} films each; data.json names them"
            rows.append([cohort, named, films, None, *(None for _ in data.labels)])
    return rows


def side_rows(data: Datasheet) -> list[list[object]]:
    """Return one row a side of the split."""
    return [
        [side.name, side.films, side.patients, *(_counts(side.labels[n]) for n in data.labels)]
        for side in data.sides
    ]


def part_tables(data: Datasheet) -> list[Table]:
    """Return films by sex, age band and view: of each side of the split, and each collection."""
    tables = []
    for column, title in _PARTS.items():
        values = sorted({getattr(cell, column) for cell in data.cells})
        rows: list[list[object]] = [
            [name, *(counts.get(value, 0) for value in values)]
            for name, counts in [
                *((side.name, data.films(column, split=side.name)) for side in data.sides),
                *((each.name, data.films(column, cohort=each.name)) for each in data.collections),
            ]
        ]
        tables.append(Table(title, ["", *values], rows))
    return tables


def standard_rows(data: Datasheet) -> list[list[object]]:
    """Return films of each collection by reference standard."""
    names = [standard.value for standard in ReferenceStandard]
    return [
        [each.name, *(each.standards.get(name, 0) for name in names)] for each in data.collections
    ]


def recipe_rows(recipe: dict[str, Any]) -> list[list[object]]:
    """Return one row a table of the recipe."""
    return [
        [name, {key: _setting(value) for key, value in values.items()}]
        if isinstance(values, dict)
        else [name, _setting(values)]
        for name, values in recipe.items()
    ]


def refusal_rows(evaluation: Evaluation, data: Datasheet | None) -> list[list[object]]:
    """Return how many films of the test split were not read, by collection and reason."""
    films = data.films("cohort", split=evaluation.about.split) if data else {}
    counts = Counter((film.cohort, film.code or film.status) for film in evaluation.not_read)
    return [
        [cohort or "collection not recorded", films.get(cohort), reason, count]
        for (cohort, reason), count in sorted(counts.items())
    ]


def audit_rows(audit: Audit) -> list[list[object]]:
    """Return one row a test: verdict, what decided it, measured against its limit."""
    return [
        [
            test.title,
            test.verdict,
            test.shown.measured if test.shown else None,
            limit(test.shown) if test.shown else None,
            remark(test),
        ]
        for test in audit.tests
    ]


def left_out_rows(rows: Iterable[LeftOut]) -> list[list[object]]:
    """Return one row a source that was left out of training."""
    return [[r.where, r.positives, r.n - r.positives, r.patients, *_shown(r)] for r in rows]


def _shown(row: LeftOut) -> list[object]:
    numbers = (row.auroc, row.nuisance_auroc, row.sensitivity, row.false_positive_rate)
    return [None if math.isnan(each.value) else each for each in numbers]


def gap_rows(table: OutOfSource) -> list[list[object]]:
    """Return what pooled cross-validation flatters."""
    return [[gap.label, gap.pooled, gap.left_out, gap.gap] for gap in table.gaps]


def baseline_rows(label: LabelEvaluation) -> list[list[object]]:
    """Return model and nuisance numbers on the same films."""
    return [[r.where, r.films, r.model, r.baseline, r.difference] for r in label.baseline]


def flow_rows(evaluation: Evaluation) -> list[list[object]]:
    """Return the steps from the table to the labelled films."""
    return [[step.step, step.films, step.patients, step.detail] for step in evaluation.flow]


def tested_standards(label: LabelEvaluation) -> list[list[object]]:
    """Return test films by reference standard."""
    return [
        [name, counts.get("positive"), counts.get("negative")]
        for name, counts in label.reference_standard.items()
    ]


def point_rows(manifest: Manifest) -> list[list[object]]:
    """Return the operating points of every label."""
    return [
        [out.label, p.name, f"{p.threshold:.4f}", p.sensitivity, p.specificity, p.rule]
        for out in manifest.labels
        for p in out.operating_points
    ]


def reliability_rows(label: LabelEvaluation) -> list[list[object]]:
    """Return what was stated against what was seen."""
    return [
        [r.where, r.films, r.positives, r.stated, r.observed, r.ece, r.slope, r.intercept]
        for r in label.reliability
    ]


def set_rows(label: LabelEvaluation) -> list[list[object]]:
    """Return what the conformal sets came to."""
    return [
        [
            sets.where,
            sets.coverage,
            sets.coverage_positive,
            sets.coverage_negative,
            sets.indeterminate,
            sets.none,
        ]
        for sets in label.sets
    ]


def failure_rows(label: LabelEvaluation) -> list[list[object]]:
    """Return the worst wrong readings: ids and numbers, no pictures."""
    return [
        [f"`{film.case_id}`", film.source, ("absent", "present")[film.truth], f"{film.score:.4f}"]
        for film in label.failures
    ]


def opacity_rows(opacities: dict[str, Any]) -> list[list[object]]:
    """Return one row a figure of the opacity network."""
    metrics = opacities.get("measured", {}).get("metrics", {})
    return [[name, Estimate.model_validate(each)] for name, each in metrics.items()]


def severity_rows(severity: dict[str, Any]) -> list[list[object]]:
    """Return the cross-validated figures: score, from which features, how far from readers."""
    tables = severity.get("measured", {}).values()
    rows = [row for table in tables if isinstance(table, list) for row in table]
    return [
        [row["score"], row["features"], *(_estimate(row, name) for name in _OF_SEVERITY)]
        for row in sorted(rows, key=lambda row: str(row["score"]))
    ]


_OF_SEVERITY = ("mae", "spearman", "coverage")


def _estimate(row: dict[str, Any], name: str) -> Estimate | None:
    value = row.get(name)
    if value is None:
        return None
    return Estimate(value=value, low=row[f"{name}_low"], high=row[f"{name}_high"], n=row["n"])


def energy_words(facts: Facts) -> str:
    """Say what training drew, and how that is known."""
    energy = facts.energy
    if energy is None:
        return "not measured, and not estimated: what the device draws is not known"
    covers = f"over {energy.wall_s / 60:.1f} min"
    if energy.method == "rapl":
        return (
            f"{energy.kwh:.3g} kWh {covers}, read from the counters of the processor: the whole "
            "package, with whatever else ran on it, without memory, fans and cooling"
        )
    busy = "CPU time" if energy.method == "cpu-time" else "all threads taken as busy throughout"
    core_min = (energy.core_s or 0.0) / 60
    return (
        f"an estimate, not a measurement: {energy.kwh:.3g} kWh {covers}, from {core_min:.1f} "
        f"core-minutes ({busy}) at an assumed {energy.watts_per_core:g} W for each busy core"
    )


def _counts(counts: LabelCounts) -> str:
    unknown = f" / {counts.unknown}" if counts.unknown else ""
    return f"{counts.present} / {counts.absent}{unknown}"


def _dates(first: str, last: str, films: int) -> str:
    return f"{first} to {last} ({films} films)" if films else "not stated"


def _setting(value: object) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} {_setting(each)}" for key, each in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(_setting(each) for each in value) + "]"
    return str(value)
