"""What is sent: to peers that take, refuse, hang, end, are away, or lie."""

from __future__ import annotations

import io
import json
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pynetdicom import AE, build_context, build_role, evt
from sqlalchemy import select, update

from hilum.apps.cli.main import run
from hilum.apps.node import sender
from hilum.apps.node.status import RECEIVER, summary
from hilum.apps.store import outbox, wanted
from hilum.apps.store.tables import (
    Delivery,
    Made,
    Result,
    Setting,
    Study,
    now_ms,
)
from hilum.apps.store.wanted import Object
from hilum.apps.web.orders import Orders
from hilum.core.errors import StoreBusyError

from .conftest import SC, SR

MODEL_UID = "1.2.840.10008.1.20.1"


@contextmanager
def archive(
    *,
    answers=None,
    classes=(SC, SR),
    title="ARCHIVE",
    require=(),
    on_store=None,
    commitment=None,
    at_once=False,
):
    """A peer that answers C-STORE as it is told; it yields its port and what it was sent."""
    got, asked = [], []
    ae = AE(title)
    ae.require_called_aet = True
    ae.require_calling_aet = list(require)
    for each in (*classes, "1.2.840.10008.1.1"):
        ae.add_supported_context(each)

    def store(event):
        got.append(event.dataset)
        if on_store is not None:
            on_store(event)
        return (answers or {}).get(event.dataset.SOPClassUID, 0x0000)

    def act(event):
        answered = commitment.action(event)
        if at_once:
            said = (event.assoc, *commitment.asked[-1])
            threading.Timer(0.2, commitment.report, said).start()
        return answered

    handlers = [(evt.EVT_C_STORE, store), (evt.EVT_REQUESTED, lambda _: asked.append(1))]
    if commitment is not None:
        ae.add_supported_context(MODEL_UID)
        handlers.append((evt.EVT_N_ACTION, act))
    server = ae.start_server(("127.0.0.1", 0), block=False, evt_handlers=handlers)
    try:
        yield server.server_address[1], got, asked
    finally:
        server.shutdown()


def test_what_waits_is_sent_as_it_was_made(box):
    box.add(1)
    with archive() as (port, got, asked):
        assert box.sender(port).step()
        assert not box.sender(port).step()
    assert box.states == ["sent", "sent"]
    assert [each.SOPClassUID for each in got] == [SC, SR]  # the SR comes last
    assert len(asked) == 1
    with box.store.read() as session:
        results = {each.sop_uid: each for each in session.scalars(select(Result))}
        said = summary(session)["peers"]["pacs"]
    for each in got:
        kept = dcmread(box.folder.result(results[each.SOPInstanceUID].sha256))
        assert {e.tag: e.value for e in each} == {e.tag: e.value for e in kept}
    assert said["states"] == {"sent": 2}
    assert said["error"] is None


@pytest.mark.parametrize(
    ("status", "states"),
    [
        (0x0000, ["sent"]),
        (0xB000, ["sent"]),
        (0xB006, ["sent"]),
        (0xB007, ["sent"]),
        (0x0111, ["sent"]),
        (0xA700, ["waiting"] * 4),
        (0xA7FF, ["waiting"] * 4),
        (0x0110, ["waiting"] * 4),
        (0x0122, ["dead"]),
        (0xA900, ["waiting", "waiting", "dead"]),
        (0xC000, ["waiting", "waiting", "dead"]),
        (0x0124, ["waiting", "waiting", "dead"]),
    ],
)
def test_what_each_answer_makes_of_a_delivery(box, monkeypatch, status, states):
    monkeypatch.setattr(sender, "delay", lambda _: 0.0)
    box.add(1, kinds=("sc",))
    seen = []
    with archive(answers={SC: status}) as (port, _, _):
        for _ in states:
            assert box.sender(port).step()
            seen += box.states
    assert seen == states
    (row,) = box.rows
    assert (row.status, row.attempts) == (status, len(states))
    assert (row.error is None) == (states[-1] == "sent")


def test_a_class_that_is_not_taken_keeps_the_others_from_nothing(box):
    box.add(1)
    with archive(classes=(SC,)) as (port, got, _):
        assert box.sender(port).step()
    assert box.states == ["sent", "dead"]
    assert "does not take this class" in box.rows[1].error
    assert len(got) == 1


def test_a_peer_that_is_away_is_tried_once_a_step_and_gets_all_when_it_is_back(box, monkeypatch):
    monkeypatch.setattr(sender.random, "uniform", lambda *_: 1.0)
    for number in range(20):
        box.add(number, kinds=("sc",))
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        away = box.sender(port)
        waits = []
        for _ in range(4):
            box.waited.clear()
            assert away.step()
            waits.append(sum(box.waited))
    assert waits == [5, 10, 20, 40]
    assert box.states == ["waiting"] * 20
    with box.store.read() as session:
        assert "cannot be reached" in summary(session)["peers"]["pacs"]["error"]
    with archive() as (port, got, asked):
        back = box.sender(port)
        while back.step():
            pass
    assert box.states == ["sent"] * 20
    assert len(asked) == 20
    assert len({each.SOPInstanceUID for each in got}) == 20


def test_a_peer_that_rejects_is_waited_for_longer(box):
    box.add(1)
    with archive(require=["SOMEBODY"]) as (port, _, asked):
        assert box.sender(port).step()
    assert box.states == ["waiting", "waiting"]
    assert sum(box.waited) == sender.MOST_S
    assert len(asked) == 1
    assert "refused the association" in box.rows[0].error


@pytest.mark.parametrize("hand", [outbox.retry, outbox.resend])
def test_a_person_ends_the_waiting_once_and_not_for_good(box, monkeypatch, hand):
    monkeypatch.setattr(sender.random, "uniform", lambda *_: 1.0)
    box.add(1)
    box.add(2)
    with box.store.write() as session:
        session.execute(update(Delivery).values(state="dead"))
    hand(box.store, box.log, "anna", peer="pacs")
    time.sleep(0.01)
    away, waits = box.sender(1), []
    for _ in range(3):
        box.waited.clear()
        assert away.step()
        waits.append(sum(box.waited))
    assert waits == [5, 10, 20]


def test_retry_ends_the_waiting(box):
    box.add(1)
    tried = box.sender(1)
    count = []

    def wait(seconds):
        count.append(seconds)
        if len(count) == 3:
            outbox.retry(box.store, box.log, "anna", peer="pacs")

    tried._wait = wait
    assert tried.step()
    assert len(count) == 3


@pytest.mark.parametrize("hangs", [False, True])
def test_an_object_that_ends_the_association_keeps_no_other_waiting(box, hangs):
    for number in (1, 2, 3):
        box.add(number)
    over = threading.Event()

    def end(event):
        if event.dataset.SOPInstanceUID == "1.2.3.1.0":
            over.wait(30) if hangs else event.assoc.abort()

    with archive(on_store=end) as (port, _, asked):
        one = box.sender(port, timeout_s=1)
        assert one.step()
        assert box.states == ["waiting"] * 6
        over.set()
        while one.step():
            pass
    assert box.states == ["waiting", *["sent"] * 5]
    assert box.rows[0].attempts == 1
    assert len(asked) == 4


def test_an_object_that_cannot_be_encoded_keeps_no_other_waiting_and_dies(box, monkeypatch):
    monkeypatch.setattr(sender, "delay", lambda _: 0.0)
    box.add(1)
    box.add(2)
    real = dcmread

    def damaged(path):
        dataset = real(path)
        if dataset.SOPInstanceUID == "1.2.3.1.0":
            del dataset.file_meta
        return dataset

    monkeypatch.setattr(sender, "dcmread", damaged)
    with archive() as (port, _, _):
        one = box.sender(port)
        while one.step():
            pass
    assert box.states == ["dead", "sent", "sent", "sent"]
    assert box.rows[0].attempts == wanted.MAX_ATTEMPTS
    assert "unexpected: AttributeError" in box.rows[0].error


def test_a_peer_that_ends_in_the_middle_gets_the_rest_later(box, monkeypatch):
    monkeypatch.setattr(sender, "delay", lambda _: 0.0)
    box.add(1)
    ended = []

    def end(event):
        if not ended:
            ended.append(1)
            event.assoc.abort()

    with archive(on_store=end) as (port, got, _):
        one = box.sender(port)
        assert one.step()
        assert box.states == ["waiting", "waiting"]
        assert one.step()
    assert box.states == ["sent", "sent"]
    assert len(got) == 3


def test_a_peer_that_does_not_answer_is_not_waited_for_for_ever(box):
    box.add(1, kinds=("sc",))
    hang = threading.Event()
    with archive(on_store=lambda _: hang.wait(30)) as (port, _, _):
        assert box.sender(port, timeout_s=1).step()
        hang.set()
    assert box.states == ["waiting"]
    assert "did not answer" in box.rows[0].error or "ended" in box.rows[0].error


@pytest.mark.parametrize("torn", [False, True])
def test_a_result_whose_file_is_gone_is_made_again_and_keeps_no_other_waiting(
    box, monkeypatch, torn
):
    monkeypatch.setattr(sender, "delay", lambda _: 0.0)
    box.add(1, kinds=("sc", "sr"))
    with box.store.read() as session:
        first = session.scalars(select(Result).order_by(Result.id)).first()
    path = box.folder.result(first.sha256)
    whole = path.read_bytes()
    path.chmod(0o600)
    path.unlink()
    if torn:
        path.write_bytes(b"no DICOM")
    with archive() as (port, got, _):
        one = box.sender(port)
        assert one.step()
        assert box.states == ["waiting", "sent"]
        assert "missing or damaged" in box.rows[0].error
        assert box.folder.result(first.sha256).exists() is False
        making = wanted.claim_making(box.store)
        assert making.reading_id == "reading1"
        assert one.step()  # not made yet: waited for, and not counted
        assert box.rows[0].attempts == 1
        box.folder.keep(io.BytesIO(whole), result=True)
        kept = Object(**{name: getattr(first, name) for name in Object.__slots__})
        wanted.put(box.store, box.log, making, [kept], ("pacs",))
        assert one.step()
        assert box.states == ["sent", "sent"]
    assert len(got) == 2


def test_a_result_that_is_lost_again_and_again_or_superseded_is_dead(box, monkeypatch):
    monkeypatch.setattr(sender, "delay", lambda _: 0.0)
    box.add(1, kinds=("sc",))
    box.add(2, kinds=("sc",))
    with box.store.write() as session:
        for each in session.scalars(select(Result)):
            box.folder.result(each.sha256).unlink()
            each.superseded = each.film_id == "film2"
    with archive() as (port, got, _):
        one = box.sender(port)
        while one.step():
            with box.store.write() as session:
                session.execute(update(Made).values(state="made"))
    assert [(row.state, row.attempts) for row in box.rows] == [("dead", 3), ("dead", 0)]
    assert "could not be made again" in box.rows[0].error
    assert not got


def test_a_store_that_is_away_for_a_while_leaves_nothing_claimed(box, monkeypatch):
    box.add(1)
    real, failed = outbox.close, []

    def close(*arguments, **more):
        if not failed:
            failed.append(1)
            raise StoreBusyError("the store is busy")
        real(*arguments, **more)

    monkeypatch.setattr(sender.outbox, "close", close)
    with archive() as (port, got, _):
        one = box.sender(port)
        one._wait = lambda _: box.stop.set() if box.states == ["sent", "sent"] else None
        one.run()
    assert box.states == ["sent", "sent"]
    assert [each.SOPClassUID for each in got] == [SC, SC, SR]


def test_what_nobody_thought_of_leaves_nothing_claimed(box, monkeypatch):
    box.add(1)

    def store(*_):
        raise RuntimeError("secret")

    monkeypatch.setattr(sender.dimse, "store", store)
    with archive() as (port, _, _):
        assert box.sender(port).step()
    assert box.states == ["waiting", "waiting"]
    assert box.rows[0].error == "unexpected: RuntimeError"
    assert sum(box.waited) > 0


def test_a_peer_that_takes_no_class_at_all_is_not_down(box):
    box.add(1, kinds=("sr",))
    with archive(classes=()) as (port, _, _):
        assert box.sender(port).step()
    assert box.states == ["dead"]
    assert "does not take this class" in box.rows[0].error


def test_a_peer_without_commitment_is_not_down(box):
    box.add(1, kinds=("sc",))
    with archive() as (port, _, _):
        one = box.sender(port, commit=True)
        assert one.step()
        with box.store.write() as session:
            session.get_one(Delivery, 1).asked_ms -= 4_000_000
        assert one.step()
    assert box.states == ["sent"]
    assert not box.waited
    with box.store.read() as session:
        assert summary(session)["peers"]["pacs"]["error"] is None


def test_too_many_objects_take_several_associations(box):
    box.add(1, kinds=("sc",) * 5)
    with archive() as (port, _, asked):
        some = box.sender(port, max_objects=2)
        while some.step():
            pass
    assert box.states == ["sent"] * 5
    assert len(asked) == 3


class Commitment:
    """What an archive says of storage commitment, on the association that asks, or by a call."""

    def __init__(self, lost=()):
        self.lost, self.asked = set(lost), []

    def action(self, event):
        told = event.action_information
        uids = [
            (each.ReferencedSOPClassUID, each.ReferencedSOPInstanceUID)
            for each in told.ReferencedSOPSequence
        ]
        self.asked.append((told.TransactionUID, uids))
        return 0x0000, None

    def report(self, association, transaction, uids):
        told = Dataset()
        told.TransactionUID = transaction
        told.ReferencedSOPSequence, told.FailedSOPSequence = [], []
        for klass, uid in uids:
            item = Dataset()
            item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = klass, uid
            if uid in self.lost:
                item.FailureReason = 0x0112
                told.FailedSOPSequence.append(item)
            else:
                told.ReferencedSOPSequence.append(item)
        if not told.FailedSOPSequence:
            del told.FailedSOPSequence
        kind = 2 if "FailedSOPSequence" in told else 1
        return association.send_n_event_report(told, kind, MODEL_UID, f"{MODEL_UID}.1")[0].Status

    def call(self, port, title="ARCHIVE"):
        """Call the node's receiver back with the last answer."""
        role, context = build_role(MODEL_UID, scp_role=True), build_context(MODEL_UID)
        association = AE(title).associate(
            "127.0.0.1", port, ae_title="HILUM", contexts=[context], ext_neg=[role]
        )
        status = self.report(association, *self.asked[-1])
        association.release()
        return status


def test_what_was_sent_is_confirmed_by_a_call_and_what_was_lost_is_sent_again(
    box, make_node, monkeypatch
):
    monkeypatch.setattr(sender, "_SAME_S", 0.1)
    node = make_node(
        '[[node.peers]]\nname = "pacs"\nae_title = "ARCHIVE"\nreceive = false\ncommit = true\n'
        '[[node.peers]]\nname = "ward"\nae_title = "OTHER"\n',
        url=str(box.store.engine.url),
        data=box.data,
    )
    box.add(1)
    answers = Commitment(lost=["1.2.3.1.0"])
    with archive(commitment=answers) as (port, got, _):
        one = box.sender(port, commit=True)
        assert one.step()
        assert box.states == ["sent", "sent"]
        assert not one.step()  # it was asked, and is not asked again at once
        ((_, uids),) = answers.asked
        assert uids == [(SC, "1.2.3.1.0"), (SR, "1.2.3.1.1")]
        assert answers.call(node.port, title="OTHER") == 0
        assert box.states == ["sent", "sent"]  # another peer's word does not count
        assert answers.call(node.port) == 0
        assert box.states == ["waiting", "committed"]
        answers.lost.clear()
        assert one.step()
        assert len(got) == 3
        assert answers.call(node.port) == 0
    assert box.states == ["committed", "committed"]
    with box.store.read() as session:
        path = box.folder.result(session.scalars(select(Result.sha256)).first())
    refused = node.dcmtk("storescu", path, calling="ARCHIVE")  # it may confirm, and no more
    assert refused.code != 0
    assert node.counts(**{"not-authorized": 1}) == {"not-authorized": 1}


def test_a_confirmation_on_the_same_association(box):
    box.add(1)
    answers = Commitment()
    with archive(commitment=answers, at_once=True) as (port, _, _):
        assert box.sender(port, commit=True).step()
    assert box.states == ["committed", "committed"]


def test_a_peer_that_calls_back_is_waited_for_once(box, monkeypatch):
    """The wait on the association would else come between two studies, each time."""
    box.add(1)
    box.add(2)
    answers, waited = Commitment(), []
    with archive(commitment=answers) as (port, _, _):
        one = box.sender(port, commit=True)

        def call(seconds):  # the receiver, a process of its own, writes what it is told
            waited.append(seconds)
            transaction, uids = answers.asked[-1]
            outbox.reported(box.store, "pacs", transaction, {uid for _, uid in uids}, {})
            return False

        monkeypatch.setattr(one._answered, "wait", call)
        assert one.step()
        assert one.step()
        assert box.states == ["committed", "committed", "sent", "sent"]
        assert len(answers.asked) == 2
        assert len(waited) == 1
        with box.store.write() as session:  # the last one went unanswered
            for each in session.scalars(select(Delivery).where(Delivery.state == "sent")):
                each.asked_ms -= 4_000_000
        assert one.step()
    assert len(waited) == 2


def test_who_did_not_answer_does_not_call_back(box, monkeypatch):
    """A study may be deleted while its confirmation is waited for, which is no answer."""
    monkeypatch.setattr(sender, "_SAME_S", 0.1)
    box.add(1)
    box.add(2)
    answers, waited = Commitment(), []
    with archive(commitment=answers) as (port, _, _):
        one = box.sender(port, commit=True)

        def delete(seconds):
            waited.append(len(answers.asked))
            with box.store.write() as session:
                mine = update(Delivery).where(Delivery.transaction == answers.asked[-1][0])
                session.execute(mine.values(state="retracted"))
            time.sleep(0.05)
            return False

        monkeypatch.setattr(one._answered, "wait", delete)
        assert one.step()
        assert one.step()
    assert set(waited) == {1, 2}


def test_a_peer_that_says_nothing_is_asked_three_times(box, monkeypatch):
    monkeypatch.setattr(sender, "_SAME_S", 0.1)
    box.add(1, kinds=("sc",))
    answers = Commitment()
    with archive(commitment=answers) as (port, _, _):
        one = box.sender(port, commit=True)
        for _ in range(5):
            one.step()
            with box.store.write() as session:
                session.get_one(Delivery, 1).asked_ms -= 4_000_000
    assert len(answers.asked) == 3
    assert len({transaction for transaction, _ in answers.asked}) == 3
    assert box.states == ["sent"]


def test_what_is_lost_again_and_again_is_dead(box, make_node, monkeypatch):
    monkeypatch.setattr(sender, "_SAME_S", 0.1)
    node = make_node(
        '[[node.peers]]\nname = "pacs"\nae_title = "ARCHIVE"\ncommit = true\n',
        url=str(box.store.engine.url),
        data=box.data,
    )
    box.add(1, kinds=("sc",))
    answers = Commitment(lost=["1.2.3.1.0"])
    with archive(commitment=answers) as (port, got, _):
        one = box.sender(port, commit=True)
        while one.step():
            answers.call(node.port)
    assert box.states == ["dead"]
    assert len(got) == 3
    assert "0x0112" in box.rows[0].error


def test_verbs(box, capsys, tmp_path):
    box.add(1)
    box.add(2)
    data = ["--home", str(box.data)]
    (box.data / "hilum.toml").write_text("[node]\n")
    assert run(["node", "list", "--json", *data]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [row["state"] for row in rows] == ["waiting"] * 4
    assert rows[0]["kind"] == "sr"
    assert run(["node", "drop", "1", "2", "--reason", "of no use", "--json", *data]) == 0
    assert json.loads(capsys.readouterr().out) == {"changed": 2}
    assert run(["node", "list", "--state", "dropped", *data]) == 0
    assert capsys.readouterr().out.count("of no use") == 2
    with box.store.write() as session:
        session.get_one(Study, "study1").uid = "1.2.1"
    for study in ("study1", "1.2.1"):
        capsys.readouterr()
        assert run(["node", "list", "--study", study, *data]) == 0
        assert capsys.readouterr().out.count("film film1") == 2
    assert run(["node", "resend", "--study", "study9", *data]) == 6
    assert "hilum node list" in capsys.readouterr().err
    for verb in (["drop", "17", "--reason", "x"], ["retry", "17"], ["retry", "1", "17"]):
        assert run(["node", *verb, *data]) == 6
        assert "hilum node list" in capsys.readouterr().err
    assert run(["node", "retract", "--film", "film9", "--reason", "quality", *data]) == 6
    assert run(["node", "resend", "--study", "1.2.1", *data]) == 0
    assert "hilum node list" not in capsys.readouterr().out
    assert run(["node", "retry", "--all-dead", *data]) == 0
    assert box.states == ["waiting"] * 4
    assert run(["node", "status", *data]) == 0
    assert "to pacs: waiting 4" in capsys.readouterr().out
    assert run(["node", "list", "--state", "waitng", *data]) == 6
    assert "did you mean 'waiting'?" in capsys.readouterr().err
    assert run(["node", "retry", *data]) == 6
    assert run(["node", "resend", *data]) == 6


def test_status_does_not_take_what_was_for_what_is(box, capsys):
    data = ["--home", str(box.data)]
    (box.data / "hilum.toml").write_text("[node]\nreserve_gb = 0\n")
    alarm = "ALARM it does not listen: films are not received\ndoes not listen; the receiver was "
    for at_ms, words in ((now_ms(), "listens at h:1\n"), (1, alarm)):
        with box.store.write() as session:
            value = {"listen": "h:1", "pid": 1, "at_ms": at_ms, "counts": {}}
            session.merge(Setting(key=RECEIVER, value=value))
        assert run(["node", "status", *data]) == 0
        assert words in capsys.readouterr().out


def test_what_waits_for_a_peer_that_is_gone_is_dead_when_the_sender_starts(box):
    box.add(1)
    with box.store.write() as session:
        session.execute(update(Delivery).where(Delivery.id == 1).values(peer="old"))
    (box.data / "hilum.toml").write_text(
        '[node]\n[[node.peers]]\nname = "pacs"\nae_title = "A"\nhost = "127.0.0.1"\nport = 1\n'
    )
    line = Orders("sender-1", str(box.store.engine.url), str(box.data), None).line()
    command = [sys.executable, "-m", "hilum.apps.node.sender"]
    assert subprocess.run(command, input=line, timeout=120).returncode == 0
    assert box.states[0] == "dead"
    assert "no peer of this name" in box.rows[0].error
    assert box.states[1] in ("waiting", "claimed")


def test_send_says_of_each_file_whether_it_was_taken(box, make_dicom, capsys):
    taken = make_dicom(1, SOPClassUID=SC)
    other = make_dicom(2, SOPClassUID=SR)
    with archive(classes=(SC,)) as (port, got, _):
        (box.data / "hilum.toml").write_text(
            '[node]\n[[node.peers]]\nname = "pacs"\nae_title = "ARCHIVE"\n'
            f'host = "127.0.0.1"\nport = {port}\n'
        )
        data = ["--peer", "pacs", "--home", str(box.data)]
        assert run(["node", "send", str(taken), *data]) == 0
        assert run(["node", "send", str(taken), str(other), *data]) == 12
    printed = capsys.readouterr()
    said = printed.out
    assert "hilum node check pacs" in printed.err
    assert f"{taken}: sent, 0x0000" in said
    assert f"{other}: refused, does not take this class" in said
    assert len(got) == 2


def test_a_file_that_is_no_dicom_is_named(box, tmp_path, capsys):
    (box.data / "hilum.toml").write_text(
        '[node]\n[[node.peers]]\nname = "p"\nae_title = "A"\nhost = "127.0.0.1"\n'
    )
    path = tmp_path / "note.txt"
    path.write_bytes(io.BytesIO(b"words").read())
    assert run(["node", "send", str(path), "--peer", "p", "--home", str(box.data)]) == 3
    assert "no DICOM file" in capsys.readouterr().err
