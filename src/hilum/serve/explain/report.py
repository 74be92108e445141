"""One film explained: the map, its picture, its numbers."""

from __future__ import annotations

from pathlib import Path
from time import perf_counter

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from hilum.core.files import atomic_path
from hilum.core.reading import RESEARCH_USE, Status
from hilum.core.rounded import fixed, percent
from hilum.image.lungs import Lungs
from hilum.image.preprocess import Preprocess
from hilum.image.write import write_png
from hilum.serve.attribution import in_lung_share
from hilum.serve.explain.methods import METHODS, make_map
from hilum.serve.explain.picture import draw_map
from hilum.serve.heatmap import limit_of
from hilum.serve.reader import Examined, Reader

Map = NDArray[np.float32]

_SIDE = 512
"""Long side, in pixels, of the film on which the peak is looked for."""


class MapReport(BaseModel):
    """One map of one film, in numbers.

    Attributes:
        path: of the film.
        status: ``read`` if there is a map; ``refused`` or ``error`` with ``reason`` and ``hint``.
        forced: the gate refused the film, and it was explained all the same.
        method, label: what was asked.
        unit: of the map's numbers; below 0 they speak against the label.
        logit, score: of the label.
        low, high: smallest and largest number of the map on the film.
        peak: (x, y) of the largest number, in pixels of the film; None where the map is flat.
        in_lung_share: share of what speaks for the label inside the lungs, in [0, 1].
        grid: (rows, columns) of the map before it was brought onto the film.
        elapsed_ms: time to make the map, the film's opening not included.
        picture, values: files that were written.
        bundle: identity of the bundle.
        notice: the research-use notice.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="null")

    schema_version: str = "1"
    path: str
    status: Status
    reason: str | None = None
    hint: str | None = None
    forced: bool = False
    method: str
    label: str
    unit: str = ""
    logit: float | None = None
    score: float | None = None
    low: float | None = None
    high: float | None = None
    peak: tuple[float, float] | None = None
    in_lung_share: float | None = None
    grid: tuple[int, int] | None = None
    elapsed_ms: float | None = None
    picture: str | None = None
    values: str | None = None
    bundle: str
    notice: str = RESEARCH_USE


def explain_film(
    reader: Reader,
    examined: Examined,
    method: str,
    place: int,
    *,
    folder: Path | None = None,
    name: str = "",
    values: bool = False,
) -> MapReport:
    """Explain one label of one film by one method.

    Args:
        reader: of the bundle.
        examined: of the same bundle, with its radiograph.
        method: a key of ``METHODS``.
        place: of the label among the bundle's.
        folder: for the picture; None writes none.
        name: of the film, first part of the names of files.
        values: also write the map itself, float16 (H, W) of the film, NaN where the network did
            not look.

    Returns:
        The numbers; without a map, and with the reason, for a film that was not read.
    """
    reading, film, lungs = examined.reading, examined.radiograph, examined.lungs
    preprocess, known = reader.preprocess, METHODS[method]
    report = MapReport(
        path=reading.path,
        status=reading.status,
        reason=reading.reason,
        hint=reading.hint,
        forced=reading.forced,
        method=method,
        label=str(reader.labels[place]),
        unit=known.unit,
        bundle=reader.bundle.identity,
    )
    if reading.status is not Status.READ or film is None:
        return report
    inputs, black = preprocess(film, lungs), (0.0 - preprocess.mean) / preprocess.std
    started = perf_counter()
    heat = make_map(method, reader.run, inputs, place, black)
    elapsed_ms = round((perf_counter() - started) * 1000, 1)
    finding = reading.findings[place]
    report = report.model_copy(
        update={"logit": finding.logit, "score": finding.score, "elapsed_ms": elapsed_ms}
        | numbers_of(preprocess, heat, film.shape, lungs)
    )
    if folder is None:
        return report
    on_film = preprocess.to_film(heat, film.shape, lungs)
    picture = folder / f"{name}.{report.label}.{method}.png"
    lines = sentences_of(report, known.title)
    limit = limit_of(heat)
    write_png(picture, draw_map(film.pixels, on_film, lungs, limit, known.unit, lines, report.peak))
    written = {"picture": str(picture)}
    if values:
        largest = np.finfo(np.float16).max
        written["values"] = str(picture.with_suffix(".npy"))
        with atomic_path(Path(written["values"])) as temporary, temporary.open("wb") as file:
            np.save(file, np.clip(on_film, -largest, largest).astype(np.float16))
    return report.model_copy(update=written)


def numbers_of(
    preprocess: Preprocess,
    heat: NDArray[np.float32],
    shape: tuple[int, int],
    lungs: Lungs | None,
) -> dict[str, object]:
    """Say where a map is strongest and how much of it lies inside the lungs.

    Args:
        preprocess: of the bundle.
        heat: float32 (h, w), over the network's input.
        shape: (height, width) of the film, in pixels.
        lungs: of the film.

    Returns:
        ``low``, ``high``, ``peak``, ``in_lung_share`` and ``grid`` of a ``MapReport``.
    """
    scale = min(_SIDE / max(shape), 1.0)
    small = max(round(shape[0] * scale), 1), max(round(shape[1] * scale), 1)
    film = preprocess.to_film(heat, small, lungs)
    seen = film[np.isfinite(film)]
    peak = None
    if seen.size and np.ptp(seen) > 0:
        row, column = np.unravel_index(np.nanargmax(film), film.shape)
        down, across = shape[0] / small[0], shape[1] / small[1]
        peak = (round((column + 0.5) * across, 1), round((row + 0.5) * down, 1))
    share = in_lung_share(preprocess, heat, shape, lungs)
    return {
        "low": float(seen.min()) if seen.size else None,
        "high": float(seen.max()) if seen.size else None,
        "peak": peak,
        "in_lung_share": None if share is None else round(share, 4),
        "grid": (heat.shape[0], heat.shape[1]),
    }


def sentences_of(report: MapReport, title: str) -> list[str]:
    """Return the lines under a picture."""
    what = f"{report.label} · {report.method}: {title}"
    if report.score is None or report.logit is None or report.elapsed_ms is None:
        return [what]
    sign = "+" if report.logit >= 0 else ""
    parts = [f"score {fixed(report.score, 2)} (logit {sign}{fixed(report.logit, 2)})"]
    if report.in_lung_share is not None:
        parts.append(f"{percent(report.in_lung_share)}% of what speaks for it inside the lungs")
    if report.peak is not None:
        parts.append(f"peak at x {report.peak[0]:.0f}, y {report.peak[1]:.0f} px (ring)")
    slow = report.elapsed_ms >= 1000
    parts.append(f"{report.elapsed_ms / 1000:.1f} s" if slow else f"{report.elapsed_ms:.0f} ms")
    if report.forced:
        parts.append("REFUSED by the gate, explained on demand")
    return [what, " · ".join(parts)]
