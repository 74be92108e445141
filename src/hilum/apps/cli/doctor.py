"""``hilum doctor`` and ``hilum --version``: what is installed here, and whether it holds."""

from __future__ import annotations

import importlib
import importlib.metadata
import os
import platform
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import typer

from hilum.apps.cli.console import plain
from hilum.apps.cli.options import Json
from hilum.apps.cli.streams import print_json
from hilum.core.errors import EXIT_UNEXPECTED, HilumError

CHANGES_NUMBERS: tuple[str, ...] = (
    "onnxruntime",
    "numpy",
    "opencv-python-headless",
    "pillow",
    "simplejpeg",
    "imagecodecs",
    "pydicom",
    "pylibjpeg",
    "pylibjpeg-openjpeg",
    "pylibjpeg-rle",
    "pyjpegls",
    "pandas",
    "scikit-learn",
    "scipy",
    "torch",
    "lightning",
    "monai",
)
"""Distributions whose version can change a pixel, a score or a metric."""


class Checkup(NamedTuple):
    """One line of the doctor's findings.

    ``state``: "ok", "note" (worth knowing) or "broken" (``hilum read`` cannot work).
    """

    name: str
    state: str
    found: str
    hint: str = ""


def doctor(
    as_json: Json = False,
) -> None:
    """Say what is installed: versions, extras, codecs, the bundle, what runs it, the data.

    Exits with 0 if 'hilum read' can work here, with 1 if something that it
    needs is broken. What is merely absent (an extra, a codec, the data of the
    tests) is a note with the line that brings it.

    \b
    Example:
      hilum doctor --json
    """
    checks = [
        _installation(),
        _processor(),
        *_runtime(),
        _torchvision(),
        *_extras(),
        *_codecs(),
        _bundle(),
        *_engines(),
        _data(),
    ]
    broken = any(check.state == "broken" for check in checks)
    if as_json:
        found = {"ok": not broken, "checks": [check._asdict() for check in checks]}
        print_json(found, indent=2)
    else:
        _print(checks)
    if broken:
        raise typer.Exit(EXIT_UNEXPECTED)


def print_version(*, as_json: bool) -> None:
    """Print the version of Hilum, or as JSON that of everything that changes numbers."""
    if not as_json:
        typer.echo(f"hilum {importlib.metadata.version('hilum')}")
        return
    print_json(versions(), indent=2)


def versions() -> dict[str, str | None]:
    """Return the version of everything that changes numbers; None for what is not installed."""
    return {
        "hilum": importlib.metadata.version("hilum"),
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
        "bundle": _identity(),
        **{name: _version(name) for name in CHANGES_NUMBERS},
    }


def _version(distribution: str) -> str | None:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None


def _identity() -> str | None:
    from hilum.bundle.folder import open_bundle

    try:
        return open_bundle().identity
    except HilumError:
        return None


def _installation() -> Checkup:
    import hilum

    python = f"Python {platform.python_version()}"
    where = Path(hilum.__file__).parent
    return Checkup("hilum", "ok", f"{importlib.metadata.version('hilum')} at {where}, {python}")


def _processor() -> Checkup:
    from hilum.core.machine import cores

    threads = os.environ.get("OMP_NUM_THREADS")
    limited = f", OMP_NUM_THREADS={threads}" if threads else ""
    return Checkup("processor", "ok", f"{platform.machine()}, {cores()} cores for Hilum{limited}")


def _runtime() -> list[Checkup]:
    """Check what ``hilum read`` imports."""
    needed = {"onnxruntime": "onnxruntime", "cv2": "opencv-python-headless", "PIL": "pillow"}
    needed |= {"numpy": "numpy", "pydicom": "pydicom", "pydantic": "pydantic"}
    needed |= {"simplejpeg": "simplejpeg", "imagecodecs": "imagecodecs"}
    return [_importable(module, distribution) for module, distribution in needed.items()]


def _importable(module: str, distribution: str) -> Checkup:
    try:
        importlib.import_module(module)
    except ImportError as error:
        return Checkup(distribution, "broken", str(error), f"pip install --force '{distribution}'")
    return Checkup(distribution, "ok", _version(distribution) or "of another distribution")


def _torchvision() -> Checkup:
    if find_spec("torchvision") is None:
        return Checkup("torchvision", "ok", "absent, as it should be")
    return Checkup(
        "torchvision",
        "note",
        "installed; it breaks training beside the CPU build of torch",
        "pip uninstall torchvision",
    )


def _extras() -> list[Checkup]:
    from hilum.core.extras import EXTRAS, missing

    return [_extra(name, missing(name)) for name in EXTRAS]


def _extra(name: str, absent: list[str]) -> Checkup:
    if not absent:
        return Checkup(f"extra {name}", "ok", "installed")
    return Checkup(
        f"extra {name}", "note", f"without {', '.join(absent)}", f"pip install 'hilum[{name}]'"
    )


def _codecs() -> list[Checkup]:
    """Check each decoder that ``image`` would call, without decoding."""
    from PIL import features
    from pydicom.pixels.decoders.base import get_decoder
    from pydicom.uid import UID

    from hilum.image.dicom_codec import DECODERS

    pillow = {name: bool(features.check(name)) for name in ("jpg", "zlib", "libtiff", "webp")}
    dicom = {
        UID(syntax).keyword: plugin in get_decoder(UID(syntax)).available_plugins
        for syntax, plugin in DECODERS.items()
    }
    dicom |= {"JPEG of 8 to 16 bits": find_spec("imagecodecs") is not None}
    return [_codec("image codecs", pillow), _codec("DICOM codecs", dicom)]


def _codec(name: str, available: dict[str, bool]) -> Checkup:
    absent = [codec for codec, there in available.items() if not there]
    if absent:
        return Checkup(
            name, "note", f"without {', '.join(absent)}", "films of that kind are errors"
        )
    return Checkup(name, "ok", ", ".join(available))


def _bundle() -> Checkup:
    """Verify the default bundle and load its network, as ``hilum read`` does."""
    from hilum.serve.reader import load_bundle

    try:
        return Checkup("default bundle", "ok", f"{load_bundle().bundle.identity}, checksums hold")
    except HilumError as error:
        return Checkup("default bundle", "broken", error.message, error.hint)


MOST_MOVED = 0.05
"""By which another engine may change the score of a film: the thresholds are those of the CPU."""


def _engines() -> list[Checkup]:
    """Say what runs networks here and why; run the default one on all that could, on a sample."""
    from hilum.bundle.onnx import absent
    from hilum.core.machine import ENGINE, ENGINES, engine

    about = f"ONNX Runtime {_version('onnxruntime')}"
    try:
        chosen = engine()
        if lacks := absent(chosen):
            return [Checkup("engine", "broken", f"{ENGINE}={chosen}: {about} has no {lacks[0]}")]
        score, taken = _scores("cpu")
    except HilumError as error:
        return [Checkup("engine", "broken", error.message, error.hint)]
    why = "float32, with which the bundle's thresholds were chosen; the default"
    lines = [Checkup("engine", "ok", f"{about} on the processor, {taken:.0f} ms a film: {why}")]
    for name in ENGINES:
        if name == "cpu" or absent(name):
            continue
        try:
            other, taken = _scores(name)
        except HilumError as error:
            state = "broken" if name == chosen else "note"
            lines.append(Checkup(f"engine {name}", state, error.message, error.hint))
            continue
        moved = float(abs(other - score).max())
        found = f"{taken:.0f} ms a film, moves a sample's scores by up to {moved:.4f}"
        if moved > MOST_MOVED:
            state, hint = "broken" if name == chosen else "note", f"more than {MOST_MOVED}; use cpu"
        else:
            state, hint = "ok", "" if name == chosen else f"to use it: {ENGINE}={name}"
        if name == chosen:
            lines[0] = lines[0]._replace(found=f"{about} on {name}, because {ENGINE} says so")
        lines.append(Checkup(f"engine {name}", state, found, hint))
    return lines


def _scores(name: str) -> tuple[Any, float]:
    """Return the scores of a sample on an engine, and the milliseconds of its network (median)."""
    from statistics import median
    from time import perf_counter

    from hilum.bundle.folder import open_bundle
    from hilum.bundle.onnx import Graph
    from hilum.image.open import open_radiograph
    from hilum.image.preprocess import Preprocess
    from hilum.serve.findings import sigmoid
    from hilum.serve.samples import ROOT

    bundle = open_bundle()
    graph = Graph(bundle.model, on=name)
    preprocess: Preprocess = bundle.manifest.preprocess
    film = preprocess.square(open_radiograph(ROOT / "frontal.png"))
    inputs, taken = preprocess.standardise(film)[None], []
    for _ in range(6):  # the first one prepares
        started = perf_counter()
        (logits,) = graph.run(inputs, ["logits"])
        taken.append((perf_counter() - started) * 1000)
    return sigmoid(logits), median(taken[1:])


def _data() -> Checkup:
    named = os.environ.get("HILUM_DATA")
    if named and Path(named).is_dir():
        return Checkup("HILUM_DATA", "ok", named)
    found = f"{named} is no folder" if named else "not set"
    return Checkup("HILUM_DATA", "note", found, "tests on real films need it; reading does not")


def _print(checks: list[Checkup]) -> None:
    from rich.table import Table
    from rich.text import Text

    color = {"ok": "green", "note": "yellow", "broken": "red"}
    table = Table(box=None, show_header=False, pad_edge=False)
    for check in checks:
        found = f"{check.found}\n{check.hint}" if check.hint else check.found
        table.add_row(Text(check.state, color[check.state]), check.name, found)
    plain().print(table)
