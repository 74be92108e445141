"""Hilum beside torchxrayvision's own pipeline: whole processes, on the same films, in one run.

    python3.11 -m venv peers && peers/bin/pip install torch torchvision torchxrayvision
    python benchmarks/peers.py --python peers/bin/python

An environment of its own: Hilum's must hold no torchvision. On Linux, pip's default brings CUDA
packages, unless a CPU build of torch is named. Processes alternate, so that what else the
machine does meets both; CPU is user and system time of each with its children, and the median of
them is compared. torchxrayvision does what its README does: skimage opens, its transforms cut and
resize to 224 pixels, DenseNet121 answers 18 labels, here in batches of 16. Its weights are random,
which takes as long and fetches nothing. It finds no lungs and refuses no film.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from itertools import cycle, islice
from pathlib import Path
from time import perf_counter
from types import ModuleType

BATCH = 16


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--python", help="of an environment with torchxrayvision")
    parser.add_argument("--films", type=int, default=300)
    parser.add_argument("--kinds", nargs="+", default=["384 JPEG", "1024 PNG"])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="of either")
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        _torchxrayvision(options.child.read_text().split(), options.threads)
        return
    if not _has_peer(options.python):
        print("torchxrayvision: not measured, because --python names no environment that has it:")
        print("\n".join(__doc__.splitlines()[2:4]))
        options.python = None
    with tempfile.TemporaryDirectory(prefix="hilum-peers-") as folder:
        for kind in options.kinds:
            _compare(Path(folder), kind, options)


def _has_peer(python: str | None) -> bool:
    if python is None:
        return False
    found = "import importlib.util as u; assert u.find_spec('torchxrayvision')"
    return not subprocess.run([python, "-c", found], capture_output=True).returncode


def _compare(folder: Path, kind: str, options: argparse.Namespace) -> None:
    from scale import made_films

    films = [str(film) for film in islice(cycle(made_films(folder, kind)), options.films)]
    listed = folder / "films.txt"
    listed.write_text("\n".join(films))
    commands = {"hilum read": [sys.executable, "-m", "hilum", "read", "--json", *films]}
    if options.python:
        peer = [options.python, __file__, "--child", str(listed)]
        commands["torchxrayvision"] = [*peer, "--threads", str(options.threads)]
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in commands}
    for _ in range(options.repeats):
        for name, command in commands.items():
            taken[name].append(_process(command, options.threads))
    print(f"\n{kind}, {len(films)} films, median of {options.repeats} processes each")
    for name, runs in taken.items():
        cpu, wall = (statistics.median(column) for column in zip(*runs, strict=True))
        low, high = min(runs)[0], max(runs)[0]
        print(f"  {name:16} CPU {cpu:6.1f} s ({low:.1f} to {high:.1f}), wall {wall:6.1f} s")
    if options.python:
        ours, theirs = (statistics.median(cpu for cpu, _ in taken[name]) for name in commands)
        print(f"  torchxrayvision takes {theirs / ours:.1f} times the CPU")


def _process(command: list[str], threads: int) -> tuple[float, float]:
    """Return CPU and wall seconds of a process with its children."""
    env = os.environ | {"OMP_NUM_THREADS": str(threads)}
    started = perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, env=env)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{' '.join(command[:4])}: exit code {process.returncode}")
    return usage.ru_utime + usage.ru_stime, perf_counter() - started


def _torchxrayvision(films: list[str], threads: int) -> None:
    """Answer films as torchxrayvision's README does; this runs in its environment."""
    import numpy as np
    import skimage.io
    import torch

    # torchvision of another build than torch has no operators to describe; none is needed here
    sys.modules["torchvision._meta_registrations"] = ModuleType("_meta_registrations")
    import torchxrayvision as xrv

    torch.set_num_threads(threads)
    cut, resize = xrv.datasets.XRayCenterCrop(), xrv.datasets.XRayResizer(224)
    model = xrv.models.DenseNet(num_classes=18).eval()
    for at in range(0, len(films), BATCH):
        batch = []
        for film in films[at : at + BATCH]:
            grey = xrv.datasets.normalize(skimage.io.imread(film), 255)
            grey = grey.mean(2) if grey.ndim == 3 else grey
            batch.append(resize(cut(grey[None])))
        with torch.no_grad():
            answers = torch.sigmoid(model(torch.from_numpy(np.stack(batch)).float()))
        print(answers.numpy().round(3).tolist())


if __name__ == "__main__":
    main()
