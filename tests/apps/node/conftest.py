"""A receiver in a process of its own, films to send, and dcmtk to send them."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
from types import SimpleNamespace

import numpy as np
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import DigitalXRayImageStorageForPresentation, ExplicitVRLittleEndian, generate_uid
from sqlalchemy import select

from hilum.apps.node import status
from hilum.apps.store.log import open_log
from hilum.apps.store.store import open_store, sqlite_url
from hilum.apps.web.orders import Orders

START_S = 120
"""Much more than it takes, because the machine of a test may be busy with others."""
DCMTK_S = 300


@pytest.fixture
def make_dicom(tmp_path):
    """Write a DX film: ``make_dicom(3, PatientID="P3")``; None leaves an attribute out."""

    def make(number, *, size=(120, 100), folder=tmp_path, **attributes):
        dataset = Dataset()
        dataset.file_meta = FileMetaDataset()
        dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        pixels = np.random.default_rng(number).integers(0, 4096, size).astype(np.uint16)
        uid = f"1.2.826.0.1.3680043.8.498.{number}"
        values = {
            "SOPClassUID": DigitalXRayImageStorageForPresentation,
            "SOPInstanceUID": f"{uid}.3",
            "StudyInstanceUID": f"{uid}.1",
            "SeriesInstanceUID": f"{uid}.2",
            "PatientName": "Secretive^Patricia",
            "PatientID": f"SECRET-{number}",
            "Modality": "DX",
            "Manufacturer": "Tests",
            "Rows": size[0],
            "Columns": size[1],
            "SamplesPerPixel": 1,
            "PhotometricInterpretation": "MONOCHROME2",
            "BitsAllocated": 16,
            "BitsStored": 12,
            "HighBit": 11,
            "PixelRepresentation": 0,
            "PixelData": pixels.tobytes(),
        } | attributes
        for keyword, value in values.items():
            if value is not None:
                setattr(dataset, keyword, value)
        dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
        dataset.file_meta.MediaStorageSOPInstanceUID = values["SOPInstanceUID"] or generate_uid()
        path = folder / f"{len(list(folder.iterdir())):05}.dcm"
        dataset.save_as(path, enforce_file_format=True)
        return path

    return make


class Node:
    """A receiver with its store, and what a test does to it."""

    def __init__(self, data, url, toml, files=None):
        self.data, self.url = data, url
        data.mkdir(parents=True, exist_ok=True)
        for each in files.iterdir() if files else ():
            (data / each.name).write_bytes(each.read_bytes())
            (data / each.name).chmod(0o600)
        (data / "hilum.toml").write_text(toml)
        self.store = open_store(url)
        self.log = open_log(self.store, data)
        self.stderr = data.parent / "stderr.txt"
        self.process = None
        self.port = None

    def start(self):
        """Start it and wait until it says that it listens."""
        command = [sys.executable, "-m", "hilum.apps.node.receiver"]
        with self.stderr.open("ab") as stderr:
            self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stderr=stderr)
        self.process.stdin.write(Orders("receiver-1", self.url, str(self.data), None).line())
        self.process.stdin.flush()
        until = time.monotonic() + START_S
        while time.monotonic() < until and self.process.poll() is None:
            state = self.state
            if state["listen"] and state["pid"] == self.process.pid:
                self.port = int(state["listen"].rpartition(":")[2])
                return self
            time.sleep(0.05)
        raise RuntimeError(self.stderr.read_text())

    @property
    def state(self):
        """What it last said of itself."""
        with self.store.read() as session:
            return status.receiver(session)

    def counts(self, **expected):
        """Return what it counted, once that is as expected; or what it is after a while."""
        until = time.monotonic() + 20
        while True:
            found = {}
            for of in self.state["counts"].values():
                for outcome, count in of.items():
                    found[outcome] = found.get(outcome, 0) + count
            if found == expected or time.monotonic() > until:
                return found
            time.sleep(0.05)

    def kill(self):
        """kill -9."""
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()

    def stop(self):
        """Close its standard input; return the exit code."""
        with contextlib.suppress(OSError):
            self.process.stdin.close()
        return self.process.wait(60)

    def all(self, table):
        with self.store.read() as session:
            return list(session.scalars(select(table)))

    def path(self, film):
        return self.data / "films" / film.sha256[:2] / film.sha256

    def dcmtk(self, tool, *arguments, calling="SENDER", called="HILUM"):
        """Run storescu or echoscu against it."""
        where = ["-aet", calling, "-aec", called, "127.0.0.1", str(self.port)]
        command = [tool, "-v", *where, *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, timeout=DCMTK_S)
        text = (done.stdout + done.stderr).decode("utf-8", "replace")
        return SimpleNamespace(code=done.returncode, text=text)


@pytest.fixture
def make_node(tmp_path):
    """Start a receiver: ``make_node(toml of [node])``; port and store are its own."""
    made = []

    def make(toml="", *, limits="", url=None, files=None, data=None):
        data = data or tmp_path / f"node{len(made)}" / "data"
        text = f'[node]\nlisten = "127.0.0.1:0"\nreserve_gb = 0.0\n{toml}\n{limits}\n'
        node = Node(data, url or sqlite_url(data / "store.db"), text, files)
        made.append(node)
        return node.start()

    yield make
    for node in made:
        if node.process.poll() is None:
            node.kill()
        node.store.close()
