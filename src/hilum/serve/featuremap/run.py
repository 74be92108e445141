"""Run: films of a cases table -> embeddings -> a map, its numbers, a page and a picture."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hilum.bundle.seen import WEIGHTS
from hilum.core.case import owner_of
from hilum.core.config import Config, did_you_mean
from hilum.core.errors import CohortError, ConfigError
from hilum.core.extras import require
from hilum.core.files import atomic_path
from hilum.core.reading import RESEARCH_USE
from hilum.data.leaks import refuse_leaks
from hilum.judge.featuremap import METHODS, TITLES, Measured, measure_map, project
from hilum.judge.schema import NotRead, SeenFilms
from hilum.serve.evaluate import choose_cases
from hilum.serve.featuremap.gather import Gathered, choose_films, gather
from hilum.serve.featuremap.groups import Coloring, colorings
from hilum.serve.reader import Reader

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
    measured: tuple[Measured, ...]
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
    chosen = choose_films(cases[choose_cases(refuse_leaks(cases), split)], max_films, seed)
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
    if label is not None and label not in names:
        raise ConfigError(
            f"label '{label}': not in {reader.bundle.identity}", hint=did_you_mean(label, names)
        )
    if label is None:
        label = next((name for name in names if name in cases), names[0])
    for column in ("case_id", "path"):
        if column not in cases:
            raise CohortError(f"no column '{column}' in the cases table")
    return label


def _table(reader: Reader, found: Gathered, label: str) -> pd.DataFrame:
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
