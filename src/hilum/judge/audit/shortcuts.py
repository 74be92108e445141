"""Shortcuts: is what the model knows more than where the film comes from?"""

from __future__ import annotations

import math

import numpy as np
import pandas as pd

from hilum.core.estimate import Estimate
from hilum.judge.audit.material import Material, auroc_within
from hilum.judge.audit.schema import (
    AuditAnswer,
    AuditCheck,
    AuditRow,
    AuditVerdict,
    at_least,
    at_most,
    decide,
    not_run,
)
from hilum.judge.metrics import Floats, auroc
from hilum.judge.nuisance import nuisance_scores
from hilum.judge.predictions import nuisance_columns

_OVERLAP = 50  # films in both tables from which leave-one-source-out is compared film by film


def informative(material: Material) -> AuditAnswer:
    """Is the AUROC above chance, between films that share a source?"""
    pooled, limits = material.pooled(), material.limits
    rows = [AuditRow(name="all films, pooled", measured=pooled)]
    measured, what = pooled, "pooled AUROC (no source has enough films of both classes)"
    if not material.mixed and pooled.low > limits.chance:
        return not_run(
            f"above chance pooled ({pooled}), but no source has {limits.min_films} films of each "
            "class, so that this may be the source alone",
            rows,
            "AUROC",
        )
    if material.mixed:
        measured, what = material.within(), "AUROC within sources"
        rows += [AuditRow(name="within sources", measured=measured), *_each_source(material)]
    if math.isnan(measured.low):
        return not_run(measured.note or "no interval", rows)
    above = measured.low > limits.chance
    if not above and measured.high >= limits.useful:
        why = f"too few films to tell: {measured} holds both chance and a useful reader"
        return not_run(why, rows, "AUROC")
    check = AuditCheck(
        what=f"{what}, lower end", measured=measured, limit=limits.chance, side="at least",
        passed=above,
    )  # fmt: skip
    said = "It tells the classes apart" if above else "It is not shown to tell the classes apart"
    where = "between films of one source" if material.mixed else "on these films, pooled"
    return AuditAnswer(
        AuditVerdict.PASS if above else AuditVerdict.FAIL,
        f"{said} {where}.",
        (check,),
        tuple(rows),
        "AUROC",
    )


def source(material: Material) -> AuditAnswer:
    """How much of the pooled AUROC is gone when only films of one source are compared?"""
    lookup = source_scores(material)
    truth, score = material.truth, material.score
    look = material.pooled(lookup)
    rows = [
        AuditRow(name="model, pooled", measured=material.pooled()),
        AuditRow(name="source alone (look-up)", measured=look),
    ]
    if np.unique(material.source).size == 1:
        return not_run("all films are of one source: no other is there to compare", rows, "AUROC")
    if not material.mixed:
        return not_run(
            "no source has enough films of both classes, so these films cannot tell a reader of "
            f"lungs from a look-up of the source, which reaches {look}",
            rows,
            "AUROC",
        )
    names = material.source
    inside = np.isin(names, material.mixed)

    def gap(weights: Floats) -> Floats:
        within = auroc_within(truth[inside], score[inside], names[inside], weights[..., inside])
        return np.asarray(auroc(truth, score, weights) - within)

    rows += [
        AuditRow(name="model, within sources", measured=material.within()),
        *_each_source(material),
    ]
    check = at_most(
        "pooled AUROC less AUROC within sources", material.estimate(gap), material.limits.source_gap
    )
    said = f"The source alone, without any film, reaches an AUROC of {look.value:.2f} here."
    return decide([check], said, rows, "AUROC")


def source_scores(material: Material) -> Floats:
    """Score each film by the share of positives in its source, on these very films."""
    return np.asarray(
        pd.Series(material.truth.astype(float)).groupby(material.source).transform("mean")
    )


def nuisance(material: Material) -> AuditAnswer:
    """Does the model beat twelve numbers that say nothing of the lungs?"""
    columns = nuisance_columns(material.table)
    features = material.table[columns].to_numpy(np.float64)
    if not columns or not np.isfinite(features).all():
        return not_run("the twelve nuisance numbers were not measured: no pixels were opened")
    truth, score = material.truth, material.score
    groups = material.table["group"].to_numpy(dtype=str)
    whole = nuisance_scores(features, truth, groups, seed=material.seed)
    rows = [
        AuditRow(name="model, pooled", measured=material.pooled()),
        AuditRow(name="nuisance, pooled", measured=material.pooled(whole)),
    ]
    if np.isnan(whole).any():
        return not_run("a class has fewer than two patients; the baseline cannot be fitted", rows)
    if not material.mixed:
        gain = material.estimate(lambda w: _above(auroc(truth, score, w), auroc(truth, whole, w)))
        check = at_least("AUROC above the nuisance baseline", gain, material.limits.nuisance_gain)
        return decide([check], "Pooled, as no source has both classes.", rows, "AUROC")
    inner = np.full(truth.size, np.nan)
    for name in material.mixed:
        here = material.source == name
        inner[here] = nuisance_scores(features[here], truth[here], groups[here], seed=material.seed)
    fitted = np.isfinite(inner)
    strata = material.source[fitted]

    def gain_within(weights: Floats) -> Floats:
        ours, theirs = (
            auroc_within(truth[fitted], values[fitted], strata, weights)
            for values in (score, inner)
        )
        return _above(ours, theirs)

    rows += [
        AuditRow(name="model, within sources", measured=material.within()),
        AuditRow(
            name="nuisance, within sources",
            measured=material.estimate(
                lambda w: auroc_within(truth[fitted], inner[fitted], strata, w), fitted
            ),
        ),
    ]
    check = at_least(
        "AUROC above the nuisance baseline, within sources",
        material.estimate(gain_within, fitted),
        material.limits.nuisance_gain,
    )
    return decide(
        [check], "The baseline is fitted on these films, by patient; it sees no lung.", rows,
        "AUROC",
    )  # fmt: skip


def _above(ours: Floats, theirs: Floats) -> Floats:
    """AUROC above the baseline or above a coin: cross-validation on few films falls below 1/2."""
    return np.asarray(ours - np.maximum(theirs, 0.5))


def leave_one_source_out(material: Material) -> AuditAnswer:
    """How much of the pooled AUROC is left for sources that training never saw?"""
    pooled, limit = material.pooled(), material.limits.loso_gap
    rows = [AuditRow(name="pooled", measured=pooled)]
    if material.loso is None and material.external is None:
        return not_run(material.absent.get("loso", "no predictions of models that left each out"))
    if material.learned is not None and not material.of_learned.any():
        return not_run(
            "no film is of a source that the model learned from: its AUROC here is that of sources "
            "left out",
            rows,
            "AUROC",
        )
    if material.loso is None and material.external is not None:
        left, gap = material.external, difference(pooled, material.external)
        said = "The bundle's own evaluation says how it did on sources it never trained on."
    elif material.loso is not None:
        left, gap = _against(material, material.loso)
        said = "Each film was scored by a model that never saw its source."
    rows.append(AuditRow(name="sources left out", measured=left))
    check = at_most("pooled AUROC less AUROC on sources left out", gap, limit)
    return decide([check], said, rows, "AUROC")


def difference(first: Estimate, second: Estimate) -> Estimate:
    """First less second, measured on different films: half widths added in quadrature."""
    value = first.value - second.value
    below = math.hypot(first.value - first.low, second.high - second.value)
    above = math.hypot(first.high - first.value, second.value - second.low)
    n = min(first.n, second.n)
    if math.isnan(value):
        return Estimate.undefined(n, first.note or second.note)
    return Estimate(value=value, low=value - below, high=value + above, n=n)


def _against(material: Material, loso: pd.DataFrame) -> tuple[Estimate, Estimate]:
    left = loso.set_index("case_id")["score"].reindex(material.table["case_id"]).to_numpy(float)
    both = np.isfinite(left)
    truth, score = material.truth[both], material.score[both]
    if both.sum() >= _OVERLAP and 0 < truth.sum() < truth.size:
        away = left[both]
        return (
            material.pooled(left, both),
            material.estimate(lambda w: auroc(truth, score, w) - auroc(truth, away, w), both),
        )
    alone = Material(loso, material.threshold, folds=material.folds, seed=material.seed).pooled()
    return alone, difference(material.pooled(), alone)


def _each_source(material: Material) -> list[AuditRow]:
    rows = []
    for name in material.mixed:
        here = material.source == name
        truth, found = material.truth[here], material.pooled(chosen=here)
        rows.append(
            AuditRow(name=f"within {name} ({truth.sum()} / {(~truth).sum()})", measured=found)
        )
    return rows
