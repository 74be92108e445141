"""Pixels: what happens to the score when a part of the film goes, or something is added."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hilum.core.estimate import Estimate
from hilum.judge.audit.material import Material
from hilum.judge.audit.schema import (
    AuditAnswer,
    AuditCheck,
    AuditRow,
    at_least,
    at_most,
    decide,
    not_run,
)
from hilum.judge.metrics import Floats, auroc

_FILLED = ("opacity-hidden", "lung-hidden")
MARKERS = ("marker-portable", "marker-r", "ecg-lead")
_ALL = "all films are refused, so no call can be wrong"


def lungs_removed(material: Material) -> AuditAnswer:
    """How much of the AUROC above chance survives without lungs?"""
    measured, rows, why = retained(material, "lungs-removed")
    if measured is None:
        return not_run(why, rows, "AUROC")
    check = at_most(
        "share of the AUROC above chance left without lungs",
        measured,
        material.limits.lungs_removed,
    )
    return decide([check], "The lungs were blacked out, with a margin.", rows, "AUROC")


def lungs_only(material: Material) -> AuditAnswer:
    """How much of the AUROC above chance survives when only lungs are shown?"""
    measured, rows, why = retained(material, "lungs-only")
    if measured is None:
        return not_run(why, rows, "AUROC")
    check = at_least(
        "share of the AUROC above chance left with lungs only", measured, material.limits.lungs_only
    )
    return decide([check], "All but the lungs was blacked out.", rows, "AUROC")


def retained(material: Material, name: str) -> tuple[Estimate | None, list[AuditRow], str]:
    """Return (AUROC - 1/2) of the changed films over that of the films, rows, or why not."""
    seen = _seen(material, name)
    truth, score, changed = (
        material.truth[seen],
        material.score[seen],
        material.variants[name][seen],
    )
    whole = material.pooled(chosen=seen)
    after = material.pooled(material.variants[name], seen)
    rows = [
        AuditRow(name="as they are", measured=whole),
        AuditRow(name=_title(name), measured=after),
    ]
    if not whole.low > material.limits.chance:
        return None, rows, f"the model is not above chance here ({whole}): nothing to lose"

    def ratio(weights: Floats) -> Floats:
        before = auroc(truth, score, weights) - 0.5
        return np.where(before > 0, (auroc(truth, changed, weights) - 0.5) / before, np.nan)

    return material.estimate(ratio, seen), rows, ""


def opacity_hidden(material: Material) -> AuditAnswer:
    """Does the score of a called film fall without its opacities, and not without clear lung?"""
    limits, called = material.limits, material.called
    fall = material.score - material.variants["opacity-hidden"]
    move = np.abs(material.score - material.variants["lung-hidden"])
    marked, control = called & np.isfinite(fall), called & np.isfinite(move)
    counted = f"The map marks opacities on {marked.sum()} of {called.sum()} films called positive"
    if marked.sum() < limits.min_films:
        return not_run(f"{counted}; expected at least {limits.min_films}")
    falls = material.share(fall > limits.filled_shift, marked)
    moves = material.share(move > limits.filled_shift, control)
    first = at_least(
        "films called positive whose score falls without their opacities",
        falls,
        limits.opacity_falls,
    )
    second = at_most(
        "films called positive whose score changes with as much clear lung painted over",
        moves,
        limits.lung_moves,
    )
    gone = {name: material.variants[name] < material.threshold for name in _FILLED}
    rows = [
        AuditRow(name="opacities painted over: score falls", measured=falls),
        AuditRow(
            name="opacities painted over: no longer called",
            measured=material.share(gone["opacity-hidden"], marked),
        ),
        AuditRow(name="as much clear lung painted over: score changes", measured=moves),
        AuditRow(
            name="as much clear lung painted over: no longer called",
            measured=material.share(gone["lung-hidden"], control),
        ),
    ]
    shares = "share of films called positive"
    if first.passed and control.sum() < limits.min_films:
        few = f"only {control.sum()} of them have as much clear lung to paint over for comparison"
        return not_run(f"{counted}; {few}", rows, shares)
    fell, moved = (fall > limits.filled_shift)[marked], (move > limits.filled_shift)[control]
    said = (
        f"{counted}. Painted over with clear lung, the score falls by more than "
        f"{limits.filled_shift:.2f} on {fell.sum()} of {fell.size}, and "
        f"{gone['opacity-hidden'][marked].sum()} are "
        "no longer called positive. With as much clear lung painted over instead, it changes as "
        f"far on {moved.sum()} of {moved.size}."
    )
    return decide([first, second], said, rows, shares)


def occlusion(material: Material, name: str) -> AuditAnswer:
    """What is lost when a part without lungs is covered, and how many calls change?"""
    seen = _seen(material, name)
    truth, score, changed = (
        material.truth[seen],
        material.score[seen],
        material.variants[name][seen],
    )
    loss = material.estimate(
        lambda w: auroc(truth, score, w) - auroc(truth, changed, w), seen, missing="one class only"
    )
    limits = material.limits
    checks = [
        at_most("calls that change", _flips(material, name), limits.occlusion_flips),
        at_most("AUROC lost", loss, limits.occlusion_loss),
    ]
    return decide(checks, "", _flip_rows(material, [name]), "share of calls that change")


def markers(material: Material) -> AuditAnswer:
    """How far does a letter or a wire move the score, and how many calls change?"""
    limits = material.limits
    flips = {name: _flips(material, name) for name in MARKERS}
    shifts = {name: _shift(material, name) for name in MARKERS}
    most = max(flips, key=lambda name: flips[name].value)
    far = max(shifts, key=lambda name: shifts[name].value)
    checks = [
        at_most(f"calls that change, {_title(most)}", flips[most], limits.marker_flips),
        at_most(f"mean change of the score, {_title(far)}", shifts[far], limits.marker_shift),
    ]
    rows = [
        AuditRow(name=f"calls that change: {_title(name)}", measured=flips[name]) for name in flips
    ]
    rows += [
        AuditRow(name=f"mean change: {_title(name)}", measured=shifts[name]) for name in shifts
    ]
    return decide(checks, _toward(material), rows, "share of calls, and change of the score")


def stability(material: Material, name: str, limit: float) -> AuditAnswer:
    """How many calls change?"""
    seen = _seen(material, name)
    if not seen.any():
        zero = Estimate(value=0.0, n=0, note=_ALL)
        return decide([at_most("calls that change", zero, limit)], f"{_ALL.capitalize()}.")
    check = at_most("calls that change", _flips(material, name), limit)
    refused = int((~seen).sum())
    said = f"{refused} of {seen.size} changed films were refused." if refused else ""
    return decide([check], said, _flip_rows(material, [name]), "share of calls that change")


def evidence(material: Material) -> AuditAnswer:
    """Does the evidence for a call lie in the lungs more than their area says?"""
    share, area = material.evidence, material.lung_area
    if share is None or area is None:
        return not_run(material.absent.get("evidence", "the model gives no evidence maps"))
    chosen = material.called & np.isfinite(share) & np.isfinite(area) & (area > 0)
    if chosen.sum() < material.limits.min_films:
        return not_run(f"only {int(chosen.sum())} called films have evidence and a lung mask")
    inside, lungs = share[chosen], area[chosen]
    ratio = material.estimate(lambda w: (w @ inside) / (w @ lungs), chosen)
    rows = [
        AuditRow(
            name="evidence in the lungs",
            measured=material.estimate(lambda w: w @ inside / w.sum(-1), chosen),
        ),
        AuditRow(
            name="the lungs' share of the picture",
            measured=material.estimate(lambda w: w @ lungs / w.sum(-1), chosen),
        ),
    ]
    check: AuditCheck = at_least(
        "share of the evidence over share of the area", ratio, material.limits.evidence_ratio
    )
    return decide([check], "Of films that were called; evidence for the label.", rows, "share")


def _seen(material: Material, name: str) -> np.ndarray:
    return np.asarray(np.isfinite(material.variants[name]))


def _changed(material: Material, name: str) -> np.ndarray:
    return np.asarray((material.variants[name] >= material.threshold) != material.called)


def _flips(material: Material, name: str) -> Estimate:
    return material.share(_changed(material, name), _seen(material, name))


def _flip_rows(material: Material, names: Sequence[str]) -> list[AuditRow]:
    """Share of calls that change, of all films and by what they were called before."""
    rows = []
    for name in names:
        seen, changed = _seen(material, name), _changed(material, name)
        parts = (("", seen), (", called before", seen & material.called))
        for words, chosen in (*parts, (", not called before", seen & ~material.called)):
            if chosen.any():
                found = material.share(changed, chosen)
                rows.append(AuditRow(name=f"{_title(name)}{words}", measured=found))
    return rows


def _shift(material: Material, name: str) -> Estimate:
    seen = _seen(material, name)
    moved = np.abs(material.variants[name] - material.score)[seen]
    return material.estimate(lambda w: w @ moved / w.sum(-1), seen)


def _toward(material: Material) -> str:
    means = {name: float(np.nanmean(material.variants[name] - material.score)) for name in MARKERS}
    return "Mean change with its sign: " + ", ".join(
        f"{_title(name)} {value:+.3f}" for name, value in means.items()
    )


def _title(name: str) -> str:
    from hilum.image.perturb import PERTURBATIONS

    return PERTURBATIONS[name].title
