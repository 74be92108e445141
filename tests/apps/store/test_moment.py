"""A read sees one moment of the store, whatever is written meanwhile."""

from __future__ import annotations

from sqlalchemy import func, select

from hilum.apps.store.store import open_store
from hilum.apps.store.tables import Setting


def test_a_read_sees_one_moment(store_url):
    store = open_store(store_url)
    count = select(func.count()).select_from(Setting)
    with store.read() as reading:
        before = reading.scalar(count)
        with store.write() as writing:
            writing.add(Setting(key="new", value=1))
        assert reading.scalar(count) == before
        assert reading.get(Setting, "new") is None
    with store.read() as reading:
        assert reading.scalar(count) == before + 1
    store.close()
