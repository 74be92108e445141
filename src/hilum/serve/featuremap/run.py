"""Run: films of a cases table -> embeddings -> a map, its numbers, a page and a picture.

Groups color a map. Colors are of Okabe and Ito's palette (2008), which people with any color vision
tell apart; every group has a mark of its own as well.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hilum.bundle.seen import WEIGHTS
from hilum.core.case import owner_of
from hilum.core.config import Config, check_label, did_you_mean
from hilum.core.errors import BundleError, CohortError, ConfigError
from hilum.core.extras import require
from hilum.core.files import atomic_path
from hilum.core.machine import cores
from hilum.core.prefetch import batches, prefetch, watched
from hilum.core.reading import RESEARCH_USE, Finding
from hilum.data.fingerprint import look
from hilum.image.write import jpeg
from hilum.judge.featuremap import METHODS, TITLES, MapMeasure, measure_map, project
from hilum.judge.schema import NotRead, SeenFilms
from hilum.serve.audit.sample import allot
from hilum.serve.evaluate import choose_cases
from hilum.serve.film import OpenedFilm
from hilum.serve.findings import choose_points, findings_of
from hilum.serve.heatmap import thumbnail
from hilum.serve.reader import BATCH, Reader

MAX_FILMS = 3000
"""Drawn without delay, and a page of at most 8 MB."""
SIDES = ((1000, 96), (MAX_FILMS, 64), (10**9, 48))
"""Up to so many films, the long side of a small picture in pixels."""
_TEXT = ("cohort", "source", "view", "sex", "split", "reference_standard", "finding")


class MapFacts(Config):
    """What a map was made of, and what was measured of it.

    Attributes:
        title: of the page.
        label, operating_point, threshold: what right and wrong mean.
        method, seed: of the layout.
        films, patients: on the map; ``trained`` of these films the weights have seen in training,
            None where the bundle does not say; ``seen`` counts copies and patients, too.
        cases, split, command, created, bundle, checksum, hilum: how it was made.
        measured: the numbers beside the map.
        not_read: films that are not on it.
    """

    title: str = "Feature-space map"
    label: str
    operating_point: str
    threshold: float
    method: str
    seed: int
    films: int
    patients: int
    trained: int | None
    seen: SeenFilms | None = None
    cases: str
    split: str
    command: str
    created: str
    bundle: str
    checksum: str
    hilum: str
    measured: tuple[MapMeasure, ...]
    not_read: tuple[NotRead, ...]
    notice: str = RESEARCH_USE


@dataclass(frozen=True, slots=True)
class FeatureMap:
    """A map, ready to be drawn.

    Attributes:
        facts: how it was made and what was measured.
        points: float64 (n, 2).
        table: n rows: case_id, truth, score, present, and the columns of the cases.
        colorings: the ways to color it.
        pictures: JPEG of each film, or empty.
    """

    facts: MapFacts
    points: NDArray[np.float64]
    table: pd.DataFrame
    colorings: tuple[Coloring, ...]
    pictures: tuple[bytes, ...]

    @property
    def addresses(self) -> list[str]:
        """The pictures in base64."""
        return [base64.b64encode(picture).decode("ascii") for picture in self.pictures]


def make_map(
    reader: Reader,
    cases: pd.DataFrame,
    *,
    method: str = "tsne",
    split: str | None = "test",
    label: str | None = None,
    operating_point: str | None = None,
    max_films: int = MAX_FILMS,
    thumbnails: bool = True,
    folds: int = 1000,
    seed: int = 0,
    allow_seen: bool = False,
    name: str = "",
    command: str = "",
    progress: bool = True,
) -> FeatureMap:
    """Embed the films of a table, bring them to two dimensions and measure the map.

    Args:
        reader: of ``hilum.load_bundle``.
        cases: a cases table.
        method: a name in ``METHODS``.
        split: rows whose ``split`` is this, or "fold=2"; None for all rows.
        label: whose reference standard and call are shown; None for the first of the bundle that
            the table has.
        operating_point: name in the bundle; None for its first.
        max_films: most films, spread over collections; 0 for all.
        thumbnails: put a small picture of each film into the page.
        folds, seed: of the bootstrap, of the layout and of the choice of films.
        allow_seen: show films as well that the bundle was trained on; the page counts them.
        name, command: of the table and of this run, for the page.
        progress: show a bar on stderr.

    Raises:
        BundleError: the network gives no embedding.
        CohortError: no film is chosen or could be read, or too few.
        LeakageError: the table has a patient on two sides of its split, or the bundle was trained
            on films of it.
        ConfigError: no such method, label or operating point.
        MissingExtraError: the extra ``evaluate`` is not installed.
    """
    require("evaluate")
    if method not in METHODS:
        raise ConfigError(f"method '{method}' of a map", hint=did_you_mean(method, METHODS))
    label = _label(reader, cases, label)
    chosen = choose_films(cases[choose_cases(cases, split)], max_films, seed)
    seen = reader.bundle.seen(cases).among(chosen["case_id"])
    seen.refuse(allow=allow_seen, kinds=WEIGHTS)
    side = next(side for most, side in SIDES if len(chosen) <= most) if thumbnails else 0
    found = gather(reader, chosen, operating_point=operating_point, side=side, progress=progress)
    films = zip(found.cases["case_id"], found.embedding, found.looks, strict=True)
    copies = [film for film, embedding, look in films if reader.copy_of(embedding, look)]
    seen = seen.with_copies(copies)
    seen = seen.among(found.cases["case_id"]).refuse(allow=allow_seen, kinds=WEIGHTS)
    table = _table(reader, found, label)
    layouts = {TITLES[one]: project(found.embedding, one, seed=seed) for one in _both(method)}
    measured = measure_map(found.embedding, layouts, table, folds=folds, seed=seed)
    finding = found.findings[0][reader.labels.index(label)]
    facts = MapFacts(
        label=label,
        operating_point=finding.operating_point,
        threshold=finding.threshold,
        method=TITLES[method],
        seed=seed,
        films=len(table),
        patients=table["group"].nunique(),
        trained=seen.record(WEIGHTS).trained if seen.learned else None,
        seen=seen.record(WEIGHTS),
        cases=name,
        split=split or "all",
        command=command,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        bundle=reader.bundle.identity,
        checksum=reader.bundle.checksum,
        hilum=version("hilum"),
        measured=measured,
        not_read=found.not_read,
    )
    point = f"'{finding.operating_point}' (score of at least {finding.threshold:.2f})"
    return FeatureMap(
        facts, layouts[TITLES[method]], table, colorings(table, label, point), found.pictures
    )


def write_numbers(facts: MapFacts, path: Path) -> None:
    """Write the numbers beside a map as CSV, whole or not at all."""
    rows = [
        {
            "split": facts.split,
            "space": one.space,
            "what": one.what,
            "how": one.how,
            "where": one.where,
            "value": one.value.value,
            "low": one.value.low,
            "high": one.value.high,
            "chance": one.chance,
            "n": one.value.n,
            "patients": one.patients or None,
            "note": one.value.note,
        }
        for one in facts.measured
    ]
    with atomic_path(path) as temporary:
        pd.DataFrame(rows).astype({"patients": "Int64"}).to_csv(
            temporary, index=False, float_format="%.4f", lineterminator="\n"
        )


def _both(method: str) -> Mapping[str, None]:
    """The method, and PCA beside it: a linear map that invents no clusters."""
    return dict.fromkeys((method, "pca"))


def _label(reader: Reader, cases: pd.DataFrame, label: str | None) -> str:
    names = [name.value for name in reader.labels]
    if label is not None:
        check_label(label, names, reader.bundle.identity)
    if label is None:
        label = next((name for name in names if name in cases), names[0])
    for column in ("case_id", "path"):
        if column not in cases:
            raise CohortError(f"no column '{column}' in the cases table")
    return label


def _table(reader: Reader, found: MapFilms, label: str) -> pd.DataFrame:
    rows = found.cases
    place = [name.value for name in reader.labels].index(label)
    own = [findings[place] for findings in found.findings]
    table = pd.DataFrame({"case_id": rows["case_id"]})
    known = pd.to_numeric(rows[label], errors="coerce") if label in rows else np.nan
    table["truth"] = known
    table["score"] = [finding.score for finding in own]
    table["present"] = [finding.present for finding in own]
    for column in _TEXT:
        values = rows[column] if column in rows else pd.Series("", index=rows.index)
        table[column] = values.astype(object).where(values.notna(), "").astype(str)
    table["group"] = owner_of(rows)
    return table


T = TypeVar("T")
_Opened = tuple[OpenedFilm, NDArray[np.int8] | None, bytes]
"""A film without its pixels, its look if it may be read, its picture if one was asked for."""

QUALITY = 70
"""Of a thumbnail's JPEG."""


@dataclass(frozen=True, slots=True)
class MapFilms:
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
) -> MapFilms:
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
    watched_films = watched(opened, len(cases), "embedding", shown=progress)
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
    return MapFilms(
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


def _not_read(case: dict[Any, Any], film: OpenedFilm) -> NotRead:
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


def _open(reader: Reader, path: str, side: int) -> _Opened:
    film = reader.open(path, keep=True)
    if film.inputs is None or film.radiograph is None:
        return film, None, b""
    pixels, film = film.radiograph.pixels, replace(film, radiograph=None)
    picture = jpeg(thumbnail(pixels, side), QUALITY) if side else b""
    return film, look(pixels), picture


GREY = "#8a8f94"
GREEN, RED = "#009E73", "#D55E00"
COLORS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#B8A800")
MARKS = ("circle", "triangle", "square", "diamond", "down", "cross", "plus")
UNKNOWN, OTHER = "unknown", "others"


class Group(Config):
    """Films that are drawn alike.

    Attributes:
        name: in the legend.
        color: "#rrggbb"; ``mark`` one of ``MARKS`` or "ring" or "dot".
        films: how many.
    """

    name: str
    color: str
    mark: str
    films: int


class Coloring(Config):
    """One way to color the map.

    Attributes:
        key: short name; ``title`` in words.
        groups: in the order of the legend.
        of: which group each film is in.
    """

    key: str
    title: str
    groups: tuple[Group, ...]
    of: tuple[int, ...]


def colorings(table: pd.DataFrame, label: str, point: str) -> tuple[Coloring, ...]:
    """Return the ways to color films, those that tell nothing left out.

    Args:
        table: n rows: truth (1, 0 or NaN), present (bool), cohort, source, view, sex, split.
        label: which ``truth`` it is.
        point: the operating point, in words.
    """
    truth = table["truth"].to_numpy(np.float64)
    called = table["present"].to_numpy(bool)
    found = [
        _fixed("standard", f"{label}: reference standard", _standard(truth, label), len(table)),
        _fixed("right", f"{label}: right or wrong at {point}", _right(truth, called), len(table)),
    ]
    for key, title in _COLUMNS.items():
        if key in table and (table[key] != "").any():
            found.append(_by_value(key, title, table[key].tolist()))
    return tuple(found)


_COLUMNS = {
    "cohort": "collection",
    "source": "source",
    "view": "view",
    "sex": "sex",
    "split": "split",
}

Part = tuple[str, str, str, NDArray[np.bool_]]


def _standard(truth: NDArray[np.float64], label: str) -> list[Part]:
    return [
        (f"{label}", "#D55E00", "triangle", truth == 1),
        (f"no {label}", "#0072B2", "circle", truth == 0),
        (UNKNOWN, GREY, "dot", np.isnan(truth)),
    ]


def _right(truth: NDArray[np.float64], called: NDArray[np.bool_]) -> list[Part]:
    return [
        ("right: present", GREEN, "circle", (truth == 1) & called),
        ("right: absent", GREEN, "ring", (truth == 0) & ~called),
        ("wrong: missed", RED, "down", (truth == 1) & ~called),
        ("wrong: false alarm", RED, "cross", (truth == 0) & called),
        (UNKNOWN, GREY, "dot", np.isnan(truth)),
    ]


def _fixed(key: str, title: str, parts: Sequence[Part], films: int) -> Coloring:
    kept = [part for part in parts if part[3].any()]
    of = np.zeros(films, int)
    for place, part in enumerate(kept):
        of[part[3]] = place
    groups = [
        Group(name=name, color=color, mark=mark, films=int(chosen.sum()))
        for name, color, mark, chosen in kept
    ]
    return Coloring(key=key, title=title, groups=tuple(groups), of=tuple(of.tolist()))


def _by_value(key: str, title: str, values: Sequence[str]) -> Coloring:
    """The most frequent values get a color each; the rest are others."""
    counts = pd.Series([value for value in values if value], dtype="object").value_counts()
    order = sorted(counts.index, key=lambda value: (-counts[value], value))
    named = order if len(order) <= len(COLORS) else order[: len(COLORS)]
    array = np.array(values, dtype=object)
    parts: list[Part] = [
        (value, color, mark, np.asarray(array == value, bool))
        for value, color, mark in zip(named, COLORS, MARKS, strict=False)
    ]
    rest = [value not in named and value != "" for value in values]
    parts.append((f"{OTHER} ({len(order) - len(named)})", GREY, "ring", np.array(rest, bool)))
    parts.append((UNKNOWN, GREY, "dot", np.asarray(array == "", bool)))
    return _fixed(key, title, parts, len(values))
