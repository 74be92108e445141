"""Opacities in context: the network beside evidence maps, the whole lung, and severity scores.

    hilum train-opacities --recipe recipes/opacities.toml --data ../shared/data -o runs/opacities
    python benchmarks/opacities.py --data ../shared/data --run runs/opacities --out docs/results

Same films, same folds, same metric: scores of the network out of fold; the evidence maps of the
default bundle (COVID-19, pneumonia), and the whole lung, thresholds chosen on the other folds for
all of them. The default bundle learned from most of these films, so everything is repeated on those
that it did not learn from. What Dice is worth: that of a mask with itself, moved a little. And how
the share of opaque lung goes with Cohen's and Brixia scores; films with masks are out of fold.

Writes opacities.csv and opacities-severity.csv. Three minutes on one core.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
from tqdm import tqdm

from hilum.apps.unseen import seen_patients
from hilum.bundle.folder import open_bundle
from hilum.bundle.lungs import LungSegmenter
from hilum.bundle.opacities import OpacitySegmenter
from hilum.bundle.seen import WEIGHTS
from hilum.core.estimate import Estimate
from hilum.image.lungs import Lungs
from hilum.image.opacities import KINDS
from hilum.image.open import open_radiograph
from hilum.image.zones import affected
from hilum.judge.bootstrap import Support, bootstrap_all
from hilum.learn.gather import choose_films
from hilum.learn.opacities.films import DRAWN, Films, on_square, read_kinds
from hilum.learn.opacities.measure import measure_film, measure_films, summarize
from hilum.learn.opacities.recipe import OpacityRecipe
from hilum.learn.opacities.run import MEASURED, OUT_OF_FOLD
from hilum.serve.reader import Reader, load_bundle

BUNDLE_LABELS = ("covid-19", "pneumonia")
SEVERITY = {
    "geographic extent": ("geographic-extent",),
    "opacity": ("opacity",),
    "Brixia, mean of two readers": ("brixia-senior-global", "brixia-junior-global"),
}
MOVES = (0.01, 0.02, 0.03)
"""Parts of the film's side."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of the collections")
    parser.add_argument("--run", type=Path, required=True, help="folder of the trained network")
    parser.add_argument("--out", type=Path, required=True, help="folder of the tables")
    options = parser.parse_args()
    recipe = OpacityRecipe.load(options.run / "recipe.toml")
    cases, _, _ = choose_films(recipe.data, options.data, seed=recipe.split.seed)
    films, scores = reopen(cases, options.run)
    table = pd.DataFrame(list(compare(films, scores, cases)))
    print(table.to_string())
    table.to_csv(options.out / "opacities.csv", index=False, float_format="%.4f")
    table = pd.DataFrame(list(severity(cases, options.run)))
    print(table.to_string())
    table.to_csv(options.out / "opacities-severity.csv", index=False, float_format="%.4f")


def reopen(cases: pd.DataFrame, run: Path) -> tuple[Films, np.ndarray]:
    """Return the films of a run that were held out once, with truth, and their scores."""
    import torch

    measured = pd.read_csv(run / MEASURED)
    with np.load(run / OUT_OF_FOLD, allow_pickle=False) as kept:
        order = pd.Index(kept["case_id"].tolist()).get_indexer(measured["case_id"])
        scores, masks = kept["scores"][order].astype(np.float32), kept["lungs"][order]
    columns = ["case_id", "group", "cohort", "material", "fold"]
    extra = cases[["case_id", "path", "lesion_masks"]]
    table = measured[columns].merge(extra, on="case_id", how="left", validate="one_to_one")
    truth = np.zeros(scores.shape, bool)
    for row in np.flatnonzero(table["material"] == DRAWN):
        shape = open_radiograph(table["path"][row]).shape
        drawn = read_kinds(table["lesion_masks"][row], shape)
        truth[row] = on_square(drawn, scores.shape[-1])
    lungs = [Lungs(mask, np.zeros(0, np.float32)) for mask in masks]
    return Films(table, torch.empty(0), torch.empty(0), lungs, truth), scores


def compare(films: Films, scores: np.ndarray, cases: pd.DataFrame) -> Iterator[dict[str, object]]:
    """Yield a row for each method, set of films and metric."""
    methods = {"network, out of fold": scores, "whole lung": _whole(films)}
    methods |= {f"evidence, {name}": maps for name, maps in _evidence(films).items()}
    learned = open_bundle().seen(cases).counted(WEIGHTS)
    known = cases["case_id"][seen_patients(cases, learned)]
    for name, maps in methods.items():
        measured = measure_films(films, maps)
        unseen = measured[~measured["case_id"].isin(known)]
        for which, some in (("all", measured), ("the bundle never learned from", unseen)):
            for metric, each in summarize(some).items():
                yield _row(name, which, metric, each)
    for name, measured in _moved(films):
        for metric, each in summarize(measured).items():
            if "dice" in metric:
                yield _row(name, "all", metric, each)


def _whole(films: Films) -> np.ndarray:
    masks = np.stack([lungs.mask for lungs in films.lungs])
    return np.repeat(masks[:, None].astype(np.float32), len(KINDS), axis=1)


def _evidence(films: Films) -> dict[str, np.ndarray]:
    """Evidence inside the lungs as ranks in [0, 1] over all pixels of all films."""
    reader: Reader = load_bundle()
    maps = {label: np.zeros(films.truth[:, 0].shape, np.float32) for label in BUNDLE_LABELS}
    examined = reader.examine(films.cases["path"], force=True)
    for row, one in enumerate(tqdm(examined, total=len(films.cases), disable=None)):
        mask = films.lungs[row].mask
        for label, filled in maps.items():
            if one.evidence is None:
                continue
            shown = reader.on_film(one.evidence, label, mask.shape, one.lungs)
            filled[row] = np.where(mask, np.nan_to_num(shown), -np.inf)
    return {label: _two(_ranks(filled)) for label, filled in maps.items()}


def _ranks(values: np.ndarray) -> np.ndarray:
    inside = np.isfinite(values)
    levels = np.quantile(values[inside], np.linspace(0, 1, 1001))
    ranks = np.searchsorted(levels, values) / 1001
    return np.where(inside, ranks, 0).astype(np.float32)


def _two(maps: np.ndarray) -> np.ndarray:
    return np.repeat(maps[:, None], len(KINDS), axis=1)


def _moved(films: Films) -> Iterator[tuple[str, pd.DataFrame]]:
    """Yield masks against themselves: moved to the right, and grown."""
    drawn = np.flatnonzero(films.cases["material"] == DRAWN)
    cases = films.cases.loc[drawn, ["case_id", "group", "cohort", "material", "fold"]]
    for part in MOVES:
        by = round(part * films.truth.shape[-1])
        disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * by + 1, 2 * by + 1))
        changes = {
            "shifted": lambda mask, by=by: np.roll(mask, by, axis=1),
            "grown": lambda mask, disc=disc: cv2.dilate(mask.astype(np.uint8), disc) > 0,
        }
        for name, change in changes.items():
            rows = []
            for row in drawn:
                truth, lungs = films.truth[row], films.lungs[row].mask
                found = np.stack([change(mask) for mask in truth]) & lungs
                rows.append(measure_film(found.astype(np.float32), found, truth & lungs, lungs))
            numbers = pd.DataFrame(rows, index=cases.index)
            yield f"mask itself, {name} by {part:.0%}", pd.concat([cases, numbers], axis=1)


def severity(cases: pd.DataFrame, run: Path) -> Iterator[dict[str, object]]:
    """Yield Spearman's correlation of the share of opaque lung with each score.

    Films without masks whose patient has another film with one are left out: the network learned
    from that patient.
    """
    scored = cases[cases["scores"].fillna("") != ""].reset_index(drop=True)
    learned = seen_patients(cases, pd.read_csv(run / MEASURED)["case_id"])
    shares = _shares(scored, set(cases["case_id"][learned]), run)
    for name, columns in SEVERITY.items():
        values = scored["scores"].map(lambda text, columns=columns: _mean_of(text, columns))
        both = shares.assign(truth=values).dropna(subset=["truth", "share"])
        parts = {
            "all": both[both["drawn"] | ~both["learned"]],
            "with masks, out of fold": both[both["drawn"]],
            "without masks, patients never learned from": both[~both["learned"]],
        }
        for which, some in parts.items():
            yield {"score": name, "films": which} | _numbers(_spearman(some))


def _shares(scored: pd.DataFrame, learned: set[str], run: Path) -> pd.DataFrame:
    """Share of both lungs that is opaque: out of fold where a film was learned from."""
    measured = pd.read_csv(run / MEASURED).set_index("case_id")
    lungs_of, opacities_of = LungSegmenter(None, 1), OpacitySegmenter(run, 1)
    rows: list[dict[str, Any]] = []
    for case in tqdm(scored.to_dict("records"), disable=None):
        row = {
            "group": case["patient_id"],
            "drawn": bool(case["lesion_masks"]),
            "learned": case["case_id"] in learned,
        }
        if case["case_id"] in measured.index:
            row["share"] = measured["share"][case["case_id"]]
        else:
            film = open_radiograph(case["path"])
            lungs = lungs_of.segment(film)
            found = affected(opacities_of.segment(film, lungs), lungs)
            row["share"] = found[0].share if found else np.nan
        rows.append(row)
    return pd.DataFrame(rows)


def _mean_of(text: str, names: tuple[str, ...]) -> float:
    scores = json.loads(text)
    known = [scores[name] for name in names if name in scores]
    return float(np.mean(known)) if known else np.nan


def _spearman(films: pd.DataFrame) -> Estimate:
    """Spearman's correlation; a resample of patients is written out film by film."""
    from scipy.stats import spearmanr

    share, truth = films["share"].to_numpy(), films["truth"].to_numpy()

    def of(weights: np.ndarray) -> dict[str, np.ndarray]:
        drawn = [np.repeat(np.arange(share.size), each.astype(int)) for each in weights]
        return {"rho": np.array([spearmanr(share[i], truth[i]).statistic for i in drawn])}

    support = {"rho": Support(len(films), films["group"].nunique())}
    return bootstrap_all(of, films["group"].to_numpy(), support)["rho"]


def _row(method: str, films: str, metric: str, each: Estimate) -> dict[str, object]:
    return {"method": method, "films": films, "metric": metric} | _numbers(each)


def _numbers(each: Estimate) -> dict[str, object]:
    return {name: getattr(each, name) for name in ("value", "low", "high", "n", "note")}


if __name__ == "__main__":
    main()
