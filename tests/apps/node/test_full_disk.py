"""A disk that is full while films come: nothing acknowledged is lost, and it goes on by itself."""

from __future__ import annotations

import subprocess
import time

import pytest
from pydicom import dcmread

from hilum.apps.store.store import sqlite_url
from hilum.apps.store.tables import Film

SIZE = 20_000_000


@pytest.fixture
def disk(tmp_path):
    """A file system of 20 MB."""
    place = tmp_path / "disk"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", str(place)]
    if subprocess.run(command, capture_output=True).returncode != 0:
        pytest.skip("mounting a file system needs root")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


@pytest.mark.parametrize("store", ["there", "elsewhere"])
def test_what_does_not_fit_is_refused_for_now(disk, make_node, make_dicom, tmp_path, store):
    url = sqlite_url((disk if store == "there" else tmp_path) / "store.db")
    node = make_node("association_idle_s = 2", data=disk, url=url)
    ballast = disk / "ballast"
    ballast.write_bytes(bytes(8_000_000))
    paths = [make_dicom(number, size=(1000, 1000)) for number in range(8)]
    acknowledged, refused = [], []
    for path in paths:
        sent = node.dcmtk("storescu", path)
        if sent.code == 0:
            acknowledged.append(path)
            continue
        refused.append(path)
        assert "Abort" in sent.text or "0xa700" in sent.text.lower() or "Refused" in sent.text, (
            sent.text
        )
    assert acknowledged
    assert refused
    ballast.unlink()
    for path in refused:
        until = time.monotonic() + 60  # what was begun is swept
        while (sent := node.dcmtk("storescu", path)).code != 0 and time.monotonic() < until:
            time.sleep(0.5)
        if sent.code == 0:
            acknowledged.append(path)
    assert len(acknowledged) == len(paths)
    kept = {film.instance_uid: film for film in node.all(Film)}
    for path in acknowledged:
        source = dcmread(path)
        assert dcmread(node.path(kept[source.SOPInstanceUID])) == source
    until = time.monotonic() + 60
    while left := list((node.data / "receiving").iterdir()):
        assert time.monotonic() < until, left
        time.sleep(0.2)
    assert node.process.poll() is None
