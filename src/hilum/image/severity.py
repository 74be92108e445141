"""Severity features: what the severity models look at, in named groups of numbers.

Fitting and reading call the same function, so that they cannot differ. A group that cannot be had
(no opacity network, no lungs found) is absent, never a row of zeros.
"""

from __future__ import annotations

from collections.abc import Mapping

import cv2
import numpy as np
from numpy.typing import NDArray

from hilum.core.details import Side, Zone
from hilum.core.radiograph import Radiograph
from hilum.image.lungs import Lungs, Mask, split_sides, split_zones
from hilum.image.opacities import KINDS, Opacities

Numbers = NDArray[np.float32]

CLASSIFIER = "classifier"
LOGITS = "logits"
LUNGS = "lungs"
SHAPE = "shape"
GREY = "grey"
EXTENTS = "extents"

GROUPS: dict[str, str] = {
    CLASSIFIER: "embedding of the classifier",
    LOGITS: "logits of the classifier",
    LUNGS: "embedding of the lung network",
    SHAPE: "area and height of each lung, box around both, overlap with their mirror image",
    GREY: "mean and spread of grey in each zone, against the box around the lungs",
    EXTENTS: "share of both lungs, each lung and each zone that is opaque, and mean scores there",
}
"""Group -> what it holds."""

_EDGE = 0.5  # percentile of grey that becomes 0; its counterpart becomes 1


def severity_features(
    embedding: Numbers | None,
    logits: Numbers | None,
    lungs: Lungs | None,
    opacities: Opacities | None,
    radiograph: Radiograph,
) -> dict[str, Numbers]:
    """Gather the feature groups of one film.

    Args:
        embedding: float32 (E,) of the classifier, ``Reader.embed``; None where it has none.
        logits: float32 (L,) of the classifier.
        lungs: of the film.
        opacities: of the film; None where the bundle has no opacity network.
        radiograph: the film as the networks saw it, corrections included.

    Returns:
        Group of ``GROUPS`` -> float32 (F,), all finite. Without lungs only what the classifier
        says is there.
    """
    said = classifier_features(embedding, logits)
    return said | lung_features(lungs, opacities, radiograph)


def classifier_features(embedding: Numbers | None, logits: Numbers | None) -> dict[str, Numbers]:
    """Return those of ``severity_features`` that the classifier says."""
    return _finite({CLASSIFIER: embedding, LOGITS: logits})


def lung_features(
    lungs: Lungs | None, opacities: Opacities | None, radiograph: Radiograph
) -> dict[str, Numbers]:
    """Return those of ``severity_features`` that the film itself tells; none without lungs."""
    if lungs is None or not lungs.parts:
        return {}
    regions = lung_regions(lungs)
    groups = {LUNGS: lungs.embedding, SHAPE: _shape(lungs), GREY: _grey(radiograph, regions)}
    if opacities is not None:
        groups[EXTENTS] = _extents(opacities, regions)
    return _finite(groups)


def _finite(groups: Mapping[str, Numbers | None]) -> dict[str, Numbers]:
    return {
        name: np.asarray(values, np.float32)
        for name, values in groups.items()
        if values is not None and values.size and np.isfinite(values).all()
    }


def lung_regions(lungs: Lungs) -> dict[tuple[Side | None, Zone | None], Mask]:
    """Return both lungs, each lung and each of the six zones, bool (S, S), always nine.

    The order of zones is that of the Brixia score: A, B, C down the right lung, D, E, F down the
    left one (Borghesi and Maroldi, 2020). Where a lung was not found, both lungs stand for it: an
    opaque lung is missed more often than a clear one, so that zero would be the wrong guess.
    """
    sides = split_sides(lungs)
    both = np.logical_or.reduce(list(sides.values()))
    regions: dict[tuple[Side | None, Zone | None], Mask] = {(None, None): both}
    for side in Side:
        lung = sides[side] if sides[side].any() else both
        zones = {zone: part if part.any() else lung for zone, part in split_zones(lung).items()}
        regions[side, None] = lung
        regions |= {(side, zone): part for zone, part in zones.items()}
    return regions


def _shape(lungs: Lungs) -> Numbers:
    top, left, bottom, right = lungs.box()
    height, width = bottom - top, right - left
    values = [lungs.area, height, width, lungs.area / (height * width), _twins(lungs)]
    for lung in split_sides(lungs).values():
        rows = np.flatnonzero(lung.any(1))
        values += [float(lung.mean()), float(np.ptp(rows) + 1) / lung.shape[0] if rows.size else 0]
    return np.array(values, np.float32)


def _twins(lungs: Lungs) -> float:
    """Overlap (Jaccard) of the lungs with their mirror image about the middle of their box."""
    columns = np.flatnonzero(lungs.mask.any(0))
    field = lungs.mask[:, columns[0] : columns[-1] + 1]
    mirrored = field[:, ::-1]
    return float((field & mirrored).sum() / (field | mirrored).sum())


def _grey(radiograph: Radiograph, regions: dict[tuple[Side | None, Zone | None], Mask]) -> Numbers:
    """Mean and standard deviation of each region, in units of the box around the lungs."""
    both = regions[None, None]
    size = both.shape[0]
    square = cv2.resize(radiograph.pixels, (size, size), interpolation=cv2.INTER_AREA)
    rows, columns = np.flatnonzero(both.any(1)), np.flatnonzero(both.any(0))
    box = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
    low, high = np.percentile(square[box], [_EDGE, 100 - _EDGE])
    scaled = np.clip((square - low) / max(high - low, 1e-6), 0, 1)
    around = scaled[box][~both[box]]
    outside = float(around.mean()) if around.size else 0.0
    values = [outside - float(scaled[both].mean())]
    for region in regions.values():
        values += [float(scaled[region].mean()), float(scaled[region].std())]
    return np.array(values, np.float32)


def _extents(opacities: Opacities, regions: dict[tuple[Side | None, Zone | None], Mask]) -> Numbers:
    """Share that is opaque (of any kind, of each) and mean score of each kind, in each region.

    Of every pixel from its threshold on, also where it is too little to be shown; the means keep
    what lies below the thresholds, too. To a score faint signs are worth more than none.
    """
    every = opacities.with_doubtful()
    masks = [every.mask(), *(every.mask(kind) for kind in KINDS)]
    values = []
    for region in regions.values():
        values += [float(mask[region].mean()) for mask in masks]
        values += [float(scores[region].mean()) for scores in opacities.scores]
    return np.array(values, np.float32)
