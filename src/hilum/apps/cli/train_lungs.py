"""``hilum train`` with a recipe whose task is "lungs": the network that finds the lungs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import typer

from hilum.apps.cli.streams import json_text

TASKS = ("lungs", "gate")


def task_of(recipe: Path) -> str | None:
    """Return the task of a recipe, its first line: one of ``TASKS``, or None for a classifier.

    Raises:
        ConfigError: no such file, not TOML, or another task.
    """
    from hilum.core.config import did_you_mean, read_toml
    from hilum.core.errors import ConfigError

    task = read_toml(recipe).get("task")
    if task is not None and task not in TASKS:
        raise ConfigError(
            f"{recipe}: task {task!r}; expected {' or '.join(map(repr, TASKS))}, or none for a "
            "classifier",
            hint=did_you_mean(str(task), TASKS),
        )
    return task


def train_lungs(
    recipe: Path, settings: list[str], out: Path, root: Path | None, *, resume: bool, as_json: bool
) -> None:
    """Train the lung network, and print what it is worth on held-out patients."""
    from hilum.core.command import command_line
    from hilum.learn.lungs.recipe import LungRecipe
    from hilum.learn.lungs.run import train_lungs as run

    trained = run(
        LungRecipe.load(recipe, settings),
        out,
        root=root,
        command=command_line(),
        resume=resume,
        tell=lambda line: typer.secho(line, fg="bright_black", err=True),
    )
    if as_json:
        typer.echo(json_text(trained.spec.model_dump_json(indent=2)))
    else:
        _print_table(trained.spec.measured, trained.folder)


def _print_table(measured: dict[str, Any], folder: Path) -> None:
    from rich.console import Console
    from rich.table import Table

    from hilum.core.estimate import Estimate
    from hilum.core.reading import RESEARCH_USE

    table = Table(title="Held-out patients: Dice", title_justify="left", box=None, pad_edge=False)
    for heading in ("collection", "films", "n", "Dice", "5th %", "hd95 %"):
        table.add_column(heading)
    parts = {**measured["collections"], "all": measured["kinds"]}
    for collection, kinds in parts.items():
        for kind, numbers in kinds.items():
            dice, edge = (Estimate.model_validate(numbers[name]) for name in ("dice", "hd95"))
            interval = f"{dice.value:.3f} [{dice.low:.3f}, {dice.high:.3f}]"
            low = f"{numbers['dice_percentile_5']:.3f}"
            table.add_row(collection, kind, str(dice.n), interval, low, f"{100 * edge.value:.1f}")
    console = Console()
    console.print(table)
    console.print("hd95: 95 % Hausdorff distance, in % of the long side of the film")
    console.print(f"{folder / 'lungs.onnx'}   {folder / 'lungs.json'}", soft_wrap=True)
    console.print(RESEARCH_USE)
