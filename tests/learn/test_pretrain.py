"""VICReg: the loss against its definition, and a run that learns without labels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from hilum.image.preprocess import Preprocess
from hilum.learn.films import open_films
from hilum.learn.networks import build_network
from hilum.learn.pretrain import pretrain, vicreg
from hilum.learn.recipe import Recipe


def test_the_loss_is_that_of_the_paper() -> None:
    random = np.random.default_rng(0)
    one, other = random.normal(size=(2, 9, 4))
    expected = 25 * ((one - other) ** 2).mean()
    for vectors in (one, other):
        expected += 12.5 * np.maximum(0, 1 - np.sqrt(vectors.var(0, ddof=1) + 1e-4)).mean()
        matrix = np.cov(vectors, rowvar=False)
        expected += (matrix**2).sum() / 4 - (np.diag(matrix) ** 2).sum() / 4
    assert np.isclose(vicreg(torch.from_numpy(one), torch.from_numpy(other)).item(), expected)


def test_it_learns_from_films_whose_labels_are_unknown(make_cases, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    cases = make_cases(24)
    cases["covid-19"] = np.nan
    recipe = Recipe.model_validate(
        {
            "data": {"cases": "c.csv"},
            "preprocess": {"size": 32, "channels": 1},
            "fit": {"pretrain_epochs": 6, "batch_size": 8, "learning_rate": 2e-3},
        }
    )
    network = build_network("tiny", labels=1, channels=1, size=32)
    head = network.evidence.weight.clone()
    films = open_films(cases, Preprocess(size=32, channels=1), tmp_path / "cache", progress=False)
    losses = pretrain(network, films, recipe, progress=False)
    assert len(losses) == 6
    assert losses[-1] < losses[0]
    assert network.evidence.weight.equal(head)
