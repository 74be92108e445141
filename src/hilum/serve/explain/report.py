"""What is said beside a map: where its peak lies, how much of it lies inside the lungs."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from hilum.core.reading import RESEARCH_USE, Status
from hilum.core.rounded import fixed, percent
from hilum.image.lungs import Lungs
from hilum.image.preprocess import Preprocess
from hilum.serve.attribution import in_lung_share

_SIDE = 512
"""Long side, in pixels, of the film on which the peak is looked for."""


class MapReport(BaseModel):
    """One map of one film, in numbers.

    Attributes:
        path: of the film.
        status: ``read`` if there is a map; ``refused`` or ``error`` with ``reason`` and ``hint``.
        forced: the gate refused the film, and it was explained all the same.
        method, layer, label: what was asked; the layer is None for a method that reads none.
        unit, signed: of the map's numbers; a signed map speaks against the label below 0.
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
    layer: str | None = None
    label: str
    unit: str = ""
    signed: bool = True
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
    layer = f", layer {report.layer}" if report.layer else ""
    what = f"{report.label} · {report.method}{layer}: {title}"
    if report.score is None or report.logit is None or report.elapsed_ms is None:
        return [what]
    sign = "+" if report.logit >= 0 else ""
    parts = [f"score {fixed(report.score, 2)} (logit {sign}{fixed(report.logit, 2)})"]
    if report.in_lung_share is not None:
        parts.append(f"{percent(report.in_lung_share)}% of what speaks for it inside the lungs")
    if report.peak is not None:
        parts.append(f"peak at x {report.peak[0]:.0f}, y {report.peak[1]:.0f} px (ring)")
    parts.append(_duration(report.elapsed_ms))
    if report.forced:
        parts.append("REFUSED by the gate, explained on demand")
    return [what, " · ".join(parts)]


def _duration(elapsed_ms: float) -> str:
    return f"{elapsed_ms / 1000:.1f} s" if elapsed_ms >= 1000 else f"{elapsed_ms:.0f} ms"
