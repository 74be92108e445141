"""Material: everything that was measured of a model, for the tests to judge."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hilum.core.estimate import Estimate
from hilum.judge.audit.limits import AuditLimits
from hilum.judge.bootstrap import Support, bootstrap_all, exact_if_perfect
from hilum.judge.metrics import Floats, Weights, auroc

Chosen = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Material:
    """The films of one label whose truth is known, and what the model did with them.

    Attributes:
        table: N rows, as ``check_predictions`` returns them; ``weight`` says how many films of
            the table each stands for (1 without sampling).
        threshold: a film is called when score >= threshold.
        variants: perturbation -> score (N,) of the changed films; NaN where the model refused.
        embedding: float (N, E), or None.
        evidence: share of the evidence for the label that lies in the lungs, (N,), or None.
        lung_area: the lungs' share of the picture that the model looked at, (N,), or None.
        loso: predictions (case_id, truth, score, source, group) made for each film by a model
            that never saw its source, or None.
        external: AUROC on sources never trained on, as the bundle stores it, or None.
        learned: cohorts and sources that the model learned from, or None where nobody says.
        absent: what a test may need -> why it is not there.
    """

    table: pd.DataFrame
    threshold: float
    limits: AuditLimits = field(default_factory=AuditLimits)
    variants: Mapping[str, Floats] = field(default_factory=dict)
    embedding: Floats | None = None
    evidence: Floats | None = None
    lung_area: Floats | None = None
    loso: pd.DataFrame | None = None
    external: Estimate | None = None
    learned: frozenset[str] | None = None
    absent: Mapping[str, str] = field(default_factory=dict)
    folds: int = 1000
    seed: int = 0

    @property
    def truth(self) -> Chosen:
        """bool (N,)."""
        return np.asarray(self.table["truth"].to_numpy() == 1)

    @property
    def score(self) -> Floats:
        """float64 (N,) in [0, 1]."""
        return self.table["score"].to_numpy(np.float64)

    @property
    def called(self) -> Chosen:
        """bool (N,): score >= threshold."""
        return np.asarray(self.score >= self.threshold)

    @property
    def source(self) -> NDArray[np.str_]:
        """str (N,): see ``sites``."""
        return sites(self.table, self.limits)

    @property
    def of_learned(self) -> Chosen:
        """bool (N,): the model is known to have learned from the film's cohort or source."""
        named = self.table[["cohort", "source"]].isin(self.learned or ())
        return np.asarray(named.any(axis=1))

    @property
    def mixed(self) -> list[str]:
        """The sources with at least ``min_films`` films of each class."""
        return [
            name
            for name in np.unique(self.source)
            if min(self._count(name, True), self._count(name, False)) >= self.limits.min_films
        ]

    def estimate(
        self,
        statistic: Callable[[Weights], Floats],
        chosen: Chosen | None = None,
        *,
        missing: str = "undefined",
        proportion: bool = False,
        inflated: bool = False,
    ) -> Estimate:
        """Estimate a statistic of weights (B, n) over ``chosen`` films, with its interval.

        Resamples draw patients. ``statistic`` gets the weights of the chosen films alone.
        """
        chosen = np.ones(len(self.table), bool) if chosen is None else chosen
        groups = self.table["group"].to_numpy(dtype=str)[chosen]
        if not groups.size:
            return Estimate.undefined(0, "no films")
        support = Support(groups.size, np.unique(groups).size, missing, proportion, inflated)
        return bootstrap_all(
            lambda weights: {"value": statistic(weights)},
            groups,
            {"value": support},
            folds=self.folds,
            seed=self.seed,
        )["value"]

    def share(self, yes: Chosen, chosen: Chosen) -> Estimate:
        """Estimate the share of ``chosen`` films that are ``yes``; both bool (N,)."""
        values = yes[chosen].astype(np.float64)
        return self.estimate(lambda w: w @ values / w.sum(-1), chosen, proportion=True)

    def pooled(self, score: Floats | None = None, chosen: Chosen | None = None) -> Estimate:
        """AUROC over all films, or the ``chosen``, of their score or of another (N,)."""
        chosen = np.ones(len(self.table), bool) if chosen is None else chosen
        truth, values = self.truth[chosen], (self.score if score is None else score)[chosen]
        found = self.estimate(
            lambda w: auroc(truth, values, w), chosen, missing="one class has no film"
        )
        return exact_if_perfect(found, self._pairs(chosen))

    def within(self, score: Floats | None = None) -> Estimate:
        """AUROC within the mixed sources: of pairs of films that share a source."""
        chosen = np.isin(self.source, self.mixed)
        truth, source = self.truth[chosen], self.source[chosen]
        values = (self.score if score is None else score)[chosen]
        found = self.estimate(lambda w: auroc_within(truth, values, source, w), chosen)
        return exact_if_perfect(found, sum(self._pairs(self.source == s) for s in self.mixed))

    def _pairs(self, chosen: Chosen) -> int:
        """Pairs of a positive and a negative film in which no patient stands twice."""
        groups = self.table["group"].to_numpy(dtype=str)
        sides = (np.unique(groups[chosen & side]).size for side in (self.truth, ~self.truth))
        return min(sides)

    def _count(self, source: str, truth: bool) -> int:
        return int(((self.source == source) & (self.truth == truth)).sum())


def sites(table: pd.DataFrame, limits: AuditLimits) -> NDArray[np.str_]:
    """Return str (N,): the source; the cohort where fewer than ``source_films`` films share it."""
    source, cohort = (
        table[name].astype(object).fillna("").astype(str) for name in ("source", "cohort")
    )
    films = source.groupby(source).transform("size")
    small = ((films < limits.source_films) | (source == "")) & (cohort != "")
    return source.mask(small, cohort).to_numpy(dtype=str)


def auroc_within(
    truth: Chosen, score: Floats, strata: NDArray[np.str_], weights: Weights
) -> Floats:
    """AUROC over pairs of films of one stratum: the strata's AUROCs weighted by their pairs.

    What differs between strata cannot enter it (the stratified c-statistic).

    Args:
        truth, score, strata: (N,).
        weights: (B, N).

    Returns:
        float64 (B,); NaN where no stratum has a pair.
    """
    wins, pairs = np.zeros(weights.shape[:-1]), np.zeros(weights.shape[:-1])
    for name in np.unique(strata):
        here = strata == name
        part = weights[..., here]
        count = part[..., truth[here]].sum(-1) * part[..., ~truth[here]].sum(-1)
        value = auroc(truth[here], score[here], part)
        wins += np.where(count > 0, count * np.nan_to_num(value), 0)
        pairs += count
    nothing: Floats = np.full(wins.shape, np.nan)
    return np.divide(wins, pairs, out=nothing, where=pairs > 0)
