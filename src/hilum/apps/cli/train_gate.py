"""``hilum train`` with a recipe whose task is "gate": what decides which films are read."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    import pandas as pd

GATE = "gate"


def task_of(recipe: Path) -> str | None:
    """Return the task of a recipe, its first line: ``GATE``, or None for a network that reads.

    Raises:
        ConfigError: no such file, not TOML, or another task.
    """
    from hilum.core.config import read_toml
    from hilum.core.errors import ConfigError

    task = read_toml(recipe).get("task")
    if task not in (None, GATE):
        gone = "recipes/dense.toml finds lungs and opacities with the network that reads"
        raise ConfigError(
            f"{recipe}: task {task!r}; expected '{GATE}', or none for a network that reads films",
            hint=gone if task == "lungs" else "",
        )
    return task


def train_gate(
    recipe: Path,
    settings: list[str],
    out: Path,
    root: Path | None,
    *,
    resume: bool,
    lungs: Path | None,
    as_json: bool,
) -> None:
    """Fit the gate, and print what becomes of pictures held out."""
    from hilum.core.command import command_line
    from hilum.learn.gate.recipe import GateRecipe
    from hilum.learn.gate.run import fit_recipe

    fitted = fit_recipe(
        GateRecipe.load(recipe, settings),
        out,
        root=root,
        command=command_line(),
        resume=resume,
        lungs=lungs,
        tell=lambda line: typer.secho(line, fg="bright_black", err=True),
    )
    if as_json:
        import json

        typer.echo(json.dumps(fitted.spec.measured, indent=2, allow_nan=False))
    else:
        _print_tables(fitted.kinds, fitted.cohorts, fitted.folder)


def _print_tables(kinds: pd.DataFrame, cohorts: pd.DataFrame, folder: Path) -> None:
    from rich.console import Console
    from rich.table import Table

    from hilum.core.reading import RESEARCH_USE

    pictures = Table(title="Pictures held out by patient, refused", title_justify="left")
    for heading in ("kind", "pictures", "right reason", "any reason", "kind never seen"):
        pictures.add_column(heading)
    for row in kinds.to_dict("records"):
        shares = [_percent(row[n]) for n in ("right_reason", "refused", "refused_unforeseen")]
        pictures.add_row(str(row["kind"]), str(row["pictures"]), *shares)
    good = Table(title="Good films of adults, refused", title_justify="left")
    for heading in ("collection", "films", "patients held out", "collection left out", "reasons"):
        good.add_column(heading)
    for row in cohorts.to_dict("records"):
        shares = [_percent(row[name]) for name in ("refused", "refused_left_out")]
        good.add_row(str(row["cohort"]), str(row["films"]), *shares, str(row["reasons"]))
    console = Console()
    console.print(pictures)
    console.print(good)
    console.print(str(folder / "gate.json"), soft_wrap=True)
    console.print(RESEARCH_USE)


def _percent(share: float) -> str:
    return "-" if share != share else f"{share:.1%}"
