"""Answers: what each call gives, as types that the OpenAPI document is made of.

Routes return plain dicts; ``tests/apps/web/test_examples.py`` holds them to these types. An answer
may gain keys in later versions, and none goes away under ``/api/v1``.
"""

from __future__ import annotations

from typing import Any, Literal

from typing_extensions import TypedDict

from hilum.core.details import Lesion, OpacityBox
from hilum.core.labels import Label
from hilum.core.reading import Answer, Reading

FilmStatus = Literal["queued", "reading", "read", "refused", "error"]
RoleName = Literal["metrics", "reader", "reviewer", "administrator"]
Call = Literal["present", "absent"]


class Measured(TypedDict):
    """A metric with its 95 % interval; null where it is undefined, and ``note`` says why."""

    value: float | None
    low: float | None
    high: float | None
    n: int
    note: str


class ProblemAnswer(TypedDict):
    """RFC 9457; the codes are part of the API and never change."""

    type: str
    title: str
    status: int
    code: str
    detail: str
    hint: str | None


class AcceptedFilm(TypedDict):
    """A film that is on disk and in the store.

    ``differs`` is "header" where the film that is kept has the same pixels and another header;
    ``replaced`` where what was kept before could not be opened.
    """

    film_id: str
    study_id: str
    name: str
    duplicate: bool
    differs: str | None
    replaced: bool


class RejectedFilm(ProblemAnswer):
    """A file that was not taken, and why; ``other-pixels`` names the film that is kept instead."""

    name: str
    film_id: str | None
    study_id: str | None


class Uploaded(TypedDict):
    """What became of the files of a request."""

    accepted: list[AcceptedFilm]
    rejected: list[RejectedFilm]


class FilmAnswer(TypedDict):
    """A film without its reading."""

    film_id: str
    study_id: str
    name: str
    status: FilmStatus
    format: str
    view: str | None
    size: int
    created_at: str
    read_at: str | None
    reading_id: str | None
    blind_pending: bool
    blind_owed: list[Label]


class Preset(TypedDict):
    """A window: ``low`` is shown black, ``high`` white."""

    name: str
    center: float
    width: float
    low: float
    high: float


class ImageFacts(TypedDict):
    """What the header says."""

    format: str
    modality: str | None
    view: str | None
    laterality: str | None
    patient_id: str | None
    age_years: float | None
    sex: str | None
    study_date: str | None
    manufacturer: str | None


class RulerFacts(TypedDict):
    """A line on a film whose length a person knew."""

    points: list[list[float]]
    mm: float
    by: str
    at: str


class RulerAnswer(TypedDict):
    """A film's ruler, null once it is taken back."""

    ruler: RulerFacts | None


class ImageAnswer(TypedDict):
    """How to show a film's pixels."""

    rows: int
    columns: int
    bits: int
    min: int
    max: int
    slope: float
    intercept: float
    orientation: list[str] | None
    sides: Literal["stated", "assumed"]
    spacing_mm: list[float] | None
    spacing_plane: Literal["patient", "detector"] | None
    spacing_source: str | None
    ruler: RulerFacts | None
    inverted: bool
    corrected: list[str]
    presets: list[Preset]
    default: str
    metadata: ImageFacts
    notes: list[str]


class Queued(TypedDict):
    """A film that will be read again."""

    film_id: str
    status: Literal["queued"]


class ReadingAnswer(TypedDict):
    """A reading and what made it; all but the first two are null or empty while it waits."""

    film_id: str
    status: FilmStatus
    queue_ahead: int
    reading_id: str | None
    read_at: str | None
    bundle: str | None
    bundle_checksum: str | None
    site: str | None
    reading: Reading | None
    similar_pictures: list[str | None]


class LungOutline(TypedDict):
    """A lung; the side is null where only the outline is known."""

    side: Literal["right", "left"] | None
    outline: list[tuple[int, int]]


class HeatmapFacts(TypedDict):
    """Where a heatmap is, and how to color it."""

    label: Label
    png: str
    f32: str
    rows: int
    columns: int
    low: float
    high: float
    limit: float
    unit: Literal["logit"]


class OverlaysAnswer(TypedDict):
    """What can be laid over a film, in its pixels."""

    rows: int
    columns: int
    lungs: list[LungOutline]
    lesions: list[Lesion]
    boxes: list[OpacityBox]
    heatmaps: list[HeatmapFacts]


class Patient(TypedDict):
    """Whose study it is, as far as the header says."""

    id: str | None
    sex: str | None
    age_years: float | None


class ShortFinding(TypedDict):
    """A finding as the worklist shows it."""

    label: Label
    probability: float
    present: bool
    prediction_set: Literal["present", "absent", "indeterminate", "none"] | None
    answer: Answer


class _StudyFacts(TypedDict):
    study_id: str
    status: FilmStatus
    created_at: str
    read_at: str | None
    study_date: str | None
    name: str
    view: str | None
    film_id: str | None
    patient: Patient
    findings: list[ShortFinding]
    refusal: str | None
    priority: float | None
    reviewed: bool
    blind_pending: bool


class StudyItem(_StudyFacts):
    """A row of the worklist."""

    films: int
    verdicts: int
    reports: int


class Counts(TypedDict):
    """Studies of each status, by the filters other than that of the status."""

    queued: int
    reading: int
    read: int
    refused: int
    error: int


class StudiesAnswer(TypedDict):
    """A page of the worklist."""

    items: list[StudyItem]
    total: int
    next: str | None
    counts: Counts


class MarkAnswer(TypedDict):
    """Something drawn on a film, in its pixels."""

    kind: Literal["point", "line", "ellipse", "rectangle", "polygon"]
    points: list[tuple[float, float]]
    text: str


class MeasuredMark(MarkAnswer):
    """A mark with what it measures, such as "Length 122.5 mm"; None for what measures nothing."""

    measured: str | None


class DeskAnswer(TypedDict):
    """What a person has begun on a film and not given yet."""

    version: int
    choices: dict[Label, Literal["present", "absent", "unsure"]]
    text: str
    corrected_label: Label | None
    blind: bool
    marks: list[MeasuredMark]


class VerdictAnswer(TypedDict):
    """What a person said of a finding; ``call`` is present or absent, None where neither was said.

    ``verdict`` is "unknown" where an older Hilum kept an agreement with an answer that cannot be
    told any more.
    """

    verdict_id: str
    film_id: str
    reading_id: str | None
    by: str
    at: str
    finding: Label
    verdict: Literal["present", "absent", "unsure", "unknown"]
    call: Call | None
    text: str
    corrected_label: Label | None
    marks: list[MarkAnswer]
    blind: bool


class ReportDraft(TypedDict):
    """The text of a report."""

    title: str
    indication: str
    technique: str
    comparison: str
    findings: str
    impression: str
    language: Literal["en", "ru"]


class ReportAnswer(ReportDraft):
    """A stored version of a report; ``measurements`` of its author, a line each."""

    measurements: str
    report_id: str
    film_id: str
    reading_id: str | None
    version: int
    by: str
    at: str


class StudyAnswer(_StudyFacts):
    """A study with all that belongs to it."""

    films: list[FilmAnswer]
    prior: list[StudyItem]
    verdicts: list[VerdictAnswer]
    reports: list[ReportAnswer]


class VerdictsAnswer(TypedDict):
    """Verdicts, newest first."""

    items: list[VerdictAnswer]


class ReportsAnswer(TypedDict):
    """Reports, newest version first."""

    items: list[ReportAnswer]


class ReferenceAnswer(TypedDict):
    """What the reference standard says of a finding."""

    finding: Label
    value: Literal[0, 1]
    standard: str
    by: str
    at: str


class ReferencesAnswer(TypedDict):
    """What is known of a film."""

    items: list[ReferenceAnswer]


class Against(TypedDict):
    """Against the reference standard."""

    sensitivity: Measured
    specificity: Measured


class AgreementCounts(TypedDict):
    """Verdicts by what person and machine say."""

    both_present: int
    only_machine: int
    only_human: int
    both_absent: int
    unsure: int
    cannot_say: int


class AgreementAnswer(TypedDict):
    """Agreement of people and machine."""

    label: Label
    films: int
    reviewers: int
    kappa: Measured
    agreement: Measured
    blind_kappa: Measured
    changed_after_reading: Measured
    machine: Against
    human: Against
    blind_human: Against
    counts: AgreementCounts


class AdaptedLabel(TypedDict):
    """What a calibration did to a label: measures by name, before and after."""

    label: Label
    films: int
    positives: int
    negatives: int
    before: dict[str, Measured]
    after: dict[str, Measured]


class AdaptationAnswer(TypedDict):
    """A calibration to a site; ``kept`` are labels that had too few patients, and why."""

    site: str
    created: str
    bundle: str
    films: int
    patients: int
    not_read: int
    labels: list[AdaptedLabel]
    kept: dict[str, str]
    leak_check: str


class CandidateAnswer(TypedDict):
    """A bundle that could read, or reads."""

    identity: str
    checksum: str
    candidate_id: str | None
    adaptation: AdaptationAnswer | None


class Previous(TypedDict):
    """What was active before: the base, or a candidate."""

    base: bool
    candidate_id: str | None


class Available(TypedDict):
    """Patients whose truth is known."""

    positives: int
    negatives: int
    needed: int


class CalibrationAnswer(TypedDict):
    """What is calibrated, and what could be: ``available`` by source, then label."""

    active: CandidateAnswer
    previous: Previous | None
    candidates: list[CandidateAnswer]
    available: dict[Literal["reference", "verdicts"], dict[Label, Available]]


class Latency(TypedDict):
    """From acceptance to reading, in milliseconds."""

    p50: float | None
    p95: float | None


class DayAnswer(TypedDict):
    """Films of a day."""

    day: str
    films: int
    read: int
    refused: int
    error: int
    latency_ms: Latency


class ScoresAnswer(TypedDict):
    """The site's probabilities beside those of the bundle's evaluation; ``chance``: of ``psi``."""

    label: Label
    edges: list[float]
    n: int
    site: list[float]
    validation: list[float] | None
    psi: float | None
    chance: float | None
    limit: float
    alarm: bool
    note: str


class WeekAnswer(TypedDict):
    """Agreement of a week; ``week`` is its Monday."""

    week: str
    films: int
    agreement: float | None
    kappa: float | None


class MonitoringAnswer(TypedDict):
    """The state of the service."""

    days: list[DayAnswer]
    films: int
    refusals: dict[str, int]
    refusal_rate: float | None
    scores: ScoresAnswer
    agreement: list[WeekAnswer]


class PointAnswer(TypedDict):
    """An operating point."""

    name: str
    threshold: float
    sensitivity: Measured | None
    specificity: Measured | None
    chosen_on: str
    rule: str


class LabelAnswer(TypedDict):
    """A label that the bundle answers."""

    label: Label
    calibration: str
    prevalence: float | None
    coverage: float | None
    operating_points: list[PointAnswer]


class BundleAnswer(TypedDict):
    """The bundle that reads."""

    identity: str
    name: str
    version: str
    checksum: str
    site: str | None
    calibrated: bool
    intended_use: str
    labels: list[LabelAnswer]


class LimitsAnswer(TypedDict):
    """What a request may bring."""

    file_mb: float
    request_mb: float
    files: int
    megapixels: float


class MeAnswer(TypedDict):
    """Who is signed in, and what the page may show."""

    name: str
    role: RoleName
    local: bool
    blind: bool
    csrf: str | None
    notice: str
    version: str
    bundle: BundleAnswer | None
    bundle_error: str | None
    labels: list[Label]
    idle_minutes: float
    limits: LimitsAnswer


class DeletionAnswer(TypedDict):
    """What goes, or went: how many of each, and when the first and the last study came."""

    studies: int
    films: int
    readings: int
    verdicts: int
    marks: int
    reference_standards: int
    reports: int
    unfinished: int
    rulers: int
    first_at: str | None
    last_at: str | None
    confirm: str


class PersonAnswer(TypedDict):
    """Who may sign in, and how."""

    user_id: str
    name: str
    role: RoleName
    password: bool
    openid: bool
    disabled: bool
    blind: bool | None
    created_at: str


class PeopleAnswer(TypedDict):
    """Everybody."""

    items: list[PersonAnswer]


class TokenAnswer(TypedDict):
    """A token without its secret."""

    token_id: str
    name: str
    user: str
    created_at: str


class NewTokenAnswer(TokenAnswer):
    """A token with its secret, this once."""

    token: str


class TokensAnswer(TypedDict):
    """All tokens."""

    items: list[TokenAnswer]


class Health(TypedDict):
    """The process answers."""

    status: Literal["ok"]


class Ready(TypedDict):
    """Each part is "ok" or a sentence."""

    ready: bool
    store: str
    worker: str
    bundle: str
    disk: str


class LogLine(TypedDict):
    """A line of the log."""

    seq: int
    at: str
    who: str
    action: str
    film_id: str | None
    study_id: str | None
    bundle: str | None
    data: dict[str, Any]
    hash: str


class LogAnswer(TypedDict):
    """A page of the log; ``next`` goes into ``before``."""

    items: list[LogLine]
    next: int | None


class LogVerified(TypedDict):
    """``problem`` names the first line that is wrong."""

    ok: bool
    lines: int
    problem: str | None
