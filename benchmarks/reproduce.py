"""Time of abdelhady-2020's 100 epochs: 130 films of 64 px, augmented, batches of 32, two threads.

    python benchmarks/reproduce.py [--data FOLDER] [--repeats 5] [--threads 2]

With --data the real films of the paper's kind are used, else noise: the arithmetic is the same.
The aim is 9.2 s on two cores. ``peers.py`` trains the same network in Keras beside it.
Other work on the machine spoils the wall time; CPU time is printed beside it.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

os.environ.setdefault("GOMP_SPINCOUNT", "100000")  # as the command does

import torch

from hilum.learn.memory import keep_freed_memory
from hilum.learn.papers.abdelhady_2020 import AbdelhadyOptions, paper_films
from hilum.learn.papers.training import Labelled, train


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    keep_freed_memory()
    films = real_films(arguments.data) if arguments.data else noise()
    training = AbdelhadyOptions().training()
    train(training.model_copy(update={"epochs": 2}), films)  # warm up
    runs = [train(training, films) for _ in range(arguments.repeats)]
    wall, cpu = [run.seconds for run in runs], [run.cpu_seconds for run in runs]
    print(f"films {len(films.truth)}, epochs {training.epochs}, threads {arguments.threads}")
    print("wall s:", " ".join(f"{each:.2f}" for each in wall), f" median {median(wall):.2f}")
    print("cpu s: ", " ".join(f"{each:.2f}" for each in cpu), f" median {median(cpu):.2f}")
    print(f"fastest: wall {min(wall):.2f} s, cpu {min(cpu):.2f} s")
    print(f"load average at the end: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")


def noise() -> Labelled:
    squares = torch.rand(130, 1, 64, 64, generator=torch.Generator().manual_seed(0))
    return Labelled(squares, (torch.arange(130) % 2).float())


def real_films(data: Path) -> Labelled:
    with TemporaryDirectory() as cache:
        films, places = paper_films(data, AbdelhadyOptions(), Path(cache), progress=False)
        return films.labelled(places)


if __name__ == "__main__":
    main()
