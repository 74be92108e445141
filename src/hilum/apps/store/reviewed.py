"""Reviewed films: machine, people and reference standard side by side, one row per film and reader.

What a reader study, the agreement and a calibration are made of.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session, defer

from hilum.apps.store import lists
from hilum.apps.store.lists import CALLS
from hilum.apps.store.store import parts
from hilum.apps.store.tables import Film, Person, Read, ReadingList, Reference, Seen, Study, Verdict
from hilum.core.reading import answer_in


@dataclass(frozen=True, slots=True)
class Reviewed:
    """What one person said of one finding of one film, beside the machine and the truth.

    Attributes:
        patient: the patient's id, or the study's where there is none; for grouping only.
        call, blind_call: of the person, after the answer and before it, 1 or 0; None if unsure or
            not given; who was shown the answer and said no more holds to the blind verdict. Of
            several verdicts of a kind the last counts: who changes a mind before the answer is
            shown is still blind.
        told: it is known what the person says after the answer.
        machine: 1 or 0, at the operating point of the reading.
        answer: 1 or 0, what the model answers all in all; None where it cannot say.
        reference: 1 or 0; None if unknown.
    """

    film_id: str
    study_id: str
    patient: str
    finding: str
    person: str
    told: bool
    call: int | None
    blind_call: int | None
    verdict: Verdict | None
    blind_verdict: Verdict | None
    machine: int
    answer: int | None
    score: float
    probability: float
    prediction_set: str | None
    bundle: str
    reference: int | None
    standard: str | None
    at_ms: int


def reviewed(
    session: Session,
    finding: str | None = None,
    from_ms: int | None = None,
    to_ms: int | None = None,
    person_id: str | None = None,
) -> Iterator[Reviewed]:
    """Yield reviewed films, by the time of their last verdict.

    ``person_id``: for whom, if it is told to a person: in that person's open lists, without what
    others say and without the reference standard.
    """
    query = select(Verdict).order_by(Verdict.at_ms, Verdict.id)
    if finding is not None:
        query = query.where(Verdict.finding == finding)
    if from_ms is not None:
        query = query.where(Verdict.at_ms >= from_ms)
    if to_ms is not None:
        query = query.where(Verdict.at_ms < to_ms)
    known = select(Reference)
    if person_id is not None:
        query = query.where(lists.visible(Verdict, session, person_id))
        known = known.where(lists.visible(Reference, session, person_id))
    last: dict[tuple[str, str, str], Verdict] = {}
    last_blind: dict[tuple[str, str, str], Verdict] = {}
    for verdict in session.scalars(query):
        key = verdict.film_id, verdict.finding, verdict.person_id
        if verdict.blind:
            last_blind[key] = verdict
        else:
            last[key] = verdict
    names = {row[0]: row[1] for row in session.execute(select(Person.id, Person.name))}
    truths = {(each.film_id, each.finding): each for each in session.scalars(known)}
    films = films_with_reading(session, {key[0] for key in (*last, *last_blind)})
    seen = _seen(session, {key[0] for key in last_blind})
    listed = {each.id: each for each in session.scalars(select(ReadingList))}
    for key in sorted({*last, *last_blind}, key=lambda k: _when(last.get(k), last_blind.get(k))):
        film_id, label, person_id = key
        if film_id not in films:
            continue
        _, study, read = films[film_id]
        answers = {each["label"]: each for each in read.reading["findings"]}
        if (answer := answers.get(label)) is None:
            continue
        final, unseen, truth = last.get(key), last_blind.get(key), truths.get((film_id, label))
        told = final
        if final is None and unseen is not None:
            seen_ms, one = seen.get((film_id, person_id), 0), listed.get(unseen.list_id or "")
            told = unseen if lists.holds(unseen, seen_ms, one) else None
        yield Reviewed(
            film_id=film_id,
            study_id=study.id,
            patient=study.patient_id or study.id,
            finding=label,
            person=names[person_id],
            told=told is not None,
            call=told.call if told else None,
            blind_call=unseen.call if unseen else None,
            verdict=final,
            blind_verdict=unseen,
            machine=int(answer["present"]),
            answer=CALLS[answer_in(answer).value],
            score=float(answer["score"]),
            probability=float(answer["probability"]),
            prediction_set=answer["prediction_set"],
            bundle=read.reading["bundle"],
            reference=truth.value if truth else None,
            standard=truth.standard if truth else None,
            at_ms=_when(final, unseen),
        )


def films_with_truth(session: Session) -> list[dict[str, Any]]:
    """Return every film with a reference standard: its checksum, patient and {finding: value}."""
    rows: dict[str, dict[str, Any]] = {}
    query = select(Reference, Film, Study).join(Film, Film.id == Reference.film_id)
    query = query.join(Study, Study.id == Film.study_id).where(Film.status == "read")
    for reference, film, study in session.execute(query.order_by(Film.id)):
        row = rows.setdefault(film.id, _truth_row(film, study))
        row["truth"][reference.finding] = reference.value
    return list(rows.values())


def films_with_verdicts(session: Session) -> list[dict[str, Any]]:
    """Return films with a reference standard or a verdict; the standard goes first.

    Several people count by majority; where they are even, the finding stays unknown. Of who gave a
    blind verdict that one counts: what is said after the machine's answer leans towards it.
    """
    rows = {row["film_id"]: row for row in films_with_truth(session)}
    votes: dict[tuple[str, str], list[int]] = {}
    for each in reviewed(session):
        call = each.call if each.blind_call is None else each.blind_call
        if call is not None:
            votes.setdefault((each.film_id, each.finding), []).append(call)
    for film_id, (film, study, _) in films_with_reading(session, {key[0] for key in votes}).items():
        rows.setdefault(film_id, _truth_row(film, study))
    for (film_id, finding), calls in votes.items():
        known = rows[film_id]["truth"] if film_id in rows else {}
        if 2 * sum(calls) != len(calls):
            known.setdefault(finding, int(2 * sum(calls) > len(calls)))
    return [row for row in rows.values() if row["truth"]]


def _truth_row(film: Film, study: Study) -> dict[str, Any]:
    patient = study.patient_id or study.id
    return {"film_id": film.id, "sha256": film.sha256, "patient": patient, "truth": {}}


def films_with_reading(session: Session, ids: set[str]) -> dict[str, tuple[Film, Study, Read]]:
    """Return those of some films that were read, with their study and reading."""
    found: dict[str, tuple[Film, Study, Read]] = {}
    ordered = sorted(ids)
    for start in range(0, len(ordered), 500):  # SQLite takes a limited number of parameters
        query = (
            select(Film, Study, Read)
            .options(defer(Read.evidence, raiseload=True))  # most of a row, and nobody here asks
            .join(Study, Study.id == Film.study_id)
            .join(Read, Read.id == Film.reading_id)
            .where(Film.id.in_(ordered[start : start + 500]), Film.status == "read")
        )
        found |= {row[0].id: (row[0], row[1], row[2]) for row in session.execute(query)}
    return found


def _seen(session: Session, ids: set[str]) -> dict[tuple[str, str], int]:
    """Return when the answer to some films was shown to whom: (film, person) -> at_ms."""
    return {
        (each.film_id, each.person_id): each.at_ms
        for part in parts(sorted(ids))
        for each in session.scalars(select(Seen).where(Seen.film_id.in_(part)))
    }


def _when(verdict: Verdict | None, unseen: Verdict | None) -> int:
    return max(each.at_ms for each in (verdict, unseen) if each is not None)
