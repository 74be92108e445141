"""How the node says that it is: alarms in the settings' own terms, and the page's answer."""

from __future__ import annotations

import subprocess

import pytest

from hilum.apps.node import status
from hilum.apps.node.settings import Node
from hilum.apps.store.tables import Delivery, Film, Made, Read, Received, Setting, Study, now_ms

HOUR_MS = 3_600_000


@pytest.fixture
def alarms(box):
    """Return code -> (peer, value) of the alarms of a node with these settings."""

    def find(**settings):
        peers = [{"name": "pacs", "ae_title": "A", "host": "h", "silence_h": 24}]
        node = Node.parse({"reserve_gb": 0, "peers": peers} | settings, where="t")
        with box.store.read() as session:
            found = status.summary(session)
        return {
            each["code"]: (each["peer"], each["value"])
            for each in status.alarms(found, node, box.data)
        }

    return find


@pytest.fixture
def listening(box):
    with box.store.write() as session:
        value = {"listen": "127.0.0.1:104", "pid": 1, "at_ms": now_ms(), "counts": {}}
        session.merge(Setting(key=status.RECEIVER, value=value))


def _says(box, error, minutes, permanent=False):
    with box.store.write() as session:
        since = now_ms() - minutes * 60_000
        value = {"error": error, "since_ms": since, "permanent": permanent}
        session.merge(Setting(key=status.SENDER + "pacs", value=value))


def test_nothing_is_wrong(box, alarms, listening):
    box.add(1)
    _says(box, None, 100)
    assert alarms() == {}


def test_who_does_not_listen_or_has_no_space_says_so(box, alarms):
    found = alarms(reserve_gb=1e9)
    assert found["receiver"] == (None, 0)
    assert found["space"][1] > 0


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"state": "dead"}, {"dead": ("pacs", 2)}),
        (
            {"state": "waiting", "created_ms": HOUR_MS},
            {"waits": ("pacs", pytest.approx(60, abs=3))},
        ),
        ({"state": "waiting", "created_ms": 60_000}, {}),
        ({"state": "sent", "created_ms": HOUR_MS}, {}),
    ],
)
def test_what_is_not_taken_or_waits(box, alarms, listening, change, expected):
    box.add(1)
    with box.store.write() as session:
        ago = change.get("created_ms", 0)
        session.query(Delivery).update(change | {"created_ms": now_ms() - ago})
    assert alarms() == expected


@pytest.mark.parametrize(
    ("minutes", "permanent", "expected"),
    [
        (1, False, {}),
        (20, False, {"away": ("pacs", pytest.approx(20, abs=1))}),
        (1, True, {"refuses": ("pacs", pytest.approx(1, abs=1))}),
    ],
)
def test_a_peer_that_cannot_be_sent_to(box, alarms, listening, minutes, permanent, expected):
    box.add(1)
    _says(box, "pacs: no", minutes, permanent)
    assert alarms() == expected


@pytest.mark.parametrize(("hours", "silent"), [(23, False), (30, True)])
def test_a_peer_that_sends_no_more(box, alarms, listening, hours, silent):
    with box.store.write() as session:
        session.add(Study(id="s", name="x", status="read"))
        session.flush()
        session.add(Film(id="f", study_id="s", sha256="f", name="x", size=1, format="DX"))
        session.flush()
        at = now_ms() - hours * HOUR_MS
        for peer in ("pacs", "stranger"):
            session.add(Received(film_id="f", peer=peer, address="127.0.0.1", at_ms=at))
    assert alarms() == ({"silent": ("pacs", pytest.approx(30, abs=1))} if silent else {})


def test_results_that_could_not_be_made(box, alarms, listening):
    box.add(1)
    with box.store.write() as session:
        session.query(Made).update({"state": "failed"})
        assert session.query(Read).count() == 1
    assert alarms() == {"not-made": (None, 1)}


@pytest.mark.parametrize(("days", "alarmed"), [(10, True), (100, False)])
def test_a_certificate_that_ends(box, alarms, listening, days, alarmed):
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
         "-nodes", "-days", str(days), "-subj", "/CN=node", "-keyout", box.data / "node.key",
         "-out", box.data / "node.pem"],
        check=True, capture_output=True,
    )  # fmt: skip
    tls = {"certificate": "node.pem", "key": "node.key", "peers": "node.pem"}
    expected = {"certificate": (None, pytest.approx(days, abs=1))} if alarmed else {}
    assert alarms(tls=tls) == expected
    (box.data / "node.pem").write_text("none")
    assert alarms(tls=tls) == {}
