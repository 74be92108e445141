"""Films: which annotated ones are scored."""

from __future__ import annotations

import pandas as pd

from hilum.apps.annotated import TARGETS, annotated
from hilum.apps.map_scores.settings import ScoreSettings
from hilum.apps.unseen import seen_patients
from hilum.core.case import owner_of
from hilum.core.errors import CohortError
from hilum.data.leaks import refuse_leaks


def choose_films(
    cases: pd.DataFrame, trained_on: frozenset[str], split: str, settings: ScoreSettings
) -> pd.DataFrame:
    """Draw the films to score.

    Args:
        cases: any cases table with annotations.
        trained_on: case_ids of the bundle's training; no other film of their patients is held out.
        split: "test", "val", "val+test" or "all", which adds films of the training, marked.
        settings: how many of each.

    Returns:
        Rows with ``targets`` (tuple), ``owner`` and ``held_out`` (bool), in drawn order, so that
        the first few are as good a sample as any.
    """
    refuse_leaks(cases)
    found = annotated(
        cases.assign(owner=owner_of(cases), held_out=~seen_patients(cases, trained_on))
    )
    if split not in ("all", "val+test"):
        if "split" not in found:
            raise CohortError(
                f"no column 'split' in the cases table; expected one, to find '{split}'",
                hint="'hilum split' makes one; --split val+test takes all that is held out",
            )
        found = found[found["split"] == split]
    chosen: dict[int, list[str]] = {}
    for name in TARGETS:
        has = found[[name in names for names in found["targets"]]]
        parts = [(has[has["held_out"]], settings.max_films)]
        if split == "all" and settings.max_trained:
            parts.append((has[~has["held_out"]], settings.max_trained))
        for part, most in parts:
            size = min(most or len(part), len(part))
            for place in part.sample(size, random_state=settings.seed).index:
                chosen.setdefault(place, []).append(name)
    if not chosen:
        raise CohortError(f"no annotated film of split '{split}'", hint="--split all scores any")
    kept = found.loc[sorted(chosen)]
    names = pd.Series({place: tuple(chosen[place]) for place in kept.index}, dtype=object)
    return kept.assign(targets=names).sample(frac=1, random_state=settings.seed)
