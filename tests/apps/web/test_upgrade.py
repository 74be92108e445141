"""A folder of data of release 0.3.0 (``release-0.3.0``: its own server made it) serves on.

Three virtual films were sent and read by the bundle of then; rosa agreed with one answer, disagreed
with one and then was not sure, and wrote a report. Nothing of it may be lost or say another thing.
"""

from __future__ import annotations

import json
import shutil
import sqlite3
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from hilum.apps.cli.main import run
from hilum.apps.web.app import create_app
from hilum.apps.web.serve import Place, make_service

API = "https://hilum.hospital/api/v1"
OLD = Path(__file__).with_name("release-0.3.0")
PASSWORD = "correct horse battery"


@pytest.fixture
def data(tmp_path):
    folder = tmp_path / "data"
    shutil.copytree(OLD, folder)
    store = sqlite3.connect(folder / "store.db")
    store.executescript((folder / "store.sql").read_text(encoding="utf-8"))
    store.close()
    (folder / "store.sql").unlink()
    return folder


@pytest.fixture
def rosa(data, calibrated_bundle):
    service = make_service(Place.of(data, None), bundle=calibrated_bundle, worker=False)
    client = TestClient(create_app(service), base_url="https://hilum.hospital")
    signed_in = client.post(f"{API}/login", json={"name": "rosa", "password": PASSWORD})
    assert signed_in.status_code == 200, signed_in.text
    client.headers["X-CSRF-Token"] = client.get(f"{API}/me").json()["csrf"]
    yield client
    service.store.close()


def _study(client, name):
    studies = client.get(f"{API}/studies").json()["items"]
    (found,) = (each for each in studies if each["name"] == f"{name}.png")
    return client.get(f"{API}/studies/{found['study_id']}").json()


def _reading_of_then(film_id):
    store = sqlite3.connect(":memory:")
    store.executescript((OLD / "store.sql").read_text(encoding="utf-8"))
    (kept,) = store.execute("SELECT reading FROM readings WHERE film_id = ?", [film_id]).fetchone()
    store.close()
    return json.loads(kept)


def test_films_readings_verdicts_and_reports_are_as_they_were(rosa):
    opaque, clear = _study(rosa, "frontal-opacities"), _study(rosa, "frontal")
    (agreed,) = opaque["verdicts"]
    assert (agreed["verdict"], agreed["call"]) == ("present", "present")  # "agree" in 0.3.0
    assert (agreed["text"], agreed["by"]) == ("as the model says", "rosa")
    assert agreed["marks"][0]["points"] == [[60, 90], [90, 140]]
    unsure, disagreed = clear["verdicts"]
    assert (unsure["verdict"], unsure["text"]) == ("unsure", "hard to say")
    # "disagree", where the model had ruled nothing out: what was meant cannot be known any more
    assert (disagreed["verdict"], disagreed["call"]) == ("unknown", None)
    (report,) = opaque["reports"]
    assert (report["title"], report["version"]) == ("Chest radiograph", 1)
    refused = _study(rosa, "lateral")
    assert refused["films"][0]["status"] == "refused"
    film_id = opaque["films"][0]["film_id"]
    kept = rosa.get(f"{API}/films/{film_id}/reading").json()["reading"]
    then = _reading_of_then(film_id)
    now = {each["label"]: each for each in kept["findings"]}
    for finding in then["findings"]:
        same = {key: now[finding["label"]][key] for key in ("score", "probability", "present")}
        assert same == {key: finding[key] for key in same}
    assert kept["bundle"] == then["bundle"]
    assert rosa.get(f"{API}/films/{film_id}/pixels").status_code == 200


def test_an_old_film_gets_a_verdict_and_is_read_again(rosa):
    film_id = _study(rosa, "frontal")["films"][0]["film_id"]
    body = {"finding": "covid-19", "verdict": "absent"}
    given = rosa.post(f"{API}/films/{film_id}/verdicts", json=body)
    assert given.status_code == 201, given.text
    assert rosa.post(f"{API}/films/{film_id}/read", json={}).status_code == 202
    assert _study(rosa, "frontal")["films"][0]["status"] == "queued"


def test_the_sealed_log_goes_on(rosa, data, capsys):
    """Signing in added a line to the ten of 0.3.0, whose seal still holds."""
    assert run(["store", "verify", "--home", str(data), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["lines"] > 10
