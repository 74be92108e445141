"""Occlusion: what the logit loses when a patch of the film is covered (Zeiler and Fergus 2014)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from hilum.core.config import Config

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
