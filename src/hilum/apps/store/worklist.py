"""The worklist: a page of studies by filters, newest or most urgent first.

Pages go on after the last row of the one before (a cursor), so that page 2,000 of 100,000 studies
costs what page 1 costs, and a study that arrives meanwhile moves nothing.
"""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from sqlalchemy import ColumnElement, Select, and_, case, func, or_, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from hilum.apps.store.tables import ID_LENGTH, Film, Study, Verdict
from hilum.core.errors import ConfigError

T = TypeVar("T")
STATUSES = ("queued", "reading", "read", "refused", "error")


@dataclass(frozen=True, slots=True)
class Asked:
    """What a page of the worklist should hold.

    Attributes:
        statuses: any of ``STATUSES``; none for all.
        text: part of a patient id or a file name, or a study's id.
        unnamed: studies that a search must not find by a film's name, and that count as reviewed
            by the reader's own verdicts alone; None where there are none.
        label: a finding that is present.
        refusal: a code of ``hilum.core.refusal.Reason``.
        reviewed: True with a verdict, False without.
        from_ms, to_ms: time of arrival, the end excluded.
        by_priority: else newest first.
        reader: who asks.
        began_ms: since when that person reads these films through: what that person has given a
            verdict of meanwhile still counts as not reviewed.
    """

    statuses: tuple[str, ...] = ()
    text: str = ""
    unnamed: Select[str] | None = None
    label: str | None = None
    refusal: str | None = None
    reviewed: bool | None = None
    from_ms: int | None = None
    to_ms: int | None = None
    by_priority: bool = False
    limit: int = 50
    cursor: str | None = None
    reader: str | None = None
    began_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """Studies; ``counts`` by status without the filter of status; ``next`` the cursor after it."""

    items: list[Study]
    total: int
    next: str | None
    counts: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Standing(Generic[T]):
    """Where a study, or a film of a list, stands among others, and what stands beside it.

    Attributes:
        place: from 1; None for what is not among them.
        total: how many they are; ``judged`` those that the reader is done with.
        before, after: the next ones of either side; ``unjudged`` the first one not judged yet.
    """

    place: int | None
    total: int
    judged: int
    before: T | None
    after: T | None
    unjudged: T | None


def page(session: Session, asked: Asked) -> Page:
    """Return one page.

    Raises:
        ConfigError: a cursor that this call did not give.
    """
    filters = _filters(asked)
    each = (func.count(case((Study.status == status, 1))) for status in STATUSES)
    counts = dict(zip(STATUSES, session.execute(select(*each).where(*filters)).one(), strict=True))
    chosen = asked.statuses or STATUSES
    if asked.statuses:
        filters.append(Study.status.in_(asked.statuses))
    order = _order(asked)
    if asked.cursor:
        filters.append(_beyond(order, _decoded(asked.cursor, len(order))))
    query = select(Study.id).where(*filters).order_by(*(column.desc() for column in order))
    ids = list(session.scalars(query.limit(asked.limit + 1)))  # from the index alone
    rows = {each.id: each for each in session.scalars(select(Study).where(Study.id.in_(ids)))}
    found = [rows[each] for each in ids]
    items = found[: asked.limit]
    more = _encoded(items[-1], asked) if len(found) > asked.limit else None
    return Page(items, sum(counts[status] for status in chosen), more, counts)


def beside(session: Session, asked: Asked, here: Study | None) -> Standing[Study]:
    """Return the place of a study, whether the filter lets it through or not.

    Args:
        session: of the store.
        asked: the filter with its reader; its page and cursor count for nothing.
        here: the study; None for the place before the first one.
    """
    every, near, order = _chosen(asked), _chosen(asked, near=True), _order(asked)
    mine = Study.id.in_(_judged_by(asked.reader))
    down, up = [column.desc() for column in order], [column.asc() for column in order]
    first = select(Study).where(*near).limit(1)
    own = _chosen(asked, near=True, own=True)
    judged = session.scalar(select(func.count()).select_from(Study).where(*own, mine)) or 0
    unjudged = session.scalar(first.where(~mine).order_by(*down))
    if here is None:
        total = session.scalar(select(func.count()).select_from(Study).where(*every)) or 0
        return Standing(None, total, judged, None, session.scalar(first.order_by(*down)), unjudged)
    at: list[float | str] = [getattr(here, column.key) for column in order]
    ahead = _beyond(order, at, back=True)
    counts = (
        func.count(),
        func.count(case((ahead, 1))),
        func.count(case((Study.id == here.id, 1))),
    )
    total, earlier, found = session.execute(select(*counts).where(*every)).one()
    return Standing(
        place=earlier + 1 if found else None,
        total=total,
        judged=judged,
        before=session.scalar(first.where(ahead).order_by(*up)),
        after=session.scalar(first.where(_beyond(order, at)).order_by(*down)),
        unjudged=unjudged,
    )


def prior(session: Session, study: Study, limit: int = 50) -> list[Study]:
    """Return other studies of the same patient, newest first."""
    if not study.patient_id:
        return []
    query = select(Study).where(Study.patient_id == study.patient_id, Study.id != study.id)
    newest = func.coalesce(Study.study_date, "").desc(), Study.created_ms.desc()
    return list(session.scalars(query.order_by(*newest).limit(limit)))


def film_ids(session: Session, asked: Asked, most: int | None = None) -> list[str]:
    """Return films of the studies that a filter lets through, oldest first, at most ``most``."""
    query = select(Film.id).join(Study, Study.id == Film.study_id).where(*_chosen(asked))
    query = query.order_by(Study.created_ms, Study.id, Film.created_ms, Film.id)
    return list(session.scalars(query.limit(most)))


def _order(asked: Asked) -> list[InstrumentedAttribute[Any]]:
    """Return by what studies are sorted, the largest first."""
    order: list[InstrumentedAttribute[Any]] = [Study.created_ms, Study.id]
    return [Study.priority, *order] if asked.by_priority else order


def _judged_by(reader: str | None, since_ms: int = 0) -> Select[str]:
    """Return the query for the studies of which a person has given a verdict."""
    query = select(Film.study_id).join(Verdict, Verdict.film_id == Film.id)
    return query.where(Verdict.person_id == reader, Verdict.at_ms >= since_ms)


def _chosen(asked: Asked, *, near: bool = False, own: bool = False) -> list[ColumnElement[bool]]:
    """Return all filters, that of status among them; the rest as ``_filters`` has it."""
    filters = _filters(asked, near=near, own=own)
    return [Study.status.in_(asked.statuses), *filters] if asked.statuses else filters


def _filters(asked: Asked, *, near: bool = False, own: bool = False) -> list[ColumnElement[bool]]:
    """Return the filters but that of status.

    Args:
        asked: what a page should hold.
        near: few studies are looked at, so that what is not told is asked of each; else it is
            looked up once for all of them.
        own: the reader has judged all that are looked at: of these, that they are is told.
    """
    filters: list[ColumnElement[bool]] = []
    untold: ColumnElement[bool] | None = None
    if asked.unnamed is not None:
        untold = _is_among(asked.unnamed, near=near)
    if text := asked.text.strip():
        part = (
            "%" + text.lower().replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") + "%"
        )
        found: ColumnElement[bool] = Study.search.like(part, escape="\\")
        if untold is not None:
            # the id as the search has it: SQLite's own lower() knows no letters beyond ASCII
            end = func.length(func.coalesce(Study.patient_id, ""))
            of_patient = func.substr(Study.search, 1, end).like(part, escape="\\")
            found = and_(found, or_(of_patient, ~untold))
        named: list[ColumnElement[bool]] = [found]
        if len(text) == ID_LENGTH:
            named.append(Study.id == text)
        filters.append(or_(*named))
    if asked.label:
        filters.append(Study.labels.like(f"%,{asked.label},%"))
    if asked.refusal:
        filters.append(Study.refusal == asked.refusal)
    if asked.began_ms is not None:
        filters.append(Study.created_ms <= asked.began_ms)
    if asked.from_ms is not None:
        filters.append(Study.created_ms >= asked.from_ms)
    if asked.to_ms is not None:
        filters.append(Study.created_ms < asked.to_ms)
    if asked.reviewed is not None:
        judged, without = Study.verdicts > 0, Study.verdicts == 0
        if asked.began_ms is not None:
            without |= Study.id.in_(_judged_by(asked.reader, asked.began_ms))
        if asked.unnamed is not None and not own:  # that others have judged it is not told either
            others = asked.unnamed.where(Film.study_id.not_in(_judged_by(asked.reader)))
            hushed = _is_among(others, near=near)
            judged, without = judged & ~hushed, without | hushed
        filters.append(judged if asked.reviewed else without)
    return filters


def _is_among(study_ids: Select[str], *, near: bool) -> ColumnElement[bool]:
    """Return the condition for studies that a query for ``Film.study_id`` finds."""
    if near:
        return study_ids.where(Film.study_id == Study.id).correlate(Study).exists()
    return Study.id.in_(study_ids)


def _beyond(
    order: list[InstrumentedAttribute[Any]], values: list[float | str], *, back: bool = False
) -> ColumnElement[bool]:
    """Return (a, b, c) < values, written out so that SQLite, too, walks the index; back: >."""
    first, value = order[0], values[0]
    past = first > value if back else first < value
    if len(order) == 1:
        return past
    along = first >= value if back else first <= value
    return and_(along, or_(past, _beyond(order[1:], values[1:], back=back)))


def _encoded(study: Study, asked: Asked) -> str:
    values: list[float | str] = [study.created_ms, study.id]
    if asked.by_priority:
        values.insert(0, study.priority)
    return base64.urlsafe_b64encode(json.dumps(values).encode()).decode().rstrip("=")


def _decoded(cursor: str, length: int) -> list[float | str]:
    try:
        values = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except ValueError:
        values = None
    if (
        not isinstance(values, list)
        or len(values) != length
        or not isinstance(values[-1], str)
        or len(values[-1]) != ID_LENGTH
        or not values[-1].isalnum()
        or not all(isinstance(each, (int, float)) and abs(each) < 2**53 for each in values[:-1])
    ):
        raise ConfigError(
            "this cursor belongs to no page of this worklist",
            hint="take 'next' of the page before, with the same 'sort'",
        )
    return values
