"""Where the readings of ``hilum read`` go; each sink takes films one by one and can be closed."""

from __future__ import annotations

import json
import sys
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

import typer

from hilum.apps.cli.streams import json_text
from hilum.core.errors import ImageError
from hilum.core.files import Stems, atomic_path, write_text
from hilum.core.machine import cores
from hilum.core.reading import Finding, Status
from hilum.core.row import READ_CSV, columns, csv_writer, row_of_reading
from hilum.serve.reader import Examined, Reader

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from hilum.core.radiograph import Pixels
    from hilum.serve.pdf import PdfReport

    Heatmap = NDArray[np.float32]

Paper = Literal["A4", "Letter"]


_AHEAD = 8
"""Overlays that may wait to be written; each holds its film."""


class Sink(Protocol):
    """Takes examined films in input order."""

    def add(self, examined: Examined) -> None:
        """Take one film."""

    def close(self) -> None:
        """Finish; also called after an interruption, with what came so far."""


class JsonLines:
    """One JSON object a line on stdout, each line as soon as it is known."""

    def add(self, examined: Examined) -> None:
        """Print one line."""
        sys.stdout.write(json_text(examined.reading.model_dump_json()) + "\n")
        sys.stdout.flush()

    def close(self) -> None:
        """Nothing is open."""


class Rows:
    """A CSV file with a row a film, each row as soon as it is known."""

    def __init__(self, reader: Reader, path: Path) -> None:
        self._path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        self._stream = path.open("w", encoding="utf-8", newline="")
        self._write = csv_writer(self._stream, columns(READ_CSV, reader.labels))
        self._written = 0

    def add(self, examined: Examined) -> None:
        """Write one row."""
        self._write(row_of_reading(examined.reading))
        self._stream.flush()
        self._written += 1

    def close(self) -> None:
        """Say how many rows there are."""
        self._stream.close()
        typer.echo(f"wrote {self._path}: {self._written} rows", err=True)


class HtmlPage:
    """The HTML report."""

    def __init__(self, reader: Reader, path: Path) -> None:
        from hilum.serve.report import HtmlReport

        self._report = HtmlReport(reader)
        self._path = path

    def add(self, examined: Examined) -> None:
        """Add one film to the page."""
        self._report.add(examined)

    def close(self) -> None:
        """Write the page."""
        self._report.write(self._path)
        typer.echo(f"wrote {self._path}", err=True)


class Sheets:
    """The PDF report: one file with a page a film, or a folder with a file a film."""

    def __init__(self, reader: Reader, path: Path, page: Paper, films: list[Path]) -> None:
        self._reader = reader
        self._path = path
        self._page = page
        self._names = Stems(path, [".pdf"])
        self._written = 0
        self._one: PdfReport | None = None
        if path.suffix.lower() == ".pdf" and not path.is_dir():
            from hilum.serve.pdf import PdfReport

            self._one = PdfReport(reader.bundle, page=page)
        else:
            self._names.check(films)

    def add(self, examined: Examined) -> None:
        """Add the page of one film, read or not."""
        from hilum.serve.pdf import PdfPage, write_pdf

        if self._one is not None:
            self._one.add(PdfPage.of(examined, self._reader))
        else:
            stem = self._names.of(examined.reading.path)
            write_pdf(self._path / f"{stem}.pdf", examined, self._reader, page=self._page)
        self._written += 1

    def close(self) -> None:
        """Write the one file; say what was written."""
        if self._one is not None and self._written:
            self._one.write(self._path)
            typer.echo(f"wrote {self._path}: {self._written} pages", err=True)
        elif self._one is None:
            typer.echo(f"wrote {self._written} PDF files to {self._path}", err=True)


class _Folder:
    """A folder of files that are named like the films they are of; made if need be."""

    def __init__(self, folder: Path, films: list[Path], endings: list[str], what: str) -> None:
        self._folder = folder
        self._what = what
        self._names = Stems(folder, endings)
        self._names.check(films)
        self._written = 0
        folder.mkdir(parents=True, exist_ok=True)

    def close(self) -> None:
        """Say how many were written."""
        typer.echo(f"wrote {self._written} {self._what} to {self._folder}", err=True)


class DicomFolder(_Folder):
    """A DICOM object of every kind that was asked for, for each film of a study.

    Args:
        reader: that made the readings.
        folder: where NAME.KIND.dcm go; made if need be.
        films: that are read.
        kinds: of ``hilum.serve.dicom.KINDS``.

    Attributes:
        lacking: films that were read and have no object, because they belong to no study.
    """

    def __init__(
        self, reader: Reader, folder: Path, films: list[Path], kinds: tuple[str, ...]
    ) -> None:
        super().__init__(folder, films, [f".{kind}.dcm" for kind in kinds], "DICOM objects")
        self._reader = reader
        self._kinds = kinds
        self.lacking = 0

    def add(self, examined: Examined) -> None:
        """Write the objects of one film; say which it cannot have."""
        from hilum.serve.dicom import objects_of

        reading = examined.reading
        if reading.status is not Status.READ:
            return
        stem = self._names.of(reading.path)
        made = objects_of(
            reading.model_dump(mode="json"),
            Path(reading.path),
            self._kinds,
            bundle=self._reader.bundle,
        )
        try:
            for kind, dataset, why in made:
                if dataset is None:
                    typer.echo(f"{reading.path}: no {kind}: {why}", err=True)
                    continue
                with atomic_path(self._folder / f"{stem}.{kind}.dcm") as temporary:
                    dataset.save_as(temporary, enforce_file_format=True)
                self._written += 1
        except ImageError as error:
            self.lacking += 1
            typer.echo(f"no objects: {error.message}", err=True)


class FhirFolder(_Folder):
    """A FHIR bundle for each film that was read.

    Args:
        folder: where NAME.fhir.json go; made if need be.
        films: that are read.
    """

    def __init__(self, folder: Path, films: list[Path]) -> None:
        super().__init__(folder, films, [".fhir.json"], "FHIR bundles")

    def add(self, examined: Examined) -> None:
        """Write the bundle of one film."""
        from hilum.serve.fhir import fhir_bundle, header_of

        reading = examined.reading
        if reading.status is not Status.READ:
            return
        stem = self._names.of(reading.path)
        bundle = fhir_bundle(reading.model_dump(mode="json"), **header_of(Path(reading.path)))
        write_text(self._folder / f"{stem}.fhir.json", json.dumps(bundle, indent=1))
        self._written += 1


class Overlays(_Folder):
    """A PNG for each film and label: the film with the evidence over it.

    Args:
        reader: that made the readings.
        folder: where the pictures go; made if need be.
        films: that are read.
        side: longest side of a film in its picture, in pixels; 0 for its own.
    """

    def __init__(self, reader: Reader, folder: Path, films: list[Path], side: int) -> None:
        super().__init__(folder, films, [f".{label}.png" for label in reader.labels], "overlays")
        self._reader = reader
        self._side = side
        self._pool = ThreadPoolExecutor(cores(), thread_name_prefix="hilum-overlay")
        self._waiting: deque[Future[None]] = deque()

    def add(self, examined: Examined) -> None:
        """Write the overlays of one film."""
        from hilum.serve.heatmap import thumbnail

        if examined.radiograph is None or examined.evidence is None:
            return
        stem = self._names.of(examined.reading.path)
        pixels = examined.radiograph.pixels
        film = thumbnail(pixels, self._side) if self._side else pixels
        for finding in examined.reading.findings:
            path = self._folder / f"{stem}.{finding.label}.png"
            heatmap = partial(
                self._reader.on_film,
                examined.evidence,
                finding.label,
                film.shape,
                examined.lungs,
            )
            title = self._title(finding)
            self._waiting.append(self._pool.submit(_draw, film, heatmap, title, path))
            self._written += 1
        self._settle(_AHEAD)

    def close(self) -> None:
        """Finish those that are being written; say how many there are."""
        self._settle(0)
        self._pool.shutdown()
        super().close()
        if not self._reader.bundle.manifest.evidence:
            typer.echo("  this network has no evidence maps, so there is none to draw", err=True)

    def _title(self, finding: Finding) -> str:
        outputs = self._reader.bundle.manifest.labels
        if any(each.label == finding.label and each.bias is None for each in outputs):
            return f"{finding.label}: evidence of opacity in logits; own logit {finding.logit:.2f}"
        return f"{finding.label}: evidence in logits, mean + bias = {finding.logit:.2f}"

    def _settle(self, ahead: int) -> None:
        """Wait until at most ``ahead`` are left; raise what went wrong with one of them."""
        while len(self._waiting) > ahead:
            self._waiting.popleft().result()


class Masks(_Folder):
    """A PNG for each film: 8 bits, the film's size, 255 inside the lungs.

    Args:
        folder: where NAME.mask.png go; made if need be.
        films: that are read.
    """

    def __init__(self, folder: Path, films: list[Path]) -> None:
        super().__init__(folder, films, [".mask.png"], "masks")

    def add(self, examined: Examined) -> None:
        """Write the mask of one film, read or refused, if it has lungs."""
        from hilum.image.write import write_png

        stem = self._names.of(examined.reading.path)
        if examined.radiograph is None or examined.lungs is None or not examined.lungs.parts:
            return
        inside = examined.lungs.on_film(examined.radiograph.shape).astype("float32")
        write_png(self._folder / f"{stem}.mask.png", inside)
        self._written += 1


def _draw(film: Pixels, heatmap: Callable[[], Heatmap], title: str, path: Path) -> None:
    from hilum.image.write import write_png
    from hilum.serve.heatmap import limit_of, overlay, with_legend

    laid = heatmap()
    limit = limit_of(laid)
    write_png(path, with_legend(overlay(film, laid, limit), title, limit))
