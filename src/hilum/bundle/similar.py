"""Similar: the films that a bundle was trained on, as embeddings and looks, not as pictures.

NAME/similar.npz   which films, what is known of them, their place in feature space, their look

The space is the network's embedding along its principal axes, compared by direction: the distance
of two films is 1 less the cosine of the angle between them, from 0 (the same film) to 2.
The gate's distance (``unlike-training``) is another: of the lung network, to all films at once.

A copy is told by its look: 24 x 24 numbers of evened-out contrast, in which lungs, heart and some
ribs can be made out, and no lesion or letter. A file of version 1 has none and tells equal pixels.
"""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hilum.bundle.manifest import MODEL
from hilum.core.details import Similar
from hilum.core.errors import BundleError
from hilum.core.files import atomic_path, sha256_of
from hilum.core.labels import Label
from hilum.data.fingerprint import LOOK_SIDE

SIMILAR = "similar.npz"
VERSION, VERSION_WITHOUT_LOOKS = 2, 1
UNKNOWN = -1
"""In ``labels``: the reference standard says nothing."""
SAME_LOOK = 0.9
"""Looks that correlate this well are of one film: ``benchmarks/copies.py`` measures it."""
COPY = 0.01
"""Without looks: a film this near is one of those in the index. Equal pixels in any file are at 0
(0.00001 at most, of 44 films), 98 films of other people at 0.0216 or more; most copies in a lossy
format, or of another size, lie between 0.004 and 0.2, among strangers, and are not told."""
LEAST_AXES = 16
"""Of an index that tells copies without looks: along fewer, films of other people point one way by
chance."""
MAX_BYTES = 2**22
"""Of the file: about 8,000 films, of which a look takes 0.4 kB and the rest 0.15 kB. With the
networks and records of the built-in bundle that is less than the 25 MB that a bundle may have."""
_AGAIN = "make it again: hilum bundle index split.csv -b BUNDLE -o similar.npz"


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
        look: int8 (n, 576), of ``hilum.data.fingerprint.look``; None in version 1.
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
    look: NDArray[np.int8] | None = None


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

    def copy_of(self, embedding: NDArray[np.float32] | None, look: NDArray[np.int8] | None) -> str:
        """Return the ``case_id`` of the film that this one is a copy of, or "".

        Looks stand loss, size, shape and window; mirrored films and negatives are compared as well.
        A copy that lost more than a hundredth at its sides, or was turned, is not told.

        Args:
            embedding: float32 (E,), asked where the index has no looks.
            look: int8 (576,), of ``hilum.data.fingerprint.look``.
        """
        if self._looks is not None:
            if look is None:
                return ""
            mirrored = look.reshape(LOOK_SIDE, LOOK_SIDE)[:, ::-1].ravel()
            alike = np.abs(self._looks @ _look(np.stack([look, mirrored])).T).max(axis=1)
            best = int(alike.argmax())
            return str(self.index.case_id[best]) if alike[best] >= SAME_LOOK else ""
        if embedding is None or len(self.index.axes) < LEAST_AXES:
            return ""
        nearest = self.nearest(embedding, 1)[0]
        return nearest.case_id if nearest.distance <= COPY else ""

    @cached_property
    def _looks(self) -> NDArray[np.float32] | None:
        """Made when a copy is first asked for: reading needs none."""
        return None if self.index.look is None else _look(self.index.look)

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
    version = VERSION_WITHOUT_LOOKS if index.look is None else VERSION
    fields = {name: getattr(index, name) for name in _names(version) if name != "model"}
    with atomic_path(path) as temporary:
        with temporary.open("wb") as stream:
            np.savez_compressed(
                stream, version=np.int32(version), model=np.str_(index.model), **fields
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
    version, known = values.pop("version", np.int32(0)), (VERSION_WITHOUT_LOOKS, VERSION)
    if version.shape != () or version.dtype.kind != "i" or int(version) not in known:
        raise BundleError(
            f"{path}: version {version}; this Hilum reads {known[0]} and {known[1]}", hint=_AGAIN
        )
    if values.keys() != set(names := _names(int(version))):
        raise BundleError(
            f"{path}: holds {', '.join(sorted(values))}; expected {', '.join(names)}",
            hint=_AGAIN,
        )
    index = Index(**(values | {"model": str(values["model"])}))
    _check(index, str(path))
    return index


def _names(version: int) -> tuple[str, ...]:
    """Return what a file of that version holds, besides the version."""
    return tuple(name for name in Index.__slots__ if name != "look" or version == VERSION)


def open_similar(root: Path) -> Neighbors | None:
    """Open the index of a bundle.

    Returns:
        Its films, or None if the bundle has none.

    Raises:
        BundleError: the index is damaged, or was made by another network.
    """
    path = root / SIMILAR
    if not path.is_file():
        return None
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
    "look": np.int8,
}


def _check(index: Index, where: str) -> None:
    """Raise ``BundleError`` unless types and shapes fit together."""
    kinds = {name: kind for name, kind in _KINDS.items() if getattr(index, name) is not None}
    wrong = [name for name, kind in kinds.items() if getattr(index, name).dtype != kind]
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
    if index.look is not None:
        shapes["look"] = (films, LOOK_SIDE**2)
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


def _look(look: NDArray[np.int8]) -> NDArray[np.float32]:
    """Return looks (..., 576) so that their products are correlations."""
    values = look.astype(np.float32)
    return _directions(values - values.mean(axis=-1, keepdims=True))


def _directions(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    length = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.asarray(vectors / np.maximum(length, np.float32(1e-12)), np.float32)
