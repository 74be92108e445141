"""Timing: trainings side by side, so that a busy machine slows both alike."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Sequence
from pathlib import Path

import torch

from hilum.core.files import write_text
from hilum.learn.papers.training import Labelled, Training, new_network, train_epoch

ROUNDS = 8


def time_side_by_side(
    runs: Sequence[Training], films: Labelled, stored: Path, *, rounds: int = ROUNDS
) -> list[list[float]]:
    """Time one epoch of each run in turn, ``rounds`` times, after one to warm up.

    Args:
        runs: the trainings to compare.
        films: to train on.
        stored: JSON file; a timing of the same runs that lies there is taken as it is.

    Returns:
        For each run, wall times of an epoch in seconds.
    """
    plan = json.dumps([[run.model_dump(mode="json") for run in runs], len(films.truth), rounds])
    key = hashlib.sha256(plan.encode()).hexdigest()
    if (found := _stored(stored, key)) is not None:
        return found
    timers = [_Epochs(run, films) for run in runs]
    for timer in timers:
        timer()
    taken = [[timer() for timer in timers] for _ in range(rounds)]
    times = [list(each) for each in zip(*taken, strict=True)]
    write_text(stored, json.dumps({"key": key, "seconds": times}, indent=1) + "\n")
    return times


class _Epochs:
    """A training that goes on by one epoch at each call, and says how long that took."""

    def __init__(self, training: Training, films: Labelled) -> None:
        self.training, self.films = training, films
        self.network = new_network(training)
        self.optimizer = torch.optim.Adam(
            self.network.parameters(), lr=training.learning_rate, fused=True
        )
        self.chance = torch.Generator().manual_seed(training.seed)

    def __call__(self) -> float:
        started = time.perf_counter()
        train_epoch(
            self.network, self.optimizer, self.training, self.films, self.chance, self.chance
        )
        return time.perf_counter() - started


def _stored(path: Path, key: str) -> list[list[float]] | None:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    if not isinstance(found, dict) or found.get("key") != key:
        return None
    return [[float(second) for second in run] for run in found["seconds"]]
