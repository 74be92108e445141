"""How surely a bundle knows copies of the films that it was trained on: where is the cut to lie?

Prints how well looks correlate: of films of training with copies of themselves, with other films
of the same patient, and with films of other people.

    HILUM_DATA=../shared/data python benchmarks/copies.py split.csv --films 200

The table is of `hilum cohort split` over the collections of the bundle (it links patients whom a
copy joins): docs/explanation/feature-space.md says which commands make it.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
from duplicates import ALTERATIONS, jpeg, tilt

from hilum.bundle.folder import DEFAULT_BUNDLE
from hilum.bundle.similar import SAME_LOOK, SIMILAR, Neighbors, read_similar
from hilum.core.case import owner_of
from hilum.core.errors import ImageError
from hilum.data.fingerprint import LOOK_SIDE, look
from hilum.data.table import read_cases
from hilum.image.open import open_radiograph


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("split", type=Path, help="cases table with the bundle's split")
    parser.add_argument("--bundle", type=Path, default=DEFAULT_BUNDLE)
    parser.add_argument("--films", type=int, default=200, help="films that are copied")
    arguments = parser.parse_args()
    index = read_similar(arguments.bundle / SIMILAR)
    if index.look is None:
        raise SystemExit(f"{arguments.bundle / SIMILAR}: it has no looks")
    cases = read_cases(arguments.split)
    cases = cases.assign(owner=owner_of(cases)).set_index("case_id")
    print(f"{len(index.case_id)} films of training; a copy correlates with at least {SAME_LOOK}")
    copied(index, cases["path"], arguments.films)
    known = cases.loc[index.case_id]
    held_out = cases[~cases.index.isin(index.case_id)]
    looks = {
        name: seen for name in held_out.index if (seen := _look(held_out.path[name])) is not None
    }
    strangers(index, known, held_out.loc[list(looks)], np.stack(list(looks.values())))


def copied(index, paths: pd.Series, count: int) -> None:
    """Copy films of the index in every way, and ask for the originals."""
    neighbors = Neighbors(index)
    drawn = np.random.default_rng(0).choice(len(index.case_id), count, replace=False)
    films = [(i, open_radiograph(paths[index.case_id[i]]).pixels) for i in drawn]
    print(f"{'copy':30s} {'n':>4s} {'min':>6s} {'5 %':>6s} {'median':>6s} {'known':>6s}")
    for name, alter in {**KINDS, **ALTERATIONS}.items():
        looks = [look(np.ascontiguousarray(alter(film), np.float32)) for _, film in films]
        originals = [index.look[i][None] for i, _ in films]
        alike = [correlation(a[None], b)[0, 0] for a, b in zip(looks, originals, strict=True)]
        known = np.mean([neighbors.copy_of(None, each) != "" for each in looks])
        least, low, middle = np.quantile(alike, (0, 0.05, 0.5))
        print(f"{name:30s} {len(alike):4d} {least:6.3f} {low:6.3f} {middle:6.3f} {known:6.1%}")


def strangers(index, known: pd.DataFrame, held_out: pd.DataFrame, looks: np.ndarray) -> None:
    """Compare films of training with each other and with held-out films."""
    rows = pd.concat([known, held_out])
    everything = np.concatenate([index.look, looks])
    alike = np.triu(correlation(everything, everything), 1)
    mirrored = everything.reshape(-1, LOOK_SIDE, LOOK_SIDE)[:, :, ::-1].reshape(len(rows), -1)
    turned = np.triu(correlation(everything, mirrored), 1)
    owner, patient = rows["owner"].to_numpy(), rows["patient_id"].to_numpy()
    upper = np.triu(np.ones(alike.shape, bool), 1)
    others = upper & (owner[:, None] != owner[None])
    same = upper & (patient[:, None] == patient[None]) & (patient != "")
    for name, pairs in (("two patients", others), ("one patient", same)):
        best = np.argwhere(pairs)[np.argsort(-alike[pairs])][:8]
        print(
            f"{name}: {pairs.sum()} pairs of {len(rows)} films, from {alike[pairs].min():.3f} to "
            f"{alike[pairs].max():.3f}; mirrored to {turned[pairs].max():.3f}"
        )
        for i, j in best:
            days = f"days {rows.offset_days.iloc[i]}, {rows.offset_days.iloc[j]}"
            print(f"    {alike[i, j]:.3f} {rows.index[i]} {rows.index[j]} {days}")


def correlation(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Correlate the rows of one array with those of another."""
    ours, theirs = (each - each.mean(axis=1, keepdims=True) for each in np.float32([a, b]))
    norms = np.outer(np.linalg.norm(ours, axis=1), np.linalg.norm(theirs, axis=1))
    return ours @ theirs.T / np.maximum(norms, 1e-6)


def _look(path: str) -> np.ndarray | None:
    try:
        return look(open_radiograph(path).pixels)
    except ImageError:
        return None


def _resized(across: float, down: float) -> Callable[[np.ndarray], np.ndarray]:
    return lambda film: cv2.resize(film, None, fx=across, fy=down, interpolation=cv2.INTER_AREA)


def _window(share: float) -> Callable[[np.ndarray], np.ndarray]:
    def window(film: np.ndarray) -> np.ndarray:
        low, high = np.quantile(film, (share, 1 - share))
        return np.clip((film - low) / max(high - low, 1e-6), 0, 1)

    return window


def _cut(share: float) -> Callable[[np.ndarray], np.ndarray]:
    def cut(film: np.ndarray) -> np.ndarray:
        y, x = (round(side * share) for side in film.shape)
        return film[y : film.shape[0] - y, x : film.shape[1] - x]

    return cut


KINDS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "equal": lambda film: film,
    "JPEG quality 80": jpeg(80),
    "JPEG quality 60": jpeg(60),
    "half as large": _resized(0.5, 0.5),
    "stretched by 1.6": _resized(1.25, 0.8),
    "window of 98 %": _window(0.01),
    "window of 80 %": _window(0.1),
    "window of 50 %": _window(0.25),
    "half, JPEG 60, window of 98 %": lambda film: _window(0.01)(jpeg(60)(_resized(0.5, 0.5)(film))),
    "mirrored": lambda film: film[:, ::-1],
    "1 % of each side cut": _cut(0.01),
    "2 % of each side cut": _cut(0.02),
    "3 % of each side cut": _cut(0.03),
    "5 % of each side cut": _cut(0.05),
    "tilt by 1 degree": tilt(1),
    "tilt by 2 degrees": tilt(2),
}


if __name__ == "__main__":
    cv2.setNumThreads(1)
    main()
