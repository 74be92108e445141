"""Synthetic films whose classes a small network can tell apart."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest

from hilum.core.case import COLUMNS
from hilum.learn.recipe import Recipe

SIDE = 72


def draw_film(present: bool, random: np.random.Generator) -> np.ndarray:
    """A grey gradient with noise, and a bright disc in the lower left where ``present``."""
    down, across = np.mgrid[0:SIDE, 0:SIDE] / SIDE
    film = 0.3 + 0.3 * down + 0.05 * random.standard_normal((SIDE, SIDE))
    if present:
        film += 0.4 * (np.hypot(down - 0.7, across - 0.3) < 0.15 + 0.05 * random.random())
    return (255 * np.clip(film, 0, 1)).astype(np.uint8)


@pytest.fixture
def make_cases(tmp_path: Path) -> Callable[..., pd.DataFrame]:
    """Build a split cases table of synthetic films: ``make_cases(40)``."""

    def make(films: int = 40, folder: str = "films") -> pd.DataFrame:
        random = np.random.default_rng(5)
        (tmp_path / folder).mkdir(exist_ok=True)
        rows = [_row(tmp_path / folder, number, random) for number in range(films)]
        return pd.DataFrame(rows).reindex(columns=[*COLUMNS, "covid-19", "pneumonia", "split"])

    return make


def _row(folder: Path, number: int, random: np.random.Generator) -> dict[str, object]:
    present = number % 2 == 0
    path = folder / f"{number}.png"
    cv2.imwrite(str(path), draw_film(present, random))
    return dict.fromkeys(COLUMNS, "") | {
        "case_id": f"made/{number}",
        "path": str(path),
        "cohort": "made",
        "source": f"site-{number % 3}",
        "patient_id": f"made/{number // 2}",
        "group": f"made/{number // 2}",
        "modality": "X-ray",
        "view": "PA",
        "age_years": 40.0 + number,
        "offset_days": np.nan,
        "covid-19": float(present),
        "pneumonia": float(present) if number % 4 < 2 else np.nan,
        "split": ("train", "train", "train", "val", "test")[number // 2 % 5],
    }


@pytest.fixture
def tiny_recipe() -> Callable[..., Recipe]:
    """Build a recipe of the tiny network: ``tiny_recipe({"epochs": 2})``."""

    def make(fit: dict[str, object] | None = None, **tables: dict[str, object]) -> Recipe:
        values: dict[str, object] = {
            "data": {"cases": "cases.csv"},
            "preprocess": {"size": 32, "channels": 1},
            "network": {"name": "tiny"},
            "fit": {"epochs": 2, "batch_size": 8, "learning_rate": 0.01, "loggers": []}
            | (fit or {}),
        }
        return Recipe.parse(values | tables, where="test")

    return make
