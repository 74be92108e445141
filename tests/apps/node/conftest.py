"""A receiver in a process of its own, films to send, and dcmtk to send them."""

from __future__ import annotations

import contextlib
import json
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace

import httpx
import numpy as np
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import DigitalXRayImageStorageForPresentation, ExplicitVRLittleEndian, generate_uid
from sqlalchemy import select

from hilum.apps.node import status
from hilum.apps.node.sender import PeerSender
from hilum.apps.node.settings import Node as Settings
from hilum.apps.node.settings import Peer
from hilum.apps.store import wanted
from hilum.apps.store.folder import FilmFolder
from hilum.apps.store.log import open_log
from hilum.apps.store.store import open_store
from hilum.apps.store.tables import Delivery, Film, Made, Model, Read, Result, Study
from hilum.apps.store.wanted import Making, Object
from hilum.apps.web.orders import Orders

SC = "1.2.840.10008.5.1.4.1.1.7"
SR = "1.2.840.10008.5.1.4.1.1.88.33"

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
def make_node(tmp_path, put_store):
    """Start a receiver: ``make_node(toml of [node])``; port and store are its own."""
    made = []

    def make(toml="", *, limits="", url=None, files=None, data=None):
        data = data or tmp_path / f"node{len(made)}" / "data"
        text = f'[node]\nlisten = "127.0.0.1:0"\nreserve_gb = 0.0\n{toml}\n{limits}\n'
        node = Node(data, url or put_store(data), text, files)
        made.append(node)
        return node.start()

    yield make
    for node in made:
        if node.process.poll() is None:
            node.kill()
        node.store.close()


class Outbox:
    """A store with results that wait, and a sender for them."""

    def __init__(self, data, url, make_dicom):
        self.data, self._make = data, make_dicom
        self.store = open_store(url)
        self.log, self.folder = open_log(self.store, data), FilmFolder(data)
        self.waited = []
        self.stop = threading.Event()

    def add(self, number, kinds=("sc", "sr")):
        """Put results of one film into the outbox, as the worker does."""
        film, reading = f"film{number}", f"reading{number}"
        with self.store.write() as session:
            if session.get(Model, "c" * 64) is None:
                session.add(Model(checksum="c" * 64, identity="blocks", manifest={}))
            session.add(Study(id=f"study{number}", name="x", status="read"))
            session.flush()
            session.add(
                Film(id=film, study_id=f"study{number}", sha256=film, name="x", size=1, format="DX")
            )
            session.flush()
            session.add(
                Read(id=reading, film_id=film, checksum="c" * 64, status="read", reading={})
            )
            session.flush()
            session.add(Made(reading_id=reading, film_id=film))
        objects = []
        for place, kind in enumerate(kinds):
            uid = f"1.2.3.{number}.{place}"
            path = self._make(
                number, SOPClassUID=SR if kind == "sr" else SC, SOPInstanceUID=uid, Modality="OT"
            )
            with path.open("rb") as stream:
                kept = self.folder.keep(stream, result=True)
            klass = SR if kind == "sr" else SC
            objects.append(
                Object(kind, klass, uid, f"{uid}.9", f"1.2.{number}", kept.sha256, kept.size)
            )
        making = Making(reading, film, "", {}, "c" * 64, 0, ("pacs",), 1)
        wanted.put(self.store, self.log, making, objects, ("pacs",))

    def sender(self, port=0, **peer):
        values = {"name": "pacs", "ae_title": "ARCHIVE"}
        if "dicomweb" not in peer:
            values |= {"host": "127.0.0.1", "port": port}
        known = Peer(**values | {"timeout_s": 5} | peer)
        node = Settings(peers=(known,))
        return PeerSender(self.store, self.data, node, known, self.stop, self.waited.append)

    @property
    def states(self):
        with self.store.read() as session:
            return [row.state for row in session.scalars(select(Delivery).order_by(Delivery.id))]

    @property
    def checksums(self):
        with self.store.read() as session:
            return list(session.scalars(select(Result.sha256).order_by(Result.id)))

    @property
    def rows(self):
        with self.store.read() as session:
            return list(session.scalars(select(Delivery).order_by(Delivery.id)))


@pytest.fixture
def box(tmp_path, make_dicom, put_store):
    data = tmp_path / "data"
    made = Outbox(data, put_store(data), make_dicom)
    yield made
    made.store.close()


@contextlib.contextmanager
def stand_in(handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    """Serve on loopback what a handler answers; yields the address, without a path."""

    class Quiet(handler):
        def log_message(self, *_):
            pass

    serving = ThreadingHTTPServer(("127.0.0.1", 0), Quiet)
    threading.Thread(target=serving.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{serving.server_port}"
    serving.shutdown()
    serving.server_close()


LIMIT_S = 300
ORTHANC = shutil.which("Orthanc") or shutil.which("/usr/sbin/Orthanc")
DICOMWEB = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")


def wait_for(condition):
    until = time.monotonic() + LIMIT_S
    while not (found := condition()):
        assert time.monotonic() < until
        time.sleep(0.2)
    return found


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


class Orthanc:
    """An archive on loopback, to be stopped and started."""

    def __init__(self, folder, node_port, *, dicomweb=False):
        folder.mkdir()
        self.http, self.dicom = free_port(), free_port()
        settings = {
            "Name": "tests",
            "StorageDirectory": str(folder / "files"),
            "IndexDirectory": str(folder / "index"),
            "HttpPort": self.http,
            "DicomPort": self.dicom,
            "DicomAet": "ORTHANC",
            "DicomCheckCalledAet": True,
            "RemoteAccessAllowed": False,
            "AuthenticationEnabled": False,
            "Plugins": [str(DICOMWEB)] if dicomweb else [],
            "DicomModalities": {"HILUM": ["HILUM", "127.0.0.1", node_port]},
        }
        self._settings, self._values = folder / "orthanc.json", settings
        self.configure()
        self.process = None

    def configure(self, **more):
        """Write its settings, and these."""
        self._settings.write_text(json.dumps(self._values | more))

    def start(self):
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        self.process = subprocess.Popen([ORTHANC, str(self._settings)], **quiet)
        wait_for(lambda: self.get("/system") is not None)

    def stop(self):
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(60)

    def get(self, path):
        try:
            return httpx.get(f"http://127.0.0.1:{self.http}{path}", timeout=30).json()
        except httpx.HTTPError:
            return None

    def file(self, place):
        return httpx.get(f"http://127.0.0.1:{self.http}/instances/{place}/file", timeout=30).content

    def instances(self):
        """SOP Instance UID -> (id, SOP class) of all that it has."""
        found = {}
        for each in self.get("/instances") or []:
            tags = self.get(f"/instances/{each}/simplified-tags")
            found[tags["SOPInstanceUID"]] = (each, tags["SOPClassUID"])
        return found


@pytest.fixture
def make_orthanc(tmp_path):
    """Prepare an Orthanc that is not started yet: ``make_orthanc(port of the node)``."""
    made = []

    def make(node_port=104, *, dicomweb=False):
        if ORTHANC is None or (dicomweb and not DICOMWEB.exists()):
            pytest.skip("not installed (apt-get install orthanc orthanc-dicomweb)")
        made.append(Orthanc(tmp_path / "orthanc", node_port, dicomweb=dicomweb))
        return made[-1]

    yield make
    for each in made:
        each.stop()
