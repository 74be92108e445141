"""The store itself: its tables, and what it says when it is full, locked, damaged or not there."""

from __future__ import annotations

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import text

from hilum.apps.store import queue
from hilum.apps.store.store import open_store
from hilum.apps.store.tables import Event, Film, Job, Model, Setting, Study, Table
from hilum.bundle.folder import DEFAULT_BUNDLE, open_bundle
from hilum.bundle.manifest import Manifest
from hilum.core.errors import (
    ConfigError,
    StoreBusyError,
    StoreError,
    StoreFullError,
)


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_the_migrations_make_the_tables_of_the_code(make_store_url, kind):
    store = open_store(make_store_url(kind, bare=True))
    with store.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, Table.metadata) == []
    store.close()


def test_a_store_of_a_newer_hilum_is_refused(place, store_url):
    with place.store.write() as session:
        session.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(StoreError, match="newer Hilum"):
        open_store(store_url)


@pytest.mark.parametrize("url", ["", "nonsense", "sqlite://", "mysql://x/y", "oracle://x"])
def test_other_addresses_are_refused(url):
    with pytest.raises(ConfigError) as caught:
        open_store(url)
    assert caught.value.hint


def test_a_database_that_is_not_there_is_one_error():
    with pytest.raises(StoreError) as caught:
        open_store("postgresql://hilum@127.0.0.1:9/none?connect_timeout=2")
    assert "127.0.0.1" in caught.value.message


def test_numbers_that_are_none_are_null_in_every_store(place):
    """PostgreSQL takes no NaN in JSON; the bundle of the package has such a number."""
    bundle = open_bundle(DEFAULT_BUNDLE)
    manifest = bundle.manifest.model_dump(mode="json")
    queue.know_model(place.store, bundle.checksum, bundle.identity, manifest)
    queue.know_model(place.store, "d" * 64, "x 1", {"a": [float("nan"), {"b": float("inf")}, 1.5]})
    with place.store.read() as session:
        kept = session.get(Model, bundle.checksum).manifest
        assert session.get(Model, "d" * 64).manifest == {"a": [None, {"b": None}, 1.5]}
    known = Manifest.model_validate(kept)
    assert known.model_dump_json() == bundle.manifest.model_dump_json()


def test_a_disk_without_space_keeps_nothing(place, monkeypatch, tmp_path):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("hilum.apps.store.folder._copy", full)
    with pytest.raises(StoreFullError, match="No space left"):
        place.add(b"x")
    assert place.all(Film) == []
    assert list((tmp_path / "data" / "incoming").iterdir()) == []


def test_a_transaction_that_fails_leaves_no_row(place, monkeypatch):
    def broken(*_, **__):
        raise StoreBusyError("locked")

    monkeypatch.setattr(place.log, "add", broken)
    with pytest.raises(StoreBusyError):
        place.add(b"x")
    for table in (Film, Study, Job, Event):
        assert place.all(table) == []


def test_a_store_that_stays_locked_says_so(store_url, monkeypatch):
    """A writer that stands still, because its machine does, must not stop all others for ever."""
    monkeypatch.setattr("hilum.apps.store.store.BUSY_MS", 100)
    store, other = open_store(store_url), open_store(store_url)
    with other.write() as session:
        session.add(Setting(key="x", value=1))
        session.flush()
        with pytest.raises(StoreBusyError, match=r"locked|timeout"), store.write():
            pass
    store.close()
    other.close()


def test_a_damaged_sqlite_store_says_so(tmp_path):
    path = tmp_path / "store.db"
    path.write_bytes(b"not a database" * 1000)
    with pytest.raises(StoreError, match="damaged") as caught:
        open_store(f"sqlite:///{path}")
    assert "backup" in caught.value.hint


def test_a_full_sqlite_store_says_so(tmp_path):
    store = open_store(f"sqlite:///{tmp_path / 'store.db'}")

    def write():
        with store.write() as session:
            session.execute(text("PRAGMA max_page_count = 1"))
            session.add(Setting(key="x", value="y" * 10_000_000))

    with pytest.raises(StoreFullError, match="cannot grow"):
        write()
    store.close()
