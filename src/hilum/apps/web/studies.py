"""Studies: the worklist, reading it through, one study with its past, and its deletion."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from dataclasses import replace
from typing import Annotated

from fastapi import APIRouter, BackgroundTasks, Query, Request
from sqlalchemy import select
from sqlalchemy.orm import Session

from hilum.apps.store import deletion, lists
from hilum.apps.store.people import Role
from hilum.apps.store.tables import Film, Report, Round, Study, Verdict, iso, now_ms
from hilum.apps.store.worklist import Asked, beside, page, prior
from hilum.apps.web import blind, named
from hilum.apps.web.access import Visitor, needs
from hilum.apps.web.answers.worklist import (
    Counts,
    Patient,
    RoundAnswer,
    StudiesAnswer,
    StudyAnswer,
    StudyItem,
)
from hilum.apps.web.days import day_ms, zone_of
from hilum.apps.web.films import find_film, pictures_of, show_film
from hilum.apps.web.named import Named, names_of
from hilum.apps.web.problems import Problem, not_found
from hilum.apps.web.reports import show_report
from hilum.apps.web.schemas import API, RoundPlace, StudyFilter, StudyId, StudyQuery
from hilum.apps.web.service import Served, Service
from hilum.apps.web.verdicts import show_verdict

router = APIRouter(prefix=API, tags=["studies"])
_Reader = Annotated[Visitor, needs(Role.READER)]
_Administrator = Annotated[Visitor, needs(Role.ADMINISTRATOR)]


@router.get("/studies", summary="The worklist")
def studies(
    asked: Annotated[StudyQuery, Query()],
    visitor: _Reader,
    service: Served,
    afterwards: BackgroundTasks,
) -> StudiesAnswer:
    """Give a page of studies; ``next`` is the cursor of the page after it."""
    return _page(asked, visitor, service, afterwards)


@router.post("/studies/search", summary="The worklist, asked for in a body")
def search(
    asked: StudyQuery, visitor: _Reader, service: Served, afterwards: BackgroundTasks
) -> StudiesAnswer:
    """Give what ``GET /studies`` gives: a patient's id that is searched for is in no address."""
    return _page(asked, visitor, service, afterwards)


def _page(
    query: StudyQuery, visitor: Visitor, service: Service, afterwards: BackgroundTasks
) -> StudiesAnswer:
    with service.store.read() as session:
        hidden = _hides(session, query, visitor)
        asked = asked_by(query, service, session, visitor, hidden=hidden)
        asked = replace(asked, limit=query.limit, cursor=query.cursor or None)
        found = page(session, asked)
        items = show_studies(service, session, found.items, visitor)
    afterwards.add_task(blind.show_list, service, visitor, _answered(items))
    counts = Counts(**found.counts)
    return StudiesAnswer(items=items, total=found.total, next=found.next, counts=counts)


def _hides(session: Session, query: StudyFilter, visitor: Visitor) -> bool:
    """Say whether a list must not be sorted as asked, because that would tell an answer.

    Raises:
        Problem: the filter itself would.
    """
    hidden = _tells(query) and blind.hides(session, visitor)
    if hidden and query.label is not None:
        raise Problem(
            409,
            "blind-read-pending",
            "this filter would tell the machine's answer",
            hint="finish your blind reading, or leave the filter out",
        )
    return hidden


def _tells(query: StudyFilter) -> bool:
    return query.label is not None or query.sort == "priority"


def asked_by(
    query: StudyFilter,
    service: Service,
    session: Session,
    visitor: Visitor,
    *,
    hidden: bool = False,
) -> Asked:
    """Return what a filter of the worklist asks for; ``hidden``: not sorted by an answer."""
    zone = zone_of(query.zone, service.settings.zone)
    untold = visitor.blind or lists.open_of(session, visitor.person_id)
    return Asked(
        statuses=tuple(dict.fromkeys(query.status)),
        text=query.q or "",
        unnamed=blind.unnamed_studies(session, visitor) if untold else None,
        label=query.label,
        refusal=query.refusal,
        reviewed=query.reviewed,
        from_ms=day_ms(query.from_, zone),
        to_ms=day_ms(query.to, zone, days=1),
        by_priority=query.sort == "priority" and not hidden,
        reader=visitor.person_id,
    )


@router.put("/round", summary="Begin to read films through")
def begin_round(body: StudyFilter, visitor: _Reader, service: Served) -> RoundAnswer:
    """Begin with the films that a filter lets through now, in place of the round before."""
    with service.store.write() as session:
        _hides(session, body, visitor)
        kept = session.get(Round, visitor.person_id)
        if kept is None:
            session.add(kept := Round(person_id=visitor.person_id, query={}))
        kept.query = body.model_dump(mode="json", by_alias=True, exclude_defaults=True)
        kept.began_ms, kept.film_id = now_ms(), None
    return _show_round(visitor, service)


@router.get("/round", summary="Where I am in reading films through")
def round_of(visitor: _Reader, service: Served) -> RoundAnswer:
    """Give the place of the film that was opened last; without a round that of all films."""
    return _show_round(visitor, service)


@router.put("/round/place", summary="Come to a film of the round")
def come_to(body: RoundPlace, visitor: _Reader, service: Served) -> RoundAnswer:
    """Remember the film, and give its place, and what comes before and after it."""
    with service.store.write() as session:
        find_film(session, body.film_id)
        kept = session.get(Round, visitor.person_id)
        if kept is None:
            session.add(kept := Round(person_id=visitor.person_id, query={}))
        kept.film_id = body.film_id
    return _show_round(visitor, service)


def _show_round(visitor: Visitor, service: Service) -> RoundAnswer:
    with service.store.read() as session:
        kept = session.get(Round, visitor.person_id) or Round(query={}, began_ms=now_ms())
        query = StudyFilter.model_validate(kept.query)
        # whoever chose it did not read blind yet
        if hidden := _tells(query) and blind.hides(session, visitor):
            query = query.model_copy(update={"label": None})
        asked = replace(
            asked_by(query, service, session, visitor, hidden=hidden), began_ms=kept.began_ms
        )
        film = session.get(Film, kept.film_id) if kept.film_id else None
        found = beside(session, asked, session.get(Study, film.study_id) if film else None)
        around = [found.before, found.after, found.unjudged]
        several = [each for each in around if each and each.films > 1]
        first = _kept_of(session, several, visitor)[2] if several else {}
        opened = {each.id: each.film_id for each in around if each}
        opened |= {study_id: each.id for study_id, each in first.items()}
        before, after, unjudged = (opened[each.id] if each else None for each in around)

    return RoundAnswer(
        query=query,
        began_at=iso(kept.began_ms),
        film_id=film.id if film else None,
        place=found.place,
        total=found.total,
        judged=found.judged,
        before=before,
        after=after,
        unjudged=unjudged,
    )


@router.get("/studies/{study_id}", summary="One study")
def study(study_id: StudyId, visitor: _Reader, service: Served) -> StudyAnswer:
    """Give a study with its films, earlier studies of the patient, verdicts and reports."""
    with service.store.read() as session:
        found = session.get(Study, study_id)
        if found is None:
            raise not_found("study")
        films = list(
            session.scalars(
                select(Film).where(Film.study_id == study_id).order_by(Film.created_ms, Film.id)
            )
        )
        ids = [each.id for each in films]
        sight = blind.sight_of(session, visitor, ids)
        open_ids = [each for each in ids if each not in sight.owed]
        verdicts = session.scalars(
            select(Verdict)
            .where(Verdict.film_id.in_(open_ids))
            .where(lists.visible(Verdict, session, visitor.person_id))
            .order_by(Verdict.at_ms.desc())
        )
        reports = session.scalars(
            select(Report)
            .where(Report.film_id.in_(open_ids))
            .where(lists.visible(Report, session, visitor.person_id))
            .order_by(Report.at_ms.desc())
        )
        shown = show_studies(service, session, [found, *prior(session, found)], visitor)
        if sight.unnamed:  # another film of the patient would tell of this one
            shown = [each.model_copy(update={"name": None}) for each in shown]
        said = StudyAnswer(
            **dict(shown[0])
            | {
                "films": [show_film(each, sight) for each in films],
                "prior": shown[1:],
                "verdicts": [show_verdict(session, each) for each in verdicts],
                "reports": [show_report(session, each) for each in reports],
            }
        )
    blind.show(service, visitor, [*open_ids, *_answered(shown)])
    return said


@router.delete("/studies/{study_id}", status_code=204, summary="Delete a study")
def delete_study(
    study_id: StudyId, request: Request, visitor: _Administrator, service: Served
) -> None:
    """Delete films, readings, verdicts and reports of a study, into the trash if there is one."""
    store, folder, log = service.store, service.folder, service.log
    kept = service.settings.retention.trash_days > 0
    if not deletion.delete_study(store, folder, log, study_id, visitor.name, restorable=kept):
        raise not_found("study")
    pictures_of(request).forget()
    named.forget()


def show_studies(
    service: Service, session: Session, studies: list[Study], visitor: Visitor
) -> list[StudyItem]:
    """Return studies as the API says them; what a blind reader should not know is left out."""
    owed, kept, first = _kept_of(session, studies, visitor)
    those = Film.study_id.in_([each.id for each in studies])
    unnamed = set(session.scalars(blind.unnamed_studies(session, visitor).where(those)))
    names = names_of(service, session, visitor, [each.id for each in studies])
    own = {kind: _own(session, kind, visitor, unnamed) for kind in (Verdict, Report)}
    shown = []
    for study in studies:
        shut, pending = study.id in kept, study.film_id in owed
        item = _show(study, shut, pending, first.get(study.id), names.get(study.id, Named()))
        if study.id in unnamed:  # how many others have judged it is not told either
            verdicts, reports = (own[kind][study.id] for kind in (Verdict, Report))
            told = {"verdicts": verdicts, "reviewed": verdicts > 0, "reports": reports}
            item = item.model_copy(update={"name": None, **told})
        shown.append(item)
    return shown


def _kept_of(
    session: Session, studies: list[Study], visitor: Visitor
) -> tuple[Collection[str], set[str], dict[str, Film]]:
    """Return films whose answer is owed, studies of which none is told, and the film to open these.

    The one that is opened else is the most suspicious one of several.
    """
    films = _films_of(session, [each.id for each in studies if each.films > 1])
    ids = [each.film_id for each in studies if each.film_id]
    owed = blind.sight_of(session, visitor, [*ids, *films]).owed
    kept = {each.id for each in studies if visitor.blind or each.film_id in owed}
    kept |= {films[each].study_id for each in owed if each in films}
    oldest = {each.study_id: each for each in reversed(films.values()) if each.study_id in kept}
    return owed, kept, oldest


def _own(
    session: Session, kind: type[Verdict | Report], visitor: Visitor, study_ids: Collection[str]
) -> Counter[str]:
    """Count of studies what this person said of them."""
    if not study_ids:
        return Counter()
    # by film: SQLite would look through everything that this person has ever said
    query = select(Film.study_id, kind.person_id).join(kind, kind.film_id == Film.id)
    found = session.execute(query.where(Film.study_id.in_(study_ids)))
    return Counter(row[0] for row in found if row[1] == visitor.person_id)


def _films_of(session: Session, study_ids: list[str]) -> dict[str, Film]:
    """Return the films of studies, the oldest first."""
    if not study_ids:
        return {}
    query = select(Film).where(Film.study_id.in_(study_ids)).order_by(Film.created_ms, Film.id)
    return {each.id: each for each in session.scalars(query)}


def _answered(items: list[StudyItem]) -> list[str]:
    """Return the films whose answers stand in studies as the API says them."""
    return [each.film_id for each in items if each.findings]


def _show(study: Study, kept: bool, pending: bool, first: Film | None, whose: Named) -> StudyItem:
    """Return a study; ``kept``: no answer of its films, given or owed, is told in a list."""
    shown = first or study
    return StudyItem(
        study_id=study.id,
        status=study.status,
        created_at=iso(study.created_ms),
        read_at=iso(study.read_ms),
        study_date=study.study_date,
        name=shown.name,
        view=shown.view,
        films=study.films,
        film_id=first.id if first else study.film_id,
        patient=Patient(
            id=study.patient_id, sex=study.sex, age_years=study.age_years, name=whose.name
        ),
        accession=whose.accession,
        findings=[] if kept else study.findings,
        refusal=study.refusal,
        priority=None if kept or study.priority < 0 else study.priority,
        reviewed=study.verdicts > 0,
        verdicts=study.verdicts,
        reports=study.reports,
        blind_pending=pending,
    )
