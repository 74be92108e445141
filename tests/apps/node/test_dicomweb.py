"""Results by STOW-RS: to an Orthanc with DICOMweb, and to servers that refuse, hang, or lie."""

from __future__ import annotations

import importlib.util
import json
import re
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from types import SimpleNamespace

import httpx
import pytest
from pydicom import dcmread

from hilum.apps.cli.main import run
from hilum.apps.node import status
from hilum.apps.node.settings import Node
from hilum.apps.store import takeback, wanted
from hilum.apps.store.wanted import Object
from hilum.core.errors import ConfigError
from hilum.serve.samples import ROOT

from .conftest import SC, SR, stand_in

UIDS = ("1.2.3.1.0", "1.2.3.1.1")


def _uids(sequence, uid, **more):
    row = {"00081155": {"vr": "UI", "Value": [uid]}} | {
        tag: {"vr": "US", "Value": [value]} for tag, value in more.items()
    }
    return {sequence: {"vr": "SQ", "Value": [row]}}


@contextmanager
def server(answer=None, found=True, deleted=200):
    """Serve DICOMweb: ``answer(uid)`` is the status and the JSON of a STOW, or None for success."""
    got = SimpleNamespace(files=[], headers=[], asked=[], deleted=[])

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            boundary = re.search(r"boundary=(\S+)", self.headers["Content-Type"])[1].encode()
            head, _, rest = body.partition(b"\r\n\r\n")
            assert head == b"--" + boundary + b"\r\nContent-Type: application/dicom"
            file, tail = rest[: rest.rindex(b"\r\n--")], rest[rest.rindex(b"\r\n--") :]
            assert tail == b"\r\n--" + boundary + b"--\r\n"
            got.files.append(file)
            got.headers.append(dict(self.headers))
            uid = re.findall(rb"1\.2\.3\.\d\.\d", file)[0].decode()
            self._say(*((answer and answer(uid)) or (200, _uids("00081199", uid))))

        def do_GET(self):
            got.asked.append(self.path)
            self._say(*((200, [{}]) if found else (204, None)))

        def do_DELETE(self):
            got.deleted.append(self.path)
            self._say(deleted, None)

        def _say(self, status, told):
            self.send_response(status)
            body = json.dumps(told).encode() if told is not None else b""
            self.send_header("Content-Length", str(len(body)))
            if 300 <= status < 400:
                self.send_header("Location", "http://127.0.0.1:9/elsewhere")
            self.end_headers()
            self.wfile.write(body)

    with stand_in(Handler) as base:
        yield f"{base}/dicom-web", got


def test_what_lies_in_the_outbox_is_what_is_sent(box):
    box.add(1)
    token = box.data / "token"
    token.write_text("secret\n")
    token.chmod(0o600)
    with server() as (url, got):
        assert box.sender(dicomweb=url, token_file="token", commit=True).step()
    assert box.states == ["committed", "committed"]
    kept = [box.folder.result(each).read_bytes() for each in box.checksums]
    assert got.files == kept
    assert {each["Authorization"] for each in got.headers} == {"Bearer secret"}
    assert [re.search("SOPInstanceUID=(.*)", each)[1] for each in got.asked] == [
        "1.2.3.1.0",
        "1.2.3.1.1",
    ]


@pytest.mark.parametrize(
    ("answer", "state", "said"),
    [
        ((202, _uids("00081199", "1.2.3.1.0", **{"00081196": 0xB000})), "sent", None),
        ((409, _uids("00081198", "1.2.3.1.0", **{"00081197": 0x0111})), "sent", None),
        ((409, _uids("00081198", "1.2.3.1.0", **{"00081197": 0xA700})), "waiting", "0xA700"),
        ((409, _uids("00081198", "1.2.3.1.0", **{"00081197": 0x0122})), "dead", "0x0122"),
        ((409, None), "waiting", "0xC000"),
        ((400, None), "waiting", "0xC000"),
        ((415, None), "waiting", "0xC000"),
        ((503, None), "waiting", "answered 503"),
        ((429, None), "waiting", "answered 429"),
        ((401, None), "waiting", "answered 401"),
        ((404, None), "waiting", "answered 404"),
        ((302, None), "waiting", "answered 302"),
    ],
)
def test_what_is_answered_closes_the_delivery_or_it_is_tried_again(box, answer, state, said):
    box.add(1)
    with server(lambda uid: answer if uid == "1.2.3.1.0" else None) as (url, _):
        box.sender(dicomweb=url).step()
    first = box.rows[0]
    assert first.state == state
    assert (said is None) if first.error is None else said in first.error
    with box.store.read() as session:
        peer = status.summary(session)["peers"]["pacs"]
    assert (peer["error"] is not None) == ("answered" in (said or ""))
    assert peer["permanent"] == (answer[0] in (401, 404, 302))


def test_what_the_server_does_not_have_is_sent_again(box):
    box.add(1, kinds=("sr",))
    with server(found=False) as (url, got):
        sender = box.sender(dicomweb=url, commit=True)
        for _ in range(3):
            sender.step()
    assert len(got.files) == 3
    assert box.states == ["dead"]
    assert "not kept" in box.rows[0].error


def test_a_server_that_is_away_or_hangs_keeps_what_waits(box):
    box.add(1)
    box.sender(dicomweb="http://127.0.0.1:9/web", timeout_s=1).step()
    assert "cannot be reached" in box.rows[0].error
    assert box.states == ["waiting", "waiting"]
    assert len(box.waited) > 3  # it backs off


@pytest.mark.parametrize(
    ("peer", "why"),
    [
        ({"ae_title": "A", "host": "archive", "delete": True}, "no dicomweb"),
        ({"dicomweb": "ftp://archive/web"}, "https"),
        ({"dicomweb": "https://anna:secret@archive/web"}, "secrets have files"),
        ({"dicomweb": "https://archive/web", "host": "archive"}, "both host and dicomweb"),
        ({}, "no ae_title"),
        ({"dicomweb": "https://archive/web", "objects": ["sx"]}, "objects"),
    ],
)
def test_what_a_peer_may_be(peer, why):
    with pytest.raises(ConfigError, match=why):
        Node.parse({"peers": [{"name": "web", **peer}]}, where="t")


def test_a_secret_that_others_may_read_is_refused(box):
    box.add(1)
    (box.data / "token").write_text("secret")
    (box.data / "token").chmod(0o644)
    box.sender(dicomweb="http://127.0.0.1:9/web", token_file="token").step()
    assert "others may read this secret" in box.rows[0].error


@pytest.mark.parametrize(
    ("answered", "states", "said"),
    [
        (200, "deleted", None),
        (404, "deleted", None),
        (401, "retracted", "the peer answered 401 to DELETE"),
        (403, "retracted", "the peer answered 403 to DELETE"),
        (405, "retracted", "the peer answered 405 to DELETE"),
        (500, "retracted", "the peer answered 500 to DELETE"),
        (503, "retracted", "pacs: answered 503"),
    ],
)
def test_what_is_taken_back_is_deleted_where_a_peer_does_that(box, answered, states, said):
    box.add(1)
    with server(deleted=answered) as (url, got):
        sender = box.sender(dicomweb=url, delete=True)
        assert sender.step()
        assert got.deleted == []
        _take_back(box)
        for _ in range(wanted.MAX_ATTEMPTS + 1):
            sender.step()
        assert box.waited == []  # nothing else waits for what is not deleted
        box.add(2, kinds=("sr",))
        box.sender(dicomweb=url, delete=True).step()
    assert box.states[-1] == "sent"
    places = [f"/dicom-web/studies/1.2.1/series/{uid}.9/instances/{uid}" for uid in UIDS]
    times = 1 if states == "deleted" else wanted.MAX_ATTEMPTS
    if answered == 503:  # it is tried again for as long as that lasts, but later: here by a restart
        assert got.deleted == places[:1] * 2
    else:
        assert sorted(got.deleted) == sorted(places * times)
    assert {each.state for each in box.rows[:2]} == {states}
    assert [each.error for each in box.rows[:2]] == [said, None if answered == 503 else said]
    assert box.rows[2].state == "sent"  # the note


def _take_back(box):
    """Let a person take back what was sent, and the note be made of it."""
    with box.store.write() as session:
        takeback.retract(session, box.log, "anna", ["film1"], reason="quality")
    making = wanted.claim_making(box.store)
    (rejected,) = wanted.to_reject(box.store, making)
    path = box.data / "note.dcm"
    dataset = dcmread(box.folder.result(box.checksums[0]))
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = "1.2.3.1.2"
    dataset.save_as(path)
    with path.open("rb") as stream:
        kept = box.folder.keep(stream, result=True)
    note = Object("ko", SC, "1.2.3.1.2", "1.2.3.1.2.9", "1.2.1", kept.sha256, kept.size)
    wanted.put(box.store, box.log, making, [], (), {}, [(note, rejected)])
    return note


def test_an_orthanc_with_dicomweb_takes_and_keeps_them(box, make_orthanc, capsys):
    orthanc = make_orthanc(dicomweb=True)
    url = f"http://127.0.0.1:{orthanc.http}/dicom-web"
    peer = f'[node]\n[[node.peers]]\nname = "pacs"\ndicomweb = "{url}"\ncommit = true\n'
    (box.data / "hilum.toml").write_text(peer)
    assert run(["node", "check", "--home", str(box.data)]) == 12
    orthanc.start()
    assert run(["node", "check", "--home", str(box.data)]) == 0
    assert "pacs: answers DICOMweb" in capsys.readouterr().out
    box.add(1)
    assert box.sender(dicomweb=url, commit=True, timeout_s=120).step()
    assert box.states == ["committed", "committed"]
    there = orthanc.instances()
    assert {klass for _, klass in there.values()} == {SC, SR}
    for uid, (place, _) in there.items():
        (sha256,) = (each for each in box.checksums if uid in str(dcmread(box.folder.result(each))))
        kept = httpx.get(f"http://127.0.0.1:{orthanc.http}/instances/{place}/file", timeout=60)
        assert kept.content == box.folder.result(sha256).read_bytes()


def test_an_orthanc_that_deletes_nothing_says_so_and_keeps_the_note(box, make_orthanc):
    orthanc = make_orthanc(dicomweb=True)
    orthanc.start()
    box.add(1)
    url = f"http://127.0.0.1:{orthanc.http}/dicom-web"
    sender = box.sender(dicomweb=url, delete=True, timeout_s=120)
    assert sender.step()
    note = _take_back(box)
    while sender.step():
        pass
    assert set(orthanc.instances()) == {*UIDS, note.sop_uid}
    assert box.states == ["retracted", "retracted", "sent"]  # dicomweb 1.7; Google's deletes
    assert box.rows[0].error == "the peer answered 405 to DELETE"


@pytest.mark.slow
def test_orthanc_sends_films_by_stow(tmp_path, make_orthanc, small_bundle):
    """The DICOMweb client of somebody else: chunked, whole studies, its own boundaries."""
    spec = importlib.util.spec_from_file_location(
        "serving", Path(__file__).parents[1] / "web" / "serving.py"
    )
    serving = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(serving)
    data = tmp_path / "data"
    data.mkdir()
    token = serving.make_token(data, role="reviewer")
    served = serving.Served(data, small_bundle)
    served.start()
    orthanc = make_orthanc(dicomweb=True)
    place = {
        "Url": f"{served.base}/api/v1/dicom-web/",
        "HttpHeaders": {"Authorization": f"Bearer {token}"},
    }
    orthanc.configure(DicomWeb={"Enable": True, "Servers": {"hilum": place}})
    try:
        orthanc.start()
        base = f"http://127.0.0.1:{orthanc.http}"
        film = (ROOT / "frontal.dcm").read_bytes()
        sent = httpx.post(f"{base}/instances", content=film, timeout=60).json()
        told = httpx.post(
            f"{base}/dicom-web/servers/hilum/stow",
            json={"Resources": [sent["ParentStudy"]], "Synchronous": True},
            timeout=120,
        )
        assert told.status_code == 200, told.text
        with served.client(token) as client:
            (study,) = client.get("/studies").json()["items"]
        assert study["films"] == 1
    finally:
        served.stop()
