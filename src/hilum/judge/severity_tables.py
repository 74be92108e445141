"""What severity estimates are worth: tables of figures with 95 % intervals over patients.

On films that readers scored, beside how far two readers agree; on normal films, which should get 0;
on films of another hospital, where radiologists said whether they see an opacity and drew boxes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from hilum.core.estimate import Estimate
from hilum.image.severity import EXTENTS, zone_shares
from hilum.judge.agreement import agreement
from hilum.judge.bootstrap import Support, bootstrap, bootstrap_all
from hilum.judge.metrics import Floats, auroc
from hilum.judge.severity import Bools, CrossFit, Question, SeveritySettings, constant
from hilum.judge.severity_study import (
    NEVER_TRAINED,
    NO_NORMALS,
    READERS,
    ZONES,
    Films,
    Step,
    Study,
)

CONSTANT = "constant (median)"

Row = dict[str, Any]


def tables_of(
    study: Study,
    settings: SeveritySettings,
    watch: Callable[[Sequence[Step]], Iterable[Step]] = iter,
) -> dict[str, pd.DataFrame]:
    """Return the tables by name: figures, readers, zones, normals, elsewhere; some may be empty.

    Args:
        study: what was fitted.
        settings: folds and seed of the bootstrap.
        watch: wraps the steps, for a progress bar.
    """
    films, rows = study.films, []
    for question in study.questions.values():
        nothing = CrossFit(constant(question, settings), np.full(question.targets.shape, np.nan))
        rows += _figures(films, question, CONSTANT, nothing, settings)
    for key, name, _ in watch([(key, name, settings) for key, name in study.found]):
        rows += _figures(films, study.questions[key], name, study.found[key, name], settings)
    tables = {
        "figures": rows,
        "readers": _readers(study, settings),
        "zones": _zones(films, settings),
        "normals": _normals(study, settings),
        "elsewhere": _elsewhere(study, settings),
    }
    return {name: pd.DataFrame(each) for name, each in tables.items()}


def _parts(films: Films) -> dict[str, Bools]:
    """Name the films on which the same estimates are judged once more."""
    parts = {"all": np.ones(len(films.table), bool)}
    for name in NEVER_TRAINED.values():
        if not films.flag(name).all():
            parts[name] = films.flag(name)
    return parts


def _figures(
    films: Films, question: Question, name: str, found: CrossFit, settings: SeveritySettings
) -> list[Row]:
    rows = []
    for place, score in enumerate(question.names):
        truth, said = question.targets[:, place], found.estimates[:, place]
        inside = np.abs(truth - said) <= found.half_widths[:, place] + 1e-9
        for part, chosen in _parts(films).items():
            at = chosen & question.scored
            row: Row = {"score": score, "features": name, "films": part}
            row |= _agreement(said[at], truth[at], films.owners[at], settings)
            if np.isfinite(found.half_widths[at, place]).all():
                covered = _mean_of(inside[at].astype(float), films.owners[at], settings, share=True)
                row |= _flat("coverage", covered)
                row["half_width"] = round(float(found.half_widths[at, place].mean()), 4)
            rows.append(row)
    return rows


def _readers(study: Study, settings: SeveritySettings) -> list[Row]:
    """Reader to reader, and the model to each of them, on the same films."""
    films, estimates, rows = study.films, study.estimates, []
    if "brixia" not in study.questions:
        return []
    for part in ("global", *ZONES):
        senior, junior = (films.scores[f"brixia-{reader}-{part}"] for reader in READERS)
        score = "brixia" if part == "global" else f"brixia-{part}"
        model = estimates[score].to_numpy()
        pairs = {
            "senior to junior reader": (senior, junior),
            "model to senior reader": (model, senior),
            "model to junior reader": (model, junior),
            "model to mean of both": (model, films.scores[score]),
        }
        if part == "global":
            summed = estimates["brixia, sum of zones"]
            pairs["sum of zone models to mean of both"] = (summed, films.scores[score])
        for name, (x, y) in pairs.items():
            for where, chosen in _parts(films).items():
                row: Row = {"score": score, "between": name, "films": where}
                x_, y_ = np.asarray(x)[chosen], np.asarray(y)[chosen]
                rows.append(row | _agreement(x_, y_, films.owners[chosen], settings))
    return rows


def _zones(films: Films, settings: SeveritySettings) -> list[Row]:
    """Rank correlation of each zone's score with the opaque share of each zone of the picture.

    A letter belongs to the zone whose opacities follow it best: this is how left and right were
    checked on films.
    """
    if EXTENTS not in films.blocks:
        return []
    shares, rows = zone_shares(films.blocks[EXTENTS]), []
    for zone in ZONES:
        score = films.scores[f"brixia-{zone}"].to_numpy(np.float64)
        for place, other in enumerate(ZONES):
            same = agreement(
                shares[:, place], score, films.owners, folds=settings.bootstrap, seed=settings.seed
            )
            row: Row = {"score": f"brixia-{zone}", "opacities_in": other, "n": same["spearman"].n}
            rows.append(row | _flat("spearman", same["spearman"]))
    return rows


def _normals(study: Study, settings: SeveritySettings) -> list[Row]:
    """What is said of films without a finding: it should be 0."""
    films, rows = study.films, []
    cohorts = films.table["cohort"].to_numpy(dtype=str)
    for key, score, place in _shown(study):
        ways = {(name, f"{way}"): estimates[:, place] for name, way, estimates in _ways(study, key)}
        bare = study.found[key, f"{study.best}, {NO_NORMALS}"].estimates[:, place]
        ways[study.best, NO_NORMALS] = bare
        for cohort in sorted(set(cohorts[films.flag("normal")])):
            chosen = films.flag("normal") & (cohorts == cohort)
            for (name, way), estimates in ways.items():
                said = estimates[chosen]
                if np.isnan(said).any():
                    continue
                row: Row = {"score": score, "cohort": cohort, "features": name, "fit": way}
                row |= {"n": said.size} | _flat(
                    "mean", _mean_of(said, films.owners[chosen], settings)
                )
                middle, high = np.quantile(said, [0.5, 0.9])
                rows.append(row | {"median": round(middle, 4), "percentile_90": round(high, 4)})
    return rows


def _ways(study: Study, key: str) -> list[tuple[str, str, Floats]]:
    """Return the estimates of unscored films: (set, how it was fitted, (N, T))."""
    names = [name for question, name in study.left_out if question == key]
    return [
        way
        for name in names
        for way in (
            (name, "other patients", study.found[key, name].estimates),
            (name, "collection left out", study.left_out[key, name]),
        )
    ]


def _elsewhere(study: Study, settings: SeveritySettings) -> list[Row]:
    """Another hospital, where radiologists said whether a film shows an opacity, and drew boxes."""
    films, rows = study.films, []
    opaque, area = films.numbers("opaque"), films.numbers("box_area")
    views = films.table["view"].to_numpy(dtype=str)
    for key, score, place in _shown(study):
        for name, way, estimates in _ways(study, key):
            said = estimates[:, place]
            for view in ("all", "PA", "AP"):
                at = ~np.isnan(opaque) & ~np.isnan(said) & ((views == view) | (view == "all"))
                if at.sum() < 3:
                    continue
                row: Row = {"score": score, "features": name, "fit": way, "view": view}
                row |= _measured(said[at], opaque[at], area[at], films.owners[at], settings)
                rows.append(row)
    return rows


def _measured(
    said: Floats, opaque: Floats, area: Floats, owners: Any, settings: SeveritySettings
) -> Row:
    folds, seed = settings.bootstrap, settings.seed
    found = {"auroc": bootstrap(auroc, opaque, said, owners, folds=folds, seed=seed)}
    for name, value in (("mean_opaque", 1.0), ("mean_clear", 0.0)):
        found[name] = _mean_of(said[opaque == value], owners[opaque == value], settings)
    drawn = (opaque == 1) & (area > 0)
    same = agreement(said[drawn], area[drawn], owners[drawn], folds=folds, seed=seed)
    found["spearman_box_area"] = same["spearman"]
    row: Row = {"n": said.size, "opaque": int(opaque.sum()), "boxed": int(drawn.sum())}
    for name, estimate in found.items():
        row |= _flat(name, estimate)
    return row


def _shown(study: Study) -> list[tuple[str, str, int]]:
    return [
        (key, name, place)
        for key, question in study.questions.items()
        for place, name in enumerate(question.names)
        if not name.startswith("brixia-")
    ]


def _agreement(x: Floats, y: Floats, owners: Any, settings: SeveritySettings) -> Row:
    found = agreement(x, y, owners, folds=settings.bootstrap, seed=settings.seed)
    known = ~np.isnan(x) & ~np.isnan(y)
    row: Row = {"n": found["mae"].n, "patients": np.unique(owners[known]).size}
    for name, estimate in found.items():
        row |= _flat(name, estimate)
    return row


def _mean_of(
    values: Floats, owners: Any, settings: SeveritySettings, *, share: bool = False
) -> Estimate:
    support = Support(values.size, np.unique(owners).size, "no films", proportion=share)
    if not values.size:
        return Estimate.undefined(0, support.missing)
    return bootstrap_all(
        lambda weights: {"mean": (weights * values).sum(1) / weights.sum(1)},
        owners,
        {"mean": support},
        folds=settings.bootstrap,
        seed=settings.seed,
    )["mean"]


def _flat(name: str, estimate: Estimate) -> Row:
    return {
        name: round(estimate.value, 4),
        f"{name}_low": round(estimate.low, 4),
        f"{name}_high": round(estimate.high, 4),
    }
