"""Gather: from the films of a cases table to embeddings, scores and small pictures."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hilum.core.errors import BundleError, CohortError
from hilum.core.machine import cores
from hilum.core.prefetch import batches, prefetch
from hilum.core.reading import Finding
from hilum.data.fingerprint import look
from hilum.image.write import jpeg
from hilum.judge.schema import NotRead
from hilum.serve.audit.sample import allot
from hilum.serve.film import Film, open_film
from hilum.serve.findings import choose_points, findings_of
from hilum.serve.heatmap import thumbnail
from hilum.serve.reader import BATCH, Reader

T = TypeVar("T")
_Opened = tuple[Film, NDArray[np.int8] | None, bytes]
"""A film without its pixels, its look if it may be read, its picture if one was asked for."""

QUALITY = 70
"""Of a thumbnail's JPEG."""


@dataclass(frozen=True, slots=True)
class Gathered:
    """Films that were read, in the order of the table; lists and arrays run over them.

    Attributes:
        cases: their rows of the table.
        embedding: float32 (n, E).
        looks: int8 (n, 576), of ``hilum.data.fingerprint.look``.
        findings: of each film, at the operating point.
        pictures: JPEG of each film, or empty where none were asked for.
        not_read: the others, with the reason.
    """

    cases: pd.DataFrame
    embedding: NDArray[np.float32]
    looks: NDArray[np.int8]
    findings: tuple[tuple[Finding, ...], ...]
    pictures: tuple[bytes, ...]
    not_read: tuple[NotRead, ...]


def gather(
    reader: Reader,
    cases: pd.DataFrame,
    *,
    operating_point: str | None = None,
    side: int = 0,
    progress: bool = False,
) -> Gathered:
    """Open films as the reader does, with lungs and gate, and embed those that may be read.

    Args:
        cases: rows of a cases table.
        operating_point: name in the bundle; None for its first.
        side: long side of a film's small picture in pixels; 0 makes none.
        progress: show a bar on stderr.

    Raises:
        BundleError: the network gives no embedding.
        CohortError: not one film could be read.
        ConfigError: no such operating point.
    """
    manifest = reader.bundle.manifest
    choose_points(manifest, operating_point)
    opened = prefetch(
        lambda path: _open(reader, path, side), cases["path"], workers=cores(), ahead=2 * BATCH
    )
    watched_films = watched(opened, len(cases), "embedding", progress)
    found = _Found()
    for rows in batches(zip(cases.to_dict("records"), watched_films, strict=True), BATCH):
        _add(reader, rows, found)
    if not found.case_ids:
        first = found.not_read[0] if found.not_read else None
        raise CohortError(
            f"none of {len(cases)} films could be read"
            + (f"; the first: {first.case_id}: {first.reason}" if first else ""),
            hint="check that the paths of the table still hold",
        )
    return Gathered(
        cases[cases["case_id"].isin(found.case_ids)].reset_index(drop=True),
        np.concatenate(found.embedding),
        np.stack(found.looks),
        tuple(findings_of(manifest, each, operating_point) for each in np.vstack(found.logits)),
        tuple(found.pictures),
        tuple(found.not_read),
    )


@dataclass(slots=True)
class _Found:
    """What was gathered so far."""

    case_ids: list[str] = field(default_factory=list)
    embedding: list[NDArray[np.float32]] = field(default_factory=list)
    looks: list[NDArray[np.int8]] = field(default_factory=list)
    logits: list[NDArray[np.float32]] = field(default_factory=list)
    pictures: list[bytes] = field(default_factory=list)
    not_read: list[NotRead] = field(default_factory=list)


def _add(reader: Reader, rows: list[tuple[dict[Any, Any], _Opened]], to: _Found) -> None:
    sound = []
    for case, (film, seen, picture) in rows:
        if film.inputs is None or seen is None:
            to.not_read.append(_not_read(case, film))
            continue
        sound.append(film.inputs)
        to.case_ids.append(case["case_id"])
        to.looks.append(seen)
        to.pictures += [picture] if picture else []
    if sound:
        inputs = np.stack(sound)
        to.embedding.append(embed(reader, inputs))
        to.logits.append(reader.run(inputs)[0])


def _not_read(case: dict[Any, Any], film: Film) -> NotRead:
    return NotRead(
        case_id=case["case_id"],
        status=film.status,
        reason=film.reason or "no reason given",
        code=film.refusal.code if film.refusal else "",
        cohort=case.get("cohort") or "",
    )


def embed(reader: Reader, inputs: NDArray[np.float32]) -> NDArray[np.float32]:
    """Embed films (N, C, S, S): float32 (N, E); raise ``BundleError`` where there is no output."""
    found = reader.embed(inputs)
    if found is None:
        raise BundleError(
            f"{reader.bundle.model}: no output 'embedding'; this network cannot say what is alike",
            hint="pack it again with 'hilum train': networks of Hilum have that output",
        )
    return found


def choose_films(cases: pd.DataFrame, most: int, seed: int) -> pd.DataFrame:
    """Return at most ``most`` rows (0 for all), spread evenly over collections, seeded."""
    if not most or len(cases) <= most:
        return cases
    generator = np.random.default_rng(seed)
    parts = [part.index.to_numpy() for _, part in cases.groupby("cohort", sort=True)]
    counts = allot(np.array([part.size for part in parts]), most)
    kept = [generator.permutation(part)[:count] for part, count in zip(parts, counts, strict=True)]
    return cases[cases.index.isin(np.concatenate(kept))]


def watched(films: Iterator[T], total: int, what: str, progress: bool) -> Iterator[T]:
    """Show a bar on stderr while films pass."""
    from tqdm import tqdm

    every_s = 0.5 if sys.stderr.isatty() else 10
    return iter(
        tqdm(
            films,
            total=total,
            desc=what,
            unit="film",
            delay=2,
            mininterval=every_s,
            disable=not progress,
        )
    )


def _open(reader: Reader, path: str, side: int) -> _Opened:
    film = open_film(path, reader.preprocess, reader.segmenter, reader.gate, keep=True)
    if film.inputs is None or film.radiograph is None:
        return film, None, b""
    pixels, film = film.radiograph.pixels, replace(film, radiograph=None)
    picture = jpeg(thumbnail(pixels, side), QUALITY) if side else b""
    return film, look(pixels), picture
