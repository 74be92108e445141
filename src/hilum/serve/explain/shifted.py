"""Evidence on a finer grid: the film is moved by parts of a cell, the answers are moved back."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from hilum.serve.explain.occlusion import Films, Run

SHIFTS = 4
"""A side; the grid of the map is that many times finer, at the square of it in inferences."""
_AT_A_TIME = 16


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
