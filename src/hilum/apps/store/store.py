"""Store: one database, SQLite or PostgreSQL, and how to read and write it.

    store = open_store("sqlite:////var/lib/hilum/store.db")
    with store.write() as session: ...      # all of it or nothing
    with store.read() as session: ...

SQLite runs with a write-ahead log, so that readers never wait for the writer, and every commit is
on disk before it returns. A write begins by taking the one write lock: it waits for it, instead of
failing in the middle when two processes write at once. On PostgreSQL a lock of Hilum's own does the
same, so that both behave alike: one writer at a time, and no write that has to be tried again.
"""

from __future__ import annotations

import json
import math
import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from errno import EDQUOT, EFBIG, ENOSPC
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, make_url, text
from sqlalchemy.exc import (
    ArgumentError,
    InterfaceError,
    NoSuchModuleError,
    OperationalError,
    SQLAlchemyError,
)
from sqlalchemy.orm import Session, sessionmaker

from hilum.core.errors import (
    ConfigError,
    HilumError,
    MissingExtraError,
    StoreBusyError,
    StoreError,
    StoreFullError,
)

BUSY_MS = 10_000
"""How long a write waits for its turn before it gives up."""
_CONNECT_S = 10
AT_ONCE = 500
"""Parameters of one statement: SQLite takes a limited number of them."""
_FULL = (ENOSPC, EDQUOT, EFBIG)
_MOMENT = "REPEATABLE READ"
"""How PostgreSQL calls that all statements of a session see the same rows, as SQLite's do."""
_MIGRATIONS = Path(__file__).parent / "migrations"
_WRITER = 0x48494C55  # any number that no one else uses: "HILU"


class Store:
    """A database that is open and up to date.

    Args:
        engine: of SQLAlchemy; see ``open_store``.
    """

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.sqlite = engine.dialect.name == "sqlite"
        moment = engine if self.sqlite else engine.execution_options(isolation_level=_MOMENT)
        self._reading = sessionmaker(moment, expire_on_commit=False)
        writing = engine.execution_options(writes=True)
        self._writing = sessionmaker(writing, expire_on_commit=False)

    @contextmanager
    def read(self) -> Iterator[Session]:
        """Yield a session that sees one moment of the store.

        Raises:
            StoreBusyError, StoreError: the database does not answer.
        """
        with _explained(), self._reading() as session:
            yield session

    @contextmanager
    def write(self) -> Iterator[Session]:
        """Yield a session whose changes are all on disk when the block ends, or none of them.

        Raises:
            StoreBusyError, StoreFullError, StoreError: nothing was written.
        """
        with _explained(), self._writing.begin() as session:
            session.connection()  # begins now, and so takes SQLite's lock
            if not self.sqlite:
                session.execute(text(f"SET LOCAL lock_timeout = {BUSY_MS}"))
                session.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _WRITER})
            yield session

    def forget(self) -> None:
        """Let what was deleted leave SQLite's journal, too, as far as nobody is reading there."""
        if self.sqlite:
            with _explained(), self.engine.connect() as connection:
                connection.connection.driver_connection.execute(  # type: ignore[union-attr]
                    "PRAGMA wal_checkpoint(TRUNCATE)"
                )

    def close(self) -> None:
        """Close every connection."""
        self.engine.dispose()


def open_store(url: str, *, upgrade: bool = True) -> Store:
    """Open a store; make it, or bring its tables up to date.

    Args:
        url: as SQLAlchemy has it: ``sqlite:///folder/store.db``, ``postgresql://user@host/name``.
        upgrade: False for a worker, whose server has done it.

    Raises:
        ConfigError: not such an address.
        MissingExtraError: the driver of PostgreSQL is not installed.
        StoreError: it cannot be opened, or a newer Hilum has written it.
    """
    engine = _engine(url)
    if upgrade:
        try:
            with _explained():
                _upgrade(engine)
        except HilumError:
            engine.dispose()
            raise
    return Store(engine)


def sqlite_url(path: Path) -> str:
    """Return the address of an SQLite file."""
    return f"sqlite:///{path.resolve()}"


def explain(error: SQLAlchemyError | OSError) -> StoreError:
    """Say in Hilum's words why the database or the disk refused."""
    if isinstance(error, OSError):
        why = f"{error.strerror or error}; nothing was kept of this"
        if is_full(error):
            hint = "make space where the films and the store lie, then send it again"
            return StoreFullError(why, hint=hint)
        return StoreError(why, hint="check the folder of data, its disk and its rights")
    origin = getattr(error, "orig", None)
    said = " ".join(str(origin or error).split())[:200]
    if "disk is full" in said or "No space left" in said or "disk I/O error" in said:
        return StoreFullError(f"the store cannot grow: {said}", hint="make space, then try again")
    if "locked" in said or "timeout" in said or getattr(error, "connection_invalidated", False):
        return StoreBusyError(f"the store is busy: {said}", hint="try again in a few seconds")
    if "not a database" in said or "malformed" in said:
        return StoreError(f"the store is damaged: {said}", hint="restore it from a backup")
    if isinstance(error, (OperationalError, InterfaceError)):
        return StoreBusyError(
            f"the store does not answer: {said}",
            hint="check that its database runs, and its rights",
        )
    return StoreError(f"the store refused: {said}", hint="please report it")


def parts(items: list[str]) -> Iterator[list[str]]:
    """Give a list in parts that one statement can take as parameters."""
    return (items[start : start + AT_ONCE] for start in range(0, len(items), AT_ONCE))


def is_full(error: BaseException) -> bool:
    """Say whether the disk, a quota or a limit lets no file grow further."""
    if isinstance(
        error, shutil.Error
    ):  # of a folder that is copied: the reasons stand in its words
        return any(os.strerror(code) in str(error) for code in _FULL)
    return isinstance(error, OSError) and error.errno in _FULL


@contextmanager
def _explained() -> Iterator[None]:
    try:
        yield
    except HilumError:
        raise
    except SQLAlchemyError as error:
        raise explain(error) from error


def _json(value: Any) -> str:
    """Write JSON as the standard has it: PostgreSQL takes no NaN, and what reads it wants null."""
    try:
        return json.dumps(value, allow_nan=False)
    except ValueError:
        return json.dumps(_without_nan(value), allow_nan=False)


def _without_nan(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _without_nan(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_without_nan(each) for each in value]
    return value


def _engine(url: str) -> Engine:
    try:
        address = make_url(url)
        if address.drivername in ("postgresql", "postgres"):
            address = address.set(drivername="postgresql+psycopg")
        if address.get_backend_name() == "sqlite":
            return _sqlite(address)
        if address.get_backend_name() == "postgresql":
            return create_engine(
                address.update_query_dict({"connect_timeout": str(_CONNECT_S)} | address.query),
                pool_pre_ping=True,
                pool_size=10,
                max_overflow=40,
                hide_parameters=True,
                json_serializer=_json,
            )
    except ModuleNotFoundError as error:
        raise MissingExtraError.of("postgresql", str(error.name)) from None
    except (ArgumentError, NoSuchModuleError, ValueError):
        pass
    raise ConfigError(
        "the address of the store is not one that Hilum knows",
        hint="sqlite:///folder/store.db or postgresql://user@host/name",
    )


def _sqlite(address: Any) -> Engine:
    if not address.database or address.database == ":memory:":
        raise ConfigError(
            "a store in memory would forget its films", hint="name a file: sqlite:///store.db"
        )
    path = Path(address.database)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(0o600)  # it names patients: for its owner alone, in whatever folder it lies
    engine = create_engine(
        address,
        connect_args={"timeout": BUSY_MS / 1000, "check_same_thread": False},
        pool_size=10,
        max_overflow=40,
        hide_parameters=True,  # an error in a log must not name a patient
        json_serializer=_json,
    )
    event.listen(engine, "connect", _prepare)
    event.listen(engine, "begin", _begin)
    return engine


def _prepare(connection: sqlite3.Connection, _: Any) -> None:
    """Let SQLAlchemy say BEGIN itself, and commit to disk."""
    connection.isolation_level = None
    for pragma in (
        "journal_mode = WAL",
        "synchronous = FULL",
        "foreign_keys = ON",
        "secure_delete = ON",  # what is deleted is overwritten, and not only forgotten
        f"busy_timeout = {BUSY_MS}",
    ):
        connection.execute(f"PRAGMA {pragma}")


def _begin(connection: Connection) -> None:
    writes = connection.get_execution_options().get("writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _upgrade(engine: Engine) -> None:
    from alembic import command  # the processes beside a server open its store without
    from alembic.config import Config as AlembicConfig
    from alembic.runtime.migration import MigrationContext
    from alembic.script import ScriptDirectory

    config = AlembicConfig()
    config.set_main_option("script_location", str(_MIGRATIONS))
    known = ScriptDirectory.from_config(config)
    with engine.execution_options(writes=True).begin() as connection:
        if engine.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _WRITER})
        found = MigrationContext.configure(connection).get_current_revision()
        if found == known.get_current_head():
            return
        if found is not None and found not in {each.revision for each in known.walk_revisions()}:
            raise StoreError(
                f"the store is of a newer Hilum (revision {found})",
                hint="install that Hilum, or name another store",
            )
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
