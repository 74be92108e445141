"""The log: who did what to which film, when and with which model; lines are only ever added.

Each line carries HMAC-SHA256(key, hash of the line before + the line as JSON). The key lies in the
folder of data, not in the database: whoever changes, removes or inserts a line there cannot make
the hashes fit again. What was the last line is also noted beside the key now and then, so that
lines missing at the end are found as well.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from hilum.apps.store.store import Store
from hilum.apps.store.tables import Line, iso, now_ms
from hilum.core.errors import StoreError
from hilum.core.files import write_text

KEY = "log.key"
HEAD = "log.head"
_START = "0" * 64
_PAGE = 1000


@dataclass(frozen=True, slots=True)
class Verified:
    """What ``Log.verify`` found: ``problem`` names the first line that is wrong, or None."""

    lines: int
    problem: str | None = None

    @property
    def ok(self) -> bool:
        """No line was changed, inserted or removed."""
        return self.problem is None


class Log:
    """The log of a store.

    Args:
        store: that holds the lines.
        data: folder with the key and the note of the last line; the key is made if need be.
    """

    def __init__(self, store: Store, data: Path) -> None:
        self._store = store
        self._head = data / HEAD
        self._key = _key(data / KEY)

    def add(
        self,
        session: Session,
        who: str,
        action: str,
        *,
        film_id: str | None = None,
        study_id: str | None = None,
        bundle: str | None = None,
        **data: Any,
    ) -> None:
        """Add a line in the transaction of what it tells of: both are kept, or neither.

        Args:
            session: of ``Store.write``.
            who: name of a person, or "hilum".
            action: "accepted", "read", "verdict", ...
            film_id, study_id: what it was about.
            bundle: checksum of the model.
            data: more; nothing that names a patient.
        """
        last = session.scalars(select(Line).order_by(Line.seq.desc()).limit(1)).first()
        line = Line(
            seq=last.seq + 1 if last else 1,
            at=iso(now_ms()),
            who=who,
            action=action,
            film_id=film_id,
            study_id=study_id,
            bundle=bundle,
            data=json.dumps(data, sort_keys=True, ensure_ascii=True),
        )
        line.hash = self._hash(last.hash if last else _START, line)
        session.add(line)
        session.flush()

    def verify(self) -> Verified:
        """Compute every hash again; find the first line that was changed, removed or inserted."""
        noted = self._noted()
        with self._store.read() as session:
            before, count = _START, 0
            while lines := self._page(session, count):
                for line in lines:
                    count += 1
                    if line.seq != count:
                        return Verified(count - 1, f"line {count} is missing")
                    if not hmac.compare_digest(self._hash(before, line), line.hash):
                        return Verified(count - 1, f"line {count} is not what was written")
                    if noted and noted["seq"] == count and noted["hash"] != line.hash:
                        return Verified(count - 1, f"line {count} differs from the note beside it")
                    before = line.hash
        if noted and noted["seq"] > count:
            return Verified(count, f"lines {count + 1} to {noted['seq']} are missing at the end")
        return Verified(count)

    def note_head(self) -> None:
        """Write down which line is the last one, beside the key."""
        with self._store.read() as session:
            last = session.scalars(select(Line).order_by(Line.seq.desc()).limit(1)).first()
        noted = self._noted()
        if last is not None and (noted is None or noted["seq"] < last.seq):
            write_text(self._head, json.dumps({"seq": last.seq, "hash": last.hash}) + "\n")

    def lines(self, *, limit: int, before: int | None = None) -> list[Line]:
        """Return the newest lines, or those before a number; newest first."""
        query = select(Line).order_by(Line.seq.desc()).limit(limit)
        if before is not None:
            query = query.where(Line.seq < before)
        with self._store.read() as session:
            return list(session.scalars(query))

    def pseudonym(self, patient: str) -> str:
        """Return a name for a patient that leads back to nobody without the key of this site."""
        text = b"patient:" + patient.encode("utf-8", "replace")
        return hmac.new(self._key, text, hashlib.sha256).hexdigest()[:12]

    def count(self) -> int:
        """Return how many lines there are."""
        with self._store.read() as session:
            return session.scalar(select(func.count()).select_from(Line)) or 0

    def _page(self, session: Session, after: int) -> list[Line]:
        query = select(Line).where(Line.seq > after).order_by(Line.seq).limit(_PAGE)
        found = list(session.scalars(query))
        session.expunge_all()
        return found

    def _hash(self, before: str, line: Line) -> str:
        fields = [line.seq, line.at, line.who, line.action, line.film_id, line.study_id]
        text = json.dumps([before, *fields, line.bundle, line.data], ensure_ascii=True)
        return hmac.new(self._key, text.encode(), hashlib.sha256).hexdigest()

    def _noted(self) -> dict[str, Any] | None:
        try:
            noted: dict[str, Any] = json.loads(self._head.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        except ValueError:
            raise StoreError(
                f"{self._head}: not what Hilum wrote", hint="restore it from a backup"
            ) from None
        return noted


def _key(path: Path) -> bytes:
    """Read the key; make it where there is none, without ever replacing one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        pass
    else:
        with os.fdopen(handle, "w") as stream:
            stream.write(secrets.token_hex(32))
            stream.flush()
            os.fsync(stream.fileno())
    return bytes.fromhex(path.read_text(encoding="ascii"))
