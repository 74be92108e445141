"""Do the conformal sets and the calibrated probabilities hold what they say, on real predictions?

    hilum evaluate split.csv -b BUNDLE --split test --no-nuisance -o out/
    python benchmarks/coverage.py out/predictions.csv

For each label of the table (``case_id, label, truth, score, group, cohort``) it prints

1. coverage of 90 % sets on exchangeable films: half of the patients calibrate, the other half is
   judged, 500 times; asked for: within 2 points of nominal;
2. coverage on each cohort when the other cohorts calibrate, and what probability is stated for it,
   once with every film alike and once with every cohort alike, as ``hilum train --out-of-source``
   does. Where the network of a bundle has seen films of every cohort, a new hospital loses at least
   this much; the table ``out-of-source/VARIANT.csv`` of ``hilum compare`` holds films of networks
   that never saw the cohort;
3. log loss, Brier score and ECE of the raw score, and of the calibration that is chosen, on the
   judged half.

A table with a column ``split``, as each run of ``hilum compare`` writes it, holds a cohort that its
network never saw: then it prints the coverage there ("test") of sets calibrated on "val", films of
the cohorts that it did see. This is a new hospital.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pandas as pd

from hilum.core.labels import Label
from hilum.core.reading import PredictionSet
from hilum.judge.calibrators import fit_calibration, log_losses
from hilum.judge.conformal import COVERAGE, Conformal, fit_conformal
from hilum.judge.decisions import PREVALENCE
from hilum.judge.metrics import ece
from hilum.judge.predictions import read_predictions

LEAST = 20


def judge(sets: Conformal, rows: pd.DataFrame) -> dict[str, float]:
    """Shares of ``rows``: covered, of each class too, and what the sets answer."""
    said = np.array([sets(score) for score in rows["score"]], dtype=object)
    truth = rows["truth"].to_numpy() == 1
    both = said == PredictionSet.INDETERMINATE
    right = np.where(truth, said == PredictionSet.PRESENT, said == PredictionSet.ABSENT) | both
    found = {"all": right.mean(), "indeterminate": both.mean()}
    found["none"] = (said == PredictionSet.NONE).mean()
    for name, part in (("positive", truth), ("negative", ~truth)):
        found[name] = right[part].mean() if part.any() else np.nan
    return found


def halves(rows: pd.DataFrame, rng: np.random.Generator) -> tuple[pd.DataFrame, pd.DataFrame]:
    patients = rows["group"].unique()
    inside = rows["group"].isin(rng.permutation(patients)[: patients.size // 2])
    return rows[inside], rows[~inside]


def exchangeable(rows: pd.DataFrame, repeats: int) -> None:
    rng, found = np.random.default_rng(0), []
    for _ in range(repeats):
        fit, held = halves(rows, rng)
        sets = fit_conformal(fit["truth"], fit["score"], fitted_on="half")
        if sets is not None:
            found.append(judge(sets, held))
    table = pd.DataFrame(found)
    print(f"  {len(table)} random halves of the patients, nominal {COVERAGE:.0%}:")
    for name in ("all", "positive", "negative", "indeterminate", "none"):
        low, high = np.percentile(table[name], [2.5, 97.5])
        print(f"    {name:14}{table[name].mean():7.1%}   (95 % of halves: {low:.1%} to {high:.1%})")


def left_out(label: str, rows: pd.DataFrame) -> list[dict[str, object]]:
    """Sets and probability of each cohort, fitted on the others: films alike, then cohorts."""
    prevalence, lines = PREVALENCE.get(Label(label), 0.5), []
    for alike_by in (None, "cohort"):
        print(f"  fitted on the other cohorts, each {alike_by or 'film'} alike:")
        _heading(f"P at {prevalence:.0%}")
        judged = []
        for cohort, held in rows.groupby("cohort"):
            rest = rows[rows["cohort"] != cohort]
            if rest["truth"].nunique() < 2:
                continue
            sources = None if alike_by is None else rest[alike_by]
            fitted = fit_calibration(
                rest["truth"], rest["score"], rest["group"], fitted_on="rest", sources=sources
            )
            sets = fit_conformal(rest["truth"], rest["score"], fitted_on="rest", sources=sources)
            chance = fitted.at(prevalence, held["score"])
            loss = log_losses(held["truth"].to_numpy() == 1, chance)
            judged.append(held := held.assign(chance=chance, loss=loss))
            _row(str(cohort), held, sets)
            for truth, part in held.groupby("truth"):
                found = judge(sets, part) if sets else {"all": np.nan, "indeterminate": np.nan}
                lines.append(
                    {"label": label, "alike": alike_by or "film", "cohort": cohort, "truth": truth}
                    | {"films": len(part), "covered": found["all"]}
                    | {"indeterminate": found["indeterminate"]}
                    | {"prevalence": prevalence, "probability": part["chance"].median()}
                    | {"log_loss": part["loss"].mean()}
                )
        every = pd.concat(judged)
        each = every.groupby(["truth", "cohort"])["loss"].mean().groupby("truth").mean()
        share = {1: prevalence, 0: 1 - prevalence}
        told = sum(share[int(truth)] * loss for truth, loss in each.items())
        silent = -sum(part * np.log(part) for part in share.values())
        print(f"    log loss, cohorts alike: {told:.3f} (who says {prevalence:.0%}: {silent:.3f})")
        whole = {"label": label, "cohort": "all, alike", "films": len(every)}
        whole |= {"prevalence": prevalence}
        lines.append(whole | {"alike": alike_by or "film", "log_loss": told})
    lines.append(whole | {"alike": "nothing but the prevalence", "log_loss": silent})
    return lines


def new_hospital(seen: pd.DataFrame, unseen: pd.DataFrame) -> None:
    print("  each cohort that the network never saw, sets calibrated on val of those it saw:")
    _heading()
    for cohort, held in unseen.groupby("cohort"):
        _row(str(cohort), held, fit_conformal(seen["truth"], seen["score"], fitted_on="seen"))


def _heading(chance: str = "") -> None:
    said = f"   {chance}: positive, negative (medians)" if chance else ""
    counts = f"{'films':>12}{'positive':>10}{'negative':>10}{'indeterm.':>10}{'none':>7}"
    print(f"    {'':28}{counts}{said}")


def _row(cohort: str, held: pd.DataFrame, sets: Conformal | None) -> None:
    if sets is None or len(held) < LEAST:
        return
    found = judge(sets, held)
    positives = int(held["truth"].sum())
    counts = f"{positives} / {len(held) - positives}"
    shares = [found[name] for name in ("positive", "negative", "indeterminate")]
    cells = "".join(f"{share:10.1%}" if share == share else f"{'-':>10}" for share in shares)
    parts = [held[held["truth"] == truth] for truth in (1, 0) if "chance" in held]
    said = "".join(f"{p['chance'].median():10.2f}" if len(p) else f"{'-':>10}" for p in parts)
    print(f"    {cohort:28}{counts:>12}{cells}{found['none']:7.1%}{said}")


def calibration(rows: pd.DataFrame, repeats: int) -> None:
    rng, methods, found = np.random.default_rng(1), [], []
    for _ in range(repeats):
        fit, held = halves(rows, rng)
        fitted = fit_calibration(fit["truth"], fit["score"], fit["group"], fitted_on="half")
        methods.append(fitted.method)
        present, score = held["truth"].to_numpy() == 1, held["score"].to_numpy()
        for name, chance in (("raw score", score), ("calibrated", fitted(score))):
            loss, brier = log_losses(present, chance).mean(), np.mean((chance - present) ** 2)
            found.append((name, loss, brier, float(ece(present, chance))))
    print(f"  calibration chosen on one half ({pd.Series(methods).value_counts().to_dict()}):")
    table = pd.DataFrame(found, columns=["", "log loss", "Brier", "ECE"])
    print(table.groupby("", sort=False).mean().round(4).to_string().replace("\n", "\n    "))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("predictions", type=Path)
    parser.add_argument("--repeats", type=int, default=500)
    parser.add_argument("--fits", type=int, default=20, help="random halves that are calibrated")
    parser.add_argument("--csv", type=Path, help="write what is found of cohorts left out")
    asked = parser.parse_args()
    lines: list[dict[str, object]] = []
    table = read_predictions(asked.predictions)
    for label, rows in table[table["truth"].notna()].groupby("label"):
        positives = int(rows["truth"].sum())
        print(f"{label}: {positives} positive and {len(rows) - positives} negative films")
        if "split" in rows:
            new_hospital(rows[rows["split"] == "val"], rows[rows["split"] == "test"])
            continue
        exchangeable(rows, asked.repeats)
        lines += left_out(str(label), rows)
        calibration(rows, asked.fits)
    if asked.csv is not None:
        pd.DataFrame(lines).to_csv(asked.csv, index=False, float_format="%.4f")


if __name__ == "__main__":
    main()
