"""Films: open each once, change it in every way that is asked for, keep what the model says.

Of a model that cannot be run here, such as a vendor's product, keep the scores that it gave.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self, TypeVar

import cv2
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hilum.core.config import did_you_mean
from hilum.core.errors import CohortError, ImageError
from hilum.core.machine import cores
from hilum.core.prefetch import batches, prefetch, watched
from hilum.core.radiograph import Radiograph
from hilum.core.reading import Status
from hilum.data.fingerprint import look
from hilum.image.lungs import Lungs
from hilum.image.nuisance import nuisance_features
from hilum.image.open import open_radiograph
from hilum.image.perturb import PERTURBATIONS, Places
from hilum.image.write import jpeg
from hilum.judge.audit.report import AuditExample, ShownFilm
from hilum.judge.predictions import NUISANCE_PREFIX
from hilum.judge.schema import NotRead
from hilum.serve.audit.subject import (
    AuditSubject,
    BundleSubject,
    FindLungs,
    FindOpacities,
    Look,
    checked,
)
from hilum.serve.evaluate import without_reading
from hilum.serve.film import open_film
from hilum.serve.heatmap import limit_of, overlay, thumbnail

T = TypeVar("T")

BATCH = 8
MIN_LUNGS = 0.02
"""Of the film; a smaller mask is no pair of lungs, and the tests of the lungs skip the film."""

GUARDED = ("inverted",)
"""Perturbations that a reader may rightly refuse; they are read as a user's film would be."""


@dataclass(slots=True)
class MeasuredFilms:
    """What became of the films; lists run over the films that were read.

    Attributes:
        rows: of the table of ``Material``.
        variants: perturbation -> scores.
        looks: int8 (576,) of each film as it is; see ``hilum.data.fingerprint.look``.
        evidence, area: shares in the lungs; NaN without lungs or maps.
        examples: films with all that was done to them.
        not_read: with the reason.
    """

    rows: list[dict[str, Any]] = field(default_factory=list)
    variants: dict[str, list[float]] = field(default_factory=dict)
    embedding: list[NDArray[np.float32]] = field(default_factory=list)
    looks: list[NDArray[np.int8]] = field(default_factory=list)
    evidence: list[float] = field(default_factory=list)
    area: list[float] = field(default_factory=list)
    examples: list[AuditExample] = field(default_factory=list)
    not_read: list[NotRead] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Film:
    case: dict[str, Any]
    radiograph: Radiograph
    lungs: Lungs | None
    places: Places
    nuisance: dict[str, float]
    look: NDArray[np.int8]


def measure(
    subject: AuditSubject,
    cases: pd.DataFrame,
    label: str,
    variants: Sequence[str],
    *,
    find_lungs: FindLungs | None,
    find_opacities: FindOpacities | None = None,
    threshold: float | None,
    seed: int = 0,
    progress: bool = False,
) -> MeasuredFilms:
    """Score every film as it is and changed.

    Args:
        cases: from ``sample``.
        variants: names in ``PERTURBATIONS``.
        find_lungs, find_opacities: None where they are not to be had.
        threshold: for the captions of the examples; None where it is not known yet.

    Raises:
        CohortError: not one film could be read.
    """
    found = MeasuredFilms(variants={name: [] for name in variants})
    records: list[dict[Any, Any]] = cases.to_dict("records")
    opened = prefetch(
        lambda case: _open(case, subject, find_lungs, find_opacities),
        records,
        workers=cores(),
        ahead=2 * BATCH,
    )
    shown: set[float] = set()
    for batch in batches(watched(opened, len(records), "auditing", shown=progress), BATCH):
        films = [one for one in batch if isinstance(one, _Film)]
        found.not_read += [one for one in batch if isinstance(one, NotRead)]
        if films:
            _score(subject, films, label, found, seed, shown, threshold)
    if not found.rows:
        first = found.not_read[0]
        raise CohortError(
            f"none of {len(records)} films could be read; the first: {first.case_id}: "
            f"{first.reason}",
            hint="check that the paths of the table still hold",
        )
    return found


def _open(
    case: dict[str, Any],
    subject: AuditSubject,
    find_lungs: FindLungs | None,
    find_opacities: FindOpacities | None,
) -> _Film | NotRead:
    """Open a film as whoever reads it: a bundle with its gate, others by what the file says."""
    path = case["path"]
    opened = (
        subject.open(path) if isinstance(subject, BundleSubject) else open_film(path, keep=True)
    )
    if (radiograph := opened.radiograph) is None or opened.status is not Status.READ:
        return without_reading(case, opened.status, opened.reason, opened.refusal)
    try:
        lungs = None if find_lungs is None else find_lungs(radiograph)
    except ImageError as error:  # a mask of the table
        return without_reading(case, Status.ERROR, error.message)
    measured = {f"{NUISANCE_PREFIX}{k}": v for k, v in nuisance_features(radiograph).items()}
    seen = look(radiograph.pixels)
    if lungs is None or lungs.area < MIN_LUNGS:
        return _Film(case, radiograph, None, Places(), measured, seen)
    opaque = None if find_opacities is None else find_opacities(radiograph, lungs)
    places = Places(lungs.on_film(radiograph.shape), opaque)
    return _Film(case, radiograph, lungs, places, measured, seen)


def _score(
    subject: AuditSubject,
    films: list[_Film],
    label: str,
    found: MeasuredFilms,
    seed: int,
    shown: set[float],
    threshold: float | None,
) -> None:
    lungs = [film.lungs for film in films]
    plain = subject.look([film.radiograph for film in films], lungs, detail=True)
    read = np.isfinite(plain.score)
    for film, sound in zip(films, read, strict=True):
        if not sound:
            found.not_read.append(_unscored(film.case))
    changed = {name: _changed(subject, films, name, seed) for name in found.variants}
    for i in np.flatnonzero(read):
        film = films[i]
        found.rows.append(_row(film, label, plain, int(i)))
        found.looks.append(film.look)
        for name, scores in found.variants.items():
            scores.append(float(changed[name][i]))
        share, area = _in_lungs(film, plain, int(i))
        found.evidence.append(share)
        found.area.append(area)
        if plain.embedding is not None:
            found.embedding.append(plain.embedding[i])
        truth = float(film.case[label])
        if truth not in shown and (film.lungs is not None or len(shown) + 1 < len(found.rows)):
            shown.add(truth)
            scores_of = {name: float(changed[name][i]) for name in found.variants}
            maps = None if plain.evidence is None else plain.evidence[i]
            found.examples.append(
                example_of(
                    film.radiograph,
                    film.lungs,
                    film.places,
                    float(plain.score[i]),
                    scores_of,
                    maps,
                    title=f"{film.case['case_id']}: {label} {'present' if truth else 'absent'}",
                    threshold=threshold,
                    seed=seed_of(seed, film.case["case_id"]),
                )
            )


def _changed(
    subject: AuditSubject, films: list[_Film], name: str, seed: int
) -> NDArray[np.float64]:
    """Scores (N,) of the films changed by ``name``; NaN where a film cannot be changed so."""
    how = PERTURBATIONS[name]
    scores = np.full(len(films), np.nan)
    usable, changed, lungs = [], [], []
    for i, film in enumerate(films):
        generator = np.random.default_rng(seed_of(seed, film.case["case_id"]))
        if (other := how.change(film.radiograph, film.places, generator)) is not None:
            usable.append(i)
            changed.append(other)
            lungs.append(film.lungs if how.same_place else None)
    if usable:
        guarded = name in GUARDED
        scores[usable] = subject.guarded(changed) if guarded else subject.look(changed, lungs).score
    return scores


def seed_of(seed: int, case_id: str) -> tuple[int, int]:
    """Return the seed of one film's random numbers: the same in every sample and order."""
    return seed, zlib.crc32(case_id.encode())


def _row(film: _Film, label: str, plain: Look, i: int) -> dict[str, Any]:
    score = float(plain.score[i])
    chance = score if plain.probability is None else float(plain.probability[i])
    return {
        **film.case,
        "label": label,
        "truth": float(film.case[label]),
        "score": score,
        "probability": chance,
        **film.nuisance,
    }


def _in_lungs(film: _Film, plain: Look, i: int) -> tuple[float, float]:
    """Share of the evidence for the label in the lungs, and their share of where it could lie."""
    if (mask := film.places.lungs) is None:
        return float("nan"), float("nan")
    if plain.evidence is None:
        return float("nan"), float(mask.mean())
    looked = np.isfinite(plain.evidence[i])
    speaks_for = np.clip(np.where(looked, plain.evidence[i], 0), 0, None)
    total = float(speaks_for.sum())
    share = float(speaks_for[mask].sum()) / total if total > 0 else float("nan")
    return share, float((mask & looked).sum() / max(int(looked.sum()), 1))


SIDE = 220
QUALITY = 88
"""Of a picture's JPEG."""
_CONTOUR = (0, 158, 115)  # RGB: bluish green of the palette of Okabe and Ito


def example_of(
    film: Radiograph,
    lungs: Lungs | None,
    places: Places,
    score: float,
    scores: Mapping[str, float],
    heatmap: NDArray[np.float32] | None,
    *,
    title: str,
    threshold: float | None,
    seed: tuple[int, int],
) -> AuditExample:
    """Draw a film as it is, with its evidence and lungs, and as each perturbation made it."""
    pictures = [ShownFilm(_jpeg(film), f"as it is: {_said(score, threshold)}")]
    if heatmap is not None or lungs is not None:
        pictures.append(ShownFilm(_overlaid(film, lungs, heatmap), _legend(lungs, heatmap)))
    for name, value in scores.items():
        how = PERTURBATIONS[name]
        changed = how.change(film, places, np.random.default_rng(seed))
        if changed is not None:
            pictures.append(ShownFilm(_jpeg(changed), f"{how.title}: {_said(value, threshold)}"))
    return AuditExample(title, tuple(pictures))


def _said(score: float, threshold: float | None) -> str:
    if math.isnan(score):
        return "refused"
    if threshold is None:
        return f"score {score:.2f}"
    return f"score {score:.2f}, {'called' if score >= threshold else 'not called'}"


def _legend(lungs: Lungs | None, heatmap: NDArray[np.float32] | None) -> str:
    parts = ["evidence, orange for and blue against"] if heatmap is not None else []
    return "; ".join([*parts, *(["contour of the lungs"] if lungs is not None else [])])


def _overlaid(film: Radiograph, lungs: Lungs | None, heatmap: NDArray[np.float32] | None) -> bytes:
    small = thumbnail(film.pixels, SIDE)
    height, width = small.shape
    drawn = np.repeat(np.rint(small * 255).astype(np.uint8)[..., None], 3, axis=2)
    if heatmap is not None:
        shrunk = cv2.resize(heatmap, (width, height), interpolation=cv2.INTER_LINEAR)
        drawn = overlay(small, np.asarray(shrunk, np.float32), limit_of(heatmap))
    if lungs is not None:
        mask = lungs.on_film((height, width)).astype(np.uint8)
        outlines, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
        cv2.drawContours(drawn, outlines, -1, _CONTOUR, 1, cv2.LINE_AA)
    return jpeg(drawn, QUALITY)


def _jpeg(film: Radiograph) -> bytes:
    return jpeg(thumbnail(film.pixels, SIDE), QUALITY)


@dataclass(frozen=True, slots=True)
class GivenScores:
    """Scores by film.

    Attributes:
        scores: index case_id; columns ``score`` and, if known, ``probability``.
        name: of the model.
    """

    scores: pd.DataFrame
    name: str

    @classmethod
    def of(cls, table: pd.DataFrame, label: str, name: str) -> Self:
        """Take the rows of ``label`` (all, without a column ``label``).

        Raises:
            CohortError: no column case_id or score, or a film twice.
            ConfigError: a score outside [0, 1].
        """
        for column in ("case_id", "score"):
            if column not in table:
                raise CohortError(
                    f"{name}: no column '{column}'; expected case_id and score",
                    hint=did_you_mean(column, [str(each) for each in table.columns]),
                )
        rows = table[table["label"].astype(str) == label] if "label" in table else table
        rows = rows.assign(case_id=rows["case_id"].astype(str)).set_index("case_id")
        if rows.index.has_duplicates:
            twice = rows.index[rows.index.duplicated()][0]
            raise CohortError(f"{name}: {twice} stands twice", hint="one row per film and label")
        score = pd.to_numeric(rows["score"], errors="coerce")
        checked(score.to_numpy(), len(rows), name)
        chance = pd.to_numeric(rows["probability"], errors="coerce") if "probability" in rows else score  # noqa: E501 # fmt: skip
        return cls(pd.DataFrame({"score": score, "probability": chance}), name)


def measure_given(
    given: GivenScores, cases: pd.DataFrame, label: str, *, progress: bool = False
) -> MeasuredFilms:
    """Join scores to films by ``case_id``, and measure the nuisance numbers of films that open.

    Raises:
        CohortError: no film of the table has a score.
    """
    found = MeasuredFilms()
    scored = cases[cases["case_id"].isin(given.scores.index[given.scores["score"].notna()])]
    if scored.empty:
        raise CohortError(
            f"{given.name}: none of its films is in the cases table; e.g. "
            f"'{next(iter(given.scores.index), '')}' against '{cases['case_id'].iloc[0]}'",
            hint="both must name films by the same case_id",
        )
    without = cases[~cases["case_id"].isin(scored["case_id"])]
    found.not_read += [_unscored(case) for case in without.to_dict("records")]
    records: list[dict[Any, Any]] = scored.to_dict("records")
    measured = prefetch(_nuisance, records, workers=cores(), ahead=2 * BATCH)
    rows = zip(records, watched(measured, len(records), "auditing", shown=progress), strict=True)
    for case, nuisance in rows:
        line = given.scores.loc[case["case_id"]]
        found.rows.append(
            {**case, "label": label, "truth": float(case[label]), **line.to_dict(), **nuisance}
        )
    return found


def _unscored(case: dict[Any, Any]) -> NotRead:
    return without_reading(case, Status.REFUSED, "the model gave no score")


def _nuisance(case: dict[str, Any]) -> dict[str, float]:
    try:
        measured = nuisance_features(open_radiograph(case["path"]))
    except ImageError:
        return {}
    return {f"{NUISANCE_PREFIX}{name}": value for name, value in measured.items()}
