"""An experiment: a training run and its test films, done once, found again after a break."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from pydantic import ValidationError
from torch import nn
from tqdm import tqdm

from hilum import __version__
from hilum.core.config import Written
from hilum.core.files import atomic_path, write_text
from hilum.learn.papers.films import PaperFilms
from hilum.learn.papers.training import Epoch, Training, new_network, score, train


@dataclass(frozen=True, slots=True)
class Experiment:
    """What to train on what.

    Attributes:
        name: of its files.
        training: the run.
        train, test: places in the ``PaperFilms``.
        watch: measure the test films after every epoch, for a graph.
        keep: keep the weights, for pictures of the network.
    """

    name: str
    training: Training
    train: np.ndarray
    test: np.ndarray
    watch: bool = False
    keep: bool = False


class Outcome(Written):
    """What an experiment found, as it lies in ``experiments/NAME.json``.

    Attributes:
        fingerprint: SHA-256 over everything that it depends on.
        curve: one entry an epoch.
        case_ids, truth, scores: of the test films, in one order; scores in [0, 1].
        seconds, cpu_seconds: of the training.
    """

    name: str
    fingerprint: str
    train_films: int
    curve: list[Epoch]
    case_ids: list[str]
    truth: list[float]
    scores: list[float]
    seconds: float
    cpu_seconds: float

    @property
    def predictions(self) -> pd.DataFrame:
        """case_id, truth and score of each test film."""
        return pd.DataFrame({"case_id": self.case_ids, "truth": self.truth, "score": self.scores})


def run_all(
    experiments: Sequence[Experiment], films: PaperFilms, out: Path, *, progress: bool = True
) -> dict[str, Outcome]:
    """Run experiments, leaving out those that an earlier, broken-off call finished.

    Each is stored as soon as it ends. A stored one counts only if its fingerprint is the same:
    options, films, labels and version; so results of different options never mix.

    Args:
        experiments: in order; names are distinct.
        films: that their places point into.
        out: the output folder; results go to ``out/experiments``.
        progress: show one bar over all epochs, on stderr.
    """
    epochs = sum(each.training.epochs for each in experiments)
    outcomes = {}
    with tqdm(total=epochs, unit="epoch", disable=None if progress else True) as bar:
        for number, each in enumerate(experiments, 1):
            bar.set_description(f"{each.name} ({number} of {len(experiments)})")
            stored = find(each, films, out)
            if stored is not None:
                bar.update(each.training.epochs)
            outcomes[each.name] = stored or _run(each, films, out, bar)
    return outcomes


def find(experiment: Experiment, films: PaperFilms, out: Path) -> Outcome | None:
    """Return the stored outcome of exactly this experiment, or None."""
    stored = _result(experiment, out)
    if experiment.keep and not _weights(experiment, out).is_file():
        return None
    try:
        outcome = Outcome.model_validate_json(stored.read_text(encoding="utf-8"))
    except (OSError, ValidationError):
        return None
    return outcome if outcome.fingerprint == fingerprint(experiment, films) else None


def fingerprint(experiment: Experiment, films: PaperFilms) -> str:
    """Return the SHA-256 over all that the outcome depends on."""
    parts = [
        __version__,
        torch.__version__,
        experiment.training.model_dump(mode="json"),
        [films.identity(place) for place in experiment.train],
        [films.identity(place) for place in experiment.test],
        experiment.watch,
    ]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def load_network(experiment: Experiment, out: Path) -> nn.Module:
    """Return the trained network of an experiment that keeps its weights."""
    network = new_network(experiment.training)
    network.load_state_dict(torch.load(_weights(experiment, out), weights_only=True))
    return network.eval()


def _run(experiment: Experiment, films: PaperFilms, out: Path, bar: tqdm) -> Outcome:
    def tell(epoch: Epoch) -> None:
        bar.update()
        bar.set_postfix(loss=f"{epoch.loss:.3f}", accuracy=f"{epoch.accuracy:.3f}")

    test = films.labelled(experiment.test)
    trained = train(
        experiment.training,
        films.labelled(experiment.train),
        watched=test if experiment.watch else None,
        tell=tell,
    )
    outcome = Outcome(
        name=experiment.name,
        fingerprint=fingerprint(experiment, films),
        train_films=len(experiment.train),
        curve=trained.curve,
        case_ids=films.cases["case_id"].iloc[experiment.test].tolist(),
        truth=test.truth.tolist(),
        scores=score(trained.network, experiment.training, test.squares).tolist(),
        seconds=trained.seconds,
        cpu_seconds=trained.cpu_seconds,
    )
    if experiment.keep:
        with atomic_path(_weights(experiment, out)) as temporary:
            torch.save(trained.network.state_dict(), temporary)
    write_text(_result(experiment, out), outcome.model_dump_json(indent=1) + "\n")
    return outcome


def _result(experiment: Experiment, out: Path) -> Path:
    return out / "experiments" / f"{experiment.name}.json"


def _weights(experiment: Experiment, out: Path) -> Path:
    return out / "experiments" / f"{experiment.name}.pt"
