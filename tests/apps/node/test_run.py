"""``hilum node``: run, status, check; and ``hilum serve`` with a table [node]."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time

import pytest

from hilum.apps.cli.main import run
from hilum.apps.node import status
from hilum.apps.store.store import open_store, sqlite_url
from hilum.apps.store.tables import Film

START_S = 120


@pytest.fixture
def node_run(tmp_path, small_bundle):
    """``hilum node run`` on a free port: process, port and folder of data."""
    data = tmp_path / "data"
    data.mkdir()
    (data / "hilum.toml").write_text('[node]\nlisten = "127.0.0.1:0"\nreserve_gb = 0.0\n')
    command = [sys.executable, "-m", "hilum.apps.cli.main", "node", "run", "--home", str(data)]
    command += ["--bundle", str(small_bundle)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    port = None
    for line in process.stdout:
        if found := re.search(r"listens for DICOM at 127\.0\.0\.1:(\d+)", line):
            port = int(found[1])
            break
    assert port, f"it ended with {process.poll()}"
    yield process, port, data
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        process.wait(60)
    process.stdout.close()


def _send(port, path):
    where = ["-aet", "SENDER", "-aec", "HILUM", "127.0.0.1", str(port)]
    return subprocess.run(["storescu", *where, str(path)], capture_output=True).returncode


def test_a_film_that_came_is_read_and_a_killed_receiver_comes_back(node_run, make_dicom, capsys):
    process, port, data = node_run
    assert _send(port, make_dicom(1, size=(300, 260))) == 0
    store = open_store(sqlite_url(data / "store.db"), upgrade=False)

    def films():
        with store.read() as session:
            return [film.status for film in session.query(Film)]

    until = time.monotonic() + START_S
    while films() != ["read"] and time.monotonic() < until:
        assert films()[0] in ("queued", "reading", "refused", "read")
        if films() == ["refused"]:
            break
        time.sleep(0.1)
    assert films()[0] in ("read", "refused")
    assert run(["node", "status", "--home", str(data), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["received"]["?SENDER"]["films"] == 1
    assert said["to_read"] == 0
    with store.read() as session:
        pid = status.receiver(session)["pid"]
    os.kill(pid, signal.SIGKILL)
    line = process.stdout.readline()
    port = int(re.search(r"listens for DICOM at 127\.0\.0\.1:(\d+)", line)[1])
    assert _send(port, make_dicom(2)) == 0
    assert len(films()) == 2
    store.close()
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 0
    assert not (data / "store.db-wal").exists()  # all of it is in the store


def test_check_says_of_each_peer_whether_it_answers(make_node, tmp_path, capsys):
    node = make_node('[[node.peers]]\nname = "me"\nae_title = "ME"')
    data = tmp_path / "other"
    data.mkdir()
    peers = "".join(
        f'[[node.peers]]\nname = "{name}"\nae_title = "{title}"\nhost = "127.0.0.1"\n'
        f"port = {port}\ntimeout_s = 5\n"
        for name, title, port in (("good", "HILUM", node.port), ("wrong", "OTHER", node.port))
    )
    peers += '[[node.peers]]\nname = "away"\nae_title = "A"\nhost = "127.0.0.1"\nport = 1\n'
    (data / "hilum.toml").write_text('[node]\nae_title = "ME"\n' + peers)
    assert run(["node", "check", "good", "--home", str(data)]) == 0
    assert capsys.readouterr().out == "good: answers C-ECHO\n"
    assert run(["node", "check", "--home", str(data)]) == 12
    said = capsys.readouterr()
    assert "wrong: refused the association: " in said.out
    assert "away: cannot be reached" in said.out
    assert said.out.count("ask its administrator") == 2
    assert "2 of the peers" in said.err
    assert run(["node", "check", "god", "--home", str(data)]) == 6
    assert "did you mean 'good'?" in capsys.readouterr().err
