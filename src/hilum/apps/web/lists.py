"""Reading lists: films that people are asked to read through, alone or as a reader study."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Annotated
from zoneinfo import ZoneInfo

from fastapi import APIRouter
from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from hilum.apps.store import lists
from hilum.apps.store.people import Role
from hilum.apps.store.store import parts
from hilum.apps.store.tables import (
    Film,
    ListedFilm,
    ListReader,
    Person,
    ReadingList,
    Verdict,
    iso,
    now_ms,
)
from hilum.apps.store.worklist import film_ids
from hilum.apps.web import blind
from hilum.apps.web.access import Visitor, needs
from hilum.apps.web.answers.lists import (
    ListAnswer,
    ListedPlace,
    ListItem,
    ListsAnswer,
    ReaderProgress,
)
from hilum.apps.web.problems import Problem, not_found
from hilum.apps.web.schemas import API, MOST_LISTED, AnyId, ChangedList, FilmId, NewList
from hilum.apps.web.service import Served, Service
from hilum.apps.web.studies import asked_by

router = APIRouter(prefix=API, tags=["lists"])
_Reader = Annotated[Visitor, needs(Role.READER)]
_Administrator = Annotated[Visitor, needs(Role.ADMINISTRATOR)]


@router.get("/lists", summary="Reading lists")
def reading_lists(visitor: _Reader, service: Served) -> ListsAnswer:
    """Give the lists that one reads, newest first; an administrator sees all."""
    with service.store.read() as session:
        query = select(ReadingList).order_by(ReadingList.created_ms.desc(), ReadingList.id)
        if visitor.role is not Role.ADMINISTRATOR:
            mine = select(ListReader.list_id).where(ListReader.person_id == visitor.person_id)
            query = query.where(ReadingList.id.in_(mine))
        items = [_item(session, each, visitor)[0] for each in session.scalars(query)]
    return ListsAnswer(items=items)


@router.post("/lists", status_code=201, summary="Set up a reading list")
def add_list(body: NewList, visitor: _Administrator, service: Served) -> ListAnswer:
    """Set up a list; what it asks cannot be changed, so that all of it was asked alike."""
    deadline_ms = _moment(body.deadline, service)
    if deadline_ms is not None and deadline_ms <= now_ms():
        raise Problem(
            422,
            "invalid",
            "deadline: it is over, so that nobody could read the list",
            hint="choose a later one, or none",
        )
    with service.store.write() as session:
        films = _films(session, body, visitor, service)
        one = ReadingList(
            name=body.name,
            findings=list(dict.fromkeys(body.findings)),
            seed=body.seed,
            blind=body.blind,
            reveal=body.reveal,
            confidence=body.confidence,
            deadline_ms=deadline_ms,
            person_id=visitor.person_id,
        )
        session.add(one)
        session.flush()
        session.add_all(
            ListedFilm(list_id=one.id, film_id=each, place=place)
            for place, each in enumerate(films)
        )
        _let_read(session, one, body.readers)
        service.log.add(session, visitor.name, "list-added", list=one.id, films=len(films))
        return _show(session, one, visitor)


@router.get("/lists/{list_id}", summary="One reading list")
def reading_list(list_id: AnyId, visitor: _Reader, service: Served) -> ListAnswer:
    """Give the films in one's own order, which stays the same, and where one is."""
    with service.store.read() as session:
        return _show(session, find_list(session, list_id, visitor), visitor)


@router.get("/lists/{list_id}/films/{film_id}", summary="Where a film stands in a reading list")
def listed_film(list_id: AnyId, film_id: FilmId, visitor: _Reader, service: Served) -> ListedPlace:
    """Give place and neighbors of a film in one's own order, and how many one is done with."""
    with service.store.read() as session:
        one = find_list(session, list_id, visitor)
        found = lists.around(session, one, visitor.person_id, film_id)
        return ListedPlace(
            film_id=film_id,
            place=found.place,
            total=found.total,
            judged=found.judged,
            before=found.before,
            after=found.after,
            unjudged=found.unjudged,
            list_id=one.id,
            name=one.name,
            open=lists.is_open(one),
        )


@router.patch("/lists/{list_id}", summary="Change a reading list")
def change_list(
    list_id: AnyId, body: ChangedList, visitor: _Administrator, service: Served
) -> ListAnswer:
    """Change name, readers or deadline, close a list or open it again; who gave verdicts stays.

    A list that is opened again loses its deadline if that is over.
    """
    with service.store.write() as session:
        one = find_list(session, list_id, visitor)
        if body.name is not None:
            one.name = body.name
        if "deadline" in body.model_fields_set:
            one.deadline_ms = _moment(body.deadline, service)
        if body.closed is not None:
            one.closed_ms = now_ms() if body.closed else None
            if not body.closed and not lists.is_open(one) and body.deadline is None:
                one.deadline_ms = None
        if body.readers is not None:
            gave = lists.gave_in(session, one.id)
            wanted, before = {*body.readers, *gave}, set(lists.readers_of(session, one.id))
            gone = ListReader.list_id == one.id, ListReader.person_id.in_(before - wanted)
            session.execute(delete(ListReader).where(*gone))
            _let_read(session, one, wanted - before)
        changed = sorted(body.model_fields_set)
        service.log.add(session, visitor.name, "list-changed", list=one.id, changed=changed)
        return _show(session, one, visitor)


@router.delete("/lists/{list_id}", status_code=204, summary="Delete a reading list")
def delete_list(list_id: AnyId, visitor: _Administrator, service: Served) -> None:
    """Delete a list in which nobody has given a verdict; others are closed."""
    with service.store.write() as session:
        one = find_list(session, list_id, visitor)
        if lists.gave_in(session, one.id):
            raise Problem(
                409, "conflict", "verdicts were given in this list", hint="close it instead"
            )
        session.delete(one)
        service.log.add(session, visitor.name, "list-deleted", list=list_id)


def find_list(session: Session, list_id: str, visitor: Visitor) -> ReadingList:
    """Return a list, or raise the 404: as for one that is not there where it is not one's own."""
    one = session.get(ReadingList, list_id)
    if one is None or not (
        visitor.role is Role.ADMINISTRATOR
        or visitor.person_id in lists.readers_of(session, list_id)
    ):
        raise not_found("reading list")
    return one


def _films(session: Session, body: NewList, visitor: Visitor, service: Service) -> list[str]:
    """Return the films of a list to come: each one once, in the order that was given."""
    if body.studies is None:
        wanted = list(dict.fromkeys(body.film_ids))
        known: set[str] = set()
        for part in parts(wanted):
            known.update(session.scalars(select(Film.id).where(Film.id.in_(part))))
        if unknown := [each for each in wanted if each not in known]:
            raise Problem(422, "invalid", f"{len(unknown)} films are not here: {unknown[0]}, ...")
        return wanted
    telling = body.studies.label is not None
    if telling and blind.hides(session, visitor):
        raise Problem(409, "blind-read-pending", "this filter would tell the machine's answer")
    asked = asked_by(body.studies, service, session, visitor)
    found = film_ids(session, asked, MOST_LISTED + 1)
    if not 0 < len(found) <= MOST_LISTED:
        raise Problem(
            422,
            "invalid",
            f"{'more than ' * bool(found)}{MOST_LISTED if found else 0} films are in this filter",
            hint="choose another filter",
        )
    return found


def _let_read(session: Session, one: ReadingList, person_ids: Collection[str]) -> None:
    for person_id in sorted(set(person_ids)):
        person = session.get(Person, person_id)
        if person is None or not Role(person.role).covers(Role.REVIEWER):
            raise Problem(
                422,
                "invalid",
                f"readers: {person.name if person else person_id} cannot give verdicts",
                hint="a reader of a list has the role reviewer, or administrator",
            )
        session.add(ListReader(list_id=one.id, person_id=person_id))
    session.flush()


def _moment(given: datetime | None, service: Service) -> int | None:
    if given is None:
        return None
    if given.tzinfo is None:
        given = given.replace(tzinfo=ZoneInfo(service.settings.zone))
    return round(given.timestamp() * 1000)


def _item(
    session: Session, one: ReadingList, visitor: Visitor
) -> tuple[ListItem, lists.Progress, list[str]]:
    readers = lists.readers_of(session, one.id)
    reads = visitor.person_id in readers
    films = lists.films_of(session, one.id)
    mine = lists.progress(session, one, visitor.person_id, films)
    mine = mine if reads else lists.Progress(films)
    item = ListItem(
        list_id=one.id,
        name=one.name,
        findings=one.findings,
        random=one.seed is not None,
        blind=one.blind,
        reveal=one.reveal,
        confidence=one.confidence,
        created_at=iso(one.created_ms),
        deadline=iso(one.deadline_ms),
        open=lists.is_open(one),
        reads=reads,
        films=len(films),
        done=len(mine.done),
        seen=len(mine.seen),
        place=mine.place,
    )
    return item, mine, readers


def _show(session: Session, one: ReadingList, visitor: Visitor) -> ListAnswer:
    item, mine, readers = _item(session, one, visitor)
    listed = select(ListedFilm.film_id).where(ListedFilm.list_id == one.id)
    found = session.execute(select(Film.id, Film.study_id).where(Film.id.in_(listed)))
    studies = {row[0]: row[1] for row in found}
    order = [
        {
            "film_id": each,
            "study_id": studies[each],
            "done": each in mine.done,
            "seen": each in mine.seen,
        }
        for each in mine.order
    ]
    shown = readers if visitor.role is Role.ADMINISTRATOR else []
    theirs = {
        each: lists.progress(session, one, each, mine.order)
        for each in shown
        if each != visitor.person_id
    }
    told = {
        "order": order,  # thousands of films: checked at once, and not one by one
        "readers": [_progress(session, one, each, theirs.get(each, mine)) for each in shown],
        "begun": bool(lists.gave_in(session, one.id)),
    }
    return ListAnswer.model_validate(dict(item) | told)


def _progress(
    session: Session, one: ReadingList, person_id: str, found: lists.Progress
) -> ReaderProgress:
    given = Verdict.list_id == one.id, Verdict.person_id == person_id
    return ReaderProgress(
        user_id=person_id,
        name=session.get_one(Person, person_id).name,
        films=len(found.order),
        done=len(found.done),
        seen=len(found.seen),
        last_at=iso(session.scalar(select(func.max(Verdict.at_ms)).where(*given))),
    )
