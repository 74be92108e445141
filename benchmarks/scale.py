"""What it takes to read films by the million with `hilum batch`: measured, computed, simulated.

    python benchmarks/scale.py films       one run with kills: rows, CPU and memory as it goes
    python benchmarks/scale.py kinds       CPU of a film and of a start, by size and format
    python benchmarks/scale.py books       what a run takes beside its films, to a million
    python benchmarks/scale.py engines     ONNX Runtime beside OpenVINO, if that is installed
    python benchmarks/scale.py bill        machines, hours, energy and price
    python benchmarks/scale.py simulate    to 10,000 workers whose machines fail, by SimPy

What each assumes, and how to change it, says `--help` after its name; `--csv FILE` keeps its table
(docs/results/scale-*.csv were made so). Films are made here, or are those of `--from FOLDER`, over
and over, each under a name of its own. CPU is user and system time of all processes of a run, also
of those that were killed: beside other work it says what a film takes, though somewhat more than on
an idle machine. Linux only.
"""

from __future__ import annotations

import argparse
import csv
import ctypes
import itertools
import json
import os
import pickle
import random
import resource
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from functools import partial
from pathlib import Path
from time import monotonic, process_time
from typing import Any

HILUM = [sys.executable, "-m", "hilum"]
KINDS = {"384 JPEG": (384, ".jpg"), "1024 PNG": (1024, ".png"), "2000 DICOM": (2000, ".dcm")}
TICKS = os.sysconf("SC_CLK_TCK")
CHILD_SUBREAPER = 36
"""Of prctl: orphans become children of this process, so that their CPU is counted."""

Table = list[dict[str, Any]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parts = parser.add_subparsers(dest="part", required=True)
    films = parts.add_parser("films")
    films.add_argument("--films", type=int, default=5000)
    films.add_argument("--from", dest="source", type=Path, help="folder of films; default: made")
    films.add_argument("--kind", choices=KINDS, default="384 JPEG", help="of films made here")
    films.add_argument("--workers", type=int, default=1)
    films.add_argument("--shard-films", type=int, default=100)
    films.add_argument("--window", type=int, default=1000, help="films of a row of the table")
    films.add_argument("--driver-kills", type=int, default=2)
    films.add_argument("--worker-kills", type=int, default=2)
    kinds = parts.add_parser("kinds")
    kinds.add_argument("--films", type=int, default=300, help="beside 16 of a first run")
    kinds.add_argument("--repeats", type=int, default=3)
    books = parts.add_parser("books")
    books.add_argument("--films", type=int, nargs="+", default=(10_000, 100_000, 1_000_000))
    engines = parts.add_parser("engines")
    engines.add_argument("--from", dest="source", type=Path, nargs="+", help="folders of films")
    engines.add_argument("--films", type=int, default=352, help="of all folders")
    bill = parts.add_parser("bill", formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    for name, (value, unit) in ASSUMED.items():
        bill.add_argument(f"--{name.replace('_', '-')}", type=float, default=value, help=unit)
    simulated = parts.add_parser("simulate", formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    for name, (value, unit) in SIMULATED.items():
        simulated.add_argument(f"--{name.replace('_', '-')}", type=float, default=value, help=unit)
    simulated.add_argument("--workers", type=int, nargs="+", default=(10, 100, 1000, 10_000))
    simulated.add_argument(
        "--hours-between",
        type=float,
        nargs="+",
        default=(24, 1),
        help="mean hours from one loss of a machine to its next",
    )
    for part in (films, kinds, books, engines, bill, simulated):
        part.add_argument("--csv", type=Path, help="keep the table here")
    books.add_argument("--child", help=argparse.SUPPRESS)
    options = parser.parse_args()
    rows = {
        "films": read_films,
        "kinds": cost_of_kinds,
        "books": keep_books,
        "engines": compare_engines,
        "bill": price,
        "simulate": simulate,
    }[options.part](options)
    if options.csv:
        with options.csv.open("w", newline="", encoding="utf-8") as file:
            table = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
            table.writeheader()
            table.writerows(rows)


def _show(row: dict[str, Any], *, first: bool) -> dict[str, Any]:
    if first:
        print("| " + " | ".join(row) + " |\n|" + "---|" * len(row))
    print("| " + " | ".join(map(str, row.values())) + " |", flush=True)
    return row


# --- films: one run, with kills


def read_films(options: argparse.Namespace) -> Table:
    """Read films while processes are killed; print a row a window, and what became of the films."""
    ctypes.CDLL(None).prctl(CHILD_SUBREAPER, 1, 0, 0, 0)
    with tempfile.TemporaryDirectory(prefix="hilum-scale-") as folder:
        root = Path(folder)
        given = (
            sorted(options.source.iterdir()) if options.source else made_films(root, options.kind)
        )
        names = _linked(root / "films", given, options.films)
        listed = root / "films.txt"
        listed.write_text("".join(f"{name}\n" for name in names))
        command = [*HILUM, "batch", str(listed), "-o", str(root / "out"), "--json"]
        command += ["--workers", str(options.workers), "--shard-films", str(options.shard_films)]
        rows, told = _watch(command, options)
        summary = _check(root / "out", names)
    rest = f"{told['lost']} times a shard was begun again, {told['given-up']} given up"
    print(f"\n{options.films} addresses, {rest}; {summary}")
    return rows


def _watch(command: list[str], options: argparse.Namespace) -> tuple[Table, Counter[str]]:
    """Run until all is read; kill drivers and workers on the way, at equal distances."""
    rows: Table = []
    told: Counter[str] = Counter()
    ends = {
        round((each + 1) * options.films / (kills + 1)): what
        for what, kills in (("worker", options.worker_kills), ("driver", options.driver_kills))
        for each in range(kills)
    }
    if len(ends) < options.worker_kills + options.driver_kills:  # a worker's falls on a driver's
        ends |= {
            round((each + 0.5) * options.films / (options.worker_kills + 1)): "worker"
            for each in range(options.worker_kills)
        }
    seen = films = 0
    cpu, began = 0.0, monotonic()
    quiet = os.environ | {"PYTHONWARNINGS": "ignore"}  # of semaphores that the killed leave
    most = dict.fromkeys(("driver", "worker", "decoder"), 0.0)
    while True:
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=quiet) as driver:
            assert driver.stdout is not None
            for line in driver.stdout:
                event = json.loads(line)
                told[event["event"]] += 1
                if event["event"] == "start":
                    films = min(event["finished_shards"] * options.shard_films, options.films)
                if event["event"] != "shard":
                    continue
                films += event["films"]
                tree = _tree(driver.pid)
                for role, megabytes in tree:
                    most[role] = max(most[role], megabytes)
                if films >= (len(rows) + 1) * options.window:
                    now, at = _cpu(), monotonic()
                    rows.append(
                        _show(
                            {
                                "films": films,
                                "CPU ms a film": round(1000 * (now - cpu) / (films - seen), 2),
                                "films a second": round((films - seen) / (at - began), 2),
                                **{f"{role} MB": round(mb) for role, mb in most.items()},
                            },
                            first=not rows,
                        )
                    )
                    cpu, began, seen = now, at, films
                    most = dict.fromkeys(most, 0.0)
                if ends and films >= min(ends):
                    what = ends.pop(min(ends))
                    told[f"{what} killed"] += 1
                    driver.kill() if what == "driver" else _kill_worker(driver.pid)
        _reap()
        if driver.returncode in (0, 3):
            return rows, told
        if driver.returncode != -signal.SIGKILL:
            raise SystemExit(f"{' '.join(command)}: exit code {driver.returncode}")


def _processes() -> dict[int, tuple[int, float]]:
    """Return the parent and the CPU seconds of every process, its ended children included."""
    found = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        found[int(stat.parent.name)] = int(fields[1]), sum(map(int, fields[11:15])) / TICKS
    return found


def _below(root: int, processes: dict[int, tuple[int, float]]) -> list[int]:
    children = [each for each, (parent, _) in processes.items() if parent == root]
    return [*children, *(each for child in children for each in _below(child, processes))]


def _cpu() -> float:
    """Return the CPU seconds of all that this process began, at work or ended."""
    processes = _processes()
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (
        ended.ru_utime
        + ended.ru_stime
        + sum(processes[each][1] for each in _below(os.getpid(), processes))
    )


def _tree(driver: int) -> Iterator[tuple[str, float]]:
    """Yield role and resident megabytes of a run's processes."""
    processes = _processes()
    for process in (driver, *_below(driver, processes)):
        try:
            status = Path(f"/proc/{process}/status").read_text().splitlines()
            command = Path(f"/proc/{process}/cmdline").read_text()
        except OSError:
            continue
        resident = [int(line.split()[1]) / 1024 for line in status if line.startswith("VmRSS")]
        role = "decoder" if "hilum.image.decoder" in command else "worker"
        if resident:
            yield "driver" if process == driver else role, resident[0]


def _kill_worker(driver: int) -> None:
    processes = _processes()
    for process in _below(driver, processes):
        if (
            processes[process][0] == driver
            and "spawn_main" in Path(f"/proc/{process}/cmdline").read_text()
        ):
            os.kill(process, signal.SIGKILL)
            return


def _reap() -> None:
    """Wait for orphans of a killed driver, which end by themselves."""
    while True:
        try:
            os.wait()
        except ChildProcessError:
            return


def _check(out: Path, names: list[str]) -> str:
    """Return what the rows are; end with an error unless every address has one, in its order."""
    import pyarrow.parquet as pq

    found: list[str] = []
    statuses: Counter[str] = Counter()
    files = sorted((out / "readings").glob("*"))
    for file in files:
        table = pq.ParquetFile(file).read(columns=["address", "status"]).to_pydict()
        found += table["address"]
        statuses.update(table["status"])
    lost, doubled = len(set(names) - set(found)), len(found) - len(set(found))
    held = sum(file.stat().st_size for file in files)
    said = f"{len(found)} rows, {lost} lost, {doubled} doubled; {dict(statuses)}"
    if found != names:
        raise SystemExit(f"WRONG: {said}")
    return f"{said}; {held / len(found):.0f} bytes a row"


# --- films to read


def made_films(folder: Path, kind: str, count: int = 24) -> list[Path]:
    """Make films from the built-in one, moved and with noise, so that the gate lets them pass."""
    import cv2
    import numpy as np
    from pydicom import dcmread
    from pydicom.uid import ExplicitVRLittleEndian

    from hilum.serve.samples import ROOT

    side, suffix = KINDS[kind]
    generator = np.random.default_rng(0)
    frontal = cv2.imread(str(ROOT / "frontal.png"), cv2.IMREAD_GRAYSCALE)
    made = []
    for number in range(count):
        move = np.float32([[1, 0, generator.uniform(-20, 20)], [0, 1, generator.uniform(-20, 20)]])
        moved = cv2.warpAffine(frontal, move, frontal.shape[::-1], borderMode=cv2.BORDER_REPLICATE)
        film = cv2.resize(moved, (side, side), interpolation=cv2.INTER_AREA)
        film = np.clip(film + generator.normal(0, 2, film.shape), 0, 255)
        made.append(folder / f"{side}-{number:03}{suffix}")
        if suffix != ".dcm":
            cv2.imwrite(str(made[-1]), film.astype(np.uint8))
            continue
        dataset = dcmread(ROOT / "frontal.dcm")
        dataset.Rows = dataset.Columns = side
        dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        dataset.PhotometricInterpretation = "MONOCHROME2"
        dataset.PixelData = (film * 16).astype("<u2").tobytes()
        dataset.WindowCenter, dataset.WindowWidth = 2048, 4096
        dataset.save_as(made[-1])
    return made


def _linked(folder: Path, films: list[Path], count: int) -> list[str]:
    """Give every film as many names as it takes to have ``count`` of them."""
    folder.mkdir()
    names = []
    for number, film in zip(range(count), itertools.cycle(films), strict=False):
        name = folder / f"{number:08}{film.suffix}"
        name.symlink_to(film.absolute())
        names.append(str(name))
    return names


# --- kinds: what a film costs, and what a start does


def cost_of_kinds(options: argparse.Namespace) -> Table:
    """Print CPU of a film and of a start, by kind: from runs of 16 films and of so many more."""
    rows: Table = []
    with tempfile.TemporaryDirectory(prefix="hilum-scale-") as folder:
        root = Path(folder)
        for kind in KINDS:
            made = made_films(root, kind, 12)
            few, many = [], []
            for each in range(options.repeats):
                few.append(_process(root, f"{each}-few", made, 16))
                many.append(_process(root, f"{each}-many", made, 16 + options.films))
            start, whole = statistics.median(few), statistics.median(many)
            film = (whole - start) / options.films
            row = {
                "film": kind,
                "bytes": round(statistics.mean(each.stat().st_size for each in made)),
                "CPU ms a film": round(1000 * film, 2),
                "CPU s of a start": round(start - 16 * film, 2),
                "lowest and highest ms": " to ".join(
                    f"{1000 * (each - start) / options.films:.1f}"
                    for each in (min(many), max(many))
                ),
            }
            rows.append(_show(row, first=not rows))
    print(f"\n{_processor()}")
    return rows


def _process(root: Path, name: str, films: list[Path], count: int) -> float:
    """Return the CPU seconds of one run over so many films, in one process that reads."""
    listed = root / f"{name}.txt"
    listed.write_text(
        "".join(f"{film}\n" for film in itertools.islice(itertools.cycle(films), count))
    )
    out = root / "out"
    command = [*HILUM, "batch", str(listed), "-o", str(out), "--json", "--workers", "1"]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    shutil.rmtree(out)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    told = {name.strip(): value for name, _, value in (line.partition(": ") for line in lines)}
    sets = {"avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_tile"}
    held = sorted(sets.intersection(told.get("flags", "").split()))
    return f"{told.get('model name', 'unknown')}, {os.cpu_count()} cores, {' '.join(held)}"


# --- books: what a run takes beside its films


def keep_books(options: argparse.Namespace) -> Table:
    """Print what planning, going on and ending take, with films that are read already."""
    if options.child:
        _child(Path(options.child))
        return []
    rows: Table = []
    for count in options.films:
        with tempfile.TemporaryDirectory(prefix="hilum-scale-") as folder:
            (Path(folder) / "films.txt").write_text(
                "".join(f"/films/2026/ward/{number:09}.png\n" for number in range(count))
            )
            row: dict[str, Any] = {"films": count, "shards": -(-count // 500)}
            for step in ("plan", "hand out", "read back", "go on"):
                command = [sys.executable, __file__, "books", "--child", folder]
                told = json.loads(subprocess.run(command, check=True, stdout=-1).stdout)
                row |= {f"{step}: {key}": value for key, value in told.items()}
        rows.append(_show(row, first=not rows))
    return rows


def _child(folder: Path) -> None:
    """Do the next step: plan; hand shards out to nobody; read files back; go on with a manifest."""
    from hilum.apps.batch.run import MANIFEST, PLAN, Plan, plan_run, run
    from hilum.apps.batch.shard import Shard

    class Nobody:
        """Takes a shard as a process would, and says at once that its films are read."""

        width = 1

        def submit(self, shard: Shard, attempt: int) -> Any:
            assert not filled, f"shard {shard.number} has its file"
            handed: Shard = pickle.loads(pickle.dumps(shard))
            future: Future[dict[str, Any]] = Future()
            counts = {"films": len(handed.addresses), "read": 0, "refused": 0, "error": 0}
            future.set_result({"file": shard.file, "bytes": 0, **counts})
            return future

        def done(self, future: Any) -> None:
            pass

    out = str(folder / "out")
    wanted = Plan(
        source=str(folder / "films.txt"),
        bundle="benchmark",
        operating_point=None,
        prevalence=None,
        force=False,
        details=False,
        max_megapixels=100,
        shard_films=500,
    )
    first, filled = not Path(out, PLAN).is_file(), Path(out, "readings").is_dir()
    before = resource.getrusage(resource.RUSAGE_SELF)
    plan = plan_run(wanted, out)
    if not first:
        *_, summary = run(plan, out, Nobody())  # type: ignore[arg-type]
        assert summary["films"] == (plan.films if filled else 0), summary
    after = resource.getrusage(resource.RUSAGE_SELF)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    print(json.dumps({"CPU s": round(cpu, 2), "MB": round(after.ru_maxrss / 1024)}))
    if not first and not filled:
        Path(out, MANIFEST).unlink()
        _fill(Path(out), plan.shards)


def _fill(out: Path, shards: int) -> None:
    """Give every shard the file of 500 readings that one real film gives."""
    from hilum.apps.batch.shard import Job, Shard, read_shard
    from hilum.bundle.folder import open_bundle
    from hilum.serve.samples import ROOT

    identity = open_bundle().identity
    job = Job(str(out), None, identity, None, None, False, False, 100.0)
    read_shard(job, Shard(0, [str(ROOT / "frontal.png")] * 20), 0)
    made = out / "readings" / Path(Shard(0, []).file).name
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pq.ParquetFile(made).read()
    pq.write_table(pa.concat_tables([table] * 25), made, compression="zstd")
    for number in range(1, shards):
        shutil.copyfile(made, out / Shard(number, []).file)


# --- engines: the network alone


def compare_engines(options: argparse.Namespace) -> Table:
    """Print CPU of the default bundle's network in one thread, and how far its scores move."""
    import numpy as np

    from hilum.image.open import open_radiograph
    from hilum.serve.inputs import find_films
    from hilum.serve.reader import load_bundle

    reader = load_bundle(threads=1)
    with tempfile.TemporaryDirectory(prefix="hilum-scale-") as folder:
        films = find_films(options.source or made_films(Path(folder), "384 JPEG"))
        films = films[:: max(1, len(films) // options.films)][: options.films]
        inputs = np.stack([reader.preprocess(open_radiograph(film)) for film in films])
    rows: Table = []
    scores: dict[str, Any] = {}
    for name, load in _engines(reader.bundle.model).items():
        before = process_time()
        run = load()
        row = {"engine": name, "CPU s to load": round(process_time() - before, 2)}
        for size in (1, 16):
            run(inputs[:size])
            taken = []
            for _ in range(5):
                before = process_time()
                for at in range(0, 64, size):
                    run(inputs[at % len(inputs) :][:size])
                taken.append(1000 * (process_time() - before) / 64)
            row[f"CPU ms a film, {size} at once"] = round(statistics.median(taken), 2)
        logits = np.concatenate([run(film[None]) for film in inputs])
        scores[name] = 1 / (1 + np.exp(-logits))
        moved = np.abs(scores[name] - next(iter(scores.values()))).max()
        row["largest change of a score"] = f"{moved:.5f}"
        rows.append(_show(row, first=not rows))
    print(f"\n{len(inputs)} films; {_processor()}")
    return rows


def _engines(model: Path) -> dict[str, Callable[[], Callable[[Any], Any]]]:
    """Return what loads a network in each engine, to be asked for its logits."""
    from hilum.bundle.onnx import Graph

    def onnxruntime() -> Callable[[Any], Any]:
        graph = Graph(model, threads=1)
        names = list(graph.outputs)
        return lambda films: graph.run(films, names)[names.index("logits")]

    def in_openvino(precision: str) -> Callable[[Any], Any]:
        network = openvino.Core().compile_model(
            str(model),
            "CPU",
            {
                "INFERENCE_PRECISION_HINT": precision,
                "INFERENCE_NUM_THREADS": 1,
                "NUM_STREAMS": 1,
                "ENABLE_CPU_PINNING": False,
            },
        )
        request = network.create_infer_request()
        return lambda films: request.infer([films], share_inputs=True)["logits"].copy()

    found: dict[str, Callable[[], Callable[[Any], Any]]] = {"ONNX Runtime float32": onnxruntime}
    try:
        import openvino
    except ImportError:
        print("OpenVINO: not measured, because it is not installed: pip install openvino\n")
        return found
    for name, precision in (("float32", "f32"), ("bfloat16", "bf16")):
        found[f"OpenVINO {name}"] = partial(in_openvino, precision)
    return found


# --- bill: from seconds to money

ASSUMED: dict[str, tuple[float, str]] = {
    "hours": (24, "in which all are to be read"),
    "utilization": (0.9, "share of the cores' time that reads films: see simulate"),
    "cores": (64, "of one machine"),
    "watts": (6, "a core at work, with its share of memory, fans, supply and cooling"),
    "usd_core_hour": (0.05, "US dollars a core and hour, list price without a contract"),
    "usd_kwh": (0.15, "US dollars a kilowatt-hour, of machines of one's own"),
    "usd_gb_month": (0.023, "US dollars a GB and month in an object store"),
    "usd_1000_gets": (0.0004, "US dollars for 1,000 objects read from it"),
    "row_bytes": (260, "of a reading, without details"),
}
RESULTS = Path(__file__).parents[1] / "docs" / "results"


def price(options: argparse.Namespace) -> Table:
    """Print cores, machines, energy and money for a million and a billion films of each kind."""
    with (RESULTS / "scale-kinds.csv").open(encoding="utf-8") as file:
        kinds = list(csv.DictReader(file))
    rows: Table = []
    for films, kind in itertools.product((1_000_000, 1_000_000_000), kinds):
        core_hours = films * float(kind["CPU ms a film"]) / 3.6e6 / options.utilization
        cores = core_hours / options.hours
        gigabytes = films * int(kind["bytes"]) / 1e9
        kwh = core_hours * options.watts / 1000
        row = {
            "films": films,
            "film": kind["film"],
            "core hours": _short(core_hours),
            "cores": _short(cores),
            "machines": _short(-(-cores // options.cores)),
            "hours on one machine": _short(core_hours / options.cores),
            "kWh": _short(kwh),
            "energy USD": _short(kwh * options.usd_kwh),
            "cores USD": _short(core_hours * options.usd_core_hour),
            "requests USD": _short(films * options.usd_1000_gets / 1000),
            "films TB": _short(gigabytes / 1000),
            "their store USD a month": _short(gigabytes * options.usd_gb_month),
            "network Gbit/s": _short(gigabytes * 8 / (options.hours * 3600)),
            "readings GB": _short(films * options.row_bytes / 1e9),
        }
        rows.append(_show(row, first=not rows))
    return rows


def _short(value: float) -> str:
    """Return three digits that count."""
    return f"{float(f'{value:.3g}'):,.10g}"


# --- simulate: to 10,000 workers that fail

SIMULATED: dict[str, tuple[float, str]] = {
    "films": (1e9, "in all"),
    "shard_films": (10_000, "films of one shard"),
    "cpu_ms": (13, "a film"),
    "spread": (0.15, "standard deviation of a shard's time, as a share of it"),
    "start_s": (2.2, "until a new process reads its first film"),
    "machine_cores": (64, "workers that are lost together"),
    "replace_s": (120, "until another stands in its place"),
    "driver_ms": (10, "of the driver, one at a time, to hand out a shard and take its result"),
    "seed": (0, "of the random numbers"),
}


def simulate(options: argparse.Namespace) -> Table:
    """Print hours, and what share of the workers' time was reading, however often machines fail."""
    rows: Table = []
    for hours, workers in itertools.product(options.hours_between, options.workers):
        told = _simulated(options, workers, hours)
        rows.append(_show(told, first=not rows))
    return rows


def _simulated(options: argparse.Namespace, workers: int, hours: float) -> dict[str, Any]:
    """Let workers take shards one after another until none is left; lose machines on the way."""
    import simpy

    random.seed(int(options.seed))
    world = simpy.Environment()
    driver = simpy.Resource(world, 1)
    films, each = int(options.films), int(options.shard_films)
    waiting = [min(each, films - at) for at in range(0, films, each)]
    left = len(waiting)
    lost = begun_again = 0
    reading_s = 0.0
    done = world.event()

    def worker() -> Any:
        nonlocal left, reading_s, begun_again
        shard = 0
        while True:
            try:
                yield world.timeout(options.start_s)
                while waiting or shard:
                    shard = shard or waiting.pop()
                    with driver.request() as turn:
                        yield turn
                        yield world.timeout(options.driver_ms / 1000)
                    share = max(random.gauss(1, options.spread), 0.1)
                    takes = shard * options.cpu_ms / 1000 * share
                    yield world.timeout(takes)
                    reading_s += takes
                    shard, left = 0, left - 1
                    if not left:
                        done.succeed()
                return
            except simpy.Interrupt:
                if shard:
                    waiting.append(shard)
                    shard, begun_again = 0, begun_again + 1
                yield world.timeout(options.replace_s)

    def machine(readers: list[Any]) -> Any:
        nonlocal lost
        while True:
            yield world.timeout(random.expovariate(1 / (hours * 3600)))
            lost += 1
            for reader in readers:
                if reader.is_alive:
                    reader.interrupt()
            yield world.timeout(options.replace_s + options.start_s)

    at_work = [world.process(worker()) for _ in range(workers)]
    cores = int(options.machine_cores)
    for first in range(0, workers, cores):
        world.process(machine(at_work[first : first + cores]))
    world.run(until=done)
    return {
        "workers": workers,
        "hours between losses": hours,
        "hours": round(world.now / 3600, 3),
        "films a second": round(films / world.now),
        "time spent reading": f"{reading_s / (workers * world.now):.1%}",
        "machines lost": lost,
        "shards begun again": begun_again,
        "shards": -(-films // each),
    }


if __name__ == "__main__":
    main()
