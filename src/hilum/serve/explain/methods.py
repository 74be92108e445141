"""The maps of what a network used, by name; each runs on ONNX Runtime alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from hilum.core.errors import BundleError
from hilum.serve.explain.occlusion import Films, Occlusion, Run, occlude

Map = NDArray[np.float32]
SHIFTS = 4
"""A side; the grid of the map is that many times finer, at the square of it in inferences."""
_AT_A_TIME = 16


class MapMethod(NamedTuple):
    """One way to say which part of a film an answer rests on.

    Attributes:
        title: what the map shows, in words.
        unit: of its numbers; those below zero speak against the label.
        make: from (network, film float32 (C, S, S), place of the label among the logits, what a
            black pixel is after standardisation) to a map, float32 (h, w), or None for a network
            that lacks the evidence which the method needs.
    """

    title: str
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
