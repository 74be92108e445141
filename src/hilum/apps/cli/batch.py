"""``hilum batch``: films by the million, from wherever they lie, into Parquet files."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import redirect_stdout
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from hilum.apps.cli.options import (
    Bundle,
    Details,
    Force,
    Json,
    MaxMegapixels,
    OperatingPoint,
    Prevalence,
    out_place,
)
from hilum.apps.cli.streams import print_json, tell_not_restated
from hilum.core.errors import EXIT_SOME_NOT_READ, ConfigError, HilumError


def batch(
    source: Annotated[
        str,
        typer.Argument(metavar="SOURCE", help="Folder, list, archive or address of films."),
    ],
    dest: Annotated[str, out_place("Folder, or address, for the files of readings.")],
    bundle: Bundle = None,
    executor: Annotated[
        Literal["local", "ray"],
        typer.Option("--executor", help="Read on this machine, or on a Ray cluster."),
    ] = "local",
    address: Annotated[
        str | None,
        typer.Option(
            "--address", help="Of the Ray cluster, or auto; default: one started on this machine."
        ),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option("--workers", min=1, help="Shards read at a time; default: one a core."),
    ] = None,
    shard_films: Annotated[
        int, typer.Option("--shard-films", min=1, help="Films of one shard, and of one file.")
    ] = 500,
    details: Details = False,
    operating_point: OperatingPoint = None,
    prevalence: Prevalence = None,
    force: Force = False,
    max_megapixels: MaxMegapixels = 100.0,
    as_json: Json = False,
) -> None:
    """Read films by the million into Parquet files, and go on where a run was broken off.

    SOURCE is a folder, a list of films (.txt, one a line; .csv, .tsv or
    .parquet with a column "address" or "path"), an archive (.zip, .tar,
    .tar.gz), or the address of one: s3://, https://, and with their packages
    gs:// and az://. Archives in a folder or list are read, too.

    Films are read in shards. Each becomes one file, OUT/readings/shard-N.parquet,
    written whole or not at all, with a row for every film: also for those
    that were refused or could not be opened or fetched. When the run is
    broken off, or a machine is lost, type the same command again: only shards
    without a file are read, and each file has the same bytes as if nothing
    had happened. The list of films is made once, by the first run.

    A film that ends the process that reads it is one row with an error; a
    shard is begun four times at most. OUT/manifest.json names every file with
    its checksum, OUT/summary.json says how many films were read, refused and
    why, and how fast. With --json what happens is printed, one object a line;
    the last is the summary. Exit code 0: all were read; 3: some were not; 1:
    a shard was given up.

    \b
    Example:
      hilum batch s3://ward/2026/ -o readings --workers 8
    """
    from hilum.core.extras import require

    require("batch")
    if address is not None and executor != "ray":
        raise ConfigError("--address is of a Ray cluster", hint="say --executor ray, too")
    from hilum.apps.batch.run import Executor, Local, OnRay, RunPlan, plan_run, run
    from hilum.apps.batch.shard import ShardJob
    from hilum.apps.batch.source import is_remote
    from hilum.bundle.folder import open_bundle
    from hilum.core.machine import engine
    from hilum.judge.decisions import whose_prevalence
    from hilum.serve.findings import check_prevalence, choose_points

    if not is_remote(source):
        source = str(Path(source).absolute())
    if not is_remote(dest):
        dest = str(Path(dest).absolute())
    opened = open_bundle(bundle)
    choose_points(opened.manifest, operating_point)
    tell_not_restated(check_prevalence(opened.manifest, prevalence))
    on = engine()
    wanted = RunPlan(
        source=source,
        bundle=opened.identity,
        operating_point=operating_point,
        prevalence=prevalence,
        prevalence_of=None
        if prevalence is None
        else whose_prevalence(output.label.value for output in opened.manifest.labels),
        force=force,
        details=details,
        max_megapixels=max_megapixels,
        engine=on,
        shard_films=shard_films,
    )
    plan = plan_run(wanted, dest)
    where = None if bundle is None else str(bundle.absolute())
    job = ShardJob(
        dest,
        where,
        opened.identity,
        operating_point,
        prevalence,
        force,
        details,
        max_megapixels,
        on,
    )
    at_work: Executor = OnRay(job, address, workers) if executor == "ray" else Local(job, workers)
    summary: dict[str, Any] = {}
    why = ""
    answers = sys.stdout
    with redirect_stdout(sys.stderr):  # Ray prints there, too, what it lost, also at its end
        try:
            for event in _watched(run(plan, dest, at_work), plan.films, shown=not as_json):
                if as_json:
                    print_json(event, to=answers)
                    answers.flush()
                summary, why = event, event.get("reason", why)
        finally:
            at_work.close()
    if not as_json:
        _print(summary, dest)
    if lost := summary["unfinished_shards"]:
        raise HilumError(
            f"{len(lost)} of {plan.shards} shards were given up, the first is {lost[0]}: {why}",
            hint="type the same command again: it reads only these",
        )
    if summary["read"] < summary["films"]:
        raise typer.Exit(EXIT_SOME_NOT_READ)


def _watched(
    events: Iterator[dict[str, Any]], films: int, *, shown: bool
) -> Iterator[dict[str, Any]]:
    """Show on stderr how far it is, unless the events are printed."""
    from tqdm import tqdm

    every_s = 0.5 if sys.stderr.isatty() else 10
    with tqdm(total=films, unit="film", delay=2, mininterval=every_s, disable=not shown) as bar:
        for event in events:
            if event["event"] == "shard":
                bar.update(event["films"])
            elif event["event"] in ("lost", "given-up"):
                bar.set_postfix_str(f"shard {event['shard']}: {event['event']}")
            yield event


def _print(summary: dict[str, Any], dest: str) -> None:
    run = summary["this_run"]
    counts = ", ".join(f"{summary[each]:,} {each}" for each in ("read", "refused", "error"))
    typer.echo(f"{summary['films']:,} films: {counts}")
    for kind in ("refusals", "errors"):
        for reason, count in summary[kind].items():
            typer.echo(f"  {count:9,}  {reason}")
    typer.echo(
        f"this run: {run['films']:,} films in {run['seconds']:,.1f} s, "
        f"{run['films_per_second']:,.1f} a second"
    )
    typer.echo(f"{dest}: {summary['shards']} shards; bundle {summary['bundle']}")
