"""What the viewer is told of a film's sides and millimeters, and that it sees what was read."""

from __future__ import annotations

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

from hilum.apps.store.tables import Film, Read
from hilum.serve.samples import ROOT

API = "/api/v1"


@pytest.fixture
def mirrored(tmp_path):
    """The built-in film as a file that stores it mirrored, and says so."""
    dataset = dcmread(ROOT / "frontal.dcm")
    pixels = dataset.pixel_array
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.PixelData = np.ascontiguousarray(pixels[:, ::-1]).tobytes()
    dataset.PatientOrientation = ["R", "F"]
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    dataset.EstimatedRadiographicMagnificationFactor = 1.25
    path = tmp_path / "mirrored.dcm"
    dataset.save_as(path)
    return path


def seen(client, film_id):
    about = client.get(f"{API}/films/{film_id}/image").json()
    values = np.frombuffer(client.get(f"{API}/films/{film_id}/pixels").content, "<u2")
    return about, values.reshape(about["rows"], about["columns"])


def test_a_mirrored_film_is_shown_as_the_other_one(station, mirrored):
    client = station.client("reader")
    plain, right = seen(client, station.film(ROOT / "frontal.dcm"))
    film_id = station.film(mirrored)
    about, values = seen(client, film_id)
    assert np.array_equal(values, right)
    assert (about["orientation"], about["sides"]) == (["L", "F"], "stated")
    assert (plain["orientation"], plain["sides"]) == (["L", "F"], "stated")
    assert (plain["spacing_mm"], plain["spacing_plane"]) == ([0.36, 0.36], "detector")
    assert (about["spacing_mm"], about["spacing_plane"]) == (pytest.approx([0.288] * 2), "patient")
    assert "1.25" in about["spacing_source"]
    said = client.get(f"{API}/films/{film_id}/reading").json()["reading"]
    assert said["film"]["sides"] == "stated"
    assert any(step.startswith("orientation: stored R\\F") for step in said["history"])


def test_a_picture_says_that_its_sides_are_assumed(station):
    about, _ = seen(station.client("reader"), station.film(ROOT / "frontal.png"))
    assert (about["orientation"], about["sides"]) == (None, "assumed")
    assert (about["spacing_mm"], about["spacing_plane"]) == (None, None)


def test_a_film_that_the_gate_turned_has_assumed_sides(station):
    film_id = station.film(ROOT / "frontal.dcm")
    with station.service.store.write() as session:
        session.query(Read).one().corrected = ["upside-down"]
    about, _ = seen(station.client("reader"), film_id)
    assert (about["orientation"], about["sides"]) == (None, "assumed")


def test_an_older_reading_is_shown_on_the_film_as_it_was_read(station, mirrored):
    """Overlays of before films were turned stay on the anatomy, and the page says what is wrong."""
    film_id, client = station.film(mirrored), station.client("reader")
    _, turned = seen(client, film_id)
    with station.service.store.write() as session:
        read = session.query(Read).one()
        film = {key: value for key, value in read.reading["film"].items() if key != "sides"}
        read.reading = read.reading | {"film": film}
    about, values = seen(client, film_id)
    assert np.array_equal(values, turned[:, ::-1])
    assert about["sides"] == "assumed"
    assert any("have it read again" in note for note in about["notes"])
    station.client("reviewer").post(f"{API}/films/{film_id}/read", json={"force": False})
    station.read()
    about, values = seen(client, film_id)
    assert np.array_equal(values, turned)
    assert about["sides"] == "stated"


def test_the_browser_keeps_no_pixels_from_before(station):
    film_id = station.film(ROOT / "frontal.dcm")
    client = station.client("reader")
    tag = client.get(f"{API}/films/{film_id}/pixels").headers["etag"]
    with station.service.store.read() as session:
        sha256 = session.get_one(Film, film_id).sha256
    before = {"if-none-match": f'"{sha256[:32]}"'}
    assert client.get(f"{API}/films/{film_id}/pixels", headers=before).status_code == 200
    now = {"if-none-match": tag}
    assert client.get(f"{API}/films/{film_id}/pixels", headers=now).status_code == 304
