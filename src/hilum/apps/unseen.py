"""Unseen: whom a network learned from, counted in patients, and which films are of others.

A film that a network did not learn from says little about strangers while another film of the same
patient was learned from. So every comparison asks for the owner: ``hilum.core.case.owner_of``.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Set

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hilum.bundle.opacities import OpacitySpec
from hilum.bundle.seen import WEIGHTS, KnownFilms
from hilum.core.case import owner_of
from hilum.judge.severity_study import NEVER_TRAINED


def opacity_films(spec: OpacitySpec) -> frozenset[str] | None:
    """Return the case_ids that an opacity network learned from; None where nothing says so."""
    named = spec.made.get("trained_on")
    return (frozenset(named) or None) if isinstance(named, list) else None


def seen_patients(cases: pd.DataFrame, learned: Iterable[str]) -> NDArray[np.bool_]:
    """Mark the films of patients of whom a network learned from a film.

    Args:
        cases: a cases table with every film of ``learned`` that it can have: the patient of a
            film that it lacks is not known.
        learned: case_ids.

    Returns:
        bool (n,), in the order of ``cases``.

    >>> table = pd.DataFrame({"case_id": ["a", "b", "c"], "patient_id": ["p", "p", ""]})
    >>> seen_patients(table, {"a"}).tolist()
    [True, True, False]
    """
    owners = owner_of(cases)
    trained = cases["case_id"].isin(list(learned))
    return np.asarray(owners.isin(set(owners[trained])), bool)


def unseen_marks(
    cases: pd.DataFrame, seen: KnownFilms, spec: OpacitySpec | None
) -> dict[str, NDArray[np.bool_]]:
    """Return the columns of ``NEVER_TRAINED``: films of patients that a network did not learn from.

    Args:
        cases: a whole cases table.
        seen: what the bundle, which has the classifier, knew of them.
        spec: of the opacity network; None leaves its column out.
    """
    marks = {NEVER_TRAINED["classifier"]: ~seen_patients(cases, seen.counted(WEIGHTS))}
    if spec is not None:
        marks[NEVER_TRAINED["opacities"]] = ~seen_patients(cases, _learned_from(cases, spec))
    return marks


def in_sample(cases: pd.DataFrame, spec: OpacitySpec | None) -> Set[str]:
    """Return the films whose opacities would be found by a network that learned from them."""
    return set(cases["case_id"]) & set(_learned_from(cases, spec) if spec else ())


def _learned_from(cases: pd.DataFrame, spec: OpacitySpec) -> Collection[str]:
    """Return the films that an opacity network learned from; all with masks where it is silent."""
    known = opacity_films(spec)
    return set(cases["case_id"][cases["lesion_masks"] != ""]) if known is None else known
