"""Calibration to this site, from films that people reviewed here: preview, apply, undo.

The base is always the bundle that the server was started with, so that calibrations do not pile up.
"""

from __future__ import annotations

import contextlib
import math
import shutil
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Request
from sqlalchemy.orm import Session

from hilum.apps.store import events, lists
from hilum.apps.store.people import Role
from hilum.apps.store.reviewed import films_with_truth, films_with_verdicts
from hilum.apps.store.tables import Film, Read, Setting, new_id
from hilum.apps.web import blind
from hilum.apps.web.access import Visitor, needs
from hilum.apps.web.answers.watch import Available, CalibrationAnswer, CandidateAnswer, Previous
from hilum.apps.web.bundles import KEY, of_this_network
from hilum.apps.web.evidence import kinds_of
from hilum.apps.web.films import pictures_of
from hilum.apps.web.pictures import Kinds, Pictures
from hilum.apps.web.problems import Problem, not_found
from hilum.apps.web.schemas import API, AskApply, AskPreview, Source
from hilum.apps.web.service import Served, Service
from hilum.bundle.folder import Bundle, open_bundle
from hilum.bundle.seen import REFIT
from hilum.bundle.similar import COPY, open_similar
from hilum.core.errors import BundleError, ImageError, StoreError
from hilum.core.labels import Label
from hilum.core.machine import cores
from hilum.core.prefetch import prefetch
from hilum.data.fingerprint import DETECTION_SIDE, look

if TYPE_CHECKING:
    import pandas as pd

router = APIRouter(prefix=API, tags=["calibration"])
KEPT_CANDIDATES = 5
_Administrator = Annotated[Visitor, needs(Role.ADMINISTRATOR)]
_ONE_AT_A_TIME = threading.Lock()


@router.get("/calibration", summary="What is calibrated, and what could be")
def calibration(visitor: _Administrator, service: Served) -> CalibrationAnswer:
    """Say which bundle is active, which candidates there are, and how many cases were reviewed."""
    blind.check_off(service, visitor)  # it counts what others said of films
    active = service.bundles.open()
    base = service.bundles.open_base()
    setting = _setting(service, base)
    with service.store.read() as session:
        sources: tuple[Source, ...] = ("reference", "verdicts")
        available = {each: _available(session, service, each, visitor) for each in sources}
        listed = bool(lists.open_of(session, visitor.person_id))
    return CalibrationAnswer(
        active=_show(service, active, active.root),
        previous=_previous(setting),
        candidates=_offered(service, base),
        available=available,
        lists_left_out=listed,
    )


@router.post("/calibration/preview", status_code=201, summary="Fit a candidate")
def preview(
    body: AskPreview, request: Request, visitor: _Administrator, service: Served
) -> CandidateAnswer:
    """Fit calibration, operating points and sets; nothing changes until it is applied."""
    blind.check_off(service, visitor)
    from hilum.serve.calibrate import adapt

    base = service.bundles.open_base()
    with service.store.read() as session:
        rows, left_out = _rows(session, base, body.source, visitor)
        listed = bool(lists.open_of(session, visitor.person_id))
    if not rows:
        raise Problem(
            422,
            "invalid",
            "no film of this site was read by this bundle and has a known truth",
            hint="films of your open reading lists are left out until these end; of others "
            "enter reference standards, or give verdicts"
            if listed
            else "enter reference standards, or give verdicts",
        )
    if not _ONE_AT_A_TIME.acquire(blocking=False):
        raise Problem(409, "conflict", "a calibration is being fitted", hint="wait for it")
    try:
        import pandas as pd

        candidate_id = new_id()
        root = service.bundles.calibrated / candidate_id
        table = pd.DataFrame(rows)
        copied = _compare(base, table, pictures_of(request))
        known = _leak_check(base, copied, allow=body.allow_seen)
        adapt(base, table, root, site=body.site, not_read=left_out, leak_check=known)
        _forget_old(service)
    finally:
        _ONE_AT_A_TIME.release()
    told = {"candidate": candidate_id, "source": body.source}
    try:
        with service.store.write() as session:
            service.log.add(session, visitor.name, "calibration-preview", **told)
    except StoreError:  # there is no candidate that the log does not know
        shutil.rmtree(root, ignore_errors=True)
        raise
    return _show(service, open_bundle(root), root)


@router.post("/calibration/apply", summary="Read with a candidate from now on")
def apply(body: AskApply, visitor: _Administrator, service: Served) -> CalibrationAnswer:
    """Use a candidate for films from now on; readings that are there stay as they are."""
    blind.check_off(service, visitor)
    root = service.bundles.calibrated / body.candidate_id
    if not root.is_dir():
        raise not_found("candidate")
    base = service.bundles.open_base()
    if not _is_of(open_bundle(root), base):
        raise Problem(
            409,
            "conflict",
            "this candidate was fitted to another bundle than the one that reads here",
            hint="fit a new one",
        )
    now = _setting(service, base).get("folder")
    _choose(service, visitor, base, body.candidate_id, before=now, action="calibration-applied")
    return calibration(visitor, service)


@router.post("/calibration/undo", summary="Take the last calibration back")
def undo(visitor: _Administrator, service: Served) -> CalibrationAnswer:
    """Use the bundle again that was active before."""
    blind.check_off(service, visitor)
    base = service.bundles.open_base()
    setting = _setting(service, base)
    if not setting.get("can_undo"):
        raise Problem(409, "conflict", "there is nothing to undo")
    _choose(
        service,
        visitor,
        base,
        setting["before"],
        before=None,
        action="calibration-undone",
        end=True,
    )
    return calibration(visitor, service)


def _choose(
    service: Service,
    visitor: Visitor,
    base: Bundle,
    folder: str | None,
    *,
    before: str | None,
    action: str,
    end: bool = False,
) -> None:
    """Write down which bundle reads, and tell everybody."""
    root = service.bundles.calibrated / folder if folder else base.root
    chosen = open_bundle(root)
    value = {"base": base.checksum, "folder": folder, "before": before, "can_undo": not end}
    with service.store.write() as session:
        session.merge(Setting(key=KEY, value=value))
        events.tell(session, "bundle", identity=chosen.identity)
        service.log.add(
            session, visitor.name, action, bundle=chosen.checksum, identity=chosen.identity
        )


def _setting(service: Service, base: Bundle) -> dict[str, Any]:
    """Return what an administrator chose for this base; nothing where that was for another."""
    setting = service.bundles.setting()
    return setting if setting and setting["base"] == base.checksum else {}


def _previous(setting: dict[str, Any]) -> Previous | None:
    """Say what an undo would bring back; None if there is nothing to undo."""
    if not setting.get("can_undo"):
        return None
    return Previous(base=setting["before"] is None, candidate_id=setting["before"])


def _is_of(candidate: Bundle, base: Bundle) -> bool:
    adaptations = candidate.manifest.adaptations
    return bool(adaptations) and adaptations[-1].bundle == base.identity


def _offered(service: Service, base: Bundle) -> list[CandidateAnswer]:
    """Return the candidates of this base, newest first; a damaged one helps nobody."""
    offered = []
    for root in _candidates(service):
        with contextlib.suppress(BundleError):
            found = open_bundle(root)
            if _is_of(found, base):
                offered.append(_show(service, found, root))
    return offered


def _rows(
    session: Session, base: Bundle, source: Source, visitor: Visitor
) -> tuple[list[dict[str, Any]], int]:
    """Return predictions of reviewed films by this network, and how many had none.

    Films that the visitor still reads in an open list are none of them: what is made of them, and
    how many there are, would tell what others say of them.
    """
    own = set(session.scalars(lists.listed_for(session, visitor.person_id)))
    films = films_with_truth(session) if source == "reference" else films_with_verdicts(session)
    mine = of_this_network(session, base)
    rows, left_out = [], 0
    for row in films:
        if row["film_id"] in own:
            continue
        film = session.get_one(Film, row["film_id"])
        read = session.get(Read, film.reading_id) if film.reading_id else None
        if read is None or read.checksum not in mine or read.forced:
            left_out += 1
            continue
        rows += [
            {
                "case_id": film.id,
                "label": finding["label"],
                "truth": row["truth"][finding["label"]],
                "score": finding["score"],
                "group": row["patient"],
                "distance": _distance(read.reading),
                "file": (film.sha256, kinds_of(read)),
            }
            for finding in read.reading["findings"]
            if finding["label"] in row["truth"]
        ]
    return rows, left_out


def _distance(reading: dict[str, Any]) -> float:
    """How near the nearest training film is; NaN where the reading did not look for one."""
    similar = (reading.get("details") or {}).get("similar") or [{"distance": float("nan")}]
    return float(similar[0]["distance"])


def _compare(base: Bundle, table: pd.DataFrame, pictures: Pictures) -> dict[str, bool | None]:
    """Say of each film if it is a copy of a training film; None where it was not compared."""
    films = table.drop_duplicates("case_id")
    neighbors = open_similar(base.root)
    if neighbors is None or neighbors.index.look is None:
        pairs = zip(films["case_id"], films["distance"], strict=True)
        return {film: None if math.isnan(far) else far <= COPY for film, far in pairs}

    def copied(file: tuple[str, Kinds]) -> bool | None:
        try:
            pixels = pictures.window(*file, DETECTION_SIDE)
        except ImageError:
            return None
        return neighbors.copy_of(None, look(pixels)) != ""

    found = prefetch(copied, films["file"], workers=cores(), ahead=2 * cores())
    return dict(zip(films["case_id"], found, strict=True))


def _leak_check(base: Bundle, copied: Mapping[str, bool | None], *, allow: bool) -> str:
    """Say how training films were looked for; raise ``LeakageError`` where there are some."""
    import pandas as pd

    copies = [film for film, yes in copied.items() if yes]
    seen = base.seen(pd.DataFrame({"case_id": list(copied)})).with_copies(copies)
    counted = len(seen.refuse(allow=allow, kinds=REFIT).counted(REFIT))
    compared = sum(yes is not None for yes in copied.values())
    return (
        f"films reviewed at this site carry no case_id; of {len(copied)}, {compared} were compared "
        f"with the films of training by pixels, and {counted} are copies of one"
    )


def _available(
    session: Session, service: Service, source: Source, visitor: Visitor
) -> dict[Label, Available]:
    """Count the patients of each class that a calibration could use."""
    from hilum.judge.site import LEAST_PATIENTS

    rows, _ = _rows(session, service.bundles.open_base(), source, visitor)
    counts = {}
    for output in service.bundles.open().manifest.labels:
        groups: dict[int, set[str]] = {0: set(), 1: set()}
        for row in rows:
            if row["label"] == output.label:
                groups[row["truth"]].add(row["group"])
        counts[output.label] = Available(
            positives=len(groups[1]),
            negatives=len(groups[0] - groups[1]),
            needed=LEAST_PATIENTS,
        )
    return counts


def _candidates(service: Service) -> list[Path]:
    folder = service.bundles.calibrated
    found = [each for each in folder.glob("*") if each.is_dir() and not each.name.startswith(".")]
    return sorted(found, key=lambda each: each.stat().st_mtime, reverse=True)


def _show(service: Service, bundle: Bundle, root: Path) -> CandidateAnswer:
    adaptations = bundle.manifest.adaptations
    here = root.parent == service.bundles.calibrated
    return CandidateAnswer(
        identity=bundle.identity,
        checksum=bundle.checksum,
        candidate_id=root.name if here else None,
        adaptation=adaptations[-1] if adaptations and here else None,
    )


def _forget_old(service: Service) -> None:
    """Remove candidates that were not chosen, beyond the newest few."""
    setting = service.bundles.setting() or {}
    kept = {setting.get("folder"), setting.get("before")}
    for root in [each for each in _candidates(service) if each.name not in kept][KEPT_CANDIDATES:]:
        shutil.rmtree(root, ignore_errors=True)
