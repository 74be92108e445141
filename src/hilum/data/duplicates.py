"""Duplicates: films that stand in a table twice, and the patients whom they link."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from functools import partial

import pandas as pd
from tqdm import tqdm

from hilum.core.case import owner_of
from hilum.core.errors import CohortError, ImageError
from hilum.core.machine import cores
from hilum.core.prefetch import prefetch
from hilum.data.candidates import candidate_pairs
from hilum.data.fingerprint import Fingerprint, fingerprint
from hilum.data.samefilm import compare
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
    found = list(tqdm(opened, "films", len(paths), disable=not progress, unit="film"))
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
    bar: Iterable[float | None] = tqdm(
        compared, "pairs", len(candidates), disable=not progress, unit="pair"
    )
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
