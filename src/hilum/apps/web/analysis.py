"""Analysis of a reading list: what its readers reach, without the machine and with it."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter, Response
from numpy.typing import NDArray
from sqlalchemy import select
from sqlalchemy.orm import Session

from hilum.apps.store import lists
from hilum.apps.store.lists import CALLS
from hilum.apps.store.people import Role
from hilum.apps.store.reviewed import films_with_reading
from hilum.apps.store.store import parts
from hilum.apps.store.tables import (
    Bygone,
    Film,
    ListedFilm,
    Person,
    Read,
    ReadingList,
    Reference,
    Study,
    Verdict,
)
from hilum.apps.web import blind
from hilum.apps.web.access import Visitor, needs
from hilum.apps.web.answers.lists import (
    AnalysisAnswer,
    ArmFigures,
    ArmName,
    ArmTogether,
    PooledFigures,
    ReaderFigures,
    ReaderPair,
    StudyReader,
)
from hilum.apps.web.lists import find_list
from hilum.apps.web.problems import Problem
from hilum.apps.web.schemas import API, AnyId, gives
from hilum.apps.web.service import Served
from hilum.core.estimate import Estimate
from hilum.core.labels import Label
from hilum.core.reading import answer_in
from hilum.core.row import inert
from hilum.judge.metrics import roc_curve
from hilum.judge.reader_study import difference, fleiss, kappa, reader_figures, together

router = APIRouter(prefix=API, tags=["lists"])
_Administrator = Annotated[Visitor, needs(Role.ADMINISTRATOR)]
FOLDS = 1000
MOST_PAIRS = 190
"""Pairs, of both arms, above which none has an interval: what a request can wait for."""
ARMS: tuple[ArmName, ...] = ("unaided", "aided")
MRMC = ("reader", "case", "modality", "rating", "truth", "call", "patient", "seconds")
_UNRATED = {"present": 100.0, "unsure": 50.0, "absent": 0.0}
"""The rating of a verdict without confidence."""
_Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Arm:
    """What every reader said in one arm of a study: without the machine, or with it.

    Attributes:
        calls: (R, N) 1 or 0; NaN if unsure or not judged.
        ratings: (R, N) 0 to 100; NaN if not judged.
        seconds: (R, N); NaN if not known.
    """

    calls: _Floats
    ratings: _Floats
    seconds: _Floats

    def has(self, reader: int) -> bool:
        """Say whether a reader judged any film in this arm."""
        return not np.isnan(self.ratings[reader]).all()

    def asked(self, reader: int, here: int) -> int:
        """Count the films that are here, the first ones, and those erased that a reader judged."""
        return here + int((~np.isnan(self.ratings[reader, here:])).sum())

    def whole(self, reader: int, here: int) -> bool:
        """Say whether a reader judged every film that is here, in this arm."""
        return self.has(reader) and not np.isnan(self.ratings[reader, :here]).any()

    @classmethod
    def empty(cls, readers: int, films: int) -> Arm:
        """Return the arm in which nobody has said anything."""
        return cls(*(np.full((readers, films), np.nan) for _ in range(3)))

    def put(self, reader: int, film: int, verdict: Verdict | Bygone) -> None:
        """Enter a verdict; a later one takes its place."""
        call = verdict.call
        self.calls[reader, film] = np.nan if call is None else call
        rating = verdict.confidence
        self.ratings[reader, film] = _UNRATED[verdict.verdict] if rating is None else rating
        seconds = verdict.seconds
        self.seconds[reader, film] = np.nan if seconds is None else seconds


@dataclass(frozen=True)
class ReaderStudy:
    """A reading list as arrays: N films, R readers.

    Attributes:
        truth, machine, answer: (N,) 1 or 0, by the reference standard, the model's operating point
            and all that it says; NaN where it is not known.
        scores: (N,) of the model.
        here: films of which the patient was not erased: the first ones.
        rated: the list asks for confidence: without it there is no ROC curve of a reader.
    """

    films: list[str]
    patients: list[str]
    readers: list[str]
    truth: _Floats
    machine: _Floats
    answer: _Floats
    scores: _Floats
    arms: dict[ArmName, Arm]
    rated: bool
    here: int


@router.get("/lists/{list_id}/analysis", summary="The analysis of a reading list")
def analysis(
    list_id: AnyId, visitor: _Administrator, service: Served, finding: Label | None = None
) -> AnalysisAnswer:
    """Give what each reader and all together reach, without the machine and with it.

    ``finding``: one that is asked; default: the first.
    """
    blind.check_off(service, visitor)
    with service.store.read() as session:
        one = _told(session, list_id, visitor)
        asked = _asked(one, finding)
        found = gather(session, one, asked)
    return measure(found, list_id, Label(asked))


@router.get(
    "/lists/{list_id}/mrmc.csv",
    summary="A reading list for MRMC tools",
    response_class=Response,
    responses=gives("text/csv", "a row a reader, film and arm", ",".join(MRMC) + "\n"),
)
def mrmc(
    list_id: AnyId, visitor: _Administrator, service: Served, finding: Label | None = None
) -> Response:
    """Give the long table of a study of many readers and many cases: films with a known truth."""
    blind.check_off(service, visitor)
    with service.store.read() as session:
        one = _told(session, list_id, visitor)
        found = gather(session, one, _asked(one, finding))
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(MRMC)
    for name, arm in found.arms.items():
        for reader, film in np.argwhere(~np.isnan(arm.ratings) & ~np.isnan(found.truth)):
            numbers = [each[reader, film] for each in (arm.ratings, arm.calls, arm.seconds)]
            rating, call, seconds = ("" if np.isnan(n) else f"{n:g}" for n in numbers)
            rating = rating if found.rated else ""
            patient = service.log.pseudonym(found.patients[film])
            who, truth = inert(found.readers[reader]), int(found.truth[film])
            writer.writerow([who, found.films[film], name, rating, truth, call, patient, seconds])
    with service.store.write() as session:
        service.log.add(session, visitor.name, "exported", what="mrmc.csv", list=list_id)
    headers = {"Content-Disposition": 'attachment; filename="mrmc.csv"'}
    return Response(out.getvalue(), media_type="text/csv; charset=utf-8", headers=headers)


def _told(session: Session, list_id: str, visitor: Visitor) -> ReadingList:
    """Return a list; to who still reads films of it nothing is told of what others say of them."""
    one = find_list(session, list_id, visitor)
    films = select(ListedFilm.film_id).where(ListedFilm.list_id == one.id)
    listed = lists.listed_for(session, visitor.person_id)
    if session.scalar(films.where(ListedFilm.film_id.in_(listed)).limit(1)) is not None:
        raise Problem(
            409,
            "conflict",
            "you read films of this list in an open one: its figures tell what others say of them",
            hint="close that list first, or ask an administrator who does not read it",
        )
    return one


def gather(session: Session, one: ReadingList, finding: str) -> ReaderStudy:
    """Put together what was said of a finding in a list."""
    films, readers = lists.films_of(session, one.id), lists.readers_of(session, one.id)
    names = {row[0]: row[1] for row in session.execute(select(Person.id, Person.name))}
    bygone = lists.bygone_of(session, one.id, finding)
    here, films = films, [*films, *dict.fromkeys(each.film for each in bygone)]
    places = {each: place for place, each in enumerate(films)}
    rows = {each: row for row, each in enumerate(readers)}
    machine, answer, scores, truth = (np.full(len(films), np.nan) for _ in range(4))
    patients, statuses = [""] * len(films), dict[str, str]()
    for part in parts(here):
        whose = select(Film.id, Film.status, Study.patient_id, Study.id)
        whose = whose.join(Study, Study.id == Film.study_id).where(Film.id.in_(part))
        for film_id, status, patient, study_id in session.execute(whose):
            patients[places[film_id]], statuses[film_id] = patient or study_id, status
        known = select(Reference).where(Reference.film_id.in_(part), Reference.finding == finding)
        for each in session.scalars(known):
            truth[places[each.film_id]] = each.value
    given = [each for each in lists.verdicts_of(session, one.id) if each.finding == finding]
    for film_id, read in _beside(session, here, given).items():
        for each in read.reading["findings"]:
            if each["label"] == finding:
                call = CALLS[answer_in(each).value]
                machine[places[film_id]] = each["present"]
                scores[places[film_id]] = each["score"]
                answer[places[film_id]] = np.nan if call is None else call
    arms = {name: Arm.empty(len(readers), len(films)) for name in ARMS}
    saw = {each: lists.seen_in(session, one, each) for each in readers}
    for verdict in given:
        if verdict.film_id not in places:
            continue
        place = rows[verdict.person_id], places[verdict.film_id]
        arms["unaided" if verdict.blind else "aided"].put(*place, verdict)
        # who was then shown the answer in the list, and changed nothing, holds to the verdict
        seen_ms = saw[verdict.person_id].get(verdict.film_id, 0)
        status = lists.status_beside(session, verdict, statuses[verdict.film_id])
        if lists.holds(verdict, seen_ms, one, status):
            arms["aided"].put(*place, verdict)
            arms["aided"].seconds[place] = np.nan
    for left in sorted(bygone, key=lambda each: not each.blind):
        film = places[left.film]
        patients[film] = left.patient
        told = (left.truth, left.machine, left.answer, left.score)
        for values, value in zip((truth, machine, answer, scores), told, strict=True):
            values[film] = np.nan if value is None else value
        place = rows[left.person_id], film
        arms["unaided" if left.blind else "aided"].put(*place, left)
        if left.blind and left.held:
            arms["aided"].put(*place, left)
            arms["aided"].seconds[place] = np.nan
    people = [names[each] for each in readers]
    return ReaderStudy(
        films, patients, people, truth, machine, answer, scores, arms, one.confidence, len(here)
    )


def _beside(session: Session, films: list[str], given: Sequence[Verdict]) -> dict[str, Read]:
    """Return the reading of each film that its verdicts were given beside; else the newest."""
    found = {key: each[2] for key, each in films_with_reading(session, set(films)).items()}
    for verdict in sorted(given, key=lambda each: not each.blind):  # the aided ones count
        now = found.get(verdict.film_id)
        if now is not None and verdict.reading_id not in (None, now.id):
            then = session.get(Read, verdict.reading_id)
            found[verdict.film_id] = now if then is None else then
    return found


def measure(of: ReaderStudy, list_id: str, finding: Label, folds: int = FOLDS) -> AnalysisAnswer:
    """Measure a study; without folds there are no intervals."""
    groups, truth = np.array(of.patients, dtype=str), of.truth
    unaided, aided = of.arms["unaided"], of.arms["aided"]
    rows = range(len(of.readers))
    both = [row for row in rows if unaided.has(row) and aided.has(row)]
    judged = ~(np.isnan(unaided.ratings) & np.isnan(aided.ratings))
    readers = [
        StudyReader(
            name=of.readers[row],
            films=(films := int(judged[row].sum())),
            whole=films > 0 and bool(judged[row, : of.here].all()),
            unaided=_arm(of, unaided, row, groups, folds),
            aided=_arm(of, aided, row, groups, folds),
            difference=_figures(
                of,
                difference(
                    aided.calls[row],
                    aided.ratings[row],
                    (unaided.calls[row], unaided.ratings[row]),
                    truth,
                    groups,
                    folds=folds,
                ),
            )
            if row in both
            else None,
        )
        for row in rows
    ]
    before = (unaided.calls[both], unaided.ratings[both])
    seen = judged.any(0)  # beside the readers, other films would be another test
    alike = of.machine[seen], of.scores[seen], truth[seen]
    machine = reader_figures(*alike, groups[seen], folds=folds)
    heard = {name: [row for row in rows if arm.has(row)] for name, arm in of.arms.items()}
    count = sum(len(each) * (len(each) - 1) // 2 for each in heard.values())
    pooled = {name: _pooled(of, arm, heard[name], groups, folds) for name, arm in of.arms.items()}
    main = pooled[next((each for each in ARMS if len(heard[each]) > 1), "unaided")]
    return AnalysisAnswer(
        list_id=list_id,
        finding=finding,
        films=len(of.films),
        erased=len(of.films) - of.here,
        positives=int((truth == 1).sum()),
        negatives=int((truth == 0).sum()),
        readers=readers,
        unaided=pooled["unaided"],
        aided=pooled["aided"],
        difference=_together(of, aided, both, groups, folds, before),
        pairs=[
            ReaderPair(
                names=(of.readers[one], of.readers[two]),
                arm=name,
                **kappa(
                    of.arms[name].calls[one],
                    of.arms[name].calls[two],
                    groups,
                    folds=folds if count <= MOST_PAIRS else 0,
                ),
            )
            for name in ARMS
            for one, two in combinations(heard[name], 2)
        ],
        fleiss=Estimate.undefined(0, "fewer than two readers") if main is None else main.fleiss,
        machine=ReaderFigures(**machine),
        machine_roc=_roc(truth[seen], of.scores[seen]),
    )


def _arm(of: ReaderStudy, arm: Arm, row: int, groups: Any, folds: int) -> ArmFigures | None:
    if not arm.has(row):
        return None
    calls, ratings, seconds = arm.calls[row], arm.ratings[row], arm.seconds[row]
    judged = ~np.isnan(ratings)
    return ArmFigures(
        **dict(_figures(of, reader_figures(calls, ratings, of.truth, groups, folds=folds))),
        films=int(judged.sum()),
        asked=arm.asked(row, of.here),
        unsure=int((judged & np.isnan(calls)).sum()),
        seconds=None if np.isnan(seconds).all() else float(np.nanmedian(seconds)),
        roc=_roc(of.truth, ratings) if of.rated else [],
        machine_kappa=kappa(calls, of.answer, groups, folds=folds)["kappa"],
    )


def _pooled(
    of: ReaderStudy, arm: Arm, rows: Sequence[int], groups: Any, folds: int
) -> ArmTogether | None:
    figures = _together(of, arm, rows, groups, folds)
    if figures is None:
        return None
    return ArmTogether(**dict(figures), fleiss=fleiss(arm.calls[list(rows)], groups, folds=folds))


def _together(
    of: ReaderStudy, arm: Arm, rows: Sequence[int], groups: Any, folds: int, before: Any = None
) -> PooledFigures | None:
    if not rows:
        return None
    chosen = arm.calls[list(rows)], arm.ratings[list(rows)]
    figures = _figures(of, together(*chosen, of.truth, groups, before=before, folds=folds))
    arms = [arm] if before is None else list(of.arms.values())
    whole = sum(all(each.whole(row, of.here) for each in arms) for row in rows)
    return PooledFigures(**dict(figures), readers=len(rows), whole=whole)


def _figures(of: ReaderStudy, found: dict[str, Estimate]) -> ReaderFigures:
    if not of.rated:
        none = Estimate.undefined(found["auc"].n, "the list does not ask for confidence")
        found = found | {"auc": none}
    return ReaderFigures(**found)


def _roc(truth: _Floats, ratings: _Floats) -> list[tuple[float, float]]:
    known = ~(np.isnan(truth) | np.isnan(ratings))
    points = np.column_stack(roc_curve(truth[known], ratings[known]))
    return [] if np.isnan(points).any() else [(float(x), float(y)) for x, y in points]


def _asked(one: ReadingList, finding: Label | None) -> str:
    if finding is None:
        return one.findings[0]
    if finding not in one.findings:
        asked = ", ".join(one.findings)
        raise Problem(422, "invalid", f"the list does not ask for '{finding}'", hint=asked)
    return finding.value
