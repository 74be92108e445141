"""Answers: what each call gives, as models that routes return.

The OpenAPI document, its examples, the viewer's types and docs/reference/api.md are made of them.
An answer may gain keys in later versions, and none goes away under ``/api/v1``.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema

from hilum.apps.store.people import Role
from hilum.apps.web.problems import ProblemFacts
from hilum.apps.web.schemas import API, Call, FilmStatus, Source, StudyFilter
from hilum.core.details import Lesion, OpacityBox, Outline, Side
from hilum.core.estimate import Estimate
from hilum.core.labels import Label, ReferenceStandard
from hilum.core.reading import RESEARCH_USE, Answer, PredictionSet
from hilum.judge.adaptation import Adaptation

Day = Annotated[str, Field(examples=["2026-11-16"], description="ISO 8601")]
Status = Annotated[FilmStatus, Field(examples=["read"])]
At = Annotated[str, Field(examples=["2026-11-22T12:00:01.000Z"])]
Film = Annotated[str, Field(examples=["9f2c4e0d1a3b5c7d"])]
Study = Annotated[str, Field(examples=["0a1b2c3d4e5f6071"])]
ReadingId = Annotated[str, Field(examples=["5566778899aabbcc"])]
ListId = Annotated[str, Field(examples=["66778899aabbccdd"])]
By = Annotated[str, Field(examples=["anna"])]
View = Annotated[str, Field(examples=["PA"])]
Format = Annotated[str, Field(examples=["DICOM DX"])]
Identity = Annotated[str, Field(examples=["hilum-default 0.2.0 (38fc1977)"])]
Checksum = Annotated[str, Field(examples=["38fc1977" + "0" * 56])]
StoredReading = Annotated[dict[str, Any], WithJsonSchema({"$ref": "#/components/schemas/Reading"})]
"""A reading is given as it was stored, in the form of its ``schema_version``."""
Probability = Annotated[float, Field(examples=[0.71])]
_UNNAMED = "null while it would tell who reads blind, or in an open reading list, what is asked"
_ALONE = "one's own alone while one reads the study in an open list, or blind and unseen"


class Said(BaseModel):
    """Base of what answers carry."""

    model_config = ConfigDict(frozen=True, json_schema_serialization_defaults_required=True)


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
    name: str | None = Field(examples=["film.dcm"], description=_UNNAMED)
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
    name: str | None = Field(examples=["film.dcm"], description=_UNNAMED)
    view: View | None
    film_id: Film = Field(description="the film to open first")
    patient: Patient
    accession: str | None = Field(
        default=None, examples=["A-2041"], description="null where the site does not show it"
    )
    findings: list[ShortFinding]
    refusal: str | None = Field(examples=[None], description="code of the reason")
    priority: Probability | None = Field(description="the largest probability")
    reviewed: bool = Field(description=f"it has a verdict; {_ALONE}")
    blind_pending: bool = Field(examples=[False])


class StudyItem(_StudyFacts):
    """A row of the worklist."""

    films: int
    verdicts: int = Field(description=f"how many were given; {_ALONE}")
    reports: int = Field(description=f"how many were written; {_ALONE}")


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


class StudyAnswer(_StudyFacts):
    """A study with all that belongs to it; ``prior`` are other studies of the patient."""

    films: list[FilmAnswer]
    prior: list[StudyItem]
    verdicts: list[VerdictAnswer]
    reports: list[ReportAnswer]


class VerdictsAnswer(Said):
    """Verdicts, newest first."""

    items: list[VerdictAnswer]


class UndoneAnswer(VerdictsAnswer):
    """Verdicts that were taken back, and the rejection note that one of them had made."""

    rejection: Literal["withdrawn", "sent"] | None = Field(
        examples=[None],
        description="`sent`: an archive was told already; null: there was none, or it stays hidden",
    )


class ListItem(Said):
    """A reading list; ``done``, ``seen`` and ``place`` are those of who asks."""

    list_id: ListId
    name: str = Field(examples=["Residents, spring"])
    findings: list[Label] = Field(description="that are asked, in this order")
    random: bool = Field(examples=[True], description="each reader has an own order")
    blind: bool = Field(
        examples=[True], description="no machine's answer before the own verdict is given"
    )
    reveal: bool = Field(examples=[True], description="it is shown then; else when the list ends")
    confidence: bool = Field(examples=[True], description="asked with each verdict")
    created_at: At
    deadline: At | None = Field(examples=[None])
    open: bool = Field(examples=[True], description="it takes verdicts")
    reads: bool = Field(examples=[True], description="who asks is one of its readers")
    films: int = Field(examples=[60])
    done: int = Field(examples=[22])
    seen: int = Field(
        examples=[0], description="their answer was seen before; they stay out of blind figures"
    )
    place: int = Field(examples=[22], description="of the first film in ``order`` that is not done")


class ListsAnswer(Said):
    """Reading lists, newest first."""

    items: list[ListItem]


class ListedAnswer(Said):
    """A film of a reading list."""

    film_id: Film
    study_id: Study
    done: bool = Field(examples=[False])
    seen: bool = Field(examples=[False], description="its answer was seen before it was done")


class ReaderProgress(Said):
    """How far one reader of a list is."""

    user_id: str = Field(examples=["aabbccddeeff0011"])
    name: By
    films: int = Field(examples=[60])
    done: int = Field(examples=[22])
    seen: int = Field(examples=[0])
    last_at: At | None = Field(description="of the last verdict")


class ListAnswer(ListItem):
    """A reading list with its films, in the order of who asks."""

    order: list[ListedAnswer]
    readers: list[ReaderProgress] = Field(description="for administrators; else empty")


class ListedPlace(Around):
    """Where a film stands in the order that who asks reads a list in."""

    list_id: ListId
    name: str = Field(examples=["Residents, spring"])
    open: bool = Field(examples=[True], description="it takes verdicts")


class ReaderFigures(Said):
    """What one reader, all readers, or the machine reaches against the reference standard."""

    sensitivity: Estimate
    specificity: Estimate
    auc: Estimate = Field(
        description="area under the ROC curve by confidence, where the list asks for it"
    )


class ArmFigures(ReaderFigures):
    """Figures of one reader in one arm of a study."""

    films: int = Field(examples=[60], description="with a verdict")
    asked: int = Field(
        examples=[60], description="films not erased, and those erased that had a verdict"
    )
    unsure: int = Field(examples=[3])
    seconds: float | None = Field(examples=[14.2], description="median time to a verdict")
    roc: list[tuple[float, float]] = Field(
        examples=[[[0.0, 0.0], [0.1, 0.8], [1.0, 1.0]]],
        description="(1 - specificity, sensitivity)",
    )
    machine_kappa: Estimate = Field(description="Cohen's kappa with the machine's answer")


class PooledFigures(ReaderFigures):
    """The mean over readers of one arm; who is not whole counts with the films that are there."""

    readers: int = Field(examples=[3])
    whole: int = Field(examples=[2], description="readers with a verdict of every film not erased")


class StudyReader(Said):
    """One reader of a list, without and with the machine; null where no verdict is."""

    name: By
    films: int = Field(examples=[60], description="with a verdict, in either arm")
    whole: bool = Field(examples=[True], description="of every film of the list not erased")
    unaided: ArmFigures | None = Field(description="verdicts before the answer was in sight")
    aided: ArmFigures | None = Field(
        description="with it in sight: the last verdict, which may be the one from before"
    )
    difference: ReaderFigures | None = Field(description="aided less unaided, on films of both")


class ReaderPair(Said):
    """Two readers, unaided where they were, on films that both called."""

    names: tuple[str, str] = Field(examples=[["anna", "boris"]])
    kappa: Estimate = Field(description="Cohen's")
    agreement: Estimate


class AnalysisAnswer(Said):
    """The analysis of a reading list; intervals over patients, of means over readers, too."""

    list_id: ListId
    finding: Label
    films: int = Field(examples=[60])
    erased: int = Field(examples=[0], description="of these films: their patients were erased")
    positives: int = Field(examples=[25], description="by the reference standard")
    negatives: int = Field(examples=[30])
    readers: list[StudyReader]
    unaided: PooledFigures | None
    aided: PooledFigures | None
    difference: PooledFigures | None = Field(
        description="of readers with both; whole: both of every film not erased"
    )
    pairs: list[ReaderPair]
    fleiss: Estimate = Field(description="Fleiss' kappa, on films that every reader called")
    machine: ReaderFigures = Field(description="by its operating point and score")
    machine_roc: list[tuple[float, float]] = Field(examples=[[[0.0, 0.0], [0.2, 0.9], [1.0, 1.0]]])


class ReportsAnswer(Said):
    """Reports, newest version first."""

    items: list[ReportAnswer]


class ReferenceAnswer(Said):
    """What the reference standard says of a finding."""

    finding: Label
    value: Literal[0, 1] = Field(examples=[1])
    standard: ReferenceStandard
    by: By
    at: At


class ReferencesAnswer(Said):
    """What is known of a film."""

    items: list[ReferenceAnswer]


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


class PeerAnswer(Said):
    """What came from a peer, and what goes there."""

    name: str = Field(examples=["pacs"])
    films: int = Field(examples=[40])
    last_film: At | None
    sent: int = Field(examples=[70], description="results that it has")
    waiting: int = Field(examples=[2])
    dead: int = Field(examples=[0], description="results that it did not take")
    oldest_waiting_s: float | None = Field(examples=[30.0])
    last_sent: At | None
    error: str | None = Field(
        examples=["pacs: cannot be reached, or does not answer"],
        description="why it cannot be sent to",
    )
    since: At | None = Field(description="since when it can, or cannot, be sent to")


class NodeFacts(Said):
    """How films come and results go by DICOM."""

    listen: str | None = Field(examples=["0.0.0.0:11112"])
    to_read: int = Field(examples=[3], description="films that wait to be read")
    to_make: int = Field(examples=[1], description="readings whose results wait to be made")
    not_made: int = Field(examples=[0])
    alarms: list[AlarmAnswer]
    peers: list[PeerAnswer]


class NodeAnswer(Said):
    """The node; null where `hilum.toml` has no ``[node]``."""

    node: NodeFacts | None


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


class PointAnswer(Said):
    """An operating point, and what it cost on the cases that it was chosen on."""

    model_config = ConfigDict(from_attributes=True)

    name: str = Field(examples=["balanced"])
    threshold: float = Field(examples=[0.602])
    sensitivity: Estimate
    specificity: Estimate
    chosen_on: str = Field(examples=["val"])
    rule: str = Field(examples=["largest Youden index"])


class LabelAnswer(Said):
    """A label that the bundle answers."""

    label: Label
    calibration: str = Field(examples=["platt"])
    prevalence: float | None = Field(examples=[0.42])
    coverage: float | None = Field(examples=[0.9])
    operating_points: list[PointAnswer]


class BundleAnswer(Said):
    """The bundle that reads."""

    identity: Identity
    name: str = Field(examples=["hilum-default"])
    version: str = Field(examples=["0.2.0"])
    checksum: Checksum
    site: str | None = Field(examples=[None])
    calibrated: bool
    intended_use: str = Field(examples=["Research."])
    labels: list[LabelAnswer]


class LimitsAnswer(Said):
    """What a request may bring."""

    model_config = ConfigDict(from_attributes=True)

    file_mb: float = Field(examples=[100.0])
    request_mb: float = Field(examples=[500.0])
    files: int = Field(examples=[500])
    megapixels: float = Field(examples=[100.0])


class MeAnswer(Said):
    """Who is signed in, and what the page may show."""

    name: By
    role: Role = Field(examples=["reviewer"])
    local: bool = Field(examples=[False], description="came by the printed link")
    blind: bool = Field(examples=[False], description="reads blind first")
    csrf: str | None = Field(examples=["3kK..."], description="null for a token")
    notice: str = Field(examples=[RESEARCH_USE])
    version: str = Field(examples=["0.3.0"])
    bundle: BundleAnswer | None = Field(description="null where it is damaged")
    bundle_error: str | None = Field(examples=[None])
    labels: list[Label] = Field(
        examples=[["covid-19", "lung-opacity"]],
        description="what a corrected label or a reference standard may be of",
    )
    idle_minutes: float = Field(examples=[30.0])
    limits: LimitsAnswer


class DeletionAnswer(Said):
    """What goes, or went: how many of each, and when the first and the last study came."""

    studies: int = Field(examples=[3])
    films: int = Field(examples=[4])
    readings: int = Field(examples=[4])
    verdicts: int = Field(examples=[2])
    marks: int
    reference_standards: int
    reports: int
    unfinished: int
    rulers: int
    kept_verdicts: int = Field(
        examples=[0], description="of the verdicts: their figures stay in reading lists"
    )
    trashed: int = Field(
        default=0,
        examples=[0],
        description="studies of an erased patient in the trash: they go, too",
    )
    trash_days: float | None = Field(
        default=None, examples=[30], description="for which they can be put back; null: for good"
    )
    first_at: At | None
    last_at: At | None
    confirm: str = Field(examples=["77aa88bb99cc00dd"])


class TrashedStudy(Said):
    """A deleted study that can be put back."""

    study_id: Study
    patient_id: str | None = Field(examples=["P123"])
    study_date: str | None = Field(examples=["2020-03-14"])
    films: int = Field(examples=[1])
    verdicts: int = Field(examples=[2])
    reports: int = Field(examples=[0])
    by: By = Field(description="who deleted it")
    reason: str = Field(examples=[""])
    at: At
    until: At = Field(description="when it goes for good")


class TrashAnswer(Said):
    """What is in the trash, newest first."""

    items: list[TrashedStudy]


class PersonAnswer(Said):
    """Who may sign in, and how."""

    user_id: str = Field(examples=["aabbccddeeff0011"])
    name: By
    role: Role = Field(examples=["reviewer"])
    password: bool
    openid: bool = Field(examples=[False])
    disabled: bool = Field(examples=[False])
    blind: bool | None = Field(examples=[None], description="null: as the site has it")
    created_at: At


class PeopleAnswer(Said):
    """Everybody."""

    items: list[PersonAnswer]


class TokenAnswer(Said):
    """A token without its secret."""

    token_id: str = Field(examples=["1100ffeeddccbbaa"])
    name: str = Field(examples=["archive"])
    user: By
    created_at: At


class NewTokenAnswer(TokenAnswer):
    """A token with its secret, this once."""

    token: str = Field(examples=["hilum_..."])


class TokensAnswer(Said):
    """All tokens."""

    items: list[TokenAnswer]


class Health(Said):
    """The process answers."""

    status: Literal["ok"] = "ok"


class Ready(Said):
    """Each part is "ok" or a sentence; ``receiver`` and ``sender`` are there with a node."""

    # a part that this type did not know would be left out without a word
    model_config = ConfigDict(extra="forbid", json_schema_serialization_defaults_required=False)

    ready: bool
    store: str = Field(examples=["ok"])
    worker: str = Field(examples=["ok"])
    bundle: str = Field(examples=["ok"])
    disk: str = Field(examples=["ok"])
    receiver: str | None = Field(default=None, examples=["ok"])
    sender: str | None = Field(default=None, examples=["ok"])


class LogLine(Said):
    """A line of the log."""

    seq: int = Field(examples=[812])
    at: At
    who: str = Field(examples=["hilum"])
    action: str = Field(examples=["read"])
    film_id: Film | None
    study_id: Study | None
    bundle: Checksum | None
    data: dict[str, Any] = Field(examples=[{"forced": False, "status": "read"}])
    hash: str = Field(examples=["e3b0c442" + "0" * 56])


class LogAnswer(Said):
    """A page of the log; ``next`` goes into ``before``."""

    items: list[LogLine]
    next: int | None = Field(examples=[812])


class LogVerified(Said):
    """``problem`` names the first line that is wrong."""

    ok: bool
    lines: int = Field(examples=[812])
    problem: str | None = Field(examples=[None])
