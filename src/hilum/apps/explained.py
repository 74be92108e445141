"""One film explained: the map, its picture, its numbers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hilum.apps.explaining import Choice, Explainer
from hilum.core.files import atomic_path
from hilum.core.reading import Status
from hilum.image.write import write_png
from hilum.serve.explain.picture import draw_map, scale_of
from hilum.serve.explain.report import MapReport, numbers_of, sentences_of
from hilum.serve.reader import Examined

Map = NDArray[np.float32]


def explain_film(
    explainer: Explainer,
    examined: Examined,
    choice: Choice,
    place: int,
    *,
    folder: Path | None = None,
    name: str = "",
    values: bool = False,
) -> MapReport:
    """Explain one label of one film by one method.

    Args:
        explainer: of the bundle.
        examined: of the same bundle, with its radiograph.
        choice: the method.
        place: of the label among the bundle's.
        folder: for the picture; None writes none.
        name: of the film, first part of the names of files.
        values: also write the map itself, float16 (H, W) of the film, NaN where the network did
            not look.

    Returns:
        The numbers; without a map, and with the reason, for a film that was not read.
    """
    reading, film, lungs = examined.reading, examined.radiograph, examined.lungs
    method, reader = choice.method, explainer.reader
    report = MapReport(
        path=reading.path,
        status=reading.status,
        reason=reading.reason,
        hint=reading.hint,
        forced=reading.forced,
        method=choice.name,
        layer=choice.layer if method.layered else None,
        label=str(reader.labels[place]),
        unit=method.unit,
        signed=method.signed,
        bundle=reader.bundle.identity,
    )
    if reading.status is not Status.READ or film is None:
        return report
    heat, elapsed_ms = explainer.explain(choice, reader.preprocess(film, lungs), place)
    finding = reading.findings[place]
    numbers = numbers_of(reader.preprocess, heat, film.shape, lungs)
    known = {"logit": finding.logit, "score": finding.score, "elapsed_ms": round(elapsed_ms, 1)}
    report = report.model_copy(update=known | numbers)
    if folder is None:
        return report
    stem = name + tail_of(report.label, choice)
    on_film = reader.preprocess.to_film(heat, film.shape, lungs)
    scale = scale_of(heat, signed=method.signed, unit=method.unit)
    lines = sentences_of(report, method.title)
    picture = folder / f"{stem}.png"
    write_png(picture, draw_map(film.pixels, on_film, lungs, scale, lines, report.peak))
    written = {"picture": str(picture)}
    if values:
        written["values"] = str(_write_values(on_film, folder / f"{stem}.npy"))
    return report.model_copy(update=written)


def tail_of(label: str, choice: Choice) -> str:
    """Return what follows a film's name in the names of its files."""
    return f".{label}.{choice}".replace("/", "_")  # values of a graph have slashes


def _write_values(heat: Map, path: Path) -> Path:
    largest = np.finfo(np.float16).max
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        np.save(file, np.clip(heat, -largest, largest).astype(np.float16))
    return path
