"""Answers of agreement, calibration and monitoring."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from hilum.apps.web.answers.said import Checksum, Day, Identity, Said
from hilum.apps.web.schemas import Source
from hilum.core.estimate import Estimate
from hilum.core.labels import Label
from hilum.judge.adaptation import Adaptation


class Against(Said):
    """Against the reference standard."""

    sensitivity: Estimate
    specificity: Estimate


class AgreementCounts(Said):
    """Verdicts by what person and machine say."""

    both_present: int = Field(examples=[40])
    only_machine: int = Field(examples=[10])
    only_human: int = Field(examples=[5])
    both_absent: int = Field(examples=[65])
    unsure: int = Field(examples=[3])
    cannot_say: int = Field(examples=[7], description="films of which the model cannot say")


class Agreement(Said):
    """Agreement of people and machine, whatever the finding."""

    films: int = Field(examples=[120])
    reviewers: int = Field(examples=[2])
    kappa: Estimate
    agreement: Estimate
    blind_kappa: Estimate
    changed_after_reading: Estimate
    machine: Against
    human: Against
    blind_human: Against
    counts: AgreementCounts


class AgreementAnswer(Agreement):
    """Agreement of people and machine."""

    label: Label


class CandidateAnswer(Said):
    """A bundle that could read, or reads."""

    identity: Identity
    checksum: Checksum
    candidate_id: str | None = Field(
        examples=["00aa11bb22cc33dd"], description="null: the bundle that the server began with"
    )
    adaptation: Adaptation | None


class Previous(Said):
    """What was active before: the base, or a candidate."""

    base: bool
    candidate_id: str | None = Field(examples=[None])


class Available(Said):
    """Patients whose truth is known."""

    positives: int = Field(examples=[61])
    negatives: int = Field(examples=[80])
    needed: int = Field(examples=[50])


class CalibrationAnswer(Said):
    """What is calibrated, and what could be."""

    active: CandidateAnswer
    previous: Previous | None = Field(description="null where there is nothing to undo")
    candidates: list[CandidateAnswer]
    available: dict[Source, dict[Label, Available]] = Field(description="counts of patients")
    lists_left_out: bool = Field(
        examples=[False], description="films of one's own open reading lists are left out"
    )


class Latency(Said):
    """From acceptance to reading, in milliseconds."""

    p50: float | None = Field(examples=[900.0])
    p95: float | None = Field(examples=[1800.0])


class DayAnswer(Said):
    """Films of a day."""

    day: Day
    films: int = Field(examples=[40])
    read: int = Field(examples=[36])
    refused: int = Field(examples=[3])
    error: int = Field(examples=[1])
    latency_ms: Latency


class ScoresAnswer(Said):
    """The site's probabilities beside those of the bundle's evaluation, over ten bins."""

    label: Label
    edges: list[float] = Field(examples=[[0.0, 0.5, 1.0]])
    n: int = Field(examples=[36])
    site: list[float] = Field(examples=[[0.7, 0.3]])
    validation: list[float] | None = Field(default=None, examples=[[0.6, 0.4]])
    psi: float | None = Field(
        default=None, examples=[0.08], description="population stability index"
    )
    chance: float | None = Field(
        default=None, examples=[0.31], description="exceeded once in a hundred without a drift"
    )
    limit: float = Field(examples=[0.25])
    alarm: bool = Field(default=False, description="psi is above both")
    note: str = Field(default="", examples=[""], description="why there is no psi")


class WeekAnswer(Said):
    """Agreement of a week; ``week`` is its Monday."""

    week: Day
    films: int = Field(examples=[12])
    agreement: float | None = Field(examples=[0.83])
    kappa: float | None = Field(examples=[0.6])


class MonitoringAnswer(Said):
    """The state of the service."""

    days: list[DayAnswer]
    films: int = Field(examples=[40])
    refusals: dict[str, int] = Field(examples=[{"lateral": 2, "ct-slice": 1}])
    refusal_rate: float | None = Field(examples=[0.075])
    scores: ScoresAnswer
    agreement: list[WeekAnswer]


class AlarmAnswer(Said):
    """What a person must look after."""

    code: Literal[
        "receiver", "space", "certificate", "not-made", "dead", "waits", "refuses", "away", "silent"
    ] = Field(examples=["away"])
    peer: str | None = Field(examples=["pacs"])
    value: float = Field(
        examples=[12.5],
        description="space: 10^9 bytes left; certificate: days; not-made, dead: how many; "
        "waits, refuses, away: minutes; silent: hours",
    )
