"""Measure: what the gate will see of each picture of the material."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from tqdm import tqdm

from hilum.bundle.lungs import LungSegmenter
from hilum.core.files import atomic_path
from hilum.image.signs import signs
from hilum.learn.gate.material import Picture

ABOUT = ("cohort", "group")
_BATCH = 16


class Measured(NamedTuple):
    """The material, measured.

    Attributes:
        pictures: case_id, kind, cohort, group; one row a picture.
        embedding: float32 (n, E).
        signs: float32 (n, len(SIGNS)).
    """

    pictures: pd.DataFrame
    embedding: NDArray[np.float32]
    signs: NDArray[np.float32]

    def where(self, chosen: NDArray[np.bool_]) -> Measured:
        """Return some of the pictures."""
        table = self.pictures[chosen].reset_index(drop=True)
        return Measured(table, self.embedding[chosen], self.signs[chosen])


def measure(
    pictures: Iterator[Picture], segmenter: LungSegmenter, *, total: int, progress: bool = True
) -> Measured:
    """Run the lung network over pictures and take their signs."""
    rows: list[tuple[str, str, str, str]] = []
    embeddings: list[NDArray[np.float32]] = []
    numbers: list[NDArray[np.float32]] = []
    bar = tqdm(pictures, total=total, desc="measure", disable=None if progress else True)
    stream = iter(bar)
    while batch := list(islice(stream, _BATCH)):
        squares = [segmenter.preprocess.square(one.film) for one in batch]
        for one, square, lungs in zip(
            batch, squares, segmenter.segment_squares(squares), strict=True
        ):
            rows.append((one.case_id, one.kind, one.cohort, one.group))
            embeddings.append(lungs.embedding)
            numbers.append(signs(one.film, square, lungs))
    table = pd.DataFrame(rows, columns=["case_id", "kind", *ABOUT])
    return Measured(table, np.stack(embeddings), np.stack(numbers))


def keep(measured: Measured, path: Path) -> None:
    """Write to one ``.npz`` file."""
    arrays: dict[str, Any] = {
        name: measured.pictures[name].to_numpy(str) for name in ("case_id", "kind", *ABOUT)
    }
    arrays |= {"embedding": measured.embedding, "signs": measured.signs}
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, **arrays)


def kept(path: Path) -> Measured:
    """Read what ``keep`` wrote."""
    with np.load(path) as stored:
        columns = {name: stored[name] for name in ("case_id", "kind", *ABOUT)}
        return Measured(pd.DataFrame(columns), stored["embedding"], stored["signs"])
