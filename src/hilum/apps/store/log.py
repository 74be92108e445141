"""The log: who did what to which film, when and with which model; lines are only ever added.

Each line carries HMAC-SHA256(key, hash of the line before + the line as JSON). The key lies in the
folder of data, not in the database: whoever changes, removes or inserts a line there cannot make
the hashes fit again. What was the last line is also noted beside the key now and then, so that
lines missing at the end are found as well. The store remembers a mark of its key: a command that
names another folder of data by mistake is refused, instead of sealing lines that fit nowhere.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import json
import os
import re
import secrets
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import Session

from hilum.apps.store.folder import sync_folder
from hilum.apps.store.store import Store
from hilum.apps.store.tables import Line, Setting, iso, now_ms
from hilum.core.errors import ConfigError, StoreError
from hilum.core.files import write_text

KEY = "log.key"
HEAD = "log.head"
SEALED_BY = "log-key"
"""The setting with the mark of the key that seals this store's log."""
_START = "0" * 64
_PAGE = 1000


@dataclass(frozen=True, slots=True)
class Verified:
    """What ``Log.verify`` found.

    Attributes:
        lines: how many are whole.
        problem: names the first line that is wrong, or None.
        unfit: the lines themselves are sealed rightly so far, but not those that the note beside
            the key is of: lines were removed at the end, or an older database was restored.
    """

    lines: int
    problem: str | None = None
    unfit: bool = False

    @property
    def ok(self) -> bool:
        """No line was changed, inserted or removed."""
        return self.problem is None


def open_log(store: Store, data: Path) -> Log:
    """Open the log of a store; the first key to come is its own from then on.

    Args:
        store: that holds the lines.
        data: folder with the key; it is made where the store has none yet.

    Raises:
        ConfigError: another folder of data belongs to this store.
        StoreError: the key is damaged, or the store is empty though lines of its log were noted.
    """
    with store.read() as session:
        known, first = session.get(Setting, SEALED_BY), session.get(Line, 1)
    if (known is not None or first is not None) and not (data / KEY).exists():
        raise _elsewhere(data)
    if first is None and (noted := _noted(data / HEAD)):
        raise StoreError(
            f"{data}: the store is empty, but its log had {noted['seq']} lines: it was lost, or is "
            "another one",
            hint="restore the database from a backup; to begin anew, name an empty folder by "
            "--home",
        )
    log = Log(store, data)
    if known is None and (first is None or log.sealed_first(first)):
        with store.write() as session:
            known = session.get(Setting, SEALED_BY) or Setting(key=SEALED_BY, value=log.mark)
            session.add(known)
    if known is None or known.value != log.mark:
        raise _elsewhere(data)
    return log


class Log:
    """The log of a store; see ``open_log``.

    Args:
        store: that holds the lines.
        data: folder with the key and the note of the last line; the key is made if need be.
    """

    def __init__(self, store: Store, data: Path) -> None:
        self._store = store
        self._head = data / HEAD
        self._key = _key(data / KEY)

    @property
    def mark(self) -> str:
        """What the store knows of the key: enough to tell it from another, and no more."""
        return hmac.new(self._key, b"the key of a log", hashlib.sha256).hexdigest()

    def sealed_first(self, line: Line) -> bool:
        """Say whether the first line of a store was sealed with this key."""
        return hmac.compare_digest(self._hash(_START, line), line.hash)

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
        noted = _noted(self._head)
        with self._store.read() as session:
            before, count = _START, 0
            first = session.scalar(select(func.min(Line.seq)))
            if first is not None and first < 1:
                return Verified(0, "a line before the first is not Hilum's")
            while lines := self._page(session, count):
                for line in lines:
                    count += 1
                    if line.seq != count:
                        return Verified(count - 1, f"line {count} is missing")
                    if not hmac.compare_digest(self._hash(before, line), line.hash):
                        return Verified(count - 1, f"line {count} is not what was written")
                    if noted and noted["seq"] == count and noted["hash"] != line.hash:
                        problem = f"line {count} differs from the note beside it"
                        return Verified(count - 1, problem, unfit=True)
                    before = line.hash
        if noted and noted["seq"] > count:
            problem = f"lines {count + 1} to {noted['seq']} are missing at the end"
            return Verified(count, problem, unfit=True)
        return Verified(count)

    def note_head(self) -> None:
        """Write down which line is the last one, beside the key.

        A note that no longer fits stays: it is what tells that lines are missing.
        """
        noted = _noted(self._head)
        with self._store.read() as session:
            last = session.scalars(select(Line).order_by(Line.seq.desc()).limit(1)).first()
            then = session.get(Line, noted["seq"]) if noted else None
        if last is None or (noted and (then is None or then.hash != noted["hash"])):
            return
        if noted is None or noted["seq"] < last.seq:
            write_text(self._head, json.dumps({"seq": last.seq, "hash": last.hash}) + "\n")

    def lines(
        self, *, limit: int, before: int | None = None, only: ColumnElement[bool] | None = None
    ) -> list[Line]:
        """Return the newest lines, or those before a number; newest first; ``only`` some."""
        query = select(Line).order_by(Line.seq.desc()).limit(limit)
        if only is not None:
            query = query.where(only)
        if before is not None:
            query = query.where(Line.seq < before)
        with self._store.read() as session:
            return list(session.scalars(query))

    def after(self, seq: int) -> Iterator[Line]:
        """Yield the lines after a number, oldest first: those that a collector of logs lacks."""
        with self._store.read() as session:
            while lines := self._page(session, seq):
                yield from lines
                seq = lines[-1].seq

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


def _noted(head: Path) -> dict[str, Any] | None:
    """Read which line was noted as the last one; None where none was."""
    try:
        noted: dict[str, Any] = json.loads(head.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except ValueError:
        raise _damaged(head) from None
    if not isinstance(noted, dict) or set(noted) != {"seq", "hash"}:
        raise _damaged(head)
    return noted


def _key(path: Path) -> bytes:
    """Read the key; make it where there is none, whole, and without ever replacing one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        _make_key(path)
    text = path.read_text(encoding="ascii", errors="replace").strip()
    if not re.fullmatch("[0-9a-f]{64}", text):
        raise _damaged(path)
    return bytes.fromhex(text)


def _make_key(path: Path) -> None:
    handle, name = tempfile.mkstemp(dir=path.parent)  # readable by its owner alone
    temporary = Path(name)
    try:
        with os.fdopen(handle, "w") as stream:
            stream.write(secrets.token_hex(32))
            stream.flush()
            os.fsync(stream.fileno())
        with contextlib.suppress(FileExistsError):  # another process was first: its key is the key
            path.hardlink_to(temporary)
        sync_folder(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def _damaged(path: Path) -> StoreError:
    return StoreError(f"{path}: not what Hilum wrote", hint="restore it from a backup")


def _elsewhere(data: Path) -> ConfigError:
    return ConfigError(
        f"{data}: another folder of data belongs to this store",
        hint=f"name it by --home; where it is lost, restore its {KEY} from a backup",
    )
