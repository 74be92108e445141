"""Tables of the store. Times are whole milliseconds since 1970 in UTC; ids are 16 hex digits.

A study is one visit of one patient; the columns that the worklist shows and sorts by are repeated
in it, so that a page of the worklist reads one table.
"""

from __future__ import annotations

import secrets
import time
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Text,
    UniqueConstraint,
    false,
    text,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

ID_LENGTH = 16
_Id = String(ID_LENGTH)
_Counter = BigInteger().with_variant(Integer, "sqlite")


def new_id() -> str:
    """Return a random id: it says nothing of a film, a patient or their number."""
    return secrets.token_hex(ID_LENGTH // 2)


def now_ms() -> int:
    """Return the time of now in milliseconds since 1970."""
    return time.time_ns() // 1_000_000


def iso(moment_ms: int | None) -> str | None:
    """Write a time as ISO 8601 in UTC.

    >>> iso(0)
    '1970-01-01T00:00:00.000Z'
    """
    if moment_ms is None:
        return None
    moment = datetime.fromtimestamp(moment_ms / 1000, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def search_text(patient_id: str | None, *names: str) -> str:
    """Return what the worklist's search looks through: patient and films of a study.

    >>> search_text("P7", "Film.dcm")
    'p7\\nfilm.dcm'
    """
    return "\n".join((patient_id or "", *names)).lower()[:600]


class Table(DeclarativeBase):
    """Base of all tables; constraints have names, so that migrations can change them."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s",
            "pk": "pk_%(table_name)s",
        }
    )


_FILTERED = ("status", "verdicts", "refusal", "labels", "search")
"""What the worklist filters by: in its indexes, so that counting and paging read nothing else."""


class Study(Table):
    """One visit of one patient, as the worklist shows it.

    Attributes:
        uid: StudyInstanceUID; None for pictures.
        film_id: the film to open first; ``name``, ``view`` are its.
        status: of the film that is furthest from being read.
        findings: [{label, probability, present, prediction_set, answer}] of that film.
        labels: those that are present, between commas: ",covid-19,".
        search: patient id and names of the films in small letters.
        priority: largest probability among its findings; -1 without any.
        films, verdicts, reports: how many.
    """

    __tablename__ = "studies"
    __table_args__ = (
        Index("ix_studies_newest", "created_ms", "id", *_FILTERED),
        Index("ix_studies_priority", "priority", "created_ms", "id", *_FILTERED),
    )

    id: Mapped[str] = mapped_column(_Id, primary_key=True, default=new_id)
    uid: Mapped[str | None] = mapped_column(String(128), unique=True)
    patient_id: Mapped[str | None] = mapped_column(String(128), index=True)
    sex: Mapped[str | None] = mapped_column(String(1))
    age_years: Mapped[float | None] = mapped_column(Float)
    study_date: Mapped[str | None] = mapped_column(String(10))
    name: Mapped[str] = mapped_column(String(255))
    view: Mapped[str | None] = mapped_column(String(16))
    film_id: Mapped[str | None] = mapped_column(_Id)
    status: Mapped[str] = mapped_column(String(8))
    findings: Mapped[list[dict[str, Any]]] = mapped_column(JSON, default=list)
    labels: Mapped[str] = mapped_column(String(600), default="")
    search: Mapped[str] = mapped_column(String(600), default="")
    refusal: Mapped[str | None] = mapped_column(String(32))
    priority: Mapped[float] = mapped_column(Float, default=-1.0)
    created_ms: Mapped[int] = mapped_column(BigInteger, default=now_ms)
    read_ms: Mapped[int | None] = mapped_column(BigInteger)
    films: Mapped[int] = mapped_column(Integer, default=0)
    verdicts: Mapped[int] = mapped_column(Integer, default=0)
    reports: Mapped[int] = mapped_column(Integer, default=0)


class Film(Table):
    """One file; ``sha256`` of its content is its name in the folder of films."""

    __tablename__ = "films"
    __table_args__ = (Index("ix_films_study", "study_id", "status", "id"),)

    id: Mapped[str] = mapped_column(_Id, primary_key=True, default=new_id)
    study_id: Mapped[str] = mapped_column(ForeignKey("studies.id", ondelete="CASCADE"))
    sha256: Mapped[str] = mapped_column(String(64), unique=True)
    instance_uid: Mapped[str | None] = mapped_column(String(128), unique=True)
    name: Mapped[str] = mapped_column(String(255))
    size: Mapped[int] = mapped_column(BigInteger)
    format: Mapped[str] = mapped_column(String(64))
    view: Mapped[str | None] = mapped_column(String(16))
    status: Mapped[str] = mapped_column(String(8), default="queued")
    reading_id: Mapped[str | None] = mapped_column(_Id)
    created_ms: Mapped[int] = mapped_column(BigInteger, default=now_ms, index=True)
    read_ms: Mapped[int | None] = mapped_column(BigInteger)


class Received(Table):
    """A film came over the network, for the first time or again.

    Attributes:
        peer: name of the application that sent it; ``address`` it called from.
    """

    __tablename__ = "arrivals"

    id: Mapped[int] = mapped_column(_Counter, primary_key=True, autoincrement=True)
    film_id: Mapped[str] = mapped_column(ForeignKey("films.id", ondelete="CASCADE"), index=True)
    peer: Mapped[str] = mapped_column(String(64))
    address: Mapped[str] = mapped_column(String(64))
    at_ms: Mapped[int] = mapped_column(BigInteger, default=now_ms, index=True)
    duplicate: Mapped[bool] = mapped_column(Boolean, default=False)


class Made(Table):
    """A reading of which results are to be made for the archive, were made, or could not be.

    Attributes:
        state: ``to-make``, ``reject`` (a note is to be made that takes back what was sent),
            ``made`` or ``failed``; ``error`` says why.
        former: what was sent of the reading before: [kind, SOP class, UID, series].
        reject: {"reason", "peer" or None for all}: a person took back what was sent; with "was"
            {"making", "deliveries"}, the states from before, where a verdict did.
        attempts: how often making was begun; what ends its worker each time is given up.
        urgent: before those that are not, and before the next film is read.
    """

    __tablename__ = "made"

    reading_id: Mapped[str] = mapped_column(
        ForeignKey("readings.id", ondelete="CASCADE"), primary_key=True
    )
    film_id: Mapped[str] = mapped_column(ForeignKey("films.id", ondelete="CASCADE"), index=True)
    state: Mapped[str] = mapped_column(String(8), default="to-make", index=True)
    attempts: Mapped[int] = mapped_column(Integer, default=0)
    error: Mapped[str | None] = mapped_column(String(255))
    former: Mapped[list[str] | None] = mapped_column(JSON(none_as_null=True))
    reject: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    urgent: Mapped[bool] = mapped_column(Boolean, default=False, server_default=false())
    at_ms: Mapped[int] = mapped_column(BigInteger, default=now_ms)


class Result(Table):
    """An object that was made of a reading; its file lies under ``sha256`` in ``results``.

    Attributes:
        kind: sr, seg, gsps, sc or pdf; ko for a rejection note.
        sop_uid: its own; other bytes have another one, always.
        superseded: another bundle, or another version, has read the film since.
        forgotten: its file is deleted; what was sent can be taken back all the same.
    """

    __tablename__ = "results"

    id: Mapped[int] = mapped_column(_Counter, primary_key=True, autoincrement=True)
    film_id: Mapped[str] = mapped_column(ForeignKey("films.id", ondelete="CASCADE"), index=True)
    reading_id: Mapped[str] = mapped_column(String(ID_LENGTH))
    kind: Mapped[str] = mapped_column(String(8))
    sop_class: Mapped[str] = mapped_column(String(64))
    sop_uid: Mapped[str] = mapped_column(String(64), unique=True)
    study_uid: Mapped[str] = mapped_column(String(64), index=True)
    sha256: Mapped[str] = mapped_column(String(64), index=True)
    size: Mapped[int] = mapped_column(BigInteger)
    superseded: Mapped[bool] = mapped_column(Boolean, default=False)
    series_uid: Mapped[str] = mapped_column(String(64), default="", server_default="")
    forgotten: Mapped[bool] = mapped_column(Boolean, default=False, server_default=false())
    at_ms: Mapped[int] = mapped_column(BigInteger, default=now_ms)


class Delivery(Table):
    """A result on its way to a peer.

    Attributes:
        state: ``waiting``, ``claimed`` by the sender, ``sent``, ``committed``, ``dead`` (nothing is
            tried any more until a person says so), ``dropped`` by a person, or because another
            reading came first, ``retracted``: taken back, and the peer is told so, or ``deleted``
            there, because a peer with DICOMweb was told to.
        attempts: how often the peer refused it; ``next_ms``: not before; 0: at once.
        urgent: its study goes before those that are not.
        status: what the peer answered last; ``error`` in words.
        transaction: by which the peer was asked last, at ``asked_ms``, to confirm that it keeps it;
            ``asked``: how often.
    """

    __tablename__ = "deliveries"
    __table_args__ = (
        UniqueConstraint("result_id", "peer"),
        Index("ix_deliveries_state_peer_next", "state", "peer", "next_ms"),
    )

    id: Mapped[int] = mapped_column(_Counter, primary_key=True, autoincrement=True)
    result_id: Mapped[int] = mapped_column(ForeignKey("results.id", ondelete="CASCADE"))
    peer: Mapped[str] = mapped_column(String(32))
    state: Mapped[str] = mapped_column(String(10), default="waiting")
    attempts: Mapped[int] = mapped_column(Integer, default=0)
    next_ms: Mapped[int] = mapped_column(BigInteger, default=now_ms)
    urgent: Mapped[bool] = mapped_column(Boolean, default=False, server_default=false())
    status: Mapped[int | None] = mapped_column(Integer)
    error: Mapped[str | None] = mapped_column(String(255))
    transaction: Mapped[str | None] = mapped_column(String(64), index=True)
    asked: Mapped[int] = mapped_column(Integer, default=0, server_default=text("0"))
    asked_ms: Mapped[int | None] = mapped_column(BigInteger)
    created_ms: Mapped[int] = mapped_column(BigInteger, default=now_ms)
    sent_ms: Mapped[int | None] = mapped_column(BigInteger)
    committed_ms: Mapped[int | None] = mapped_column(BigInteger)


class Model(Table):
    """A bundle that has read films here: its manifest outlives its folder."""

    __tablename__ = "models"

    checksum: Mapped[str] = mapped_column(String(64), primary_key=True)
    identity: Mapped[str] = mapped_column(String(255))
    site: Mapped[str | None] = mapped_column(String(255))
    manifest: Mapped[dict[str, Any]] = mapped_column(JSON)
    created_ms: Mapped[int] = mapped_column(BigInteger, default=now_ms)


class Read(Table):
    """One reading: of a film, by a bundle, forced or not; there is never a second one.

    Attributes:
        reading: the JSON of a ``hilum.core.reading.Reading``.
        evidence: compressed arrays: evidence maps and lung mask; None for a film not read.
        corrected: kinds of ``hilum.serve.gate.CORRECTIONS`` that put the film right, in order.
        waited_ms: from the film's acceptance to its reading.
    """

    __tablename__ = "readings"
    __table_args__ = (UniqueConstraint("film_id", "checksum", "forced"),)

    id: Mapped[str] = mapped_column(_Id, primary_key=True, default=new_id)
    film_id: Mapped[str] = mapped_column(ForeignKey("films.id", ondelete="CASCADE"))
    checksum: Mapped[str] = mapped_column(ForeignKey("models.checksum"))
    forced: Mapped[bool] = mapped_column(Boolean, default=False)
    status: Mapped[str] = mapped_column(String(8))
    reading: Mapped[dict[str, Any]] = mapped_column(JSON)
    evidence: Mapped[bytes | None] = mapped_column(LargeBinary)
    corrected: Mapped[list[str]] = mapped_column(JSON, default=list)
    created_ms: Mapped[int] = mapped_column(BigInteger, default=now_ms, index=True)
    waited_ms: Mapped[int] = mapped_column(BigInteger, default=0)


class Job(Table):
    """A film that waits to be read.

    Attributes:
        state: ``queued``, ``claimed`` or ``done``.
        worker: who has claimed it, until ``lease_ms`` unless renewed.
        attempts: how often it was claimed; a film that ends its worker is given up.
        urgent: it is read before those that are not.
    """

    __tablename__ = "jobs"
    __table_args__ = (Index("ix_jobs_state_id", "state", "id"), {"sqlite_autoincrement": True})

    id: Mapped[int] = mapped_column(_Counter, primary_key=True, autoincrement=True)
    film_id: Mapped[str] = mapped_column(ForeignKey("films.id", ondelete="CASCADE"), index=True)
    forced: Mapped[bool] = mapped_column(Boolean, default=False)
    urgent: Mapped[bool] = mapped_column(Boolean, default=False, server_default=false())
    state: Mapped[str] = mapped_column(String(8), default="queued")
    worker: Mapped[str | None] = mapped_column(String(64))
    lease_ms: Mapped[int] = mapped_column(BigInteger, default=0)
    attempts: Mapped[int] = mapped_column(Integer, default=0)
    created_ms: Mapped[int] = mapped_column(BigInteger, default=now_ms)
    done_ms: Mapped[int | None] = mapped_column(BigInteger)


class Person(Table):
    """Who may sign in.

    Attributes:
        password: an argon2 hash; ``subject`` that of an OpenID provider.
        blind: reads blind first; where ``blind_chosen`` is not set, the site's setting may say so.
    """

    __tablename__ = "people"

    id: Mapped[str] = mapped_column(_Id, primary_key=True, default=new_id)
    name: Mapped[str] = mapped_column(String(64), unique=True)
    role: Mapped[str] = mapped_column(String(16))
    password: Mapped[str | None] = mapped_column(String(255))
    subject: Mapped[str | None] = mapped_column(String(255), unique=True)
    blind: Mapped[bool] = mapped_column(Boolean, default=False)
    blind_chosen: Mapped[bool] = mapped_column(Boolean, default=False, server_default=false())
    disabled: Mapped[bool] = mapped_column(Boolean, default=False)
    created_ms: Mapped[int] = mapped_column(BigInteger, default=now_ms)


class Token(Table):
    """A script's key; only its SHA-256 is kept."""

    __tablename__ = "tokens"

    id: Mapped[str] = mapped_column(_Id, primary_key=True, default=new_id)
    person_id: Mapped[str] = mapped_column(ForeignKey("people.id", ondelete="CASCADE"))
    name: Mapped[str] = mapped_column(String(64))
    digest: Mapped[str] = mapped_column(String(64), unique=True)
    created_ms: Mapped[int] = mapped_column(BigInteger, default=now_ms)


class Visit(Table):
    """A browser's session; only the SHA-256 of its cookie is kept."""

    __tablename__ = "visits"

    digest: Mapped[str] = mapped_column(String(64), primary_key=True)
    person_id: Mapped[str] = mapped_column(ForeignKey("people.id", ondelete="CASCADE"))
    csrf: Mapped[str] = mapped_column(String(64))
    created_ms: Mapped[int] = mapped_column(BigInteger, default=now_ms)
    until_ms: Mapped[int] = mapped_column(BigInteger)


class Seen(Table):
    """Who has been shown the machine's answer to a film: that person reads it blind no more."""

    __tablename__ = "seen"

    film_id: Mapped[str] = mapped_column(
        ForeignKey("films.id", ondelete="CASCADE"), primary_key=True
    )
    person_id: Mapped[str] = mapped_column(ForeignKey("people.id"), primary_key=True)
    at_ms: Mapped[int] = mapped_column(BigInteger, default=now_ms)


class Verdict(Table):
    """What a person says of a finding.

    Attributes:
        verdict: of the finding itself: present, absent or unsure; unknown where it was kept as an
            agreement with an answer that cannot be told any more.
        call: 1 for present, 0 for absent, else None.
        blind: given before the machine's answer was shown.
        list_id: of the reading list in which it was given.
        confidence: 0 to 100, from surely absent to surely present; None where it was not asked.
        seconds: that the film was looked at before; None where that is not known.
    """

    __tablename__ = "verdicts"
    __table_args__ = (Index("ix_verdicts_person", "person_id", "film_id", "at_ms"),)

    id: Mapped[str] = mapped_column(_Id, primary_key=True, default=new_id)
    film_id: Mapped[str] = mapped_column(ForeignKey("films.id", ondelete="CASCADE"), index=True)
    reading_id: Mapped[str | None] = mapped_column(_Id)
    person_id: Mapped[str] = mapped_column(ForeignKey("people.id"))
    finding: Mapped[str] = mapped_column(String(32))
    verdict: Mapped[str] = mapped_column(String(16))
    call: Mapped[int | None] = mapped_column(Integer)
    text: Mapped[str] = mapped_column(Text, default="")
    corrected_label: Mapped[str | None] = mapped_column(String(32))
    marks: Mapped[list[dict[str, Any]]] = mapped_column(JSON, default=list)
    blind: Mapped[bool] = mapped_column(Boolean, default=False)
    list_id: Mapped[str | None] = mapped_column(_Id, index=True)
    confidence: Mapped[int | None] = mapped_column(Integer)
    seconds: Mapped[float | None] = mapped_column(Float)
    at_ms: Mapped[int] = mapped_column(BigInteger, default=now_ms, index=True)


class ReadingList(Table):
    """Films that some people are asked to read through: a reader study, or a part of a day.

    Attributes:
        findings: that are asked, in this order.
        seed: of each reader's own order; None: everybody reads the films as they are listed.
        blind: no reader sees the machine's answer to a film before the own verdict is given.
        reveal: it is shown then, so that a second verdict can be given; else when the list ends.
        confidence: is asked with each verdict.
        deadline_ms, closed_ms: from either on the list takes no verdict and hides nothing.
    """

    __tablename__ = "reading_lists"

    id: Mapped[str] = mapped_column(_Id, primary_key=True, default=new_id)
    name: Mapped[str] = mapped_column(String(200))
    findings: Mapped[list[str]] = mapped_column(JSON)
    seed: Mapped[int | None] = mapped_column(Integer)
    blind: Mapped[bool] = mapped_column(Boolean)
    reveal: Mapped[bool] = mapped_column(Boolean)
    confidence: Mapped[bool] = mapped_column(Boolean)
    deadline_ms: Mapped[int | None] = mapped_column(BigInteger)
    closed_ms: Mapped[int | None] = mapped_column(BigInteger)
    person_id: Mapped[str] = mapped_column(ForeignKey("people.id"))
    created_ms: Mapped[int] = mapped_column(BigInteger, default=now_ms)


class ListedFilm(Table):
    """A film of a reading list, and its place there."""

    __tablename__ = "listed_films"

    list_id: Mapped[str] = mapped_column(
        ForeignKey("reading_lists.id", ondelete="CASCADE"), primary_key=True
    )
    film_id: Mapped[str] = mapped_column(
        ForeignKey("films.id", ondelete="CASCADE"), primary_key=True, index=True
    )
    place: Mapped[int] = mapped_column(Integer)


class ListReader(Table):
    """Who reads a reading list."""

    __tablename__ = "list_readers"

    list_id: Mapped[str] = mapped_column(
        ForeignKey("reading_lists.id", ondelete="CASCADE"), primary_key=True
    )
    person_id: Mapped[str] = mapped_column(ForeignKey("people.id"), primary_key=True, index=True)


class Bygone(Table):
    """A verdict of a reading list whose patient was erased: what the figures of the list need.

    Attributes:
        film, patient: random, and nowhere else: verdicts of the same one hang together, and lead
            to nobody.
        verdict, call, blind, confidence, seconds: as they were given; no words and no marks.
        held: the reader saw the machine's answer in the list afterwards.
        truth, machine, answer: 1 or 0, by the reference standard, the operating point and all that
            the model said; None where it was not known; ``score`` of the model.
    """

    __tablename__ = "bygone_verdicts"

    id: Mapped[int] = mapped_column(_Counter, primary_key=True, autoincrement=True)
    list_id: Mapped[str] = mapped_column(
        ForeignKey("reading_lists.id", ondelete="CASCADE"), index=True
    )
    film: Mapped[str] = mapped_column(_Id)
    patient: Mapped[str] = mapped_column(_Id)
    person_id: Mapped[str] = mapped_column(ForeignKey("people.id"))
    finding: Mapped[str] = mapped_column(String(32))
    verdict: Mapped[str] = mapped_column(String(16))
    call: Mapped[int | None] = mapped_column(Integer)
    blind: Mapped[bool] = mapped_column(Boolean)
    held: Mapped[bool] = mapped_column(Boolean)
    confidence: Mapped[int | None] = mapped_column(Integer)
    seconds: Mapped[float | None] = mapped_column(Float)
    truth: Mapped[int | None] = mapped_column(Integer)
    machine: Mapped[int | None] = mapped_column(Integer)
    answer: Mapped[int | None] = mapped_column(Integer)
    score: Mapped[float | None] = mapped_column(Float)


class Desk(Table):
    """What a person has begun on a film and not given yet.

    Attributes:
        version: how often it was kept.
        body: {choices, text, corrected_label, blind, marks}; marks in pixels of the film.
    """

    __tablename__ = "desks"

    film_id: Mapped[str] = mapped_column(
        ForeignKey("films.id", ondelete="CASCADE"), primary_key=True
    )
    person_id: Mapped[str] = mapped_column(ForeignKey("people.id"), primary_key=True)
    version: Mapped[int] = mapped_column(Integer, default=0)
    body: Mapped[dict[str, Any]] = mapped_column(JSON)
    at_ms: Mapped[int] = mapped_column(BigInteger, default=now_ms)


class Round(Table):
    """Which films a person reads through, and where that person is.

    Attributes:
        query: the filter and the order of the worklist, as the API takes them.
        began_ms: films that came later are of the next round.
        film_id: the film that was opened last; None before the first.
    """

    __tablename__ = "rounds"

    person_id: Mapped[str] = mapped_column(
        ForeignKey("people.id", ondelete="CASCADE"), primary_key=True
    )
    query: Mapped[dict[str, Any]] = mapped_column(JSON)
    began_ms: Mapped[int] = mapped_column(BigInteger, default=now_ms)
    film_id: Mapped[str | None] = mapped_column(_Id)


class Reference(Table):
    """What the reference standard says of a film: 1 or 0."""

    __tablename__ = "reference_standards"

    film_id: Mapped[str] = mapped_column(
        ForeignKey("films.id", ondelete="CASCADE"), primary_key=True
    )
    finding: Mapped[str] = mapped_column(String(32), primary_key=True)
    value: Mapped[int] = mapped_column(Integer)
    standard: Mapped[str] = mapped_column(String(16))
    person_id: Mapped[str] = mapped_column(ForeignKey("people.id"))
    at_ms: Mapped[int] = mapped_column(BigInteger, default=now_ms)


class Ruler(Table):
    """A line on a film, of known length.

    Attributes:
        points: both ends, (x, y) in pixels of the film as it is shown.
        mm: its length in millimeters.
    """

    __tablename__ = "rulers"

    film_id: Mapped[str] = mapped_column(
        ForeignKey("films.id", ondelete="CASCADE"), primary_key=True
    )
    points: Mapped[list[list[float]]] = mapped_column(JSON)
    mm: Mapped[float] = mapped_column(Float)
    person_id: Mapped[str] = mapped_column(ForeignKey("people.id"))
    at_ms: Mapped[int] = mapped_column(BigInteger, default=now_ms)


class Report(Table):
    """One version of a film's report; versions are never changed."""

    __tablename__ = "reports"
    __table_args__ = (UniqueConstraint("film_id", "version"),)

    id: Mapped[str] = mapped_column(_Id, primary_key=True, default=new_id)
    film_id: Mapped[str] = mapped_column(ForeignKey("films.id", ondelete="CASCADE"))
    reading_id: Mapped[str | None] = mapped_column(_Id)
    version: Mapped[int] = mapped_column(Integer)
    person_id: Mapped[str] = mapped_column(ForeignKey("people.id"))
    body: Mapped[dict[str, Any]] = mapped_column(JSON)
    at_ms: Mapped[int] = mapped_column(BigInteger, default=now_ms)


class Trashed(Table):
    """A study that a person deleted, with all that belonged to it; see ``apps/store/trash.py``.

    Attributes:
        uid, patient_id, study_date, created_ms: of the study.
        counts: how many films, verdicts and reports it had.
        person: who deleted it, at ``at_ms``; ``reason`` why, or "".
        rows: every row, table by table, as compressed JSON, as the tables were at ``revision``.
    """

    __tablename__ = "trash"

    study_id: Mapped[str] = mapped_column(_Id, primary_key=True)
    uid: Mapped[str | None] = mapped_column(String(128))
    patient_id: Mapped[str | None] = mapped_column(String(128), index=True)
    study_date: Mapped[str | None] = mapped_column(String(10))
    created_ms: Mapped[int] = mapped_column(BigInteger)
    counts: Mapped[dict[str, int]] = mapped_column(JSON)
    person: Mapped[str] = mapped_column(String(64))
    reason: Mapped[str] = mapped_column(String(200), default="")
    rows: Mapped[bytes] = mapped_column(LargeBinary)
    revision: Mapped[str] = mapped_column(String(16), server_default="0014")
    at_ms: Mapped[int] = mapped_column(BigInteger, default=now_ms, index=True)


class TrashedFile(Table):
    """A file that a study in the trash needs: of a film, or of a result."""

    __tablename__ = "trashed_files"

    study_id: Mapped[str] = mapped_column(
        ForeignKey("trash.study_id", ondelete="CASCADE"), primary_key=True
    )
    sha256: Mapped[str] = mapped_column(String(64), primary_key=True, index=True)


class Setting(Table):
    """A choice of an administrator that outlives the process: the active bundle, ..."""

    __tablename__ = "settings"

    key: Mapped[str] = mapped_column(String(64), primary_key=True)
    value: Mapped[Any] = mapped_column(JSON)


class Event(Table):
    """What the page should hear of; it names no patient and no finding."""

    __tablename__ = "events"
    __table_args__ = ({"sqlite_autoincrement": True},)

    id: Mapped[int] = mapped_column(_Counter, primary_key=True, autoincrement=True)
    kind: Mapped[str] = mapped_column(String(16))
    data: Mapped[dict[str, Any]] = mapped_column(JSON)
    at_ms: Mapped[int] = mapped_column(BigInteger, default=now_ms)


class Line(Table):
    """One line of the log; ``hilum.apps.store.log`` says how the lines hang together."""

    __tablename__ = "log"

    seq: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    at: Mapped[str] = mapped_column(String(32))
    who: Mapped[str] = mapped_column(String(64))
    action: Mapped[str] = mapped_column(String(32))
    film_id: Mapped[str | None] = mapped_column(_Id, index=True)
    study_id: Mapped[str | None] = mapped_column(_Id)
    bundle: Mapped[str | None] = mapped_column(String(64))
    data: Mapped[str] = mapped_column(Text)
    hash: Mapped[str] = mapped_column(String(64))
