"""Films that are looked for, and fetched, at a DICOMweb server: an Orthanc, and one that fails."""

from __future__ import annotations

import json
import time
from contextlib import contextmanager
from datetime import date, timedelta
from http.server import BaseHTTPRequestHandler
from itertools import pairwise
from types import SimpleNamespace
from urllib.parse import parse_qsl, urlsplit

import httpx
import pytest
from pydicom import dcmread

from hilum.apps.cli.main import run
from hilum.apps.node import dicomweb, polling
from hilum.apps.node.polling import SEEN, Poll
from hilum.apps.node.settings import Node, Peer
from hilum.apps.node.taking import OUT_OF_RESOURCES, PROCESSING_FAILURE, TakenObject
from hilum.apps.store import deletion
from hilum.apps.store.folder import FilmFolder
from hilum.apps.store.tables import Film, Line, Received, Setting
from hilum.core.errors import ConfigError, StoreBusyError
from hilum.serve.samples import ROOT

from .conftest import stand_in, wait_for

TODAY = f"{date.today():%Y%m%d}"


def test_an_orthanc_is_asked_for_films_and_what_was_deleted_here_is_not_fetched_again(
    make_node, make_dicom, make_orthanc, tmp_path, capsys
):
    orthanc = make_orthanc(dicomweb=True)
    orthanc.start()
    url = f"http://127.0.0.1:{orthanc.http}/dicom-web"
    peer = f'[[node.peers]]\nname = "pacs"\ndicomweb = "{url}"\npoll_s = 1\n'

    def arrive(path):
        posted = httpx.post(f"http://127.0.0.1:{orthanc.http}/instances", content=path.read_bytes())
        return posted.json()["ID"]

    compressed = dcmread(ROOT / "frontal.dcm")
    compressed.StudyDate = TODAY
    compressed.save_as(tmp_path / "compressed.dcm")
    old = f"{date.today() - timedelta(days=9):%Y%m%d}"
    films = [make_dicom(1, StudyDate=TODAY, Modality="CR"), tmp_path / "compressed.dcm"]
    places = [arrive(each) for each in films]
    arrive(make_dicom(2, StudyDate=TODAY, Modality="CT"))
    arrive(make_dicom(3, StudyDate=old))
    node = make_node(peer)
    wait_for(lambda: len(node.all(Film)) == 2)
    for film in node.all(Film):
        kept = dcmread(node.path(film))
        (sent,) = (each for each in map(dcmread, films) if each == kept)
        assert sent.file_meta.TransferSyntaxUID == kept.file_meta.TransferSyntaxUID
    assert node.counts(accepted=2) == {"accepted": 2}
    assert {(each.peer, each.address) for each in node.all(Received)} == {("pacs", "poll")}
    assert {line.who for line in node.all(Line)} == {"poll:pacs"}
    assert list((node.data / "receiving").iterdir()) == []
    assert run(["node", "check", "--home", str(node.data)]) == 0
    assert "answers DICOMweb, is asked for films" in capsys.readouterr().out

    gone = node.all(Film)[0]
    deletion.delete_study(node.store, FilmFolder(node.data), node.log, gone.study_id, "anna")
    node.kill()
    node.start()
    arrive(make_dicom(4, StudyDate=TODAY))
    wait_for(lambda: len(node.all(Film)) == 2)
    assert gone.id not in {each.id for each in node.all(Film)}
    seen = wait_for(lambda: (found := _seen(node)) and len(found) == 3 and found)
    assert gone.instance_uid not in json.dumps(seen)
    assert len(places) == 2
    assert gone.instance_uid not in node.stderr.read_text()


def _seen(node):
    return next((each.value for each in node.all(Setting) if each.key == SEEN + "pacs"), None)


@contextmanager
def server(rows, give):
    """Serve QIDO and WADO: ``rows(query)`` and ``give(uid)`` return (status, headers, body)."""
    asked = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            place = urlsplit(self.path)
            asked.append(self.path)
            if place.path.endswith("/instances"):
                status, headers, body = rows(dict(parse_qsl(place.query)))
            else:
                status, headers, body = give(place.path.rpartition("/")[2])
            self.send_response(status)
            for name, value in {"Content-Length": len(body), **headers}.items():
                self.send_header(name, str(value))
            self.end_headers()
            self.wfile.write(body)

    with stand_in(Handler) as base:
        yield f"{base}/web", asked


def _row(*uids):
    tags = ("0020000D", "0020000E", "00080018")
    return {tag: {"vr": "UI", "Value": [uid]} for tag, uid in zip(tags, uids, strict=True)}


def _multipart(content, boundary="b"):
    head = f"--{boundary}\r\nContent-Type: application/dicom\r\n\r\n".encode()
    kind = f'multipart/related; type="application/dicom"; boundary="{boundary}"'
    return 200, {"Content-Type": kind}, head + content + f"\r\n--{boundary}--\r\n".encode()


@pytest.fixture
def make_poll(box):
    def make(url, take, modalities=("DX",), **peer):
        about = Peer(name="pacs", dicomweb=url, poll_s=1, timeout_s=5, **peer)
        receiving = box.folder.receiving
        return Poll(about, box.data, box.store, box.log, receiving, 1000, modalities, take)

    return make


def _look(poll, may=lambda: True):
    poll._due = 0
    poll.look(may)
    return poll._due - time.monotonic()


GIVEN = {
    "first": _multipart(b"film"),
    "not a multipart": (200, {"Content-Type": "application/dicom"}, b"film"),
    "other": (200, {"Content-Type": "text/html"}, b"<p>film</p>"),
    "cut": (200, {"Content-Type": 'multipart/related; boundary="b"'}, b"--b\r\n\r\nfil"),
    "broken": (200, {"Content-Type": 'multipart/related; boundary="b"'}, b"no boundary"),
    "large": _multipart(b"x" * 1001),
    "gone": (404, {}, b""),
    "not for us": (403, {}, b""),
}


@pytest.mark.parametrize("what", GIVEN)
def test_what_a_server_lists_and_does_not_give_is_asked_for_three_times(box, make_poll, what):
    taken = []

    def take(peer, path):
        taken.append((peer, path.read_bytes()))
        return TakenObject(0, "accepted")

    rows = 200, {}, json.dumps([_row("1.2", "1.2.3", "1.2.3.4")]).encode()
    with server(lambda _: rows, lambda _: GIVEN[what]) as (url, asked):
        poll = make_poll(url, take)
        for _ in range(5):
            assert 0 < _look(poll) <= 1
    fetched = [each for each in asked if "limit" not in each]
    good = what in ("first", "not a multipart")
    assert taken == ([("pacs", b"film")] if good else [])
    assert fetched == ["/web/studies/1.2/series/1.2.3/instances/1.2.3.4"] * (1 if good else 3)
    assert list(box.folder.receiving.iterdir()) == []


def test_a_server_that_is_busy_is_left_alone_for_as_long_as_it_says(make_poll, caplog):
    answer = SimpleNamespace(it=(503, {"Retry-After": "400"}, b""))
    with server(lambda _: answer.it, lambda _: None) as (url, asked):
        poll = make_poll(url, None)
        assert 390 < _look(poll) <= 400
        poll.look(lambda: True)
        answer.it = 429, {}, b""
        assert 5 < _look(poll) < 30
        assert len(asked) == 2
        answer.it = 200, {}, b"no JSON"
        assert _look(poll) > 5
        answer.it = 204, {}, b""
        assert _look(poll) <= 1
    assert _look(poll) > 3
    assert [each.getMessage().partition("pacs: ")[2] for each in caplog.records] == [
        "answered 503", "answered 429", "answered 200", "cannot be reached",
    ]  # fmt: skip


def test_pages_words_of_the_question_and_uids_that_are_none(make_poll, monkeypatch):
    monkeypatch.setattr(dicomweb, "_PAGE", 2)
    uids = [("1.2", "1.2.3", f"1.2.3.{number}") for number in range(5)]
    listed = [_row(*each) for each in uids]
    listed[1:1] = [_row("1.2", "1.2.3", "../../admin"), {"00080018": {"vr": "UI"}}]
    wrong, taken = [], []

    def rows(asked):
        at = int(asked["offset"]) if wrong else 0
        return 200, {}, json.dumps(listed[at : at + 2] if wrong else listed[:2]).encode()

    def take(_, path):
        taken.append(path.read_bytes())
        return TakenObject(0 if len(taken) > 1 else OUT_OF_RESOURCES, "x")

    with server(rows, lambda uid: _multipart(uid.encode())) as (url, asked):
        poll = make_poll(url, take, poll={"StationName": "ROOM 1"}, poll_days=3)
        _look(poll)  # it has no space
        poll._later.clear()  # its time has come
        _look(poll)
        wrong.append(True)
        _look(poll)
    assert taken == [b"1.2.3.0", b"1.2.3.0", b"1.2.3.1", b"1.2.3.2", b"1.2.3.3", b"1.2.3.4"]
    assert not any("admin" in each for each in asked)
    query = dict(parse_qsl(urlsplit(asked[0]).query))
    first, last = (date.today() + timedelta(days=each) for each in (-2, 1))
    days = f"{first:%Y%m%d}-{last:%Y%m%d}"
    assert query == {
        "StationName": "ROOM 1", "Modality": "DX", "StudyDate": days, "limit": "2", "offset": "0",
    }  # fmt: skip


def test_every_film_comes_from_a_server_that_caps_a_page(make_poll, monkeypatch, caplog):
    listed = [_row("1.2", "1.2.3", f"1.2.3.{number}") for number in range(450)]
    taken = []

    def rows(asked):
        at = int(asked["offset"])
        return 200, {}, json.dumps(listed[at : at + 200]).encode()

    def take(_, path):
        taken.append(path.read_bytes().decode())
        return TakenObject(0, "accepted")

    with server(rows, lambda uid: _multipart(uid.encode())) as (url, asked):
        _look(make_poll(url, take))
        assert taken == [f"1.2.3.{number}" for number in range(450)]
        offsets = [dict(parse_qsl(urlsplit(each).query))["offset"] for each in asked if "?" in each]
        assert offsets == ["0", "200", "400", "450"]
        assert not caplog.records
        monkeypatch.setattr(dicomweb, "_PAGES", 2)
        _look(make_poll(url, take))
    assert len(taken) == 450
    assert "pacs lists more than 400 objects" in caplog.text


@pytest.mark.parametrize("beyond", [400, 404, 416])
def test_a_server_that_refuses_what_is_beyond_its_end_has_come_to_its_end(
    box, make_poll, caplog, beyond
):
    taken = []

    def rows(asked):
        if int(asked["offset"]):
            return beyond, {}, b""
        uid = "1.2.3.1" if asked["Modality"] == "DX" else "1.2.3.2"
        return 200, {}, json.dumps([_row("1.2", "1.2.3", uid)]).encode()

    def take(_, path):
        taken.append(path.read_bytes())
        return TakenObject(0, "accepted")

    with server(rows, lambda uid: _multipart(uid.encode())) as (url, _):
        poll = make_poll(url, take, modalities=("DX", "CR"))
        assert _look(poll) <= 1
        assert _look(poll) <= 1
    assert taken == [b"1.2.3.1", b"1.2.3.2"]
    assert len([each for each in caplog.records if f"answered {beyond}" in each.getMessage()]) == 1


def test_a_modality_is_listed_where_another_one_failed(make_poll, caplog):
    taken = []

    def rows(asked):
        if asked["Modality"] == "DX":
            return 404, {}, b""
        return 200, {}, json.dumps([_row("1.2", "1.2.3", "1.2.3.2")]).encode()

    def take(_, path):
        taken.append(path.read_bytes())
        return TakenObject(0, "accepted")

    with server(rows, lambda uid: _multipart(uid.encode())) as (url, _):
        assert _look(make_poll(url, take, modalities=("DX", "CR"))) > 3
    assert taken == [b"1.2.3.2"]
    assert "pacs: answered 404" in caplog.text


def test_a_store_or_a_disk_that_fails_is_left_alone_and_what_was_seen_is_kept(
    box, make_poll, monkeypatch, caplog
):
    fetched = []

    def give(uid):
        fetched.append(uid)
        return _multipart(uid.encode())

    def busy():
        raise StoreBusyError("the store: busy")

    def full(**_):
        raise OSError(28, "No space left on device", "/secret/path")

    rows = [_row("1.2", "1.2.3", "1.2.3.4")]
    with server(lambda _: (200, {}, json.dumps(rows).encode()), give) as (url, _):
        poll = make_poll(url, lambda *_: TakenObject(0, "ignored"))
        with monkeypatch.context() as patch:
            patch.setattr(box.store, "write", busy)
            assert _look(poll) > 3
            assert _look(poll) > 7  # it lies fetched, and is not fetched again
        rows.append(_row("1.2", "1.2.3", "1.2.3.5"))
        with monkeypatch.context() as patch:
            patch.setattr(polling.tempfile, "NamedTemporaryFile", full)
            assert _look(poll) > 15
        assert _look(poll) <= 1
        assert _look(make_poll(url, None)) <= 1  # as after a new start
    assert fetched == ["1.2.3.4", "1.2.3.5"]
    said = ["the store: busy", "pacs: No space left on device"]
    assert [each.getMessage().partition("fetched: ")[2] for each in caplog.records] == said


def test_an_object_that_cannot_be_kept_is_fetched_ever_more_seldom(make_poll, monkeypatch):
    now = [1000.0]
    monkeypatch.setattr(polling.time, "monotonic", lambda: now[0])
    asked = []

    def give(uid):
        asked.append((uid, now[0]))
        return _multipart(uid.encode())

    rows = json.dumps([_row("1.2", "1.2.3", f"1.2.3.{number}") for number in (4, 5)]).encode()
    answers = {b"1.2.3.4": TakenObject(PROCESSING_FAILURE, "unexpected")}

    def take(_, path):
        return answers.get(path.read_bytes(), TakenObject(0, "accepted"))

    with server(lambda _: (200, {}, rows), give) as (url, _):
        poll = make_poll(url, take)
        for _ in range(60):
            _look(poll)
            now[0] += 5
        times = [at for uid, at in asked if uid == "1.2.3.4"]
        waits = [later - at for at, later in pairwise(times)]
        assert 4 <= len(times) <= 8
        assert waits == sorted(waits)
        assert waits[-1] > 60
        answers.clear()
        now[0] += 1000
        _look(poll)
        now[0] += 1000
        _look(poll)
    assert [uid for uid, _ in asked].count("1.2.3.4") == len(times) + 1
    assert [uid for uid, _ in asked].count("1.2.3.5") == 1


def test_nothing_more_is_fetched_where_the_disk_is_full(make_poll):
    taken = []

    def take(*_):
        taken.append(1)
        return TakenObject(0, "accepted")

    rows = json.dumps([_row("1.2", "1.2.3", f"1.2.3.{number}") for number in range(3)]).encode()
    with server(lambda _: (200, {}, rows), lambda _: _multipart(b"film")) as (url, _):
        poll = make_poll(url, take)
        _look(poll, lambda: len(taken) < 2)
        assert len(taken) == 2
        _look(poll)
    assert len(taken) == 3


@pytest.mark.parametrize(("poll_days", "comes"), [(2, True), (365, False)])
def test_what_was_fetched_is_remembered_as_long_as_it_is_asked_for(
    box, make_poll, poll_days, comes
):
    taken = []

    def take(*_):
        taken.append(1)
        return TakenObject(0, "ignored")

    before = date.today().toordinal() - 200
    with box.store.write() as session:
        value = {box.log.pseudonym("1.2.3.4"): before}
        session.add(Setting(key=SEEN + "pacs", value=value))
    rows = 200, {}, json.dumps([_row("1.2", "1.2.3", "1.2.3.4")]).encode()
    with server(lambda _: rows, lambda _: _multipart(b"film")) as (url, _):
        _look(make_poll(url, take, poll_days=poll_days))
    assert bool(taken) == comes


@pytest.mark.parametrize(
    ("peer", "said"),
    [
        ({"ae_title": "A", "poll_s": 30}, "no dicomweb"),
        ({"dicomweb": "http://a/b", "poll_s": 30, "poll": {"Patient": "X"}}, "'Patient' is no"),
        ({"dicomweb": "http://a/b", "poll_s": 30, "poll": {"StudyDate": "2"}}, "'StudyDate' is no"),
        ({"dicomweb": "http://a/b", "poll_s": 0}, "poll_s"),
    ],
)
def test_what_can_be_asked_for(peer, said):
    with pytest.raises(ConfigError, match=said):
        Node.parse({"peers": [{"name": "a", **peer}]}, where="t")
