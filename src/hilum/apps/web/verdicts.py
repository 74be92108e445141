"""Verdicts: what people say of findings, and what the reference standard says."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import APIRouter
from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from hilum.apps.store import events, lists, takeback
from hilum.apps.store.lists import CALLS
from hilum.apps.store.people import Role
from hilum.apps.store.tables import (
    Film,
    ListedFilm,
    Person,
    Read,
    ReadingList,
    Reference,
    Study,
    Verdict,
    iso,
    now_ms,
)
from hilum.apps.web import blind
from hilum.apps.web.access import Visitor, needs
from hilum.apps.web.answers.lists import ReferenceAnswer, ReferencesAnswer
from hilum.apps.web.answers.verdicts import UndoneAnswer, VerdictAnswer, VerdictsAnswer
from hilum.apps.web.films import find_film
from hilum.apps.web.problems import Problem, not_found
from hilum.apps.web.schemas import (
    API,
    FilmId,
    NewReference,
    NewVerdict,
    NewVerdicts,
    UndoneVerdicts,
)
from hilum.apps.web.service import Served, Service
from hilum.core.reading import Answer, answer_in

router = APIRouter(prefix=API, tags=["verdicts"])
_Reader = Annotated[Visitor, needs(Role.READER)]
_Reviewer = Annotated[Visitor, needs(Role.REVIEWER)]
_UNDO_MS = 3_600_000


@router.get("/films/{film_id}/verdicts", summary="Verdicts of a film")
def verdicts(film_id: FilmId, visitor: _Reader, service: Served) -> VerdictsAnswer:
    """List what people said, newest first."""
    with service.store.read() as session:
        film = find_film(session, film_id)
        query = select(Verdict).where(Verdict.film_id == film_id).order_by(Verdict.at_ms.desc())
        query = query.where(lists.visible(Verdict, session, visitor.person_id))
        pending = blind.is_pending(session, visitor, film)
        if pending:  # others' opinions would tell, too
            query = query.where(Verdict.person_id == visitor.person_id)
        found = list(session.scalars(query))
        items = [show_verdict(session, each) for each in found]
    if not pending and any(each.person_id != visitor.person_id for each in found):
        blind.show(service, visitor, [film_id])
    return VerdictsAnswer(items=items)


@router.post("/films/{film_id}/verdicts", status_code=201, summary="Give a verdict")
def give_verdict(
    film_id: FilmId, body: NewVerdict, visitor: _Reviewer, service: Served
) -> VerdictAnswer:
    """Keep what a person says of a finding; nothing said before is changed."""
    return _give(film_id, [body], visitor, service)[0]


@router.post("/films/{film_id}/verdicts/all", status_code=201, summary="Give several verdicts")
def give_verdicts(
    film_id: FilmId, body: NewVerdicts, visitor: _Reviewer, service: Served
) -> VerdictsAnswer:
    """Keep what a person says of several findings, all or none; blind ones reveal the answer."""
    return VerdictsAnswer(items=_give(film_id, body.verdicts, visitor, service))


@router.post("/films/{film_id}/verdicts/undo", summary="Take my last verdicts back")
def undo(
    film_id: FilmId, body: UndoneVerdicts, visitor: _Reviewer, service: Served
) -> UndoneAnswer:
    """Take back what one said of a film within the last hour; the log keeps that it was said.

    A blind verdict stays once the model's answer was shown: the next one would not be blind. So
    does one of a reading list that has ended. A rejection note that the verdict had made goes,
    too, unless an archive was told already. Answers what was taken back; who may not know the
    model's answer hears nothing of the note. The time for which the film was looked at counts with
    the next verdict of it.
    """
    with service.store.write() as session:
        film = find_film(session, film_id)
        found = [session.get(Verdict, each) for each in dict.fromkeys(body.verdict_ids)]
        mine = [
            each
            for each in found
            if each is not None
            and (each.film_id, each.person_id) == (film_id, visitor.person_id)
            and each.at_ms >= now_ms() - _UNDO_MS
        ]
        if len(mine) < len(found):
            raise Problem(
                409,
                "conflict",
                "only one's own verdicts of the last hour can be taken back",
                hint="give another verdict: the newest counts",
            )
        if any(each.blind for each in mine) and blind.has_seen(session, visitor, film_id):
            raise Problem(
                409,
                "already-seen",
                "you have seen the machine's answer: a blind verdict stays",
                hint="give another verdict: it stands beside the blind one",
            )
        for listed in {each.list_id for each in mine} - {None}:
            _check_open(session.get_one(ReadingList, listed))
        said = [show_verdict(session, each) for each in mine]
        for each in mine:
            session.delete(each)
            service.log.add(
                session,
                visitor.name,
                "verdict-undone",
                **_logged(film, each),
            )
        session.get_one(Study, film.study_id).verdicts -= len(mine)
        hidden = any(each.blind for each in mine)
        events.tell(
            session, "verdict", None if hidden else film_id, film.study_id, by=visitor.person_id
        )
        session.flush()
        others = select(Verdict).where(Verdict.film_id == film_id, Verdict.list_id.is_(None))
        rejection = None
        took_back = any(_contradicts(session, each) for each in mine if each.list_id is None)
        if took_back and not any(_contradicts(session, each) for each in session.scalars(others)):
            rejection = takeback.restore(session, service.log, visitor.name, film_id)
        if hidden or blind.is_pending(session, visitor, film):
            rejection = None  # that there was one tells the machine's answer
        service.looks.taken_back(visitor, film_id, [each.seconds for each in mine])
        words: dict[bool | None, Any] = {None: None, True: "withdrawn", False: "sent"}
        return UndoneAnswer(items=said, rejection=words[rejection])


def _logged(film: Film, verdict: Verdict) -> dict[str, Any]:
    """Return what the log keeps of a verdict."""
    return {
        "film_id": film.id,
        "study_id": film.study_id,
        "verdict_id": verdict.id,
        "finding": verdict.finding,
        "verdict": verdict.verdict,
        "blind": verdict.blind,
    }


def _give(
    film_id: str, given: Sequence[NewVerdict], visitor: Visitor, service: Service
) -> list[VerdictAnswer]:
    with service.store.write() as session:
        film = find_film(session, film_id)
        said = [_said(session, film, each, visitor) for each in given]
        for one, (word, _) in zip(given, said, strict=True):
            _check_sure(one, word)
        seconds = service.looks.seconds(visitor, film_id)
        kept = [
            _keep(session, film, each, word, visitor, seconds)
            for each, word in zip(given, said, strict=True)
        ]
        session.get_one(Study, film.study_id).verdicts += len(kept)
        # a page that is still saving blind verdicts of other findings must not look at the answer
        hidden = any(each.blind for each in kept)
        events.tell(
            session, "verdict", None if hidden else film_id, film.study_id, by=visitor.person_id
        )
        for each in kept:
            service.log.add(
                session,
                visitor.name,
                "verdict",
                **_logged(film, each),
                **({"list": each.list_id} if each.list_id else {}),
            )
        node = service.settings.node
        rejects = node is not None and node.objects.contradicted == "reject"
        if rejects and any(_contradicts(session, each) for each in kept if each.list_id is None):
            takeback.retract(
                session, service.log, visitor.name, [film_id], reason="quality", by_verdict=True
            )
        return [show_verdict(session, each) for each in kept]


def _contradicts(session: Session, verdict: Verdict) -> bool:
    """Say whether a person says that the model was wrong: present for absent, or the reverse."""
    read = session.get(Read, verdict.reading_id) if verdict.reading_id else None
    if read is None or verdict.call is None:
        return False
    answers = {each["label"]: answer_in(each) for each in read.reading["findings"]}
    other = Answer.ABSENT if verdict.call else Answer.PRESENT
    return answers.get(verdict.finding) is other


def _keep(
    session: Session,
    film: Film,
    body: NewVerdict,
    said: tuple[str, bool],
    visitor: Visitor,
    seconds: float | None,
) -> Verdict:
    word, unseen = said
    verdict = Verdict(
        film_id=film.id,
        reading_id=film.reading_id,
        person_id=visitor.person_id,
        finding=body.finding,
        verdict=word,
        call=CALLS[word],
        text=body.text,
        corrected_label=body.corrected_label,
        marks=[mark.model_dump(mode="json") for mark in body.marks],
        blind=unseen,
        list_id=body.list_id,
        confidence=body.confidence,
        seconds=seconds if body.seconds is None else body.seconds,
    )
    session.add(verdict)
    session.flush()
    return verdict


@router.get("/films/{film_id}/reference", summary="The reference standard")
def reference(film_id: FilmId, visitor: _Reader, service: Served) -> ReferencesAnswer:
    """Give what the reference standard says of a film; who reads it blind sees what is his own."""
    with service.store.read() as session:
        return _references(session, find_film(session, film_id), visitor)


@router.put("/films/{film_id}/reference", summary="Enter the reference standard")
def set_reference(
    film_id: FilmId, body: NewReference, visitor: _Reviewer, service: Served
) -> ReferencesAnswer:
    """Enter, change or (with null) take back what the reference standard says."""
    with service.store.write() as session:
        film = find_film(session, film_id)
        mine = Reference.film_id == film_id, Reference.finding == body.finding
        session.execute(delete(Reference).where(*mine))
        if body.value is not None:
            session.add(
                Reference(
                    film_id=film_id,
                    finding=body.finding,
                    value=body.value,
                    standard=body.standard,
                    person_id=visitor.person_id,
                )
            )
        service.log.add(
            session,
            visitor.name,
            "reference",
            film_id=film_id,
            study_id=film.study_id,
            finding=body.finding,
            value=body.value,
            standard=body.standard,
        )
        return _references(session, film, visitor)


def show_verdict(session: Session, verdict: Verdict) -> VerdictAnswer:
    """Return a verdict as the API says it."""
    return VerdictAnswer(
        verdict_id=verdict.id,
        film_id=verdict.film_id,
        reading_id=verdict.reading_id,
        by=session.get_one(Person, verdict.person_id).name,
        at=iso(verdict.at_ms),
        finding=verdict.finding,
        verdict=verdict.verdict,
        call={1: "present", 0: "absent", None: None}[verdict.call],
        text=verdict.text,
        corrected_label=verdict.corrected_label,
        marks=verdict.marks,
        blind=verdict.blind,
        list_id=verdict.list_id,
        confidence=verdict.confidence,
        seconds=verdict.seconds,
    )


def _said(session: Session, film: Film, body: NewVerdict, visitor: Visitor) -> tuple[str, bool]:
    """Return what a verdict says of the finding itself, and whether it was given unseen.

    Raises:
        Problem: the verdict does not fit the film or the list, or may not be given now.
    """
    listed = None if body.list_id is None else _list_of(session, film, body, visitor)
    if body.blind:
        _check_blind(session, film, body, visitor)
        return body.verdict, True
    blind.check(session, visitor, film)
    compared = body.verdict in ("agree", "disagree")
    word = _of_the_answer(session, film, body) if compared else body.verdict
    # of a film that was refused there was no answer to see
    unseen = listed is not None and listed.blind and not blind.has_seen(session, visitor, film.id)
    return word, unseen


def _list_of(session: Session, film: Film, body: NewVerdict, visitor: Visitor) -> ReadingList:
    """Return the reading list of a verdict.

    Raises:
        Problem: it asks for no such verdict, or not any more.
    """
    listed = session.get(ReadingList, body.list_id)
    readers = lists.readers_of(session, listed.id) if listed is not None else []
    if listed is None or visitor.person_id not in readers:
        raise not_found("reading list of yours")
    if session.get(ListedFilm, (listed.id, film.id)) is None:
        raise Problem(422, "invalid", "this film is not in the reading list")
    _check_open(listed)
    if body.finding not in listed.findings:
        asked = ", ".join(listed.findings)
        raise Problem(422, "invalid", f"the list does not ask for '{body.finding}'", hint=asked)
    if listed.confidence and body.confidence is None:
        raise Problem(
            422,
            "invalid",
            "the list asks how sure you are",
            hint="confidence: 0 surely absent, 100 surely present",
        )
    return listed


def _check_open(listed: ReadingList) -> None:
    if not lists.is_open(listed):
        raise Problem(
            409,
            "list-closed",
            f"the reading list '{listed.name}' has ended",
            hint="give a verdict without a list, or ask an administrator to open it again",
        )


def _check_sure(body: NewVerdict, word: str) -> None:
    sure = body.confidence
    if sure is not None and ((word == "present" and sure < 50) or (word == "absent" and sure > 50)):
        raise Problem(
            422,
            "invalid",
            f"confidence: {sure} contradicts the verdict '{word}'",
            hint="0 surely absent, 100 surely present: absent goes up to 50, present begins at 50",
        )


def _of_the_answer(session: Session, film: Film, body: NewVerdict) -> str:
    """Say what agreeing, or not, with the model's answer says of the finding."""
    read = session.get(Read, film.reading_id) if film.reading_id else None
    if read is None or film.status != "read":
        raise Problem(409, "not-read", "there is no machine's answer to agree with")
    answers = {each["label"]: answer_in(each) for each in read.reading["findings"]}
    if body.finding not in answers:
        raise Problem(
            422,
            "invalid",
            f"the bundle does not answer '{body.finding}'",
            hint=f"one of {', '.join(answers)}; or say 'present' or 'absent'",
        )
    if (answer := answers[body.finding]) is Answer.CANNOT_SAY:
        raise Problem(
            422,
            "invalid",
            "the model cannot say: there is nothing to agree with",
            hint="say 'present', 'absent' or 'unsure'",
        )
    return "present" if (answer is Answer.PRESENT) == (body.verdict == "agree") else "absent"


def _check_blind(session: Session, film: Film, body: NewVerdict, visitor: Visitor) -> None:
    if body.verdict in ("agree", "disagree"):
        raise Problem(
            422,
            "invalid",
            "a blind verdict agrees with nobody",
            hint="say 'present', 'absent' or 'unsure'",
        )
    if body.list_id is None and not visitor.blind and not blind.is_pending(session, visitor, film):
        raise Problem(
            409,
            "conflict",
            "a blind verdict is given while one reads blind",
            hint="PUT /api/v1/me/blind with on = true, or leave 'blind' out",
        )
    if blind.has_seen(session, visitor, film.id):
        raise Problem(
            409,
            "already-seen",
            "you have seen the machine's answer",
            hint="give your verdict once more, as one after the answer: without 'blind'",
        )


def _references(session: Session, film: Film, visitor: Visitor) -> ReferencesAnswer:
    session.flush()
    query = select(Reference, Person.name).join(Person, Person.id == Reference.person_id)
    query = query.where(Reference.film_id == film.id).order_by(Reference.finding)
    query = query.where(lists.visible(Reference, session, visitor.person_id))
    if blind.is_pending(session, visitor, film):
        query = query.where(Reference.person_id == visitor.person_id)
    rows = session.execute(query)
    items = [
        ReferenceAnswer(
            finding=row[0].finding,
            value=row[0].value,
            standard=row[0].standard,
            by=row[1],
            at=iso(row[0].at_ms),
        )
        for row in rows
    ]
    return ReferencesAnswer(items=items)
