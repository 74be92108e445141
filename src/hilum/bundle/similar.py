"""Similar: the films that a bundle was trained on, as embeddings, never as pictures.

NAME/similar.npz   which films, what is known of them, where they lie in feature space

The space is the network's embedding along its principal axes, compared by direction: the distance
of two films is 1 less the cosine of the angle between them, from 0 (the same film) to 2.
The gate's distance (``unlike-training``) is another: of the lung network, to all films at once.
"""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hilum.bundle.manifest import MODEL
from hilum.core.details import Similar
from hilum.core.errors import BundleError
from hilum.core.files import atomic_path, sha256_of
from hilum.core.labels import Label

SIMILAR = "similar.npz"
SIMILAR_VERSION = 1
UNKNOWN = -1
"""In ``labels``: the reference standard says nothing."""
COPY = 0.01
"""A film this near is one of those in the index: equal pixels in any file are at 0 (0.00001 at
most, of 44 films), 98 films of other people at 0.0216 or more; most copies in a lossy format, or
of another size, lie between 0.004 and 0.2, among strangers, and are not told."""
LEAST_AXES = 16
"""Of an index that tells copies: along fewer, films of other people point one way by chance."""
MAX_BYTES = 2**20
"""Of the file; an index of more films takes fewer axes."""
_AGAIN = "make it again: hilum similar BUNDLE --fit split.csv -o similar.npz"


@dataclass(frozen=True, slots=True)
class Index:
    """What ``similar.npz`` holds.

    Attributes:
        model: SHA-256 of the ``model.onnx`` that made the embeddings.
        mean: float32 (E,), subtracted first.
        axes: float16 (k, E), principal axes, perhaps over the spread along each.
        films: float16 (n, k), each of length 1.
        case_id, cohort: str (n,).
        group: int32 (n,), films of one patient share it.
        labels: int8 (n, L), 1, 0 or ``UNKNOWN``; ``names`` of the L columns.
    """

    model: str
    mean: NDArray[np.float32]
    axes: NDArray[np.float16]
    films: NDArray[np.float16]
    case_id: NDArray[np.str_]
    cohort: NDArray[np.str_]
    group: NDArray[np.int32]
    labels: NDArray[np.int8]
    names: NDArray[np.str_]


class Neighbors:
    """The films of an index, ready to be asked; safe to share between threads.

    Args:
        index: what ``similar.npz`` holds.

    Attributes:
        index: the same.
    """

    def __init__(self, index: Index) -> None:
        self.index = index
        self._axes = index.axes.astype(np.float32)
        self._films = _directions(index.films.astype(np.float32))
        self._group = dict(zip(index.case_id.tolist(), index.group.tolist(), strict=True))
        self._names = [Label(name) for name in index.names.tolist()]

    def __len__(self) -> int:
        """Films in the index."""
        return len(self._films)

    def place(self, embedding: NDArray[np.float32]) -> NDArray[np.float32]:
        """Bring embeddings (..., E) into the space of the index: float32 (..., k), length 1."""
        along = (embedding - self.index.mean) @ self._axes.T
        return _directions(np.asarray(along, np.float32))

    def nearest(
        self,
        embedding: NDArray[np.float32],
        k: int = 5,
        *,
        per_patient: int | None = 1,
        not_of: Collection[str] = (),
    ) -> tuple[Similar, ...]:
        """Return the nearest films, nearest first.

        Args:
            embedding: float32 (E,), of ``Reader.embed``.
            k: how many, at most.
            per_patient: films of one patient, at most; None for as many as there are.
            not_of: values of ``case_id``; those films, and all of their patients, are left out.

        Raises:
            BundleError: the embedding has another length than those of the index.
        """
        if embedding.shape != self.index.mean.shape:
            raise BundleError(
                f"{SIMILAR}: embeddings of {self.index.mean.size} numbers; this one has "
                f"{embedding.size}",
                hint=_AGAIN,
            )
        distance = np.clip(1 - self._films @ self.place(embedding), 0, 2)
        order = np.argsort(distance, kind="stable")
        left_out = {self._group[name] for name in not_of if name in self._group}
        taken: dict[int, int] = {}
        found: list[Similar] = []
        for i in order.tolist():
            if len(found) == k:
                break
            group = int(self.index.group[i])
            taken[group] = taken.get(group, 0) + 1
            if group not in left_out and (per_patient is None or taken[group] <= per_patient):
                found.append(self._similar(i, float(distance[i])))
        return tuple(found)

    def copy_of(self, embedding: NDArray[np.float32] | None) -> str:
        """Return the ``case_id`` of the film that this one is a copy of, or ""."""
        if embedding is None or len(self.index.axes) < LEAST_AXES:
            return ""
        nearest = self.nearest(embedding, 1)[0]
        return nearest.case_id if nearest.distance <= COPY else ""

    def _similar(self, i: int, distance: float) -> Similar:
        known = zip(self._names, self.index.labels[i].tolist(), strict=True)
        return Similar(
            case_id=str(self.index.case_id[i]),
            cohort=str(self.index.cohort[i]),
            distance=round(distance, 4),
            labels={name: value for name, value in known if value != UNKNOWN},
        )


def write_similar(path: Path, index: Index) -> None:
    """Write an index, whole or not at all; the same index gives the same bytes.

    Raises:
        BundleError: its parts do not fit together, or the file is larger than ``MAX_BYTES``.
    """
    _check(index, str(path))
    fields = {name: getattr(index, name) for name in Index.__slots__ if name != "model"}
    with atomic_path(path) as temporary:
        with temporary.open("wb") as stream:
            np.savez_compressed(
                stream, version=np.int32(SIMILAR_VERSION), model=np.str_(index.model), **fields
            )
        if (size := temporary.stat().st_size) > MAX_BYTES:
            raise BundleError(
                f"{path}: {size} bytes; expected at most {MAX_BYTES}",
                hint="fit it on fewer films: --max-films",
            )


def read_similar(path: Path) -> Index:
    """Read an index.

    Raises:
        BundleError: no such file, damaged, or of another version.
    """
    try:
        if not zipfile.is_zipfile(path):
            raise zipfile.BadZipFile("no such file" if not path.exists() else "not an archive")
        # a file of ours: numpy leaves its own open where the archive's directory is damaged
        with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            values = {name: stored[name] for name in stored.files}
    except _DAMAGED as error:
        raise BundleError(f"{path}: cannot be read: {error}", hint=_AGAIN) from None
    version = values.pop("version", np.int32(0))
    if version.shape != () or version.dtype.kind != "i" or int(version) != SIMILAR_VERSION:
        raise BundleError(
            f"{path}: version {version}; this Hilum reads {SIMILAR_VERSION}", hint=_AGAIN
        )
    if values.keys() != set(Index.__slots__):
        raise BundleError(
            f"{path}: holds {', '.join(sorted(values))}; expected {', '.join(Index.__slots__)}",
            hint=_AGAIN,
        )
    index = Index(**(values | {"model": str(values["model"])}))
    _check(index, str(path))
    return index


def open_similar(root: Path) -> Neighbors | None:
    """Open the index of a bundle.

    Returns:
        Its films, or None if the bundle has none.

    Raises:
        BundleError: the index is damaged, or was made by another network.
    """
    path = root / SIMILAR
    return open_index(path, root) if path.is_file() else None


def open_index(path: Path, root: Path) -> Neighbors:
    """Open an index that lies anywhere, for the bundle in ``root``; see ``open_similar``."""
    index = read_similar(path)
    if index.model != (found := sha256_of(root / MODEL)):
        raise BundleError(
            f"{path}: made by the network {index.model[:12]}; this one is {found[:12]}",
            hint=_AGAIN,
        )
    return Neighbors(index)


_DAMAGED = (
    OSError,
    ValueError,
    EOFError,
    KeyError,
    RuntimeError,  # a damaged flag calls the part encrypted
    zipfile.BadZipFile,
    zlib.error,
)
_KINDS = {
    "mean": np.float32,
    "axes": np.float16,
    "films": np.float16,
    "group": np.int32,
    "labels": np.int8,
}


def _check(index: Index, where: str) -> None:
    """Raise ``BundleError`` unless types and shapes fit together."""
    wrong = [name for name, kind in _KINDS.items() if getattr(index, name).dtype != kind]
    wrong += [
        name for name in ("case_id", "cohort", "names") if getattr(index, name).dtype.kind != "U"
    ]
    films, axes = len(index.case_id) if index.case_id.ndim == 1 else -1, len(index.axes)
    shapes = {
        "mean": (index.mean.size,),
        "axes": (axes, index.mean.size),
        "films": (films, axes),
        "cohort": (films,),
        "group": (films,),
        "labels": (films, index.names.size),
    }
    wrong += [name for name, shape in shapes.items() if getattr(index, name).shape != shape]
    if not wrong and films < 1:
        wrong = ["case_id"]
    if not wrong and not set(index.names.tolist()) <= {label.value for label in Label}:
        wrong = ["names"]
    numbers = (index.mean, index.axes, index.films)
    if not wrong and not all(np.isfinite(each).all() for each in numbers):
        wrong = ["films"]
    if wrong:
        raise BundleError(f"{where}: '{wrong[0]}' does not fit the rest", hint=_AGAIN)


def _directions(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    length = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.asarray(vectors / np.maximum(length, np.float32(1e-12)), np.float32)
