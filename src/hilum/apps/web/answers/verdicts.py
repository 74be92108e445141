"""Answers of what a person marks, answers and reports."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from hilum.apps.web.answers.said import At, By, Film, ListId, ReadingId, Said
from hilum.apps.web.schemas import Call
from hilum.core.labels import Label


class MarkAnswer(Said):
    """Something drawn on a film, in its pixels."""

    kind: Literal["point", "line", "ellipse", "rectangle", "polygon"] = Field(examples=["line"])
    points: list[tuple[float, float]] = Field(examples=[[[310.0, 200.0], [310.0, 690.0]]])
    text: str = Field(examples=["here"])


class MeasuredMark(MarkAnswer):
    """A mark with what it measures; null for what measures nothing."""

    measured: str | None = Field(examples=["Length 122.5 mm"])


class DeskAnswer(Said):
    """What a person has begun on a film and not given yet."""

    version: int = Field(examples=[4])
    choices: dict[Label, Call] = Field(examples=[{"covid-19": "present"}])
    confidence: dict[Label, int] = Field(examples=[{"covid-19": 80}])
    text: str = Field(examples=["left base"])
    corrected_label: Label | None = Field(examples=[None])
    blind: bool = Field(examples=[False])
    marks: list[MeasuredMark]


class VerdictAnswer(Said):
    """What a person said of a finding."""

    verdict_id: str = Field(examples=["1122334455667788"])
    film_id: Film
    reading_id: ReadingId | None
    by: By
    at: At
    finding: Label
    verdict: Literal["present", "absent", "unsure", "unknown"] = Field(
        examples=["absent"],
        description="unknown: an older Hilum kept an agreement with an answer that is not known",
    )
    call: Literal["present", "absent"] | None = Field(
        examples=["absent"], description="null where neither was said"
    )
    text: str = Field(examples=["looks like atelectasis"])
    corrected_label: Label | None = Field(examples=["atelectasis"])
    marks: list[MarkAnswer]
    blind: bool = Field(examples=[False])
    list_id: ListId | None = Field(examples=[None])
    confidence: int | None = Field(
        examples=[20], description="0: surely absent; 100: surely present; null: not asked"
    )
    seconds: float | None = Field(examples=[14.2], description="that the film was looked at before")


class ReportDraft(Said):
    """The text of a report."""

    title: str = Field(examples=["Chest radiograph"])
    indication: str = Field(examples=["Cough"])
    technique: str = Field(examples=["Chest radiograph, PA projection."])
    comparison: str = Field(examples=["None available."])
    findings: str = Field(
        examples=["Left lung: consolidation in the lower zone, 12 % of this lung."]
    )
    impression: str = Field(examples=["COVID-19: likely, 71 in 100 where 42 in 100 have it."])
    language: Literal["en", "ru"]


class ReportAnswer(ReportDraft):
    """A stored version of a report."""

    report_id: str = Field(examples=["8877665544332211"])
    film_id: Film
    reading_id: ReadingId | None
    version: int
    by: By
    at: At
    state: Literal["draft", "signed", "amended"] = Field(
        default="draft", examples=["signed"], description="amended: signed after another one was"
    )
    replaces: int | None = Field(
        default=None, examples=[None], description="version that an amended one replaces"
    )
    marks: list[MarkAnswer] = Field(
        default=[], description="that its author had drawn, numbered in this order"
    )
    measurements: str = Field(
        default="", examples=["Length 122.5 mm"], description="of its author, a line each"
    )


class VerdictsAnswer(Said):
    """Verdicts, newest first."""

    items: list[VerdictAnswer]


class UndoneAnswer(VerdictsAnswer):
    """Verdicts that were taken back, and the rejection note that one of them had made."""

    rejection: Literal["withdrawn", "sent"] | None = Field(
        examples=[None],
        description="`sent`: an archive was told already; null: there was none, or it stays hidden",
    )


class ReportsAnswer(Said):
    """Reports, newest version first."""

    items: list[ReportAnswer]
