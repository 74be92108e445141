"""The severity models of a bundle: from features of a film to research scores.

NAME/severity.json   linear maps of feature groups, their intervals, how they were made and measured

Evaluated with NumPy alone. One scale may have several models: with and without the features of an
opacity network. The first whose groups a film has answers.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from hilum.core.config import Config, validated
from hilum.core.details import Scale, Severity
from hilum.core.errors import BundleError
from hilum.core.files import write_text

SEVERITY = "severity.json"

MAXIMA: dict[Scale, float] = {Scale.EXTENT: 8.0, Scale.OPACITY: 6.0, Scale.BRIXIA: 18.0}
"""Where each scale ends; all begin at 0."""

Features = Mapping[str, NDArray[np.floating[Any]]]
Finite = Annotated[float, Field(allow_inf_nan=False)]


class SeverityModel(Config):
    """One scale from some groups of features: ``intercept + sum over groups of w @ x``, clipped.

    Attributes:
        scale: what it estimates.
        intercept: of the linear map.
        weights: group of ``hilum.image.severity.GROUPS`` -> one number a feature.
        half_width: of the interval about an estimate.
        coverage: of that interval, nominal.
        films, patients: with a readers' score that it was fitted on.
        fitted_on: those films in words.
    """

    scale: Scale
    intercept: Finite
    weights: dict[str, tuple[Finite, ...]] = Field(min_length=1)
    half_width: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    coverage: Annotated[float, Field(gt=0, lt=1)]
    films: Annotated[int, Field(ge=1)]
    patients: Annotated[int, Field(ge=1)]
    fitted_on: str

    @property
    def needs(self) -> frozenset[str]:
        """The groups of features that it looks at."""
        return frozenset(self.weights)

    def __call__(self, features: Features) -> Severity:
        """Estimate the score of one film.

        Raises:
            BundleError: a group of features is missing, of another size, or not finite.
        """
        maximum = MAXIMA[self.scale]
        value = self.intercept + sum(self._part(name, features) for name in self.weights)
        low, high = value - self.half_width, value + self.half_width
        return Severity(
            scale=self.scale,
            value=round(_clip(value, maximum), 2),
            low=round(_clip(low, maximum), 2),
            high=round(_clip(high, maximum), 2),
            coverage=self.coverage,
            maximum=maximum,
        )

    @cached_property
    def _arrays(self) -> dict[str, NDArray[np.float64]]:
        return {name: np.array(values, np.float64) for name, values in self.weights.items()}

    def _part(self, name: str, features: Features) -> float:
        expected = self._arrays[name]
        found = np.asarray(features[name], np.float64) if name in features else np.zeros(0)
        if found.shape != expected.shape or not np.isfinite(found).all():
            raise BundleError(
                f"severity: group '{name}' has shape {found.shape}; expected {expected.shape}, "
                "all finite",
                hint=f"{SEVERITY} belongs to another network; 'hilum bundle fit-severity' makes it",
            )
        return float(expected @ found)


class SeverityModels(Config):
    """What ``severity.json`` holds.

    Attributes:
        schema_version: of this format.
        models: in order of preference within a scale.
        made_for: file -> SHA-256 of the networks whose features they read.
        made: settings, command and counts of the fit.
        measured: figures of films of patients that a fit never saw.
    """

    schema_version: Literal["1"] = "1"
    models: tuple[SeverityModel, ...] = Field(min_length=1)
    made_for: dict[str, str] = Field(default_factory=dict)
    made: dict[str, Any] = Field(default_factory=dict)
    measured: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _no_model_twice(self) -> Self:
        kinds = [(model.scale, model.needs) for model in self.models]
        if len(set(kinds)) < len(kinds):
            raise ValueError("two models of one scale from the same groups")
        return self

    @property
    def needs(self) -> frozenset[str]:
        """Every group that some model looks at; a film need not have all of them."""
        return frozenset().union(*(model.needs for model in self.models))

    def estimate(self, features: Features) -> tuple[Severity, ...]:
        """Estimate every scale of one film, in the order of ``Scale``.

        Args:
            features: of ``hilum.image.severity.severity_features``.

        Returns:
            One a scale; a scale that none of its models can answer from these groups is left out.

        Raises:
            BundleError: a group is of another size than the models were fitted on.
        """
        found = set(features)
        chosen: dict[Scale, SeverityModel] = {}
        for model in self.models:
            if model.needs <= found:
                chosen.setdefault(model.scale, model)
        return tuple(chosen[scale](features) for scale in Scale if scale in chosen)

    def write(self, path: Path) -> None:
        """Write JSON, one list of weights a line."""
        write_text(path, _lines(self.model_dump(mode="json")) + "\n")


def open_severity(root: Path) -> SeverityModels | None:
    """Return the severity models of a bundle, or None where it has none.

    Raises:
        BundleError: ``severity.json`` cannot be read.
    """
    path = root / SEVERITY
    if not path.is_file():
        return None
    again = "make it again: 'hilum bundle fit-severity'"
    return validated(SeverityModels, path.read_bytes(), BundleError, again, where=str(path))


def shorten(values: NDArray[np.float64]) -> tuple[float, ...]:
    """Round to five digits: the file stays small, a score moves by less than a thousandth."""
    return tuple(float(f"{value:.5g}") for value in values)


def _clip(value: float, maximum: float) -> float:
    return min(max(value, 0.0), maximum)


def _lines(value: Any, depth: int = 0) -> str:
    """Write JSON indented, but lists of numbers on one line."""
    if isinstance(value, dict) and value:
        pad = "  " * (depth + 1)
        items = (
            f"{pad}{json.dumps(key)}: {_lines(each, depth + 1)}" for key, each in value.items()
        )
        return "{\n" + ",\n".join(items) + "\n" + "  " * depth + "}"
    if isinstance(value, list) and value and not isinstance(value[0], int | float):
        pad = "  " * (depth + 1)
        items = (pad + _lines(each, depth + 1) for each in value)
        return "[\n" + ",\n".join(items) + "\n" + "  " * depth + "]"
    return json.dumps(value, separators=(",", ":"), allow_nan=False)
