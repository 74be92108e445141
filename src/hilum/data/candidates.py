"""Candidates: which films of many might be one film, without comparing each with each.

Every feature of every film goes into one forest of randomized k-d trees (FLANN). Each film asks
for the nearest features of its own; a film that owns several of them is a candidate. One question
looks at a fixed number of leaves, so the cost of a film does not grow with the collection.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import cv2
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from hilum.core.machine import cores
from hilum.core.prefetch import prefetch
from hilum.data.fingerprint import Fingerprint

MIN_VOTES = 5
"""Features of a film that must fall on one other film to make it a candidate."""
MAX_CANDIDATES = 12
"""Candidates that one film may bring, the most voted for first."""

_NEIGHBORS = 8  # more than the copies that a film usually has
_KDTREE = {"algorithm": 1, "trees": 4}
_CHECKS = 48
_SEED = 2020  # FLANN draws its trees from OpenCV's generator


def candidate_pairs(
    films: Sequence[Fingerprint], *, progress: bool = False, threads: int | None = None
) -> list[tuple[int, int]]:
    """Return pairs (i, j), i < j, of films that share features, in order.

    References:
        M. Muja and D. Lowe, IEEE PAMI 2014 (FLANN).
    """
    owners = np.repeat(np.arange(len(films)), [len(film.descriptors) for film in films])
    if len(owners) <= _NEIGHBORS:
        return []
    cv2.setRNGSeed(_SEED)
    forest = cv2.flann.Index(np.concatenate([film.descriptors for film in films]), dict(_KDTREE))
    workers = threads or cores()
    asked = prefetch(
        partial(_ask, forest, owners, films), range(len(films)), workers=workers, ahead=4 * workers
    )
    bar = tqdm(asked, "index", len(films), disable=not progress, unit="film")
    return sorted({pair for pairs in bar for pair in pairs})


def _ask(
    forest: cv2.flann.Index, owners: NDArray[np.intp], films: Sequence[Fingerprint], film: int
) -> list[tuple[int, int]]:
    wanted = films[film]
    if not len(wanted.descriptors):
        return []
    # one neighbor more than wanted, because each feature finds itself
    nearest, _ = forest.knnSearch(wanted.descriptors, _NEIGHBORS + 1, params={"checks": _CHECKS})
    others, votes = _count(np.sort(owners[nearest], axis=1))
    likely = (others != film) & (votes >= MIN_VOTES)
    others, votes = others[likely], votes[likely]
    best = np.lexsort((others, -votes))[:MAX_CANDIDATES]
    return [(min(film, other), max(film, other)) for other in others[best].tolist()]


def _count(voted: NDArray[np.intp]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Count votes for each film; a feature (a sorted row) votes once for a film."""
    again = np.diff(voted, axis=1, prepend=-1) == 0
    films, votes = np.unique(voted[~again], return_counts=True)
    return films, votes
