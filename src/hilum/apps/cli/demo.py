"""``hilum demo``: the built-in films, read by the built-in bundle."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hilum.apps.cli.options import Bundle, Json, out_folder
from hilum.core.files import atomic_path

if TYPE_CHECKING:
    from hilum.apps.cli.sinks import Sink
    from hilum.serve.reader import Reader
    from hilum.serve.samples import Sample


def demo(
    out: Annotated[Path, out_folder("Folder for the films and the report.")] = Path("hilum-demo"),
    bundle: Bundle = None,
    as_json: Json = False,
) -> None:
    """Read the built-in films, print the table, write the report. Needs no data, no network.

    The films are virtual radiographs: calculated from a public chest CT as an
    X-ray machine would have taken them. One shows opacities that
    were put into the CT, so what is there is known. The model was trained on
    real films; the demo shows how Hilum works, not how well it reads.

    OUT/films holds the films, to try the other verbs on; OUT/report.html opens
    in any browser. With --json the readings are printed, one object a line.

    \b
    Example:
      hilum demo -o demo && hilum show demo/films/frontal.dcm
    """
    from hilum.apps.cli.sinks import JsonLines
    from hilum.apps.cli.table import ReadingTable
    from hilum.serve.reader import load_bundle
    from hilum.serve.samples import WHAT_IS_VIRTUAL, WHAT_TO_MIND, read_samples

    reader = load_bundle(bundle)
    samples = read_samples()
    films = [_copy(sample, out / "films") for sample in samples]
    if as_json:
        _read(reader, films, out, JsonLines())
        return
    typer.echo(f"{WHAT_IS_VIRTUAL}\n")
    report = _read(reader, films, out, ReadingTable(reader.bundle))
    typer.echo("\nWhat the films show:")
    for sample in samples:
        typer.echo(f"  {sample.file:<22} {sample.title}")
    typer.echo(f"{WHAT_TO_MIND}\n\nReport: {report} (open it in a browser)")
    typer.echo(f"Next: hilum show {out / 'films' / 'frontal.dcm'}; hilum read --help")


def _copy(sample: Sample, folder: Path) -> Path:
    """Copy a film and its masks out of the package, for the user to try things on."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in (sample.file, sample.lung_mask, sample.lesion_mask):
        if name is not None:
            with atomic_path(folder / name) as temporary:
                temporary.write_bytes(sample.path.with_name(name).read_bytes())
    return folder / sample.file


def _read(reader: Reader, films: list[Path], out: Path, sink: Sink) -> Path:
    """Read the films into the sink and the report; return where the report lies."""
    from hilum.serve.report import HtmlReport
    from hilum.serve.samples import WHAT_IS_VIRTUAL, WHAT_TO_MIND

    intro = f"{WHAT_IS_VIRTUAL} {WHAT_TO_MIND}"
    report = HtmlReport(reader, title="Demo: five virtual radiographs", intro=intro)
    for examined in reader.examine(films, details=True, keep=True):
        sink.add(examined)
        report.add(examined)
    sink.close()
    report.write(out / "report.html")
    return out / "report.html"
