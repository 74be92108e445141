"""The lung network of a bundle: from a film to its lungs.

NAME/lungs.onnx   "image" (N, 1, S, S) -> "lungs" (N, 1, S, S), logits; "embedding" (N, E); float32
NAME/lungs.json   its preprocessing, and how it was made and measured
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, ValidationError

from hilum.bundle.folder import DEFAULT_BUNDLE
from hilum.bundle.onnx import Graph
from hilum.core.config import Config
from hilum.core.errors import BundleError
from hilum.core.files import sha256_of
from hilum.core.radiograph import Pixels, Radiograph
from hilum.image.lungs import Lungs
from hilum.image.preprocess import Preprocess

LUNGS = "lungs.onnx"
LUNGS_SPEC = "lungs.json"


class LungSpec(Config):
    """What ``lungs.json`` holds.

    Attributes:
        schema_version: of this format.
        preprocess: from a film to the input of the network.
        made: recipe, environment, command and data fingerprint of the training run.
        measured: Dice on held-out patients, per collection, with intervals.
    """

    schema_version: Literal["1"] = "1"
    preprocess: Preprocess
    made: dict[str, Any] = Field(default_factory=dict)
    measured: dict[str, Any] = Field(default_factory=dict)


class LungSegmenter:
    """Finds lungs; safe to share between threads.

    Args:
        root: folder of a bundle; None for the one inside the package.
        threads: CPU threads of one inference; None for every core.

    Attributes:
        spec: what ``lungs.json`` holds; ``preprocess`` is part of it.
        checksum: SHA-256 of ``lungs.onnx``.

    Raises:
        BundleError: no lung network there, or it does not load.
    """

    def __init__(self, root: Path | None = None, threads: int | None = None) -> None:
        root = root or DEFAULT_BUNDLE
        self.spec = _spec(root / LUNGS_SPEC)
        self.preprocess = self.spec.preprocess
        self.checksum = sha256_of(root / LUNGS)
        self._graph = Graph(root / LUNGS, threads)

    def segment(self, radiograph: Radiograph) -> Lungs:
        """Return the lungs of one film."""
        return self.segment_squares([self.preprocess.square(radiograph)])[0]

    def segment_squares(self, squares: Sequence[Pixels]) -> list[Lungs]:
        """Return the lungs of films that went through ``preprocess.square``, in one inference."""
        if not squares:
            return []
        logits, embedding = self.run(
            np.stack([self.preprocess.standardise(square) for square in squares])
        )
        pairs = zip(logits[:, 0] > 0, embedding, strict=True)
        return [Lungs(mask, vector) for mask, vector in pairs]

    def run(self, inputs: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Run the network alone.

        Args:
            inputs: float32 (N, 1, S, S), through ``preprocess``.

        Returns:
            logits float32 (N, 1, S, S), a lung where > 0; embedding float32 (N, E).
        """
        lungs, embedding = self._graph.run(inputs, ["lungs", "embedding"])
        return lungs, embedding


def _spec(path: Path) -> LungSpec:
    if not path.is_file():
        raise BundleError(
            f"{path.parent}: no lung network here ({path.name} is missing)",
            hint="bundles made before Hilum 0.2 have none; pack it again with 'hilum train'",
        )
    try:
        return LungSpec.model_validate(json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, ValidationError) as error:
        raise BundleError(
            f"{path}: {str(error).splitlines()[0]}", hint="the file was changed; pack it again"
        ) from None
