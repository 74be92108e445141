"""Same film: do two fingerprints come from one exposure?

Features that agree are laid over one another by an affine map; then the two pictures are compared
where they overlap. Two films of one anatomy share some features, but not their pixels.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from hilum.data.fingerprint import Fingerprint

_REACH = 1.5  # pixels of the picture by which a feature may miss its partner
_MAX_STRETCH = 5.0  # of one film against the other
_MAX_SKEW = 1.6  # ratio of the two axes of the map: squares were made of films, not needles
_MIN_OVERLAP = 0.4  # of the smaller film
_MIN_CORRELATION = 0.55
_LINE = 1.03  # of correlation + features / 100


@dataclass(frozen=True, slots=True)
class Agreement:
    """How well one film lies on another.

    Attributes:
        features: pairs of features that one affine map explains.
        correlation: absolute Pearson correlation of the pictures where they overlap, in [0, 1].
        overlap: area that both show, as a share of the smaller film, in [0, 1].
    """

    features: int = 0
    correlation: float = 0.0
    overlap: float = 0.0

    @property
    def same_film(self) -> bool:
        """Whether this is one film (or a follow-up that cannot be told from it).

        Copies have many features and a strong likeness, but a hard crop leaves few features and
        what is drawn on a film takes from its likeness: the one makes up for the other. On this
        scale films of different people reach 0.97, most follow-up films stay below 1.0, those
        that cannot be told apart by eye reach 1.4, copies 1.1 to 2.5. The line was drawn with
        ``benchmarks/duplicates.py``.
        """
        likely = self.correlation >= _MIN_CORRELATION and self.overlap >= _MIN_OVERLAP
        return likely and self.correlation + self.features / 100 >= _LINE


def compare(a: Fingerprint, b: Fingerprint) -> Agreement:
    """Lay film ``a`` over film ``b`` and say how well they agree."""
    chosen, partners = _partners(a.descriptors, b.descriptors)
    if len(chosen) < 8:
        return Agreement()
    found, inliers = cv2.estimateAffine2D(
        a.points[chosen],
        b.points[partners],
        method=cv2.RANSAC,
        ransacReprojThreshold=_REACH,
        maxIters=300,
        confidence=0.99,
    )
    affine = np.asarray(found, np.float64)
    if affine.shape != (2, 3) or not _plausible(affine):  # none found, or none that a copy makes
        return Agreement()
    return Agreement(int(inliers.sum()), *_likeness(a.picture, b.picture, affine))


def _partners(
    a: NDArray[np.float32], b: NDArray[np.float32]
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the features of ``a`` and ``b`` that are each other's nearest."""
    if not len(a) or not len(b):
        return np.zeros(0, np.intp), np.zeros(0, np.intp)
    similarity = a @ b.T
    forth, back = similarity.argmax(axis=1), similarity.argmax(axis=0)
    mutual = np.flatnonzero(back[forth] == np.arange(len(a)))
    return mutual, forth[mutual]


def _plausible(affine: NDArray[np.float64]) -> bool:
    linear = affine[:, :2]
    large, small = np.linalg.svd(linear, compute_uv=False)
    flipped = np.linalg.det(linear) <= 0
    stretched = large > _MAX_STRETCH or small < 1 / _MAX_STRETCH
    return not flipped and not stretched and bool(large / small <= _MAX_SKEW)


def _likeness(
    a: NDArray[np.uint8], b: NDArray[np.uint8], affine: NDArray[np.float64]
) -> tuple[float, float]:
    size = (b.shape[1], b.shape[0])
    laid = cv2.warpAffine(a, affine, size)
    both = cv2.warpAffine(np.ones_like(a), affine, size, flags=cv2.INTER_NEAREST) > 0
    smaller = min(b.size, a.size * abs(float(np.linalg.det(affine[:, :2]))))
    x, y = laid[both].astype(np.float32), b[both].astype(np.float32)
    if x.size < 100 or x.std() < 1 or y.std() < 1:
        return 0.0, 0.0
    return abs(float(np.corrcoef(x, y)[0, 1])), min(1.0, float(both.sum()) / smaller)
