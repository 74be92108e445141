"""Spread: begin each region of a report where its numbers can be read.

OHIF 3.12 writes the numbers of a region beside its first two points: to the right of both, below
the middle between them. Regions of one place would be written over each other. A closed polygon is
the same region wherever it begins and whichever way it runs, so that each begins where most room is
left. It begins at one of its points, because OHIF takes five of them for a rectangle; only the
rectangle of the whole film, which is one of many, may begin anywhere on its sides.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydicom.dataset import Dataset

_LINE, _LETTER, _AWAY = 0.0225, 0.0095, 0.03
"""Height of a line, width of a letter, and how far the text stands to the right and below, as
shares of the film's height on a screen."""
_MOST_LINES, _ROUNDS = 5, 3
_BETWEEN = np.arange(32) / 32
"""Where on a side, as shares of it, the rectangle of the whole film may begin."""
_Floats = NDArray[np.float64]


def spread(groups: Iterable[Sequence[Dataset]], shape: tuple[int, int], whole: ArrayLike) -> None:
    """Begin the regions of groups anew on a film of ``shape`` as stored.

    Small ones choose first, and again when all have chosen.

    Args:
        groups: of a report.
        shape: (height, width) of the film.
        whole: the corners of what groups without an outline have as their region, (4, 2).
    """
    regions = []
    for group in groups:
        rows = group[0].ContentSequence
        for region in (row for row in rows if row.ValueType == "SCOORD"):
            points = np.asarray(region.GraphicData, float).reshape(-1, 2)
            regions.append((float(np.ptp(points, axis=0).prod()), rows, region, points))
    regions.sort(key=lambda each: each[0])
    texts: dict[int, _Floats] = {}
    for number, (_, rows, region, points) in _ROUNDS * [*enumerate(regions)]:
        size, begun, corners = _size(rows, shape[0]), points, points[:-1]
        if len(points) > 3 and (points[0] == points[-1]).all():
            others = [text for other, text in texts.items() if other != number]
            places = _BETWEEN if np.array_equal(corners, whole) else _BETWEEN[:1]
            begun = _begun(corners, places, size, others, shape)
            region.GraphicData = begun.ravel().tolist()
        first = begun[:1]
        second = begun[1:2] if len(begun) > 1 else first
        texts[number] = _written(first, second, size, shape[0])[0]


def _begun(
    corners: _Floats,
    places: _Floats,
    size: tuple[float, float],
    taken: Sequence[_Floats],
    shape: tuple[int, int],
) -> _Floats:
    """Return a polygon, closed, from where its text covers least of the others.

    It begins at one of ``places`` of a side, 0 being the corner, and runs either way.
    """
    ways = np.stack([corners, corners[::-1]])
    sides = np.roll(ways, -1, axis=1) - ways
    starts = ways + places[:, None, None, None] * sides
    seconds = np.broadcast_to(ways + sides, starts.shape)
    written = _written(starts.reshape(-1, 2), seconds.reshape(-1, 2), size, shape[0])
    lost = _area(written) - _area(np.clip(written, 0, [shape[1], shape[0]] * 2))
    for other in taken:
        least, most = np.maximum(written, other), np.minimum(written, other)
        lost += _area(np.hstack([least[:, :2], most[:, 2:]]))
    best = np.lexsort((-written[:, 1], lost))[0]
    place, way, side = np.unravel_index(best, starts.shape[:3])
    start = starts[place, way, side]
    to_its_corner = np.roll(ways[way], -side - 1, axis=0)
    if places[place] == 0:
        return np.vstack([start, to_its_corner])
    return np.vstack([start, to_its_corner, start])


def _written(first: _Floats, second: _Floats, size: tuple[float, float], height: int) -> _Floats:
    """Return (left, top, right, bottom) of texts of one size beside pairs of points."""
    corner = np.stack([np.maximum(first, second)[:, 0], (first + second)[:, 1] / 2], axis=1)
    corner += _AWAY * height
    return np.hstack([corner, corner + size])


def _size(rows: Iterable[Dataset], height: int) -> tuple[float, float]:
    """Return how wide and high the text of a group is, in pixels of the film."""
    lines = [
        f"{row.ConceptNameCodeSequence[0].CodeMeaning}: 00.00 {_unit(row)}"
        for row in rows
        if row.ValueType == "NUM"
    ]
    lines = [*lines, "363698007: Lung"][:_MOST_LINES]  # the site, by its code
    return _LETTER * height * max(map(len, lines)), _LINE * height * len(lines)


def _unit(row: Dataset) -> str:
    return str(row.MeasuredValueSequence[0].MeasurementUnitsCodeSequence[0].CodeValue)


def _area(boxes: _Floats) -> _Floats:
    return np.asarray(np.clip(boxes[:, 2:] - boxes[:, :2], 0, None).prod(axis=1))
