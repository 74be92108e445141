"""Measure `hilum read`: each stage alone, films a second, peak memory, and process start.

    python benchmarks/read.py                                  # films made here, built-in bundle
    python benchmarks/read.py --films ../shared/data/OpenIST --bundle runs/x/bundle

Writes to a temporary folder only.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

KINDS = ("384 JPEG", "1024 PNG")
COUNTS = (100, 500, 2000)


def main() -> None:
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # else each process compiles what it imports
    options = _options()
    if options.child:
        task = json.loads(options.child)
        CHILDREN[task.pop("work")](**task)
        return
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} before the start")
    with tempfile.TemporaryDirectory() as folder:
        _child("prepare", folder=folder, given=options.films)
        sets = json.loads((Path(folder) / "sets.json").read_text())
        for name, films in sets.items():
            print(f"\n{name}: {len(films)} different films")
            _child("stages", films=films, bundle=options.bundle, folder=folder)
            for count in options.counts:
                _child("stream", films=films, count=count, bundle=options.bundle, details=False)
            _child(
                "stream", films=films, count=options.counts[0], bundle=options.bundle, details=True
            )
            _overlays(films, options, folder)
        _starts(next(iter(sets.values()))[0], options)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bundle", help="bundle folder; default: the built-in")
    parser.add_argument("--films", help="folder of films; default: made here")
    parser.add_argument("--counts", type=int, nargs="+", default=COUNTS)
    parser.add_argument("--repeats", type=int, default=9, help="process starts of each median")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    return parser.parse_args()


def _child(work: str, **task: Any) -> None:
    """Run one measurement in a process of its own, so that its peak memory is its own.

    This process stays small, because a child's peak starts from its parent's.
    """
    sys.stdout.flush()
    child = json.dumps({"work": work, **task})
    subprocess.run([sys.executable, __file__, "--child", child], check=True)


def _prepare(folder: str, given: str | None) -> None:
    from scale import made_films

    made = {} if given else {kind: made_films(Path(folder), kind) for kind in KINDS}
    sets = {kind: [str(film) for film in films] for kind, films in made.items()}
    if given:
        sets = {"given": _given(Path(given))}
    (Path(folder) / "sets.json").write_text(json.dumps(sets))


def _given(folder: Path) -> list[str]:
    from hilum.core.reading import Status
    from hilum.image.preprocess import Preprocess
    from hilum.serve.film import open_film
    from hilum.serve.inputs import find_films

    films = find_films([folder])
    films = films[:: max(1, len(films) // 500)][:500]
    return [str(f) for f in films if open_film(f, Preprocess(), keep=False).status is Status.READ]


def _stages(films: list[str], bundle: str | None, folder: str) -> None:
    """Print milliseconds a film of each stage alone, in one thread (inference: every core)."""
    import numpy as np

    from hilum.bundle.onepass import OnePass
    from hilum.image.open import open_radiograph
    from hilum.image.write import write_png
    from hilum.serve.heatmap import limit_of, overlay, with_legend
    from hilum.serve.reader import BATCH, load_bundle
    from hilum.serve.report import HtmlReport

    reader = load_bundle(bundle)
    films = films[:48]
    opened = _timed("decode", len(films), lambda: [open_radiograph(f) for f in films])
    if isinstance(reader.segmenter, OnePass):
        _one_pass(reader, reader.segmenter, opened)
    lungs = _timed("lungs", len(films), lambda: [reader.segment(r) for r in opened])
    both = list(zip(opened, lungs, strict=True))
    inputs = _timed("preprocess", len(films), lambda: [reader.preprocess(*film) for film in both])
    batch = np.stack([inputs[i % len(inputs)] for i in range(BATCH)])
    reader.run(batch)
    _timed("inference", 5 * BATCH, lambda: [reader.run(batch) for _ in range(5)])
    readings = list(reader.read_many(films))
    _timed("write JSON", len(films), lambda: [r.model_dump_json() for r in readings])
    if not reader.bundle.manifest.evidence:
        return
    examined = list(reader.examine(films[:8], keep=True))

    def overlays() -> None:
        for one in examined:
            assert one.radiograph is not None
            heatmap = reader.heatmap(one.radiograph, reader.labels[0])
            picture = overlay(one.radiograph.pixels, heatmap, limit_of(heatmap))
            write_png(Path(folder) / "overlay.png", with_legend(picture, "benchmark", 1.0))

    def page() -> None:
        report = HtmlReport(reader)
        for one in examined:
            report.add(one)
        report.write(Path(folder) / "report.html")

    _timed("write overlay", len(examined), overlays)
    _timed("write page", len(examined), page)


def _one_pass(reader: Any, network: Any, films: list[Any]) -> None:
    """Print the steps between an opened film and its answers, where one network says all."""
    from hilum.image.signs import signs

    squares = _timed("to a square", len(films), lambda: list(map(network.preprocess.square, films)))
    inputs = [network.preprocess.standardise(square)[None] for square in squares]
    names = list(network.graph.outputs)
    _timed("the network", len(films), lambda: [network.graph.run(each, names) for each in inputs])
    lungs = [network.segment_squares([square])[0] for square in squares]
    seen = list(zip(films, squares, lungs, strict=True))
    found = _timed("signs", len(films), lambda: [signs(*each) for each in seen])
    if reader.gate is not None:
        pairs = list(zip(lungs, found, strict=True))
        _timed("gate", len(films), lambda: [reader.gate.judge(a.embedding, b) for a, b in pairs])


def _timed(name: str, count: int, work: Callable[[], Any]) -> Any:
    wall, cpu = perf_counter(), process_time()
    result = work()
    wall, cpu = perf_counter() - wall, process_time() - cpu
    print(
        f"  {name:14} {1000 * wall / count:8.2f} ms/film {count / wall:8.0f} films/s"
        f"   (CPU {1000 * cpu / count:6.2f} ms)"
    )
    return result


def _stream(films: list[str], count: int, bundle: str | None, details: bool) -> None:
    """Print films a second, peak memory and CPU time of one call, and what its decoders took."""
    from hilum.image import decoders
    from hilum.serve.reader import load_bundle

    paths = list(itertools.islice(itertools.cycle(films), count))
    reader = load_bundle(bundle)
    wall, cpu = perf_counter(), process_time()
    for reading in reader.read_many(paths, details=details):
        reading.model_dump_json()
    wall, cpu = perf_counter() - wall, process_time() - cpu
    held = max(map(_peak_mb, _children()), default=0.0)
    decoders.close()
    apart = resource.getrusage(resource.RUSAGE_CHILDREN)
    decoding = apart.ru_utime + apart.ru_stime
    cpu += decoding
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"  {len(paths):5} in one call{' with details' if details else ''}: "
        f"{len(paths) / wall:6.1f} films/s, peak {peak:.0f} MB"
        f"   (CPU {1000 * cpu / len(paths):.1f} ms/film, {cpu / wall:.2f} cores used; "
        f"in decoders {1000 * decoding / len(paths):.1f} ms/film, "
        f"{held:.0f} MB each at most)"
    )


def _children() -> list[str]:
    return " ".join(p.read_text() for p in Path("/proc/self/task").glob("*/children")).split()


def _peak_mb(process: str) -> float:
    """Largest memory of a process; ``rusage`` would count what it had of its parent."""
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return next(float(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM"))


def _overlays(films: list[str], options: argparse.Namespace, folder: str) -> None:
    """Print films a second of a whole process that writes two overlays a film, details and all."""
    paths = list(itertools.islice(itertools.cycle(films), options.counts[0]))
    wall, cpu, peak = _process(
        _read(options, "--json", "--details", "--heatmap", f"{folder}/overlays", *paths)
    )
    print(
        f"  {len(paths):5} as a process with details and overlays: "
        f"{len(paths) / wall:6.1f} films/s, peak {peak:.0f} MB"
        f"   (CPU {1000 * cpu / len(paths):.1f} ms/film, {cpu / wall:.2f} cores used)"
    )


def _read(options: argparse.Namespace, *arguments: str) -> list[str]:
    bundle = ["--bundle", options.bundle] if options.bundle else []
    return [sys.executable, "-m", "hilum", "read", *bundle, *arguments]


def _starts(film: str, options: argparse.Namespace) -> None:
    """Print the median wall time and the peak memory of whole processes."""
    python = sys.executable
    commands = {
        "python -c pass": [python, "-c", "pass"],
        "import hilum": [python, "-c", "import hilum"],
        "hilum --help": [python, "-m", "hilum", "--help"],
        "hilum read one film": _read(options, film),
        "... --json": _read(options, "--json", film),
        "... --json --details": _read(options, "--json", "--details", film),
    }
    print(f"\nwhole processes, median of {options.repeats}")
    for name, command in commands.items():
        runs = [_process(command) for _ in range(options.repeats)]
        wall, cpu, peak = (statistics.median(column) for column in zip(*runs, strict=True))
        print(f"  {name:20} {wall:6.3f} s   (CPU {cpu:.3f} s), peak {peak:.0f} MB")


def _process(command: list[str]) -> tuple[float, float, float]:
    """Run a command; return wall seconds, CPU seconds and peak memory in MB."""
    started = perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{' '.join(command)}: exit code {process.returncode}")
    wall = perf_counter() - started
    return wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


CHILDREN: dict[str, Callable[..., None]] = {
    "prepare": _prepare,
    "stages": _stages,
    "stream": _stream,
}


if __name__ == "__main__":
    main()
