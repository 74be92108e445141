"""Reading lists: who reads which films in what order, how far each reader is, what stays hidden.

A list is open until its deadline is over or somebody closes it. While a blind list is open, a film
of it is hidden from each of its readers until that reader has given a blind verdict of every
finding that is asked; where the list does not reveal answers, until it ends.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, false, func, or_, select
from sqlalchemy.orm import Session

from hilum.apps.store.store import AT_ONCE
from hilum.apps.store.tables import (
    Bygone,
    Film,
    ListedFilm,
    ListReader,
    Person,
    Read,
    ReadingList,
    Reference,
    Report,
    Seen,
    Verdict,
    new_id,
    now_ms,
)
from hilum.apps.store.worklist import Standing
from hilum.core.reading import answer_in

_BEQUEATHED = (
    "list_id", "person_id", "finding", "verdict", "call", "blind", "confidence", "seconds",
)  # fmt: skip
CALLS: dict[str, int | None] = {"present": 1, "absent": 0, "unsure": None, "cannot-say": None}
"""What a word says of a finding: 1, 0, or nothing."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a reader is with a list.

    Attributes:
        order: ids of the films in the order of this reader; the same at every call.
        done: films of which every finding was answered in this list.
        seen: films of which this reader saw the machine's answer before a blind verdict of theirs.
    """

    order: list[str]
    done: set[str] = field(default_factory=set)
    seen: set[str] = field(default_factory=set)

    @property
    def place(self) -> int:
        """Where the first film stands that is not done; behind the last one if all are."""
        places = (place for place, each in enumerate(self.order) if each not in self.done)
        return next(places, len(self.order))


def is_open(one: ReadingList) -> bool:
    """Say whether a list takes verdicts."""
    return one.closed_ms is None and (one.deadline_ms is None or now_ms() < one.deadline_ms)


def seen_in(session: Session, one: ReadingList, person_id: str) -> dict[str, int]:
    """Return films whose answer a person was shown before a list ended: film_id -> at_ms."""
    listed = select(ListedFilm.film_id).where(ListedFilm.list_id == one.id)
    query = select(Seen.film_id, Seen.at_ms).where(Seen.person_id == person_id)
    query = query.where(Seen.film_id.in_(listed), Seen.at_ms < _end_ms(one))
    return {row[0]: row[1] for row in session.execute(query)}


def status_beside(session: Session, verdict: Verdict, now: str) -> str:
    """Return the status of the reading a verdict was given beside; of its film ``now`` if of none.

    A film that a later bundle refuses had an answer when it was judged.
    """
    read = session.get(Read, verdict.reading_id) if verdict.reading_id else None
    return now if read is None else read.status


def holds(verdict: Verdict, seen_ms: int, one: ReadingList | None, status: str = "read") -> bool:
    """Say whether a blind verdict is held to: its person was shown the answer (0: never) after it.

    Of a verdict in a list: that shows the answer, and before it ended; or of a film that by its
    ``status_beside`` never had one, with or without which the person says the same.
    """
    if one is not None and not one.reveal:
        return False
    if one is not None and status in ("refused", "error"):
        return verdict.blind
    if one is not None and seen_ms >= _end_ms(one):
        return False
    return verdict.blind and seen_ms >= verdict.at_ms


def _end_ms(one: ReadingList) -> int:
    """Return when a list ended, or ends; one without an end never does."""
    ends = (one.deadline_ms, one.closed_ms)
    return min((each for each in ends if each is not None), default=2**63 - 1)


def open_of(session: Session, person_id: str) -> list[ReadingList]:
    """Return the open lists that a person reads."""
    query = select(ReadingList).join(ListReader, ListReader.list_id == ReadingList.id)
    query = query.where(ListReader.person_id == person_id, ReadingList.closed_ms.is_(None))
    return [each for each in session.scalars(query) if is_open(each)]


def readers_of(session: Session, list_id: str) -> list[str]:
    """Return the ids of the people who read a list, by their names."""
    query = select(ListReader.person_id).join(Person, Person.id == ListReader.person_id)
    return list(session.scalars(query.where(ListReader.list_id == list_id).order_by(Person.name)))


def films_of(session: Session, list_id: str, among: Collection[str] | None = None) -> list[str]:
    """Return the films of a list as they are listed; ``among`` some films, or all."""
    query = select(ListedFilm.film_id).where(ListedFilm.list_id == list_id)
    if among is not None and len(among) <= AT_ONCE:
        query = query.where(ListedFilm.film_id.in_(among))
    found = session.scalars(query.order_by(ListedFilm.place))
    chosen = None if among is None else set(among)
    return [each for each in found if chosen is None or each in chosen]


def order_of(one: ReadingList, films: list[str], person_id: str) -> list[str]:
    """Return films in the order of a reader; one that is deleted moves none of the others."""
    if one.seed is None:
        return films
    told = f"{one.seed}:{person_id}:"
    return sorted(films, key=lambda film_id: hashlib.sha256((told + film_id).encode()).digest())


def around(session: Session, one: ReadingList, person_id: str, film_id: str) -> Standing[str]:
    """Say where a film stands; as they are listed for who does not read the list."""
    order = films_of(session, one.id)
    if session.get(ListReader, (one.id, person_id)) is not None:
        order = order_of(one, order, person_id)
    done = set(session.scalars(_done(one, person_id)))
    at = order.index(film_id) if film_id in order else None
    return Standing(
        place=None if at is None else at + 1,
        total=len(order),
        judged=len(done),
        before=order[at - 1] if at else None,
        after=order[at + 1] if at is not None and at + 1 < len(order) else None,
        unjudged=next((each for each in order if each not in done), None),
    )


def progress(
    session: Session, one: ReadingList, person_id: str, films: list[str] | None = None
) -> Progress:
    """Say how far a reader is; ``films``: those of the list, where they are known."""
    films = films_of(session, one.id) if films is None else films
    asked = set(one.findings)
    saw = seen_in(session, one, person_id).keys() & set(films) if one.blind else set()
    blind = _given(session, one, person_id, blind=True, among=saw)
    return Progress(
        order=order_of(one, films, person_id),
        done=set(session.scalars(_done(one, person_id))) & set(films),
        seen={each for each in saw if not asked <= blind[each]},
    )


def asked_of(
    session: Session, person_id: str, film_ids: Collection[str] | None = None
) -> dict[str, list[tuple[ReadingList, list[str]]]]:
    """Return films in open lists of a person: in which, and what is still owed of each there.

    Args:
        session: of the store.
        person_id: who looks.
        film_ids: among these; None for all films of the lists.
    """
    asked: defaultdict[str, list[tuple[ReadingList, list[str]]]] = defaultdict(list)
    for one in open_of(session, person_id):
        films = films_of(session, one.id, film_ids)
        given = _given(session, one, person_id, among=film_ids) if films else {}
        for film_id in films:
            owed = [each for each in one.findings if each not in given.get(film_id, ())]
            asked[film_id].append((one, owed))
    return asked


def hidden_of(asked: Mapping[str, list[tuple[ReadingList, list[str]]]]) -> dict[str, list[str]]:
    """Return those films that blind lists keep from who is asked, and what is still owed of each.

    Whether there is an answer to keep, and whether that person has seen it, is not asked here.
    """
    hidden: dict[str, list[str]] = {}
    for film_id, several in asked.items():
        for one, owed in several:
            if one.blind and (owed or not one.reveal):
                before = hidden.setdefault(film_id, [])
                before += [each for each in owed if each not in before]
    return hidden


def hidden_for(session: Session, person_id: str) -> Select[str]:
    """Return the query for the films that blind lists keep from a person, as ``hidden_of`` does."""
    kept: list[ColumnElement[bool]] = [false()]
    for one in open_of(session, person_id):
        if one.blind:
            listed = ListedFilm.list_id == one.id
            owed = ListedFilm.film_id.not_in(_done(one, person_id))
            kept.append(and_(listed, owed) if one.reveal else listed)
    return select(ListedFilm.film_id).where(or_(*kept))


def listed_for(session: Session, person_id: str) -> Select[str]:
    """Return the query for the films in open lists of a person."""
    ids = [each.id for each in open_of(session, person_id)]
    return select(ListedFilm.film_id).where(ListedFilm.list_id.in_(ids))


def visible(
    kind: type[Verdict | Reference | Report], session: Session, person_id: str
) -> ColumnElement[bool]:
    """Return the condition for what a person may see that people said of films.

    Of films in that person's open lists: one's own alone, wherever others said it.
    """
    return or_(kind.person_id == person_id, kind.film_id.not_in(listed_for(session, person_id)))


def verdicts_of(session: Session, list_id: str) -> list[Verdict]:
    """Return the verdicts that were given in a list, the oldest first."""
    query = select(Verdict).where(Verdict.list_id == list_id)
    return list(session.scalars(query.order_by(Verdict.at_ms, Verdict.id)))


def bygone_of(session: Session, list_id: str, finding: str) -> list[Bygone]:
    """Return what is left of a list's verdicts of erased patients, in the order of giving."""
    query = select(Bygone).where(Bygone.list_id == list_id, Bygone.finding == finding)
    return list(session.scalars(query.order_by(Bygone.id)))


def gave_in(session: Session, list_id: str) -> set[str]:
    """Return who has given a verdict in a list."""
    kinds = (Verdict, Bygone)
    mine = (select(each.person_id).where(each.list_id == list_id).distinct() for each in kinds)
    return {person_id for query in mine for person_id in session.scalars(query)}


def bequeath(session: Session, film_ids: Collection[str]) -> int:
    """Keep of verdicts in lists what the figures need, before their patient is erased; count them.

    All these films are of one patient.
    """
    patient, count = new_id(), 0
    saw: dict[tuple[str, str], dict[str, int]] = {}
    for film_id in film_ids:
        film, name = session.get_one(Film, film_id), new_id()
        query = select(Verdict).where(Verdict.film_id == film_id, Verdict.list_id.is_not(None))
        known = select(Reference).where(Reference.film_id == film_id)
        truth = {each.finding: each.value for each in session.scalars(known)}
        for verdict in session.scalars(query.order_by(Verdict.at_ms, Verdict.id)):
            one = session.get(ReadingList, verdict.list_id)
            if one is None:
                continue
            key = one.id, verdict.person_id
            if key not in saw:
                saw[key] = seen_in(session, one, verdict.person_id)
            status = status_beside(session, verdict, film.status)
            held = holds(verdict, saw.get(key, {}).get(film_id, 0), one, status)
            session.add(
                Bygone(
                    film=name,
                    patient=patient,
                    held=held,
                    truth=truth.get(verdict.finding),
                    **_machine(session, verdict.reading_id or film.reading_id, verdict.finding),
                    **{each: getattr(verdict, each) for each in _BEQUEATHED},
                )
            )
            count += 1
    return count


def _machine(session: Session, reading_id: str | None, finding: str) -> dict[str, Any]:
    read = session.get(Read, reading_id) if reading_id else None
    for each in read.reading["findings"] if read is not None else ():
        if each["label"] == finding:
            call = CALLS[answer_in(each).value]
            return {"machine": int(each["present"]), "score": each["score"], "answer": call}
    return {}


def _done(one: ReadingList, person_id: str) -> Select[str]:
    """Return the query for the films of which a reader has answered every finding in a list."""
    query = select(Verdict.film_id).where(Verdict.list_id == one.id)
    query = query.where(Verdict.person_id == person_id, Verdict.finding.in_(one.findings))
    answered = func.count(Verdict.finding.distinct())
    return query.group_by(Verdict.film_id).having(answered == len(one.findings))


def _given(
    session: Session,
    one: ReadingList,
    person_id: str,
    *,
    blind: bool = False,
    among: Collection[str] | None = None,
) -> defaultdict[str, set[str]]:
    """Return which findings of which films a reader has answered in a list; ``among``: at least."""
    query: Select[str, str] = select(Verdict.film_id, Verdict.finding)
    query = query.where(Verdict.list_id == one.id, Verdict.person_id == person_id)
    if blind:
        query = query.where(Verdict.blind)
    if among is not None and len(among) <= AT_ONCE:
        query = query.where(Verdict.film_id.in_(among))
    given: defaultdict[str, set[str]] = defaultdict(set)
    for film_id, finding in session.execute(query):
        given[film_id].add(finding)
    return given
