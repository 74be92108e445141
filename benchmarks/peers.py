"""Hilum beside its peers: whole processes, on the same films, in one run.

    python3.11 -m venv peers
    peers/bin/pip install torch torchvision torchxrayvision onnx onnxscript onnxruntime
    python3.11 -m venv keras && keras/bin/pip install tensorflow-cpu scipy
    python benchmarks/peers.py --python peers/bin/python --keras keras/bin/python

Environments of their own: Hilum's must hold no torchvision. torch and torchvision must be of one
build: name one index for both, on Linux that of the CPU: pip's default brings CUDA packages. What
is not installed is passed over, and said. Processes alternate, so that what else the machine does
meets all; CPU is user and system time of each with its children, and the median is compared.

torchxrayvision does what its README does: skimage opens, its transforms cut and resize to 224
pixels, DenseNet121 answers 18 labels, in batches of 16. Its weights are random, which takes as
long and fetches nothing. It finds no lungs, refuses no film. The same network is also run by ONNX
Runtime, behind the same pipeline. Keras trains paper A's network, 130 films of 64 pixels, with its
own augmenting generator; a start of either is in the times.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from itertools import cycle, islice
from pathlib import Path
from time import perf_counter
from types import ModuleType
from typing import Any

BATCH = 16


def main() -> None:
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # else each process compiles what it imports
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--python", help="of an environment with torchxrayvision")
    parser.add_argument("--keras", help="of an environment with Keras")
    parser.add_argument("--epochs", type=int, default=100, help="of paper A; 0: leave it out")
    parser.add_argument("--films", type=int, default=300)
    parser.add_argument("--kinds", nargs="+", default=["384 JPEG", "1024 PNG"])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="of either")
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        work, given = options.child
        CHILDREN[work](Path(given), options)
        return
    peers = {
        "torchxrayvision": (options.python, "torchxrayvision", "torch", "torchvision"),
        "the same in ONNX Runtime": (options.python, "torchxrayvision", "onnx", "onnxruntime"),
        "Keras": (options.keras, "keras", "tensorflow", "scipy"),
    }
    found = {name: python for name, (python, *needs) in peers.items() if _has(python, needs)}
    for name in peers.keys() - found.keys():
        print(f"{name}: not measured, because {' '.join(peers[name][1:])} are not there")
    if len(found) < len(peers):
        print("\n".join(__doc__.splitlines()[2:6]))
    with tempfile.TemporaryDirectory(prefix="hilum-peers-") as folder:
        for kind in options.kinds:
            _compare(Path(folder), kind, options, found)
        if options.epochs:
            commands = {"Hilum": _child(sys.executable, "paper", folder, options)}
            if "Keras" in found:
                commands["Keras"] = _child(found["Keras"], "keras", folder, options)
            _race(f"paper A, {options.epochs} epochs of 130 films", commands, options)


def _has(python: str | None, modules: list[str]) -> bool:
    """Tell whether an environment has modules, without importing them."""
    if python is None:
        return False
    found = f"import importlib.util as u; assert all(map(u.find_spec, {modules}))"
    return not subprocess.run([python, "-c", found], capture_output=True).returncode


def _child(python: str, work: str, given: Path | str, options: argparse.Namespace) -> list[str]:
    command = [python, __file__, "--child", work, str(given)]
    return [*command, "--threads", str(options.threads), "--epochs", str(options.epochs)]


def _compare(folder: Path, kind: str, options: argparse.Namespace, found: dict[str, str]) -> None:
    from scale import made_films

    films = [str(film) for film in islice(cycle(made_films(folder, kind)), options.films)]
    listed = folder / "films.txt"
    listed.write_text("\n".join(films))
    commands = {"hilum read": [sys.executable, "-m", "hilum", "read", "--json", *films]}
    for name, work in (("torchxrayvision", "eager"), ("the same in ONNX Runtime", "onnx")):
        if name not in found:
            continue
        commands[name] = _child(found[name], work, listed, options)
        if work == "onnx" and not (folder / MODEL).is_file():
            subprocess.run(
                _child(found[name], "export", folder / MODEL, options), check=True, stdout=-3
            )
    _race(f"{kind}, {len(films)} films", commands, options)


def _race(title: str, commands: dict[str, list[str]], options: argparse.Namespace) -> None:
    """Run whole processes in turns; print the median of each, and how many times the first's."""
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in commands}
    for _ in range(options.repeats):
        for name, command in commands.items():
            taken[name].append(_process(command, options.threads))
    print(f"\n{title}, median of {options.repeats} processes each", flush=True)
    ours = statistics.median(cpu for cpu, _ in next(iter(taken.values())))
    for name, runs in taken.items():
        cpu, wall = (statistics.median(column) for column in zip(*runs, strict=True))
        low, high = min(runs)[0], max(runs)[0]
        spread = f"CPU {cpu:6.1f} s ({low:.1f} to {high:.1f}), wall {wall:6.1f} s"
        print(f"  {name:24} {spread}, {cpu / ours:5.1f} times the CPU", flush=True)


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


def _torchxrayvision(listed: Path, options: argparse.Namespace, *, model: Path | None) -> None:
    """Answer films as torchxrayvision's README does; this runs in its environment."""
    import numpy as np
    import skimage.io
    import torch

    xrv = _xrv()
    torch.set_num_threads(options.threads)
    cut, resize = xrv.datasets.XRayCenterCrop(), xrv.datasets.XRayResizer(224)
    answer = _eager(xrv) if model is None else _in_onnxruntime(model, options.threads)
    films = listed.read_text().split()
    for at in range(0, len(films), BATCH):
        batch = []
        for film in films[at : at + BATCH]:
            grey = xrv.datasets.normalize(skimage.io.imread(film), 255)
            grey = grey.mean(2) if grey.ndim == 3 else grey
            batch.append(resize(cut(grey[None])))
        print(answer(np.stack(batch).astype(np.float32)).round(3).tolist())


def _xrv() -> Any:
    # torchvision of another build than torch has no operators to describe; none is needed here
    sys.modules["torchvision._meta_registrations"] = ModuleType("_meta_registrations")
    import torchxrayvision

    return torchxrayvision


def _eager(xrv: Any) -> Callable[[Any], Any]:
    import torch

    model = xrv.models.DenseNet(num_classes=18).eval()

    def answer(films: Any) -> Any:
        with torch.no_grad():
            return torch.sigmoid(model(torch.from_numpy(films))).numpy()

    return answer


def _in_onnxruntime(model: Path, threads: int) -> Callable[[Any], Any]:
    import numpy as np
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(str(model), options)
    return lambda films: 1 / (1 + np.exp(-session.run(None, {"films": films})[0]))


def _export(model: Path, _: argparse.Namespace) -> None:
    import torch

    network = _xrv().models.DenseNet(num_classes=18).eval()
    films = torch.zeros(2, 1, 224, 224)
    axes = {"films": {0: "n"}}
    torch.onnx.export(
        network, (films,), model, input_names=["films"], dynamic_axes=axes, dynamo=False
    )


def _paper(_: Path, options: argparse.Namespace) -> None:
    """Train paper A's network as ``hilum reproduce`` does."""
    os.environ.setdefault("GOMP_SPINCOUNT", "100000")  # as the command does
    import torch
    from reproduce import noise

    from hilum.learn.memory import keep_freed_memory
    from hilum.learn.papers.abdelhady_2020 import AbdelhadyOptions
    from hilum.learn.papers.training import train

    torch.set_num_threads(options.threads)
    keep_freed_memory()
    training = AbdelhadyOptions(epochs=options.epochs).training()
    print(train(training, noise()).curve[-1])


def _keras(_: Path, options: argparse.Namespace) -> None:
    """Train the same network in Keras, with the customary generator; in its environment."""
    import numpy as np
    import tensorflow
    from keras import Sequential, layers
    from keras.src.legacy.preprocessing.image import ImageDataGenerator

    tensorflow.config.threading.set_intra_op_parallelism_threads(options.threads)
    tensorflow.config.threading.set_inter_op_parallelism_threads(1)
    films = np.random.default_rng(0).uniform(0, 255, (130, 64, 64, 3)).astype(np.float32)
    truth = (np.arange(130) % 2).astype(np.float32)
    generator = ImageDataGenerator(
        rescale=1 / 255, shear_range=0.2, zoom_range=0.2, horizontal_flip=True
    )
    network = Sequential(
        [
            layers.Input((64, 64, 3)),
            layers.Conv2D(32, 3, activation="relu"),
            layers.MaxPooling2D(),
            layers.Conv2D(32, 3, activation="relu"),
            layers.MaxPooling2D(),
            layers.Flatten(),
            layers.Dense(256, activation="relu"),
            layers.Dense(1, activation="sigmoid"),
        ]
    )
    network.compile("adam", "binary_crossentropy", metrics=["accuracy"])
    batches = generator.flow(films, truth, batch_size=32)
    network.fit(batches, epochs=options.epochs, verbose=0)


MODEL = "densenet.onnx"
CHILDREN: dict[str, Callable[[Path, argparse.Namespace], None]] = {
    "eager": partial(_torchxrayvision, model=None),
    "onnx": lambda listed, options: _torchxrayvision(listed, options, model=listed.parent / MODEL),
    "export": _export,
    "paper": _paper,
    "keras": _keras,
}


if __name__ == "__main__":
    main()
