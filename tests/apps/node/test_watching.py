"""Folders that films are put into, and that results are put into."""

from __future__ import annotations

import errno
import os
import threading
import time

import pytest
from pydicom import dcmread

from hilum.apps.node import watching
from hilum.apps.node.check import check_peer
from hilum.apps.node.receiver import Receiver
from hilum.apps.node.settings import Node, Peer
from hilum.apps.node.taking import OUT_OF_RESOURCES, PROCESSING_FAILURE, TakenObject
from hilum.apps.node.watching import Inbox
from hilum.apps.store import outbox
from hilum.apps.store.tables import Film, Line, Received
from hilum.core.errors import PeerError, UnreadableImageError

PEERS = """
[[node.peers]]
name = "folder"
inbox = "{inbox}"
settle_s = 0.1
"""


def _until(condition):
    until = time.monotonic() + 60
    while not (found := condition()):
        assert time.monotonic() < until
        time.sleep(0.05)
    return found


def _names(folder):
    return sorted(str(each.relative_to(folder)) for each in folder.rglob("*") if each.is_file())


def test_films_in_a_folder_are_taken_moved_and_known_again(make_node, make_dicom, tmp_path):
    inbox, out = tmp_path / "inbox", tmp_path / "films"
    (inbox / "ward").mkdir(parents=True)
    out.mkdir()
    first, ct = make_dicom(1, folder=out), make_dicom(2, folder=out, Modality="CT")
    foreign = make_dicom(3, folder=out, SOPInstanceUID="1.2.826.0.1.3680043.8.498.1.3")
    content = first.read_bytes()
    for name, data in {
        "a.dcm": content,
        "ward/a.dcm": content,
        "b.dcm": ct.read_bytes(),
        "c.dcm": foreign.read_bytes(),
        "d.dcm.part": content,
        ".hidden": content,
        "note.txt": b"no film",
    }.items():
        (inbox / name).write_bytes(data)
    (inbox / "link.dcm").symlink_to(first)
    node = make_node(PEERS.format(inbox=inbox))
    _until(lambda: len(_names(inbox / "done")) + len(_names(inbox / "failed")) == 7)
    # what is being written, is hidden, or is a link, stays
    assert sorted(each.name for each in inbox.iterdir() if not each.is_dir()) == [
        ".hidden", "d.dcm.part", "link.dcm",
    ]  # fmt: skip
    assert _names(inbox / "done") == ["a.dcm", "b.dcm", "ward/a.dcm"]
    assert _names(inbox / "failed") == ["c.dcm", "c.dcm.txt", "note.txt", "note.txt.txt"]
    assert "another patient" in (inbox / "failed" / "c.dcm.txt").read_text()
    (film,) = node.all(Film)
    assert node.path(film).read_bytes() == content
    assert (inbox / "done" / "a.dcm").read_bytes() == content
    assert sorted(each.duplicate for each in node.all(Received)) == [False, True]
    assert {(each.peer, each.address) for each in node.all(Received)} == {("folder", "inbox")}
    assert {line.who for line in node.all(Line)} == {"inbox:folder"}
    assert list((node.data / "receiving").iterdir()) == []
    # a kill before the move leaves the file where it was: it is taken again, and known
    node.kill()
    (inbox / "done" / "a.dcm").rename(inbox / "a.dcm")
    (inbox / "done" / "ward" / "a.dcm").rename(inbox / "ward" / "a.dcm")
    node.start()
    _until(lambda: "a.dcm" in _names(inbox / "done"))
    assert len(node.all(Film)) == 1
    said = node.stderr.read_text() + " ".join(each.data for each in node.all(Line))
    assert "Secretive" not in said
    assert "SECRET" not in said
    assert node.stop() == 0


@pytest.fixture
def inbox(tmp_path):
    """An inbox, and what was taken from it; ``answer`` is what is said of the next ones."""

    class Made(Inbox):
        def __init__(self):
            self.folder, self.taken, self.answer = tmp_path / "in", [], TakenObject(0, "accepted")
            self.folder.mkdir()
            (tmp_path / "receiving").mkdir()
            self.may = True
            peer = Peer(name="folder", inbox=self.folder, settle_s=5)
            super().__init__(peer, tmp_path, tmp_path / "receiving", 1000, self._taken)
            self.now = 0.0

        def _taken(self, peer, path):
            self.taken.append(path.read_bytes())
            return self.answer

        def at(self, now):
            self.now = now
            self.look(lambda: self.may)

    made = Made()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(watching.time, "monotonic", lambda: made.now)
        yield made
    assert list((tmp_path / "receiving").iterdir()) == []


def test_what_still_grows_is_left_alone(inbox):
    path = inbox.folder / "film.dcm"
    path.write_bytes(b"one")
    inbox.at(0)
    inbox.at(4)
    path.write_bytes(b"one and two")
    inbox.at(6)
    inbox.at(10)
    assert inbox.taken == []
    inbox.at(11)
    assert inbox.taken == [b"one and two"]
    assert _names(inbox.folder) == ["done/film.dcm"]


def test_a_disk_that_fills_between_two_files_ends_the_look(inbox):
    for number in range(3):
        (inbox.folder / f"{number}.dcm").write_bytes(b"film")
    inbox.at(0)
    answers = iter([True, False])
    inbox.now = 60
    inbox.look(lambda: next(answers))
    assert _names(inbox.folder) == ["1.dcm", "2.dcm", "done/0.dcm"]


def test_what_cannot_be_kept_now_stays_and_is_tried_again(inbox):
    (inbox.folder / "film.dcm").write_bytes(b"film")
    inbox.at(0)
    for number, status in enumerate((OUT_OF_RESOURCES, PROCESSING_FAILURE)):
        inbox.answer = TakenObject(status, "busy")
        inbox.at(60 + 40 * number)
        inbox.at(61 + 40 * number)
        assert len(inbox.taken) == number + 1
        assert _names(inbox.folder) == ["film.dcm"]
    inbox.answer = TakenObject(0, "accepted")
    inbox.at(1000)
    assert _names(inbox.folder) == ["done/film.dcm"]


def test_a_film_that_replaces_another_while_that_is_taken_is_taken_too(inbox, monkeypatch):
    path = inbox.folder / "image.dcm"
    path.write_bytes(b"film one")
    before = path.stat()

    def taken(peer, copy):
        inbox.taken.append(copy.read_bytes())
        if len(inbox.taken) == 1:  # of one size, as films of one detector, and of one moment
            other = path.with_name("x.part")
            other.write_bytes(b"film two")
            os.utime(other, ns=(before.st_atime_ns, before.st_mtime_ns))
            other.replace(path)
        return inbox.answer

    monkeypatch.setattr(inbox, "_take", taken)
    inbox.at(0)
    inbox.at(60)
    assert _names(inbox.folder) == ["image.dcm"]
    inbox.at(61)
    inbox.at(120)
    assert inbox.taken == [b"film one", b"film two"]
    assert (inbox.folder / "done" / "image.dcm").read_bytes() == b"film two"


def test_what_cannot_be_read_may_be_half_written(inbox):
    path = inbox.folder / "film.dcm"
    path.write_bytes(b"half")
    inbox.answer = TakenObject(0xC000, "unreadable", error=UnreadableImageError("half a film"))
    for now in (0, 6, 12):
        inbox.at(now)
    assert (inbox.taken, _names(inbox.folder)) == ([b"half"] * 2, ["film.dcm"])
    path.write_bytes(b"whole film")
    inbox.at(18)
    for now in (24, 30, 36):
        assert _names(inbox.folder) == ["film.dcm"]
        inbox.at(now)
    assert inbox.taken[2:] == [b"whole film"] * 3
    assert _names(inbox.folder) == ["failed/film.dcm", "failed/film.dcm.txt"]


def test_an_error_that_passes_delays_a_film_and_no_more(inbox, monkeypatch, caplog):
    (inbox.folder / "film.dcm").write_bytes(b"film")

    def full(**_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(watching.tempfile, "mkstemp", full)
    for now in (0, 60, 120):
        inbox.at(now)
    assert [each.getMessage() for each in caplog.records] == [
        "a file in the inbox of folder cannot be read: No space left on device"
    ]
    monkeypatch.undo()
    inbox.at(180)
    assert _names(inbox.folder) == ["done/film.dcm"]


def test_a_look_that_fails_ends_no_watching(tmp_path, caplog):
    class Broken:
        looks = 0

        def look(self, may):
            assert may()
            self.looks += 1
            receiver._node = Node(reserve_gb=0 if self.looks < 2 else 1e9)  # the disk fills
            assert may() == (self.looks < 2)
            receiver._node = Node(reserve_gb=0)
            if self.looks == 3:
                stop.set()
                assert not may()
            raise RuntimeError

    stop = threading.Event()
    receiver, broken = object.__new__(Receiver), Broken()
    receiver._data, receiver._node = tmp_path, Node(reserve_gb=0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("hilum.apps.node.receiver._TICK_S", 0.001)
        receiver._watch(broken, stop)
    assert broken.looks == 3
    assert [each.getMessage() for each in caplog.records] == ["broken: RuntimeError"] * 3


@pytest.mark.parametrize("kind", ["pipe", "link"])
def test_what_becomes_a_pipe_or_a_link_is_not_opened(inbox, monkeypatch, kind):
    path = inbox.folder / "film.dcm"
    path.write_bytes(b"film")
    mkstemp = watching.tempfile.mkstemp

    def instead(**how):
        if path.is_file():
            path.rename(inbox.folder.parent / "film")
            if kind == "pipe":
                os.mkfifo(path)
            else:
                path.symlink_to(inbox.folder.parent / "film")
        return mkstemp(**how)

    monkeypatch.setattr(watching.tempfile, "mkstemp", instead)
    inbox.at(0)
    inbox.at(60)
    assert inbox.taken == []


@pytest.mark.parametrize("linked", ["done", "done/ward"])
def test_a_film_is_not_moved_through_a_link(inbox, linked):
    outside = inbox.folder.parent / "outside"
    outside.mkdir()
    (inbox.folder / "ward").mkdir()
    (inbox.folder / linked).parent.mkdir(exist_ok=True)
    (inbox.folder / linked).symlink_to(outside)
    (inbox.folder / "ward" / "film.dcm").write_bytes(b"film")
    inbox.at(0)
    inbox.at(60)
    assert inbox.taken == [b"film"]
    assert list(outside.iterdir()) == []
    assert (inbox.folder / "ward" / "film.dcm").exists()


def test_a_reason_overwrites_nothing(inbox):
    failed = inbox.folder / "failed"
    failed.mkdir()
    (failed / "film.dcm.txt").write_text("of somebody else")
    (inbox.folder / "film.dcm").write_bytes(bytes(2000))
    inbox.at(0)
    inbox.at(60)
    assert (failed / "film.dcm.txt").read_text() == "of somebody else"
    assert "larger" in (failed / "film-2.dcm.txt").read_text()


@pytest.fixture
def private():
    before = os.umask(0o077)  # as the service has it
    yield
    os.umask(before)


def _rights(folder):
    return {
        f"{each.relative_to(folder)}": each.stat().st_mode & 0o7777 for each in folder.rglob("*")
    }


def test_a_peer_can_read_what_is_put_there_for_it(box, tmp_path, private):
    box.add(1)
    folder = tmp_path / "out"
    folder.mkdir()
    folder.chmod(0o2775)
    assert box.sender(104, host=None, ae_title=None, outbox=folder).step()
    rights = _rights(folder)
    assert {mode for name, mode in rights.items() if name.endswith(".dcm")} == {0o664}
    assert {mode for name, mode in rights.items() if not name.endswith(".dcm")} == {0o2775}


def test_a_peer_can_empty_done_and_failed(inbox, private):
    inbox.folder.chmod(0o770)
    (inbox.folder / "ward").mkdir()
    (inbox.folder / "ward" / "film.dcm").write_bytes(bytes(2000))
    inbox.at(0)
    inbox.at(60)
    rights = _rights(inbox.folder)
    assert (rights["failed"], rights["failed/ward"]) == (0o770, 0o770)
    assert rights["failed/ward/film.dcm.txt"] == 0o660


def test_two_files_of_one_name_are_both_kept(inbox):
    for number in range(2):
        (inbox.folder / "film.dcm").write_bytes(b"film%d" % number)
        inbox.at(100 * number)
        inbox.at(100 * number + 60)
    assert _names(inbox.folder) == ["done/film-2.dcm", "done/film.dcm"]


def test_a_file_that_is_too_large_is_not_copied(inbox):
    (inbox.folder / "film.dcm").write_bytes(bytes(2000))
    inbox.at(0)
    inbox.at(60)
    assert inbox.taken == []
    assert "larger than" in (inbox.folder / "failed" / "film.dcm.txt").read_text()


def test_a_folder_that_is_gone_is_said_once_and_waited_for(inbox, caplog):
    inbox.folder.rmdir()
    inbox.at(0)
    inbox.at(1)
    assert len(caplog.records) == 1
    inbox.folder.mkdir()
    (inbox.folder / "film.dcm").write_bytes(b"film")
    inbox.at(2)
    inbox.at(60)
    assert inbox.taken == [b"film"]


def test_a_move_that_fails_is_not_tried_again_and_again(inbox, monkeypatch):
    (inbox.folder / "film.dcm").write_bytes(b"film")

    def move(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(inbox, "_rename", move)
    for now in (0, 60, 120):
        inbox.at(now)
    assert inbox.taken == [b"film"]
    monkeypatch.undo()
    (inbox.folder / "film.dcm").write_bytes(b"another film")
    inbox.at(180)
    inbox.at(240)
    assert _names(inbox.folder) == ["done/film.dcm"]


def test_results_are_put_into_a_folder(box, tmp_path):
    box.add(1)
    folder = tmp_path / "out"
    sender = box.sender(104, host=None, ae_title=None, outbox=folder)
    assert sender.step()
    assert box.states == ["waiting", "waiting"]
    assert "outbox cannot be written" in box.rows[0].error
    folder.mkdir()
    outbox.retry(box.store, box.log, "tests", peer="pacs")
    assert sender.step()
    assert box.states == ["sent", "sent"]
    found = _names(folder)
    assert [name.rpartition("/")[0] for name in found] == ["1.2.826.0.1.3680043.8.498.1.1"] * 2
    for name in found:
        dcmread(folder / name)


def test_check_looks_at_the_folders(tmp_path):
    peer = Peer(name="folder", inbox="in", outbox="out")
    (tmp_path / "in").mkdir()
    with pytest.raises(PeerError, match="its outbox is not there"):
        check_peer(Node(peers=(peer,)), peer, tmp_path)
    (tmp_path / "out").mkdir()
    said = check_peer(Node(peers=(peer,)), peer, tmp_path)
    assert said == "its inbox is there, its outbox is there"
