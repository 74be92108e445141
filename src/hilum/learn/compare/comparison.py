"""Comparison: run a grid, then judge whatever is finished."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import pandas as pd

from hilum.core.config import Written
from hilum.core.errors import ConfigError, HilumError
from hilum.core.estimate import Estimate
from hilum.core.reading import RESEARCH_USE
from hilum.data.split import SplitSpec
from hilum.learn.compare.grid import (
    BASELINE,
    Entry,
    Grid,
    Variant,
    chosen,
    recipe_of_run,
    resolve,
    slug,
)
from hilum.learn.compare.join import Answers, answer
from hilum.learn.compare.judge import Gap, Row, gaps_of, rows_of
from hilum.learn.compare.nuisance import baseline, measure
from hilum.learn.compare.pool import side_by_side
from hilum.learn.compare.prepare import Prepared, divide, prepare, split_key
from hilum.learn.compare.run import (
    PREDICTIONS,
    Run,
    RunMetrics,
    check_finished,
    perform,
    read_table,
)
from hilum.learn.fit import check_classes, open_films_of
from hilum.learn.recipe import Recipe

RUNS, FILMS = "runs", "films"

Tell = Callable[[str], None]


class Comparison(Written):
    """What a grid showed.

    Attributes:
        rows: of the table; the nuisance numbers first.
        gaps: cross-validation less leaving sources out; () without ``pooled_folds``.
        recipes: variant that trains -> its settings.
        unfinished: runs that have no predictions yet.
        failed: runs that ended in an error, with its words.
        notes: how to read the table.
    """

    rows: tuple[Row, ...]
    gaps: tuple[Gap, ...]
    recipes: dict[str, Recipe]
    unfinished: tuple[str, ...]
    failed: dict[str, str]
    notes: tuple[str, ...]


@dataclass
class Plan:
    """Every run of a grid, checked, and the films that they need.

    Attributes:
        grid, variants: what is compared; the variants that were chosen.
        runs: (variant, entry) -> its runs, one a seed.
        prepared: variant that trains -> its films.
        splits: (films, split, entry) -> the same films with ``split``.
        metrics: folder -> metrics of the runs that are finished.
    """

    grid: Grid
    variants: tuple[Variant, ...]
    out: Path
    runs: dict[tuple[str, Entry], list[Run]] = field(default_factory=dict)
    prepared: dict[str, Prepared] = field(default_factory=dict)
    splits: dict[tuple[Path, SplitSpec, Entry], pd.DataFrame] = field(default_factory=dict)
    metrics: dict[Path, RunMetrics] = field(default_factory=dict)

    def split_of(self, run: Run) -> pd.DataFrame:
        """Return the films of a run with their sides."""
        key = (run.cases, run.recipe.split, run.entry)
        if key not in self.splits:
            self.splits[key] = divide(self.prepared[run.variant].cases, run.recipe, run.entry)
        return self.splits[key]

    @property
    def all_runs(self) -> list[Run]:
        """In the order in which they are done: variant by variant."""
        return [run for runs in self.runs.values() for run in runs]


def plan(
    path: Path,
    out: Path,
    *,
    root: Path | None,
    changes: list[str],
    only: list[str],
    tell: Tell = lambda _: None,
) -> Plan:
    """Read a grid, gather its films, and check every split before anything is trained.

    Args:
        path: of the grid.
        out: of the comparison.
        root: of the collections.
        changes: ``a.b=value`` for all variants.
        only: names of variants; [] for all.

    Raises:
        HilumError: a mistake in the grid or a recipe; a split without one of the classes; a
            finished run that was another recipe's.
    """
    grid = Grid.load(path)
    made = Plan(grid, chosen(grid, only), out)
    recipes = resolve(grid, path, changes)
    gathered: dict[tuple[str, int], Prepared] = {}
    for name in _trained(made):
        recipe = recipes[name]
        key = (recipe.data.model_dump_json(), recipe.split.seed)
        if key not in gathered:
            tell(f"{name}: gathering the films")
            gathered[key] = prepare(recipe, root, out)
        made.prepared[name] = gathered[key]
        for entry in grid.entries:
            made.runs[name, entry] = [_plan(made, name, recipe, entry, s) for s in grid.seeds]
    return made


def _trained(made: Plan) -> list[str]:
    """Name the variants that train, those of ensembles too, in the order of the grid."""
    wanted = {name for variant in made.variants for name in (variant.name, *variant.ensemble)}
    return [v.name for v in made.grid.variant if v.name in wanted and not v.ensemble]


def _plan(made: Plan, name: str, recipe: Recipe, entry: Entry, seed: int) -> Run:
    run = Run(
        variant=name,
        entry=entry,
        seed=seed,
        recipe=recipe_of_run(recipe, made.grid, entry, seed),
        cases=made.prepared[name].path,
        films=made.out / FILMS,
        folder=made.out / RUNS / slug(name) / entry.slug / f"seed-{seed}",
    )
    cases = made.split_of(run)
    try:
        check_classes(cases, run.recipe)
    except HilumError as error:
        raise ConfigError(f"{run.title}: {error.message}", hint=error.hint) from None
    if run.finished:
        made.metrics[run.folder] = check_finished(run, cases)
    return run


def train(
    made: Plan, *, jobs: int, device: str = "auto", tell: Tell = lambda _: None
) -> dict[str, str]:
    """Do the runs that are not finished; return those that failed, with the reason.

    Args:
        jobs: processes side by side.
        device: "auto", "cpu" or "gpu".
        tell: gets a line for each run that ends.
    """
    waiting = [run for run in made.all_runs if not run.finished]
    _open(made, waiting, tell)
    failed: dict[str, str] = {}
    done = side_by_side(partial(perform, device=device), waiting, jobs=jobs)
    for number, (run, result) in enumerate(done, start=1):
        place = f"{number}/{len(waiting)}"
        if isinstance(result, HilumError):
            failed[run.title] = result.message
            tell(f"{place} {run.title}: failed: {result.message}")
        else:
            made.metrics[run.folder] = result
            tell(f"{place} {run.title}: {_in_words(result)}")
    return failed


def _open(made: Plan, waiting: list[Run], tell: Tell) -> None:
    """Open the films once for each way to preprocess them, before processes share them."""
    seen: list[tuple[object, ...]] = []
    for run in waiting:
        key = (run.recipe.preprocess, run.recipe.network.name, run.recipe.dense.teacher, run.cases)
        if key not in seen:
            seen.append(key)
            tell(f"{run.variant}: opening {len(made.prepared[run.variant].cases)} films")
            open_films_of(run.recipe, made.prepared[run.variant].cases, run.films)


def _in_words(metrics: RunMetrics) -> str:
    parts = [
        f"{label} {_value(each.left_out_auroc)} (val {_value(each.val_auroc)})"
        for label, each in metrics.labels.items()
    ]
    return f"AUROC {', '.join(parts)}; {metrics.seconds:.0f} s"


def _value(estimate: Estimate) -> str:
    return "(one class)" if math.isnan(estimate.value) else f"{estimate.value:.3f}"


def summarize(
    made: Plan, *, folds: int = 1000, failed: dict[str, str] | None = None
) -> tuple[Comparison, dict[str, Answers]]:
    """Judge the entries that are finished in all seeds.

    Args:
        folds: bootstrap resamples.
        failed: as ``train`` returns them.

    Returns:
        The comparison, and what each variant answered.
    """
    answers = {variant.name: _answers(made, variant) for variant in made.variants}
    nuisance = _nuisance(made)
    by, first = made.grid.by, answers[made.variants[0].name]
    rows = list(rows_of(BASELINE, nuisance, {}, {}, by=by, folds=folds))
    gaps = list(gaps_of(BASELINE, nuisance, folds=folds))
    for place, (name, ours) in enumerate(answers.items()):
        rival = first if place else {}
        rows += rows_of(name, ours, rival, nuisance, by=by, folds=folds)
        gaps += gaps_of(name, ours, folds=folds)
    comparison = Comparison(
        rows=tuple(rows),
        gaps=tuple(gaps),
        recipes={
            variant.name: made.runs[variant.name, made.grid.entries[0]][0].recipe
            for variant in made.variants
            if not variant.ensemble
        },
        unfinished=tuple(run.title for run in made.all_runs if not run.finished),
        failed=failed or {},
        notes=_notes(made),
    )
    return comparison, answers


def _answers(made: Plan, variant: Variant) -> Answers:
    members = variant.ensemble or (variant.name,)
    found: Answers = {}
    for entry in made.grid.entries:
        runs = [run for name in members for run in made.runs[name, entry]]
        if all(run.finished for run in runs):
            tables = [read_table(run.folder / PREDICTIONS) for run in runs]
            metrics = tuple(made.metrics[run.folder] for run in runs)
            found[entry] = answer(tables, metrics, f"{variant.name}, {entry.title}")
    return found


def _nuisance(made: Plan) -> Answers:
    """Fit the twelve numbers on the films of the first variant, once an entry."""
    name = _trained(made)[0]
    prepared = made.prepared[name]
    features = measure(prepared.cases, prepared.path.with_suffix(".nuisance.csv"))
    found: Answers = {}
    for entry in made.grid.entries:
        run = made.runs[name, entry][0]
        labels = [label.value for label in run.recipe.data.labels]
        cases = made.split_of(run)
        folder = made.out / RUNS / slug(BASELINE) / entry.slug
        table = baseline(cases, features, labels, folder / f"{split_key(cases, labels)}.csv")
        found[entry] = answer([table], (), f"{BASELINE}, {entry.title}")
    return found


def _notes(made: Plan) -> tuple[str, ...]:
    reference = made.variants[0].name
    prepared = made.prepared[_trained(made)[0]]
    left_out = [f"{reason} {count}" for reason, count in prepared.left_out.items()]
    return (
        f"Films: positive + negative. Intervals: 95 %, bootstrap over patients. Difference: of "
        f"AUROC to '{reference}', over the same resamples. Sensitivity and false positives at the "
        "threshold with the largest Youden index on val of the same run.",
        "Nuisance AUROC: of twelve numbers that say nothing of the lungs (size, brightness, "
        "borders), fitted on the same training films.",
        *prepared.notes,
        *([f"Not used: {', '.join(left_out)}."] if left_out else []),
        RESEARCH_USE,
    )
