"""Reading: what Hilum says of one film, as a versioned JSON object."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from hilum.core.details import Details
from hilum.core.labels import Appearance, Label
from hilum.core.refusal import Refusal
from hilum.core.words import words

READING_SCHEMA_VERSION = "1.4"

RESEARCH_USE = words()["notice"]
"""Shown wherever a reading is shown."""


class Status(StrEnum):
    """What became of a file: read, refused (with a reason), or an error in opening it."""

    READ = "read"
    REFUSED = "refused"
    ERROR = "error"


class PredictionSet(StrEnum):
    """Which answers cannot be ruled out at the stated coverage (conformal prediction)."""

    PRESENT = "present"
    ABSENT = "absent"
    INDETERMINATE = "indeterminate"
    NONE = "none"


UNLIKELY, LIKELY = 0.33, 0.66
"""Probabilities from the first up to the second are "about as likely as not"."""


class Answer(StrEnum):
    """What the model answers, all in all: the one headline of a finding."""

    PRESENT = "present"
    ABSENT = "absent"
    CANNOT_SAY = "cannot-say"


def answer_of(
    prediction_set: PredictionSet | str | None,
    present: bool,
    probability: float,
    prevalence: float | None,
) -> Answer:
    """Answer only where all that is known of a finding says the same.

    The prediction set, the decision at the operating point and the probability each ask another
    question, and may differ. The headline must contradict none of them: where they differ, or the
    set leaves both answers or none, or the probability is about even, it is that one cannot say. A
    bundle without conformal sets, or without calibration, has less that could contradict.

    >>> answer_of("present", True, 0.9, 0.4).value, answer_of("present", True, 0.5, 0.4).value
    ('present', 'cannot-say')
    """
    said = {Answer.PRESENT if present else Answer.ABSENT}
    if prediction_set in (PredictionSet.INDETERMINATE, PredictionSet.NONE):
        said.add(Answer.CANNOT_SAY)
    elif prediction_set is not None:
        said.add(Answer(prediction_set))
    if prevalence is not None:
        even = Answer.CANNOT_SAY if probability < LIKELY else Answer.PRESENT
        said.add(Answer.ABSENT if probability < UNLIKELY else even)
    return said.pop() if len(said) == 1 else Answer.CANNOT_SAY


def answer_in(finding: Mapping[str, Any]) -> Answer:
    """Return the answer of a finding in JSON; before schema 1.3 it was not written."""
    if "answer" in finding:
        return Answer(finding["answer"])
    known = finding.get("prediction_set"), finding["present"], finding["probability"]
    return answer_of(*known, finding.get("prevalence"))


class Finding(BaseModel):
    """What the model says of one label.

    Attributes:
        label: the name; ``code`` its SNOMED CT code where there is one.
        logit: the network's output before the sigmoid.
        score: sigmoid(logit), in [0, 1]; not a probability.
        probability: calibrated score, in [0, 1], for ``prevalence``; where that is None nothing
            was fitted, it equals the score and must not be taken for a frequency.
        calibration: how the probability was made from the score.
        prevalence: share of positives that the probability holds for: that of the cases which the
            calibration was fitted on, or the one that the user stated; None if none was fitted.
        present: score >= threshold of the operating point.
        operating_point: name of the operating point; ``threshold`` its value on the score.
        prediction_set: the answers that cannot be ruled out at ``coverage``: the label ("present"),
            its absence ("absent"), both ("indeterminate") or "none" of them, when the score is
            unusual for either; None if the bundle has no conformal calibration.
        coverage: of the prediction set, nominal.
        in_lung_share: share of the positive evidence that lies inside the lungs, in [0, 1]; None
            without evidence maps or lungs, or where nothing speaks for the label.
        answer: the headline that contradicts none of these; see ``answer_of``.
    """

    model_config = ConfigDict(
        frozen=True, extra="forbid", json_schema_serialization_defaults_required=True
    )

    label: Label
    code: str | None = Field(default=None, examples=["840539006"])
    logit: float = Field(examples=[1.2])
    score: float = Field(ge=0, le=1, examples=[0.77])
    probability: float = Field(ge=0, le=1, examples=[0.71])
    calibration: str = Field(examples=["platt"])
    present: bool
    operating_point: str = Field(examples=["balanced"])
    threshold: float = Field(examples=[0.602])
    prevalence: float | None = Field(default=None, ge=0, le=1, examples=[0.42])
    prediction_set: PredictionSet | None = None
    coverage: float | None = Field(default=None, gt=0, lt=1, examples=[0.9])
    in_lung_share: float | None = Field(default=None, ge=0, le=1, examples=[0.93])
    answer: Answer = Field(
        default_factory=lambda data: answer_of(
            data["prediction_set"], data["present"], data["probability"], data["prevalence"]
        )
    )


NOT_THE_INFECTION = words()["appearance.notice"]


def appearance_words(
    chances: Mapping[Appearance, float],
    prediction_set: Sequence[Appearance] | None,
    text: Mapping[str, str] | None = None,
) -> str:
    """Say what a film looks like, in one line, in the words of a catalogue; None: in English.

    "Negative" is never said alone, since it is easily read as "not infected".

    >>> chances = {Appearance.TYPICAL: 0.6, Appearance.ATYPICAL: 0.4}
    >>> appearance_words(chances, [Appearance.TYPICAL, Appearance.ATYPICAL])
    'cannot say which: typical or atypical appearance'
    """
    text = text or words()
    if prediction_set is None:
        likeliest = text[f"appearance.{max(chances, key=lambda each: chances[each])}"]
        return text["appearance.unfitted"].format(words=likeliest)
    if len(prediction_set) == 1:
        return text[f"appearance.{prediction_set[0]}"]
    if len(prediction_set) in (0, len(Appearance)):
        return text["appearance.any" if prediction_set else "appearance.none"]
    clear = Appearance.NEGATIVE in prediction_set
    others = [each for each in prediction_set if each is not Appearance.NEGATIVE]
    seen = [text[f"appearance-short.{each}"] for each in others]
    named = text["appearance.or"].join(filter(None, [", ".join(seen[:-1]), seen[-1]]))
    return text["appearance.several"].format(words=named) + text["appearance.or-clear"] * clear


class AppearanceFinding(BaseModel):
    """What a film looks like where COVID-19 pneumonia is asked for: the appearance, no diagnosis.

    Attributes:
        chances: of each appearance, in [0, 1]; they sum to 1. They hold where appearances are as
            frequent as among the films that the bundle names; no prevalence moves them.
        calibration: "temperature", or "identity" where nothing was fitted.
        prediction_set: the appearances that cannot be ruled out at ``coverage``, in the order of
            ``Appearance``; empty where the chances are unusual for each; None if the bundle has
            no sets for them.
        coverage: of the set, nominal, for each appearance.
        words: what the set says, in one line.
        notice: that this is no statement on the infection.
    """

    model_config = ConfigDict(
        frozen=True, extra="forbid", json_schema_serialization_defaults_required=True
    )

    chances: dict[Appearance, float] = Field(
        examples=[{"typical": 0.66, "indeterminate": 0.2, "atypical": 0.05, "negative": 0.09}]
    )
    calibration: str = Field(examples=["temperature"])
    prediction_set: tuple[Appearance, ...] | None = Field(
        default=None, examples=[["typical", "indeterminate"]]
    )
    coverage: float | None = Field(default=None, gt=0, lt=1, examples=[0.9])
    words: str = Field(
        default_factory=lambda data: appearance_words(data["chances"], data["prediction_set"]),
        examples=["cannot say which: typical or indeterminate appearance"],
    )
    notice: str = NOT_THE_INFECTION


class Reading(BaseModel):
    """One film's reading. A film that was not read has no findings, never a probability.

    Attributes:
        status: ``read``, ``refused`` or ``error``.
        reason: why it was not read, or None.
        hint: what to do about it, or None.
        refusal: the reason as a code, with the measured value and its limit; None unless refused.
        forced: the film was refused and read all the same, because the user asked for it;
            ``refusal`` and ``reason`` are kept.
        appearance: what the film looks like; None unless it was read and the bundle says it.
        details: where the sign is, how much of the lungs it covers, what resembles the film; None
            unless it was read and they were asked for.
        bundle: name, version and checksum of the bundle: "hilum-default 0.1.0 (1a2b3c4d)".
        elapsed_ms: wall time for this film, in milliseconds.
        film: format, size and metadata of the film as far as it opened.
        history: the steps from stored values to what the network saw.
        notice: the research-use notice.
    """

    model_config = ConfigDict(
        frozen=True, extra="forbid", json_schema_serialization_defaults_required=True
    )

    schema_version: str = READING_SCHEMA_VERSION
    path: str = Field(examples=["film.dcm"])
    status: Status
    reason: str | None = Field(default=None, examples=[None])
    hint: str | None = Field(default=None, examples=[None])
    refusal: Refusal | None = Field(default=None, examples=[None])
    forced: bool = False
    findings: tuple[Finding, ...] = ()
    appearance: AppearanceFinding | None = None
    details: Details | None = None
    bundle: str = Field(examples=["hilum-default 0.2.0 (38fc1977)"])
    elapsed_ms: float = Field(examples=[120.0])
    film: dict[str, Any] = Field(
        default_factory=dict,
        examples=[{"format": "DICOM DX", "height": 2000, "width": 1600, "sides": "stated"}],
    )
    history: tuple[str, ...] = Field(default=(), examples=[[]])
    notes: tuple[str, ...] = Field(default=(), examples=[[]])
    notice: str = RESEARCH_USE

    def _repr_html_(self) -> str:
        """Show the reading in a notebook: its film with what was found on it, and its words."""
        from hilum.serve.notebook import reading_html  # only where it is shown

        return reading_html(self)

    @model_validator(mode="after")
    def _no_probability_without_reading(self) -> Self:
        said = self.findings or self.appearance or self.details
        if said and self.status is not Status.READ:
            raise ValueError(f"a film with status '{self.status}' has no findings or details")
        if self.status is Status.READ and self.forced != (self.refusal is not None):
            raise ValueError("a film that was read is forced if, and only if, it was refused")
        return self
