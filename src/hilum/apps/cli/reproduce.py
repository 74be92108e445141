"""``hilum reproduce``: the founding papers' experiments, each with one command."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hilum.apps.cli.console import plain
from hilum.apps.cli.options import Data, Json, Settings, out_folder
from hilum.apps.cli.streams import print_json

if TYPE_CHECKING:
    from rich.table import Table

    from hilum.core.estimate import Estimate
    from hilum.learn.papers.abdelhady_2020 import AbdelhadyResult
    from hilum.learn.papers.usatov_kosik_2021 import UsatovKosikResult

papers_app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="rich",
    help="Repeat a founding paper's experiments, with the questions that it did not ask.",
)

Out = Annotated[Path, out_folder("Output folder.", show_default=False)]
Threads = Annotated[int, typer.Option(min=1, help="CPU threads of the training.")]


@papers_app.command("abdelhady-2020")
def abdelhady_2020(
    out: Out,
    data: Data = None,
    settings: Settings = None,
    threads: Threads = 2,
    as_json: Json = False,
) -> None:
    """Repeat Abdelhady (2020): 130 training and 18 test films, 100 epochs.

    Trains the published network as the paper did, then asks the same network under
    patient-grouped folds and within one source, beside a baseline that sees no lung. Needs
    covid-chestxray-dataset and chest_xray (Kermany) below the data folder. Writes one page,
    abdelhady-2020.html, and its pictures and numbers. If it is broken off, call it again: what
    was finished is kept. Settings: size, channels, epochs, batch_size, learning_rate,
    shear_degrees, zoom, flip, train_films, test_films, folds, seed.

    \b
    Example:
      hilum reproduce abdelhady-2020 --data ../shared/data -o out/
      hilum reproduce abdelhady-2020 --data ../shared/data -o quick/ --set epochs=5
    """
    _prepare(threads)
    from hilum.core.config import dotted
    from hilum.learn.papers.abdelhady_2020 import AbdelhadyOptions, reproduce_abdelhady

    options = AbdelhadyOptions.parse(dotted(settings), where="--set")
    result = reproduce_abdelhady(_collections(data), out, options)
    _say(result, _abdelhady_table(result), out, as_json=as_json)


@papers_app.command("usatov-kosik-2021")
def usatov_kosik_2021(
    out: Out,
    data: Data = None,
    settings: Settings = None,
    threads: Threads = 2,
    as_json: Json = False,
) -> None:
    """Repeat Usatov and Kosik (2021): ELU and ReLU, 1 and 3 channels, augmentation on and off.

    Trains the deep network in four variants and tests each as the paper did (6 films of class
    False, 12 of class True) and on all films of unseen patients; times 1 channel against 3; draws
    confusion matrix, ROC and the brightness map after layer 19. Needs covid-chestxray-dataset
    below the data folder. Writes one page, usatov-kosik-2021.html, and its pictures and numbers.
    If it is broken off, call it again: what was finished is kept. The paper's next step,
    segmentation by a fully convolutional network, is a recipe of 'hilum train':
    recipes/fully-convolutional.toml. Settings: size, epochs, batch_size, learning_rate, dropout,
    train_films, test_false, test_true, seed, augmentation.*.

    \b
    Example:
      hilum reproduce usatov-kosik-2021 --data ../shared/data -o out/
      hilum reproduce usatov-kosik-2021 --data ../shared/data -o quick/ --set epochs=2
    """
    _prepare(threads)
    from hilum.core.config import dotted
    from hilum.learn.papers.usatov_kosik_2021 import UsatovKosikOptions, reproduce_usatov_kosik

    options = UsatovKosikOptions.parse(dotted(settings), where="--set")
    result = reproduce_usatov_kosik(_collections(data), out, options)
    _say(result, _usatov_kosik_table(result), out, as_json=as_json)


def _prepare(threads: int) -> None:
    from hilum.core.extras import require

    require("train")
    from hilum.learn.memory import prepare_cpu

    prepare_cpu(threads)


def _collections(data: Path | None) -> Path:
    from hilum.apps.training import data_root
    from hilum.core.errors import ConfigError

    if (root := data_root(data)) is None:
        raise ConfigError(
            "where the collections lie is not known", hint="--data FOLDER, or set HILUM_DATA"
        )
    return root


def _say(
    result: AbdelhadyResult | UsatovKosikResult, table: Table, out: Path, *, as_json: bool
) -> None:
    if as_json:
        print_json(result)
        return

    console = plain()
    console.print(table)
    console.print(f"Written: {out / result.page}", soft_wrap=True)
    console.print(result.notice)


def _abdelhady_table(result: AbdelhadyResult) -> Table:
    table = _table(result.paper, "", "films", "accuracy", "loss", "AUROC")
    for row in result.rows:
        numbers = (_short(each) for each in (row.accuracy, row.loss, row.auroc))
        table.add_row(row.what, str(row.accuracy.n), *numbers)
    return table


def _usatov_kosik_table(result: UsatovKosikResult) -> Table:
    table = _table(
        f"{result.paper}: 1 channel takes {result.timing.ratio:.2f} of the time of 3",
        *("network", "accuracy as the paper", "AUROC, unseen patients", "training"),
    )
    for row in result.variants:
        numbers = (_short(each) for each in (row.paper_test.accuracy, row.wider_test.auroc))
        table.add_row(row.variant.name, *numbers, f"{row.seconds:.0f} s")
    table.add_row("nuisance baseline", "-", _short(result.nuisance.auroc), "-")
    return table


def _table(title: str, *headings: str) -> Table:
    from rich.table import Table

    return Table(*headings, title=title, title_justify="left")


def _short(estimate: Estimate) -> str:
    from hilum.learn.papers.judging import in_cell

    value, interval = in_cell(estimate)
    return f"{value} ({interval})" if interval and value != "-" else value
