"""Examples: one film and all that was done to it, small, with what the model said of each."""

from __future__ import annotations

import math
from collections.abc import Mapping

import cv2
import numpy as np
from numpy.typing import NDArray

from hilum.core.radiograph import Radiograph
from hilum.image.lungs import Lungs
from hilum.image.perturb import PERTURBATIONS, Places
from hilum.image.write import jpeg
from hilum.judge.audit.report import Example, Picture
from hilum.serve.heatmap import limit_of, overlay, thumbnail

SIDE = 220
QUALITY = 88
"""Of a picture's JPEG."""
_CONTOUR = (0, 158, 115)  # RGB: bluish green of the palette of Okabe and Ito


def example_of(
    film: Radiograph,
    lungs: Lungs | None,
    places: Places,
    score: float,
    scores: Mapping[str, float],
    heatmap: NDArray[np.float32] | None,
    *,
    title: str,
    threshold: float | None,
    seed: tuple[int, int],
) -> Example:
    """Draw a film as it is, with its evidence and lungs, and as each perturbation made it."""
    pictures = [Picture(_jpeg(film), f"as it is: {_said(score, threshold)}")]
    if heatmap is not None or lungs is not None:
        pictures.append(Picture(_overlaid(film, lungs, heatmap), _legend(lungs, heatmap)))
    for name, value in scores.items():
        how = PERTURBATIONS[name]
        changed = how.change(film, places, np.random.default_rng(seed))
        if changed is not None:
            pictures.append(Picture(_jpeg(changed), f"{how.title}: {_said(value, threshold)}"))
    return Example(title, tuple(pictures))


def _said(score: float, threshold: float | None) -> str:
    if math.isnan(score):
        return "refused"
    if threshold is None:
        return f"score {score:.2f}"
    return f"score {score:.2f}, {'called' if score >= threshold else 'not called'}"


def _legend(lungs: Lungs | None, heatmap: NDArray[np.float32] | None) -> str:
    parts = ["evidence, orange for and blue against"] if heatmap is not None else []
    return "; ".join([*parts, *(["contour of the lungs"] if lungs is not None else [])])


def _overlaid(film: Radiograph, lungs: Lungs | None, heatmap: NDArray[np.float32] | None) -> bytes:
    small = thumbnail(film.pixels, SIDE)
    height, width = small.shape
    drawn = np.repeat(np.rint(small * 255).astype(np.uint8)[..., None], 3, axis=2)
    if heatmap is not None:
        shrunk = cv2.resize(heatmap, (width, height), interpolation=cv2.INTER_LINEAR)
        drawn = overlay(small, np.asarray(shrunk, np.float32), limit_of(heatmap))
    if lungs is not None:
        mask = lungs.on_film((height, width)).astype(np.uint8)
        outlines, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
        cv2.drawContours(drawn, outlines, -1, _CONTOUR, 1, cv2.LINE_AA)
    return jpeg(drawn, QUALITY)


def _jpeg(film: Radiograph) -> bytes:
    return jpeg(thumbnail(film.pixels, SIDE), QUALITY)
