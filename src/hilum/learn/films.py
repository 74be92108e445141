"""Films: opened and preprocessed once, so that an epoch costs the network alone."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset
from tqdm import tqdm

from hilum.bundle.lungs import LungSegmenter
from hilum.core.errors import CohortError, ImageError
from hilum.core.files import atomic_path, sha256_of, write_text
from hilum.core.prefetch import prefetch
from hilum.core.radiograph import Pixels, Radiograph
from hilum.image.lungs import Lungs
from hilum.image.open import open_radiograph
from hilum.image.preprocess import Preprocess

Case = Mapping[Any, Any]
"""A row of a cases table."""


class Draw(Protocol):
    """From a film, its lungs and its row to planes, uint8 (P, S/4, S/4), on the network's input.

    Attributes:
        key: of what it draws; another one makes another cache.
    """

    @property
    def key(self) -> str: ...  # noqa: D102

    def __call__(  # noqa: D102
        self, film: Radiograph, lungs: Lungs, case: Case, preprocess: Preprocess
    ) -> NDArray[np.uint8]: ...


_THREADS = 2
_IN_FLIGHT = 64


@dataclass(frozen=True, slots=True)
class Films:
    """Preprocessed films on disk, with their cases.

    Attributes:
        cases: the cases that opened, index 0..n-1.
        squares: float16 (m, S, S) in [0, 1], memory-mapped; ``Preprocess.square`` of each film.
        rows: int (n,): film i of ``cases`` is ``squares[rows[i]]``.
        refused: case_id, path, reason and hint of the films that did not open.
        checksums: case_id -> SHA-256 of the file.
        planes: uint8 (m, P, S/4, S/4), memory-mapped: what is drawn on each film, see
            ``dense.Drawer``; None for a network that learns from labels alone.
    """

    cases: pd.DataFrame
    squares: NDArray[np.float16]
    rows: NDArray[np.int64]
    refused: pd.DataFrame
    checksums: dict[str, str]
    planes: NDArray[np.uint8] | None = None

    def take(self, kept: NDArray[np.bool_]) -> Films:
        """Return the films where ``kept``, bool (n,), holds."""
        cases = self.cases[kept].reset_index(drop=True)
        return replace(self, cases=cases, rows=self.rows[kept])


def open_films(
    cases: pd.DataFrame,
    preprocess: Preprocess,
    folder: Path,
    *,
    lungs: Path | None = None,
    draw: Draw | None = None,
    progress: bool = True,
) -> Films:
    """Open every film, or find them where an earlier call left them.

    Args:
        cases: a cases table; ``case_id`` and ``path`` are read.
        preprocess: ``square`` of this object is what is kept.
        lungs: bundle whose lung network is used where ``preprocess`` needs lungs; None for the
            one inside the package.
        draw: makes the planes of a film; None for no planes.
        folder: of the cache; the key of a file in it covers the contents of all films and what
            ``square`` does, so a stale one is never read.

    Raises:
        CohortError: a film whose pixels are not numbers; none that opens.
    """
    checksums = _checksums(cases, progress=progress)
    wanted = preprocess.needs_lungs or draw is not None
    segmenter = LungSegmenter(lungs, threads=1) if wanted else None
    key = _key(preprocess, segmenter, cases, checksums, draw=draw)
    pixels, refusals = folder / f"{key}.npy", folder / f"{key}.json"
    drawn = folder / f"{key}-planes.npy"
    if not (pixels.is_file() and refusals.is_file() and (draw is None or drawn.is_file())):
        opener = _Opener(preprocess, segmenter, draw)
        reasons = _fill(cases, opener, pixels, drawn, progress=progress)
        write_text(refusals, json.dumps(reasons, indent=2) + "\n")
    reasons = json.loads(refusals.read_text(encoding="utf-8"))
    films = _films(cases, np.load(pixels, mmap_mode="r"), reasons, checksums)
    return films if draw is None else replace(films, planes=np.load(drawn, mmap_mode="r"))


def fingerprint(cases: pd.DataFrame, labels: Sequence[str], checksums: dict[str, str]) -> str:
    """Return the SHA-256 over the sorted (case_id, SHA-256 of its file, its labels).

    Args:
        cases: every film of the run.
        labels: the label columns that it learns.
        checksums: as ``Films.checksums``; files that are not in it are read.
    """
    lines = [
        f"{case_id} {checksums.get(case_id) or _checksum(path)} {answers}"
        for case_id, path, *answers in cases[["case_id", "path", *labels]].itertuples(index=False)
    ]
    return hashlib.sha256("\n".join(sorted(lines)).encode()).hexdigest()


def _films(
    cases: pd.DataFrame,
    squares: NDArray[np.float16],
    reasons: dict[str, list[str]],
    checksums: dict[str, str],
) -> Films:
    opened = ~cases["case_id"].isin(reasons).to_numpy()
    if not opened.any():
        case_id, (reason, hint) = next(iter(reasons.items()))
        raise CohortError(
            f"none of {len(cases)} films opened; first: {case_id}: {reason}", hint=hint
        )
    paths = dict(zip(cases["case_id"], cases["path"], strict=True))
    refused = pd.DataFrame(
        [(case_id, paths[case_id], *why) for case_id, why in reasons.items()],
        columns=["case_id", "path", "reason", "hint"],
    )
    rows = np.flatnonzero(opened).astype(np.int64)
    return Films(cases[opened].reset_index(drop=True), squares, rows, refused, checksums)


def _fill(
    cases: pd.DataFrame, opener: _Opener, target: Path, drawn: Path, *, progress: bool
) -> dict[str, list[str]]:
    """Write all squares and planes; return case_id -> [reason, hint] of those that failed."""
    size, reasons = opener.preprocess.size, {}
    with ExitStack() as open_files:
        squares = np.lib.format.open_memmap(
            open_files.enter_context(atomic_path(target)),
            mode="w+",
            dtype=np.float16,
            shape=(len(cases), size, size),
        )
        planes = None
        bar = tqdm(cases["case_id"], desc="open films", unit="film", disable=_quiet(progress))
        opened = prefetch(opener, cases.to_dict("records"), workers=_THREADS, ahead=_IN_FLIGHT)
        for row, (case_id, found) in enumerate(zip(bar, opened, strict=True)):
            if isinstance(found, ImageError):
                reasons[case_id] = [found.message, found.hint]
                continue
            squares[row] = _finite(found.square, case_id)
            if found.planes is not None:
                if planes is None:
                    planes = np.lib.format.open_memmap(
                        open_files.enter_context(atomic_path(drawn)),
                        mode="w+",
                        dtype=np.uint8,
                        shape=(len(cases), *found.planes.shape),
                    )
                planes[row] = found.planes
        squares.flush()
        if planes is not None:
            planes.flush()
        del squares, planes
    return reasons


class _Opened(NamedTuple):
    square: Pixels
    planes: NDArray[np.uint8] | None


@dataclass(frozen=True, slots=True)
class _Opener:
    preprocess: Preprocess
    segmenter: LungSegmenter | None
    draw: Draw | None = None

    def __call__(self, case: Case) -> _Opened | ImageError:
        try:
            film = open_radiograph(case["path"])
        except ImageError as error:
            return error
        lungs = self.segmenter.segment(film) if self.segmenter else None
        square = self.preprocess.square(film, lungs)
        if self.draw is None or lungs is None:
            return _Opened(square, None)
        return _Opened(square, self.draw(film, lungs, case, self.preprocess))


def _finite(square: Pixels, case_id: str) -> Pixels:
    if not np.isfinite(square).all():
        raise CohortError(
            f"film {case_id}: a pixel is not a number (NaN or infinite)",
            hint="remove the film from the cases table, or write its file again",
        )
    return square


def _checksums(cases: pd.DataFrame, *, progress: bool) -> dict[str, str]:
    pairs = zip(cases["case_id"], cases["path"], strict=True)
    bar = tqdm(pairs, total=len(cases), desc="checksums", unit="film", disable=_quiet(progress))
    return {case_id: _checksum(path) for case_id, path in bar}


def _checksum(path: str) -> str:
    """SHA-256 of a file, or "" where there is none; opening it gives the reason."""
    try:
        return sha256_of(Path(path))
    except OSError:
        return ""


def _key(
    preprocess: Preprocess,
    segmenter: LungSegmenter | None,
    cases: pd.DataFrame,
    checksums: dict[str, str],
    *,
    draw: Draw | None,
) -> str:
    settings = preprocess.model_dump(exclude={"mean", "std", "channels"})
    if segmenter:
        settings["lungs"] = segmenter.checksum
    films = [[case_id, checksums[case_id]] for case_id in cases["case_id"]]
    if draw:
        settings["drawn"] = [draw.key, *map(_drawing, cases.to_dict("records"))]
    return hashlib.sha256(json.dumps([settings, films]).encode()).hexdigest()[:16]


def _drawing(case: Case) -> list[str]:
    """What is drawn on a film: its boxes, and the contents of its masks."""
    masks = json.loads(case.get("lesion_masks") or "{}")
    paths = [case.get("lung_mask") or "", *(masks[kind] for kind in sorted(masks))]
    return [case.get("boxes") or "", *sorted(masks), *(_checksum(path) for path in paths if path)]


def _quiet(progress: bool) -> bool | None:
    """What tqdm calls ``disable``: None shows the bar on a terminal alone."""
    return None if progress else True


class Batch(NamedTuple):
    """Some films as the network's trainer takes them.

    Attributes:
        squares: float32 (N, 1, S, S) in [0, 1], not yet standardised.
        truth: float32 (N, L): 1, 0, or NaN for unknown.
        rows: int64 (N,): their rows in ``Films.cases``.
        planes: float32 (N, P, S/4, S/4) in [0, 1], or None; see ``Films.planes``.
    """

    squares: Tensor
    truth: Tensor
    rows: Tensor
    planes: Tensor | None = None


class FilmDataset(Dataset[Batch]):
    """Films and their labels, taken a whole batch at a time."""

    def __init__(self, films: Films, labels: Sequence[str]) -> None:
        self.films = films
        self.truth = torch.from_numpy(films.cases[list(labels)].to_numpy(np.float32).copy())

    def __len__(self) -> int:
        """Return the number of films."""
        return len(self.films.cases)

    def __getitem__(self, index: int) -> Batch:
        """Return one film as a batch of one."""
        return self.__getitems__([index])

    def __getitems__(self, indices: list[int]) -> Batch:
        """Return the films at ``indices`` as one batch; torch's loader calls this."""
        chosen = np.asarray(indices)
        stored, rows = self.films.rows[chosen], torch.from_numpy(chosen)
        squares = torch.from_numpy(self.films.squares[stored].astype(np.float32))
        planes = None
        if self.films.planes is not None:
            planes = torch.from_numpy(self.films.planes[stored].astype(np.float32) / 255)
        return Batch(squares.unsqueeze(1), self.truth[rows], rows, planes)
