"""Try the node as a hospital would, with a real Orthanc as the archive, on this machine.

    python benchmarks/node.py                                        every part, short
    python benchmarks/node.py --parts kill --films 1000 --senders 20 --kills 20
    python benchmarks/node.py --parts soak --films 5000 --minutes 30
    python benchmarks/node.py --parts receive send latency --films 60     for an idle machine

Films are the built-in virtual radiograph under UIDs of their own. "kill" ends the receiver, the
worker and the sender by SIGKILL while they come, "away" stops the archive in the middle, "latency"
times 2048 x 2000 pixels from the last byte to the SR in the archive, "receive" counts objects a
second while nothing is read, "send" those to the archive, "soak" watches memory and files for as
many films as can be done in its time. After
each but "receive" it is looked whether every film has one reading, and every result is in the
archive once with the bytes that were made, and whether a name, an ID or a UID was printed.
Needs dcmtk and Orthanc; nothing leaves loopback, and everything is deleted.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import io
import json
import os
import random
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
from pydicom import dcmread
from pydicom.uid import ExplicitVRLittleEndian
from sqlalchemy import func, select

from hilum.apps.store.store import open_store, sqlite_url
from hilum.apps.store.tables import Delivery, Film, Line, Made, Read, Result
from hilum.serve.dicom import KINDS
from hilum.serve.samples import ROOT

PARTS = ("kill", "away", "latency", "receive", "send", "soak")
STUDY = "1.2.826.0.1.3680043.8.498.7"
CLOSED = ("sent", "committed")
WAITING = 20
"""Most films of the soak that came, and whose results are not in the archive yet."""
_TESTS = Path(__file__).parents[1] / "tests" / "apps" / "node" / "conftest.py"
_spec = importlib.util.spec_from_file_location("node_conftest", _TESTS)
helpers = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(helpers)


def main() -> None:
    """Run the parts that were asked for; print one row a figure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--films", type=int, default=20)
    parser.add_argument("--senders", type=int, default=4)
    parser.add_argument("--kills", type=int, default=6)
    parser.add_argument("--away", type=float, default=60, help="seconds without the archive")
    parser.add_argument("--minutes", type=float, default=30, help="that the soak lasts at most")
    options = parser.parse_args()
    print("| part | figure | measured |\n|---|---|---|")
    for part in options.parts:
        with tempfile.TemporaryDirectory() as folder, hospital(Path(folder)) as place:
            for figure, value in RUN[part](place, options):
                print(f"| {part} | {figure} | {value} |", flush=True)


class Place:
    """A node and an archive, and ways to use them."""

    def __init__(self, folder: Path, orthanc, kinds, port: int) -> None:
        self.folder, self.data, self.orthanc, self.kinds = folder, folder / "data", orthanc, kinds
        self.port, self.said = port, folder / "said.txt"
        self.data.mkdir()
        (self.data / "hilum.toml").write_text(f"""
[node]
listen = "127.0.0.1:{self.port}"
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
objects = {json.dumps(kinds)}
""")

    def start(self) -> None:
        command = ["node", "run", "--home", str(self.data)]
        with self.said.open("wb") as said:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "hilum.apps.cli.main", *command], stdout=said, stderr=said
            )
        helpers.wait_for(lambda: "listens for DICOM" in self.said.read_text())
        self.store = open_store(sqlite_url(self.data / "store.db"), upgrade=False)

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(60)
        self.store.close()

    def films(
        self, count: int, *, first: int = 0, size: tuple[int, int] | None = None
    ) -> Iterator[Path]:
        """Write films that differ in their UIDs; ``size`` is (rows, columns)."""
        dataset = dcmread(ROOT / "frontal.dcm")
        dataset.PatientName, dataset.PatientID = "Secretive^Patricia", "SECRET-17"
        if size:
            way = cv2.INTER_AREA if size[0] < dataset.Rows else cv2.INTER_CUBIC
            sized = cv2.resize(dataset.pixel_array, size[::-1], interpolation=way)
            dataset.Rows, dataset.Columns = sized.shape
            dataset.PixelData = np.ascontiguousarray(sized).tobytes()
            dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        for number in range(first, first + count):
            dataset.StudyInstanceUID = f"{STUDY}.{number}"
            dataset.SeriesInstanceUID = f"{STUDY}.{number}.1"
            dataset.SOPInstanceUID = f"{STUDY}.{number}.2"
            dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
            path = self.folder / f"{number}.dcm"
            dataset.save_as(path)
            yield path

    def send(self, path: Path) -> None:
        """Send until it is acknowledged."""
        header = dcmread(path, stop_before_pixels=True)
        plain = header.file_meta.TransferSyntaxUID == ExplicitVRLittleEndian
        syntax = "-xe" if plain else "-xt"
        command = ["storescu", syntax, "-aec", "HILUM", "127.0.0.1", str(self.port), str(path)]
        until = time.monotonic() + helpers.LIMIT_S
        while subprocess.run(command, stderr=subprocess.DEVNULL, check=False).returncode:
            assert time.monotonic() < until, path
            time.sleep(0.2)
        path.unlink()

    def count(self, table, *where) -> int:
        with self.store.read() as session:
            return session.scalar(select(func.count()).select_from(table).where(*where))

    def sent(self) -> int:
        return self.count(Delivery, Delivery.state.in_(CLOSED))

    def done(self, films: int) -> float:
        """Return the share that is done: half of it to come, half of it to be sent."""
        return (self.count(Film) + self.sent() / len(self.kinds)) / (2 * films)

    def until(self, condition, films: int) -> None:
        until = time.monotonic() + helpers.LIMIT_S + 10 * films
        while not condition():
            assert time.monotonic() < until, (self.count(Film), self.sent())
            time.sleep(0.5)

    def until_sent(self, films: int) -> None:
        self.until(lambda: self.sent() >= films * len(self.kinds), films)

    def children(self) -> dict[str, int]:
        """Return module -> process id of what the node runs."""
        found = {}
        for task in Path(f"/proc/{self.process.pid}/task").iterdir():
            with contextlib.suppress(OSError):
                for pid in (task / "children").read_text().split():
                    words = Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0")
                    if "-m" in words:
                        found[words[words.index("-m") + 1].rpartition(".")[2]] = int(pid)
        return found

    def cpu_s(self, module: str) -> float:
        """Return the CPU time of a process and of the decoders that it started."""
        pids, ticks = [self.children()[module]], 0
        for task in Path(f"/proc/{pids[0]}/task").iterdir():
            pids += map(int, (task / "children").read_text().split())
        for pid in pids:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            ticks += int(fields[11]) + int(fields[12])
        return ticks / os.sysconf("SC_CLK_TCK")

    def verdict(self, films: int) -> list[tuple[str, object]]:
        """Compare what was sent here, what was made of it, and what the archive has."""
        with self.store.read() as session:
            results = {each.sop_uid: each for each in session.scalars(select(Result))}
            lines = "\n".join(session.scalars(select(Line.data)))
        there = Counter()
        wrong = 0
        for place in self.orthanc.get("/instances"):
            file = self.orthanc.file(place)
            uid = dcmread(io.BytesIO(file), stop_before_pixels=True).SOPInstanceUID
            there[uid] += 1
            sha256 = results[uid].sha256 if uid in results else ""
            kept = self.data / "results" / sha256[:2] / sha256
            wrong += not kept.is_file() or dcmread(io.BytesIO(file)) != dcmread(kept)
        twice = sum(there.values()) - len(there)
        whole, said = films * len(self.kinds), self.said.read_text("utf-8", "replace") + lines
        return [
            ("films, readings, results, in the archive", (
                self.count(Film), self.count(Read), len(results), len(there))),
            ("expected", (films, films, whole, whole)),
            ("confirmed by the archive", self.count(Delivery, Delivery.state == "committed")),
            ("readings whose results were not made", self.count(Made, Made.state != "made")),
            ("more than once in the archive, other bytes", (twice, wrong)),
            ("names, ids and UIDs printed or logged",
             len(re.findall(rf"Secretive|SECRET-17|{re.escape(STUDY)}|2\.25\.\d{{20}}", said))),
        ]  # fmt: skip


@contextlib.contextmanager
def hospital(folder: Path, kinds=tuple(KINDS)) -> Iterator[Place]:
    """Start an archive and a node."""
    port = helpers.free_port()
    orthanc = helpers.Orthanc(folder / "orthanc", port)
    place = Place(folder, orthanc, kinds, port)
    orthanc.start()
    place.start()
    try:
        yield place
    finally:
        place.stop()
        orthanc.stop()


def kill(place: Place, options) -> Iterator[tuple[str, object]]:
    """End each process by SIGKILL, in turn, at random from first film to last result."""
    chance, killed, begun = random.Random(11), Counter(), time.monotonic()
    turn = ["receiver", "worker", "sender"] * options.kills
    with ThreadPoolExecutor(options.senders) as pool:
        paths = place.films(options.films, size=(256, 262))
        sending = [pool.submit(place.send, path) for path in paths]
        for when in sorted(chance.uniform(0, 0.95) for _ in range(options.kills)):
            place.until(lambda when=when: place.done(options.films) > when, options.films)
            module = turn[sum(killed.values())]
            pid = helpers.wait_for(lambda module=module: place.children().get(module))
            os.kill(pid, signal.SIGKILL)
            killed[module] += 1
        for each in sending:
            each.result()
    place.until_sent(options.films)
    yield "killed", dict(killed)
    yield "all sent after", f"{time.monotonic() - begun:.0f} s"
    yield from place.verdict(options.films)


def away(place: Place, options) -> Iterator[tuple[str, object]]:
    """Stop the archive in the middle."""
    paths = list(place.films(options.films))
    for path in paths[: options.films // 2]:
        place.send(path)
    place.orthanc.stop()
    gone = time.monotonic()
    for path in paths[options.films // 2 :]:
        place.send(path)
    time.sleep(max(0, options.away - (time.monotonic() - gone)))
    place.orthanc.start()
    back = time.monotonic()
    place.until_sent(options.films)
    yield "all sent after its return", f"{time.monotonic() - back:.0f} s"
    yield from place.verdict(options.films)


def latency(place: Place, options) -> Iterator[tuple[str, object]]:
    """Send one film at a time."""
    times = []
    for number, path in enumerate(place.films(options.films, size=(2048, 2000))):
        place.send(path)
        begun = time.time()
        place.until_sent(number + 1)
        with place.store.read() as session:
            sent = select(func.max(Delivery.sent_ms)).join(Result).where(Result.kind == "sr")
            times.append(session.scalar(sent) / 1000 - begun)
    cuts = statistics.quantiles(times, n=20, method="inclusive")
    yield "last byte to SR in the archive, median, p95", f"{cuts[9]:.2f} s, {cuts[18]:.2f} s"
    yield from place.verdict(options.films)


def receive(place: Place, options) -> Iterator[tuple[str, object]]:
    """Send objects of 1 and 8 MB, one association a sender, while the worker is halted."""
    rounds = ((1, 250, options.senders), (8, 2000, options.senders), (8, 2000, 20))
    with halted(place, "worker"):
        for number in range(2):  # each decoder is started when there is work for it
            _send_at_once(place, list(place.films(20, first=20 * number)), 10)
        for megabytes, height, senders in rounds:
            first, receiver = place.count(Film), place.children()["receiver"]
            paths = list(place.films(options.films, first=first, size=(height, 2000)))
            begun, before = time.monotonic(), place.cpu_s("receiver")
            failed = _send_at_once(place, paths, senders)
            took = time.monotonic() - begun
            kept = place.count(Film) - first
            spent = 1000 * (place.cpu_s("receiver") - before) / max(kept, 1)
            memory = re.search(r"VmHWM:\s+(\d+)", Path(f"/proc/{receiver}/status").read_text())
            part = f"{megabytes} MB from {senders} senders"
            yield f"{part}, objects a second", f"{kept / took:.1f} ({kept} in {took:.1f} s)"
            yield f"{part}, CPU time of the receiver", f"{spent:.0f} ms an object"
            yield f"{part}, most memory of the receiver", f"{int(memory[1]) / 1e3:.0f} MB"
            yield f"{part}, senders that failed", failed


def _send_at_once(place: Place, paths: list[Path], senders: int) -> int:
    """Send films, each sender its share on one association; return how many failed."""
    plain = dcmread(paths[0], stop_before_pixels=True).file_meta.TransferSyntaxUID
    syntax = "-xe" if plain == ExplicitVRLittleEndian else "-xt"
    to = ["storescu", syntax, "-aec", "HILUM", "127.0.0.1", str(place.port)]
    shares = [[str(each) for each in paths[start::senders]] for start in range(senders)]
    sending = [subprocess.Popen([*to, *share]) for share in shares if share]
    codes = [each.wait() for each in sending]
    for path in paths:
        path.unlink()
    return sum(map(bool, codes))


def send(place: Place, options) -> Iterator[tuple[str, object]]:
    """Let results wait while the sender is halted; then time how they go to the archive."""
    count = min(options.films, 20)
    with halted(place, "sender"):
        for path in place.films(count):
            place.send(path)
        place.until(lambda: place.count(Made, Made.state == "made") >= count, count)
        first = place.sent()
        begun = time.monotonic()
    place.until_sent(count)
    took = time.monotonic() - begun
    sent = count * len(place.kinds) - first
    yield "to the archive, objects a second", f"{sent / took:.1f} ({sent} in {took:.1f} s)"
    yield "studies a second", f"{sent / len(place.kinds) / took:.1f}"
    yield from place.verdict(count)


@contextlib.contextmanager
def halted(place: Place, module: str) -> Iterator[None]:
    """Stop a process of the node for a while."""
    pid = helpers.wait_for(lambda: place.children().get(module))
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def soak(place: Place, options) -> Iterator[tuple[str, object]]:
    """Send for long, and watch each process."""
    seen: dict[str, list[tuple[int, int]]] = {}
    over = threading.Event()

    def watch() -> None:
        while not over.wait(2):
            for module, pid in place.children().items():
                with contextlib.suppress(OSError, ValueError):
                    status = Path(f"/proc/{pid}/status").read_text()
                    rss = int(re.search(r"VmRSS:\s+(\d+)", status)[1])
                    files = len(list(Path(f"/proc/{pid}/fd").iterdir()))
                    seen.setdefault(module, []).append((rss, files))

    begun, films = time.monotonic(), 0
    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        for path in place.films(options.films):
            place.send(path)
            films += 1
            due = (films - WAITING) * len(place.kinds)
            place.until(lambda due=due: place.sent() >= due, films)
            if time.monotonic() - begun > 60 * options.minutes:
                break
        place.until_sent(films)
    finally:
        over.set()
        watcher.join()
    yield "films, and minutes that they took", (films, round((time.monotonic() - begun) / 60))
    for module, samples in sorted(seen.items()):
        # the first films load the networks; what grows after them would go on growing
        half, last = samples[len(samples) // 2], samples[-1]
        growth = 100 * (last[0] / half[0] - 1)
        yield (
            f"{module}: memory, growth in the second half, open files",
            (f"{last[0] / 1e3:.0f} MB, {growth:+.1f} %, {half[1]} -> {last[1]}"),
        )
    yield from place.verdict(films)


RUN = {
    "kill": kill,
    "away": away,
    "latency": latency,
    "receive": receive,
    "send": send,
    "soak": soak,
}

if __name__ == "__main__":
    main()
