"""Pictures of similar films: of the collection beside the server, by an address without a name."""

from __future__ import annotations

import copy

import cv2
import numpy as np
import pandas as pd
import pytest

from hilum.apps.store.tables import Film, Read
from hilum.apps.web.collection import open_collection
from hilum.bundle.folder import DEFAULT_BUNDLE, open_bundle
from hilum.bundle.similar import open_similar
from hilum.core.errors import CohortError, ConfigError
from hilum.serve.samples import ROOT

API = "/api/v1"
FILM = ROOT / "frontal-opacities.png"


@pytest.fixture(scope="module")
def known():
    """The case_ids of the films that the built-in bundle was trained on."""
    return open_similar(DEFAULT_BUNDLE).index.case_id.tolist()


@pytest.fixture
def write_table(tmp_path):
    """Write a cases table: {case_id: file}."""

    def write(films, name="cases.csv"):
        cases = pd.DataFrame(films, columns=["case_id", "path"]).assign(cohort="made")
        cases.assign(source="made", patient_id="p").to_csv(tmp_path / name, index=False)
        return tmp_path / name

    return write


@pytest.fixture
def station(make_station):
    return make_station(bundle=DEFAULT_BUNDLE)


def _reading(station, film_id, role="reader"):
    return station.client(role).get(f"{API}/films/{film_id}/reading").json()


@pytest.fixture
def read(station, write_table, make_film, known):
    """A film that was read, and a collection of all its similar films but the second."""
    film_id = station.film(FILM)
    details = _reading(station, film_id)["reading"]["details"]
    similar = [each["case_id"] for each in details["similar"]]
    films = [(case, make_film(n, level=40 * n + 20)) for n, case in enumerate(similar) if n != 1]
    table = write_table(films)
    station.service.collection, _ = open_collection(table, open_bundle(DEFAULT_BUNDLE))
    return film_id, similar, dict(films)


def test_the_reading_says_for_which_similar_films_there_is_a_picture(station, read):
    film_id, similar, films = read
    found = _reading(station, film_id)
    addresses = found["similar_pictures"]
    assert [bool(each) for each in addresses] == [case in films for case in similar]
    client = station.client("reader")
    for case, address in zip(similar, addresses, strict=True):
        if address is None:
            continue
        answer = client.get(address)
        assert answer.status_code == 200, answer.text
        assert answer.headers["content-type"] == "image/jpeg"
        shown = cv2.imdecode(np.frombuffer(answer.content, np.uint8), cv2.IMREAD_GRAYSCALE)
        file = cv2.imread(str(films[case]), cv2.IMREAD_GRAYSCALE)
        assert shown.shape == file.shape
        assert abs(float(shown.mean()) - float(file.mean())) < 2


@pytest.mark.parametrize(("distance", "warned"), [(0.0, True), (0.02, False)])
def test_a_film_of_the_training_is_named_as_one(station, distance, warned):
    film_id = station.film(FILM)
    with station.service.store.write() as session:
        film = session.get_one(Film, film_id)
        read = session.get_one(Read, film.reading_id)
        changed = copy.deepcopy(read.reading)
        changed["details"]["similar"][0]["distance"] = distance
        read.reading = changed
    assert ("was trained on this film" in _reading(station, film_id)["trained"]) is warned


def test_the_address_carries_nothing_of_the_film(station, read):
    film_id, similar, _ = read
    found = _reading(station, film_id)
    place = f"{API}/readings/{found['reading_id']}/similar"
    expected = [f"{place}/{n}.jpg" if n != 1 else None for n in range(len(similar))]
    assert found["similar_pictures"] == expected


def test_what_is_not_there_is_a_404(station, read, caplog):
    film_id, similar, films = read
    found = _reading(station, film_id)
    client = station.client("reader")
    first = found["similar_pictures"][0]
    films[similar[0]].unlink()
    films[similar[2]].write_bytes(b"damaged")
    lacking = [
        first.replace("/0.jpg", "/1.jpg"),
        first.replace("/0.jpg", "/99.jpg"),
        first.replace(found["reading_id"], "0" * 16),
        first,
        first.replace("/0.jpg", "/2.jpg"),
    ]
    for address in lacking:
        answer = client.get(address)
        assert (answer.status_code, answer.json()["code"]) == (404, "not-found"), address
        assert not any(case in answer.text for case in similar)
    assert "cases.csv row 3: the film cannot be opened" in caplog.text
    assert not any(case in caplog.text for case in similar)
    again = _reading(station, film_id)["similar_pictures"]
    assert [bool(each) for each in again] == [False, False, True, True, True]


def test_without_a_collection_there_is_none(station, read):
    film_id, similar, _ = read
    address = _reading(station, film_id)["similar_pictures"][0]
    station.service.collection = None
    assert _reading(station, film_id)["similar_pictures"] == [None] * len(similar)
    assert station.client("reader").get(address).status_code == 404


def test_a_film_that_waits_has_an_empty_list(station):
    film_id = station.send(FILM).json()["accepted"][0]["film_id"]
    assert _reading(station, film_id)["similar_pictures"] == []


def test_a_blind_reviewer_gets_none_until_every_finding_is_answered(station, read):
    film_id, _, _ = read
    address = _reading(station, film_id)["similar_pictures"][0]
    client = station.client("reviewer")
    assert client.put(f"{API}/me/blind", json={"on": True}).status_code == 200
    answer = client.get(address)
    assert (answer.status_code, answer.json()["code"]) == (409, "blind-read-pending")
    labels = [output.label for output in open_bundle(DEFAULT_BUNDLE).manifest.labels]
    for finding, after in zip(labels, (409, 200), strict=True):
        verdict = {"finding": finding, "verdict": "present", "blind": True}
        given = client.post(f"{API}/films/{film_id}/verdicts", json=verdict)
        assert given.status_code == 201, given.text
        assert client.get(address).status_code == after


def test_who_saw_a_picture_has_seen_the_machines_answer(station, read):
    film_id, _, _ = read
    address = _reading(station, film_id)["similar_pictures"][0]
    client = station.client("reviewer")
    assert client.get(address).status_code == 200
    client.put(f"{API}/me/blind", json={"on": True})
    verdict = {"finding": "covid-19", "verdict": "present", "blind": True}
    given = client.post(f"{API}/films/{film_id}/verdicts", json=verdict)
    assert (given.status_code, given.json()["code"]) == (409, "already-seen")


def test_it_is_said_how_many_pictures_there_are(write_table, make_film, known):
    table = write_table([(known[0], make_film(1)), (known[1], "gone.png"), ("other", "x.png")])
    collection, about = open_collection(table, open_bundle(DEFAULT_BUNDLE))
    assert f"pictures of 1 of the {len(known)}" in about
    assert known[0] in collection
    assert known[1] not in collection


def test_a_wrong_table_is_said(write_table, make_film, known, small_bundle, tmp_path):
    bundle = open_bundle(DEFAULT_BUNDLE)
    film = make_film(1)
    with pytest.raises(CohortError, match=r"stands twice: .* row 2 and row 3"):
        open_collection(write_table([(known[0], film), (known[0], film)]), bundle)
    with pytest.raises(CohortError, match="none of its 1 films is one of the"):
        open_collection(write_table([("other/1", film)]), bundle)
    with pytest.raises(ConfigError, match=r"none of the 1 films .* is there; .*gone\.png"):
        open_collection(write_table([(known[0], "gone.png")]), bundle)
    with pytest.raises(CohortError, match="No such file"):
        open_collection(tmp_path / "no.csv", bundle)
    (tmp_path / "other.csv").write_text("a,b\n1,2\n")
    with pytest.raises(CohortError, match="no column case_id"):
        open_collection(tmp_path / "other.csv", bundle)
    with pytest.raises(ConfigError, match="does not know which films are similar"):
        open_collection(write_table([(known[0], film)]), open_bundle(small_bundle))


def test_hilum_serve_takes_the_table(serving, write_table, make_film, known, tmp_path):
    table = write_table([(known[0], make_film(1))])
    token = serving.make_token(tmp_path / "data", role="reviewer")
    served = serving.Served(tmp_path / "data", None, None, "--cases", str(table))
    try:
        served.start()
        with served.client(token) as client:
            assert client.get("/me").status_code == 200
    finally:
        served.stop()
    wrong = write_table([("other/1", "x.png")])
    served = serving.Served(tmp_path / "data", None, None, "--cases", str(wrong))
    with pytest.raises(RuntimeError, match="ended with 4"):
        served.start()
