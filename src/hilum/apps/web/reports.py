"""Reports: prefilled, edited by a person, kept version by version, given as one page."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Request, Response
from sqlalchemy import select
from sqlalchemy.orm import Session

from hilum.apps.store import events, lists
from hilum.apps.store.marks import lines, marks_of
from hilum.apps.store.people import Role
from hilum.apps.store.tables import Film, Line, Model, Person, Read, Report, Study, iso
from hilum.apps.store.worklist import prior
from hilum.apps.web import blind
from hilum.apps.web.access import Visitor, needs
from hilum.apps.web.answers.verdicts import ReportAnswer, ReportDraft, ReportsAnswer
from hilum.apps.web.draft import draft
from hilum.apps.web.evidence import kinds_of
from hilum.apps.web.films import find_open, pictures_of, spacing_of
from hilum.apps.web.named import Named, names_of
from hilum.apps.web.problems import Problem, not_found
from hilum.apps.web.readings import restate
from hilum.apps.web.schemas import API, AnyId, Choice, FilmId, Prevalence, ReportText, gives
from hilum.apps.web.service import Served
from hilum.apps.web.sheet import Sheet, SheetPicture, drawn, picture
from hilum.core.reading import Reading
from hilum.core.words import Language, words
from hilum.serve.marks import Layer
from hilum.serve.marks import marks_of as marks_of_model

router = APIRouter(prefix=API, tags=["reports"])
SIDE = 800
_OPACITIES = (Layer.GROUND_GLASS, Layer.CONSOLIDATION)
PAGE_CSP = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'; sandbox"
)
"""A report's page is one file with its style and pictures inside; it may run nothing."""
_Reader = Annotated[Visitor, needs(Role.READER)]
_Reviewer = Annotated[Visitor, needs(Role.REVIEWER)]


@router.get("/films/{film_id}/reports/draft", summary="A prefilled report")
def report_draft(
    film_id: FilmId,
    visitor: _Reader,
    service: Served,
    language: Language = "en",
    prevalence: Prevalence = None,
    operating_point: Choice = None,
) -> ReportDraft:
    """Give the text that the reading suggests, at another prevalence where one is named."""
    with service.store.read() as session:
        film = find_open(session, film_id, visitor)
        read = session.get(Read, film.reading_id) if film.reading_id else None
        earlier, unopened, undated = _looked_at(session, film, read, visitor)
        model = None if read is None else session.get_one(Model, read.checksum)
    told = [then for _, then in earlier if then is not None]
    blind.show(service, visitor, [film_id, *(then.film_id for then in told)])
    said = None if read is None else read.reading
    if said is not None and model is not None and (prevalence, operating_point) != (None, None):
        said = restate(said, model.manifest, operating_point, prevalence)
    reading = None if said is None else Reading.model_validate(said)
    dated = [
        (day, None if then is None else Reading.model_validate(then.reading))
        for day, then in earlier
    ]
    return draft(reading, language, film.view, dated, unopened, undated)


@router.get("/films/{film_id}/reports", summary="Reports of a film")
def reports(film_id: FilmId, visitor: _Reader, service: Served) -> ReportsAnswer:
    """List all versions, newest first."""
    with service.store.read() as session:
        find_open(session, film_id, visitor)
        query = select(Report).where(Report.film_id == film_id).order_by(Report.version.desc())
        query = query.where(lists.visible(Report, session, visitor.person_id))
        items = [show_report(session, each) for each in session.scalars(query)]
    if items:
        blind.show(service, visitor, [film_id])
    return ReportsAnswer(items=items)


@router.post("/films/{film_id}/reports", status_code=201, summary="Write a report")
def write_report(
    film_id: FilmId, body: ReportText, request: Request, visitor: _Reviewer, service: Served
) -> ReportAnswer:
    """Keep a new version, with what its author has measured; those before it stay.

    A version that is signed after another one was is an amendment of it. Where a newer version than
    ``seen`` is there, nothing is kept (409): somebody would replace a report unseen.
    """
    spacing = spacing_of(pictures_of(request), service.store, film_id)
    with service.store.write() as session:
        film = find_open(session, film_id, visitor)
        marks, turned = marks_of(session, film, visitor.person_id)
        measured = "\n".join(lines(marks, spacing, body.language, turned))
        versions = session.scalars(
            select(Report).where(Report.film_id == film_id).order_by(Report.version)
        ).all()
        may = lists.visible(Report, session, visitor.person_id)
        newest = session.scalars(
            select(Report).where(Report.film_id == film_id, may).order_by(Report.version.desc())
        ).first()
        if newest is not None and body.seen is not None and newest.version > body.seen:
            by, version = session.get_one(Person, newest.person_id).name, newest.version
            raise Problem(
                409,
                "conflict",
                f"{by} has written version {version} of this report meanwhile",
                hint="look at it first; then yours is kept after it",
            )
        signed = [each.version for each in versions if state_of(each) != "draft"]
        more: dict[str, Any] = {"measurements": measured, "marks": marks, "state": "draft"}
        if body.sign:
            more |= {"state": "amended", "replaces": signed[-1]} if signed else {"state": "signed"}
        report = Report(
            film_id=film_id,
            reading_id=film.reading_id,
            version=versions[-1].version + 1 if versions else 1,
            person_id=visitor.person_id,
            body=body.model_dump(mode="json", exclude={"sign", "seen"}) | more,
        )
        session.add(report)
        session.flush()
        session.get_one(Study, film.study_id).reports += 1
        events.tell(session, "report", film_id, film.study_id, by=visitor.person_id)
        service.log.add(
            session,
            visitor.name,
            "report",
            film_id=film_id,
            study_id=film.study_id,
            report_id=report.id,
            version=report.version,
            state=more["state"],
        )
        return show_report(session, report)


@router.get(
    "/reports/{report_id}.pdf",
    summary="A report as PDF",
    response_class=Response,
    responses=gives("application/pdf", "one page"),
)
def report_pdf(report_id: AnyId, request: Request, visitor: _Reader, service: Served) -> Response:
    """Give a report to print, sign and file."""
    sheet = _sheet(request, service, report_id, visitor, "pdf")
    headers = {"Content-Disposition": f'inline; filename="report-{report_id}.pdf"'}
    return Response(sheet.pdf(), media_type="application/pdf", headers=headers)


@router.get(
    "/reports/{report_id}.html",
    summary="A report as a page",
    response_class=Response,
    responses=gives("text/html", "one file"),
)
def report_html(report_id: AnyId, request: Request, visitor: _Reader, service: Served) -> Response:
    """Give a report as one file for a browser."""
    sheet = _sheet(request, service, report_id, visitor, "html")
    headers = {"Content-Security-Policy": PAGE_CSP}
    return Response(sheet.html(), media_type="text/html; charset=utf-8", headers=headers)


def state_of(report: Report) -> str:
    """Return "draft", "signed" or "amended"; reports from before one could sign are drafts."""
    return str(report.body.get("state", "draft"))


def show_report(session: Session, report: Report) -> ReportAnswer:
    """Return a report as the API says it."""
    return ReportAnswer(
        report_id=report.id,
        film_id=report.film_id,
        reading_id=report.reading_id,
        version=report.version,
        by=session.get_one(Person, report.person_id).name,
        at=iso(report.at_ms),
        **report.body,
    )


def _sheet(request: Request, service: Served, report_id: str, visitor: Visitor, form: str) -> Sheet:
    """Gather what a report's page shows, and write down that it was taken out."""
    with service.store.read() as session:
        may = lists.visible(Report, session, visitor.person_id)
        report = session.scalar(select(Report).where(Report.id == report_id, may))
        if report is None:  # or one that others wrote in an open list of this visitor
            raise not_found("report")
        film = find_open(session, report.film_id, visitor)
        study = session.get_one(Study, film.study_id)
        read = session.get(Read, report.reading_id) if report.reading_id else None
        model = session.get(Model, read.checksum) if read is not None else None
        author = session.get_one(Person, report.person_id).name
        named = names_of(service, session, visitor, [study.id]).get(study.id, Named())
    blind.show(service, visitor, [film.id])
    with service.store.write() as session:
        service.log.add(
            session,
            visitor.name,
            "exported",
            film_id=film.id,
            study_id=study.id,
            what=f"report.{form}",
            report_id=report_id,
        )
    text, state = words("ru" if report.body["language"] == "ru" else "en"), state_of(report)
    zone = ZoneInfo(service.settings.zone)
    moment = f"{datetime.fromtimestamp(report.at_ms / 1000, zone):%Y-%m-%d %H:%M %Z}"
    holes = {"by": author, "at": moment, "version": report.version}
    by = text["report.by"].format(**holes)
    signed = text[f"sheet.{state}"].format(**holes, before=report.body.get("replaces"))
    bundle = text["report.unread"]
    if model is not None:
        bundle = text["report.model"].format(bundle=model.identity)
    marks = report.body.get("marks", [])
    shown: list[SheetPicture] = []
    if read is not None and "height" in read.reading["film"]:
        small = request.app.state.pictures.window(film.sha256, kinds_of(read), SIDE)
        shown.append(picture(small, film.format))
        found = marks_of_model(Reading.model_validate(read.reading).details)
        found = tuple(each for each in found if each.layer in _OPACITIES)
        if found or marks:
            said = [text["report.opacities"]] if found else []
            said += [text["report.marks"].format(by=author)] if marks else []
            scale = small.shape[1] / read.reading["film"]["width"]
            shown.append(picture(drawn(small, found, marks, scale), " ".join(said)))
    return Sheet(report.body, _patient(study, named), signed, by, bundle, tuple(shown))


def _looked_at(
    session: Session, film: Film, read: Read | None, visitor: Visitor
) -> tuple[list[tuple[str, Read | None]], list[str], bool]:
    """Return the dates of earlier films of the patient that this visitor opened, newest first.

    With their readings where the same model has read both, and they may be seen. Then the dates of
    earlier films where none was opened; and whether there are films that may be earlier, but of
    which, or of this film, the date is not known.
    """
    study = session.get_one(Study, film.study_id)
    others = prior(session, study)
    undated = any(not (study.study_date and each.study_date) for each in others)
    dates = {
        each.id: each.study_date
        for each in others
        if study.study_date and each.study_date and each.study_date < study.study_date
    }
    films = session.scalars(
        select(Film).where(Film.study_id.in_(dates)).order_by(Film.created_ms)
    ).all()
    mine = Line.film_id.in_([each.id for each in films]), Line.who == visitor.name
    opened = set(session.scalars(select(Line.film_id).where(*mine, Line.action == "viewed")))
    days = sorted({dates[each.study_id] for each in films}, reverse=True)
    films = [each for each in films if each.id in opened]
    owed = blind.sight_of(session, visitor, [each.id for each in films]).owed
    told: dict[str, Read | None] = dict.fromkeys(dates[each.study_id] for each in films)
    for each in films:
        then = session.get(Read, each.reading_id) if each.reading_id else None
        if read and then and then.checksum == read.checksum and each.id not in owed:
            told[dates[each.study_id]] = then
    return sorted(told.items(), reverse=True)[:3], [] if told else days[:3], undated


def _patient(study: Study, named: Named) -> str:
    age = str(int(study.age_years)) if study.age_years is not None else None
    known = (named.name, study.patient_id, study.sex, age, study.study_date, named.accession)
    return " · ".join(each for each in known if each)
