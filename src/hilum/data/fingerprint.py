"""Fingerprint: what is kept of a film to find its copies, whatever was done to them.

A bundle has room for less: the look of each film that it learned from, which stands all but a crop
and a turn.

Local features (SIFT) of a film whose local contrast was evened out stand a crop, a resize, a
re-encoding and text burned in; evening out stands another window or gamma; descriptors that do not
tell a rising edge from a falling one stand an inversion.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from hilum.core.radiograph import Pixels

DETECTION_SIDE = 256
"""Long side, in pixels, at which features are found."""
PICTURE_SIDE = 128
"""Long side, in pixels, of the picture that is kept for comparing two films as a whole."""
MAX_POINTS = 150
"""Strongest features kept of a film."""
LOOK_SIDE = 24
"""Sides of a look. In 3.7 million pairs of films of two patients correlations reach 0.82; with
sides of 16 they reach 0.88, with 32 they reach 0.78 for nearly twice the bytes."""

_NEIGHBORHOOD = DETECTION_SIDE / 24  # sigma in pixels: about the width of a rib
_FLOOR = 0.02  # local deviation below which a film is taken for flat, so that noise stays small
_STEPS = 8  # of a look's values in one deviation: finer ones change no correlation by 0.001
_DEVIATIONS = 3.0  # a pixel further than this from its neighborhood says no more


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """A film, small enough to keep by the thousand (about 60 kB).

    Attributes:
        pixel_hash: SHA-256 of the size and of the pixels as 8 bits; equal for equal pixels,
            whatever the file format.
        picture: uint8 (h, w), longer side 128: the film with its local contrast evened out.
        points: float32 (K, 2), x and y of each feature in pixels of ``picture``, K <= 150.
        descriptors: float32 (K, 64), of unit length, in [0, 1].
    """

    pixel_hash: str
    picture: NDArray[np.uint8]
    points: NDArray[np.float32]
    descriptors: NDArray[np.float32]


def fingerprint(pixels: Pixels) -> Fingerprint:
    """Describe one film.

    Args:
        pixels: float32 (H, W) in [0, 1].

    References:
        D. Lowe, IJCV 2004 (SIFT); R. Arandjelovic and A. Zisserman, CVPR 2012 (RootSIFT).
    """
    even = _even_out(_fit(pixels, DETECTION_SIDE))
    picture = _fit(even, PICTURE_SIDE)
    points, descriptors = _features(even)
    scale = np.array(picture.shape[::-1]) / np.array(even.shape[::-1])
    return Fingerprint(
        pixel_hash(pixels),
        np.asarray(np.round(picture), np.uint8),
        np.asarray(points * scale, np.float32),
        descriptors,
    )


def look(pixels: Pixels) -> NDArray[np.int8]:
    """Return what a film looks like as a whole: (576,), its local contrast in 24 x 24 places.

    Two looks are compared by their correlation, whatever size, shape, window or losses the films
    have: the film is brought to a square, evened out and averaged.

    Args:
        pixels: float32 (H, W) in [0, 1].
    """
    square = cv2.resize(pixels, (DETECTION_SIDE, DETECTION_SIDE), interpolation=cv2.INTER_AREA)
    even = _even_out(np.asarray(square, np.float32))
    cells = cv2.resize(even, (LOOK_SIDE, LOOK_SIDE), interpolation=cv2.INTER_AREA).ravel()
    away = (cells - cells.mean()) / max(float(cells.std()), 1e-6)
    return np.asarray(np.clip(np.round(_STEPS * away), -127, 127), np.int8)


def pixel_hash(pixels: Pixels) -> str:
    """Return the SHA-256 of the size and of the pixels rounded to 8 bits: 64 digits."""
    grey = np.asarray(np.round(pixels * 255), np.uint8)
    return hashlib.sha256(str(grey.shape).encode() + grey.tobytes()).hexdigest()


def _fit(pixels: NDArray[np.float32], side: int) -> NDArray[np.float32]:
    height, width = pixels.shape
    factor = side / max(height, width)
    size = (max(16, round(width * factor)), max(16, round(height * factor)))
    method = cv2.INTER_AREA if factor < 1 else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(pixels, size, interpolation=method), np.float32)


def _even_out(pixels: NDArray[np.float32]) -> NDArray[np.float32]:
    """Subtract the local mean and divide by the local deviation; return float32 in [0, 255]."""
    away = pixels - cv2.GaussianBlur(pixels, (0, 0), _NEIGHBORHOOD)
    deviation = np.sqrt(cv2.GaussianBlur(away * away, (0, 0), _NEIGHBORHOOD))
    standard = np.clip(away / (deviation + _FLOOR), -_DEVIATIONS, _DEVIATIONS)
    return np.asarray((standard + _DEVIATIONS) * (255 / (2 * _DEVIATIONS)), np.float32)


def _features(even: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    picture = np.asarray(np.round(even), np.uint8)
    sift = cv2.SIFT.create(contrastThreshold=0.02, edgeThreshold=15)
    points = _upright(sift.detect(picture, None))
    if not points:
        return np.zeros((0, 2), np.float32), np.zeros((0, 64), np.float32)
    kept, descriptors = sift.compute(picture, points)
    places = np.array([point.pt for point in kept], np.float32)
    return places, _without_sign(np.asarray(descriptors, np.float32))


def _upright(points: Sequence[cv2.KeyPoint]) -> list[cv2.KeyPoint]:
    """Keep the strongest points, each once and upright: films are not turned in the round."""
    by_place = {(*point.pt, point.size): point for point in points}
    strongest = sorted(by_place.values(), key=lambda point: (-point.response, point.pt))
    for point in strongest[:MAX_POINTS]:
        point.angle = 0
    return strongest[:MAX_POINTS]


def _without_sign(descriptors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Fold each histogram of 8 directions to 4 orientations: a negative's gradients turn by 180."""
    directions = descriptors.reshape(-1, 16, 8)
    folded = (directions[:, :, :4] + directions[:, :, 4:]).reshape(-1, 64)
    share = folded / np.maximum(folded.sum(axis=1, keepdims=True), 1e-6)
    return np.asarray(np.sqrt(share), np.float32)
