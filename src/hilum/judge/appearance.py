"""Appearance: what turns four chances into a statement of what a film looks like.

The chances are those of the network's output "appearance": typical, indeterminate and atypical of
COVID-19 pneumonia, and none of it ("negative for pneumonia"). One temperature makes them as sure as
they may be (Guo et al., ICML 2017). The sets are those of ``hilum.judge.conformal`` with four
classes instead of two: an appearance stays in the set of a film unless its chance is lower than on
nearly all calibration films of that appearance, so that each appearance is covered by itself,
whatever its share (LAC, conditional on the class; Sadinle, Lei and Wasserman, JASA 2019). They are
fitted on the chances as the network gives them: the temperature cannot spoil their coverage.
"""

from __future__ import annotations

from typing import Annotated

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import Field

from hilum.core.config import Config
from hilum.core.extras import require
from hilum.core.labels import Appearance
from hilum.core.reading import AppearanceFinding
from hilum.judge.calibration import EDGE
from hilum.judge.calibrators import LEAST_PER_CLASS
from hilum.judge.conformal import COVERAGE, spared
from hilum.judge.metrics import Floats

Chance = Annotated[float, Field(ge=0, le=1)]


class AppearanceOutput(Config):
    """How the output "appearance" of the network is said.

    Attributes:
        temperature: of the chances; 1 leaves them as they are.
        fitted_on: the films that temperature and sets were fitted on, in words; "" for none.
        films: how many of them have each appearance: the chances hold for that mix.
        coverage: nominal, of the sets, for each appearance; None without sets.
        kept_from: appearance -> the chance, as the network gives it, from which on it stays in
            the set; 0 keeps it always, since too few films of it were there.
        note: why something was not fitted, or "".
    """

    temperature: Annotated[float, Field(gt=0)] = 1.0
    fitted_on: str = ""
    films: dict[Appearance, Annotated[int, Field(ge=0)]] = Field(default_factory=dict)
    coverage: Annotated[float, Field(gt=0, lt=1)] | None = None
    kept_from: dict[Appearance, Chance] = Field(default_factory=dict)
    note: str = ""

    @property
    def fitted(self) -> bool:
        """Whether the chances were held against films."""
        return bool(self.fitted_on)

    def __call__(self, chances: ArrayLike) -> AppearanceFinding:
        """Say what a film looks like.

        Args:
            chances: (4,) in [0, 1], as the network gives them, in the order of ``Appearance``.
        """
        raw = np.asarray(chances, np.float64)
        stated = dict(zip(Appearance, tempered(raw, self.temperature).tolist(), strict=True))
        kept = None
        if self.coverage is not None:
            pairs = zip(Appearance, raw, strict=True)
            kept = tuple(each for each, chance in pairs if chance >= self.kept_from[each])
        return AppearanceFinding(
            chances=stated,
            calibration="temperature" if self.fitted else "identity",
            prediction_set=kept,
            coverage=self.coverage,
        )


def tempered(chances: ArrayLike, temperature: float) -> Floats:
    """Return chances, (4,) or (N, 4), at a temperature: above 1 they are less sure; sum 1.

    >>> tempered([0.8, 0.2, 0.0, 0.0], 1.0).round(3).tolist()
    [0.8, 0.2, 0.0, 0.0]
    """
    logs = np.log(np.maximum(np.asarray(chances, np.float64), EDGE)) / temperature
    odds = np.exp(logs - logs.max(-1, keepdims=True))
    return np.asarray(odds / odds.sum(-1, keepdims=True))


def fit_appearance(
    truth: ArrayLike,
    chances: ArrayLike,
    groups: ArrayLike,
    *,
    fitted_on: str,
    coverage: float = COVERAGE,
) -> AppearanceOutput:
    """Fit temperature and sets on films that the network was not trained on.

    Args:
        truth: (N,) of ``Appearance``.
        chances: (N, 4) in [0, 1], as the network gives them, in the order of ``Appearance``.
        groups: (N,) patient of each film.
        fitted_on: the films in words.
        coverage: nominal, in (0, 1).

    Returns:
        With a note, and nothing fitted, where fewer than ``LEAST_PER_CLASS`` patients have the
        commonest appearance, or another one.
    """
    require("evaluate")
    place = places_of(truth)
    scores, owners = np.asarray(chances, np.float64).reshape(-1, 4), np.asarray(groups)
    counts = np.bincount(place, minlength=4)
    common = place == counts.argmax()
    fewest = min(np.unique(owners[part]).size for part in (common, ~common))
    if fewest < LEAST_PER_CLASS:
        few = f"{fewest} patients of one kind; it needs {LEAST_PER_CLASS} of the commonest "
        return AppearanceOutput(note=f"{few}appearance, and as many of the others")
    kept, rare = {}, []
    for position, each in enumerate(Appearance):
        here = np.sort(scores[place == position, position])
        rank = spared(here.size, coverage)
        kept[each] = float(here[rank - 1]) if rank else 0.0
        rare += [] if rank else [each.value]
    return AppearanceOutput(
        temperature=_temperature(scores, place),
        fitted_on=fitted_on,
        films={each: int(count) for each, count in zip(Appearance, counts, strict=True)},
        coverage=coverage,
        kept_from=kept,
        note=f"too few films to rule out: {', '.join(rare)}" if rare else "",
    )


def places_of(truth: ArrayLike) -> NDArray[np.intp]:
    """Return the place of each name, (N,), in ``Appearance``."""
    order = [each.value for each in Appearance]
    return np.array([order.index(str(each)) for each in np.asarray(truth)], np.intp)


def _temperature(chances: Floats, place: NDArray[np.intp]) -> float:
    """Return the temperature of least log loss, from a twentieth to twenty."""
    from scipy.optimize import minimize_scalar

    rows = np.arange(place.size)

    def loss(log: float) -> float:
        stated = tempered(chances, float(np.exp(log)))[rows, place]
        return float(-np.log(np.maximum(stated, EDGE)).mean())

    found = minimize_scalar(loss, bounds=(-np.log(20), np.log(20)), method="bounded")
    return float(np.exp(found.x))
