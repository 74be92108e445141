"""Export: what a workstation keeps of its films as one flat table; ``hilum.core.row`` names it."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from sqlalchemy import ColumnElement, select
from sqlalchemy.orm import Session, defer

from hilum.apps.store import lists
from hilum.apps.store.log import Log
from hilum.apps.store.marks import STAY, Spacing, measure, unique
from hilum.apps.store.store import parts
from hilum.apps.store.tables import (
    Film,
    Model,
    Person,
    Read,
    ReadingList,
    Reference,
    Study,
    Verdict,
    iso,
)
from hilum.core.labels import Label
from hilum.core.row import EXPORT, Column, columns, row_of


def columns_of(session: Session) -> dict[str, Column]:
    """Return the columns for all findings that a model or a person has spoken of here."""
    spoken = {
        *session.scalars(select(Verdict.finding).distinct()),
        *session.scalars(select(Reference.finding).distinct()),
    }
    for manifest in session.scalars(select(Model.manifest)):
        spoken.update(each["label"] for each in manifest.get("labels", []))
    return columns(EXPORT, [each.value for each in Label if each in spoken])


def rows(
    session: Session,
    log: Log,
    film_ids: Sequence[str],
    spacing_of: Callable[[str], Spacing | None],
    *,
    named: bool = False,
    person_id: str | None = None,
) -> Iterator[dict[str, Any]]:
    """Yield the rows of films: one for each reader of a film, and for each list apart.

    What the machine says is of the reading that stood beside a reader's last verdict; marks are
    those that went along with verdicts of the row: no desk is looked at, where work lies that
    nobody has given yet.

    Args:
        session: of ``Store.read``.
        log: whose key makes pseudonyms.
        film_ids: of which films, in this order.
        spacing_of: says how large the pixels of a film are, as reports of it are measured.
        named: patients by their ids and films by their names, which often name a patient; else
            pseudonyms, and no address.
        person_id: for whom: what others say in open lists of that person, and of films in them
            the reference standard, is left out; None: for who has the whole store.
    """
    people = dict(_pairs(session, Person.id, Person.name))
    in_list = dict(_pairs(session, ReadingList.id, ReadingList.name))
    may: list[ColumnElement[bool]] = []
    may_know: list[ColumnElement[bool]] = []
    if person_id is not None:
        may.append(lists.visible(Verdict, session, person_id))
        may_know.append(lists.visible(Reference, session, person_id))
    for part in parts(list(film_ids)):
        films = {
            row[0].id: (row[0], row[1], row[2])
            for row in session.execute(
                select(Film, Study, Read)
                .options(defer(Read.evidence, raiseload=True))
                .join(Study, Study.id == Film.study_id)
                .outerjoin(Read, Read.id == Film.reading_id)
                .where(Film.id.in_(part))
            )
        }
        said: defaultdict[str, dict[tuple[str, str], dict[str, Any]]] = defaultdict(dict)
        beside: dict[tuple[str, tuple[str, str]], str | None] = {}
        drawn: defaultdict[Any, dict[tuple[str, bool | None], list[Any]]] = defaultdict(dict)
        given = select(Verdict).where(Verdict.film_id.in_(part), *may)
        for each in session.scalars(given.order_by(Verdict.at_ms, Verdict.id)):
            whose = each.person_id, each.list_id or ""
            said[each.film_id].setdefault(whose, {}).update(_said(each))
            beside[each.film_id, whose] = each.reading_id
            went = [mark for mark in each.marks if mark["kind"] not in STAY]
            stay = [mark for mark in each.marks if mark["kind"] in STAY]
            # what stays on the desk went along with the blind verdict, and may be moved by now
            mine = drawn[each.film_id, whose]
            mine[each.finding, None], mine[each.finding, each.blind] = stay, went
        known: defaultdict[str, dict[str, Any]] = defaultdict(dict)
        truths = select(Reference).where(Reference.film_id.in_(part), *may_know)
        for truth in session.scalars(truths):
            known[truth.film_id] |= {
                f"{truth.finding}_reference": bool(truth.value),
                f"{truth.finding}_reference_standard": truth.standard,
            }
        for film_id in part:
            if film_id not in films:
                continue
            film, study, read = films[film_id]
            row = {} if read is None else row_of(read.reading)
            kept = _kept(film, study, log, named=named) | known[film_id]
            row |= kept
            for whose, verdicts in said[film_id].items():
                marks = unique(mark for some in drawn[film_id, whose].values() for mark in some)
                measured = any(measure(each, None) for each in marks)
                reader = {
                    "reader": people[whose[0]],
                    "list": in_list.get(whose[1]),
                    "marks": _drawn(marks, spacing_of(film_id) if measured else None),
                }
                then = beside.get((film_id, whose))
                if read is not None and then not in (None, read.id):
                    told = session.scalar(select(Read.reading).where(Read.id == then))
                    yield row_of(told or read.reading) | kept | reader | verdicts
                else:
                    yield row | reader | verdicts
            if not said[film_id]:
                yield row


def _drawn(marks: list[dict[str, Any]], spacing: Spacing | None) -> str | None:
    """Return marks as JSON, measured."""
    if not marks:
        return None
    told = []
    for each in marks:
        found = measure(each, spacing)
        if found is not None:
            unit = ("px" if spacing is None else "mm") + ("2" if found[1] == 2 else "")
            at = " at the detector" if spacing is not None and spacing.at_detector else ""
            each = each | {"measured": round(found[0], 3), "unit": unit + at}
        told.append(each)
    return json.dumps(told, ensure_ascii=False)


def _pairs(session: Session, key: Any, value: Any) -> list[tuple[str, str]]:
    return [(row[0], row[1]) for row in session.execute(select(key, value))]


def _kept(film: Film, study: Study, log: Log, *, named: bool) -> dict[str, Any]:
    patient = study.patient_id
    if patient is not None and not named:
        patient = log.pseudonym(patient)
    return {
        "film_id": film.id,
        "study_id": study.id,
        "sha256": film.sha256,
        "address": film.name if named else None,
        "patient": patient,
        "sex": study.sex,
        "age_years": study.age_years,
        "study_date": study.study_date,
        "view": film.view,
        "received_at": iso(film.created_ms),
        "read_at": iso(film.read_ms),
        "status": film.status,
        "format": film.format,
    }


def _said(verdict: Verdict) -> dict[str, Any]:
    """Return the cells of a verdict; a later one of the same kind takes their place."""
    finding = verdict.finding + ("_blind" if verdict.blind else "")
    return {
        f"{finding}_verdict": verdict.verdict,
        f"{finding}_confidence": verdict.confidence,
        f"{finding}_seconds": verdict.seconds,
        f"{finding}_at": iso(verdict.at_ms),
    }
