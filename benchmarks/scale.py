"""What it takes to read films by the million with `hilum batch`: measured, computed, simulated.

    python benchmarks/scale.py films       one run with kills: rows, CPU and memory as it goes;
                                           with --nodes on a Ray cluster, beside its simulation
    python benchmarks/scale.py kinds       CPU of a film and of a start, by size and format
    python benchmarks/scale.py books       what a run takes beside its films, to a million
    python benchmarks/scale.py engines     engines and precisions, and whether they may ship
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
import socket
import statistics
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
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
Course = list[tuple[float, str, int]]
"""Seconds since the start, what happened, and films read by then."""


def main() -> None:
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # else each process compiles what it imports
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
    films.add_argument("--nodes", type=int, default=0, help="of a Ray cluster of one core each")
    films.add_argument("--node-kills", type=int, default=0, help="another takes its place")
    films.add_argument("--kills-within", type=int, help="so many films; default: all")
    films.add_argument("--nice", type=int, default=0, help="of what reads on the nodes")
    films.add_argument(
        "--keep",
        type=Path,
        help="work in this folder, and go on with it: after SIGTERM, which ends a run early, too",
    )
    kinds = parts.add_parser("kinds")
    kinds.add_argument("--films", type=int, default=300, help="beside 16 of a first run")
    kinds.add_argument("--repeats", type=int, default=3)
    books = parts.add_parser("books")
    books.add_argument("--films", type=int, nargs="+", default=(10_000, 100_000, 1_000_000))
    engines = parts.add_parser("engines")
    engines.add_argument("--cases", type=Path, required=True, help="cases.csv of the bundle's run")
    engines.add_argument("--films", type=int, default=600, help="of val and test")
    engines.add_argument("--squares", type=Path, help="keep the opened films in this file")
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
    if options.csv and rows:
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
        root = options.keep or Path(folder)
        root.mkdir(exist_ok=True)
        given = (
            sorted(options.source.iterdir()) if options.source else made_films(root, options.kind)
        )
        names = _linked(root / "films", given, options.films)
        listed = root / "films.txt"
        listed.write_text("".join(f"{name}\n" for name in names))
        command = [*HILUM, "batch", str(listed), "-o", str(root / "out"), "--json"]
        command += ["--shard-films", str(options.shard_films)]
        cluster = _cluster(options) if options.nodes else None
        if cluster:
            command += ["--executor", "ray", "--address", cluster.address]
        else:
            command += ["--workers", str(options.workers)]
        try:
            rows, told, course = _watch(command, options, cluster)
        finally:
            if cluster:
                cluster.shutdown()
        whole = not told.pop("told to end", 0)
        rows, told = _with_earlier(root / "course.json", rows, told, whole=whole)
        summary = _check(root / "out", names, options.shard_films, whole=whole)
    rest = f"{told['lost']} times a shard was begun again, {told['given-up']} given up"
    killed = ", ".join(f"{what} {count} times" for what, count in told.items() if "killed" in what)
    print(f"\n{options.films} addresses; {killed}; {rest}; {summary}")
    print(f"load of the last 15 minutes {os.getloadavg()[2]:.1f}")
    _beside_simulation(options, course)
    return rows


def _with_earlier(
    kept: Path, rows: Table, told: Counter[str], *, whole: bool
) -> tuple[Table, Counter[str]]:
    """Put what came before a run was told to end before what came since."""
    earlier = json.loads(kept.read_text()) if kept.exists() else {"whole": True}
    if not earlier.get("whole"):
        rows, told = earlier["rows"] + rows, told + Counter(earlier["told"])
    kept.write_text(json.dumps({"rows": rows, "told": told, "whole": whole}))
    return rows, told


def _cluster(options: argparse.Namespace) -> Any:
    """Return a Ray cluster of nodes on this machine, each of one core."""
    os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "RAY_enable_metrics_collection": "0"}
    os.environ |= {"RAY_agent_register_timeout_ms": "200000", "OMP_NUM_THREADS": "1"}
    os.environ |= {"RAY_worker_register_timeout_seconds": "600"}  # else begun again each minute
    os.environ |= {"RAY_worker_niceness": str(options.nice)}  # Ray's own default is 15
    from ray._private import services
    from ray.cluster_utils import Cluster

    started = services.start_raylet

    def start_raylet(*given: Any, **named: Any) -> Any:
        """Start a node that finds the ports of its agents: they have 15 s, too little here."""
        node, session = given[2], Path(given[11])
        for agent in ("dashboard_agent_listen", "metrics_agent", "metrics_export"):
            (session / f"{agent}_port_{node}").write_text("-1")  # what they say without metrics
        (session / f"runtime_env_agent_port_{node}").write_text(
            str(named["runtime_env_agent_port"])
        )
        return started(*given, **named)

    services.start_raylet = start_raylet
    cluster = Cluster()
    for _ in range(options.nodes):
        _add_node(cluster)
    return cluster


def _add_node(cluster: Any) -> None:
    with socket.socket() as free:
        free.bind(("", 0))
        port = free.getsockname()[1]
    cluster.add_node(num_cpus=1, include_dashboard=False, runtime_env_agent_port=port)


def _watch(
    command: list[str], options: argparse.Namespace, cluster: Any
) -> tuple[Table, Counter[str], Course]:
    """Run until all is read; kill what is to be killed on the way, at equal distances.

    Returns:
        A row a window, events by kind, and when what happened: seconds, kind, films read by then.
        They end early where this process is told to.
    """
    rows: Table = []
    told: Counter[str] = Counter()
    victims = ["driver"] * options.driver_kills + ["worker"] * options.worker_kills
    victims[1:1] = ["node"] * options.node_kills  # between the drivers
    ends = {
        round((each + 1) * (options.kills_within or options.films) / (len(victims) + 1)): what
        for each, what in enumerate(victims)
    }
    course: Course = []
    seen = films = 0
    cpu, began = _cpu(), monotonic()
    start = began
    log = tempfile.TemporaryFile("w+")  # noqa: SIM115 - for as long as this process
    quiet = os.environ | {"PYTHONWARNINGS": "ignore"}  # of semaphores that the killed leave
    most = dict.fromkeys(("driver", "worker", "decoder"), 0.0)

    def end(*_: Any) -> None:
        told["told to end"] = 1
        driver.kill()

    while True:
        with subprocess.Popen(command, stdout=-1, stderr=log, text=True, env=quiet) as driver:
            assert driver.stdout is not None
            signal.signal(signal.SIGTERM, end)
            for line in driver.stdout:
                event = json.loads(line)
                told[event["event"]] += 1
                if event["event"] == "start":
                    films = min(event["finished_shards"] * options.shard_films, options.films)
                    if not course:  # or it goes on with an earlier one
                        seen = films
                        ends = {at: what for at, what in ends.items() if at > films}
                    course.append((monotonic() - start, "start", films))
                if event["event"] != "shard":
                    continue
                films += event["films"]
                course.append((monotonic() - start, "shard", films))
                tree = _tree(driver.pid, os.getpid() if cluster else driver.pid)
                for role, megabytes in tree:
                    most[role] = max(most[role], megabytes)
                if films - seen >= options.window:
                    now, at = _cpu(), monotonic()
                    row: dict[str, Any] = {"films": films}
                    if not cluster:  # Ray does not count what processes took that ended
                        row["CPU ms a film"] = round(1000 * (now - cpu) / (films - seen), 2)
                    row["films a second"] = round((films - seen) / (at - began), 2)
                    row |= {f"{role} MB": round(mb) for role, mb in most.items()}
                    rows.append(_show(row, first=not rows))
                    cpu, began, seen = now, at, films
                    most = dict.fromkeys(most, 0.0)
                if ends and films >= min(ends):
                    what = ends.pop(min(ends))
                    told[f"{what} killed"] += 1
                    course.append((monotonic() - start, what, films))
                    if what == "driver":
                        driver.kill()
                    elif what == "worker":
                        _kill_worker(os.getpid() if cluster else driver.pid)
                    else:
                        cluster.remove_node(cluster.list_all_nodes()[-1], allow_graceful=False)
                        _add_node(cluster)
                        course.append((monotonic() - start, "node back", films))
        if not cluster:  # its daemons are children of this process, too
            _reap()
        if driver.returncode in (0, 3) or told["told to end"]:
            return rows, told, course
        if driver.returncode != -signal.SIGKILL:
            log.seek(0)
            print(log.read()[-2000:], file=sys.stderr)
            raise SystemExit(f"{' '.join(command)}: exit code {driver.returncode}")


def _beside_simulation(options: argparse.Namespace, course: Course) -> None:
    """Print what the simulation says of a run: of its pace, start and kills alone.

    Pace and start are those of the run where nothing was killed: the pace of all windows without
    a kill, the start up to the first shard.
    """
    workers = options.nodes or options.workers
    pace, since = [], None  # films and seconds from the fourth shard after a start or kill
    shards = 0
    for at, what, films in course:
        shards = shards + 1 if what == "shard" else 0
        if shards == 4:
            since = last = at, films
        elif shards > 4 and since is not None:
            last = at, films
        elif not shards and since is not None:
            pace.append((last[1] - since[1], last[0] - since[0]))
            since = None
    if since is not None:
        pace.append((last[1] - since[1], last[0] - since[0]))
    if not any(seconds for _, seconds in pace):
        return  # too few shards to say
    films_a_second = sum(films for films, _ in pace) / sum(seconds for _, seconds in pace)
    shard_s = workers * options.shard_films / films_a_second
    away = [at for at, what, _ in course if what in ("node", "node back")]
    assumed = {name: value for name, (value, _) in SIMULATED.items()} | {
        "films": course[-1][2],
        "shard_films": options.shard_films,
        "cpu_ms": 1000 * workers / films_a_second,
        "start_s": max(next(at for at, what, _ in course if what == "shard") - shard_s, 0),
        "machine_cores": 1,
        "replace_s": statistics.mean(b - a for a, b in zip(away[::2], away[1::2], strict=True))
        if away
        else 0,
    }
    kills = [(films, what) for _, what, films in course if what in ("driver", "node", "worker")]
    told = _simulated(assumed, workers, kills=kills)
    print(
        f"\nWithout kills {films_a_second:.1f} films a second, a start takes "
        f"{assumed['start_s']:.1f} s, a new node {assumed['replace_s']:.1f} s; of these alone:\n"
    )
    for first, (name, seconds) in enumerate(
        (("measured", course[-1][0]), ("simulated", told["seconds"]))
    ):
        row = {"": name, "s": round(seconds), "films a second": round(course[-1][2] / seconds, 2)}
        _show(row, first=not first)
    print(f"\nsimulated: {told['again']} shards begun again")


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


def _tree(driver: int, root: int) -> Iterator[tuple[str, float]]:
    """Yield role and resident megabytes of a run's processes, which are all below ``root``."""
    processes = _processes()
    for process in {driver, *_below(root, processes)}:
        try:
            status = Path(f"/proc/{process}/status").read_text().splitlines()
            command = Path(f"/proc/{process}/cmdline").read_text()
        except OSError:
            continue
        resident = [int(line.split()[1]) / 1024 for line in status if line.startswith("VmRSS")]
        role = "decoder" if "hilum.image.decoder" in command else "worker"
        if root != driver and process != driver and role == "worker" and READER not in command:
            continue  # of Ray's own
        if resident:
            yield "driver" if process == driver else role, resident[0]


READER = "ray::read_shard"
"""How Ray names a process that reads."""


def _kill_worker(root: int) -> None:
    processes = _processes()
    for process in _below(root, processes):
        command = Path(f"/proc/{process}/cmdline").read_text()
        if READER in command or (processes[process][0] == root and "spawn_main" in command):
            os.kill(process, signal.SIGKILL)
            return


def _reap() -> None:
    """Wait for orphans of a killed driver, which end by themselves."""
    while True:
        try:
            os.wait()
        except ChildProcessError:
            return


def _check(out: Path, names: list[str], each: int, *, whole: bool) -> str:
    """Return what the rows are; end with an error unless every address has one, in its order.

    Of a run that was told to end, every address of the shards of ``each`` that have a file.
    """
    import pyarrow.parquet as pq

    found: list[str] = []
    statuses: Counter[str] = Counter()
    files = sorted((out / "readings").glob("shard-???????.parquet"))
    others = sorted({each.name for each in (out / "readings").iterdir()} - {f.name for f in files})
    if whole and others:  # one that was told to end may leave what the next clears away
        raise SystemExit(f"WRONG: beside the shards there are {', '.join(others)}")
    if not whole:
        numbers = [int(file.stem.removeprefix("shard-")) for file in files]
        names = [name for at in numbers for name in names[at * each : (at + 1) * each]]
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
        dataset.PresentationLUTShape = "IDENTITY"
        dataset.PixelData = (film * 16).astype("<u2").tobytes()
        dataset.WindowCenter, dataset.WindowWidth = 2048, 4096
        dataset.save_as(made[-1])
    return made


def _linked(folder: Path, films: list[Path], count: int) -> list[str]:
    """Give every film as many names as it takes to have ``count`` of them."""
    folder.mkdir(exist_ok=True)
    names = []
    for number, film in zip(range(count), itertools.cycle(films), strict=False):
        name = folder / f"{number:08}{film.suffix}"
        if not name.is_symlink():
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
    from hilum.apps.batch.run import MANIFEST, PLAN, RunPlan, plan_run, run
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
    wanted = RunPlan(
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
    from hilum.apps.batch.shard import Shard, ShardJob, read_shard
    from hilum.bundle.folder import open_bundle
    from hilum.serve.samples import ROOT

    identity = open_bundle().identity
    job = ShardJob(str(out), None, identity, None, None, False, False, 100.0)
    read_shard(job, Shard(0, [str(ROOT / "frontal.png")] * 20), 0)
    made = out / "readings" / Path(Shard(0, []).file).name
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pq.ParquetFile(made).read()
    pq.write_table(pa.concat_tables([table] * 25), made, compression="zstd")
    for number in range(1, shards):
        shutil.copyfile(made, out / Shard(number, []).file)


# --- engines: the network alone

MOST = {"score": 0.05, "AUROC": 0.003, "sensitivity": 0.005, "specificity": 0.005}
"""By which an engine may move what is said of a film or of all films, to ship with a bundle."""


def compare_engines(options: argparse.Namespace) -> Table:
    """Print CPU of the default bundle's network in one thread, what moves, and the verdict."""
    import numpy as np

    from hilum.serve.findings import sigmoid
    from hilum.serve.reader import load_bundle

    reader = load_bundle(threads=1)
    cases, squares = _squares(reader, options)
    judged = (cases["split"] != "train").to_numpy(copy=True)
    calibration = squares[~judged]
    judged[np.flatnonzero(judged)] = np.arange(judged.sum()) * options.films % judged.sum() < (
        options.films
    )
    films = squares[judged]

    def inputs(some: Any) -> Any:
        return np.stack([reader.preprocess.standardise(each.astype(np.float32)) for each in some])

    rows: Table = []
    told: dict[str, float] = {}
    first: Any = None
    for name, load in _engines(reader.bundle.model, lambda: inputs(calibration)).items():
        run, row = load(), {"engine": name}
        for size in (1, 16):
            batch, taken = inputs(films[:16]), []
            for _ in range(5):
                before = process_time()
                for at in range(0, len(batch), size):
                    run(batch[at : at + size])
                taken.append(1000 * (process_time() - before) / len(batch))
            row[f"CPU ms a film, {size} at once"] = round(statistics.median(taken), 2)
        scores = sigmoid(np.concatenate([run(inputs(film[None])) for film in films]))
        said = _worth(reader.bundle.manifest, cases[judged], scores)
        first, told = (scores, said) if first is None else (first, told)
        moved = np.abs(scores - first).max(1)
        most = {"score": float(moved.max())}
        for figure in ("AUROC", "sensitivity", "specificity"):
            most[figure] = max(abs(said[key] - told[key]) for key in said if figure in key)
        row |= {f"{figure} moves by": f"{value:.4f}" for figure, value in most.items()}
        row["films moved by more than 0.05"] = int((moved > MOST["score"]).sum())
        over = [figure for figure, value in most.items() if value > MOST[figure]]
        row["verdict"] = f"refused: {', '.join(over)}" if over else "passes"
        rows.append(_show(row, first=not rows))
    print(f"\n{len(films)} films of val and test, {len(calibration)} of train; {_processor()}")
    return rows


def _squares(reader: Any, options: argparse.Namespace) -> tuple[Any, Any]:
    """Return films of val and test, and of train up to 40 a collection; opened once."""
    import numpy as np

    from hilum.data.table import read_cases
    from hilum.image.open import open_radiograph

    cases = read_cases(options.cases)
    train = cases[cases["split"] == "train"].groupby("cohort").head(40)
    kept = cases[(cases["split"] != "train") | cases.index.isin(train.index)]
    kept = kept.reset_index(drop=True)
    if options.squares and options.squares.is_file():
        return kept, np.load(options.squares, mmap_mode="r")
    films = [reader.preprocess.square(open_radiograph(path)) for path in kept["path"]]
    squares = np.stack(films).astype(np.float16)  # as training keeps them
    if options.squares:
        np.save(options.squares, squares)
    return kept, squares


def _worth(manifest: Any, cases: Any, scores: Any) -> dict[str, float]:
    """Return AUROC, sensitivity and specificity of each label and operating point, val and test."""
    from hilum.judge.metrics import auroc

    told = {}
    for place, output in enumerate(manifest.labels):
        answers = cases[str(output.label)].astype(float).to_numpy()
        for split in ("val", "test"):
            known = ((cases["split"] == split) & (answers == answers)).to_numpy()
            truth, score = answers[known], scores[known, place]
            told[f"{output.label} {split} AUROC"] = float(auroc(truth, score))
            for point in output.operating_points:
                present = score >= point.threshold
                name = f"{output.label} {split} {point.name}"
                told[f"{name} sensitivity"] = float(present[truth == 1].mean())
                told[f"{name} specificity"] = float((~present)[truth == 0].mean())
    return told


def _engines(
    model: Path, calibration: Callable[[], Any]
) -> dict[str, Callable[[], Callable[[Any], Any]]]:
    """Return what loads a network in each engine, to be asked for its logits."""
    from hilum.bundle.onnx import Graph

    def asked(path: Path) -> Callable[[Any], Any]:
        graph = Graph(path, threads=1)
        return lambda films: graph.run(films, ["logits"])[0]

    def in_int8() -> Callable[[Any], Any]:
        with tempfile.TemporaryDirectory(prefix="hilum-scale-") as folder:
            return asked(_in_int8(model, Path(folder), calibration()))

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

    found: dict[str, Callable[[], Callable[[Any], Any]]] = {
        "ONNX Runtime float32": partial(asked, model),
        "ONNX Runtime int8": in_int8,
    }
    try:
        import openvino
    except ImportError:
        print("OpenVINO: not measured, because it is not installed: pip install openvino\n")
        return found
    for name, precision in (("float32", "f32"), ("bfloat16", "bf16")):
        found[f"OpenVINO {name}"] = partial(in_openvino, precision)
    return found


ENCODER = 50
"""Convolutions of the encoder; what follows them stays in float32."""


def _in_int8(model: Path, folder: Path, films: Any) -> Path:
    """Quantize the encoder: 8-bit weights a channel, ranges of activations from films."""
    import onnx
    import onnxruntime
    from onnxruntime import quantization

    class Some(quantization.CalibrationDataReader):  # type: ignore[misc]
        films: Any

        def get_next(self) -> Any:
            return next(self.films, None)

    folded, made = folder / "folded.onnx", folder / "int8.onnx"
    folding = onnxruntime.SessionOptions()
    folding.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    folding.optimized_model_filepath = str(folded)
    onnxruntime.InferenceSession(str(model), folding, providers=["CPUExecutionProvider"])
    nodes = onnx.load(folded).graph.node
    before = list(itertools.accumulate(node.op_type == "Conv" for node in nodes))
    late = zip(nodes, before, strict=True)
    reader = Some()
    reader.films = iter({"image": film[None]} for film in films[::4])
    quantization.quantize_static(
        folded,
        made,
        reader,
        op_types_to_quantize=["Conv", "Clip", "Add", "AveragePool"],
        nodes_to_exclude=[node.name for node, count in late if count > ENCODER],
        per_channel=True,
        activation_type=quantization.QuantType.QUInt8,
        weight_type=quantization.QuantType.QInt8,
    )
    return made


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
    assumed = {name: getattr(options, name) for name in SIMULATED}
    for hours, workers in itertools.product(options.hours_between, options.workers):
        told = _simulated(assumed, workers, hours=hours)
        row = {
            "workers": workers,
            "hours between losses": hours,
            "hours": round(told["seconds"] / 3600, 3),
            "films a second": round(options.films / told["seconds"]),
            "time spent reading": f"{told['reading'] / (workers * told['seconds']):.1%}",
            "machines lost": told["lost"],
            "shards begun again": told["again"],
            "shards": -(-int(options.films) // int(options.shard_films)),
        }
        rows.append(_show(row, first=not rows))
    return rows


def _simulated(
    assumed: dict[str, float],
    workers: int,
    *,
    hours: float | None = None,
    kills: Sequence[tuple[int, str]] = (),
) -> dict[str, float]:
    """Let workers take shards one after another until none is left.

    Args:
        assumed: the values of ``SIMULATED``.
        workers: that read.
        hours: in the mean from one loss of a machine to its next, at random times; None for none.
        kills: once so many films are read, a "driver" with all workers, the last "node" (of
            ``machine_cores`` workers) or one "worker" is lost.

    Returns:
        Seconds, seconds of all workers that were reading, machines lost, shards begun again.
    """
    import simpy

    random.seed(int(assumed["seed"]))
    world = simpy.Environment()
    driver = simpy.Resource(world, 1)
    films, each = int(assumed["films"]), int(assumed["shard_films"])
    cores = int(assumed["machine_cores"])
    waiting = [min(each, films - at) for at in range(0, films, each)]
    left = len(waiting)
    read = lost = again = 0
    reading_s = 0.0
    done = world.event()

    def worker() -> Any:
        nonlocal left, read, reading_s, again
        shard, away = 0, 0.0
        while True:
            try:
                yield world.timeout(away + assumed["start_s"])
                while waiting or shard:
                    shard = shard or waiting.pop()
                    with driver.request() as turn:
                        yield turn
                        yield world.timeout(assumed["driver_ms"] / 1000)
                    share = max(random.gauss(1, assumed["spread"]), 0.1)
                    takes = shard * assumed["cpu_ms"] / 1000 * share
                    yield world.timeout(takes)
                    reading_s += takes
                    read, shard, left = read + shard, 0, left - 1
                    if not left:
                        done.succeed()
                return
            except simpy.Interrupt as loss:
                away = loss.cause
                if shard:
                    waiting.append(shard)
                    shard, again = 0, again + 1

    def lose(readers: list[Any], away: float) -> None:
        for reader in readers:
            if reader.is_alive:
                reader.interrupt(away)

    def machine(readers: list[Any], hours: float) -> Any:
        nonlocal lost
        while True:
            yield world.timeout(random.expovariate(1 / (hours * 3600)))
            lost += 1
            lose(readers, assumed["replace_s"])
            yield world.timeout(assumed["replace_s"] + assumed["start_s"])

    def killer() -> Any:
        for films_then, what in kills:
            while read < films_then:
                yield world.timeout(0.1)
            gone = {"driver": workers, "node": cores, "worker": 1}[what]
            lose(at_work[-gone:], assumed["replace_s"] if what == "node" else 0)

    at_work = [world.process(worker()) for _ in range(workers)]
    if hours is not None:
        for first in range(0, workers, cores):
            world.process(machine(at_work[first : first + cores], hours))
    world.process(killer())
    world.run(until=done)
    return {"seconds": world.now, "reading": reading_s, "lost": lost, "again": again}


if __name__ == "__main__":
    main()
