"""``hilum audit``: does a model read lungs? And ``hilum audit lists``: could a split tell?"""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from hilum.apps.cli.audit_print import print_audit, print_lists
from hilum.apps.cli.places import out_folder
from hilum.apps.cli.seen import AllowSeen
from hilum.apps.cli.streams import json_text
from hilum.core.command import command_line
from hilum.core.errors import EXIT_AUDIT_FAILED

if TYPE_CHECKING:
    import pandas as pd

    from hilum.judge.audit.schema import Audit
    from hilum.serve.audit.subject import FindLungs, Subject

_MODEL = "model"


class _ModelByDefault(TyperGroup):
    """``hilum audit BUNDLE ...`` is ``hilum audit model BUNDLE ...``.

    A bundle in a folder that is called like a command is named with its path: ``./lists``.
    """

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if args and args[0] not in {*self.commands, "--help", "-h"}:
            args = [_MODEL, *args]
        return super().parse_args(ctx, args)


audit_app = typer.Typer(
    cls=_ModelByDefault,
    no_args_is_help=True,
    rich_markup_mode="rich",
    help="Test whether a model reads lungs or knows where films come from; any model, any split."
    "\n\n`hilum audit BUNDLE cases.csv -o out/` audits a bundle; `hilum audit model --help` "
    "has every option.",
)

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def register(app: typer.Typer, panel: str) -> None:
    """Add the verb to the command line."""
    app.add_typer(audit_app, name="audit", rich_help_panel=panel)


@audit_app.command(_MODEL)
def model(
    bundle: Annotated[
        str | None,
        typer.Argument(metavar="[BUNDLE]", help="Bundle folder, or 'default' for the built-in."),
    ] = None,
    cases: Annotated[
        Path | None, typer.Argument(metavar="CASES.csv", help="Cases table with the label.")
    ] = None,
    out: Annotated[Path | None, out_folder("Folder for audit.html, JSON and CSVs.")] = None,
    predict: Annotated[
        str | None,
        typer.Option(metavar="MODULE:FUNCTION", help="Audit a function: films -> scores."),
    ] = None,
    onnx: Annotated[Path | None, typer.Option(help="Audit an ONNX file; see --preprocess.")] = None,
    preprocess: Annotated[
        Path | None, typer.Option(help="TOML: size, channels, fit, mean, std, ... of --onnx.")
    ] = None,
    output_name: Annotated[
        str | None, typer.Option(help="Output of --onnx; default its first.")
    ] = None,
    output_index: Annotated[int, typer.Option(help="Column of the label in it.", min=0)] = 0,
    activation: Annotated[
        str, typer.Option(help="Of that output: sigmoid, softmax or none.")
    ] = "sigmoid",
    scores: Annotated[
        Path | None, typer.Option(help="Audit a table: case_id, score (and label, probability).")
    ] = None,
    label: Annotated[str, typer.Option(help="Column of the cases table.")] = "covid-19",
    split: Annotated[
        str, typer.Option(help="Rows: a value of 'split', 'fold=2', or 'all'.")
    ] = "all",
    threshold: Annotated[
        float | None, typer.Option(help="A film is called from this score on.", min=0, max=1)
    ] = None,
    lungs: Annotated[
        str, typer.Option(help="Where lungs come from: network, table (lung_mask), or none.")
    ] = "network",
    loso: Annotated[
        Path | None,
        typer.Option(help="case_id, truth, score by models that never saw the film's source."),
    ] = None,
    learned: Annotated[
        list[str] | None,
        typer.Option(
            help="Cohort or source that the model learned from; repeat. A bundle knows its own."
        ),
    ] = None,
    only: Annotated[list[str] | None, typer.Option(help="Run this test; repeat for more.")] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="Another limit: NAME=VALUE.")
    ] = None,
    max_films: Annotated[
        int, typer.Option(help="Most films, spread over cohort and class; 0: all.", min=0)
    ] = 300,
    bootstrap: Annotated[
        int, typer.Option(help="Resamples of patients; 0: no intervals.", min=0)
    ] = 1000,
    seed: Annotated[int, typer.Option(help="Of every random draw.", min=0)] = 0,
    allow_seen: AllowSeen = False,
    as_json: Json = False,
) -> None:
    """Audit a model: a verdict for each test, with its value, interval and limit.

    The model may be a bundle, a Python function (films -> scores), an ONNX
    file with its preprocessing, or a table of scores made elsewhere. Exit
    code 10 if a test failed or the model is uninformative, 0 otherwise; a
    test that could not be run is never counted as passed.

    [bold]Example:[/bold] hilum audit default cases.csv -o out/

    [bold]Example:[/bold] hilum audit --predict mymodel:predict cases.csv
    --threshold 0.5 -o out/

    [bold]Example:[/bold] hilum audit --scores vendor.csv cases.csv -o out/
    """
    bundle, table = _positional(bundle, cases, predict, onnx, scores)
    from hilum.core.extras import require

    require("evaluate")
    from hilum.data.table import read_cases
    from hilum.judge.audit.limits import AuditLimits
    from hilum.serve.audit import audit

    rows = read_cases(table)
    find_lungs = None if scores else _lungs(lungs, bundle, rows)
    found = audit(
        subject=_subject(
            bundle, predict, onnx, preprocess, output_name, output_index, activation, label,
            find_lungs,
        ),
        scores=_table(scores),
        cases=rows,
        split=None if split == "all" else split,
        label=label,
        threshold=threshold,
        find_lungs=find_lungs,
        learned=learned or None,
        loso=_table(loso),
        limits=AuditLimits.parse(_overrides(settings), where="--set"),
        only=only or (),
        max_films=max_films,
        allow_seen=allow_seen,
        folds=bootstrap,
        seed=seed,
        out=out,
        name=scores.name if scores else "",
        cases_name=table.name,
        command=command_line(),
        progress=not as_json,
    )  # fmt: skip
    _say(found, out, as_json)


@audit_app.command("lists")
def lists(
    train: Annotated[Path, typer.Argument(help="A COVIDx list (.txt), or a cases table (.csv).")],
    test: Annotated[
        Path | None,
        typer.Argument(help="The other side; left out, TRAIN has a column 'split'."),
    ] = None,
    label: Annotated[str, typer.Option(help="Which label.")] = "covid-19",
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="Another limit, e.g. lookup=0.6.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Audit a split: what would a look-up from source to majority label score on test?

    Prints the films by source and class on both sides, what the look-up
    reaches, and every patient or file that stands on both sides. Exit code 10
    if the split fails.

    [bold]Example:[/bold] hilum audit lists train_COVIDx9B.txt test_COVIDx9B.txt

    [bold]Example:[/bold] hilum audit lists split.csv
    """
    from hilum.judge.audit.lists import ListLimits, audit_lists

    sides = _sides(train, test)
    names = (train.name, test.name if test else f"{train.name}, split 'test'")
    limits = ListLimits.parse(_overrides(settings), where="--set")
    found = audit_lists(*sides, label=label, names=names, limits=limits)
    if as_json:
        typer.echo(json_text(found.model_dump_json()))
    else:
        print_lists(found)
    if not found.passed:
        raise typer.Exit(EXIT_AUDIT_FAILED)


def _positional(
    bundle: str | None,
    cases: Path | None,
    predict: str | None,
    onnx: Path | None,
    scores: Path | None,
) -> tuple[str | None, Path]:
    """Sort out which positional argument is which; other models take the cases table alone."""
    others = [one for one in (predict, onnx, scores) if one is not None]
    if len(others) > 1:
        raise typer.BadParameter("give one of --predict, --onnx and --scores")
    if others and cases is not None:
        raise typer.BadParameter("give BUNDLE, or one of --predict, --onnx and --scores; not both")
    if others and bundle is not None:
        return None, Path(bundle)
    if bundle is None or cases is None:
        raise typer.BadParameter(
            "expected BUNDLE CASES.csv, or CASES.csv with --predict, --onnx or --scores"
        )
    return bundle, cases


def _subject(
    bundle: str | None,
    predict: str | None,
    onnx: Path | None,
    preprocess: Path | None,
    output_name: str | None,
    output_index: int,
    activation: str,
    label: str,
    find_lungs: FindLungs | None,
) -> Subject | None:
    from hilum.core.errors import ConfigError
    from hilum.image.preprocess import Preprocess
    from hilum.serve.audit import BundleSubject, OnnxSubject, PredictSubject
    from hilum.serve.reader import load_bundle

    if bundle is not None:
        reader = load_bundle(bundle)
        return BundleSubject(reader, label, find_lungs)
    if predict is not None:
        return PredictSubject(_function(predict), predict)
    if onnx is None:
        return None
    if preprocess is None:
        raise typer.BadParameter("--onnx needs --preprocess SPEC.toml")
    if activation not in ("sigmoid", "softmax", "none"):
        raise ConfigError(f"--activation {activation}: expected sigmoid, softmax or none")
    return OnnxSubject(
        onnx,
        Preprocess.load(preprocess),
        output=output_name,
        index=output_index,
        activation=activation,  # type: ignore[arg-type] # checked above
        find_lungs=find_lungs,
    )


def _function(named: str) -> Any:
    """Import MODULE:FUNCTION, from the current folder as well."""
    from hilum.core.errors import ConfigError

    module, _, function = named.partition(":")
    sys.path.insert(0, str(Path.cwd()))
    try:
        found = getattr(import_module(module), function)
    except (ImportError, AttributeError, ValueError) as error:
        raise ConfigError(
            f"--predict {named}: {error}", hint="expected MODULE:FUNCTION, e.g. mymodel:predict"
        ) from None
    finally:
        sys.path.pop(0)
    return found


def _lungs(where: str, bundle: str | None, cases: pd.DataFrame) -> FindLungs | None:
    """From a film to its lungs: the bundle's own network, else the built-in one, or masks."""
    from hilum.bundle.folder import DEFAULT_BUNDLE, manifest_of
    from hilum.bundle.lungs import LUNGS, LungSegmenter
    from hilum.bundle.onepass import open_segmenter
    from hilum.core.errors import ConfigError
    from hilum.serve.audit.masks import lungs_of_table

    if where == "none":
        return None
    if where == "table":
        return lungs_of_table(cases)
    if where != "network":
        raise ConfigError(f"--lungs {where}: expected network, table or none")
    root = DEFAULT_BUNDLE if bundle in (None, "default") else Path(str(bundle))
    has_own = (root / LUNGS).is_file() or manifest_of(root).maps
    segmenter = open_segmenter(root) if has_own else LungSegmenter(threads=1)
    return segmenter.segment  # films open in threads


def _sides(train: Path, test: Path | None) -> tuple[pd.DataFrame, pd.DataFrame]:
    from hilum.core.errors import CohortError
    from hilum.data.table import read_cases

    if test is not None:
        return _side(train, "train"), _side(test, "test")
    cases = read_cases(train)
    if "split" not in cases:
        raise CohortError(
            f"{train}: no column 'split'", hint="name both lists, or make one with 'hilum split'"
        )
    return cases[cases["split"] == "train"], cases[cases["split"] == "test"]


def _side(path: Path, split: str) -> pd.DataFrame:
    from hilum.data.adapters.covidx import read_covidx_list
    from hilum.data.table import read_cases

    if path.suffix.lower() == ".csv":
        return read_cases(path)
    return read_covidx_list(path, split).cases


def _table(path: Path | None) -> pd.DataFrame | None:
    from hilum.judge.predictions import read_scores

    return None if path is None else read_scores(path)


def _overrides(settings: list[str] | None) -> dict[str, Any]:
    from hilum.core.config import set_dotted

    values: dict[str, Any] = {}
    for setting in settings or []:
        set_dotted(values, setting)
    return values


def _say(found: Audit, out: Path | None, as_json: bool) -> None:
    if as_json:
        typer.echo(json_text(found.model_dump_json()))
    else:
        print_audit(found, out)
    if found.verdict in ("fail", "uninformative"):
        raise typer.Exit(EXIT_AUDIT_FAILED)
