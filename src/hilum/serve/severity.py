"""Severity: features of films through a reader, and fits on their way into a bundle."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hilum.bundle.lungs import LUNGS
from hilum.bundle.manifest import MODEL
from hilum.bundle.onepass import AnyOpacities
from hilum.bundle.opacities import OPACITIES
from hilum.bundle.severity import SeverityModel, shorten
from hilum.core.details import Scale
from hilum.core.files import sha256_of
from hilum.core.machine import cores
from hilum.core.prefetch import prefetch, watched
from hilum.data.fingerprint import look
from hilum.image.severity import CLASSIFIER, Numbers, severity_features
from hilum.judge.severity import LinearMap
from hilum.serve.film import OpenedFilm
from hilum.serve.reader import Reader


@dataclass(frozen=True, slots=True)
class SeverityFeatures:
    """Features of films, by ``case_id``.

    Attributes:
        features: of each film that was read.
        not_read: of each other one, why.
        copies: those that are copies of films that the bundle was trained on.
    """

    features: dict[str, dict[str, Numbers]] = field(default_factory=dict)
    not_read: dict[str, str] = field(default_factory=dict)
    copies: list[str] = field(default_factory=list)

    def blocks(self, names: list[str]) -> tuple[list[str], dict[str, NDArray[np.float64]]]:
        """Stack the films that have every one of the groups ``names``.

        Returns:
            Their case_ids, and group -> float64 (N, F) in that order.
        """
        ids = [each for each, groups in self.features.items() if set(names) <= set(groups)]
        return ids, {
            name: np.array([self.features[each][name] for each in ids], np.float64)
            for name in names
        }


def film_features(
    reader: Reader,
    film: OpenedFilm,
    opacities: AnyOpacities | None,
) -> dict[str, Numbers]:
    """Return the feature groups of a film that was opened with ``keep=True`` and not refused.

    Args:
        reader: of the bundle.
        film: the film.
        opacities: opacity network; None leaves that group out.
    """
    if film.inputs is None or film.radiograph is None:
        return {}
    inputs = film.inputs[None]
    logits, embedding = reader.run(inputs)[0], reader.embed(inputs)
    found = None
    if opacities is not None and film.lungs is not None:
        found = opacities.segment(film.radiograph, film.lungs)
    return severity_features(
        None if embedding is None else embedding[0],
        logits[0],
        film.lungs,
        found,
        film.radiograph,
    )


def gather_features(
    reader: Reader,
    films: Mapping[str, Path],
    opacities: AnyOpacities | None = None,
    *,
    progress: bool = True,
) -> SeverityFeatures:
    """Open films as ``Reader.read`` does and gather the features of those that it would read.

    Args:
        reader: of the bundle.
        films: case_id -> file.
        opacities: opacity network; None leaves that group out.
        progress: show a bar on stderr.
    """

    def gather(path: Path) -> tuple[dict[str, Numbers], str, str]:
        film = reader.open(path, keep=True)
        features = film_features(reader, film, opacities)
        if not features or film.radiograph is None:
            return {}, film.reason, ""
        seen = look(film.radiograph.pixels)
        return features, "", reader.copy_of(features.get(CLASSIFIER), seen)

    gathered = SeverityFeatures()
    results = prefetch(gather, films.values(), workers=cores(), ahead=2 * cores())
    pairs = zip(films, results, strict=True)
    for case_id, (features, reason, original) in watched(pairs, len(films), shown=progress):
        if features:
            gathered.features[case_id] = features
            if original:
                gathered.copies.append(case_id)
        else:
            gathered.not_read[case_id] = reason
    return gathered


def pack_model(
    scale: Scale,
    fitted: LinearMap,
    column: int,
    *,
    half_width: float,
    coverage: float,
    films: int,
    patients: int,
    fitted_on: str,
) -> SeverityModel:
    """Turn one column of a fit into what ``severity.json`` holds."""
    weights = {name: shorten(each[:, column]) for name, each in fitted.coefficients.items()}
    return SeverityModel(
        scale=scale,
        intercept=float(fitted.intercepts[column]),
        weights=weights,
        half_width=half_width,
        coverage=coverage,
        films=films,
        patients=patients,
        fitted_on=fitted_on,
    )


def networks_of(reader: Reader, opacities: AnyOpacities | None) -> dict[str, str]:
    """Return the SHA-256 of every network whose output the features are, each once."""
    model = sha256_of(reader.bundle.model)
    sums = {LUNGS: reader.segmenter, OPACITIES: opacities}
    others = {name: one.checksum for name, one in sums.items() if one is not None}
    return {MODEL: model} | {name: one for name, one in others.items() if one != model}
