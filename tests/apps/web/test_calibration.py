"""Calibration to the site when bundles change, break or are taken back."""

from __future__ import annotations

import shutil

import cv2
import numpy as np
import pandas as pd
import pytest
from sqlalchemy import select

from hilum.apps.store.folder import FilmFolder
from hilum.apps.store.tables import Film
from hilum.apps.web.calibration import _compare, _distance, _leak_check
from hilum.apps.web.pictures import Pictures
from hilum.bundle.folder import DEFAULT_BUNDLE, open_bundle, seal
from hilum.bundle.similar import Index, write_similar
from hilum.core.errors import LeakageError
from hilum.core.files import sha256_of
from hilum.data.fingerprint import look
from hilum.image.open import open_radiograph
from hilum.judge import site
from hilum.serve.samples import ROOT

API = "/api/v1"
FINDING = "covid-19"


@pytest.fixture
def admin(station):
    return station.client("administrator")


@pytest.fixture
def candidate(station, admin, make_film, monkeypatch):
    """A candidate that was fitted to ten patients; its id."""
    monkeypatch.setattr(site, "LEAST_PATIENTS", 4)
    for i in range(10):
        film_id = station.film(make_film(i, level=20 * i), patient_id=f"P{i}")
        value = int(i >= 5) if i not in (4, 5) else int(i == 4)
        admin.put(f"{API}/films/{film_id}/reference", json={"finding": FINDING, "value": value})
    made = admin.post(f"{API}/calibration/preview", json={"site": "St. Anna"})
    assert made.status_code == 201, made.text
    return made.json()["candidate_id"]


def test_a_candidate_of_another_bundle_is_not_offered_and_not_applied(station, admin, candidate):
    """After an upgrade of the bundle it would bring the old network back."""
    station.service.bundles.base = DEFAULT_BUNDLE
    assert admin.get(f"{API}/calibration").json()["candidates"] == []
    answer = admin.post(f"{API}/calibration/apply", json={"candidate_id": candidate})
    assert (answer.status_code, answer.json()["code"]) == (409, "conflict")
    assert station.service.bundles.open().root == DEFAULT_BUNDLE


def test_undo_does_not_bring_another_bundle_back(station, admin, candidate):
    apply = {"candidate_id": candidate}
    assert admin.post(f"{API}/calibration/apply", json=apply).status_code == 200
    before = station.service.bundles.base
    station.service.bundles.base = DEFAULT_BUNDLE
    assert admin.get(f"{API}/calibration").json()["previous"] is None
    assert admin.post(f"{API}/calibration/undo").status_code == 409
    station.service.bundles.base = before
    assert admin.post(f"{API}/calibration/undo").status_code == 200


def test_what_was_undone_has_nothing_before_it(admin, candidate):
    admin.post(f"{API}/calibration/apply", json={"candidate_id": candidate})
    assert admin.get(f"{API}/calibration").json()["previous"] == {
        "base": True,
        "candidate_id": None,
    }
    assert admin.post(f"{API}/calibration/undo").json()["previous"] is None


def test_a_damaged_candidate_is_left_out_and_not_applied(station, admin, candidate):
    (station.service.bundles.calibrated / candidate / "bundle.json").write_text("{}")
    answer = admin.get(f"{API}/calibration")
    assert (answer.status_code, answer.json()["candidates"]) == (200, [])
    answer = admin.post(f"{API}/calibration/apply", json={"candidate_id": candidate})
    assert (answer.status_code, answer.json()["code"]) == (503, "bundle")


def test_a_damaged_calibration_that_reads_can_be_undone(station, admin, candidate):
    admin.post(f"{API}/calibration/apply", json={"candidate_id": candidate})
    (station.service.bundles.calibrated / candidate / "bundle.json").write_text("{}")
    (station.service.bundles.calibrated / candidate / "checksums.json").write_text("{}")
    assert admin.post(f"{API}/calibration/undo").status_code == 200
    assert station.service.bundles.open().root == station.service.bundles.base


def test_a_verdict_that_was_given_blind_is_the_truth_of_a_calibration(station, make_film):
    """What was said after the machine's answer leans towards it: the machine would be its judge."""
    from hilum.apps.store.reviewed import films_with_verdicts

    film_id = station.film(make_film(1))
    client = station.client("reviewer")
    client.put(f"{API}/me/blind", json={"on": True})
    said = {"finding": FINDING, "verdict": "present", "blind": True}
    assert client.post(f"{API}/films/{film_id}/verdicts", json=said).status_code == 201
    client.put(f"{API}/me/blind", json={"on": False})
    later = {"finding": FINDING, "verdict": "absent"}
    assert client.post(f"{API}/films/{film_id}/verdicts", json=later).status_code == 201
    with station.service.store.read() as session:
        (row,) = films_with_verdicts(session)
    assert row["truth"] == {FINDING: 1}


def test_films_that_one_still_reads_in_a_list_are_in_no_calibration_of_ones_own(
    station, admin, candidate
):
    """Its figures would tell what others say of them, also where one's own verdicts are given."""
    people = {each["name"]: each["user_id"] for each in admin.get(f"{API}/users").json()["items"]}
    with station.service.store.read() as session:
        films = [each.id for each in session.scalars(select(Film).order_by(Film.created_ms))]
    body = {"name": "spring", "film_ids": films[:1], "findings": [FINDING], "blind": False}
    body |= {"readers": [people["administrator-1"]]}
    made = admin.post(f"{API}/lists", json=body).json()["list_id"]
    answer = admin.get(f"{API}/calibration").json()
    assert answer["lists_left_out"]
    told = answer["available"]
    for source in ("reference", "verdicts"):
        counted = told[source][FINDING]
        assert (counted["positives"], counted["negatives"]) == (5, 4), source
    asked = {"site": "St. Anna", "source": "verdicts"}
    fitted = admin.post(f"{API}/calibration/preview", json=asked).json()
    assert (fitted["adaptation"]["films"], fitted["adaptation"]["not_read"]) == (9, 0)
    rest = admin.post(f"{API}/lists", json=body | {"name": "rest", "film_ids": films}).json()[
        "list_id"
    ]
    none = admin.post(f"{API}/calibration/preview", json=asked)
    assert (none.status_code, none.json()["code"]) == (422, "invalid")
    assert "of your open reading lists are left out" in none.json()["hint"]
    for each in (made, rest):
        admin.patch(f"{API}/lists/{each}", json={"closed": True})
    answer = admin.get(f"{API}/calibration").json()
    assert not answer["lists_left_out"]
    told = answer["available"]
    assert told["verdicts"][FINDING]["negatives"] == 5


def looking(root, film):
    """Give a bundle the index that its training on a film would have left."""
    seen = look(open_radiograph(film).pixels)
    index = Index(
        model=sha256_of(root / "model.onnx"),
        mean=np.zeros(2, np.float32),
        axes=np.eye(2, dtype=np.float16),
        films=np.ones((1, 2), np.float16),
        case_id=np.array(["there/0"]),
        cohort=np.array(["there"]),
        group=np.zeros(1, np.int32),
        labels=np.ones((1, 1), np.int8),
        names=np.array([FINDING]),
        look=seen[None],
    )
    write_similar(root / "similar.npz", index)
    seal(root)
    return root


def test_a_training_film_that_was_stored_again_with_loss_calibrates_nothing_unless_asked_for(
    make_station, make_film, calibrated_bundle, tmp_path, monkeypatch
):
    monkeypatch.setattr(site, "LEAST_PATIENTS", 4)
    root = looking(shutil.copytree(calibrated_bundle, tmp_path / "bundle"), ROOT / "frontal.png")
    station = make_station(bundle=root)
    admin = station.client("administrator")
    for i in range(11):
        film, value = make_film(i, level=20 * i), int(i >= 5) if i not in (4, 5) else int(i == 4)
        if i == 0:
            smaller = cv2.resize(cv2.imread(str(ROOT / "frontal.png")), (500, 600))
            film = tmp_path / "copy.jpg"
            cv2.imwrite(str(film), smaller, [cv2.IMWRITE_JPEG_QUALITY, 60])
        film_id = station.film(film, patient_id=f"P{i}")
        admin.put(f"{API}/films/{film_id}/reference", json={"finding": FINDING, "value": value})
    with station.service.store.read() as session:  # a film that can be compared no more
        gone = session.get_one(Film, film_id).sha256
    station.service.folder.path(gone).write_bytes(b"damaged")
    answer = admin.post(f"{API}/calibration/preview", json={"site": "St. Anna"})
    assert answer.status_code == 422
    assert "1 of 11 films were seen by" in answer.json()["detail"]
    asked = {"site": "St. Anna", "allow_seen": True}
    answer = admin.post(f"{API}/calibration/preview", json=asked)
    assert answer.status_code == 201, answer.text
    said = answer.json()["adaptation"]["leak_check"]
    assert "of 11, 10 were compared with the films of training by pixels, and 1 are copies" in said


def test_without_looks_the_reading_knows_a_copy_with_equal_pixels(calibrated_bundle, tmp_path):
    """Its details name the nearest film of training: at no distance it is the film itself."""
    near = {"details": {"similar": [{"distance": 0.0}, {"distance": 0.3}]}}
    far, silent = {"details": {"similar": [{"distance": 0.2}]}}, {"details": None}
    rows = [
        {"case_id": case_id, "label": label, "distance": _distance(reading)}
        for case_id, reading in (("a", near), ("b", far), ("c", silent))
        for label in ("covid-19", "pneumonia")
    ]
    base, pictures = open_bundle(calibrated_bundle), Pictures(FilmFolder(tmp_path / "films"), 10)
    copied = _compare(base, pd.DataFrame(rows), pictures)
    assert copied == {"a": True, "b": False, "c": None}
    with pytest.raises(LeakageError, match=r"1 of 3 films were seen by .* first: a \(copy"):
        _leak_check(base, copied, allow=False)
    said = _leak_check(base, copied, allow=True)
    assert "of 3, 2 were compared with the films of training by pixels, and 1 are copies" in said
    assert LeakageError("").http_status == 422
