"""Spread: begin each region of a report where its numbers can be read.

OHIF 3.12 writes the numbers of a region beside its first two points: to the right of both, below
the middle between them. Regions of one place would be written over each other. A closed polygon is
the same region wherever it begins and whichever way it runs, so that each begins where most room is
left. A box begins at one of its corners, because OHIF takes five points for a rectangle.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

_LINE, _LETTER, _AWAY = 0.0225, 0.0095, 0.03
"""Height of a line, width of a letter, and how far the text stands to the right and below, as
shares of the film's height on a screen."""
_MOST_LINES, _ROUNDS = 5, 3
_LONG = 0.5
"""Share of the film's height: on a side of such a length a region may begin between corners."""
_BETWEEN = np.arange(32) / 32
_Floats = NDArray[np.float64]


def spread(groups: Iterable[Sequence[Dataset]], shape: tuple[int, int]) -> None:
    """Begin the regions of groups anew on a film of ``shape`` as stored.

    Small ones choose first, and again when all have chosen.
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
        size, begun = _size(rows, shape[0]), points
        if len(points) > 3 and (points[0] == points[-1]).all():
            others = [text for other, text in texts.items() if other != number]
            begun = _begun(points[:-1], size, others, shape)
            region.GraphicData = begun.ravel().tolist()
        texts[number] = _written(begun[:1], begun[:2][-1:], size, shape[0])[0]


def _begun(
    corners: _Floats, size: tuple[float, float], taken: Sequence[_Floats], shape: tuple[int, int]
) -> _Floats:
    """Return a polygon, closed, from where its text covers least of the others."""
    ways = np.stack([corners, corners[::-1]])
    seconds = np.roll(ways, -1, axis=1)
    long = np.linalg.norm(seconds - ways, axis=2) >= _LONG * shape[0]
    places = np.argwhere(long | (_BETWEEN == 0)[:, None, None])
    share, way, place = places.T
    second = seconds[way, place]
    first = ways[way, place]
    first = first + _BETWEEN[share, None] * (second - first)
    written = _written(first, second, size, shape[0])
    lost = _area(written) - _area(np.clip(written, 0, [shape[1], shape[0]] * 2))
    for other in taken:
        least, most = np.maximum(written, other), np.minimum(written, other)
        lost += _area(np.hstack([least[:, :2], most[:, 2:]]))
    best = np.lexsort((-written[:, 1], lost))[0]
    rest = np.roll(ways[way[best]], -place[best] - 1, axis=0)
    return np.vstack([first[best], rest, first[best:][: bool(share[best])]])


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
