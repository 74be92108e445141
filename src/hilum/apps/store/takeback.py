"""Take back: what was sent of a film and must not stay; an undone verdict brings it back."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from hilum.apps.store.log import Log
from hilum.apps.store.store import Store
from hilum.apps.store.tables import Delivery, Result, now_ms
from hilum.apps.store.wanted import DELETED, MAX_ATTEMPTS, RETRACTED, THERE, mades, results_of
from hilum.serve.dicom import NOTE


def retract(
    session: Session, log: Log, who: str, film_ids: Iterable[str], *, reason: str,
    peer: str | None = None, by_verdict: bool = False,
) -> int:  # fmt: skip
    """Take back what was sent of films: a rejection note is made, and goes to whoever has it.

    What was not sent yet never is.

    Args:
        session, log: of the store.
        who: a person.
        film_ids: of which films.
        reason: of ``hilum.serve.dicom.codes.REJECTED``; for all but "quality" nothing of the film
            is sent any more, whatever bundle reads it.
        peer: from this peer alone.
        by_verdict: a verdict says so: ``restore`` brings back what was, if that is undone and no
            person has taken it back since, from whichever peer.

    Returns:
        how many films had something to take back, or had it taken back by a verdict alone.
    """
    count = 0
    for film_id in film_ids:
        made = next(iter(mades(session, film_id)), None)
        said = (made.reject if made is not None else None) or {}
        # A person who takes back after a verdict makes it lasting: an undo restores nothing.
        lasts = not by_verdict and "was" in said
        whom, why = peer, reason
        if lasts and peer is not None:  # the verdict took it back from all, and so it stays
            whom, why = None, said["reason"]
        mine = select(Delivery).where(
            Delivery.result_id.in_(results_of(film_id).with_only_columns(Result.id))
        )
        mine = mine.where(Delivery.state.not_in((RETRACTED, DELETED)))
        if whom is not None:
            mine = mine.where(Delivery.peer == whom)
        deliveries = list(session.scalars(mine))
        if made is None or not (deliveries or lasts or made.state in ("to-make", "failed")):
            continue
        if by_verdict and made.state == "reject":
            continue  # another verdict, or a person, has said so before
        was = {"making": made.state, "deliveries": {str(d.id): d.state for d in deliveries}}
        for each in deliveries:
            if each.state not in THERE:
                each.state, each.error, each.asked = RETRACTED, None, 0
        there = any(each.state in THERE for each in deliveries)
        if whom is None or there:  # else others wait for what is being made
            made.state, made.attempts, made.error = "reject" if there else "made", 0, None
            made.reject, made.at_ms = {"reason": why, "peer": whom}, now_ms()
            if by_verdict:
                made.reject |= {"was": was}
        log.add(session, who, "results-retracted", film_id=film_id, reason=reason, peer=peer)
        count += 1
    return count


def restore(session: Session, log: Log, who: str, film_id: str) -> bool | None:
    """Bring back what a verdict has taken back of a film, because the verdict was undone.

    Returns:
        False if an archive was told already: what it has stays rejected, and no later undo asks
        again. None if no verdict has taken anything back, or a person or another reading came
        after it.
    """
    made = next(iter(mades(session, film_id)), None)
    was = (made.reject or {}).get("was") if made is not None else None
    if made is None or was is None:
        return None
    query = select(Result, Delivery).join(Delivery, Delivery.result_id == Result.id)
    # Once a note may have left, the archive cannot be told to forget it: nothing is restored.
    query = query.where(Result.film_id == film_id, Result.kind == NOTE)
    notes = list(session.execute(query.where(Delivery.created_ms >= made.at_ms)))
    mine = [session.get(Delivery, int(number)) for number in was["deliveries"]]
    if any(note.state not in ("waiting", "dead") for _, note in notes) or any(
        each is not None and each.state == DELETED for each in mine
    ):
        made.reject = {k: each for k, each in (made.reject or {}).items() if k != "was"}
        return False
    for result in {result for result, _ in notes}:
        session.delete(result)
    for each in mine:
        if each is not None and each.state == RETRACTED:  # the others went on meanwhile
            each.state = _before(each, was["deliveries"][str(each.id)], made.at_ms)
    made.state, made.attempts, made.error, made.reject = was["making"], 0, None, None
    log.add(session, who, "results-restored", film_id=film_id)
    return True


def _before(delivery: Delivery, state: str, taken_ms: int) -> str:
    """Say where a delivery is that was in this state when it was taken back, and a note named."""
    if state in THERE and (delivery.committed_ms or 0) >= taken_ms:
        return "committed"
    if state == "claimed":  # the sender may have ended it before the note was made
        return "sent" if (delivery.sent_ms or 0) >= taken_ms else "waiting"
    return state


class Withdrawn(NamedTuple):
    """A result that was taken back, and that a peer may still have."""

    id: int
    place: tuple[str, str, str]
    """Study, Series and SOP Instance UID."""


def withdrawn(session: Session, peer: str, most: int) -> list[Withdrawn]:
    """Return what a peer that deletes is to be told to delete."""
    columns = (Delivery.id, Result.study_uid, Result.series_uid, Result.sop_uid)
    query = select(*columns).join(Result, Delivery.result_id == Result.id)
    query = query.where(Delivery.state == RETRACTED, Delivery.peer == peer)
    query = query.where(Delivery.asked < MAX_ATTEMPTS).order_by(Delivery.id).limit(most)
    return [Withdrawn(row[0], (row[1], row[2], row[3])) for row in session.execute(query)]


def withdrew(store: Store, number: int, error: str | None, *, answered: bool = True) -> None:
    """Write that a peer has deleted a result that was taken back, or why it does not.

    It is told so often only where it answered of this result.
    """
    values: dict[str, Any] = {"state": DELETED, "error": None}
    if error is not None:
        values = {"error": error[:255], "asked": Delivery.asked + answered}
    with store.write() as session:
        mine = (Delivery.id == number) & (Delivery.state == RETRACTED)
        session.execute(update(Delivery).where(mine).values(values))
