"""Run: one training of a comparison: fit, predict val and what was left out, write both down.

A run folder holds recipe.toml, refused.csv, curves.csv, curves.png, metrics.json and, written
last, predictions.csv: a run that has it is finished, any other goes on from its last epoch.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hilum.core import csvtable
from hilum.core.config import Written
from hilum.core.errors import ConfigError
from hilum.core.estimate import Estimate
from hilum.core.files import atomic_path, write_text
from hilum.data.table import read_cases
from hilum.judge.bootstrap import bootstrap
from hilum.judge.calibration import OperatingPoint
from hilum.judge.metrics import auroc
from hilum.judge.operating import choose_operating_point
from hilum.learn.callbacks import CHECKPOINT
from hilum.learn.compare.grid import Entry
from hilum.learn.compare.prepare import divide, split_key
from hilum.learn.films import Films
from hilum.learn.fit import METRICS, RECIPE, FitResult, fit, open_films_of
from hilum.learn.predict import predict_logits
from hilum.learn.recipe import Recipe

PREDICTIONS = "predictions.csv"
FACTS = ("group", "cohort", "source", "view", "split")
COLUMNS = ("case_id", "label", "truth", "score", "logit", *FACTS)


@dataclass(frozen=True, slots=True)
class Run:
    """One training.

    Attributes:
        variant, entry, seed: which.
        recipe: with the split and the seed of this run.
        cases: CSV of the films, not split.
        films: folder of the opened films, shared by all runs.
        folder: of the run.
    """

    variant: str
    entry: Entry
    seed: int
    recipe: Recipe
    cases: Path
    films: Path
    folder: Path

    @property
    def title(self) -> str:
        """In words."""
        what = self.entry.title if self.entry.fold else f"without {self.entry.title}"
        return f"{self.variant}, {what}, seed {self.seed}"

    @property
    def finished(self) -> bool:
        """Whether its predictions are there."""
        return (self.folder / PREDICTIONS).is_file()


class RunLabel(Written):
    """One label of a run: its operating point, and its AUROC on val and on what was left out."""

    operating_point: OperatingPoint
    val_auroc: Estimate
    left_out_auroc: Estimate


class RunMetrics(Written):
    """metrics.json of a run.

    Attributes:
        split: short hash of who was on which side.
        films: side -> films.
        best_epoch, epochs: kept and trained.
        seconds: of training.
    """

    variant: str
    left_out: str
    seed: int
    split: str
    films: dict[str, int]
    best_epoch: int
    epochs: int
    seconds: float
    device: str
    labels: dict[str, RunLabel]


def perform(run: Run, *, device: str = "auto", progress: bool = False) -> RunMetrics:
    """Train, predict, and write the run folder.

    Raises:
        HilumError: as ``fit``.
    """
    table = read_cases(run.cases)
    cases = divide(table, run.recipe, run.entry)
    films = open_films_of(run.recipe, table, run.films, progress=False)
    films = split_films(films, cases)
    result = fit(
        run.recipe, cases, run.folder, films=films, resume=True, device=device, progress=progress
    )
    rest = films.take(films.cases["split"].isin(["val", "test"]).to_numpy())
    logits = predict_logits(result.network, rest, run.recipe.preprocess)
    labels = [label.value for label in run.recipe.data.labels]
    predictions = long_table(rest.cases, logits, labels)
    metrics = _metrics(run, cases, result, predictions)
    write_text(run.folder / METRICS, metrics.model_dump_json(indent=2) + "\n")
    write_table(predictions, run.folder / PREDICTIONS)
    # A comparison has many runs: their predictions are kept, not their weights.
    (run.folder / CHECKPOINT).unlink(missing_ok=True)
    return metrics


def split_films(films: Films, cases: pd.DataFrame) -> Films:
    """Return those of ``films`` that ``cases`` (with ``split``) has, with its split."""
    films = films.take(films.cases["case_id"].isin(cases["case_id"]).to_numpy())
    sides = cases.set_index("case_id")["split"]
    return replace(films, cases=films.cases.assign(split=films.cases["case_id"].map(sides)))


def long_table(
    cases: pd.DataFrame, logits: NDArray[np.floating], labels: list[str]
) -> pd.DataFrame:
    """Return one row a film and label with ``COLUMNS``.

    Args:
        cases: n films with ``FACTS`` and the labels.
        logits: (n, L), row i of film i.
    """
    parts = []
    for place, label in enumerate(labels):
        part = cases[["case_id", *FACTS]].copy()
        part["label"], part["truth"] = label, cases[label].to_numpy(np.float64)
        part["logit"] = logits[:, place].astype(np.float64)
        part["score"] = sigmoid(part["logit"].to_numpy())
        parts.append(part)
    return pd.concat(parts, ignore_index=True)[list(COLUMNS)]


def sigmoid(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return 1 / (1 + exp(-logits)), without overflow."""
    return np.asarray(0.5 * (1 + np.tanh(logits / 2)), np.float64)


def write_table(table: pd.DataFrame, path: Path) -> None:
    """Write a CSV, whole or not at all."""
    with atomic_path(path) as temporary:
        table.to_csv(temporary, index=False, float_format="%.9g", lineterminator="\n")


def read_table(path: Path) -> pd.DataFrame:
    """Read predictions as ``write_table`` wrote them; text that is unknown is ""."""
    table = csvtable.read_table(path)
    numbers = [name for name in table.columns if name not in ("case_id", "label", *FACTS)]
    found = table.assign(**{name: csvtable.numbers_in(table, name, str(path)) for name in numbers})
    return found.reset_index(drop=True)


def check_finished(run: Run, cases: pd.DataFrame) -> RunMetrics:
    """Return the metrics of a finished run.

    Args:
        cases: split as the run would split them now.

    Raises:
        ConfigError: it was another recipe's, or the films have changed.
    """
    stored = Recipe.load(run.folder / RECIPE)
    metrics = RunMetrics.model_validate_json((run.folder / METRICS).read_text(encoding="utf-8"))
    unlike = stored.differs_from(run.recipe)
    different = [each for each in unlike if not each.startswith("bundle.")]  # nothing is packed
    if metrics.split != split_key(cases, [label.value for label in run.recipe.data.labels]):
        different.append("films, labels or split")
    if different:
        raise ConfigError(
            f"{run.folder}: this run is finished, but differs in {'; '.join(different)}",
            hint="give the variant another name, remove the folder, or use another --out",
        )
    return metrics


def _metrics(
    run: Run, cases: pd.DataFrame, result: FitResult, predictions: pd.DataFrame
) -> RunMetrics:
    labels = [label.value for label in run.recipe.data.labels]
    return RunMetrics(
        variant=run.variant,
        left_out=run.entry.title,
        seed=run.seed,
        split=split_key(cases, labels),
        films={side: int(count) for side, count in cases["split"].value_counts().items()},
        best_epoch=result.best_epoch,
        epochs=len(result.rows),
        seconds=round(result.seconds, 1),
        device=result.device,
        labels={label: _label(predictions[predictions["label"] == label]) for label in labels},
    )


def _label(table: pd.DataFrame) -> RunLabel:
    val, test = (table[table["split"] == side] for side in ("val", "test"))
    return RunLabel(
        operating_point=operating_point(val),
        val_auroc=_auroc(val),
        left_out_auroc=_auroc(test),
    )


def operating_point(val: pd.DataFrame) -> OperatingPoint:
    """Choose the balanced threshold on the rows of one label on val.

    Raises:
        CohortError: they hold one class only.
    """
    return choose_operating_point(
        val["truth"].to_numpy(),
        val["score"].to_numpy(),
        val["group"].to_numpy(),
        label=val["label"].iloc[0],
        name="balanced",
        chosen_on=f"val, {val['truth'].notna().sum()} films",
        folds=200,
    )


def _auroc(table: pd.DataFrame) -> Estimate:
    return bootstrap(auroc, table["truth"], table["logit"], table["group"], folds=200)
