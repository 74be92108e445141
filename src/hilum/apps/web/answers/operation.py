"""Answers of the node, the trash, the log and the server's health."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import ConfigDict, Field

from hilum.apps.web.answers.said import At, By, Checksum, Film, Said, Study
from hilum.apps.web.answers.watch import AlarmAnswer


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
