"""Answers of a film, its picture, its reading and what it was sent to."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from hilum.apps.web.answers.said import (
    UNNAMED,
    At,
    By,
    Checksum,
    Film,
    Format,
    Identity,
    ListId,
    ReadingId,
    Said,
    Status,
    StoredReading,
    Study,
    View,
)
from hilum.apps.web.problems import ProblemFacts
from hilum.apps.web.schemas import API
from hilum.core.details import Lesion, OpacityBox, Outline, Side
from hilum.core.labels import Label


class AcceptedFilm(Said):
    """A film that is on disk and in the store."""

    film_id: Film
    study_id: Study
    name: str = Field(examples=["film.dcm"])
    duplicate: bool = Field(examples=[False], description="it was there already")
    differs: Literal["header"] | None = Field(
        examples=[None], description="the film that is kept has the same pixels, another header"
    )
    replaced: bool = Field(examples=[False], description="what was kept before could not be opened")


class RejectedFilm(ProblemFacts):
    """A file that was not taken, and why; ``other-pixels`` names the film that is kept instead."""

    name: str = Field(examples=["notes.txt"])
    film_id: Film | None = Field(examples=[None])
    study_id: Study | None = Field(examples=[None])


class Uploaded(Said):
    """What became of the files of a request."""

    accepted: list[AcceptedFilm] = Field(default_factory=list)
    rejected: list[RejectedFilm] = Field(default_factory=list)


class AskingList(Said):
    """An open reading list that asks a person of a film; its id goes into the verdict."""

    list_id: ListId
    name: str = Field(examples=["Residents, spring"])
    findings: list[Label] = Field(examples=[["covid-19"]], description="that it asks")
    owed: list[Label] = Field(
        examples=[["covid-19"]], description="those without a verdict of this person in it"
    )
    blind: bool = Field(examples=[True])
    reveal: bool = Field(examples=[True], description="the answer is shown after the verdict")
    confidence: bool = Field(examples=[True], description="a verdict needs its confidence")


class FilmAnswer(Said):
    """A film without its reading."""

    film_id: Film
    study_id: Study
    name: str | None = Field(examples=["film.dcm"], description=UNNAMED)
    status: Status
    format: Format
    view: View | None
    size: int = Field(examples=[8388608], description="bytes")
    created_at: At
    read_at: At | None
    reading_id: ReadingId | None
    blind_pending: bool = Field(examples=[False])
    blind_owed: list[Label] = Field(
        examples=[[]], description="findings to answer before the model's answers are shown"
    )
    lists: list[AskingList] = Field(
        examples=[[]], description="open reading lists of this person with this film"
    )


class Preset(Said):
    """A window: ``low`` is shown black, ``high`` white."""

    name: str = Field(examples=["film"])
    center: float = Field(examples=[2048.0])
    width: float = Field(examples=[4096.0])
    low: float = Field(examples=[0.0])
    high: float = Field(examples=[4095.0])


class ImageFacts(Said):
    """What the header says."""

    format: Format
    modality: str | None = Field(examples=["DX"])
    view: View | None
    laterality: str | None = Field(examples=[None])
    patient_id: str | None = Field(examples=["P123"])
    age_years: float | None = Field(examples=[61.0])
    sex: str | None = Field(examples=["M"])
    study_date: str | None = Field(examples=["2020-03-14"])
    manufacturer: str | None = Field(examples=["Example"])


class RulerFacts(Said):
    """A line on a film whose length a person knew."""

    points: tuple[tuple[float, float], tuple[float, float]] = Field(
        examples=[[[310.0, 420.5], [560.0, 420.5]]], description="its ends, (x, y)"
    )
    mm: float = Field(examples=[25.0])
    by: By
    at: At


class RulerAnswer(Said):
    """A film's ruler, null once it is taken back."""

    ruler: RulerFacts | None


class ImageAnswer(Said):
    """How to show a film's pixels."""

    rows: int = Field(examples=[2000])
    columns: int = Field(examples=[1600])
    bits: int = Field(examples=[12])
    min: int = Field(examples=[0])
    max: int = Field(examples=[4095])
    slope: float = Field(examples=[1.0])
    intercept: float = Field(examples=[-1024.0])
    orientation: tuple[str, str] | None = Field(
        examples=[["L", "F"]],
        description="towards what part of the patient rows and columns run: L, R, A, P, H or F",
    )
    sides: Literal["stated", "assumed"]
    spacing_mm: tuple[float, float] | None = Field(
        examples=[[0.143, 0.143]], description="(row, column)"
    )
    spacing_plane: Literal["patient", "detector"] | None = Field(examples=["detector"])
    spacing_source: str | None = Field(examples=["ImagerPixelSpacing"])
    ruler: RulerFacts | None = Field(
        default=None, examples=[None], description="a known length; the spacing is by it"
    )
    inverted: bool = Field(description="stored white-is-low, and turned")
    corrected: list[str] = Field(examples=[[]], description="how it was put right, in words")
    presets: list[Preset]
    default: str = Field(examples=["film"], description="name of the preset to begin with")
    metadata: ImageFacts
    notes: list[str] = Field(examples=[["lossy compressed at some time"]])


class Queued(Said):
    """A film that will be read again."""

    film_id: Film
    status: Literal["queued"] = "queued"


class ReadingLine(Said):
    """What is said at a glance of a finding, or, where that is null, of the film."""

    label: Label | None
    line: str = Field(examples=["likely, 71 in 100 where 42 in 100 have it"])


class ReadingAnswer(Said):
    """A reading and what made it; all but the first three are null or empty while it waits."""

    film_id: Film
    status: Status
    queue_ahead: int = Field(examples=[0], description="films that are read before it")
    reading_id: ReadingId | None = None
    read_at: At | None = None
    bundle: Identity | None = None
    bundle_checksum: Checksum | None = None
    site: str | None = Field(default=None, examples=[None])
    reading: StoredReading | None = None
    lines: list[ReadingLine] = Field(
        default_factory=list, description="the reading in a line for each finding"
    )
    trained: str = Field(
        default="",
        examples=[""],
        description="a warning where the film, or a copy of it, was in the training; else empty",
    )
    similar_pictures: list[str | None] = Field(
        default_factory=list,
        examples=[[f"{API}/readings/5566778899aabbcc/similar/0.jpg"]],
        description="a picture of each of details.similar, null where there is none",
    )


class LungOutline(Said):
    """A lung; the side is null where only the outline is known."""

    side: Side | None
    outline: Outline


class HeatmapFacts(Said):
    """Where a heatmap is, and how to color it."""

    label: Label
    png: str = Field(examples=[f"{API}/films/9f2c4e0d1a3b5c7d/heatmaps/covid-19.png"])
    f32: str = Field(examples=[f"{API}/films/9f2c4e0d1a3b5c7d/heatmaps/covid-19.f32"])
    rows: int = Field(examples=[512])
    columns: int = Field(examples=[410])
    low: float = Field(examples=[-1.2])
    high: float = Field(examples=[2.3])
    limit: float = Field(examples=[5.0], description="end of a symmetric color scale")
    unit: Literal["logit"] = "logit"


class OverlaysAnswer(Said):
    """What can be laid over a film, in its pixels."""

    rows: int = Field(examples=[2000])
    columns: int = Field(examples=[1600])
    lungs: list[LungOutline]
    lesions: list[Lesion]
    boxes: list[OpacityBox]
    heatmaps: list[HeatmapFacts]


class SentTo(Said):
    """What a peer has of a film's results."""

    peer: str = Field(examples=["pacs"])
    has: int = Field(examples=[2])
    waiting: int = Field(examples=[0])
    dead: int = Field(examples=[0], description="that it did not take")
    taken_back: int = Field(examples=[0])
    last_sent: At | None


class SentAnswer(Said):
    """Where results of a film are."""

    items: list[SentTo]
    taking_back: bool = Field(
        examples=[False], description="a rejection note is to be made; it is sent when it is"
    )
