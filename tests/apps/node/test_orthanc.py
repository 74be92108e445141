"""A film goes from dcmtk to the node, and what was read of it to a real Orthanc."""

from __future__ import annotations

import io
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

import httpx
import pytest
from pydicom import dcmread
from sqlalchemy import func, select

from hilum.apps.cli.main import run
from hilum.apps.node import status
from hilum.apps.store.store import open_store, sqlite_url
from hilum.apps.store.tables import Delivery, Film, Made, Read, Result
from hilum.serve.dicom import KINDS as SOP_CLASSES
from hilum.serve.dicom import NOTE_CLASS
from hilum.serve.samples import ROOT

from .conftest import free_port, wait_for

KINDS = tuple(SOP_CLASSES)


HOW_TO = Path(__file__).parents[3] / "docs" / "how-to" / "orthanc.md"


class Hospital(NamedTuple):
    orthanc: object
    port: int
    store: object
    data: Path
    process: subprocess.Popen


@pytest.fixture
def hospital(tmp_path, make_orthanc):
    """An Orthanc that is not started yet, and a node whose results go to it."""
    data, port = tmp_path / "data", free_port()
    data.mkdir()
    orthanc = make_orthanc(port)
    (data / "hilum.toml").write_text(f"""
[node]
listen = "127.0.0.1:{port}"
reserve_gb = 0.0
accept_any = true
[[node.peers]]
name = "archive"
ae_title = "ORTHANC"
host = "127.0.0.1"
port = {orthanc.dicom}
commit = true
[[node.routes]]
from = "*"
to = ["archive"]
objects = {json.dumps(KINDS)}
""")
    command = [sys.executable, "-m", "hilum.apps.cli.main", "node", "run", "--home", str(data)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    for line in process.stdout:
        if re.search("listens for DICOM", line):
            break
    store = open_store(sqlite_url(data / "store.db"), upgrade=False)
    yield Hospital(orthanc, port, store, data, process)
    store.close()
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        process.wait(60)
    process.stdout.close()


def _count(store, table, *where):
    with store.read() as session:
        return session.scalar(select(func.count()).select_from(table).where(*where))


def test_results_reach_an_archive_that_was_away_and_come_back_as_nothing(hospital, capsys):
    orthanc, port, store, data, _ = hospital
    where = ["-aec", "HILUM", "127.0.0.1", str(port)]
    film = str(ROOT / "frontal.dcm")
    assert subprocess.run(["storescu", "-xt", *where, film]).returncode == 0
    wait_for(lambda: _count(store, Made, Made.state != "to-make"))
    with store.read() as session:
        made = session.scalars(select(Made)).one()
        assert (made.state, made.error) == ("made", None)
        results = {each.sop_uid: each for each in session.scalars(select(Result))}
    assert {each.kind for each in results.values()} == set(KINDS)
    wait_for(lambda: _count(store, Delivery, Delivery.error.is_not(None)))  # nobody is there
    orthanc.start()
    wait_for(lambda: _count(store, Delivery, Delivery.state == "committed") == len(KINDS))
    assert run(["node", "check", "--home", str(data)]) == 0
    said = capsys.readouterr().out
    assert said == f"archive: answers C-ECHO, takes {', '.join(KINDS)}, storage commitment\n"
    there = orthanc.instances()
    assert {uid: klass for uid, (_, klass) in there.items()} == {
        uid: each.sop_class for uid, each in results.items()
    }
    answer = httpx.post(
        f"http://127.0.0.1:{orthanc.http}/modalities/HILUM/store",
        json={"Resources": [each for each, _ in there.values()], "Synchronous": True},
        timeout=60,
    ).json()
    assert (answer["InstancesCount"], answer["FailedInstancesCount"]) == (len(KINDS), 0)
    assert _count(store, Film) == 1
    assert subprocess.run(["storescu", "-xt", *where, film]).returncode == 0
    assert (_count(store, Read), _count(store, Delivery)) == (1, len(KINDS))


def _references(note):
    """Name what a rejection note names, as Orthanc holds it."""
    (study,) = note.CurrentRequestedProcedureEvidenceSequence
    return {
        each.ReferencedSOPInstanceUID: series.SeriesInstanceUID
        for series in study.ReferencedSeriesSequence
        for each in series.ReferencedSOPSequence
    }


def test_what_is_taken_back_is_named_to_the_archive_and_can_be_sent_anew(hospital, capsys):
    orthanc, port, store, data, _ = hospital
    orthanc.start()
    film = str(ROOT / "frontal.dcm")
    command = ["storescu", "-xt", "-aec", "HILUM", "127.0.0.1", str(port), film]
    assert subprocess.run(command).returncode == 0
    wait_for(lambda: _count(store, Delivery, Delivery.state == "committed") == len(KINDS))
    first = orthanc.instances()
    with store.read() as session:
        film_id = session.scalars(select(Film.id)).one()
    retract = ["node", "retract", "--film", film_id, "--home", str(data)]
    assert run([*retract, "--reason", "whim"]) == 6
    assert run([*retract, "--reason", "quality"]) == 0
    assert "1 films whose results are taken back" in capsys.readouterr().out
    wait_for(lambda: len(orthanc.instances()) == len(KINDS) + 1)
    new = {uid: at for uid, at in orthanc.instances().items() if uid not in first}
    ((note_id, klass),) = new.values()
    assert klass == NOTE_CLASS
    note = dcmread(io.BytesIO(orthanc.file(note_id)))
    series = {
        uid: orthanc.get(f"/instances/{at}/simplified-tags")["SeriesInstanceUID"]
        for uid, (at, _) in first.items()
    }
    assert _references(note) == series
    assert _count(store, Delivery, Delivery.state == "retracted") == len(KINDS)
    assert run(["node", "resend", "--film", film_id, "--home", str(data)]) == 0
    wait_for(lambda: _count(store, Delivery, Delivery.state == "committed") == len(KINDS) + 1)
    there = orthanc.instances()
    assert len(there) == 2 * len(KINDS) + 1
    (report,) = (
        dcmread(io.BytesIO(orthanc.file(at)))
        for uid, (at, klass) in there.items()
        if uid not in first and klass == SOP_CLASSES["sr"]
    )
    document = report.PredecessorDocumentsSequence[0].ReferencedSeriesSequence[0]
    assert document.ReferencedSOPSequence[0].ReferencedSOPInstanceUID in first


def _of_page(name):
    """Return what the how-to has between its marks."""
    text = HOW_TO.read_text(encoding="utf-8").partition(f"<!-- {name} -->")[2]
    return re.search(r"```\w+\n(.*?)```", text, re.DOTALL)[1]


@pytest.mark.parametrize("rule", ["lua", pytest.param("python", marks=pytest.mark.slow)])
def test_the_how_to_of_orthanc_sends_each_film_once(tmp_path, make_orthanc, rule):
    """Its own files, with other ports; and a picture that says that it is a film."""
    port, data = free_port(), tmp_path / "data"
    data.mkdir()
    orthanc = make_orthanc(port)
    written = json.loads(_of_page("orthanc"))
    settings = {"LuaScripts": [str(tmp_path / written["LuaScripts"][0])]}
    if rule == "python":
        settings = json.loads(_of_page("plugin"))
        if not Path(settings["Plugins"][0]).exists() and not os.environ.get("CI"):
            pytest.skip("not installed (apt-get install orthanc-python)")
        settings["PythonScript"] = str(tmp_path / settings["PythonScript"])
    (tmp_path / f"hilum.{'py' if rule == 'python' else rule}").write_text(_of_page(rule))
    orthanc.configure(**settings, StableAge=1, OverwriteInstances=False)
    toml = _of_page("hilum").replace("11112", str(port)).replace("4242", str(orthanc.dicom))
    more = '\n[node.objects]\nsc_modality = "source"\n'
    (data / "hilum.toml").write_text(toml.replace("[node]", "[node]\nreserve_gb = 0.0") + more)
    orthanc.start()
    command = [sys.executable, "-m", "hilum.apps.cli.main", "node", "run", "--home", str(data)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    while "listens for DICOM" not in process.stdout.readline():
        assert process.poll() is None
    store = open_store(sqlite_url(data / "store.db"), upgrade=False)
    try:
        assert run(["node", "check", "orthanc", "--home", str(data)]) == 0
        film = ["-aec", "ORTHANC", "127.0.0.1", str(orthanc.dicom), str(ROOT / "frontal.dcm")]
        assert subprocess.run(["storescu", "-xt", *film]).returncode == 0
        wait_for(lambda: _count(store, Delivery, Delivery.state == "committed") == 3)
        assert len(orthanc.get("/studies")) == 1
        assert len(orthanc.get("/series")) == 4
        wait_for(lambda: all(each["IsStable"] for each in orthanc.get("/series?expand")))
        time.sleep(3)  # more than it takes to send what has become stable
        with store.read() as session:
            assert status.receiver(session)["counts"]["orthanc"] == {"accepted": 1}
    finally:
        store.close()
        process.send_signal(signal.SIGTERM)
        process.wait(60)
        process.stdout.close()
