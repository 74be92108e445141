"""Answers of the worklist and of a study in it."""

from __future__ import annotations

from pydantic import Field

from hilum.apps.web.answers.films import FilmAnswer
from hilum.apps.web.answers.said import (
    ALONE,
    UNNAMED,
    At,
    Film,
    Probability,
    Said,
    Status,
    Study,
    View,
)
from hilum.apps.web.answers.verdicts import ReportAnswer, VerdictAnswer
from hilum.apps.web.schemas import StudyFilter
from hilum.core.labels import Label
from hilum.core.reading import Answer, PredictionSet


class Patient(Said):
    """Whose study it is, as far as the header says."""

    id: str | None = Field(examples=["P123"])
    sex: str | None = Field(examples=["M"])
    age_years: float | None = Field(examples=[61.0])
    name: str | None = Field(
        default=None, examples=["Ivanova, Anna"], description="null where the site does not show it"
    )


class ShortFinding(Said):
    """A finding as the worklist shows it."""

    label: Label
    probability: Probability
    present: bool
    prediction_set: PredictionSet | None
    answer: Answer


class _StudyFacts(Said):
    study_id: Study
    status: Status
    created_at: At
    read_at: At | None
    study_date: str | None = Field(examples=["2020-03-14"])
    name: str | None = Field(examples=["film.dcm"], description=UNNAMED)
    view: View | None
    film_id: Film = Field(description="the film to open first")
    patient: Patient
    accession: str | None = Field(
        default=None, examples=["A-2041"], description="null where the site does not show it"
    )
    findings: list[ShortFinding]
    refusal: str | None = Field(examples=[None], description="code of the reason")
    priority: Probability | None = Field(description="the largest probability")
    reviewed: bool = Field(description=f"it has a verdict; {ALONE}")
    blind_pending: bool = Field(examples=[False])


class StudyItem(_StudyFacts):
    """A row of the worklist."""

    films: int
    verdicts: int = Field(description=f"how many were given; {ALONE}")
    reports: int = Field(description=f"how many were written; {ALONE}")


class Counts(Said):
    """Studies of each status, by the filters other than that of the status."""

    queued: int = Field(examples=[0])
    reading: int = Field(examples=[0])
    read: int
    refused: int = Field(examples=[0])
    error: int = Field(examples=[0])


class StudiesAnswer(Said):
    """A page of the worklist."""

    items: list[StudyItem]
    total: int = Field(description="of what the filters let through")
    next: str | None = Field(
        examples=[None], description="cursor of the next page; null on the last one"
    )
    counts: Counts


class Around(Said):
    """Where a film stands among those that are read through, and what stands beside it."""

    film_id: Film | None = Field(description="null where none was opened yet")
    place: int | None = Field(
        examples=[23], description="of that film, from 1; null if it is not among them"
    )
    total: int = Field(examples=[60])
    judged: int = Field(examples=[22], description="those that this person is done with")
    before: Film | None
    after: Film | None = Field(description="null at the end")
    unjudged: Film | None = Field(description="the first one that this person is not done with")


class RoundAnswer(Around):
    """Which films a person reads through, and where that person is.

    Films that came after ``began_at`` are of the next round; those of which this person has given
    a verdict since stay in it, though the filter asks for films without one.
    """

    query: StudyFilter
    began_at: At


class StudyAnswer(_StudyFacts):
    """A study with all that belongs to it; ``prior`` are other studies of the patient."""

    films: list[FilmAnswer]
    prior: list[StudyItem]
    verdicts: list[VerdictAnswer]
    reports: list[ReportAnswer]
