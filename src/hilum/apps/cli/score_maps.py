"""``hilum score-maps``: which map points where people marked disease, in one table."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hilum.apps.cli.places import out_file
from hilum.apps.cli.seen import AllowSeen
from hilum.core.command import command_line
from hilum.core.config import did_you_mean
from hilum.core.errors import CohortError, ConfigError

if TYPE_CHECKING:
    import pandas as pd

    from hilum.apps.explaining import Choice, Explainer
    from hilum.apps.map_scores.scorer import Scores
    from hilum.apps.map_scores.settings import ScoreSettings
    from hilum.bundle.seen import Seen

_SPLITS = ("test", "val", "val+test", "all")


def register(app: typer.Typer, panel: str) -> None:
    """Add the verb to the command line."""
    app.command("score-maps", rich_help_panel=panel)(score_maps)


def score_maps(
    bundle: Annotated[
        str, typer.Argument(metavar="BUNDLE", help="Bundle folder, or 'default' for the built-in.")
    ],
    cases: Annotated[
        Path,
        typer.Argument(metavar="CASES.csv", help="Cases table with lesion_masks and boxes."),
    ],
    out: Annotated[
        Path | None, out_file("Write the table to this .csv, and a .json beside it.")
    ] = None,
    methods: Annotated[
        list[str] | None,
        typer.Option(
            "--methods", "-m", help="METHOD or METHOD@LAYER; repeat for more. Default: all."
        ),
    ] = None,
    split: Annotated[
        str,
        typer.Option(help="test, val, val+test; or all, films of training too, marked."),
    ] = "val+test",
    max_films: Annotated[
        int, typer.Option(help="Held-out films a kind of annotation, drawn; 0 for all.", min=0)
    ] = 30,
    faithful_films: Annotated[
        int, typer.Option(help="Held-out films a label for deletion and insertion.", min=0)
    ] = 8,
    random_films: Annotated[
        int, typer.Option(help="Held-out films a label for random weights.", min=0)
    ] = 4,
    networks: Annotated[int, typer.Option(help="Networks with random weights.", min=1)] = 1,
    seed: Annotated[int, typer.Option(help="Of every draw.")] = 0,
    against: Annotated[
        str, typer.Option(help="Method that the others are compared with, film by film.")
    ] = "evidence",
    allow_seen: AllowSeen = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the .json.")] = False,
) -> None:
    """Score maps against lesion masks and boxes that people drew, and against chance.

    For every method, with intervals over patients and n: how much of what
    speaks for the label lies inside the lungs; whether the strongest pixel
    lies on the annotation (pointing game), how much of the map does (energy),
    how well it ranks the pixels of the lungs (AUROC); how the score moves as
    the strongest pixels go (deletion) and come back (insertion); how alike
    the map is with random weights, which flags one that shows the film and
    not what was learned; seconds a map. Chance, random blocks and the film's
    own grey levels stand in the same table. Films that the bundle trained on
    are left out, or with --split all --allow-seen a second block. Needs the extra 'train'.

    [bold]Example:[/bold] hilum score-maps default cases.csv -o maps.csv
    """
    from hilum.core.extras import require

    require("train")
    from hilum.apps.map_scores.settings import ScoreSettings

    _check(out, split)
    given = {
        "max_films": max_films,
        "faithful_films": faithful_films,
        "random_films": random_films,
        "networks": networks,
        "seed": seed,
    }
    settings = ScoreSettings.parse(given, where="hilum score-maps")
    table, about, scores = _run(bundle, cases, methods or [], split, settings, against, allow_seen)
    values = about | {"rows": _records(table), "not_read": scores.not_read}
    if out is not None:
        _write(table, values, out)
    if as_json:
        typer.echo(json.dumps(values, allow_nan=False))
    else:
        _print(table, len(scores.not_read), out, values["seen"]["said"])


def _check(out: Path | None, split: str) -> None:
    if out is not None and out.suffix.lower() != ".csv":
        raise ConfigError(f"-o {out}: expected a name ending in .csv", hint="e.g. -o maps.csv")
    if split not in _SPLITS:
        raise ConfigError(f"--split {split}: expected {', '.join(_SPLITS)}")


def _run(
    bundle: str,
    cases: Path,
    methods: list[str],
    split: str,
    settings: ScoreSettings,
    against: str,
    allow_seen: bool,
) -> tuple[pd.DataFrame, dict[str, Any], Scores]:
    from hilum.apps.explaining import Explainer
    from hilum.apps.map_scores.films import choose_films
    from hilum.apps.map_scores.scorer import MapScorer
    from hilum.apps.map_scores.table import summarise
    from hilum.bundle.seen import WEIGHTS
    from hilum.data.table import read_cases
    from hilum.learn.explain.randomise import randomised
    from hilum.serve.reader import load_bundle

    reader = load_bundle(bundle)
    explainer = Explainer(reader)
    choices = _choices(methods, explainer)
    _check_against(against, choices)
    table = read_cases(cases)
    seen = reader.bundle.seen(table)
    films = choose_films(table, _trained_on(seen, table), split, settings)
    seen = seen.among(films["case_id"]).refuse(allow=allow_seen, kinds=WEIGHTS)
    random = [
        Explainer(reader, randomised(explainer.module, settings.seed + number))
        for number in range(settings.networks)
    ]
    scores = MapScorer(explainer, choices, settings, random).score(films, _watch)
    seen = seen.with_copies(scores.copies).refuse(allow=allow_seen, kinds=WEIGHTS)
    about = _about(reader.bundle.identity, settings, choices)
    about["seen"] = seen.record(WEIGHTS).model_dump(mode="json")
    return summarise(scores.table(), settings, against), about, scores


def _choices(methods: list[str], explainer: Explainer) -> list[Choice]:
    import numpy as np

    from hilum.apps.explaining import Choice, default_choices

    if methods:
        return list(dict.fromkeys(Choice.parse(text) for text in methods))
    preprocess = explainer.reader.preprocess
    side = preprocess.size
    return default_choices(explainer, np.zeros((preprocess.channels, side, side), np.float32))


def _check_against(against: str, choices: list[Choice]) -> None:
    from hilum.apps.map_scores.settings import GREY, RANDOM, UNIFORM
    from hilum.core.maps import METHODS

    known = {*map(str, choices), *METHODS, UNIFORM, RANDOM, GREY}
    if against not in known:
        raise ConfigError(f"--against '{against}'", hint=did_you_mean(against, known))


def _trained_on(seen: Seen, cases: pd.DataFrame) -> frozenset[str]:
    """Name the films that the bundle's weights know: by its splits.csv, else by the table's."""
    from hilum.bundle.seen import WEIGHTS

    if seen.learned:
        return frozenset(seen.counted(WEIGHTS))
    if "split" not in cases:
        raise CohortError(
            f"{seen.bundle}: no splits.csv, and the cases table has no column split",
            hint="which films the bundle trained on must be known",
        )
    return frozenset(cases["case_id"][cases["split"] == "train"])


def _about(identity: str, settings: ScoreSettings, choices: list[Choice]) -> dict[str, Any]:
    from hilum.apps.annotated import TARGETS
    from hilum.apps.map_scores.settings import METRICS
    from hilum.core.reading import RESEARCH_USE

    return {
        "schema_version": "1",
        "bundle": identity,
        "command": command_line(),
        "settings": settings.model_dump(),
        "methods": {
            str(choice): {"title": choice.method.title, "source": choice.method.source}
            for choice in choices
        },
        "metrics": METRICS,
        "targets": {name: target.what for name, target in TARGETS.items()},
        "notice": RESEARCH_USE,
    }


def _records(table: pd.DataFrame) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(table.to_json(orient="records"))
    return found


def _write(table: pd.DataFrame, values: dict[str, Any], out: Path) -> None:
    from hilum.core.files import atomic_path, write_text

    out.parent.mkdir(parents=True, exist_ok=True)
    rounded = table.round(4)
    with atomic_path(out) as temporary:
        rounded.to_csv(temporary, index=False, lineterminator="\n")
    write_text(out.with_suffix(".json"), json.dumps(values, indent=1, allow_nan=False) + "\n")


def _print(table: pd.DataFrame, not_read: int, out: Path | None, seen: str) -> None:
    from rich.console import Console

    from hilum.core.reading import RESEARCH_USE

    console = Console()
    for (block, target, label), part in table.groupby(["block", "target", "label"], sort=False):
        console.print(_rich_table(part, f"{block}: {target}, maps of {label}"))
    console.print(f"Training films: {seen}.", markup=False)
    if not_read:
        console.print(f"{not_read} annotated films are refused by this bundle and not scored.")
    if out is not None:
        console.print(f"Written: {out}", markup=False, soft_wrap=True)
    console.print(RESEARCH_USE, style="dim")


def _rich_table(part: pd.DataFrame, title: str) -> Any:
    from rich.table import Table

    from hilum.apps.map_scores.settings import METRICS

    shown = [metric for metric in METRICS if metric in set(part["metric"])]
    counts = part[part["metric"] == "energy"]
    most = int(counts["n"].max()) if len(counts) else 0
    table = Table("method", *shown, title=f"{title} (n={most} films)", title_justify="left")
    for method in dict.fromkeys(part["method"]):
        rows = part[part["method"] == method].set_index("metric")
        cells = [_cell(rows.loc[metric]) if metric in rows.index else "" for metric in shown]
        table.add_row(method, *cells)
    return table


def _cell(row: Any) -> str:
    interval = "" if row.low != row.low else f" [{row.low:.2f}, {row.high:.2f}]"
    return f"{row.value:.2f}{interval}{' !' if row.flag else ''}"


def _watch(items: Iterable[Any], total: int) -> Iterable[Any]:
    """Show progress on stderr."""
    from tqdm import tqdm

    every_s = 0.5 if sys.stderr.isatty() else 20
    watched: Iterable[Any] = tqdm(items, total=total, unit="film", delay=2, mininterval=every_s)
    return watched
