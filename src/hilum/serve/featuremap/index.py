"""Index: ``similar.npz`` of the films that a bundle was trained on, by a measured distance."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hilum.bundle.seen import SPLITS
from hilum.bundle.similar import UNKNOWN, Index, write_similar
from hilum.core.case import owner_of
from hilum.core.config import check_label
from hilum.core.errors import CohortError
from hilum.core.extras import require
from hilum.core.files import atomic_path, sha256_of
from hilum.data.leaks import refuse_leaks
from hilum.judge.neighbors import PLACES, LabelAgreement, agreement
from hilum.serve.featuremap.run import choose_films, gather
from hilum.serve.reader import Reader

AXES = (16, 32, 48)
"""Numbers of principal axes that are tried; 48 take 0.1 kB a film."""
PLAIN = 32
"""Axes that are taken where no film is there to choose by."""
TRAIN, CHOSEN_ON, REPORTED_ON = "train", "val", "test"

Space = tuple[NDArray[np.float32], NDArray[np.float16]]
"""mean (E,) and axes (k, E)."""


def fit_similar(
    reader: Reader,
    cases: pd.DataFrame,
    out: Path,
    *,
    table: Path | None = None,
    label: str | None = None,
    max_films: int = 0,
    folds: int = 1000,
    seed: int = 0,
    progress: bool = True,
) -> tuple[Index, tuple[LabelAgreement, ...], int]:
    """Make ``similar.npz`` of the films that a bundle was trained on.

    The films of split "train" go into it; the number of axes, and whether each is divided by its
    spread, is chosen by how often the neighbors of "val" films share their label, and measured on
    "test". A table without a split goes in whole, as it is, and nothing is chosen. Where the bundle
    says which films it was trained on (``splits.csv``), those are what "train" means, whatever
    the table calls them. The look of each film goes in too, so that its copies are known again.

    Args:
        reader: of the bundle.
        cases: a cases table.
        out: the file.
        table: write the measurements as CSV here.
        label: whose agreement is measured; None for the first that bundle and table have.
        max_films: most films of the index, spread over collections; 0 for all.
        folds, seed: of the bootstrap and of the choice of films.
        progress: show a bar on stderr.

    Returns:
        (index, what was measured, films of split "train" that were left out, since the bundle was
        not trained on them).

    Raises:
        ConfigError: the bundle does not answer the label.
        CohortError: fewer than two films of split "train" could be read, or the table lacks the
            label.
        LeakageError: the table has a patient on two sides of its split.
        BundleError: the network gives no embedding, or the index would be too large.
        MissingExtraError: the extra ``evaluate`` is not installed.
    """
    require("evaluate")
    if label is not None:
        check_label(label, reader.labels, reader.bundle.identity)
        if label not in cases:
            raise CohortError(f"no column '{label}' in the cases table; --label asks for it")
    cases, left_out = _trained_on(reader, refuse_leaks(cases))
    found = gather(reader, cases, progress=progress)
    rows = found.cases
    split = rows["split"].to_numpy(dtype=str)
    kept = choose_films(rows[split == TRAIN], max_films, seed)
    if len(kept) < 2:
        raise _too_few(len(kept))
    known = np.asarray(rows.index.isin(kept.index))
    spaces = fit_spaces(found.embedding[known])
    measured = _measured(spaces, found.embedding, rows, split, known, reader, label, folds, seed)
    chosen = choose_space(measured, list(spaces))
    looks = found.looks[known]
    index = _index(spaces[chosen], found.embedding[known], looks, kept, reader)
    write_similar(out, index)
    if table is not None:
        _write_table(measured, chosen, table)
    return index, tuple(one for _, one in measured), left_out


def _trained_on(reader: Reader, cases: pd.DataFrame) -> tuple[pd.DataFrame, int]:
    """Return the films with the split that the bundle knows, without those of "train" that it was
    not trained on, and how many these were.
    """
    split = cases["split"].astype(str) if "split" in cases else pd.Series(TRAIN, cases.index)
    known = reader.bundle.seen(cases)
    if not known.learned:
        return cases.assign(split=split), 0
    trained = cases["case_id"].astype(str).map(known.how) == TRAIN
    others = (split == TRAIN) & ~trained
    if trained.sum() < 2:
        raise _too_few(int(trained.sum()), f" that {known.bundle} was trained on ({SPLITS})")
    return cases.assign(split=split.mask(trained, TRAIN))[~others], int(others.sum())


def _too_few(films: int, of: str = "") -> CohortError:
    hint = "'hilum cohort split' makes that column; a table without it goes in whole"
    if of:
        hint = "name the cases.csv that 'hilum train' wrote beside this bundle"
        return CohortError(f"the table has {films} films{of}; an index needs at least 2", hint=hint)
    return CohortError(
        f"{films} films of split '{TRAIN}' were read; an index needs at least 2", hint=hint
    )


def fit_spaces(embedding: NDArray[np.float32]) -> dict[str, Space]:
    """Return every space that is tried: its name, mean (E,) and axes (k, E).

    Args:
        embedding: float32 (n, E).
    """
    from sklearn.decomposition import PCA

    most = max(1, min(len(embedding) - 1, embedding.shape[1], max(AXES)))
    fitted = PCA(most, svd_solver="full").fit(embedding.astype(np.float64))
    spread = np.maximum(np.sqrt(fitted.explained_variance_), 1e-9)[:, None]
    mean = fitted.mean_.astype(np.float32)
    spaces: dict[str, Space] = {}
    for count in sorted({min(axes, most) for axes in AXES}):
        axes = fitted.components_[:count]
        spaces[named(count)] = mean, axes.astype(np.float16)
        # At most 1, for float16; what all axes share does not change a direction.
        scale = spread[count - 1] / spread[:count]
        spaces[f"{named(count)} evened"] = mean, (axes * scale).astype(np.float16)
    return spaces


def named(axes: int) -> str:
    """Return what a space of that many axes is called."""
    return f"cosine, {axes} axes"


def choose_space(measured: Sequence[tuple[str, LabelAgreement]], spaces: Sequence[str]) -> str:
    """Return the space whose neighbors agree best on val, anywhere and across collections.

    Within one collection val has too few films of both classes to choose by.
    """
    asked = [
        one
        for split, one in measured
        if split == CHOSEN_ON and one.distance in spaces and one.where != PLACES[1]
    ]
    means: dict[str, list[float]] = {}
    for one in asked:
        means.setdefault(one.distance, []).append(one.label.value)
    usable = {name: np.nanmean(v) for name, v in means.items() if np.isfinite(v).any()}
    if usable:
        return max(usable, key=lambda name: usable[name])
    return next((name for name in spaces if name == named(PLAIN)), spaces[0])


def _measured(
    spaces: dict[str, Space],
    embedding: NDArray[np.float32],
    rows: pd.DataFrame,
    split: NDArray[np.str_],
    known: NDArray[np.bool_],
    reader: Reader,
    label: str | None,
    folds: int,
    seed: int,
) -> list[tuple[str, LabelAgreement]]:
    name = label or next((name for name in reader.labels if name in rows), None)
    if name is None:
        return []
    placed: dict[str, NDArray[np.floating[Any]]] = {
        "Euclid, whole embedding": embedding,
        "cosine of the whole embedding": _directions(embedding),
    }
    for space, (mean, axes) in spaces.items():
        along = (embedding - mean) @ axes.T.astype(np.float32)
        placed[space] = _directions(along)
        placed[space.replace("cosine", "Euclid")] = along
    table = rows.assign(truth=pd.to_numeric(rows[name]), group=owner_of(rows))
    return [
        (side, one)
        for side in (CHOSEN_ON, REPORTED_ON)
        if (split == side).any()
        for one in agreement(placed, table, split == side, known, folds=folds, seed=seed)
    ]


def _index(
    space: Space,
    embedding: NDArray[np.float32],
    looks: NDArray[np.int8],
    rows: pd.DataFrame,
    reader: Reader,
) -> Index:
    """Take the labels that the bundle answers: the rest of a collection's table stays with it."""
    mean, axes = space
    names = [name for name in reader.labels if name in rows]
    labels = rows[names].apply(pd.to_numeric).fillna(UNKNOWN).to_numpy(np.int8)
    along = (embedding - mean) @ axes.T.astype(np.float32)
    return Index(
        model=sha256_of(reader.bundle.model),
        mean=mean,
        axes=axes,
        films=_directions(along).astype(np.float16),
        case_id=rows["case_id"].to_numpy(dtype=str),
        cohort=rows["cohort"].to_numpy(dtype=str),
        group=np.asarray(pd.factorize(owner_of(rows))[0], np.int32),
        labels=labels,
        names=np.array(names, dtype=str) if names else np.empty(0, "<U1"),
        look=looks,
    )


def _directions(vectors: NDArray[np.floating[Any]]) -> NDArray[np.floating[Any]]:
    length = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.asarray(vectors / np.maximum(length, 1e-12))


def _write_table(measured: Sequence[tuple[str, LabelAgreement]], chosen: str, path: Path) -> None:
    rows = [
        {
            "films_of": split,
            "distance": one.distance,
            "chosen": "yes" if one.distance == chosen else "",
            "neighbors": one.where,
            "n": one.label.n,
            "patients": one.patients,
            "same_label": one.label.value,
            "same_label_low": one.label.low,
            "same_label_high": one.label.high,
            "same_collection": one.collection.value if one.collection else None,
            "same_collection_low": one.collection.low if one.collection else None,
            "same_collection_high": one.collection.high if one.collection else None,
        }
        for split, one in measured
    ]
    with atomic_path(path) as temporary:
        pd.DataFrame(rows).to_csv(temporary, index=False, float_format="%.4f", lineterminator="\n")
