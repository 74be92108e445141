"""Schemas: what requests may carry; what answers do is in ``answers.py``."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Annotated, Any, Literal, Self

from fastapi import Path, Query
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator
from typing_extensions import TypeAliasType

from hilum.apps.store.people import LONGEST_PASSWORD, SHORTEST_PASSWORD, Role
from hilum.core.labels import Label, ReferenceStandard
from hilum.core.refusal import Reason

API = "/api/v1"
"""Every call of the API begins with this."""

_FORBIDDEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")
_ID = "^[0-9a-f]{16}$"
_LARGEST = 1e6
_LINE = {"kind": "line", "points": [[310.0, 200.0], [310.0, 690.0]], "text": "here"}
_PASSWORD = "correct horse battery"  # noqa: S105 - of nobody
LONGEST_NAME = 64
"""Of a person, in characters."""
MOST_LISTED = 20_000
"""Films of a reading list."""


def _plain(text: str) -> str:
    """Refuse what neither PostgreSQL nor UTF-8 can hold."""
    if _FORBIDDEN.search(text):
        raise ValueError("control characters are not allowed")
    return text


Words = Annotated[str, Field(max_length=10_000), AfterValidator(_plain)]
"""Free text."""
ShortWords = Annotated[str, Field(max_length=200), AfterValidator(_plain)]
FilmId = Annotated[str, Path(pattern=_ID, description="of a film", examples=["9f2c4e0d1a3b5c7d"])]
StudyId = Annotated[str, Path(pattern=_ID, description="of a study", examples=["0a1b2c3d4e5f6071"])]
AnyId = Annotated[str, Path(pattern=_ID, examples=["5566778899aabbcc"])]
Day = Annotated[
    str | None,
    Field(pattern=r"^\d{4}-\d{2}-\d{2}$", description="ISO 8601 date, in ``zone``"),
]
Zone = Annotated[
    str | None,
    Field(
        max_length=64,
        pattern=r"^[A-Za-z0-9_+-]+(/[A-Za-z0-9_+-]+){0,2}$",
        description="time zone of the days, as in Europe/Berlin; default: the site's",
    ),
]
Prevalence = Annotated[
    float | None,
    Query(gt=0, lt=1, description="share of films with COVID-19, else with the first label"),
]
Choice = Annotated[str | None, Query(max_length=64), AfterValidator(lambda v: v and _plain(v))]

FilmStatus = TypeAliasType("FilmStatus", Literal["queued", "reading", "read", "refused", "error"])
Call = TypeAliasType("Call", Literal["present", "absent", "unsure"])
Source = TypeAliasType("Source", Literal["reference", "verdicts"])


class Body(BaseModel):
    """Base of what requests carry: unknown keys are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Login(Body):
    """A name and a password."""

    name: Annotated[str, Field(min_length=1, max_length=LONGEST_NAME), AfterValidator(_plain)] = (
        Field(examples=["anna"])
    )
    password: str = Field(min_length=1, max_length=LONGEST_PASSWORD, examples=[_PASSWORD])
    blind: bool | None = Field(default=None, description="read blind first, or not, from now on")


class Blind(Body):
    """Blind first read, on or off."""

    on: bool


class NewPerson(Body):
    """A person to add; without a password only tokens and the OpenID provider sign in."""

    name: ShortWords = Field(examples=["anna"])
    role: Role = Field(examples=["reviewer"])
    password: Annotated[
        str | None, Field(min_length=SHORTEST_PASSWORD, max_length=LONGEST_PASSWORD)
    ] = Field(default=None, examples=[_PASSWORD])
    blind: bool | None = None


class ChangedPerson(Body):
    """What is to change of a person; what is left out stays."""

    role: Role | None = Field(default=None, examples=["reader"])
    disabled: bool | None = None
    password: Annotated[
        str | None, Field(min_length=SHORTEST_PASSWORD, max_length=LONGEST_PASSWORD)
    ] = None
    blind: bool | None = None


class NewPassword(Body):
    """One's own password: of now, and from now on."""

    old: str = Field(min_length=1, max_length=LONGEST_PASSWORD, examples=[_PASSWORD])
    new: str = Field(
        min_length=SHORTEST_PASSWORD, max_length=LONGEST_PASSWORD, examples=["staple correct horse"]
    )


class NewToken(Body):
    """A token to make."""

    person_id: str = Field(pattern=_ID, alias="user_id", examples=["aabbccddeeff0011"])
    name: Annotated[str, Field(min_length=1, max_length=64), AfterValidator(_plain)] = Field(
        examples=["archive"]
    )


class StudyFilter(Body):
    """Which studies of the worklist, and in which order."""

    status: Annotated[list[FilmStatus], Field(max_length=5, examples=[["read"]])] = []
    q: Annotated[
        str | None,
        Field(
            max_length=64,
            description="part of a patient id or a file name, or a study id",
            examples=["P123"],
        ),
        AfterValidator(lambda text: text and _plain(text)),
    ] = None
    label: Label | None = None
    refusal: Reason | None = None
    reviewed: bool | None = None
    from_: Annotated[Day, Field(alias="from")] = None
    to: Day = None
    zone: Zone = None
    sort: Literal["newest", "priority"] = "newest"


class StudyQuery(StudyFilter):
    """Which studies a page of the worklist should hold."""

    limit: Annotated[int, Field(ge=1, le=200, examples=[20])] = 50
    cursor: Annotated[str | None, Field(max_length=200, pattern="^[A-Za-z0-9_-]*$")] = None


class AskExport(Body):
    """Which films a table should hold, and how it is written."""

    studies: StudyFilter = Field(default=StudyFilter(), description="filters of the worklist")
    format: Literal["csv", "parquet"] = Field(default="csv", examples=["csv"])
    patients: bool = Field(
        default=False,
        description="ids of patients and names of files; else pseudonyms. For administrators",
        examples=[False],
    )


ListName = Annotated[str, Field(min_length=1, max_length=200), AfterValidator(_plain)]
Deadline = Annotated[
    datetime | None, Field(description="ISO 8601; without a zone, in that of the site")
]


class NewList(Body):
    """A reading list to set up: films by their ids, or all films of the studies of a filter."""

    name: ListName = Field(examples=["Residents, spring"])
    film_ids: Annotated[
        list[Annotated[str, Field(pattern=_ID)]],
        Field(max_length=MOST_LISTED, examples=[["9f2c4e0d1a3b5c7d"]]),
    ] = []
    studies: StudyFilter | None = Field(
        default=None, description="filters of the worklist; oldest first"
    )
    readers: Annotated[list[Annotated[str, Field(pattern=_ID)]], Field(max_length=200)] = Field(
        default=[], description="ids of users", examples=[["aabbccddeeff0011"]]
    )
    findings: Annotated[list[Label], Field(min_length=1, max_length=10)] = Field(
        examples=[["covid-19"]]
    )
    seed: Annotated[int | None, Field(ge=0, le=2**31 - 1)] = Field(
        default=None, description="of each reader's own order; null: as listed", examples=[7]
    )
    blind: bool = Field(
        default=False, description="no machine's answer before the own verdict", examples=[True]
    )
    reveal: bool = Field(default=True, description="it is shown then; else when the list ends")
    confidence: bool = Field(default=False, description="asked with each verdict", examples=[True])
    deadline: Deadline = None

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if bool(self.film_ids) == (self.studies is not None):
            raise ValueError("name film_ids or studies, and not both")
        return self


class ChangedList(Body):
    """What is to change of a reading list; what is left out stays. What was asked cannot change."""

    name: ListName | None = None
    deadline: Deadline = None
    closed: bool | None = Field(default=None, examples=[True])
    readers: Annotated[list[Annotated[str, Field(pattern=_ID)]] | None, Field(max_length=200)] = (
        None
    )


class RoundPlace(Body):
    """The film that a person who reads films through has come to."""

    film_id: str = Field(pattern=_ID, examples=["9f2c4e0d1a3b5c7d"])


class AskDeletion(Body):
    """What to delete: studies by their ids, or everything of a patient."""

    study_ids: Annotated[
        list[Annotated[str, Field(pattern=_ID)]],
        Field(max_length=1000, examples=[["0a1b2c3d4e5f6071"]]),
    ] = []
    patient_id: Annotated[
        str | None, Field(min_length=1, max_length=128), AfterValidator(lambda v: v and _plain(v))
    ] = None

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if bool(self.study_ids) == (self.patient_id is not None):
            raise ValueError("name study_ids or a patient_id, and not both")
        return self


class Deletion(AskDeletion):
    """The same, as the preview showed it."""

    confirm: str = Field(pattern=_ID, description="of the preview", examples=["77aa88bb99cc00dd"])
    reason: ShortWords = Field(
        default="", description="for the log; it must name no patient", examples=["asked for"]
    )
    for_good: bool = Field(
        default=False, description="not into the trash; a patient is always erased for good"
    )


class Again(Body):
    """Read a film again; ``force`` reads it though it was refused, and marks it."""

    force: bool = Field(default=False, examples=[False])


Coordinate = Annotated[float, Field(ge=-_LARGEST, le=_LARGEST, allow_inf_nan=False)]


class Mark(Body):
    """Something drawn on a film, in its pixels."""

    kind: Literal["point", "line", "ellipse", "rectangle", "polygon"]
    points: list[tuple[Coordinate, Coordinate]] = Field(min_length=1, max_length=500)
    text: ShortWords = ""


class NewVerdict(Body):
    """What a person says of a finding.

    ``agree`` and ``disagree`` stand for present or absent by what the model answers, and are kept
    as that; where it cannot say, there is nothing to agree with.
    """

    finding: Label
    verdict: Literal["present", "absent", "unsure", "agree", "disagree"] = Field(
        examples=["absent"]
    )
    text: Words = Field(default="", examples=["looks like atelectasis"])
    corrected_label: Label | None = Field(default=None, examples=["atelectasis"])
    marks: list[Mark] = Field(default=[], max_length=100, examples=[[_LINE]])
    blind: bool = False
    list_id: Annotated[
        str | None, Field(pattern=_ID, description="the reading list in which it is given")
    ] = None
    confidence: Annotated[
        int | None, Field(ge=0, le=100, description="0: surely absent; 100: surely present")
    ] = None
    seconds: Annotated[
        float | None,
        Field(
            ge=0,
            le=86_400,
            allow_inf_nan=False,
            description="that the film was looked at; default: since it was opened",
        ),
    ] = None


class NewVerdicts(Body):
    """What a person says of several findings of one film, kept together or not at all."""

    verdicts: Annotated[list[NewVerdict], Field(min_length=1, max_length=50)]


class UndoneVerdicts(Body):
    """Which verdicts of a film, of one's own, are taken back."""

    verdict_ids: Annotated[
        list[Annotated[str, Field(pattern=_ID)]],
        Field(min_length=1, max_length=50, examples=[["1122334455667788"]]),
    ]


class OnDesk(Body):
    """What a person has begun on a film; ``version`` of what it goes on from, 0 at first.

    ``confidence`` is of the choice that is there: another choice has none yet.
    """

    version: int = Field(default=0, ge=0, examples=[3])
    choices: dict[Label, Call] = Field(default={}, examples=[{"covid-19": "present"}])
    confidence: dict[Label, Annotated[int, Field(ge=0, le=100)]] = Field(
        default={}, examples=[{"covid-19": 80}]
    )
    text: Words = Field(default="", examples=["left base"])
    corrected_label: Label | None = None
    blind: bool = False
    marks: list[Mark] = Field(default=[], max_length=100, examples=[[_LINE]])


class NewRuler(Body):
    """How long a line on a film is, in millimeters; its ends are in pixels. None takes it back."""

    points: tuple[tuple[Coordinate, Coordinate], tuple[Coordinate, Coordinate]] = Field(
        examples=[[[310.0, 420.5], [560.0, 420.5]]]
    )
    mm: Annotated[float, Field(gt=0, le=2000, allow_inf_nan=False)] | None = Field(examples=[25.0])


class NewReference(Body):
    """What the reference standard says; None takes it back."""

    finding: Label
    value: Literal[0, 1] | None = Field(examples=[1])
    standard: ReferenceStandard = Field(default=ReferenceStandard.UNSTATED, examples=["RT-PCR"])


class TakeBack(Body):
    """Why what archives were sent of a film is taken back.

    "quality": it is wrong; "wrong-patient", "worklist": the film is, and nothing of it is sent any
    more.
    """

    reason: Literal["quality", "wrong-patient", "worklist"]


class ReportText(Body):
    """The text of a report."""

    title: ShortWords = Field(default="Chest radiograph", examples=["Chest radiograph"])
    indication: Words = Field(default="", examples=["Cough"])
    technique: Words = Field(default="", examples=["DICOM DX, PA"])
    comparison: Words = Field(default="", examples=["None available."])
    findings: Words = Field(default="", examples=["Opacities in the left lower zone."])
    impression: Words = Field(default="", examples=["No pneumonia seen on this film."])
    language: Literal["en", "ru"] = "en"
    sign: bool = Field(default=False, description="else it is kept as a draft")
    seen: int | None = Field(
        default=None,
        ge=0,
        examples=[0],
        description="newest version that its author has seen, 0 for none; null: it is not asked",
    )


class AskPreview(Body):
    """What a calibration is to be fitted to."""

    site: ShortWords = Field(min_length=1, examples=["St. Anna"])
    source: Source = Field(default="reference", examples=["verdicts"])
    allow_seen: bool = False


class AskApply(Body):
    """Which candidate is to be used."""

    candidate_id: str = Field(pattern=_ID, examples=["00aa11bb22cc33dd"])


def gives(media_type: str, description: str, begins: str = "") -> dict[int | str, Any]:
    """Return the ``responses`` of a route that answers with bytes, or a text that begins so."""
    content: dict[str, Any] = {"schema": {"type": "string", "format": "binary"}}
    if begins:
        content = {"schema": {"type": "string"}, "example": begins}
    return {200: {"description": description, "content": {media_type: content}}}
