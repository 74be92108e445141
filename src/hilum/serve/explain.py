"""One film explained: the map, by a method that needs no torch, its picture, its numbers.

Orange speaks for the label and blue against it, as in every heatmap of Hilum.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from time import perf_counter
from typing import Any, Literal, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from hilum.core.config import Config, Written
from hilum.core.errors import BundleError
from hilum.core.files import atomic_path
from hilum.core.radiograph import Pixels
from hilum.core.reading import RESEARCH_USE, Status
from hilum.core.rounded import fixed, percent
from hilum.image.lungs import Lungs
from hilum.image.preprocess import Preprocess
from hilum.image.write import write_png
from hilum.serve.attribution import in_lung_share
from hilum.serve.heatmap import RGB, limit_of, overlay, with_legend
from hilum.serve.marks import STYLES, Layer
from hilum.serve.reader import Examined, Reader

_SIDE = 512
"""Long side, in pixels, of the film on which the peak is looked for."""


class MapReport(Written):
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
    said, limit = said_of_map(report), limit_of(heat)
    lines = [said.title, said.line]
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


class MapSaid(NamedTuple):
    """What is said of a map: in the table a column each, in ``line`` all of it, under the picture.

    Attributes:
        title: label, method, and what the map shows.
        score, inside, peak, time: rounded; "-" where there is none.
    """

    title: str
    score: str
    inside: str
    peak: str
    time: str
    line: str


def said_of_map(report: MapReport) -> MapSaid:
    """Put a map of a film that was read into words."""
    took, share = report.elapsed_ms or 0.0, report.in_lung_share
    title = f"{report.label} · {report.method}: {METHODS[report.method].shows}"
    if report.score is None or report.logit is None:
        return MapSaid(title, "-", "-", "-", "-", "")
    score, sign = fixed(report.score, 2), "+" if report.logit >= 0 else ""
    inside = "-" if share is None else f"{percent(share)} %"
    x, y = (fixed(each, 0) for each in report.peak) if report.peak else ("-", "-")
    time = f"{fixed(took, 0)} ms" if took < 1000 else f"{fixed(took / 1000, 1)} s"
    parts = [
        f"score {score} (logit {sign}{fixed(report.logit, 2)})",
        f"{inside} of what speaks for it inside the lungs" if share is not None else "",
        f"peak at x {x}, y {y} px (ring)" if report.peak else "",
        time,
        "REFUSED by the gate, explained on demand" if report.forced else "",
    ]
    peak = f"{x}, {y}" if report.peak else "-"
    return MapSaid(title, score, inside, peak, time, " · ".join(filter(None, parts)))


Map = NDArray[np.float32]
SHIFTS = 4
"""A side; the grid of the map is that many times finer, at the square of it in inferences."""
_AT_A_TIME = 16


class MapMethod(NamedTuple):
    """One way to say which part of a film an answer rests on.

    Attributes:
        shows: what its map shows, in words.
        unit: of its numbers; those below zero speak against the label.
        make: from (network, film float32 (C, S, S), place of the label among the logits, what a
            black pixel is after standardisation) to a map, float32 (h, w), or None for a network
            that lacks the evidence which the method needs.
    """

    shows: str
    unit: str
    make: Callable[[Run, Films, int, float], Map | None]


def _evidence(run: Run, film: Films, place: int, black: float) -> Map | None:
    evidence = run(film[None])[1]
    return None if evidence is None else np.asarray(evidence[0, place], np.float32)


def shifted_evidence(
    run: Run, film: Films, place: int, black: float, shifts: int = SHIFTS
) -> NDArray[np.float32] | None:
    """Make an evidence map on a finer grid.

    Args:
        run: the network.
        film: float32 (C, S, S), standardised.
        place: of the label among the logits.
        black: what a black pixel is after standardisation; it fills what moves in.
        shifts: moves along each axis.

    Returns:
        float32 (h * shifts, w * shifts), in logits, or None if the network has no evidence. Its
        mean plus the label's bias is the mean logit over the moved films, which is near that of the
        film, but not it: unlike ``evidence`` this map is not exact.
    """
    evidence = run(film[None])[1]
    if evidence is None:
        return None
    rows, columns = evidence.shape[-2:]
    # cell i of a film moved by d sees what lies at its center minus d in the film
    # Centered on the film as it is: an even number of shifts never repeats it exactly.
    fractions = 0.5 - (np.arange(shifts) + 0.5) / shifts
    moves = [(down, across) for down in fractions for across in fractions]
    side = film.shape[-1]
    moved = [_move(film, d * side / rows, a * side / columns, black) for d, a in moves]
    found = [
        run(np.stack(moved[start : start + _AT_A_TIME]))[1][:, place]
        for start in range(0, len(moved), _AT_A_TIME)
    ]
    grid = np.concatenate(found).reshape(shifts, shifts, rows, columns)
    fine = grid.transpose(2, 0, 3, 1).reshape(rows * shifts, columns * shifts)
    return np.asarray(fine, np.float32)


def _move(film: Films, down: float, across: float, black: float) -> Films:
    matrix = np.array([[1, 0, across], [0, 1, down]], np.float32)
    side = film.shape[-1]
    moved = [
        cv2.warpAffine(channel, matrix, (side, side), flags=cv2.INTER_LINEAR, borderValue=black)
        for channel in film
    ]
    return np.stack(moved).astype(np.float32)


METHODS: dict[str, MapMethod] = {
    "evidence": MapMethod("the network's own evidence, exact", "logits", _evidence),
    "evidence-shifted": MapMethod(
        "evidence of the film moved by parts of a cell, moved back", "logits", shifted_evidence
    ),
    "occlusion": MapMethod(
        "logit lost when a patch is covered",
        "logits lost",
        lambda run, film, place, black: occlude(run, film, place, black, Occlusion()),
    ),
}
"""Name -> method, in the order in which tables show them."""

DEFAULT_METHOD = "evidence"
"""Of ``hilum explain``; docs/explanation/maps.md says why, with the table that it rests on."""
WITHOUT_EVIDENCE = "occlusion"
"""Instead of it for a network without evidence: it needs nothing but answers."""


def make_map(method: str, run: Run, film: Films, place: int, black: float) -> Map:
    """Make one map.

    Args:
        method: a key of ``METHODS``.
        run: the network.
        film: float32 (C, S, S), standardised.
        place: of the label among the logits.
        black: what a black pixel is after standardisation.

    Returns:
        float32 (h, w) over the network's input.

    Raises:
        BundleError: the method needs evidence, and the network has none.
    """
    found = METHODS[method].make(run, film, place, black)
    if found is None:
        raise BundleError(
            f"method '{method}': this network has no evidence output",
            hint="--method occlusion runs on any network",
        )
    return found


Films = NDArray[np.float32]
Run = Callable[[Films], tuple[NDArray[np.float32], Any]]
"""From films (N, C, S, S) to logits (N, L), and evidence (N, L, h, w) or None."""


class Occlusion(Config):
    """How patches are laid.

    Attributes:
        patch: side of a patch, as a share of the side of the input.
        stride: from the center of one patch to the next, likewise; it sets the map's resolution.
        baseline: what covers: "black", or "local-mean", the mean of the patch's surroundings,
            which takes away texture and keeps brightness.
        at_a_time: films in one inference.
    """

    patch: float = Field(default=0.2, gt=0, le=1)
    stride: float = Field(default=0.1, gt=0, le=1)
    baseline: Literal["black", "local-mean"] = "black"
    at_a_time: int = Field(default=16, ge=1)


def occlude(
    run: Run, film: Films, place: int, black: float, settings: Occlusion
) -> NDArray[np.float32]:
    """Make an occlusion map.

    Args:
        run: the network.
        film: float32 (C, S, S), standardised.
        place: of the label among the logits.
        black: what a black pixel is after standardisation.
        settings: size of patches and what covers them.

    Returns:
        float32 (n, n), n = 1 / stride: each cell holds the logit of the whole film minus that with
        a patch centered on the cell covered; below 0 where covering helps the label. A patch that
        changes nothing costs no inference and is 0.
    """
    side = film.shape[-1]
    cells = max(round(1 / settings.stride), 1)
    cover = _cover(film, black, settings)
    changed, places = [], []
    for row, column in np.ndindex(cells, cells):
        covered = film.copy()
        window = (
            slice(None),
            _span(row, cells, side, settings),
            _span(column, cells, side, settings),
        )
        covered[window] = cover[window]
        if not np.array_equal(covered, film):
            changed.append(covered)
            places.append((row, column))
    whole = float(run(film[None])[0][0, place])
    lost = np.zeros((cells, cells), np.float32)
    for start in range(0, len(changed), settings.at_a_time):
        part = slice(start, start + settings.at_a_time)
        logits = run(np.stack(changed[part]))[0][:, place]
        for (row, column), logit in zip(places[part], logits, strict=True):
            lost[row, column] = whole - logit
    return lost


def _cover(film: Films, black: float, settings: Occlusion) -> Films:
    if settings.baseline == "black":
        return np.full_like(film, black)
    side = max(round(2 * settings.patch * film.shape[-1]), 1)
    return np.stack([cv2.blur(channel, (side, side)) for channel in film]).astype(np.float32)


def _span(cell: int, cells: int, side: int, settings: Occlusion) -> slice:
    center, half = (cell + 0.5) * side / cells, settings.patch * side / 2
    return slice(max(round(center - half), 0), min(round(center + half), side))


PANEL = 480
"""Height of each panel in pixels; films are scaled to it, so that text and lines look alike."""
_NARROWEST = 300  # pixels of a panel, however slim the film, so that the text fits
_GAP = 4


def draw_map(
    pixels: Pixels,
    heat: NDArray[np.float32],
    lungs: Lungs | None,
    limit: float,
    unit: str,
    lines: Sequence[str],
    peak: tuple[float, float] | None = None,
) -> RGB:
    """Draw the film beside the map on the film, with legend, numbers and notice.

    Args:
        pixels: float32 (H, W) in [0, 1].
        heat: float32 (H, W) in film coordinates; NaN, where the network did not look, stays film.
        lungs: of the film; None draws no contour.
        limit: number of the map at which the color is strongest, > 0.
        unit: of the map's numbers.
        lines: the numbers, one sentence a line; long lines are broken.
        peak: (x, y) in pixels of the film, marked with a ring; None marks nothing.

    Returns:
        uint8 (h, w, 3), RGB.
    """
    factor = PANEL / pixels.shape[0]
    size = max(round(pixels.shape[1] * factor), 1), PANEL
    how = cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC
    film = np.clip(np.asarray(cv2.resize(pixels, size, interpolation=how), np.float32), 0, 1)
    # nearest: the map is smooth at film size already, and NaN must not spread
    laid = np.asarray(cv2.resize(heat, size, interpolation=cv2.INTER_NEAREST), np.float32)
    grey = np.repeat(np.rint(255 * film).astype(np.uint8)[..., None], 3, axis=2)
    colored = overlay(film, laid, limit)
    if lungs is not None:
        mask = lungs.on_film((size[1], size[0])).astype(np.uint8)
        contours, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        for panel in (grey, colored):
            cv2.drawContours(panel, contours, -1, STYLES[Layer.LUNGS].color, 1, cv2.LINE_AA)
    if peak is not None:
        place = round(peak[0] * factor), round(peak[1] * factor)
        for color, thickness in (((0, 0, 0), 4), ((255, 255, 255), 2)):
            cv2.circle(colored, place, 9, color, thickness, cv2.LINE_AA)
    left, gap = max(_NARROWEST - size[0], 0) // 2, np.zeros((PANEL, _GAP, 3), np.uint8)
    border = ((0, 0), (left, max(_NARROWEST - size[0], 0) - left), (0, 0))
    both = np.hstack([np.pad(grey, border), gap, np.pad(colored, border)])
    return with_legend(both, "\n".join(lines), limit, unit)
