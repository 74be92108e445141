"""A film that ends its decoder ends neither a request, nor the worker, nor the page."""

from __future__ import annotations

import os

from hilum.image import decoders

API = "/api/v1"


def test_the_other_files_of_a_request_are_taken(station, make_film, dangerous, tmp_path):
    films = [make_film(1), dangerous(tmp_path / "crash.dcm", "CRASH"), make_film(2)]
    films += [dangerous(tmp_path / "panic.dcm", "PANIC"), make_film(3)]
    answer = station.send(*films)
    assert answer.status_code == 201
    body = answer.json()
    assert [film["name"] for film in body["accepted"]] == ["film1.png", "film2.png", "film3.png"]
    assert [(film["name"], film["code"]) for film in body["rejected"]] == [
        ("crash.dcm", "unreadable"),
        ("panic.dcm", "unreadable"),
    ]
    assert all("ended its decoder" in film["detail"] for film in body["rejected"])


def test_it_is_read_once_and_shown_to_nobody(station, make_film, dangerous, tmp_path, monkeypatch):
    """It ended the worker twice, and the server, where it was looked at."""
    planted = os.environ["PYTHONPATH"]
    monkeypatch.delenv("PYTHONPATH")
    body = station.send(dangerous(tmp_path / "crash.dcm", "CRASH"), make_film(1)).json()
    film_id, other = (film["film_id"] for film in body["accepted"])
    monkeypatch.setenv("PYTHONPATH", planted)
    decoders.close()
    station.read()
    client = station.client("reviewer")
    reading = client.get(f"{API}/films/{film_id}/reading").json()["reading"]
    assert reading["status"] == "error"
    assert "ended its decoder (SIGSEGV)" in reading["reason"]
    other_reading = client.get(f"{API}/films/{other}/reading").json()["reading"]
    assert other_reading["status"] == "read"
    image = client.get(f"{API}/films/{film_id}/image")
    assert image.status_code == 422
    assert "ended its decoder (SIGSEGV)" in image.json()["detail"]
