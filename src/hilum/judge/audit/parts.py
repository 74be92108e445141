"""Parts: sources, views, sexes and ages, each at the operating point, and calibration in each."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from hilum.core.estimate import Estimate
from hilum.core.labels import Label, View
from hilum.judge.audit.material import Chosen, Material
from hilum.judge.audit.schema import AuditAnswer, AuditRow, at_least, at_most, decide, not_run
from hilum.judge.metrics import Floats, auroc, ece
from hilum.judge.strata import age_band


def sources(material: Material) -> AuditAnswer:
    """Are there sources with too many false alarms, or too many misses?"""
    limits = material.limits
    wrong = _rates(material, positive=False)
    right = _rates(material, positive=True)
    checks = []
    if wrong:
        name = max(wrong, key=lambda name: wrong[name].low)
        what = f"false-positive rate, worst source: {name}"
        checks.append(at_most(what, wrong[name], limits.false_positives, by_interval=True))
    if right:
        name = min(right, key=lambda name: right[name].high)
        what = f"sensitivity, worst source: {name}"
        checks.append(at_least(what, right[name], limits.sensitivity, by_interval=True))
    if not checks:
        return not_run(f"no source has {limits.min_films} films of a class")
    rows = [
        AuditRow(name=f"false positives: {n}", measured=e, beyond=e.low > limits.false_positives)
        for n, e in wrong.items()
    ]
    rows += [
        AuditRow(name=f"sensitivity: {n}", measured=e, beyond=e.high < limits.sensitivity)
        for n, e in right.items()
    ]
    return decide(checks, "", rows, "share of films called at the operating point")


def ward(material: Material) -> AuditAnswer:
    """How many portable films, of children none, are called wrongly at sources not learned from?

    A film whose age nobody stated counts, unless its note calls it a child's.
    """
    table = material.table
    portable = table["view"].isin((View.AP.value, View.AP_SUPINE.value))
    child = table["age_years"] < 18
    if "note" in table:  # where a collection of children states no ages, this says so
        child |= table["note"].astype(str).str.contains("child", case=False)
    return _left_out(
        material, (portable & ~child).to_numpy(), "portable (AP) films of adults without"
    )


def tuberculosis(material: Material) -> AuditAnswer:
    """How many films with tuberculosis are called wrongly, at sources not learned from?"""
    name = Label.TUBERCULOSIS.value
    known = material.table.get(name, pd.Series(np.nan, material.table.index))
    return _left_out(material, (known == 1).to_numpy(), "films with tuberculosis and without")


def subgroups(material: Material) -> AuditAnswer:
    """Does a view, a sex or an age band fare worse than the others?"""
    limits = material.limits
    gaps: dict[str, dict[str, Estimate]] = {"AUROC": {}, "sensitivity": {}, "specificity": {}}
    for name, chosen in _subgroups(material):
        for metric, found in _gaps(material, chosen):
            gaps[metric][name] = found
    checks, rows = [], []
    for metric, of_parts in gaps.items():
        limit = -(limits.subgroup_auroc if metric == "AUROC" else limits.subgroup_rate)
        rows += [
            AuditRow(name=f"{metric}: {name}", measured=gap, beyond=gap.high < limit)
            for name, gap in of_parts.items()
        ]
        if of_parts:
            worst = min(of_parts, key=lambda name: of_parts[name].high)
            what = f"{metric} of '{worst}' less that of the other films"
            checks.append(at_least(what, of_parts[worst], limit, by_interval=True))
    if not checks:
        return not_run(f"no two subgroups have {limits.min_films} films of a class")
    return decide(checks, "", rows, "metric of the subgroup less that of the other films")


def calibration(material: Material) -> AuditAnswer:
    """Does a stated probability mean what it says, over all films and in each source?"""
    limits = material.limits
    truth = material.truth.astype(np.float64)
    chance = material.table["probability"].to_numpy(np.float64)
    weight = material.table["weight"].to_numpy(np.float64) if "weight" in material.table else 1.0
    error = material.estimate(lambda w: ece(truth, chance, np.asarray(w * weight)), inflated=True)
    gaps: dict[str, Estimate] = {}
    for name in np.unique(material.source):
        here = material.source == name
        if here.sum() >= 2 * limits.min_films:
            gaps[str(name)] = _in_the_large(material, (chance - truth) * np.ones(here.size), here)
    checks = [at_most("expected calibration error, all films", error, limits.ece)]
    rows = [AuditRow(name="ECE, all films", measured=error, beyond=error.low > limits.ece)]
    for name, gap in gaps.items():
        beyond = gap.low > limits.source_calibration or gap.high < -limits.source_calibration
        rows.append(AuditRow(name=f"stated less seen: {name}", measured=gap, beyond=beyond))
    if gaps:
        high = max(gaps, key=lambda name: gaps[name].low)
        low = min(gaps, key=lambda name: gaps[name].high)
        bound, say = limits.source_calibration, "stated less seen"
        over = at_most(f"{say}, highest source: {high}", gaps[high], bound, by_interval=True)
        under = at_least(f"{say}, lowest source: {low}", gaps[low], -bound, by_interval=True)
        checks += [over, under]
    return decide(checks, "", rows, "error of the probability")


def _left_out(material: Material, kind: Chosen, what: str) -> AuditAnswer:
    """Judge the share of such negative films that are called, at sources not learned from.

    Films of a source that the model did learn from count by the score of a model that left it out,
    where there is one.
    """
    kind = kind & ~material.truth
    what = f"{what} {material.table['label'].iloc[0]}"
    if not kind.any():
        return not_run(f"the table has no {what}")
    if material.learned is None and material.loso is None:
        return not_run("nobody says which sources the model learned from: give --learned or --loso")
    away = np.zeros(kind.size, bool) if material.learned is None else ~material.of_learned
    score = np.where(away, material.score, np.nan)
    if material.loso is not None:
        left = material.loso.set_index("case_id")["score"].reindex(material.table["case_id"])
        score = np.where(away, score, left.to_numpy(np.float64))
    films = kind & np.isfinite(score)
    if films.sum() < material.limits.min_films:
        return not_run(
            f"{int(films.sum())} of {int(kind.sum())} {what} are of a source that the model did "
            f"not learn from; expected at least {material.limits.min_films}"
        )
    wrong = score >= material.threshold
    found = material.share(wrong, films)
    check = at_most(f"{what} called positive", found, material.limits.left_out_false_positives)
    rows = [
        AuditRow(name=str(name), measured=material.share(wrong, films & (material.source == name)))
        for name in np.unique(material.source[films])
    ]
    said = f"Of {found.n} {what} it calls {int(wrong[films].sum())} positive."
    if others := int((films & ~away).sum()):
        said += f" {others} were scored by models that never saw their source."
    return decide([check], said, rows, "share of films called positive")


def _rates(material: Material, *, positive: bool) -> dict[str, Estimate]:
    found = {}
    for name in np.unique(material.source):
        chosen = (material.source == name) & (material.truth == positive)
        if chosen.sum() >= material.limits.min_films:
            found[str(name)] = material.share(material.called, chosen)
    return found


def _subgroups(material: Material) -> Iterator[tuple[str, Chosen]]:
    table = material.table
    columns = {"view": table["view"], "sex": table["sex"], "age": table["age_years"].map(age_band)}
    for column, values in columns.items():
        names = sorted(set(values) - {""})
        for name in names if len(names) > 1 else []:
            yield f"{column} {name}", (values == name).to_numpy()


def _gaps(material: Material, chosen: Chosen) -> Iterator[tuple[str, Estimate]]:
    """Yield each metric of the subgroup less that of the films outside, with its interval."""
    least = material.limits.min_films
    truth, score, called = material.truth, material.score, material.called.astype(np.float64)
    sizes = [int((side & part).sum()) for side in (truth, ~truth) for part in (chosen, ~chosen)]
    if min(sizes) >= least:
        yield (
            "AUROC",
            material.estimate(
                lambda w: auroc(truth, score, w * chosen) - auroc(truth, score, w * ~chosen)
            ),
        )
    if min(sizes[:2]) >= least:
        yield "sensitivity", _gap(material, called, truth & chosen, truth & ~chosen)
    if min(sizes[2:]) >= least:
        yield "specificity", _gap(material, 1 - called, ~truth & chosen, ~truth & ~chosen)


def _gap(material: Material, values: Floats, here: Chosen, there: Chosen) -> Estimate:
    def mean(weights: Floats, part: Chosen) -> Floats:
        total = weights @ part.astype(np.float64)
        sums = weights @ (values * part)
        nothing: Floats = np.full(total.shape, np.nan)
        return np.divide(sums, total, out=nothing, where=total > 0)

    return material.estimate(lambda w: mean(w, here) - mean(w, there))


def _in_the_large(material: Material, error: Floats, here: Chosen) -> Estimate:
    """Mean probability less share of positives, each film counted for those it stands for."""
    weight = np.ones(here.size)
    if "weight" in material.table:
        weight = material.table["weight"].to_numpy(np.float64)
    values, counts = error[here], weight[here]
    return material.estimate(lambda w: (w * counts) @ values / (w @ counts), here)
