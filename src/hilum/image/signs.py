"""Signs: some numbers of a film that tell whether it is a frontal chest film at all.

They come from the film, from the square that the lung network saw, and from the lungs that it
found there. The gate reads them together with the network's embedding; see ``hilum.bundle.gate``.
"""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from hilum.core.radiograph import Pixels, Radiograph
from hilum.image.lungs import Lungs

Numbers = NDArray[np.float32]

_THIN = 192
_SIDE = 112
_LEVELS = 256
_FLAT = 0.02
"""Standard deviation of a row or column that shows nothing, in grey levels of [0, 1]."""
_COARSE = 8

EXPOSURE: dict[str, str] = {
    "black": "share of the film at its lowest 8-bit level",
    "white": "share of the film at its highest 8-bit level",
    "grey_levels": "natural logarithm of the effective number of 8-bit levels (exp of the entropy)",
    "grey_range": "grey levels between percentile 0.5 and 99.5, in [0, 1]",
    "log_aspect": "natural logarithm of width / height",
}
PICTURE: dict[str, str] = {
    "median": "median of the square, in [0, 1]",
    "std": "its standard deviation",
    "mirror": "correlation with its mirror image, left and right",
    "flip": "correlation with itself upside down",
    "sharpness": "mean absolute Laplacian over the standard deviation",
    "middle": "mean of the middle third of the columns less that of the others",
    "empty_top": "share of the rows that are empty from the top on",
    "empty_bottom": "from the bottom",
    "empty_left": "share of the columns that are empty from the left",
    "empty_right": "from the right",
    "gutter_rows": "share of the rows that are empty between others",
    "gutter_columns": "share of the columns that are empty between others",
    "seam_rows": "largest median step from one row to the next, the outer eighth left out",
    "seam_columns": "from one column to the next",
}
FIELD: dict[str, str] = {
    "area": "lungs as a share of the film, specks left out",
    "parts": "connected regions of the lungs",
    "balance": "area of the second largest region over that of the largest",
    "top": "box around the lungs, as a share of the film",
    "left": "",
    "bottom": "",
    "right": "",
    "fill": "lungs as a share of their box",
    "cut_top": "share of the film's upper edge that lies in a lung",
    "cut_bottom": "of the lower edge",
    "cut_left": "of the left edge",
    "cut_right": "of the right edge",
    "twins": "overlap (Jaccard) of the lungs with their mirror image within their box",
    "apex": "width of the lungs in the upper third of their box, as a share of all",
    "base": "in the lower third",
    "apart": "distance of the centers of the two largest regions in x, as a share of the film",
    "askew": "the same in y",
    "darkness": "mean grey around the lungs less that inside, in [-1, 1]",
    "lung_std": "standard deviation of grey inside the lungs",
    "lung_black": "share of the lungs at the film's lowest 8-bit level",
    "lung_white": "at its highest",
}
LAYOUT: dict[str, str] = {
    f"{what}_{row}{column}": f"mean {of} in field ({row}, {column}) of {_COARSE} x {_COARSE}"
    for what, of in (("grey", "of the square"), ("lung", "of the lung mask"))
    for row in range(_COARSE)
    for column in range(_COARSE)
}

SIGNS: tuple[str, ...] = (*EXPOSURE, *PICTURE, *FIELD, *LAYOUT)
"""Names of the numbers, in order."""


def signs(radiograph: Radiograph, square: Pixels, lungs: Lungs) -> Numbers:
    """Measure a film.

    Args:
        radiograph: the film.
        square: float32 (S, S) in [0, 1], the film through the lung network's ``Preprocess``.
        lungs: what that network found in ``square``.

    Returns:
        float32 (len(SIGNS),), in the order of ``SIGNS``; all finite. Where no lung was found, the
        numbers of ``FIELD`` are 0.
    """
    small, share = _small(square), _small(lungs.mask.astype(np.float32))
    thin = _thin(radiograph.pixels)
    values = (
        *_exposure(thin, radiograph.shape),
        *_picture(small),
        *_field(thin, small, share >= 0.5, lungs),
        *_layout(small, share),
    )
    return np.array(values, np.float32)


def _exposure(thin: Pixels, shape: tuple[int, int]) -> tuple[float, ...]:
    counts = np.bincount((thin * (_LEVELS - 1) + 0.5).astype(np.uint8).ravel(), minlength=_LEVELS)
    shares = counts / counts.sum()
    some = shares[shares > 0]
    reached = np.searchsorted(shares.cumsum(), [0.005, 0.995])
    height, width = shape
    return (
        float(shares[0]),
        float(shares[-1]),
        float(-(some * np.log(some)).sum()),
        float(reached[1] - reached[0]) / (_LEVELS - 1),
        math.log(width / height),
    )


def _picture(square: Pixels) -> tuple[float, ...]:
    third = square.shape[1] // 3
    columns = square.mean(axis=0)
    middle = float(columns[third:-third].mean())
    outer = float(np.concatenate([columns[:third], columns[-third:]]).mean())
    std = float(square.std())
    laplacian = float(np.abs(cv2.Laplacian(square, cv2.CV_32F)).mean())
    top, bottom, _ = _empty(square.std(axis=1) < _FLAT)
    left, right, _ = _empty(square.std(axis=0) < _FLAT)
    # a gutter ends where the margin begins
    within = square[_kept(top, bottom, len(square)), _kept(left, right, square.shape[1])]
    *_, gutter_rows = _empty(within.std(axis=1) < _FLAT)
    *_, gutter_columns = _empty(within.std(axis=0) < _FLAT)
    return (
        float(_median(square.ravel())),
        std,
        _correlation(square, square[:, ::-1]),
        _correlation(square, square[::-1]),
        laplacian / max(std, 1e-3),
        middle - outer,
        top,
        bottom,
        left,
        right,
        gutter_rows,
        gutter_columns,
        _seam(square),
        _seam(square.T),
    )


def _empty(flat: NDArray[np.bool_]) -> tuple[float, float, float]:
    """Return the shares of lines that are empty at the start, at the end, and in between."""
    total = len(flat)
    if flat.all():
        return 1.0, 1.0, 0.0
    first, last = int(np.argmin(flat)), int(np.argmin(flat[::-1]))
    return first / total, last / total, float(flat[first : total - last].sum()) / total


def _kept(before: float, after: float, total: int) -> slice:
    """Return the lines that are not margin; all of them where every one is empty."""
    if before + after >= 1:
        return slice(None)
    return slice(round(before * total), total - round(after * total))


def _seam(square: Pixels) -> float:
    steps = _median(np.abs(square[1:] - square[:-1]))
    edge = len(steps) // 8
    return float(steps[edge:-edge].max())


def _median(values: Pixels) -> Pixels:
    """Return the median over the last axis, as ``numpy.median`` does, without its detours."""
    count = values.shape[-1]
    low, high = (count - 1) // 2, count // 2
    middle = np.partition(values, (low, high), axis=-1)
    return np.asarray((middle[..., low] + middle[..., high]) / 2, np.float32)


def _correlation(one: Pixels, other: Pixels) -> float:
    a, b = one - one.mean(), other - other.mean()
    scale = float(np.sqrt((a * a).sum() * (b * b).sum()))
    return float((a * b).sum()) / scale if scale > 1e-6 else 0.0


def _field(
    thin: Pixels, square: Pixels, mask: NDArray[np.bool_], lungs: Lungs
) -> tuple[float, ...]:
    if not lungs.parts or not mask.any():
        return (0.0,) * len(FIELD)
    parts = lungs.parts
    box = lungs.box()
    second = parts[1] if len(parts) > 1 else parts[0]
    height, width = box[2] - box[0], box[3] - box[1]
    return (
        lungs.area,
        float(len(parts)),
        second.area / parts[0].area if len(parts) > 1 else 0.0,
        *box,
        lungs.area / (height * width),
        *(float(edge.mean()) for edge in (mask[0], mask[-1], mask[:, 0], mask[:, -1])),
        *_shape(_cut(mask, box)),
        abs(parts[0].center[0] - second.center[0]),
        abs(parts[0].center[1] - second.center[1]),
        *_grey_of(thin, square, mask),
    )


def _cut(mask: NDArray[np.bool_], box: tuple[float, float, float, float]) -> NDArray[np.bool_]:
    side = mask.shape[0]
    top, left, bottom, right = (round(edge * side) for edge in box)
    return mask[top:bottom, left:right]


def _shape(mask: NDArray[np.bool_]) -> tuple[float, float, float]:
    mirrored = mask[:, ::-1]
    third, total = max(len(mask) // 3, 1), max(int(mask.sum()), 1)
    twins = int((mask & mirrored).sum()) / max(int((mask | mirrored).sum()), 1)
    return twins, int(mask[:third].sum()) / total, int(mask[-third:].sum()) / total


def _grey_of(
    thin: Pixels, square: Pixels, mask: NDArray[np.bool_]
) -> tuple[float, float, float, float]:
    reach = max(mask.shape[0] // 16, 1)
    around = cv2.dilate(mask.astype(np.uint8), np.ones((reach, reach), np.uint8)).astype(bool)
    ring, inside = square[around & ~mask], square[mask]
    size = (mask.shape[1], mask.shape[0])
    stored = cv2.resize(thin, size, interpolation=cv2.INTER_NEAREST)[mask]
    return (
        float(ring.mean() - inside.mean()) if len(ring) else 0.0,
        float(inside.std()),
        float((stored < 0.5 / (_LEVELS - 1)).mean()),
        float((stored > 1 - 0.5 / (_LEVELS - 1)).mean()),
    )


def _layout(square: Pixels, share: Pixels) -> NDArray[np.float32]:
    coarse = [
        cv2.resize(picture, (_COARSE, _COARSE), interpolation=cv2.INTER_AREA).ravel()
        for picture in (square, share)
    ]
    return np.concatenate(coarse)


def _small(square: Pixels) -> Pixels:
    small = cv2.resize(square, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA)
    return np.asarray(small, np.float32)


def _thin(pixels: Pixels) -> Pixels:
    """Take every n-th pixel; an average would invent grey levels."""
    height, width = pixels.shape
    return np.ascontiguousarray(pixels[:: max(height // _THIN, 1), :: max(width // _THIN, 1)])
