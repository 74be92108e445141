from __future__ import annotations

import gzip
import io
import struct
import zipfile

import cv2
import numpy as np
import pytest

from hilum.apps.web.settings import Limits, Settings
from hilum.apps.web.upload import short_name
from hilum.core.errors import StoreFullError
from hilum.image.open import open_radiograph
from hilum.image.stored import open_stored
from hilum.serve.samples import ROOT

API = "/api/v1"
DICOM = ROOT / "frontal.dcm"


def _zip(**members):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return out.getvalue()


def test_a_film_is_accepted_with_what_its_header_says(station):
    answer = station.send(DICOM)
    assert answer.status_code == 201
    (accepted,) = answer.json()["accepted"]
    assert not accepted["duplicate"]
    client = station.client("reader")
    film = client.get(f"{API}/films/{accepted['film_id']}").json()
    assert film["status"] == "queued"
    assert film["format"] == "DICOM DX"
    study = client.get(f"{API}/studies/{accepted['study_id']}").json()
    metadata = open_radiograph(DICOM).metadata
    assert study["patient"]["id"] == metadata.patient_id
    assert study["study_date"] == metadata.study_date


def test_the_same_film_twice_is_one_study(station, make_film):
    path = make_film(1)
    first = station.send(path).json()["accepted"][0]
    again = station.send(("other name.png", path.read_bytes())).json()["accepted"][0]
    assert again["duplicate"]
    assert (again["film_id"], again["study_id"]) == (first["film_id"], first["study_id"])
    assert station.client("reader").get(f"{API}/studies").json()["total"] == 1


def test_a_patient_is_searched_for_in_a_body(station, make_film):
    station.send(DICOM)
    station.send(make_film(1))
    client = station.client("reader")
    patient = open_radiograph(DICOM).metadata.patient_id
    asked = {"q": patient, "status": ["queued"], "sort": "priority", "reviewed": False}
    found = client.post(f"{API}/studies/search", json=asked).json()
    assert [each["patient"]["id"] for each in found["items"]] == [patient]
    assert found == client.get(f"{API}/studies", params=asked).json()
    whole = client.post(f"{API}/studies/search", json={"limit": 1}).json()
    assert (whole["total"], len(whole["items"])) == (2, 1)
    for wrong in ({"status": ["lost"]}, {"limit": 0}, {"patient": "x"}, {"from": "yesterday"}):
        assert client.post(f"{API}/studies/search", json=wrong).status_code == 422, wrong


def test_many_and_what_is_no_film_is_named(station, make_film):
    answer = station.send(make_film(1), ("notes.txt", b"words"), make_film(2), ("empty", b""))
    assert answer.status_code == 201
    lists = answer.json()
    assert len(lists["accepted"]) == 2
    assert [(e["name"], e["status"], e["code"]) for e in lists["rejected"]] == [
        ("notes.txt", 415, "not-a-film"),
        ("empty", 415, "not-a-film"),
    ]
    assert lists["rejected"][0]["detail"] == "text; expected a film"


def test_nothing_accepted_is_the_first_problem(station):
    answer = station.send(("notes.txt", b"words"))
    assert answer.status_code == 415
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["rejected"][0]["name"] == "notes.txt"


def test_a_zip_of_a_study(station, make_film):
    packed = _zip(**{
        "a/1.png": make_film(1).read_bytes(),
        "a/2.dcm": DICOM.read_bytes(),
        "__MACOSX/x": b"x",
        "a/.hidden": b"x",
        "a/readme.txt": b"words",
        "DICOMDIR": b"x",
    })  # fmt: skip
    lists = station.send(("study.zip", packed)).json()
    assert [each["name"] for each in lists["accepted"]] == ["1.png", "2.dcm"]
    assert [each["name"] for each in lists["rejected"]] == ["readme.txt"]


@pytest.mark.parametrize(
    "name", ["../../evil.png", "/etc/evil.png", "c:/evil.png", "a\\..\\..\\evil.png"]
)
def test_a_zip_with_a_path_that_leads_out_is_refused(station, make_film, name):
    packed = _zip(**{"ok.png": make_film(1).read_bytes(), name: b"x"})
    answer = station.send(("study.zip", packed))
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid")
    assert station.client("reader").get(f"{API}/studies").json()["total"] == 0


def test_a_zip_bomb_is_refused_by_what_it_says(station):
    answer = station.send(("bomb.zip", _zip(**{"film.dcm": bytes(50_000_000)})))
    assert answer.status_code == 413
    assert "bomb" in answer.json()["detail"]


def test_a_zip_bomb_that_lies_about_its_size_is_stopped(station):
    packed = bytearray(_zip(**{"film.dcm": bytes(20_000_000)}))
    central = packed.rindex(b"PK\x01\x02")
    packed[central + 24 : central + 28] = struct.pack("<I", 1000)  # uncompressed size
    answer = station.send(("bomb.zip", bytes(packed)))
    assert 400 <= answer.status_code < 500


def test_a_zip_in_a_zip_is_no_film(station, make_film):
    inner = _zip(**{"1.png": make_film(1).read_bytes()})
    answer = station.send(("outer.zip", _zip(**{"inner.zip": inner})))
    assert answer.status_code == 415


@pytest.mark.parametrize("cut", [10, 40, -30])
def test_a_broken_zip_is_one_problem(station, make_film, cut):
    answer = station.send(("x.zip", _zip(**{"1.png": make_film(1).read_bytes()})[:cut]))
    assert answer.status_code in (415, 422)


def test_an_encrypted_zip_says_so(station, make_film):
    packed = bytearray(_zip(**{"1.png": make_film(1).read_bytes()}))
    packed[packed.rindex(b"PK\x01\x02") + 8] |= 1
    answer = station.send(("x.zip", bytes(packed)))
    assert answer.status_code == 422
    assert "encrypted" in answer.json()["detail"]


def test_limits(make_station, make_film):
    limits = Limits(file_mb=0.05, request_mb=0.1, files=3, megapixels=0.05)
    station = make_station(Settings(limits=limits))
    large = station.send(make_film(1, size=(300, 300)))
    assert (large.status_code, large.json()["code"]) == (413, "too-large")
    flat = cv2.imencode(".png", np.zeros((300, 300), np.uint8))[1].tobytes()
    wide = station.send(("wide.png", flat))
    assert (wide.status_code, wide.json()["code"]) == (415, "unsupported")
    assert "megapixels" in wide.json()["detail"]
    many = station.send(*[(f"{i}.png", b"x") for i in range(4)])
    assert many.status_code == 400
    zipped = station.send(("x.zip", _zip(**{f"{i}.png": b"x" for i in range(4)})))
    assert zipped.status_code == 413


def test_a_request_that_is_too_large_is_stopped_before_it_is_read(make_station):
    station = make_station(Settings(limits=Limits(request_mb=0.001)))
    announced = station.send(("x.png", bytes(5_000_000)))
    assert announced.status_code == 413

    def chunks():
        for _ in range(100):
            yield bytes(100_000)

    streamed = station.client("reviewer").post(
        f"{API}/films",
        content=chunks(),
        headers={"Content-Type": "multipart/form-data; boundary=x"},
    )
    assert streamed.status_code in (400, 413)
    body = station.client("reviewer").post(f"{API}/films/{'0' * 16}/verdicts", content=chunks())
    assert body.status_code == 413


def test_a_full_disk_says_so_and_keeps_nothing(station, make_film, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("hilum.apps.store.folder._copy", full)
        answer = station.send(make_film(1))
        assert answer.status_code == StoreFullError.http_status == 507
        assert answer.json()["code"] == "disk-full"
        assert answer.json()["hint"]
    assert station.client("reader").get(f"{API}/studies").json()["total"] == 0
    assert station.send(make_film(1)).json()["accepted"][0]["duplicate"] is False


def test_pixels_have_the_whole_depth(station):
    film_id = station.film(DICOM)
    client = station.client("reader")
    about = client.get(f"{API}/films/{film_id}/image").json()
    stored = open_stored(DICOM)
    assert (about["rows"], about["columns"]) == stored.values.shape
    assert (about["bits"], about["max"], about["inverted"]) == (12, 4095, True)
    assert about["spacing_mm"] is not None
    assert about["default"] == about["presets"][0]["name"] == "film"
    answer = client.get(f"{API}/films/{film_id}/pixels", headers={"Accept-Encoding": "gzip"})
    assert answer.headers["content-encoding"] == "gzip"
    values = np.frombuffer(answer.content, "<u2").reshape(about["rows"], about["columns"])
    assert np.array_equal(values, stored.values)
    again = client.get(
        f"{API}/films/{film_id}/pixels", headers={"If-None-Match": answer.headers["etag"]}
    )
    assert (again.status_code, again.content) == (304, b"")
    plain = client.get(f"{API}/films/{film_id}/pixels", headers={"Accept-Encoding": "identity"})
    assert "content-encoding" not in plain.headers
    assert plain.content == stored.values.astype("<u2").tobytes()


def test_a_thumbnail_is_small(station, make_film):
    film_id = station.send(make_film(1, size=(600, 400))).json()["accepted"][0]["film_id"]
    answer = station.client("reader").get(f"{API}/films/{film_id}/thumbnail.jpg")
    picture = cv2.imdecode(np.frombuffer(answer.content, np.uint8), cv2.IMREAD_UNCHANGED)
    assert max(picture.shape) == 256


def test_a_film_of_12_bits_in_16_is_shown_through_its_automatic_window(station, tmp_path):
    picture = cv2.imread(str(DICOM.with_name("frontal.png")), cv2.IMREAD_GRAYSCALE)
    cv2.imwrite(str(tmp_path / "dark.png"), picture.astype(np.uint16) * 16)
    film_id = station.film(tmp_path / "dark.png")
    client = station.client("reader")
    about = client.get(f"{API}/films/{film_id}/image").json()
    names = [preset["name"] for preset in about["presets"]]
    assert (about["default"], names) == ("auto", ["auto", "full", "lungs", "bone"])
    assert about["max"] == 65535
    answer = client.get(f"{API}/films/{film_id}/thumbnail.jpg")
    shown = cv2.imdecode(np.frombuffer(answer.content, np.uint8), cv2.IMREAD_UNCHANGED)
    assert shown.std() > 40
    assert client.get(f"{API}/films/{film_id}/reading").json()["reading"]["status"] == "read"


def test_a_torn_film_is_accepted_and_says_why_it_was_not_read(station, make_film, tmp_path):
    whole = make_film(1).read_bytes()
    torn = tmp_path / "torn.png"
    torn.write_bytes(whole[: len(whole) // 2])
    film_id = station.film(torn)
    client = station.client("reader")
    reading = client.get(f"{API}/films/{film_id}/reading").json()["reading"]
    assert reading["status"] == "error"
    assert "truncated" in reading["reason"]
    assert reading["findings"] == []
    for picture in ("pixels", "image", "thumbnail.jpg"):
        shown = client.get(f"{API}/films/{film_id}/{picture}")
        assert (shown.status_code, shown.json()["code"]) == (422, "unreadable")
        assert shown.json()["detail"].startswith("broken or truncated PNG")
    for name in station.service.folder.root.rglob("*"):
        assert name.name not in shown.text


@pytest.mark.parametrize(
    ("name", "short"),
    [("a/b\\c.dcm", "c.dcm"), ("\x00\x01", "film"), ("x" * 300, "x" * 255), ("..", "..")],
)
def test_names_lose_their_folders_and_what_cannot_be_printed(name, short):
    assert short_name(name) == short


def test_a_patient_id_that_comes_with_the_second_copy_is_kept(station, make_film):
    """Else nothing that is asked for by the patient would find the film: no list, no erasure."""
    station.send(make_film(1))
    again = station.send(make_film(1), patient_id="P7").json()["accepted"][0]
    assert again["duplicate"] is True
    client = station.client("reviewer")
    (study,) = client.get(f"{API}/studies", params={"q": "p7"}).json()["items"]
    assert study["patient"]["id"] == "P7"
    assert station.client("reviewer").get(f"{API}/studies?q=film1").json()["total"] == 1
    assert station.send(make_film(1), patient_id="P8").json()["code"] == "rejected"
    assert station.send(make_film(1)).json()["accepted"][0]["duplicate"] is True


@pytest.mark.parametrize(
    "extra",
    [
        ("film", ("b.png", b"x")),
        ("files", (None, "text")),
        ("patient_id", (None, "P8")),
        ("patient_id", ("p.txt", b"P7")),
    ],
)
def test_nothing_of_a_form_is_passed_over(station, make_film, extra):
    path = make_film(1)
    parts = [("files", (path.name, path.read_bytes())), ("patient_id", (None, "P7"))]
    client = station.client("reviewer")
    answer = client.post(f"{API}/films", files=[*parts, extra])
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid")
    assert client.get(f"{API}/studies").json()["total"] == 0
    assert client.post(f"{API}/films", files=parts).status_code == 201


def test_a_patient_id_of_a_picture(station, make_film):
    one = station.send(make_film(1), patient_id="P7").json()["accepted"][0]
    two = station.send(make_film(2), patient_id="P7").json()["accepted"][0]
    study = station.client("reader").get(f"{API}/studies/{two['study_id']}").json()
    assert [each["study_id"] for each in study["prior"]] == [one["study_id"]]
    for wrong in ("x" * 65, "a\nb"):
        assert station.send(make_film(3), patient_id=wrong).status_code == 422


def test_gzip_is_gzip(station, make_film):
    film_id = station.send(make_film(1)).json()["accepted"][0]["film_id"]
    client = station.client("reader", **{"Accept-Encoding": "gzip"})
    with client.stream("GET", f"{API}/films/{film_id}/pixels") as answer:
        raw = b"".join(answer.iter_raw())
    assert len(gzip.decompress(raw)) == 2 * 200 * 160
