"""Three small collections, each with both classes, and a grid over them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest

from hilum.core.case import COLUMNS
from hilum.learn.compare import prepare

SIDE = 72
COHORTS = ("east", "north", "west")
RECIPE = """
[data]
cases = "{cases}"

[split]
fractions = [0.6, 0.4, 0]

[preprocess]
size = 32
channels = 1

[network]
name = "tiny"

[fit]
epochs = 2
batch_size = 8
learning_rate = 0.02
loggers = []
"""
GRID = """
recipe = "base.toml"
leave_out = ["north", ["east", "west"]]

[[variant]]
name = "plain"

[[variant]]
name = "As it is"
set = ["fit.balance=as-is"]

[[variant]]
name = "both"
ensemble = ["plain", "As it is"]
"""


def draw_film(present: bool, random: np.random.Generator) -> np.ndarray:
    """A cloud of its own for each film, and a bright disc where ``present``."""
    cloud = cv2.resize(random.random((5, 5)), (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)
    film = 0.1 + 0.4 * cloud + 0.02 * random.standard_normal((SIDE, SIDE))
    if present:
        down, across = np.mgrid[0:SIDE, 0:SIDE] / SIDE
        film += 0.5 * (np.hypot(down - 0.6, across - 0.35) < 0.18)
    return (255 * np.clip(film, 0, 1)).astype(np.uint8)


@pytest.fixture(scope="session")
def three_cohorts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """cases.csv of 24 films a cohort, two a patient; a copy of north's first film is in west,
    and a patient of north (north/1) in east."""
    folder = tmp_path_factory.mktemp("collections")
    random = np.random.default_rng(11)
    rows = []
    for cohort in COHORTS:
        for number in range(24):
            path = folder / f"{cohort}-{number}.png"
            present = number // 2 % 2 == 0
            cv2.imwrite(str(path), draw_film(present, random))
            rows.append(_row(path, cohort, number, present))
    copy = folder / "west-0.png"
    copy.write_bytes((folder / "north-0.png").read_bytes())
    next(row for row in rows if row["case_id"] == "east/5")["patient_id"] = "north/1"
    table = pd.DataFrame(rows).reindex(columns=[*COLUMNS, "covid-19", "pneumonia"])
    table.to_csv(folder / "cases.csv", index=False)
    return folder / "cases.csv"


def _row(path: Path, cohort: str, number: int, present: bool) -> dict[str, object]:
    return dict.fromkeys(COLUMNS, "") | {
        "case_id": f"{cohort}/{number}",
        "path": str(path),
        "cohort": cohort,
        "source": f"{cohort}-{number // 2 % 3}",
        "patient_id": f"{cohort}/{number // 2}",
        "modality": "X-ray",
        "view": "PA",
        "covid-19": float(present),
        "pneumonia": "" if cohort == "west" else float(number // 4 % 2),
    }


@pytest.fixture
def write_grid(three_cohorts: Path, tmp_path: Path) -> Callable[..., Path]:
    """Write base.toml and grid.toml: ``write_grid()`` or ``write_grid(text)``."""

    def write(text: str = GRID) -> Path:
        (tmp_path / "base.toml").write_text(RECIPE.format(cases=three_cohorts))
        (tmp_path / "grid.toml").write_text(text)
        return tmp_path / "grid.toml"

    return write


@pytest.fixture
def known_copies(monkeypatch: pytest.MonkeyPatch) -> None:
    """Name the one copy instead of searching for it, which takes seconds."""
    pair = {
        "case_id_a": ["north/0"],
        "case_id_b": ["west/0"],
        "kind": ["exact"],
        "distance": [0.0],
    }
    monkeypatch.setattr(prepare, "find_duplicates", lambda cases, progress: pd.DataFrame(pair))
