"""Monitoring: how many films, how many refused and why, whether scores drift, how long it takes."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable
from datetime import date, timedelta
from pathlib import Path
from typing import Annotated, Any
from zoneinfo import ZoneInfo

import numpy as np
from fastapi import APIRouter, Query
from sqlalchemy import select
from sqlalchemy.orm import Session

from hilum.apps.store.people import Role
from hilum.apps.store.reviewed import reviewed
from hilum.apps.store.tables import Read, now_ms
from hilum.apps.web import blind
from hilum.apps.web.access import Visitor, needs
from hilum.apps.web.agreement import measure
from hilum.apps.web.answers.watch import (
    DayAnswer,
    Latency,
    MonitoringAnswer,
    ScoresAnswer,
    WeekAnswer,
)
from hilum.apps.web.bundles import of_this_network
from hilum.apps.web.days import begins_ms, day_of, zone_of
from hilum.apps.web.schemas import API, Zone
from hilum.apps.web.service import Served, Service
from hilum.bundle.folder import Bundle
from hilum.bundle.manifest import EVALUATION
from hilum.core.errors import BundleError
from hilum.core.labels import Label

router = APIRouter(prefix=API, tags=["monitoring"])
BINS = 10
_CHANCE = 0.99
_DRAWS = 1000
_Reader = Annotated[Visitor, needs(Role.READER)]


@router.get("/monitoring", summary="The state of the service")
def monitoring(
    visitor: _Reader,
    service: Served,
    days: Annotated[int, Query(ge=1, le=366)] = 30,
    label: Label = Label.COVID_19,
    zone: Zone = None,
) -> MonitoringAnswer:
    """Give films a day, refusals by reason, drift of the scores, agreement by week, latency."""
    blind.check_off(service, visitor)
    where = zone_of(zone, service.settings.zone)
    first = day_of(now_ms(), where) - timedelta(days=days - 1)
    since = begins_ms(first, where)
    try:
        base: Bundle | None = service.bundles.open_base()
    except BundleError:  # the page says so; what was read before is there all the same
        base = None
    with service.store.read() as session:
        mine = of_this_network(session, base) if base is not None else set()
        reads = _reads(session, since, where, label, mine)
        weeks = _weeks(session, since, where, label, visitor.person_id)
    count = Counter(each["status"] for each in reads)
    return MonitoringAnswer(
        days=_days(reads, first, days),
        films=len(reads),
        refusals=dict(Counter(each["refusal"] for each in reads if each["refusal"])),
        refusal_rate=count["refused"] / len(reads) if reads else None,
        scores=drift(service, label, _stated(base, label, reads)),
        agreement=weeks,
    )


def psi(site: Iterable[float], validation: Iterable[float]) -> float:
    """Return the population stability index of two histograms (shares over the same bins).

    sum((s - v) * ln(s / v)), with empty bins raised to a share of 0.0001 (Siddiqi, Credit Risk
    Scorecards, 2006).

    >>> psi([0.5, 0.5], [0.5, 0.5])
    0.0
    """
    s, v = (np.maximum(np.asarray(list(each), np.float64), 1e-4) for each in (site, validation))
    return float(((s - v) * np.log(s / v)).sum())


def by_chance(validation: list[float], films: int) -> float:
    """Return the index that one in a hundred collections without any drift exceeds.

    Films are drawn from the validation's own shares, as many as the site has: with few of them the
    index is large by chance alone (for 50 films in ten bins it is above 0.25 one time in three).
    """
    shares = np.asarray(validation, np.float64)
    draws = np.random.default_rng(0).multinomial(films, shares / shares.sum(), _DRAWS) / films
    return float(np.quantile([psi(each, shares) for each in draws], _CHANCE))


def drift(service: Service, label: Label, probabilities: list[float]) -> ScoresAnswer:
    """Compare the site's probabilities with those of the bundle's evaluation.

    There is an alarm where the index is above the limit, and above what chance explains.
    """
    settings = service.settings.monitoring
    counts, edges = np.histogram(probabilities, bins=BINS, range=(0, 1))
    validation = validation_shares(service.bundles.base, label)
    found = ScoresAnswer(
        label=label,
        edges=[round(float(edge), 3) for edge in edges],
        n=len(probabilities),
        site=(counts / max(len(probabilities), 1)).tolist(),
        validation=validation,
        limit=settings.psi_limit,
    )
    if validation is None:
        note = "the bundle's evaluation says nothing of this label"
        return found.model_copy(update={"note": note})
    if len(probabilities) < settings.least_films:
        note = f"fewer than {settings.least_films} films were read"
        return found.model_copy(update={"note": note})
    index, chance = psi(found.site, validation), by_chance(validation, len(probabilities))
    alarm = index > max(settings.psi_limit, chance)
    return found.model_copy(update={"psi": index, "chance": chance, "alarm": alarm})


def validation_shares(root: Path, label: Label) -> list[float] | None:
    """Return how the probabilities of the bundle's evaluation spread over ten bins."""
    try:
        evaluation = json.loads((root / EVALUATION).read_text(encoding="utf-8"))
        part = next(each for each in evaluation["labels"] if each["label"] == label)
        bins = part["reliability"][0]["bins"]
        counts = np.zeros(BINS)
        for each in bins:
            counts[min(int(each["stated"] * BINS), BINS - 1)] += each["observed"]["n"]
    except (OSError, ValueError, KeyError, IndexError, StopIteration):
        return None
    return (counts / counts.sum()).tolist() if counts.sum() else None


def _reads(
    session: Session, since: int, zone: ZoneInfo, label: Label, mine: set[str]
) -> list[dict[str, Any]]:
    """Return the readings of a time; ``score`` of those by this network that were not forced."""
    columns = Read.status, Read.created_ms, Read.waited_ms, Read.checksum, Read.forced, Read.reading
    query = select(*columns).where(Read.created_ms >= since).execution_options(yield_per=500)
    found = []
    for read in session.execute(query):
        counts = read.checksum in mine and not read.forced
        answers = {each["label"]: each for each in read.reading["findings"]}
        found.append(
            {
                "status": read.status,
                "day": day_of(read.created_ms, zone),
                "waited_ms": read.waited_ms,
                "refusal": (read.reading.get("refusal") or {}).get("code"),
                "score": answers[label]["score"] if counts and label in answers else None,
            }
        )
    return found


def _stated(base: Bundle | None, label: Label, reads: list[dict[str, Any]]) -> list[float]:
    """Return the probabilities that the base states, whatever calibration stated them then."""
    scores = [each["score"] for each in reads if each["score"] is not None]
    if base is None or not scores:
        return []
    output = next((each for each in base.manifest.labels if each.label == label), None)
    if output is None:
        return []
    return [float(each) for each in output.calibration(scores)]


def _days(reads: list[dict[str, Any]], first: date, days: int) -> list[DayAnswer]:
    by_day: defaultdict[date, list[dict[str, Any]]] = defaultdict(list)
    for each in reads:
        by_day[each["day"]].append(each)
    listed = []
    for day in (first + timedelta(days=place) for place in range(days)):
        found = by_day[day]
        count = Counter(each["status"] for each in found)
        waited = [each["waited_ms"] for each in found]
        latency = {f"p{q}": float(np.percentile(waited, q)) if waited else None for q in (50, 95)}
        listed.append(
            DayAnswer(
                day=day.isoformat(),
                films=len(found),
                **{status: count[status] for status in ("read", "refused", "error")},
                latency_ms=Latency(**latency),
            )
        )
    return listed


def _weeks(
    session: Session, since: int, zone: ZoneInfo, label: Label, person_id: str
) -> list[WeekAnswer]:
    by_week: defaultdict[str, list[Any]] = defaultdict(list)
    for each in reviewed(session, label, since, person_id=person_id):
        day = day_of(each.at_ms, zone)
        by_week[(day - timedelta(days=day.weekday())).isoformat()].append(each)
    weeks = []
    for week, found in sorted(by_week.items()):
        measured = measure(found, folds=0)
        weeks.append(
            WeekAnswer(
                week=week,
                films=measured.films,
                agreement=measured.agreement.value,
                kappa=measured.kappa.value,
            )
        )
    return weeks
