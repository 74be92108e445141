"""What is received by DICOM: dcmtk sends, and success is said of what is kept."""

from __future__ import annotations

import socket
import struct
import subprocess
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from pathlib import Path
from unittest.mock import Mock

import pytest
from pydicom import dcmread
from pydicom.filewriter import write_file_meta_info
from pydicom.uid import CTImageStorage, DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian
from pynetdicom import AE, _config
from pynetdicom.dsutils import encode
from pynetdicom.presentation import PresentationContext, build_context

from hilum.apps.node import status
from hilum.apps.node.conformance import markdown, statement
from hilum.apps.node.receiver import TRANSIENT, Receiver
from hilum.apps.store.intake import Sender
from hilum.apps.store.store import open_store, sqlite_url
from hilum.apps.store.tables import Film, Job, Line, Received, Study
from hilum.apps.web.orders import Orders
from hilum.apps.web.settings import load_settings
from hilum.serve.samples import ROOT

PEERS = """
[[node.peers]]
name = "pacs"
ae_title = "ARCHIVE"
addresses = ["127.0.0.0/8"]
[[node.peers]]
name = "far"
ae_title = "FAR"
addresses = ["10.1.2.0/24"]
[[node.peers]]
name = "deaf"
ae_title = "DEAF"
receive = false
"""


def _send(node, *paths, calling="SENDER"):
    """Send files on one association with pynetdicom; return the statuses."""
    ae = AE(calling)
    for path in paths:
        header = dcmread(path, stop_before_pixels=True, force=True)
        ae.add_requested_context(header.SOPClassUID, header.file_meta.TransferSyntaxUID)
    association = ae.associate("127.0.0.1", node.port, ae_title="HILUM")
    assert association.is_established
    answers = [association.send_c_store(path) for path in paths]
    association.release()
    return answers


def _statuses(answers):
    return [answer.get("Status") for answer in answers]


def test_what_was_sent_is_kept_as_it_came(make_node, make_dicom, store_url):
    node = make_node(PEERS, url=store_url)
    path = make_dicom(1)
    assert node.dcmtk("echoscu", calling="ARCHIVE").code == 0
    sent = node.dcmtk("storescu", path, calling="ARCHIVE")
    assert sent.code == 0, sent.text
    (film,), (study,), (job,) = node.all(Film), node.all(Study), node.all(Job)
    assert (film.format, film.name) == ("DICOM DX", f"DX {film.instance_uid}")
    assert (study.patient_id, job.film_id) == ("SECRET-1", film.id)
    kept, source = dcmread(node.path(film)), dcmread(path)
    assert kept == source
    assert kept.file_meta.TransferSyntaxUID == ExplicitVRLittleEndian
    (arrival,) = node.all(Received)
    assert (arrival.peer, arrival.address) == ("pacs", "127.0.0.1")
    assert (arrival.film_id, arrival.duplicate) == (film.id, False)
    assert [line.who for line in node.all(Line)] == ["AE:pacs"]
    assert node.log.verify().ok
    assert node.counts(accepted=1) == {"accepted": 1}
    assert list((node.data / "receiving").iterdir()) == []
    assert node.stop() == 0
    assert node.state["listen"] is None


def test_a_compressed_film_is_kept_in_its_own_syntax(make_node):
    node = make_node()
    sample = ROOT / "frontal.dcm"
    assert _statuses(_send(node, sample)) == [0]
    (film,) = node.all(Film)
    assert dcmread(node.path(film)) == dcmread(sample)
    assert dcmread(node.path(film)).file_meta.TransferSyntaxUID == "1.2.840.10008.1.2.4.80"


def test_who_may_call(make_node, make_dicom):
    node = make_node(PEERS)
    path = make_dicom(1)
    assert (
        "Called AE Title Not Recognized"
        in node.dcmtk("echoscu", calling="ARCHIVE", called="X").text
    )
    for calling in ("SENDER", "FAR", "DEAF"):
        refused = node.dcmtk("storescu", path, calling=calling)
        assert refused.code != 0
        assert "Calling AE Title Not Recognized" in refused.text
    assert node.dcmtk("storescu", path, calling="ARCHIVE").code == 0
    assert len(node.all(Film)) == 1


def test_a_stranger_who_calls_itself_by_the_name_of_a_peer_is_not_that_peer(make_node, make_dicom):
    node = make_node("accept_any = true\n" + PEERS)
    for calling in ("deaf", "pacs"):
        assert _statuses(_send(node, make_dicom(1), calling=calling)) == [0]
    assert {each.peer for each in node.all(Received)} == {"?deaf", "?pacs"}
    assert node.counts(accepted=1, duplicate=1) == {"accepted": 1, "duplicate": 1}
    assert set(node.state["counts"]) == {"other"}


@pytest.fixture
def inside(tmp_path, monkeypatch):
    """A receiver in this process, for what no sender can time; and one who calls."""
    for module, name in ((_config, "STORE_RECV_CHUNKED_DATASET"), (_config, "LOG_HANDLER_LEVEL")):
        monkeypatch.setattr(module, name, getattr(module, name))
    monkeypatch.setattr(tempfile, "tempdir", tempfile.tempdir)
    text = f'[node]\nlisten = "127.0.0.1:0"\nreserve_gb = 0.0\n{PEERS}'
    (tmp_path / "hilum.toml").write_text(text)
    url = sqlite_url(tmp_path / "store.db")
    store = open_store(url)
    made = Receiver(Orders("receiver-1", url, str(tmp_path), None), store)
    caller = Mock()
    caller.requestor.primitive.calling_ae_title, caller.requestor.address = "ARCHIVE", "127.0.0.1"
    yield made, Mock(assoc=caller)
    made._server.server_close()
    store.close()


def test_who_hangs_up_before_its_object_is_looked_at_was_still_that_peer(inside):
    receiver, event = inside
    receiver._admit(event)
    receiver._closed(event)
    assert receiver._peer(event.assoc) == Sender("pacs", "127.0.0.1")
    assert not receiver._open


def test_it_says_anew_that_it_listens_though_nothing_has_changed(inside, monkeypatch):
    receiver, _ = inside
    said = []
    for now in (60_000, 89_000, 91_000):
        monkeypatch.setattr("hilum.apps.node.receiver.now_ms", lambda now=now: now)
        receiver._say(("h", 1))
        with receiver._store.read() as session:
            said.append(status.receiver(session)["at_ms"])
    assert said == [60_000, 60_000, 90_000]


def test_who_cannot_be_looked_at_is_not_let_in(inside, monkeypatch):
    receiver, event = inside
    monkeypatch.setattr("shutil.disk_usage", Mock(side_effect=OSError("no such device")))
    receiver._admit(event)
    event.assoc.acse.send_reject.assert_called_once_with(*TRANSIENT)
    assert not receiver._open


def test_an_association_copies_nothing_of_what_the_node_takes(inside, monkeypatch):
    receiver, _ = inside
    copied = Mock(side_effect=AssertionError("a context was copied"))
    monkeypatch.setattr(PresentationContext, "__deepcopy__", copied, raising=False)
    serving = threading.Thread(target=receiver._server.serve_forever)
    serving.start()
    try:
        port = str(receiver._server.server_address[1])
        command = ["echoscu", "-aet", "ARCHIVE", "-aec", "HILUM", "127.0.0.1", port]
        echo = subprocess.run(command, capture_output=True, text=True, timeout=300)
    finally:
        receiver._server.shutdown()
        serving.join()
    assert echo.returncode == 0, echo.stderr
    copied.assert_not_called()


def test_below_the_reserve_nobody_may_begin(make_node, make_dicom):
    node = make_node("max_associations = 3", limits="")
    text = (node.data / "hilum.toml").read_text()
    node.stop()
    (node.data / "hilum.toml").write_text(text.replace("reserve_gb = 0.0", "reserve_gb = 1e9"))
    node.start()
    refused = node.dcmtk("storescu", make_dicom(1))
    assert refused.code != 0
    assert "Rejected Transient" in refused.text
    assert "Local Limit Exceeded" in refused.text
    assert node.all(Film) == []


@pytest.mark.parametrize(("others", "status"), [("ignore", 0x0000), ("refuse", 0xA900)])
def test_what_is_no_film_does_not_end_the_sending_of_a_study(make_node, make_dicom, others, status):
    node = make_node(f'others = "{others}"')
    study = [
        make_dicom(1, Modality="CT", SOPClassUID=CTImageStorage),
        make_dicom(2, Modality="SR", PixelData=None, SOPClassUID="1.2.840.10008.5.1.4.1.1.88.33"),
        make_dicom(3),
    ]
    assert _statuses(_send(node, *study)) == [status, status, 0]
    assert [film.instance_uid[-3:] for film in node.all(Film)] == ["3.3"]
    word = "ignored" if others == "ignore" else "refused"
    assert node.counts(**{word: 2, "accepted": 1}) == {word: 2, "accepted": 1}


def test_results_that_come_back_are_no_films(make_node, make_dicom):
    node = make_node('read = ["DX", "CR", "OT"]')
    own = make_dicom(1, Modality="OT", Manufacturer="Hilum", ManufacturerModelName="Hilum reader")
    assert _statuses(_send(node, *[own] * 100)) == [0] * 100
    assert node.all(Film) == node.all(Job) == []
    assert node.counts(own=100) == {"own": 100}


def test_again_and_again_is_one_film(make_node, make_dicom):
    node = make_node()
    path = make_dicom(1)
    assert _statuses(_send(node, *[path] * 100)) == [0] * 100
    assert len(node.all(Film)) == len(node.all(Job)) == 1
    assert sorted(each.duplicate for each in node.all(Received)) == [False] + [True] * 99


def test_no_success_for_a_film_that_is_not_kept(make_node, make_dicom):
    node = make_node()
    first = make_dicom(1)
    other = make_dicom(2, SOPInstanceUID=dcmread(first).SOPInstanceUID, PatientID="SECRET-1")
    stranger = make_dicom(1, PatientID="SECRET-9")
    colour = make_dicom(4, NumberOfFrames="2")
    answers = _send(node, first, other, stranger, colour)
    assert _statuses(answers) == [0, 0xC001, 0xC000, 0xA900]
    assert answers[2].ErrorComment == "known as a film of another patient"
    (film,) = node.all(Film)
    assert dcmread(node.path(film)) == dcmread(first)
    files = [path for path in (node.data / "films").rglob("*") if path.is_file()]
    assert files == [node.path(film)]
    assert not list((node.data / "receiving").iterdir())


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, DeflatedExplicitVRLittleEndian])
def test_a_damaged_object_is_no_film(make_node, make_dicom, monkeypatch, syntax):
    """As it comes from the wire: cut in the middle, or not deflated though it is said to be."""
    node = make_node()
    path = make_dicom(1)
    dataset = dcmread(path)
    dataset.file_meta.TransferSyntaxUID = syntax
    with path.open("wb") as file:
        file.write(bytes(128) + b"DICM")
        write_file_meta_info(file, dataset.file_meta)
        file.write(encode(dataset, False, True)[:100])
    monkeypatch.setattr(_config, "STORE_SEND_CHUNKED_DATASET", True)
    contexts = [build_context(dataset.SOPClassUID, syntax)]
    association = AE("SENDER").associate(
        "127.0.0.1", node.port, ae_title="HILUM", contexts=contexts
    )
    assert association.send_c_store(path).Status == 0xC000
    association.release()
    assert node.all(Film) == []
    assert node.counts(UnreadableImageError=1) == {"UnreadableImageError": 1}


def test_an_object_without_end_is_ended(make_node, make_dicom):
    node = make_node("association_idle_s = 3", limits="[limits]\nfile_mb = 2")
    path = make_dicom(1, size=(2000, 2000))
    sent = node.dcmtk("storescu", path)
    assert sent.code != 0
    assert "Abort" in sent.text
    assert node.dcmtk("storescu", make_dicom(2)).code == 0
    assert len(node.all(Film)) == 1
    _wait_for(lambda: not list((node.data / "receiving").iterdir()))
    assert node.counts(**{"too-large": 1, "accepted": 1}) == {"too-large": 1, "accepted": 1}


def test_a_length_of_4_gb_is_not_waited_for(make_node):
    node = make_node()
    with socket.create_connection(("127.0.0.1", node.port)) as hostile:
        hostile.sendall(struct.pack(">BBL", 1, 0, 2**32 - 1))
        hostile.settimeout(60)
        assert hostile.recv(10) == b""
    assert node.dcmtk("echoscu").code == 0


def test_a_store_that_does_not_answer_is_no_success(make_node, make_dicom):
    node = make_node()
    path = make_dicom(1)
    with node.store.write():
        answers = _send(node, path)  # waits its 10 s for the lock
    assert _statuses(answers) == [0xA700]
    assert node.all(Film) == []
    assert _statuses(_send(node, path)) == [0]
    assert len(node.all(Film)) == 1


def test_who_waited_long_for_an_answer_is_not_taken_for_idle(make_node, make_dicom):
    node = make_node("association_idle_s = 6")
    paths = [make_dicom(1), make_dicom(2)]
    with ThreadPoolExecutor(1) as pool:
        with node.store.write():
            sending = pool.submit(_send, node, *paths)
            _wait_for(lambda: any((node.data / "films").rglob("?" * 64)))
            time.sleep(7)
        assert _statuses(sending.result()) == [0, 0]
    assert len(node.all(Film)) == 2


def test_twenty_senders_at_once(make_node, make_dicom, tmp_path):
    node = make_node()
    folders = []
    for sender in range(20):
        folder = tmp_path / f"sender{sender}"
        folder.mkdir()
        for number in range(5):
            make_dicom(100 * sender + number, folder=folder)
        folders.append(folder)
    with ThreadPoolExecutor(20) as pool:
        sent = list(pool.map(lambda each: node.dcmtk("storescu", "+sd", each), folders))
    assert [each.code for each in sent] == [0] * 20, next(e.text for e in sent if e.code)
    assert len(node.all(Film)) == 100


def test_too_many_associations_are_told_to_come_later(make_node):
    node = make_node("max_associations = 2")
    ae = AE("SENDER")
    ae.add_requested_context("1.2.840.10008.1.1")
    both = [ae.associate("127.0.0.1", node.port, ae_title="HILUM") for _ in range(2)]
    assert all(each.is_established for each in both)
    third = node.dcmtk("echoscu")
    assert "Local Limit Exceeded" in third.text
    for each in both:
        each.release()
    _wait_for(lambda: node.dcmtk("echoscu").code == 0)


def test_killed_senders_and_half_open_connections_leave_nothing(make_node, make_dicom):
    node = make_node("association_idle_s = 1\nmax_associations = 20")
    path = make_dicom(1, size=(3000, 3000))
    where = ["-aec", "HILUM", "127.0.0.1", str(node.port)]
    silent = [socket.create_connection(("127.0.0.1", node.port)) for _ in range(50)]
    killed = 0
    for _ in range(15):
        sender = subprocess.Popen(["storescu", *where, str(path)], stderr=subprocess.DEVNULL)
        receiving = node.data / "receiving"
        _wait_for(lambda here=receiving, s=sender: any(here.iterdir()) or s.poll() is not None)
        sender.kill()
        killed += sender.wait() != 0
    assert node.dcmtk("echoscu").code == 0
    for each in silent:
        each.close()
    assert killed > 0
    _wait_for(lambda: not list((node.data / "receiving").iterdir()))
    for film in node.all(Film):
        assert dcmread(node.path(film)) == dcmread(path)
    assert _statuses(_send(node, path)) == [0]


def test_what_a_kill_left_is_swept_at_the_start(make_node):
    node = make_node()
    node.kill()
    left = node.data / "receiving" / "tmp123.dcm"
    left.write_bytes(b"half")
    node.start()
    assert not left.exists()


def test_nothing_that_is_printed_names_a_patient(make_node, make_dicom):
    node = make_node()
    film = make_dicom(1)
    odd = make_dicom(2, Rows=None)
    _send(node, film, odd, make_dicom(1, PatientID="SECRET-7"))
    node.stop()
    said = node.stderr.read_text() + str(node.state) + str([each.data for each in node.all(Line)])
    assert "SECRET" not in said
    assert "Secretive" not in said
    assert dcmread(film).SOPInstanceUID not in said


def test_the_statement_lists_exactly_what_is_negotiated(make_node):
    node = make_node()
    stated = {
        (uid, syntax)
        for uid, syntaxes in statement(load_settings(node.data).node)["scp"].items()
        for syntax in syntaxes
    }
    classes = {uid for uid, _ in stated} | {"1.2.840.10008.1.20.1", "1.2.840.10008.5.1.4.1.2.1.1"}
    syntaxes = {syntax for _, syntax in stated} | {"1.2.840.113619.5.2"}
    asked = [build_context(*each) for each in product(sorted(classes), sorted(syntaxes))]
    found = set()
    for begin in range(0, len(asked), 128):
        association = AE("SENDER").associate(
            "127.0.0.1", node.port, ae_title="HILUM", contexts=asked[begin : begin + 128]
        )
        if association.is_established:
            found |= {
                (str(each.abstract_syntax), str(each.transfer_syntax[0]))
                for each in association.accepted_contexts
            }
            association.release()
    assert found == stated
    text = markdown(load_settings(node.data).node)
    assert all(uid in text and syntax in text for uid, syntax in found)


def _wait_for(condition):
    until = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.05)


def test_films_of_the_folder_are_of_their_owner_alone(make_node, make_dicom):
    node = make_node()
    _send(node, make_dicom(1))
    (film,) = node.all(Film)
    assert Path(node.path(film)).stat().st_mode & 0o077 == 0
