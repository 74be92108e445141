"""The worklist: every study once, in order, by what one asks for."""

from __future__ import annotations

from dataclasses import replace

import pytest
from sqlalchemy import event, select

from hilum.apps.store.export import columns_of
from hilum.apps.store.people import Role, add_person
from hilum.apps.store.tables import Film, Study, Verdict, now_ms
from hilum.apps.store.worklist import Asked, beside, page, prior
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


def _judge(session, study_id, person, at_ms=None):
    film = session.query(Film).filter_by(study_id=study_id).first()
    verdict = Verdict(film_id=film.id, person_id=person, finding="covid-19", verdict="absent")
    verdict.at_ms = at_ms or now_ms()
    session.add(verdict)
    session.get_one(Study, study_id).verdicts += 1


@pytest.mark.parametrize("by_priority", [False, True])
def test_neighbors_are_those_of_the_pages(place, by_priority):
    """Every study has the one before and after it of the list that the pages give."""
    for i in range(12):
        place.add(bytes([i]), patient_id="odd" if i % 2 else "even")
    place.read_all()  # all have one priority: the time decides
    with place.store.read() as session:
        began = now_ms()
        for text in ("", "odd", "nobody"):
            asked = Asked(text=text, by_priority=by_priority, reader="anna", began_ms=began)
            rows = [each.id for each in page(session, asked).items]
            start = beside(session, asked, None)
            assert (start.place, start.total, start.judged) == (None, len(rows), 0)
            assert (start.after and start.after.id) == (rows[0] if rows else None)
            for i, study_id in enumerate(rows):
                found = beside(session, asked, session.get(Study, study_id))
                assert (found.place, found.total) == (i + 1, len(rows))
                assert (found.before and found.before.id) == (rows[i - 1] if i else None)
                after = rows[i + 1] if i + 1 < len(rows) else None
                assert (found.after and found.after.id) == after
        (even,) = page(session, Asked(text="even", limit=1)).items
        odd = Asked(text="odd", by_priority=by_priority, reader="anna", began_ms=began)
        outside = beside(session, odd, even)
        assert (outside.place, outside.total) == (None, 6)
        assert outside.before or outside.after


def test_what_is_judged_in_a_round_stays_in_it_and_what_comes_later_does_not(place):
    old, new, other = (place.add(each).study_id for each in (b"old", b"new", b"other"))
    place.read_all()
    began = now_ms()
    with place.store.write() as session:
        anna, bert = (add_person(session, name, Role.REVIEWER).id for name in ("anna", "bert"))
        _judge(session, old, anna, at_ms=began - 1)  # before: it is out
        _judge(session, other, bert)  # of another person: it is out
        _judge(session, new, anna)
    late = place.add(b"late").study_id
    with place.store.write() as session:
        session.get_one(Study, late).created_ms = began + 1
    asked = Asked(reviewed=False, reader=anna, began_ms=began)
    with place.store.read() as session:
        found = beside(session, asked, session.get(Study, new))
    assert (found.place, found.total, found.judged) == (1, 1, 1)
    assert (found.before, found.after, found.unjudged) == (None, None, None)


def _lets_through(asked, study, untold, mine):
    """What the filter says of a study, written out; ``mine``: when the reader judged which."""
    told, text = study.id not in untold, asked.text.lower()
    searched = [study.patient_id or "", study.name if told else ""]
    reviewed = study.verdicts > 0 if told else study.id in mine
    again = asked.began_ms is not None and mine.get(study.id, 0) >= asked.began_ms
    return (
        (not asked.statuses or study.status in asked.statuses)
        and (not text or text == study.id or any(text in each.lower() for each in searched))
        and (asked.label is None or asked.label in study.labels.split(","))
        and (asked.refusal is None or study.refusal == asked.refusal)
        and (asked.reviewed is not True or reviewed)
        and (asked.reviewed is not False or not reviewed or again)
        and (asked.began_ms is None or study.created_ms <= asked.began_ms)
        and (asked.from_ms is None or study.created_ms >= asked.from_ms)
        and (asked.to_ms is None or study.created_ms < asked.to_ms)
    )


@pytest.fixture
def mixed(place):
    """16 studies of each status, of three patients, judged by one or another person, or nobody."""
    before = 1_000_000
    for i in range(16):
        place.add(bytes([i]), patient_id=f"P{i % 3}", study_uid=f"1.{i}")
    place.read_all()
    place.add(b"queued", patient_id="P1")
    with place.store.write() as session:
        anna, bert = (add_person(session, each, Role.REVIEWER).id for each in ("anna", "bert"))
        studies = list(session.scalars(select(Study).order_by(Study.created_ms, Study.id)))
        for i, study in enumerate(studies):
            study.created_ms = before + i // 2 * 10  # two at once
            study.priority = i % 4 / 4
            study.name = f"COVID-{i}.png" if i % 2 else f"p1-{i}.png"
            study.search = f"{study.patient_id}\n{study.name}".lower()
            study.labels = ",covid-19," if i % 5 < 2 else ""
            if i % 7 == 3:
                study.status, study.refusal = "refused", "not-a-radiograph"
            if i % 4 == 1:
                _judge(session, study.id, bert, at_ms=before + 1)
            if i % 3 == 1:
                _judge(session, study.id, anna, at_ms=before + (100 if i % 2 else 5))
    listed = [each.id for i, each in enumerate(studies) if i % 5 in (1, 4)]
    return Asked(reader=anna, began_ms=before + 70), listed


@pytest.mark.parametrize("by_priority", [False, True])
@pytest.mark.parametrize("listed", [False, True])
def test_a_place_is_that_of_a_count_written_out(place, mixed, by_priority, listed):
    """Of every study, whether the filter lets it through or not, by every filter."""
    asked, studies = mixed
    asked = replace(asked, by_priority=by_priority)
    untold = set(studies) if listed else set()
    if listed:
        asked = replace(asked, unnamed=select(Film.study_id).where(Film.study_id.in_(studies)))
    filters = [
        {}, {"began_ms": None}, {"statuses": ("read",)}, {"statuses": ("refused", "queued")},
        {"text": "p1"}, {"text": "covid-1"}, {"text": studies[0]}, {"label": "covid-19"},
        {"refusal": "not-a-radiograph"}, {"reviewed": True}, {"reviewed": False},
        {"reviewed": False, "began_ms": None}, {"reviewed": True, "began_ms": None},
        {"reviewed": False, "statuses": ("read",), "text": "p1", "label": "covid-19"},
        {"reviewed": True, "text": "covid"}, {"from_ms": 1_000_020, "to_ms": 1_000_060},
        {"reviewed": False, "from_ms": 1_000_010}, {"text": "nobody"},
    ]  # fmt: skip
    sizes = set()
    with place.store.read() as session:
        query = select(Film.study_id, Verdict.at_ms).join(Verdict, Verdict.film_id == Film.id)
        mine = dict(session.execute(query.where(Verdict.person_id == asked.reader)).all())
        key = lambda s: (s.priority if by_priority else 0, s.created_ms, s.id)  # noqa: E731
        every = sorted(session.scalars(select(Study)), key=key, reverse=True)
        for kind in filters:
            chosen = replace(asked, **kind)
            those = [each for each in every if _lets_through(chosen, each, untold, mine)]
            left = next((each for each in those if each.id not in mine), None)
            judged = sum(each.id in mine for each in those)
            sizes.add((len(those), judged))
            start = beside(session, chosen, None)
            assert (start.total, start.judged, start.unjudged) == (len(those), judged, left)
            assert (start.place, start.after) == (None, those[0] if those else None)
            for here in every[::3]:
                ahead = [each for each in those if key(each) > key(here)]
                behind = [each for each in those if key(each) < key(here)]
                found = beside(session, chosen, here)
                assert found.place == (len(ahead) + 1 if here in those else None), kind
                assert (found.total, found.judged) == (len(those), judged), kind
                assert found.before == (ahead[-1] if ahead else None), kind
                assert found.after == (behind[0] if behind else None), kind
                assert found.unjudged == left, kind
    assert len(sizes) > 8


def test_the_first_study_is_one_row(place):
    """A database that sends all that a query finds must not be asked for every study."""
    for content in (b"a", b"b", b"c"):
        place.add(content)
    fetched = []
    with place.store.read() as session:
        listen = session.get_bind(), "before_cursor_execute"
        note = lambda *told: fetched.append(told[2])  # noqa: E731
        event.listen(*listen, note)
        beside(session, Asked(reader="nobody"), None)
        columns_of(session)
        event.remove(*listen, note)
    ordered = [each for each in fetched if "ORDER BY" in each]
    assert len(ordered) == 2
    assert all("LIMIT" in each for each in ordered)
    spoken = [each for each in fetched if ".finding \nFROM" in each]
    assert len(spoken) == 2
    assert all("DISTINCT" in each for each in spoken)
