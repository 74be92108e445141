"""What contrasts across collections teach of COVID-19 given opacity, where one is left out.

The map of a finished run stays as it is. What reads COVID-19 off its layout is learned again
without one collection after another, with and without contrasts across collections
(``hilum.learn.given``), and judged by films of val and test: opacities of the collection that was
left out against those of the other class everywhere. Only this last regression leaves the
collection out: the map learned from its films of train. With 95 % intervals over patients.

    python benchmarks/given.py runs/default --csv given.csv
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from hilum.core.case import owner_of
from hilum.data.table import read_cases
from hilum.judge.bootstrap import bootstrap
from hilum.judge.metrics import auroc
from hilum.learn.fit import fit, open_films_of
from hilum.learn.given import ACROSS, contrasts, layouts_of, regression
from hilum.learn.predict import predict_logits
from hilum.learn.recipe import Recipe

LEFT_OUT = (
    ["shenzhen"],
    ["tbx11k"],
    ["nih-chestxray14", "rsna-pneumonia"],
    ["covid-19-image-repository"],
    ["covid-cxnet"],
    ["covid-chestxray-dataset"],
    ["siim-covid19"],
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path, help="folder of a finished run of a dense network")
    parser.add_argument("--films", type=Path, help="where opened films are kept (RUN/films)")
    parser.add_argument("--csv", type=Path, help="write the table to this file, too")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    run, recipe = arguments.run, Recipe.load(arguments.run / "recipe.toml")
    cases = read_cases(run / "cases.csv")
    network = fit(recipe, cases, run, resume=True, progress=False).network
    answer, _ = contrasts(cases)
    known = ~np.isnan(answer)
    asked = cases[known].reset_index(drop=True)
    films = open_films_of(recipe, asked, arguments.films or run / "films")
    answer, _ = contrasts(films.cases)
    layouts = layouts_of(network, films, recipe.preprocess)
    opacity = predict_logits(network, films, recipe.preprocess)[:, 1]
    cohort, owner = films.cases["cohort"], owner_of(films.cases)
    train = (films.cases["split"] == "train").to_numpy()
    rows = []
    for left_out in LEFT_OUT:
        here = cohort.isin(left_out).to_numpy()
        for across in (0.0, ACROSS):
            _, weight = contrasts(films.cases[train & ~here].reset_index(drop=True), across=across)
            learned = np.flatnonzero(train & ~here)[weight > 0]
            bias, weights = regression(layouts[learned], answer[learned], weight[weight > 0])
            given = layouts @ weights + bias
            score = -np.logaddexp(0, -opacity) - np.logaddexp(0, -given)
            for value, name in ((1, "COVID-19 here"), (0, "other opacities here")):
                judged = ~train & ((here & (answer == value)) | (~here & (answer == 1 - value)))
                if not (judged & here).any():
                    continue
                found = bootstrap(auroc, answer[judged], score[judged], owner[judged])
                rows.append({
                    "left_out": " + ".join(left_out), "question": name,
                    "across": across, "auroc": found.value, "low": found.low,
                    "high": found.high, "here": int((judged & here).sum()), "films": found.n,
                })  # fmt: skip
    table = pd.DataFrame(rows)
    print(table.round(3).to_string(index=False))
    if arguments.csv:
        table.to_csv(arguments.csv, index=False, float_format="%.4f", lineterminator="\n")


if __name__ == "__main__":
    main()
