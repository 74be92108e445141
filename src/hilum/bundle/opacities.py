"""The opacity network of a bundle: from a film and its lungs to what is opaque in them.

NAME/opacities.onnx   "image" (N, C, S, S) -> "opacities" (N, K, S, S), logits; float32
NAME/opacities.json   its preprocessing, thresholds and regions, and how it was made and measured
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from hilum.bundle.onnx import Graph
from hilum.core.config import Config, validated
from hilum.core.details import Opacity
from hilum.core.errors import BundleError
from hilum.core.files import sha256_of
from hilum.core.radiograph import Radiograph
from hilum.image.boxes import BoxSettings
from hilum.image.lungs import Lungs
from hilum.image.opacities import KINDS, Opacities, Regions, find_regions
from hilum.image.preprocess import Preprocess

OPACITIES = "opacities.onnx"
OPACITIES_SPEC = "opacities.json"


class OpacitySpec(Config):
    """What ``opacities.json`` holds.

    Attributes:
        schema_version: of this format. "1" had no ``regions``, "2" no ``boxes``.
        preprocess: from a film and its lungs to the input of the network.
        thresholds: kind -> the score from which on a pixel belongs to it, in (0, 1]: outside the
            lungs every score is 0.
        regions: which regions are opacities at all; None: every pixel from its threshold on.
        boxes: how the map becomes boxes; None for the defaults.
        made: recipe, environment, command and data fingerprint of the training run.
        measured: Dice and detection on patients that the scored networks never saw.
    """

    schema_version: Literal["1", "2", "3"] = "3"
    preprocess: Preprocess
    thresholds: dict[Opacity, Annotated[float, Field(gt=0, le=1)]]
    regions: Regions | None = None
    boxes: BoxSettings | None = None
    made: dict[str, Any] = Field(default_factory=dict)
    measured: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        if set(self.thresholds) != set(KINDS):
            raise ValueError(f"thresholds of {list(self.thresholds)}; expected {list(KINDS)}")
        if self.preprocess.fit != "stretch":
            raise ValueError("preprocess.fit must be 'stretch': lungs lie on a stretched film")
        return self

    @property
    def limits(self) -> tuple[float, ...]:
        """The thresholds in the order of ``KINDS``."""
        return tuple(self.thresholds[kind] for kind in KINDS)

    def opacities(
        self, scores: NDArray[np.float32], lungs: NDArray[np.bool_], chance: float = 1.0
    ) -> Opacities:
        """Say what is opaque, by ``thresholds`` and ``regions``.

        Args:
            scores: float32 (K, S, S), of ``place``.
            lungs: bool (S, S).
            chance: that the film shows any opacity at all, in [0, 1].
        """
        rule = self.regions
        found = None if rule is None else find_regions(scores, lungs, rule)
        return Opacities(scores, self.limits, found, chance)


class OpacitySegmenter:
    """Finds opacities inside lungs; safe to share between threads.

    Args:
        root: folder of a bundle.
        threads: CPU threads of one inference; None for every core.

    Attributes:
        spec: what ``opacities.json`` holds.
        checksum: SHA-256 of ``opacities.onnx``.

    Raises:
        BundleError: no opacity network there, or it does not load.
    """

    def __init__(self, root: Path, threads: int | None = 1) -> None:
        self.spec = read_spec(root / OPACITIES_SPEC)
        self._graph = Graph(root / OPACITIES, threads)
        self.checksum = sha256_of(root / OPACITIES)

    def segment(self, radiograph: Radiograph, lungs: Lungs) -> Opacities:
        """Return the opacities of one film.

        Args:
            radiograph: the opened film.
            lungs: of that film; where none were found, nothing is opaque.
        """
        if not lungs.parts:
            return nothing_opaque(self.spec, lungs)
        logits = self.run(self.spec.preprocess(radiograph, lungs)[None])[0]
        return self.spec.opacities(place(logits, self.spec.preprocess, lungs), lungs.mask)

    def run(self, inputs: NDArray[np.float32]) -> NDArray[np.float32]:
        """Run the network alone: (N, C, S, S) through ``preprocess`` to logits (N, K, S, S)."""
        return self._graph.run(inputs, ["opacities"])[0]


def open_opacities(root: Path, threads: int | None = 1) -> OpacitySegmenter | None:
    """Return the opacity network of a bundle, or None where it has none.

    Raises:
        BundleError: one of its two files is missing, or one does not load.
    """
    if not (root / OPACITIES).exists() and not (root / OPACITIES_SPEC).exists():
        return None
    return OpacitySegmenter(root, threads)


def nothing_opaque(spec: OpacitySpec, lungs: Lungs) -> Opacities:
    """Return the opacities of a film without lungs."""
    return Opacities(np.zeros((len(KINDS), *lungs.mask.shape), np.float32), spec.limits)


def place(logits: NDArray[np.float32], preprocess: Preprocess, lungs: Lungs) -> NDArray[np.float32]:
    """Bring logits of a network's input onto the square that the lungs lie on.

    Args:
        logits: float32 (K, h, w), covering the input of the network.
        preprocess: that made the input.
        lungs: it was given.

    Returns:
        float32 (K, S, S): sigmoid(logit) inside the lungs, 0 outside.
    """
    return place_scores(sigmoid(logits), preprocess, lungs)


def sigmoid(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the chances that logits stand for."""
    return np.asarray(1 / (1 + np.exp(-np.clip(logits, -30, 30))), np.float32)


def place_scores(
    scores: NDArray[np.float32], preprocess: Preprocess, lungs: Lungs
) -> NDArray[np.float32]:
    """Do as ``place`` with scores in [0, 1]."""
    square = lungs.mask.shape
    film = [preprocess.to_film(each, square, lungs) for each in scores]
    return np.where(lungs.mask, np.nan_to_num(np.stack(film)), 0).astype(np.float32)


def read_spec(path: Path) -> OpacitySpec:
    """Read ``opacities.json``.

    Raises:
        BundleError: no such file, or it was changed.
    """
    if not path.is_file():
        raise BundleError(
            f"{path.parent}: no opacity network here ({path.name} is missing)",
            hint="'hilum train recipes/default.toml' makes a bundle that finds opacities",
        )
    changed = "the file was changed; make it again"
    return validated(OpacitySpec, path.read_bytes(), BundleError, changed, where=str(path))
