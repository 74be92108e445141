"""Unseen: whom a network learned from, counted in patients, and which films are of others.

A film that a network did not learn from says little about strangers while another film of the same
patient was learned from. So every comparison asks for the owner: ``hilum.core.case.owner_of``.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Set
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hilum.bundle.opacities import OpacitySpec
from hilum.bundle.seen import WEIGHTS, Seen
from hilum.core.case import owner_of
from hilum.judge.severity_study import NEVER_TRAINED


def opacity_films(spec: OpacitySpec, held_out: Iterable[str] = ()) -> frozenset[str] | None:
    """Return the case_ids that an opacity network learned from; None where nothing says so.

    Args:
        spec: its ``opacities.json``, which names the films with masks.
        held_out: case_ids of ``out-of-fold.npz`` of its run: all of its real films, since the
            network that ships learned from every fold.
    """
    named = spec.made.get("trained_on")
    known = frozenset(named) if isinstance(named, list) else frozenset[str]()
    return known | frozenset(held_out) or None


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
    cases: pd.DataFrame, seen: Seen, spec: OpacitySpec | None, held_out: Mapping[str, Any]
) -> dict[str, NDArray[np.bool_]]:
    """Return the columns of ``NEVER_TRAINED``: films of patients that a network did not learn from.

    Args:
        cases: a whole cases table.
        seen: what the bundle, which has the classifier, knew of them.
        spec: of the opacity network; None leaves its column out.
        held_out: films that are scored by the network of a fold that never saw their patient.
    """
    marks = {NEVER_TRAINED["classifier"]: ~seen_patients(cases, seen.counted(WEIGHTS))}
    if spec is not None:
        elsewhere = cases["case_id"].isin(list(held_out)).to_numpy(bool)
        learned = seen_patients(cases, _learned_from(cases, spec, held_out))
        marks[NEVER_TRAINED["opacities"]] = ~learned | elsewhere
    return marks


def in_sample(
    cases: pd.DataFrame, spec: OpacitySpec | None, held_out: Mapping[str, Any]
) -> Set[str]:
    """Return the films whose opacities would be found by a network that learned from them."""
    if spec is None:
        return frozenset()
    return (set(cases["case_id"]) & set(_learned_from(cases, spec, held_out))) - set(held_out)


def _learned_from(
    cases: pd.DataFrame, spec: OpacitySpec, held_out: Mapping[str, Any]
) -> Collection[str]:
    """Return the films that an opacity network learned from; all with masks where it is silent."""
    known = opacity_films(spec, held_out)
    return set(cases["case_id"][cases["lesion_masks"] != ""]) if known is None else known
