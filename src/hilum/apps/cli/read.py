"""``hilum read``: films in, readings out; as a table, JSON lines, a page, a PDF, overlays."""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from hilum.apps.cli import streams
from hilum.apps.cli.options import (
    Bundle,
    Details,
    Films,
    Force,
    Json,
    MaxMegapixels,
    OperatingPoint,
    Prevalence,
    out_file,
    out_folder,
    out_path,
)
from hilum.core.errors import EXIT_SOME_NOT_READ, ConfigError
from hilum.core.files import check_spared
from hilum.core.machine import ENGINE
from hilum.core.prefetch import watched

if TYPE_CHECKING:
    from hilum.apps.cli.sinks import Sink
    from hilum.serve.reader import Examined


_FEW = 10


def read(
    paths: Films,
    bundle: Bundle = None,
    as_json: Json = False,
    csv: Annotated[
        Path | None, out_file("Write a row a film to this file, for a spreadsheet.", "--csv")
    ] = None,
    html: Annotated[Path | None, out_file("Write a page to this file.", "--html")] = None,
    pdf: Annotated[
        Path | None,
        out_path(
            "Write a PDF page a film: NAME.pdf for one file, else a folder of files.", "--pdf"
        ),
    ] = None,
    paper: Annotated[
        Literal["A4", "Letter"], typer.Option("--paper", help="Size of the pages of --pdf.")
    ] = "A4",
    heatmap: Annotated[
        Path | None, out_folder("Write an overlay PNG a label to this folder.", "--heatmap")
    ] = None,
    heatmap_side: Annotated[
        int,
        typer.Option(help="Longest side of a film in its overlay, in pixels; 0: its own.", min=0),
    ] = 1024,
    dicom: Annotated[
        Path | None, out_folder("Write DICOM objects for the archive to this folder.", "--dicom")
    ] = None,
    objects: Annotated[
        str, typer.Option(help="Kinds of --dicom: sr, seg, gsps, sc, pdf; several with commas.")
    ] = "sr,sc",
    fhir: Annotated[
        Path | None, out_folder("Write a FHIR R4 bundle a film to this folder.", "--fhir")
    ] = None,
    masks: Annotated[
        Path | None,
        out_folder("Write the lungs of each film, at its size, to this folder.", "--masks"),
    ] = None,
    details: Details = False,
    operating_point: OperatingPoint = None,
    prevalence: Prevalence = None,
    force: Force = False,
    max_megapixels: MaxMegapixels = 100.0,
    engine: Annotated[
        str,
        typer.Option(
            "--engine",
            envvar=ENGINE,
            help="What runs the networks: cpu, cuda, tensorrt, coreml, openvino.",
        ),
    ] = "cpu",
) -> None:
    """Read chest radiographs: probability, finding at an operating point, heatmap, report.

    Content decides what a file is, not its name: PNG, JPEG, TIFF, WEBP, BMP
    and DICOM are read. A folder gives every file beneath it (hidden ones
    apart); a folder that cannot be entered is a row with an error, a link to
    a folder elsewhere too. A file that cannot be opened ("error") or should
    not be read ("refused") keeps its row, with the reason and no probability.
    A film that is certainly inverted or turned is corrected first, and says
    so.

    The probability holds for your --prevalence, the share of films with
    COVID-19 pneumonia (of the bundle's first label, where it has no COVID-19)
    where yours come from; the odds of the other labels move by the same
    factor. Without it, for the shares that the bundle states. The table names
    them. Where a label has no calibration the probability equals the score,
    whatever the prevalence: it ranks films, and is no frequency. A film may
    be "indeterminate": neither answer can be ruled out. --operating-point is
    the threshold that says "present"; 'hilum bundle show' lists them.

    With --details a reading also says where the lungs and the opacities lie,
    what share of each lung and zone is opaque, severity scores of the
    literature ("research score") and the most similar films that the model
    was trained on, as far as the bundle carries the parts for it. --html,
    --pdf, --dicom and --fhir imply it. A page of the PDF names the film's file, not its folders.
    Into a folder go NAME.pdf, also for films that were refused. --masks writes
    NAME.mask.png: 8 bits, 255 inside the lungs; of a refused film too, where
    they were found. It is where lungs lie, no measurement of their volume.

    --dicom writes NAME.sr.dcm and so on: objects of the film's own patient
    and study, marked as research use, for films that were read and that are
    DICOM files. The same film and bundle give the same bytes and UIDs.
    --fhir writes NAME.fhir.json of films that were read: a transaction Bundle
    with a DiagnosticReport and Observations, all "preliminary".
    --engine needs a build of ONNX Runtime that has it; 'hilum doctor' runs a
    film on each that is there and says how far its scores move.
    --csv writes the columns of the page "Tables of films", each row as soon as
    it is known. --json prints one object a line, in input order. Exit code 0: all were
    read; 3: some were not.

    \b
    Example:
      hilum read ward/ film.dcm --html report.html --pdf ward.pdf
    """
    from hilum.image import decoders

    os.environ[ENGINE] = engine
    if pdf is not None and pdf.is_file() and pdf.suffix.lower() != ".pdf":
        raise ConfigError(
            f"--pdf {pdf}: is a file; expected NAME.pdf or a folder", hint="e.g. --pdf ward.pdf"
        )
    decoders.start()  # while the networks are loaded

    streams.stop_unheard()  # _pour says when
    from hilum.apps.cli import sinks as to
    from hilum.serve.findings import check_prevalence
    from hilum.serve.inputs import find_films
    from hilum.serve.reader import BATCH, load_bundle

    kinds = _kinds(dicom, objects)
    films = find_films(paths)
    folders = [path for path in map(Path, paths) if path.is_dir()]
    for option, place in {"--csv": csv, "--html": html, "--pdf": pdf}.items():
        if place is None:
            continue
        # the page or table of the run before, in a folder that is read, is no film
        own = place.suffix == f".{option[2:]}"
        if not (own and any(place.resolve().is_relative_to(each.resolve()) for each in folders)):
            check_spared(place, films, option)
    reader = load_bundle(bundle, max_megapixels=max_megapixels)
    streams.tell_not_restated(check_prevalence(reader.bundle.manifest, prevalence))
    keep = any(each is not None for each in (html, pdf, heatmap, masks))
    examined = reader.examine(
        films,
        operating_point=operating_point,
        prevalence=prevalence,
        force=force,
        details=details or any(each is not None for each in (html, pdf, dicom, fhir)),
        keep=keep,
        batch_size=4 if keep else BATCH,
    )
    sinks: list[Sink] = []
    if as_json:
        sinks.append(to.JsonLines())
    else:
        from hilum.apps.cli.table import ReadingTable  # rich takes 0.05 s to import

        sinks.append(ReadingTable(reader.bundle))
    if csv is not None:
        sinks.append(to.Rows(reader, csv))
    if html is not None:
        sinks.append(to.HtmlPage(reader, html))
    if pdf is not None:
        sinks.append(to.Sheets(reader, pdf, paper, films))
    if heatmap is not None:
        sinks.append(to.Overlays(reader, heatmap, films, heatmap_side))
    if masks is not None:
        sinks.append(to.Masks(masks, films))
    if fhir is not None:
        sinks.append(to.FhirFolder(fhir, films))
    archive = [] if dicom is None else [to.DicomFolder(reader, dicom, films, kinds)]
    counts = _pour(examined, len(films), [*sinks, *archive])
    if counts["read"] < len(films) or any(each.lacking for each in archive):
        raise typer.Exit(EXIT_SOME_NOT_READ)


def _kinds(dicom: Path | None, objects: str) -> tuple[str, ...]:
    """Raise before the first film is read: a kind that is none, or highdicom missing."""
    if dicom is None:
        return ()
    from hilum.core.extras import require
    from hilum.serve.dicom import parse_kinds

    require("pacs")
    return parse_kinds(objects)


def _pour(examined: Iterator[Examined], total: int, sinks: list[Sink]) -> Counter[str]:
    """Hand every film to every sink, and finish each of them, even when interrupted.

    A sink that cannot write any more (a full disk, "| head") is left out, and its error raised when
    the others have all films; at once where there is no other.
    """
    counts: Counter[str] = Counter()
    working, failed = list(sinks), []
    shown = total >= _FEW and not sys.stdout.isatty()  # rows on a terminal show how far it is
    with ExitStack() as finishing:
        for sink in reversed(sinks):
            finishing.callback(sink.close)
        for one in watched(examined, total, shown=shown):
            counts[one.reading.status] += 1
            for sink in tuple(working):
                try:
                    sink.add(one)
                except (OSError, SystemExit) as error:  # rich makes of a broken pipe the latter
                    working.remove(sink)
                    failed.append(error)
            if not working:
                break
        if failed:
            raise failed[0]
    return counts
