"""Decisions: all that turns the score of one label into an answer, fitted on the same cases.

Packing a bundle and ``hilum calibrate`` call this one function, on cases that the weights were not
fitted to: val, films of sources left out of training, or the films of a site.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from numpy.typing import ArrayLike

from hilum.core.labels import Label
from hilum.judge.calibration import Calibration, OperatingPoint, restate
from hilum.judge.calibrators import Asked, fit_calibration
from hilum.judge.conformal import COVERAGE, Conformal, fit_conformal
from hilum.judge.operating import Rule, choose_operating_point

POINTS: dict[str, tuple[Rule, float]] = {
    "balanced": ("youden", 0.9),
    "sensitive": ("sensitivity", 0.95),
    "specific": ("specificity", 0.95),
}
"""Name -> rule and its target; the first is the default of a reading."""

PREVALENCE = {Label.COVID_19: 0.2, Label.LUNG_OPACITY: 0.4, Label.PNEUMONIA: 0.4}
"""Share of positives that a reading states its probability for, where the caller names none.

Not the share of the collections, in which positives are as many as somebody published. COVID-19:
one in five. Of adults who came to emergency departments with suspected COVID-19, 31 % had it in
Britain in the spring of 2020 (Goodacre et al., PLoS ONE 2020) and 2 % in Australia in July 2020
(O'Reilly et al., Emerg Med Australas 2020); one in five is rather much between the two, and less
than half of what the collections have. Opacity and pneumonia: twice that, so that half of the films
with an opacity would be COVID-19. A reader who knows better says so: ``--prevalence``, that of
COVID-19; ``prevalences`` says what becomes of the others.
"""


def whose_prevalence(labels: Iterable[str]) -> str:
    """Return the label whose prevalence a stated one is: COVID-19, else the first.

    >>> whose_prevalence(["lung-opacity", "covid-19"]), whose_prevalence(["nodule", "pneumonia"])
    ('covid-19', 'nodule')
    """
    names = list(labels)
    return Label.COVID_19.value if Label.COVID_19 in names else names[0]


def prevalences(stated: Mapping[str, float | None], asked: float) -> dict[str, float | None]:
    """Return the prevalence of every label where one number is named; ``whose_prevalence`` it is.

    The odds of the others are multiplied as those of that label are, so that what is likelier on a
    film stays so. Where nobody knows one for that label, all stay as they are.

    Args:
        stated: label -> the prevalence that it is stated for; None where nobody knows one.
        asked: in (0, 1).

    >>> found = prevalences({"covid-19": 0.2, "lung-opacity": 0.4, "nodule": None}, 0.05)
    >>> {label: share and round(share, 3) for label, share in found.items()}
    {'covid-19': 0.05, 'lung-opacity': 0.123, 'nodule': None}
    """
    known = {label: share for label, share in stated.items() if share is not None}
    main = whose_prevalence(stated)
    if main not in known:
        return dict(stated)
    moved = {label: float(restate(share, known[main], asked)) for label, share in known.items()}
    return {label: asked if label == main else moved.get(label) for label in stated}


@dataclass(frozen=True, slots=True)
class Decisions:
    """What a ``LabelOutput`` holds beside its weights."""

    calibration: Calibration
    operating_points: tuple[OperatingPoint, ...]
    conformal: Conformal | None


def fit_decisions(
    truth: ArrayLike,
    score: ArrayLike,
    groups: ArrayLike,
    *,
    label: Label,
    fitted_on: str,
    sources: ArrayLike | None = None,
    sources_alike: bool = False,
    method: Asked = "auto",
    coverage: float = COVERAGE,
    folds: int = 1000,
    seed: int = 0,
) -> Decisions:
    """Fit calibration, operating points and conformal sets of one label.

    Args:
        truth: (N,) 1, 0 or NaN; NaN is left out.
        score: (N,) in [0, 1].
        groups: (N,) patient of each case.
        label: whose decisions these are.
        fitted_on: the cases in words.
        sources: (N,) where each case comes from, for the cost of a point by source.
        sources_alike: count every source alike within a class for probability and sets, and choose
            the calibration on sources that it was not fitted on: for films of sources left out.
        method: of ``fit_calibration``.
        coverage: of ``fit_conformal``.
        folds: bootstrap resamples behind the intervals of the operating points.
        seed: of folds and resamples.

    Raises:
        CohortError: the known cases hold one class only.
    """
    points = [
        choose_operating_point(
            truth,
            score,
            groups,
            label=label,
            name=name,
            chosen_on=fitted_on,
            sources=sources,
            rule=rule,
            target=target,
            folds=folds,
            seed=seed,
        )
        for name, (rule, target) in POINTS.items()
    ]
    by = sources if sources_alike else None
    calibration = fit_calibration(
        truth, score, groups, fitted_on=fitted_on, sources=by, method=method, seed=seed
    )
    sets = fit_conformal(truth, score, fitted_on=fitted_on, sources=by, coverage=coverage)
    return Decisions(calibration, tuple(points), sets)
