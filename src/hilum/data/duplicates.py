"""Duplicates: films that stand in a table twice, and the patients whom they link.

Candidates, without comparing each film with each: every feature of every film goes into one forest
of randomized k-d trees (FLANN). Each film asks for the nearest features of its own; a film that
owns several of them is a candidate. One question looks at a fixed number of leaves, so the cost of
a film does not grow with the collection.

Do two fingerprints come from one exposure? Features that agree are laid over one another by an
affine map; then the two pictures are compared where they overlap. Two films of one anatomy share
some features, but not their pixels.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import cv2
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hilum.core.case import owner_of
from hilum.core.errors import CohortError, ImageError
from hilum.core.machine import cores
from hilum.core.prefetch import prefetch, watched
from hilum.data.fingerprint import Fingerprint, fingerprint
from hilum.data.table import require_columns
from hilum.image.open import open_radiograph

PAIR_COLUMNS = ("case_id_a", "case_id_b", "kind", "distance")


def find_duplicates(
    cases: pd.DataFrame, *, progress: bool = False, threads: int | None = None
) -> pd.DataFrame:
    """Find films that stand in the table twice: cropped, resized, re-encoded, inverted or marked.

    Films of one patient that cannot be told apart (two exposures within minutes, another rendering
    of one exposure) count as duplicates; other follow-up films do not. Mirrored and turned films
    are not found.

    Args:
        cases: needs ``case_id`` and ``path``.
        progress: show a bar on stderr.
        threads: how many films to open at a time; default: one a core.

    Returns:
        One row a pair, sorted: ``case_id_a`` < ``case_id_b``; ``kind`` "exact" (equal pixels) or
        "near"; ``distance`` 0 for exact, else 1 - correlation of the two films laid over one
        another, in [0, 1]. Of several exact copies each is paired with the first only, and the
        first stands for all of them in near pairs: the links between them are complete.

    Warns:
        UserWarning: how many films could not be opened, with the first reason.
    """
    require_columns(cases, "cases")
    paths = cases.sort_values("case_id").set_index("case_id")["path"].astype(str)
    films = _open_all(paths, progress, threads)
    exact, first = _exact(films)
    rows = exact + _near(first, progress, threads)
    pairs = pd.DataFrame(rows, columns=list(PAIR_COLUMNS))
    return pairs.sort_values(["case_id_a", "case_id_b"], ignore_index=True)


def link_groups(cases: pd.DataFrame, pairs: pd.DataFrame) -> pd.DataFrame:
    """Fill the column ``group``: people linked by a duplicate film share it.

    A film without a patient is a group of its own unless a duplicate links it. A group that the
    table already names is kept together, too.

    Args:
        cases: needs ``case_id`` and ``patient_id``.
        pairs: as from ``find_duplicates``; only the two case columns are read.

    Returns:
        A copy of ``cases``; ``group`` is the alphabetically first patient (or case) of the group.

    Raises:
        CohortError: a pair names a case that is not in the table.
    """
    check_pairs(cases, pairs)
    case_ids = cases["case_id"].astype(str)
    # A group is named after its people, not after the group that the table named before:
    # so linking again, or in parts, gives the same names.
    own = owner_of(cases.drop(columns="group", errors="ignore"))
    roots: dict[str, str] = {}
    for one, other in zip(case_ids, owner_of(cases), strict=True):
        _join(roots, f"case {one}", f"owner {other}")
    for one, other in zip(pairs["case_id_a"], pairs["case_id_b"], strict=True):
        _join(roots, f"case {one}", f"case {other}")
    root = pd.Series([_root(roots, f"case {one}") for one in case_ids], index=cases.index)
    return cases.assign(group=own.groupby(root).transform("min"))


def check_pairs(cases: pd.DataFrame, pairs: pd.DataFrame) -> None:
    """Raise ``CohortError`` unless ``pairs`` has its columns and names cases of the table."""
    lacking = [name for name in PAIR_COLUMNS[:2] if name not in pairs.columns]
    if lacking:
        raise CohortError(
            f"pairs: no column {', '.join(lacking)}; found {', '.join(map(str, pairs.columns))}",
            hint="expected a table that `hilum cohort split` wrote beside its result",
        )
    named = pd.concat([pairs["case_id_a"], pairs["case_id_b"]])
    strange = named[~named.isin(cases["case_id"])]
    if len(strange):
        raise CohortError(
            f"pairs: {strange.nunique()} cases are not in the table, the first '{strange.iloc[0]}'",
            hint="the pairs were found in another table; find them again",
        )


def _open_all(paths: pd.Series[str], progress: bool, threads: int | None) -> dict[str, Fingerprint]:
    workers = threads or cores()
    opened = prefetch(_open_one, paths, workers=workers, ahead=4 * workers)
    found = list(watched(opened, len(paths), "films", shown=progress))
    failed = [result for result in found if isinstance(result, ImageError)]
    if failed:
        warnings.warn(
            f"{len(failed)} of {len(found)} films could not be opened and were not compared; "
            f"the first: {failed[0].message}",
            stacklevel=3,
        )
    return {
        str(case_id): film
        for case_id, film in zip(paths.index, found, strict=True)
        if isinstance(film, Fingerprint)
    }


def _open_one(path: str) -> Fingerprint | ImageError:
    try:
        return fingerprint(open_radiograph(path).pixels)
    except ImageError as error:
        return error


def _exact(
    films: dict[str, Fingerprint],
) -> tuple[list[tuple[str, str, str, float]], dict[str, Fingerprint]]:
    """Pair equal films with the first of them; return the pairs and the first of each."""
    first: dict[str, str] = {}
    pairs = [
        (first[film.pixel_hash], case_id, "exact", 0.0)
        for case_id, film in films.items()
        if first.setdefault(film.pixel_hash, case_id) != case_id
    ]
    return pairs, {case_id: films[case_id] for case_id in first.values()}


def _near(
    films: dict[str, Fingerprint], progress: bool, threads: int | None
) -> list[tuple[str, str, str, float]]:
    names, prints = list(films), list(films.values())
    candidates = candidate_pairs(prints, progress=progress, threads=threads)
    workers = threads or cores()
    compared = prefetch(
        partial(_compare_pair, prints), candidates, workers=workers, ahead=4 * workers
    )
    bar = watched(compared, len(candidates), "pairs", shown=progress, unit="pair")
    return [
        (names[i], names[j], "near", distance)
        for (i, j), distance in zip(candidates, bar, strict=True)
        if distance is not None
    ]


def _compare_pair(prints: list[Fingerprint], pair: tuple[int, int]) -> float | None:
    agreement = compare(prints[pair[0]], prints[pair[1]])
    return 1 - agreement.correlation if agreement.same_film else None


def _root(roots: dict[str, str], name: str) -> str:
    root = name
    while roots.setdefault(root, root) != root:
        root = roots[root]
    while roots[name] != root:  # the next one to ask finds the root at once
        roots[name], name = root, roots[name]
    return root


def _join(roots: dict[str, str], one: str, other: str) -> None:
    roots[_root(roots, other)] = _root(roots, one)


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
    bar = watched(asked, len(films), "index", shown=progress)
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


_REACH = 1.5  # pixels of the picture by which a feature may miss its partner
_MAX_STRETCH = 5.0  # of one film against the other
_MAX_SKEW = 1.6  # ratio of the two axes of the map: squares were made of films, not needles
_MIN_OVERLAP = 0.4  # of the smaller film
_MIN_CORRELATION = 0.55
_LINE = 1.03  # of correlation + features / 100


@dataclass(frozen=True, slots=True)
class Likeness:
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


def compare(a: Fingerprint, b: Fingerprint) -> Likeness:
    """Lay film ``a`` over film ``b`` and say how well they agree."""
    chosen, partners = _partners(a.descriptors, b.descriptors)
    if len(chosen) < 8:
        return Likeness()
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
        return Likeness()
    return Likeness(int(inliers.sum()), *_likeness(a.picture, b.picture, affine))


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
