"""The worklist: every study once, in order, by what one asks for."""

from __future__ import annotations

import pytest

from hilum.apps.store.tables import Study
from hilum.apps.store.worklist import Asked, page, prior
from hilum.core.errors import (
    ConfigError,
)


def test_pages_hold_every_study_once_in_order(place):
    for i in range(25):
        place.add(bytes([i]), patient_id=f"P{i % 3}")
    place.read_all()
    for by_priority in (False, True):
        seen, cursor = [], None
        with place.store.read() as session:
            while True:
                found = page(session, Asked(limit=10, cursor=cursor, by_priority=by_priority))
                seen += found.items
                cursor = found.next
                if cursor is None:
                    break
        assert len({each.id for each in seen}) == 25
        keys = [(each.created_ms, each.id) for each in seen]
        assert keys == sorted(keys, reverse=True)
        assert found.total == 25
        assert found.counts["read"] == 25


def test_filters(place):
    a = place.add(b"a", patient_id="50%_A")
    place.add(b"b", patient_id="50xxA")
    place.read_all(probability=0.2)
    place.add(b"c", patient_id="other")
    with place.store.read() as session:
        found = [each.id for each in page(session, Asked(text="0%_a")).items]
        assert found == [a.study_id]
        assert [each.id for each in page(session, Asked(text=a.study_id)).items] == [a.study_id]
        assert page(session, Asked(label="covid-19")).items == []
        assert page(session, Asked(statuses=("queued",))).total == 1
        assert page(session, Asked(reviewed=True)).items == []
        assert page(session, Asked(from_ms=2**42)).total == 0
        with pytest.raises(ConfigError, match="cursor"):
            page(session, Asked(cursor="bm9uc2Vuc2U"))


def test_earlier_studies_are_of_the_same_patient(place):
    a = place.add(b"a", patient_id="P", study_uid="1", study_date="2020-01-01")
    b = place.add(b"b", patient_id="P", study_uid="2", study_date="2020-02-01")
    place.add(b"c", study_uid="3")
    with place.store.read() as session:
        assert [s.id for s in prior(session, session.get(Study, b.study_id))] == [a.study_id]
