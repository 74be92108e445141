"""``hilum audit``: does a model read lungs, or does it know where films come from?"""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from hilum.apps.cli.audit_print import print_audit
from hilum.apps.cli.options import (
    AllowSeen,
    Bootstrap,
    Bundle,
    CasesTable,
    Json,
    Label,
    MaxFilms,
    Only,
    Seed,
    Settings,
    Split,
    out_folder,
    refuse_options,
)
from hilum.apps.cli.streams import print_json
from hilum.core.command import command_line
from hilum.core.errors import EXIT_AUDIT_FAILED

if TYPE_CHECKING:
    import pandas as pd

    from hilum.serve.audit.subject import AuditSubject, FindLungs


def audit(
    ctx: typer.Context,
    cases: CasesTable,
    bundle: Bundle = None,
    out: Annotated[
        Path | None,
        out_folder(
            "Folder for audit.html, JSON and CSVs.",
            files=("audit.html", "audit.json", "tests.csv", "parts.csv", "scores.csv"),
        ),
    ] = None,
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
        Literal["sigmoid", "softmax", "none"], typer.Option(help="Of that output.")
    ] = "sigmoid",
    scores: Annotated[
        Path | None, typer.Option(help="Audit a table: case_id, score (and label, probability).")
    ] = None,
    label: Label = "covid-19",
    split: Split = "all",
    threshold: Annotated[
        float | None, typer.Option(help="A film is called from this score on.", min=0, max=1)
    ] = None,
    lungs: Annotated[
        Literal["network", "table", "none"],
        typer.Option(help="Where lungs come from; table: its column lung_mask."),
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
    only: Only = None,
    settings: Settings = None,
    max_films: MaxFilms = 300,
    bootstrap: Bootstrap = 1000,
    seed: Seed = 0,
    allow_seen: AllowSeen = False,
    as_json: Json = False,
) -> None:
    """Audit a model: a verdict for each test, with its value, interval and limit.

    The model may be a bundle, a Python function (films -> scores), an ONNX
    file with its preprocessing, or a table of scores made elsewhere. Films that
    the gate of a bundle refuses are counted, never scored. --only names tests,
    --set changes a limit. Exit code 10 if a test failed or the model is
    uninformative, 0 otherwise; a test that could not be run is never counted as
    passed.

    \b
    Example:
      hilum audit cases.csv -b our-bundle -o out/
      hilum audit cases.csv --predict mymodel:predict --threshold 0.5 -o out/
      hilum audit cases.csv --scores vendor.csv -o out/
    """
    if sum(each is not None for each in (bundle, predict, onnx, scores)) > 1:
        raise typer.BadParameter("give -b, --predict, --onnx or --scores; not several")
    if onnx is None:
        of_onnx = ("preprocess", "output_name", "output_index", "activation")
        refuse_options(ctx, of_onnx, "a model other than --onnx")
    if scores is not None:
        refuse_options(ctx, ("lungs",), "--scores, which opens no film")
    from hilum.core.extras import require

    require("evaluate")
    from hilum.core.config import dotted
    from hilum.data.table import read_cases
    from hilum.judge.audit.limits import AuditLimits
    from hilum.serve.audit import audit as run

    rows = read_cases(cases)
    find_lungs = None if scores else _lungs(lungs, bundle, rows)
    found = run(
        subject=None if scores else _subject(
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
        limits=AuditLimits.parse(dotted(settings), where="--set"),
        only=only or (),
        max_films=max_films,
        allow_seen=allow_seen,
        folds=bootstrap,
        seed=seed,
        out=out,
        name=scores.name if scores else "",
        cases_name=cases.name,
        command=command_line(),
        progress=not as_json,
    )  # fmt: skip
    if as_json:
        print_json(found)
    else:
        print_audit(found, out)
    if found.verdict in ("fail", "uninformative"):
        raise typer.Exit(EXIT_AUDIT_FAILED)


def _subject(
    bundle: Path | None,
    predict: str | None,
    onnx: Path | None,
    preprocess: Path | None,
    output_name: str | None,
    output_index: int,
    activation: Literal["sigmoid", "softmax", "none"],
    label: str,
    find_lungs: FindLungs | None,
) -> AuditSubject:
    from hilum.image.preprocess import Preprocess
    from hilum.serve.audit import BundleSubject, OnnxSubject, PredictSubject
    from hilum.serve.reader import load_bundle

    if predict is not None:
        return PredictSubject(_function(predict), predict)
    if onnx is None:
        return BundleSubject(load_bundle(bundle), label, find_lungs)
    if preprocess is None:
        raise typer.BadParameter("--onnx needs --preprocess SPEC.toml")
    return OnnxSubject(
        onnx,
        Preprocess.load(preprocess),
        output=output_name,
        index=output_index,
        activation=activation,
        find_lungs=find_lungs,
    )


def _function(named: str) -> Any:
    """Import MODULE:FUNCTION, from the current folder as well."""
    from hilum.core.errors import ConfigError

    module, _, function = named.partition(":")
    sys.path.insert(0, str(Path.cwd()))
    try:
        found = getattr(import_module(module), function)
    except Exception as error:  # whatever the module does when it is imported
        raise ConfigError(
            f"--predict {named}: {type(error).__name__}: {error}",
            hint="expected MODULE:FUNCTION, e.g. mymodel:predict",
        ) from None
    finally:
        sys.path.pop(0)
    return found


def _lungs(where: str, bundle: Path | None, cases: pd.DataFrame) -> FindLungs | None:
    """From a film to its lungs: the bundle's own network, else the built-in one, or masks."""
    from hilum.bundle.folder import DEFAULT_BUNDLE, is_built_in, manifest_of
    from hilum.bundle.lungs import LUNGS, LungSegmenter
    from hilum.bundle.onepass import open_segmenter
    from hilum.serve.audit.subject import lungs_of_table

    if where == "none":
        return None
    if where == "table":
        return lungs_of_table(cases)
    root = DEFAULT_BUNDLE if bundle is None or is_built_in(bundle) else bundle
    has_own = (root / LUNGS).is_file() or manifest_of(root).maps
    segmenter = open_segmenter(root) if has_own else LungSegmenter(threads=1)
    return segmenter.segment  # films open in threads


def _table(path: Path | None) -> pd.DataFrame | None:
    from hilum.judge.predictions import read_scores

    return None if path is None else read_scores(path)
