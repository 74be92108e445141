"""What keeps a network from calling clear films opaque, and what it costs on drawn ones.

    hilum train-opacities --recipe recipes/opacities.toml --data ../shared/data -o runs/opacities
    hilum train-opacities --recipe recipes/opacities.toml --data ../shared/data -o runs/clear \
        --set material.clear=0.4 --set material.synthetic=0.1 --set material.boxed=0.1 \
        --set material.clear_per_cohort=400 --set fit.steps=300
    python benchmarks/false_opacities.py --data ../shared/data --run shipped=runs/opacities \
        --run "more clear films"=runs/clear --out docs/results/opacities-clear.csv

Every film by a network that never saw its patient; the numbers of every rule chosen on the other
folds. All rows are of the films that every run has; differences are paired, to the first run with
thresholds alone. With two runs or more their mean is a network, too. A rule that looks at the film
as a whole finds nothing where the mean score of the lungs is low.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from opacities import reopen

from hilum.core.estimate import Estimate
from hilum.image.opacities import Regions
from hilum.learn.gather import choose_films
from hilum.learn.opacities.films import DRAWN, Films
from hilum.learn.opacities.measure import compare, dice_of, measure_films, summarize
from hilum.learn.opacities.recipe import OpacityRecipe
from hilum.learn.opacities.regions import COST, RULES

ONE_LIMIT = [rule for rule in RULES if rule.core == rule.reach and not rule.least]
FAMILIES: dict[str, list[Regions]] = {
    "one higher limit": ONE_LIMIT,
    "a limit and a smallest area": [rule for rule in RULES if rule.core == rule.reach],
    "two limits": [rule for rule in RULES if not rule.least],
    "two limits and a smallest area": list(RULES),
}
CUTS = np.linspace(0, 0.5, 51)
"""Mean scores of the lungs below which nothing is found."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of the collections")
    parser.add_argument("--run", action="append", required=True, metavar="NAME=FOLDER")
    parser.add_argument("--out", type=Path, required=True, help="the table")
    options = parser.parse_args()
    named = (each.split("=", 1) for each in options.run)
    runs = {name: _opened(Path(folder), options.data) for name, folder in named}
    if len(runs) > 1:
        runs[f"mean of {' and '.join(runs)}"] = _mean(list(runs.values()))
    tables = {
        (name, rule): table
        for name, (films, scores) in runs.items()
        for rule, table in _measured(films, scores)
    }
    rows = pd.DataFrame(list(_rows(_on_common_films(tables))))
    print(rows.to_string())
    rows.to_csv(options.out, index=False, float_format="%.4f")


def _opened(run: Path, data: Path) -> tuple[Films, np.ndarray]:
    recipe = OpacityRecipe.load(run / "recipe.toml")
    cases, _, _ = choose_films(recipe.data, data, seed=recipe.split.seed)
    return reopen(cases, run)


def _mean(runs: list[tuple[Films, np.ndarray]]) -> tuple[Films, np.ndarray]:
    """Return the films of every run, in the folds of the first, with the mean of their scores."""
    films = runs[0][0]
    common = set.intersection(*(set(each.cases["case_id"]) for each, _ in runs))
    kept = np.flatnonzero(films.cases["case_id"].isin(common))
    ids = films.cases["case_id"].iloc[kept]
    every = [scores[pd.Index(each.cases["case_id"]).get_indexer(ids)] for each, scores in runs]
    cases, lungs = films.cases.iloc[kept].reset_index(drop=True), [films.lungs[i] for i in kept]
    some = Films(cases, films.squares, films.targets, lungs, films.truth[kept])
    return some, np.mean(every, axis=0)


def _measured(films: Films, scores: np.ndarray) -> Iterator[tuple[str, pd.DataFrame]]:
    plain = measure_films(films, scores, rules=())
    yield "thresholds", plain
    yield "nothing on films of a low mean score", _silenced(plain)
    for name, rules in FAMILIES.items():
        yield name, measure_films(films, scores, rules=rules)


def _silenced(films: pd.DataFrame) -> pd.DataFrame:
    """Find nothing on films below a mean score that is chosen on the other folds."""
    columns = [name for name in films if name.split()[0] in {"found", "common", "share"}]
    cuts = films["fold"].map({fold: _cut(films, fold) for fold in films["fold"].unique()})
    return films.assign(
        **{name: films[name].where(films["score"] >= cuts, 0.0) for name in columns}
    )


def _cut(films: pd.DataFrame, skip: float) -> float:
    """Return the highest cut that costs as little Dice as a rule of regions may."""
    drawn = films[(films["fold"] != skip) & (films["material"] == DRAWN)]
    costs = []
    for cut in CUTS:
        kept = drawn["score"] >= cut
        common, found = drawn["common union"] * kept, drawn["found union"] * kept
        mean = dice_of(drawn.assign(**{"common union": common, "found union": found}), "union")
        costs.append((2 * common.sum() / (found + drawn["drawn union"]).sum(), mean.mean()))
    pooled, mean = np.transpose(costs)
    cheap = (pooled >= pooled.max() - COST) & (mean >= mean.max() - COST)
    return float(CUTS[cheap].max())


def _on_common_films(
    tables: dict[tuple[str, str], pd.DataFrame],
) -> dict[tuple[str, str], pd.DataFrame]:
    """Keep the films of every run, with patients as the first run links them."""
    first = next(iter(tables.values())).set_index("case_id")
    common = first.index
    for table in tables.values():
        common = common[common.isin(table["case_id"])]
    same = first.loc[common, ["group", "material"]]
    return {
        name: table.set_index("case_id").loc[common].assign(**same).reset_index()
        for name, table in tables.items()
    }


def _rows(tables: dict[tuple[str, str], pd.DataFrame]) -> Iterator[dict[str, object]]:
    base = next(iter(tables.values()))
    for (network, rule), table in tables.items():
        more = compare(table, base)
        for metric, each in summarize(table).items():
            row = {"network": network, "rule": rule, "metric": metric}
            yield row | _numbers(each) | _difference(more[metric], first=table is base)


def _numbers(each: Estimate) -> dict[str, object]:
    return {name: getattr(each, name) for name in ("value", "low", "high", "n")}


def _difference(more: Estimate, *, first: bool) -> dict[str, object]:
    values = (np.nan,) * 3 if first else (more.value, more.low, more.high)
    return dict(zip(("difference", "difference_low", "difference_high"), values, strict=True))


if __name__ == "__main__":
    main()
