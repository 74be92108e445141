"""Films by STOW-RS: what is answered is what a C-STORE would be told, in the words of PS3.18."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import shutil

import anyio
import pytest
from pydicom import dcmread
from sqlalchemy import select

from hilum.apps.node import dicomweb
from hilum.apps.node.settings import Node, Peer, Route
from hilum.apps.store.tables import Film, Line, Received
from hilum.apps.web import films, stow
from hilum.apps.web.settings import Limits, Settings
from hilum.core.errors import StoreFullError
from hilum.serve.samples import ROOT

API = "/api/v1/dicom-web/studies"
KIND = 'multipart/related; type="application/dicom"; boundary=x-1'
FAILED, STORED, REASON, UID = "00081198", "00081199", "00081197", "00081155"


def film(number, **attributes):
    """Return the bytes of a film of its own."""
    dataset = dcmread(ROOT / "frontal.dcm")
    values = {
        "SOPInstanceUID": f"1.2.3.{number}.3",
        "StudyInstanceUID": f"1.2.3.{number}.1",
        "PatientName": "Secretive^Patricia",
        "PatientID": f"SECRET-{number}",
    } | attributes
    for keyword, value in values.items():
        setattr(dataset, keyword, value)
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    buffer = io.BytesIO()
    dataset.save_as(buffer)
    return buffer.getvalue()


def body(*files, kind=b"application/dicom", end=b"\r\n--x-1--\r\n"):
    parts = [b"--x-1\r\nContent-Type: %s\r\n\r\n" % kind + each for each in files]
    return b"\r\n".join(parts) + end


def post(station, content, path=API, role="reviewer", kind=KIND):
    return station.client(role).post(path, content=content, headers={"Content-Type": kind})


def rows(station, table):
    with station.service.store.read() as session:
        return list(session.scalars(select(table)))


def left(station):
    return list((station.service.data / "incoming").iterdir())


def _values(told, sequence, tag=UID):
    return [each[tag]["Value"][0] for each in told[sequence]["Value"]]


def test_films_are_kept_as_they_came_and_said_to_be(station):
    one, two = film(1), film(2)
    answer = post(station, body(one, two))
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/dicom+json"
    assert _values(answer.json(), STORED) == ["1.2.3.1.3", "1.2.3.2.3"]
    assert FAILED not in answer.json()
    kept = {each.instance_uid: each for each in rows(station, Film)}
    for uid, data in (("1.2.3.1.3", one), ("1.2.3.2.3", two)):
        assert station.service.folder.path(kept[uid].sha256).read_bytes() == data
    assert [each.duplicate for each in rows(station, Received)] == [False, False]
    assert {each.peer for each in rows(station, Received)} == {"?reviewer-1"}
    again = post(station, body(one))
    assert (again.status_code, len(rows(station, Film))) == (200, 2)
    assert left(station) == []
    lines = " ".join(each.data for each in rows(station, Line))
    assert "Secretive" not in lines
    assert "SECRET" not in lines
    station.read()
    assert {each.status for each in rows(station, Film)} <= {"read", "refused"}


def test_each_object_is_answered_for_by_itself(station):
    foreign = film(3, StudyInstanceUID="1.2.3.9.1", SOPInstanceUID="1.2.3.1.3")
    own = film(4, Manufacturer="Hilum", ManufacturerModelName="Hilum reader")
    other = film(5, Modality="CT")
    answer = post(station, body(film(1), b"no film", foreign, own, other, film(6)[:700]))
    told = answer.json()
    assert answer.status_code == 202
    # results of Hilum and other modalities are dropped with success, as by C-STORE
    assert _values(told, STORED) == ["1.2.3.1.3", "1.2.3.4.3", "1.2.3.5.3"]
    assert _values(told, FAILED, REASON) == [0xC000] * 3
    assert told[FAILED]["Value"][1][UID]["Value"] == ["1.2.3.1.3"]
    assert UID not in told[FAILED]["Value"][0]
    assert [each.instance_uid for each in rows(station, Film)] == ["1.2.3.1.3"]
    assert left(station) == []
    metrics = station.client("administrator").get("/api/v1/metrics").text
    assert 'hilum_films_rejected_total{code="rejected"} 1.0' in metrics


def test_a_study_takes_its_own_objects_only(station):
    answer = post(station, body(film(1)), f"{API}/1.2.3.2.1")
    assert answer.status_code == 409
    assert _values(answer.json(), FAILED, REASON) == [0xC000]
    assert rows(station, Film) == []
    assert post(station, body(film(1)), f"{API}/1.2.3.1.1").status_code == 200


@pytest.mark.parametrize(
    ("content", "kind", "status"),
    [
        (body(b"x"), "multipart/form-data; boundary=x-1", 415),
        (body(b"x"), 'multipart/related; type="application/dicom+json"; boundary=x-1', 415),
        (body(b"x", kind=b"image/png"), KIND, 415),
        (body(b"x"), 'multipart/related; type="application/dicom"', 400),
        (body(b"x"), KIND.replace("x-1", "y"), 400),
        (body(film(1), end=b""), KIND, 400),
        (body(), KIND, 400),
        (b"", KIND, 400),
    ],
)
def test_what_is_no_such_request_leaves_nothing_behind(station, content, kind, status):
    answer = post(station, content, kind=kind)
    assert answer.status_code == status, answer.text
    assert answer.json()["code"] == "invalid"
    assert left(station) == []
    assert rows(station, Film) == []


def test_limits_of_size_and_number(make_station):
    station = make_station(Settings(limits=Limits(files=2, file_mb=0.5)))
    for content in (body(film(1), film(2), film(3)), body(bytes(600_000))):
        answer = post(station, content)
        assert (answer.status_code, answer.json()["code"]) == (413, "too-large")
    assert left(station) == []
    assert rows(station, Film) == []


def test_who_may_send_and_whose_films_they_are(make_station):
    peer = Peer(name="router", person="reviewer-1", addresses=("127.0.0.0/8",))
    far = Peer(name="far", person="administrator-1", addresses=("10.0.0.0/8",))
    folder = Peer(name="out", outbox="out")
    routes = (Route.model_validate({"from": "router", "to": ["out"]}),)
    station = make_station(Settings(node=Node(peers=(peer, far, folder), routes=routes)))
    assert post(station, body(film(1)), role="reader").status_code == 403
    assert post(station, body(film(1)), role=None).status_code == 401
    assert post(station, body(film(1)), role="administrator").status_code == 403
    assert rows(station, Film) == []
    assert post(station, body(film(1))).status_code == 200
    (received,) = rows(station, Received)
    assert (received.peer, received.address) == ("router", "127.0.0.1")


def test_without_space_the_sender_is_asked_to_come_again(make_station, monkeypatch):
    station = make_station(Settings(node=Node(reserve_gb=1)))
    usage = shutil.disk_usage(station.service.data)._replace(free=0)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    answer = post(station, body(film(1)))
    assert (answer.status_code, answer.json()["code"]) == (503, "disk-full")
    assert int(answer.headers["retry-after"]) > 0
    monkeypatch.undo()
    monkeypatch.setattr(station.service.folder, "adopt", _full)
    answer = post(station, body(film(1)))
    assert answer.status_code == 503
    assert _values(answer.json(), FAILED, REASON) == [0xA700]
    assert left(station) == []


def test_a_full_disk_keeps_nothing_of_a_body_that_comes(station, monkeypatch):
    class Full(io.BytesIO):
        def write(self, _):
            raise OSError(errno.ENOSPC, "No space left on device")

        def close(self):
            if not self.closed:
                super().close()
                raise OSError(errno.ENOSPC, "No space left on device")

    def opened(handle, _):
        os.close(handle)
        return Full()

    monkeypatch.setattr(stow.os, "fdopen", opened)
    with contextlib.suppress(OSError):
        assert post(station, body(film(1))).status_code >= 500
    monkeypatch.undo()
    assert left(station) == []


def test_films_that_are_sent_by_either_way_are_taken_by_the_same_threads():
    async def other():
        for _ in range(4):
            await films.taking().acquire_on_behalf_of(object())
        return stow.taking().available_tokens

    assert anyio.run(other) == 0


def _full(_):
    raise StoreFullError("no space left on the disk")


def test_the_sender_of_this_house_understands_the_answer(station, tmp_path):
    peer = Peer(name="here", dicomweb="http://127.0.0.1:8337/api/v1/dicom-web")
    path = tmp_path / "film.dcm"
    client = station.client("reviewer")
    web = dicomweb.Web(client, peer)
    for data, status in ((film(1), 0), (film(1, StudyInstanceUID=""), 0), (film(2)[:700], 0xC000)):
        path.write_bytes(data)
        dataset = dcmread(path, force=True, stop_before_pixels=True)
        assert web.store(dataset) == status
