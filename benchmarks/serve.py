"""Time the workstation as its users meet it, on this machine, with the server in its own process.

    python benchmarks/serve.py                     every part
    python benchmarks/serve.py --parts start one   some parts
    python benchmarks/serve.py --parts memory --films 2000 --from FOLDER   your films, so many

Films are DICOM files of 8 MB, made from a built-in virtual radiograph by enlarging it; each is
given noise and a SOP Instance UID of its own. With --from, "memory" sends the files of a folder
instead. Nothing leaves loopback, and everything is deleted.
"""

from __future__ import annotations

import argparse
import importlib.util
import platform
import tempfile
import threading
import time
from io import BytesIO
from pathlib import Path

import cv2
import numpy as np
from pydicom import dcmread
from pydicom.uid import ExplicitVRLittleEndian, generate_uid
from sqlalchemy import insert, select

from hilum.apps.store.store import open_store, sqlite_url
from hilum.apps.store.tables import Film, Study, Verdict, new_id, now_ms, search_text
from hilum.apps.store.worklist import STATUSES
from hilum.serve.samples import ROOT

SIDE = 2000
LISTED = 5000
PARTS = ("start", "one", "ten", "worklist", "session", "memory")
_SERVING = Path(__file__).parents[1] / "tests" / "apps" / "web" / "serving.py"


def main() -> None:
    """Run the parts that were asked for; print one row each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--films", type=int, default=100, help="of the part 'memory'")
    parser.add_argument(
        "--from", dest="source", type=Path, help="folder of films for 'memory'; default: made ones"
    )
    parser.add_argument("--each", type=int, default=20, help="films of 'one', and of 'ten' in all")
    parser.add_argument(
        "--studies", type=int, default=100_000, help="of the parts 'worklist' and 'session'"
    )
    options = parser.parse_args()
    print(
        f"{platform.machine()}, {platform.python_version()}\n\n| part | measured | |\n|---|---|---|"
    )
    for part in options.parts:
        with tempfile.TemporaryDirectory() as folder:
            for name, value, target in RUN[part](Path(folder), options):
                print(f"| {name} | {value} | {target} |", flush=True)


def start(folder, options):
    """Time from the command to the line that says it is ready."""
    times = []
    for number in range(3):
        with Running(folder / str(number), "--demo") as served:
            times.append(served.ready_s)
    yield "ready, three starts", ", ".join(f"{each:.1f} s" for each in times), "< 5 s"


def one(folder, options):
    """One user sends film after film: from the first byte sent to the reading received."""
    with Running(folder) as served, served.client(served.token) as client:
        _warm(client)
        times = [_upload_and_wait(client, number) for number in range(options.each)]
    megabytes = len(_film(0)) / 1e6
    yield f"one user, {megabytes:.1f} MB, upload to reading", _spread(times), "<= 2.5 s p95"


def ten(folder, options):
    """Ten users send at once while an eleventh looks around."""
    accepted, seen, stop = [], [], threading.Event()
    films = [_film(1000 + number) for number in range(options.each)]
    with Running(folder) as served:
        with served.client(served.token) as client:
            _warm(client)

        def send(user):
            with served.client(served.token) as client:
                accepted.extend(_send(client, film) for film in films[user::10])

        def look():
            with served.client(served.token) as client:
                while not stop.is_set():
                    for path in ("/studies", "/me", "/studies?status=read&sort=priority"):
                        began = time.perf_counter()
                        client.get(path).raise_for_status()
                        seen.append(time.perf_counter() - began)
                    time.sleep(0.05)

        looker = threading.Thread(target=look)
        looker.start()
        senders = [threading.Thread(target=send, args=(user,)) for user in range(10)]
        began = time.perf_counter()
        for sender in senders:
            sender.start()
        for sender in senders:
            sender.join()
        sent_s = time.perf_counter() - began
        stop.set()
        looker.join()
        with served.client(served.token) as client:
            while (counts := client.get("/studies").json()["counts"])["read"] < len(accepted) + 1:
                if not counts["queued"] and not counts["reading"]:
                    break
                time.sleep(0.2)
        read_s = time.perf_counter() - began
        done = counts["read"] + counts["refused"] - 1
    yield "ten users, films accepted / read", f"{len(accepted)} / {done}", f"{options.each} each"
    yield "ten users, all accepted, all read", f"{sent_s:.1f} s, {read_s:.1f} s", ""
    yield "ten users, the interface answers", _spread(seen), "< 0.3 s p95"


def worklist(folder, options):
    """Pages and filters over many studies."""
    folder.mkdir(exist_ok=True)
    _fill(folder, options.studies)
    paths = (
        "/studies",
        "/studies?sort=priority",
        "/studies?status=read&status=refused",
        "/studies?q=p123",
        "/studies?label=covid-19&sort=priority",
        "/studies?from=2026-01-01&to=2026-06-30&reviewed=false",
    )
    with Running(folder) as served, served.client(served.token) as client:
        client.get("/studies").raise_for_status()
        times = {path: [] for path in paths}
        for _ in range(15):
            for path in paths:
                times[path].append(_timed(client, path))
        cursor, deep = None, []
        for _ in range(40):
            where = f"/studies?limit=200{f'&cursor={cursor}' if cursor else ''}"
            began = time.perf_counter()
            cursor = client.get(where).raise_for_status().json()["next"]
            deep.append(time.perf_counter() - began)
    for path, found in times.items():
        yield f"{options.studies} studies, {path}", _spread(found), "< 0.2 s p95"
    yield (
        f"{options.studies} studies, 40 pages of 200 one after another",
        _spread(deep),
        "< 0.2 s p95",
    )


def session(folder, options):
    """Reading through: a list of many films, half of them judged, and a round over all studies."""
    folder.mkdir(exist_ok=True)
    _fill(folder, options.studies)
    with Running(folder) as served, served.client(served.token) as client:
        me = client.get("/me").raise_for_status().json()["name"]
        people = client.get("/users").raise_for_status().json()["items"]
        reader = next(each["user_id"] for each in people if each["name"] == me)
        store = open_store(sqlite_url(folder / "store.db"))
        with store.read() as reading:
            films = list(reading.scalars(select(Film.id).limit(LISTED)))
        body = {
            "name": "many", "film_ids": films, "readers": [reader], "findings": ["covid-19"],
            "blind": True, "seed": 1,
        }  # fmt: skip
        listed = client.post("/lists", json=body).raise_for_status().json()["list_id"]
        given = {
            "person_id": reader, "finding": "covid-19", "verdict": "absent", "text": "",
            "blind": True, "list_id": listed, "at_ms": now_ms(), "marks": [],
        }  # fmt: skip
        half = len(films) // 2
        with store.write() as writing:
            writing.execute(insert(Verdict), [given | {"film_id": each} for each in films[:half]])
        store.close()
        client.put("/round", json={"status": ["read"], "reviewed": False}).raise_for_status()
        said = {"finding": "covid-19", "verdict": "absent", "list_id": listed, "blind": True}
        steps = {
            "the whole list": lambda film: client.get(f"/lists/{listed}"),
            "its place in the list": lambda film: client.get(f"/lists/{listed}/films/{film}"),
            "its place in the round": lambda film: client.put(
                "/round/place", json={"film_id": film}
            ),
            "what is known of it": lambda film: client.get(f"/films/{film}"),
            "its verdict": lambda film: client.post(
                f"/films/{film}/verdicts/all", json={"verdicts": [said]}
            ),
        }
        times = {name: [] for name in steps}
        for film in films[half : half + 40]:
            for name, step in steps.items():
                began = time.perf_counter()
                step(film).raise_for_status()
                times[name].append(time.perf_counter() - began)
    for name, found in times.items():
        yield f"a film of a list of {len(films)}: {name}", _spread(found), "< 0.2 s p95"


def memory(folder, options):
    """Resident memory of server and worker as films pass and are looked at."""
    bodies = _bodies(options)
    with Running(folder) as served, served.client(served.token) as client:
        _warm(client)
        sizes = []
        for body in bodies:
            film_id = _send(client, body)
            _wait(client, film_id, every_s=0.25)
            for what in ("pixels", "thumbnail.jpg", "overlays", "heatmaps/covid-19.png"):
                client.get(f"/films/{film_id}/{what}")
            sizes.append((_resident(served.process.pid), _resident(served.worker)))
    shown = sorted({*range(0, len(sizes), max(1, len(sizes) // 10)), len(sizes) - 1})
    for place, who in enumerate(("server", "worker")):
        found = np.array([each[place] for each in sizes])
        said = ", ".join(f"{number + 1}: {found[number]:.0f}" for number in shown)
        yield f"MB of the {who} after so many films", said, "flat"
        last = found[len(found) // 2 :]
        slope = np.polyfit(np.arange(len(last)), last, 1)[0] * 1000 if len(last) > 1 else np.nan
        yield f"MB of the {who} per 1,000 films, second half", f"{slope:+.1f}", "flat"


def _bodies(options):
    """Yield the films of the part "memory", as bytes."""
    if options.source is None:
        yield from (_film(5000 + number) for number in range(options.films))
        return
    paths = sorted(path for path in options.source.rglob("*") if path.is_file())
    if len(paths) < options.films:
        raise SystemExit(f"{options.source}: {len(paths)} files; --films asks for {options.films}")
    yield from (path.read_bytes() for path in paths[: options.films])


RUN = {
    "start": start, "one": one, "ten": ten, "worklist": worklist, "session": session,
    "memory": memory,
}  # fmt: skip


class Running:
    """A server that ends with the block."""

    def __init__(self, data, *options):
        serving = _serving()
        self._token = serving.make_token(data)
        self._served = serving.Served(data, None, None, *options)

    def __enter__(self):
        self._served.start()
        self._served.token = self._token
        return self._served

    def __exit__(self, *_):
        self._served.stop()


def _serving():
    """Return the tests' module that runs a server."""
    spec = importlib.util.spec_from_file_location("serving", _SERVING)
    serving = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(serving)
    return serving


def _film(number):
    """Return a DICOM file of 8 MB: 2000 x 2000 pixels of 12 bits, uncompressed."""
    dataset = dcmread(ROOT / "frontal.dcm")
    pixels = cv2.resize(dataset.pixel_array.astype(np.float32), (SIDE, SIDE))
    noise = np.random.default_rng(number).normal(0, 8, pixels.shape)
    values = np.clip(pixels + noise, 0, 4095).astype(np.uint16)
    dataset.Rows = dataset.Columns = SIDE
    dataset.PixelData = values.tobytes()
    dataset["PixelData"].VR = "OW"
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    for keyword in ("SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID"):
        setattr(dataset, keyword, generate_uid(entropy_srcs=[keyword, str(number)]))
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    out = BytesIO()
    dataset.save_as(out, enforce_file_format=True)
    return out.getvalue()


def _send(client, body):
    answer = client.post("/films", files={"files": ("film.dcm", body)}).raise_for_status()
    return answer.json()["accepted"][0]["film_id"]


def _upload_and_wait(client, number):
    body = _film(number)
    began = time.perf_counter()
    _wait(client, _send(client, body))
    return time.perf_counter() - began


def _wait(client, film_id, every_s=0.02):
    while client.get(f"/films/{film_id}/reading").json()["reading"] is None:
        time.sleep(every_s)


def _warm(client):
    """Let the worker load its bundle, which is done once a start."""
    _wait(client, _send(client, _film(999_999)))


def _timed(client, path):
    began = time.perf_counter()
    client.get(path).raise_for_status()
    return time.perf_counter() - began


def _fill(data, count):
    """Put studies into the store, as if they had been read over a year."""
    store = open_store(sqlite_url(data / "store.db"))
    generator = np.random.default_rng(0)
    year_ms, now = 365 * 86_400_000, now_ms()
    studies, films = [], []
    for number in range(count):
        study, film = new_id(), new_id()
        status = STATUSES[min(int(generator.exponential(0.6)), 2) + 2]
        probability = float(generator.random()) if status == "read" else -1.0
        patient_id, name = f"P{number // 3:06d}", f"film{number}.dcm"
        finding = {
            "label": "covid-19", "probability": probability, "present": probability > 0.5,
            "prediction_set": None, "answer": "present" if probability > 0.5 else "absent",
        }  # fmt: skip
        created = now - int(generator.random() * year_ms)
        studies.append(
            {
                "id": study, "uid": f"1.2.{number}", "patient_id": patient_id,
                "name": name,
                "search": search_text(patient_id, name),
                "labels": ",covid-19," if probability > 0.5 else "", "film_id": film,
                "status": status,
                "findings": [finding] if status == "read" else [], "priority": probability,
                "created_ms": created, "films": 1, "verdicts": number % 4, "reports": 0,
            }
        )  # fmt: skip
        films.append(
            {
                "id": film, "study_id": study, "sha256": f"{number:064x}", "name": "film.dcm",
                "size": 1, "format": "DICOM DX", "status": status, "created_ms": created,
            }
        )  # fmt: skip
    with store.write() as session:
        for table, rows in ((Study, studies), (Film, films)):
            session.execute(table.__table__.insert(), rows)
    store.close()


def _resident(pid):
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) / 1000
    return float("nan")


def _spread(times):
    p50, p95 = np.percentile(times, [50, 95])
    return f"p50 {p50:.3f} s, p95 {p95:.3f} s (n={len(times)})"


if __name__ == "__main__":
    main()
