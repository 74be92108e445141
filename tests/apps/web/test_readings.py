from __future__ import annotations

import json

import cv2
import numpy as np
import pytest

from hilum.apps.web.evidence import corrections, fill, outlines, put_right
from hilum.core.reading import Reading
from hilum.image.write import write_png
from hilum.serve.gate import CORRECTIONS
from hilum.serve.reader import load_bundle
from hilum.serve.samples import ROOT

API = "/api/v1"


def test_the_reading_is_the_readers_own(station, make_film, calibrated_bundle):
    path = make_film(1)
    film_id = station.film(path)
    found = station.client("reader").get(f"{API}/films/{film_id}/reading").json()
    expected = load_bundle(calibrated_bundle).read(path)
    assert found["status"] == "read"
    assert found["bundle"] == expected.bundle
    reading = Reading.model_validate(found["reading"])
    assert reading.findings == expected.findings
    assert reading.path == path.name


def test_a_film_that_waits_has_no_reading_yet(station, make_film):
    station.send(make_film(1))
    film_id = station.send(make_film(2)).json()["accepted"][0]["film_id"]
    found = station.client("reader").get(f"{API}/films/{film_id}/reading").json()
    assert found["reading"] is None
    assert (found["status"], found["queue_ahead"]) == ("queued", 1)
    overlays = station.client("reader").get(f"{API}/films/{film_id}/overlays")
    assert (overlays.status_code, overlays.json()["code"]) == (409, "not-read")


def test_a_refused_film_has_a_reason_and_never_a_probability(station, tmp_path):
    blank = tmp_path / "blank.png"
    cv2.imwrite(str(blank), np.full((200, 160), 77, np.uint8))
    film_id = station.film(blank)
    found = station.client("reader").get(f"{API}/films/{film_id}/reading")
    assert "probability" not in found.text
    assert found.json()["reading"]["refusal"]["code"] == "blank"
    (study,) = station.client("reader").get(f"{API}/studies").json()["items"]
    assert (study["status"], study["findings"], study["priority"]) == ("refused", [], None)
    assert study["refusal"] == "blank"


def test_a_refused_film_can_be_read_all_the_same_and_is_marked(station, tmp_path):
    blank = tmp_path / "blank.png"
    cv2.imwrite(str(blank), np.full((200, 160), 77, np.uint8))
    film_id = station.film(blank)
    asked = station.client("reviewer").post(f"{API}/films/{film_id}/read", json={"force": True})
    assert asked.status_code == 202
    station.read()
    reading = station.client("reader").get(f"{API}/films/{film_id}/reading").json()["reading"]
    assert (reading["status"], reading["forced"]) == ("read", True)
    assert reading["refusal"]["code"] == "blank"


def test_another_prevalence_moves_the_probability_only(station, make_film):
    film_id = station.film(make_film(1))
    client = station.client("reader")
    path = f"{API}/films/{film_id}/reading"
    before = client.get(path).json()["reading"]["findings"][0]
    after = client.get(f"{path}?prevalence=0.01").json()["reading"]["findings"][0]
    assert after["probability"] < before["probability"]
    assert after["prevalence"] == 0.01
    assert (after["score"], after["present"]) == (before["score"], before["present"])
    assert client.get(f"{path}?prevalence=1").status_code == 422
    point = client.get(f"{path}?operating_point=sensitive").json()["reading"]["findings"][0]
    assert point["threshold"] == 0.1
    assert client.get(f"{path}?operating_point=none").status_code == 400


def test_heatmaps_are_the_models_own_arithmetic(station, make_film, calibrated_bundle):
    path = make_film(1, size=(1100, 800))
    film_id = station.film(path)
    client = station.client("reader")
    overlays = client.get(f"{API}/films/{film_id}/overlays").json()
    assert (overlays["rows"], overlays["columns"]) == (1100, 800)
    about = overlays["heatmaps"][0]
    raw = client.get(about["f32"])
    shape = (about["rows"], about["columns"])
    assert max(shape) == 512
    assert raw.headers["x-hilum-rows"] == str(shape[0])
    heatmap = np.frombuffer(raw.content, "<f4").reshape(shape)
    reader = load_bundle(calibrated_bundle)
    (examined,) = reader.examine([path], keep=True)
    expected = reader.on_film(examined.evidence, about["label"], shape, examined.lungs)
    assert np.allclose(heatmap, expected, atol=1e-6, equal_nan=True)
    png = cv2.imdecode(np.frombuffer(client.get(about["png"]).content, np.uint8), -1)
    assert png.dtype == np.uint16
    low, high = about["low"], about["high"]
    back = low + (png.astype(np.float64) - 1) * (high - low) / 65534
    assert np.allclose(back, heatmap, atol=(high - low) / 60000)
    missing = client.get(f"{API}/films/{film_id}/heatmaps/mass.png")
    assert missing.status_code == 404


def test_the_lungs_are_those_of_the_reader(station, calibrated_bundle):
    path = ROOT / "frontal.png"
    film_id = station.film(path)
    client = station.client("reader")
    mask = cv2.imdecode(
        np.frombuffer(client.get(f"{API}/films/{film_id}/lungs.png").content, np.uint8), -1
    )
    (examined,) = load_bundle(calibrated_bundle).examine([path], keep=True)
    assert np.array_equal(mask > 0, examined.lungs.on_film(examined.radiograph.shape))
    overlays = client.get(f"{API}/films/{film_id}/overlays").json()
    drawn = fill([each["outline"] for each in overlays["lungs"]], mask.shape)
    both = ((drawn > 0) & (mask > 0)).sum()
    assert 2 * both / ((drawn > 0).sum() + (mask > 0).sum()) > 0.97


@pytest.mark.parametrize("kind", sorted(CORRECTIONS))
def test_pixels_are_put_right_as_the_reader_did(kind):
    values = np.arange(12, dtype=np.uint16).reshape(3, 4)
    done = CORRECTIONS[kind].done
    assert corrections((f"corrected: {done} (why)", "other: step")) == (kind,)
    expected = CORRECTIONS[kind].put_right(values.astype(np.float32) / 15)
    assert np.allclose(put_right(values, 15, [kind]) / 15, expected, atol=1e-6)


def test_outlines_surround_their_mask():
    mask = np.zeros((60, 80), bool)
    mask[10:30, 20:50] = True
    (outline,) = outlines(mask)
    assert np.array_equal(fill([outline], mask.shape) > 0, mask)


def test_a_damaged_bundle_is_said_and_films_wait(make_station, make_bundle, make_film, tmp_path):
    bundle = make_bundle(tmp_path / "bundle")
    station = make_station(bundle=bundle)
    (bundle / "model.onnx").write_bytes(b"damaged")
    assert station.send(make_film(1)).status_code == 201
    me = station.client("reader").get(f"{API}/me").json()
    assert me["bundle"] is None
    assert me["bundle_error"].startswith("model.onnx: sha256 ")
    told = station.client("administrator").get(f"{API}/calibration").json()
    assert (told["code"], told["detail"]) == ("bundle", me["bundle_error"])
    ready = station.client().get(f"{API}/ready")
    assert ready.status_code == 503
    assert ready.json()["bundle"] != "ok"
    with pytest.raises(AssertionError):
        station.read()
    assert station.client("reader").get(f"{API}/studies").json()["counts"]["queued"] == 1


def test_the_schema_of_a_reading_is_given(station):
    schema = station.client("reader").get(f"{API}/schema/reading.json").json()
    assert "findings" in schema["properties"]


def test_a_film_that_ends_its_worker_is_given_up(station, make_film, monkeypatch):
    film_id = station.send(make_film(1)).json()["accepted"][0]["film_id"]
    from hilum.apps.store import queue

    for attempt in range(queue.MAX_ATTEMPTS):
        queue.claim(station.service.store, f"dead{attempt}")
        queue.release(station.service.store, f"dead{attempt}")
    station.read()
    reading = station.client("reader").get(f"{API}/films/{film_id}/reading").json()["reading"]
    assert reading["status"] == "error"
    assert "3 times" in reading["reason"]


def test_no_patient_is_named_in_events_or_the_log(station, make_film):
    station.film(make_film(1), patient_id="SECRET-7")
    log = json.dumps(station.client("administrator").get(f"{API}/log").json())
    assert "SECRET-7" not in log
    assert "film1.png" not in log
    with station.service.store.engine.connect() as connection:
        events = connection.exec_driver_sql("SELECT data FROM events").fetchall()
    assert "SECRET-7" not in str(events)
    assert "0." not in str([json.loads(e[0]).keys() for e in events])


def test_a_corrected_film_is_shown_as_it_was_read(station, tmp_path, monkeypatch):
    values = np.linspace(0, 1, 200 * 160).reshape(200, 160)
    path = tmp_path / "x.png"
    write_png(path, values)
    film_id = station.film(path)
    client = station.client("reader")
    before = np.frombuffer(client.get(f"{API}/films/{film_id}/pixels").content, "<u2")
    from hilum.apps.store.tables import Read

    with station.service.store.write() as session:
        read = session.query(Read).one()
        read.corrected = ["rotated-left"]
    about = client.get(f"{API}/films/{film_id}/image").json()
    assert (about["rows"], about["columns"]) == (160, 200)
    assert about["corrected"] == [CORRECTIONS["rotated-left"].done]
    after = np.frombuffer(client.get(f"{API}/films/{film_id}/pixels").content, "<u2")
    assert np.array_equal(after.reshape(160, 200), np.rot90(before.reshape(200, 160), -1))
