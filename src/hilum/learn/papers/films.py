"""The films of a paper: collections found below one folder, opened once, drawn with a seed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from hilum.core.case import owner_of
from hilum.core.errors import CohortError
from hilum.data.cohorts import read_cohort
from hilum.image.nuisance import nuisance_features
from hilum.image.open import open_radiograph
from hilum.image.preprocess import Preprocess
from hilum.learn.films import open_films
from hilum.learn.papers.training import Labelled

Places = NDArray[np.int64]
"""Places of films in ``PaperFilms.cases``."""


@dataclass(frozen=True, slots=True)
class PaperFilms:
    """Films in memory.

    Attributes:
        cases: a cases table, index 0..n-1, with ``truth`` (1 or 0) and ``group`` (the patient).
        squares: float32 (n, 1, S, S) in [0, 1].
        checksums: case_id -> SHA-256 of the file.
        refused: films that did not open.
    """

    cases: pd.DataFrame
    squares: Tensor
    checksums: dict[str, str]
    refused: int

    def labelled(self, places: Places) -> Labelled:
        """Return some films with their truth."""
        truth = self.cases["truth"].to_numpy(np.float32)[places]
        return Labelled(self.squares[torch.from_numpy(places)], torch.from_numpy(truth))

    def identity(self, place: int) -> tuple[str, str, float]:
        """Return case_id, SHA-256 and truth of a film: what a result depends on."""
        row = self.cases.iloc[int(place)]
        return row["case_id"], self.checksums[row["case_id"]], float(row["truth"])


def read_collection(name: str, root: Path, folders: tuple[str, ...]) -> pd.DataFrame:
    """Read a collection that lies in ``root`` under one of its usual folder names.

    Returns:
        Its cases, with ``group`` filled from the patient where no duplicate search filled it.

    Raises:
        CohortError: none of the folders is there.
    """
    present = [root / folder for folder in folders if (root / folder).is_dir()]
    if not present:
        raise CohortError(
            f"{root}: no {name} here; expected a folder {' or '.join(folders)}",
            hint=f"'hilum cohort list' says where {name} comes from; --data names its parent",
        )
    cases = read_cohort(name, present[0]).cases
    return cases.assign(group=owner_of(cases))


def open_paper_films(
    cases: pd.DataFrame, size: int, cache: Path, *, progress: bool = True
) -> PaperFilms:
    """Open films as the papers did: grey levels as they are, stretched to a square.

    Args:
        cases: with ``truth`` and ``group``.
        size: side S in pixels.
        cache: folder of opened films.
    """
    preprocess = Preprocess(size=size, low_percentile=None, high_percentile=None)
    films = open_films(cases.reset_index(drop=True), preprocess, cache, progress=progress)
    squares = torch.from_numpy(films.squares[films.rows].astype(np.float32)).unsqueeze(1)
    return PaperFilms(films.cases, squares, films.checksums, len(films.refused))


def measure_nuisance(films: PaperFilms, places: Places) -> NDArray[np.float64]:
    """Return the twelve nuisance features of some films, float64 (n, 12)."""
    paths = films.cases["path"].iloc[places]
    rows = [list(nuisance_features(open_radiograph(path)).values()) for path in paths]
    return np.array(rows, np.float64)


def draw(
    positives: Places, negatives: Places, wanted: tuple[int, int], random: np.random.Generator
) -> Places:
    """Draw (positives, negatives) by film, without looking at patients, in random order.

    Raises:
        CohortError: too few of a class.
    """
    for kind, found, number in (
        ("positive", positives, wanted[0]),
        ("negative", negatives, wanted[1]),
    ):
        if len(found) < number:
            raise CohortError(
                f"{len(found)} {kind} films; expected at least {number}",
                hint="ask for fewer (--set train_films=...), or take a fuller copy of the data",
            )
    drawn = [
        random.permutation(found)[:number]
        for found, number in zip((positives, negatives), wanted, strict=True)
    ]
    return random.permutation(np.concatenate(drawn))


def folds_of(
    films: PaperFilms, places: Places, folds: int, *, by_patient: bool, seed: int
) -> list[tuple[Places, Places]]:
    """Divide films into (train, test) pairs whose test films together are all of them.

    Args:
        by_patient: films of one patient stay together; else film by film, as the paper did.
    """
    from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

    chosen = films.cases.iloc[places]
    kind = StratifiedGroupKFold if by_patient else StratifiedKFold
    splitter = kind(folds, shuffle=True, random_state=seed)
    groups = chosen["group"] if by_patient else None
    divided = splitter.split(np.zeros(len(places)), chosen["truth"], groups)
    return [(places[train], places[test]) for train, test in divided]


def shared_patients(films: PaperFilms, train: Places, test: Places) -> int:
    """Count the test films whose patient also has a film in training."""
    seen = set(films.cases["group"].iloc[train])
    return int(films.cases["group"].iloc[test].isin(seen).sum())
