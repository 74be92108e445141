"""``hilum show``: what a film file holds, and every step applied to its pixels."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hilum.apps.cli.console import plain
from hilum.apps.cli.options import Json, MaxMegapixels, out_file
from hilum.apps.cli.streams import print_json

if TYPE_CHECKING:
    from hilum.core.radiograph import Radiograph


def show(
    file: Annotated[Path, typer.Argument(help="A DICOM, PNG, JPEG, TIFF, WEBP or BMP file.")],
    out: Annotated[Path | None, out_file("Write the picture as PNG to this file.")] = None,
    bits: Annotated[
        int, typer.Option(help="Bits per pixel of the PNG: 8 or 16.", min=8, max=16)
    ] = 8,
    max_megapixels: MaxMegapixels = 100.0,
    as_json: Json = False,
) -> None:
    """Show what a film file holds and what becomes of its pixels.

    The content decides what the file is, never its name. Printed are the
    size, the bits, what the header says (view, age, spacing), notes worth
    knowing, and every step from the stored values to the picture, in order:
    rescaling, look-up table or window, polarity, orientation. A broken or
    unsuitable file is refused with the reason (exit code 3). Patient data
    in the header is printed as it stands.

    \b
    Example:
      hilum show film.dcm -o film.png
    """
    from hilum.core.errors import ConfigError
    from hilum.image.open import open_radiograph
    from hilum.image.write import write_png

    if bits not in (8, 16):
        raise ConfigError(f"--bits {bits}: expected 8 or 16")
    if out is not None and out.suffix.lower() != ".png":
        raise ConfigError(f"-o {out}: expected a name ending in .png", hint="e.g. -o film.png")
    radiograph = open_radiograph(file, max_megapixels=max_megapixels)
    if out is not None:
        write_png(out, radiograph.pixels, bits=16 if bits == 16 else 8)
    if as_json:
        print_json(as_dict(radiograph, out))
    else:
        _print_tables(radiograph, out)


def as_dict(radiograph: Radiograph, out: Path | None = None) -> dict[str, Any]:
    """Say all of a radiograph but its pixels, in JSON's types."""
    height, width = radiograph.shape
    return {
        "path": radiograph.path,
        "format": radiograph.format,
        "width": width,
        "height": height,
        "bits": radiograph.bits,
        "metadata": asdict(radiograph.metadata),
        "history": [asdict(step) for step in radiograph.history],
        "notes": list(radiograph.notes),
        "picture": str(out) if out else None,
    }


def _print_tables(radiograph: Radiograph, out: Path | None) -> None:
    from rich.table import Table

    found = Table(title=radiograph.path, title_justify="left", show_header=False)
    for name, value in _facts(radiograph):
        found.add_row(name, value)
    steps = Table(title="Steps from stored values to pixels", title_justify="left")
    for column in ("", "step", "what was done"):
        steps.add_column(column)
    for number, step in enumerate(radiograph.history, start=1):
        steps.add_row(str(number), step.name, step.detail)
    console = plain()
    console.print(found, steps)
    for note in radiograph.notes:
        console.print(f"note: {note}")
    if out is not None:
        console.print(f"written: {out}", soft_wrap=True)


def _facts(radiograph: Radiograph) -> list[tuple[str, str]]:
    height, width = radiograph.shape
    facts = [
        ("format", radiograph.format),
        ("size", f"{width} x {height} pixels, {radiograph.bits} bits"),
    ]
    known = asdict(radiograph.metadata).items()
    return facts + [(name.replace("_", " "), _words(v)) for name, v in known if v is not None]


def _words(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, tuple):
        return " x ".join(_words(part) for part in value)
    return str(value)
