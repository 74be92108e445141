"""Evaluation: what a reader scored, as one versioned JSON object."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self

from pydantic import Field

from hilum.core.config import Config, Written, validated
from hilum.core.errors import CohortError
from hilum.core.estimate import Estimate
from hilum.core.files import write_text
from hilum.core.labels import Appearance
from hilum.core.reading import RESEARCH_USE


class EvaluationSettings(Config):
    """How to evaluate.

    Attributes:
        prevalence: of COVID-19 pneumonia, for PPV and NPV, in (0, 1); a stated assumption, not a
            measurement. The other labels move along: ``hilum.judge.decisions.prevalences``.
        folds: bootstrap resamples; 0 for no intervals.
        seed: of every random draw.
        min_per_class: films of a class that a stratum needs before a metric of it is given.
        nuisance: whether to fit the nuisance baseline, where the table has its columns.
    """

    prevalence: float = Field(default=0.05, gt=0, lt=1)
    folds: int = Field(default=1000, ge=0)
    seed: int = Field(default=0, ge=0)
    min_per_class: int = Field(default=10, ge=1)
    nuisance: bool = True


class Threshold(Written):
    """The operating point in use: a film is called when score >= ``threshold``.

    Attributes:
        chosen_on, rule: where and how it was chosen.
        sensitivity, specificity: what it reached there, or None.
    """

    name: str
    threshold: float
    chosen_on: str
    rule: str
    sensitivity: Estimate | None = None
    specificity: Estimate | None = None


class ClassRow(Written):
    """One class in the table of precision, recall and F1; ``support`` counts its films."""

    name: str
    precision: Estimate
    recall: Estimate
    f1: Estimate
    support: int


class CallCounts(Written):
    """Films at the operating point."""

    true_positive: int
    false_positive: int
    false_negative: int
    true_negative: int


class Stratum(Written):
    """The metrics of some of the films: ``column`` equals ``value``."""

    column: str
    value: str
    films: int
    patients: int
    positives: int
    negatives: int
    metrics: dict[str, Estimate]


class Bin(Written):
    """Films of nearly the same probability: ``stated`` is its mean, ``observed`` what was seen."""

    stated: float
    observed: Estimate


class Reliability(Written):
    """What was stated against what was seen, on some of the films.

    Attributes:
        where: "all films", or "within cohort NAME".
        stated, observed: mean probability, and share of positives.
        ece, slope, intercept: with intervals; the last two are NaN where a class is missing.
        bins: of equal width over [0, 1]; those without films are left out.
    """

    where: str
    films: int
    positives: int
    negatives: int
    stated: float
    observed: float
    ece: Estimate
    slope: Estimate
    intercept: Estimate
    bins: tuple[Bin, ...]


class SetCounts(Written):
    """What the conformal sets came to, on some of the films.

    Attributes:
        where: "all films", or "within cohort NAME".
        coverage: share of films whose set holds the truth; of each class in the next two.
        indeterminate, none: share of films of which nothing, or everything, is ruled out.
    """

    where: str
    coverage: Estimate
    coverage_positive: Estimate
    coverage_negative: Estimate
    indeterminate: Estimate
    none: Estimate


class BaselineRow(Written):
    """Model and nuisance baseline on the same films.

    Attributes:
        where: "all films", or the cohort or source within which the baseline was fitted.
        model, baseline: AUROC of each; ``difference`` is model less baseline, same resamples.
    """

    where: str
    films: int
    positives: int
    negatives: int
    model: Estimate
    baseline: Estimate
    difference: Estimate


class Failure(Written):
    """A film that was read wrongly: its id and numbers, never its picture."""

    case_id: str
    source: str
    truth: int
    score: float


class LabelEvaluation(Written):
    """Everything of one label.

    Attributes:
        unlabelled: films read whose truth is unknown; in no metric.
        metrics: by the names of ``hilum.judge.panel.METRICS``.
        baseline: rows of the nuisance comparison; empty where it was not fitted.
        baseline_note: why it was not fitted, or "".
        reference_standard: standard -> {"positive": n, "negative": n}.
        prevalence: for PPV and NPV; None in files before 1.3, which hold that of the settings.
        calibrated: whether a calibration was fitted, or a probability was given with the
            predictions; else probability is the score.
        fitted_prevalence: which the judged probability holds for; None where it is not known.
        stated_prevalence: for which a reading states it; None as above.
        reliability: of all films first, then within each cohort or source with enough films.
        sets: the same rows for the conformal sets, where the predictions have them.
        nominal_coverage: of those sets, or None.
        failures: the wrong readings furthest from the threshold, the worst first.
    """

    label: str
    films: int
    patients: int
    positives: int
    negatives: int
    unlabelled: int
    operating_point: Threshold
    metrics: dict[str, Estimate]
    counts: CallCounts
    classes: tuple[ClassRow, ...]
    strata: tuple[Stratum, ...]
    baseline: tuple[BaselineRow, ...]
    baseline_note: str
    reference_standard: dict[str, dict[str, int]]
    prevalence: float | None = None
    calibrated: bool
    fitted_prevalence: float | None = None
    stated_prevalence: float | None = None
    reliability: tuple[Reliability, ...] = ()
    sets: tuple[SetCounts, ...] = ()
    nominal_coverage: float | None = None
    failures: tuple[Failure, ...] = ()


class AppearanceClass(Written):
    """The films of one appearance.

    Attributes:
        average_precision: of its chance against the other three, interpolated as in the challenge
            that the labels come from; chance level is the share of its films.
        stated: its mean chance on all films, to be compared with its share of them.
        coverage: share of its films whose set holds it; None without sets.
        likeliest: appearance -> films of this one that were given that as the likeliest.
    """

    appearance: Appearance
    films: int
    average_precision: Estimate
    stated: float
    coverage: Estimate | None
    likeliest: dict[Appearance, int]


class AppearanceEvaluation(Written):
    """What was said of the appearance of films, against what radiologists said.

    Attributes:
        mean_average_precision: over the four, each with the same weight.
        right: share of films whose likeliest appearance is that of the radiologists.
        coverage: share of films whose set holds it, and ``nominal_coverage``; None without sets.
        set_sizes: films with 0, 1, ... 4 appearances in the set; empty without sets.
    """

    films: int
    patients: int
    mean_average_precision: Estimate
    classes: tuple[AppearanceClass, ...]
    right: Estimate
    coverage: Estimate | None
    nominal_coverage: float | None
    set_sizes: tuple[int, ...]


class FlowStep(Written):
    """One step of the cohort flow: what remains, and what left and why."""

    step: str
    films: int
    patients: int | None = None
    detail: str = ""


class NotRead(Written):
    """A film without a reading: counted, never scored; ``code`` of a refusal, else ""."""

    case_id: str
    status: str
    reason: str
    code: str = ""
    cohort: str = ""


class SeenFilms(Written):
    """Films that the bundle knew before it was judged on them; each counts once.

    Attributes:
        asked: films that are judged, or were to be.
        films: those seen before in a way that flatters what is judged.
        trained, val, site: where they stood: fitted to; epoch, thresholds and calibration chosen
            on; of a site that it was calibrated to.
        copies: of films trained on, found by the index of similar films; ``said`` says which ones
            it can find.
        patients: other films of patients trained on.
        said: what was compared and found, in words.
    """

    asked: int
    films: int
    trained: int = 0
    val: int = 0
    site: int = 0
    copies: int = 0
    patients: int = 0
    said: str


class About(Written):
    """What was evaluated, and how to do it again."""

    title: str = "Predictions"
    bundle: str = ""
    checksum: str = ""
    trained_on: str = ""
    intended_use: str = ""
    cases: str = ""
    split: str = ""
    command: str = ""
    created: str = ""
    versions: dict[str, str] = Field(default_factory=dict)


class Evaluation(Written):
    """What a reader scored on a set of films.

    Attributes:
        flow: from films in the table to films labelled.
        not_read: films refused or in error, with the reason.
        not_known: what this evaluation cannot say, in sentences.
        seen: which of the films the bundle knew before; None for predictions made elsewhere.
        appearance: of the films whose appearance is known; None where there is none, or the bundle
            does not say it.
        drawn: what was found beside what people drew on films (Dice), and on films without a
            finding; see ``hilum.serve.drawn``. Empty where nothing was drawn, and of a bundle
            whose lungs and opacities are found by networks of their own.
    """

    schema_version: Literal["1.0", "1.1", "1.2", "1.3"] = "1.3"
    about: About
    settings: EvaluationSettings
    flow: tuple[FlowStep, ...]
    not_read: tuple[NotRead, ...]
    labels: tuple[LabelEvaluation, ...]
    not_known: tuple[str, ...]
    seen: SeenFilms | None = None
    appearance: AppearanceEvaluation | None = None
    drawn: dict[str, Estimate] = Field(default_factory=dict)
    notice: str = RESEARCH_USE

    def __getitem__(self, label: str) -> LabelEvaluation:
        """Return one label by its name."""
        for entry in self.labels:
            if entry.label == label:
                return entry
        raise KeyError(label)

    def prevalence_of(self, label: LabelEvaluation) -> float:
        """Return the prevalence for PPV and NPV of a label."""
        return self.settings.prevalence if label.prevalence is None else label.prevalence

    def write(self, path: Path) -> None:
        """Write JSON; NaN becomes null."""
        write_text(path, self.model_dump_json(indent=2) + "\n")

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read what ``write`` wrote.

        Raises:
            CohortError: not an evaluation of this schema version.
        """
        return validated(cls, path.read_bytes(), CohortError, where=f"{path}: not an evaluation")
