"""Films whose opacities a small network can find: bright discs in dark ellipses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from hilum.image.lungs import Lungs
from hilum.learn.opacities.films import CHANNELS, Films
from hilum.learn.opacities.recipe import OpacityRecipe

SIDE = 32


@pytest.fixture
def recipe_of() -> Callable[..., OpacityRecipe]:
    """Build a recipe: ``recipe_of(fit={"steps": 4}, material={"clear": 0.25})``."""

    def make(**tables: Any) -> OpacityRecipe:
        values: dict[str, Any] = {
            "data": {"cases": "cases.csv"},
            "network": "fully-convolutional",
            "split": {"kind": "folds", "folds": 2, "label": None},
            "preprocess": {
                "size": SIDE,
                "channels": 1,
                "region": "lung-field",
                "margin": 0.0,
                "mean": 0.5,
                "std": 0.5,
            },
        }
        values["fit"] = {"steps": 6, "batch_size": 4} | tables.pop("fit", {})
        return OpacityRecipe.parse(values | tables, where="test")

    return make


@pytest.fixture
def films_of() -> Callable[..., Films]:
    """Make films: ``films_of(drawn=8, clear=4, boxed=4)``."""
    return make_films


def make_films(drawn: int = 8, clear: int = 4, boxed: int = 4, seed: int = 0) -> Films:
    random = np.random.default_rng(seed)
    material = ["drawn"] * drawn + ["clear"] * clear + ["boxed"] * boxed
    down, across = (np.mgrid[0:SIDE, 0:SIDE] + 0.5) / SIDE
    lung = (np.abs(across - 0.5) > 0.08) & (down > 0.05)
    squares = np.zeros((len(material), 1, SIDE, SIDE), np.float32)
    targets = np.zeros((len(material), CHANNELS, SIDE, SIDE), np.uint8)
    for square, target, kind in zip(squares, targets, material, strict=True):
        target[2] = lung
        square[0] = 0.7 - 0.4 * lung + 0.03 * random.standard_normal((SIDE, SIDE))
        if kind == "clear":
            continue
        x, y, radius = random.uniform(0.15, 0.85), random.uniform(0.2, 0.8), 0.15
        disc = (np.hypot(across - x, down - y) < radius) & lung
        square[0] += 0.35 * disc
        box = (np.abs(across - x) < radius) & (np.abs(down - y) < radius)
        target[0 if kind == "drawn" else 3] = disc if kind == "drawn" else box
    cases = pd.DataFrame(
        {
            "case_id": [f"made/{i}" for i in range(len(material))],
            "group": [f"made/{i}" for i in range(len(material))],
            "cohort": "made",
            "material": material,
            "fold": np.arange(len(material)) % 2 + 1.0,
        }
    )
    whole = Lungs(np.ones((SIDE, SIDE), bool), np.zeros(0, np.float32))
    return Films(
        cases,
        torch.from_numpy(squares.clip(0, 1)),
        torch.from_numpy(targets),
        [whole] * len(material),
        targets[:, :2] > 0,
    )
