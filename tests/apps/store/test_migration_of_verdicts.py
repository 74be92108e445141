"""Verdicts that an older Hilum kept as agreement become verdicts of the finding, or unknown."""

from __future__ import annotations

import json

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import create_engine, text

from hilum.apps.store import store as stores
from hilum.apps.store.reviewed import films_with_verdicts, reviewed
from hilum.apps.store.store import open_store

GIVEN = [  # (verdict, kept call, present at the point, set) -> verdict and call now
    ("agree", 1, True, "present", "present", 1),
    ("disagree", 0, True, "present", "absent", 0),
    ("agree", 0, False, "absent", "absent", 0),
    ("disagree", 1, False, "absent", "present", 1),
    ("agree", 0, False, "indeterminate", "unknown", None),
    ("agree", 1, True, "none", "unknown", None),
    ("disagree", 0, True, "indeterminate", "unknown", None),
    ("agree", 1, True, "absent", "unknown", None),
    ("agree", 1, True, None, "present", 1),
    ("unsure", None, True, "present", "unsure", None),
    ("present", 1, False, "absent", "present", 1),
    ("absent", 0, True, "indeterminate", "absent", 0),
    ("agree", 1, None, None, "unknown", None),  # its reading is gone
]


def _old_store(url, tmp_path):
    """A store as revision 0001 left it, with one film and verdict each."""
    address = url.replace("postgresql://", "postgresql+psycopg://")
    engine = create_engine(address)
    config = Config()
    config.set_main_option("script_location", str(stores._MIGRATIONS))
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        run = connection.execute
        run(text("INSERT INTO people (id, name, role, blind, disabled, created_ms) VALUES "
                 "('p', 'anna', 'reviewer', false, false, 1)"))  # fmt: skip
        run(text("INSERT INTO models (checksum, identity, manifest, created_ms) VALUES "
                 "('c', 'blocks', '{}', 1)"))  # fmt: skip
        for place, (verdict, call, present, kept, *_) in enumerate(GIVEN):
            finding = {
                "label": "covid-19", "probability": 0.9, "score": 0.9, "present": present,
                "prediction_set": kept, "prevalence": 0.4,
            }  # fmt: skip
            short = {key: finding[key] for key in ("label", "probability", "prediction_set")}
            values = {
                "f": f"f{place}", "s": f"s{place}", "r": f"r{place}", "v": f"v{place}",
                "findings": json.dumps([short | {"present": present}]),
                "reading": json.dumps({"findings": [finding], "bundle": "blocks"}),
                "verdict": verdict, "call": call,
            }  # fmt: skip
            run(text("INSERT INTO studies (id, name, film_id, status, findings, labels, search, "
                     "priority, created_ms, films, verdicts, reports) VALUES (:s, 'a', :f, 'read', "
                     ":findings, '', '', 0.9, 1, 1, 1, 0)"), values)  # fmt: skip
            run(text("INSERT INTO films (id, study_id, sha256, name, size, format, status, "
                     "reading_id, created_ms) VALUES (:f, :s, :f, 'a', 1, 'PNG', 'read', :r, 1)"),
                values)  # fmt: skip
            if present is not None:
                run(text("INSERT INTO readings (id, film_id, checksum, forced, status, reading, "
                         "corrected, created_ms, waited_ms) VALUES (:r, :f, 'c', false, 'read', "
                         ":reading, '[]', 1, 1)"), values)  # fmt: skip
            run(text("INSERT INTO verdicts (id, film_id, reading_id, person_id, finding, verdict, "
                     "call, text, marks, blind, at_ms) VALUES (:v, :f, :r, 'p', 'covid-19', "
                     ":verdict, :call, '', '[]', false, 1)"), values)  # fmt: skip
    engine.dispose()


@pytest.mark.parametrize("kept", [None, {}, {"findings": None}, {"findings": [{"label": "x"}]}])
def test_a_damaged_reading_leaves_its_verdict_unknown_and_the_store_opens(
    make_store_url, tmp_path, kept
):
    url = make_store_url("sqlite", bare=True)
    _old_store(url, tmp_path)
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(
            text("UPDATE readings SET reading = :kept WHERE id = 'r0'"), {"kept": json.dumps(kept)}
        )
    engine.dispose()
    store = open_store(url)
    with store.read() as session:
        found = session.execute(text("SELECT verdict, call FROM verdicts ORDER BY id")).all()
    store.close()
    assert tuple(found[0]) == ("unknown", None)


@pytest.fixture(params=["sqlite", "postgresql"])
def store(request, make_store_url, tmp_path):
    url = make_store_url(request.param, bare=True)
    _old_store(url, tmp_path)
    made = open_store(url)
    yield made
    made.close()


def test_what_can_be_derived_is_and_what_cannot_is_unknown(store):
    with store.read() as session:
        rows = session.execute(text("SELECT id, verdict, call FROM verdicts"))
        found = {row[0]: (row[1], row[2]) for row in rows}
    assert found == {f"v{place}": (each[4], each[5]) for place, each in enumerate(GIVEN)}


def test_nothing_unknown_feeds_agreement_or_calibration(store):
    expected = {f"f{place}": each[5] for place, each in enumerate(GIVEN) if each[2] is not None}
    with store.read() as session:
        assert {each.film_id: each.call for each in reviewed(session)} == expected
        used = {each["film_id"]: each["truth"]["covid-19"] for each in films_with_verdicts(session)}
    assert used == {film: call for film, call in expected.items() if call is not None}


def test_the_worklist_knows_the_answers(store):
    with store.read() as session:
        found = session.execute(text("SELECT id, findings FROM studies")).all()
    answers = {
        row[0]: (row[1] if isinstance(row[1], list) else json.loads(row[1])) for row in found
    }
    assert answers["s0"][0]["answer"] == "present"
    assert answers["s4"][0]["answer"] == answers["s7"][0]["answer"] == "cannot-say"
