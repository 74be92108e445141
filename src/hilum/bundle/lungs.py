"""The lung network of a bundle: from a film to its lungs.

NAME/lungs.onnx   "image" (N, C, S, S) -> "lungs" (N, 1, S, S), logits; "embedding" (N, E); float32
NAME/lungs.json   its preprocessing, and how it was made and measured

The network of a bundle of one pass ("maps" (N, 4, h, w), see ``hilum.bundle.onepass``) finds lungs
as well: for its own bundle, and as the ``lungs.onnx`` of another.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from hilum.bundle.folder import DEFAULT_BUNDLE, manifest_of
from hilum.bundle.manifest import MANIFEST, MODEL
from hilum.bundle.onnx import Graph
from hilum.core.config import Config, validated
from hilum.core.errors import BundleError
from hilum.core.files import sha256_of, write_text
from hilum.core.radiograph import Pixels, Radiograph
from hilum.image.lungs import Lungs
from hilum.image.preprocess import Preprocess

LUNGS = "lungs.onnx"
LUNGS_SPEC = "lungs.json"
MAPS = "maps"
_SIDE = 256
"""Of the mask that is made of maps."""


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
        checksum: SHA-256 of the network.

    Raises:
        BundleError: no lung network there, or it does not load.
    """

    def __init__(self, root: Path | None = None, threads: int | None = None) -> None:
        network, self.spec = _network_of(root or DEFAULT_BUNDLE)
        self.preprocess = self.spec.preprocess
        self.checksum = sha256_of(network)
        self._graph = Graph(network, threads)

    def segment(self, radiograph: Radiograph) -> Lungs:
        """Return the lungs of one film."""
        return self.segment_squares([self.preprocess.square(radiograph)])[0]

    def segment_squares(self, squares: Sequence[Pixels]) -> list[Lungs]:
        """Return the lungs of films that went through ``preprocess.square``, in one inference."""
        if not squares:
            return []
        masks, embedding = self.run(
            np.stack([self.preprocess.standardise(square) for square in squares])
        )
        return [Lungs(mask, vector) for mask, vector in zip(masks, embedding, strict=True)]

    def run(self, inputs: NDArray[np.float32]) -> tuple[NDArray[np.bool_], NDArray[np.float32]]:
        """Run the network alone.

        Args:
            inputs: float32 (N, C, S, S), through ``preprocess``.

        Returns:
            bool (N, S, S), or (N, 256, 256) from maps, inside a lung; embedding float32 (N, E).
        """
        if MAPS in self._graph.outputs:
            maps, embedding = self._graph.run(inputs, [MAPS, "embedding"])
            return np.stack([lungs_on(one) for one in maps]), embedding
        logits, embedding = self._graph.run(inputs, ["lungs", "embedding"])
        return logits[:, 0] > 0, embedding


def lungs_on(maps: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Return the lungs on "maps" (4, h, w) of one film: bool (256, 256), the film as a square."""
    either = np.maximum(maps[0], maps[1])
    smooth = cv2.resize(either, (_SIDE, _SIDE), interpolation=cv2.INTER_LINEAR)
    return np.asarray(smooth > 0)


def copy_lungs(source: Path, target: Path) -> None:
    """Give one bundle, not yet sealed, the lung network of another.

    Raises:
        BundleError: that has none.
    """
    network, spec = _network_of(source)
    shutil.copyfile(network, target / LUNGS)
    write_text(target / LUNGS_SPEC, spec.model_dump_json(indent=2) + "\n")


def _network_of(root: Path) -> tuple[Path, LungSpec]:
    """Return the file of what finds lungs in a folder, and what is known of it."""
    if not (root / LUNGS).is_file() and (root / MANIFEST).is_file():
        manifest = manifest_of(root)
        if manifest.maps:
            made = {"bundle": f"{manifest.name} {manifest.version}"}
            return root / MODEL, LungSpec(preprocess=manifest.preprocess, made=made)
    return root / LUNGS, _spec(root / LUNGS_SPEC)


def _spec(path: Path) -> LungSpec:
    if not path.is_file():
        raise BundleError(
            f"{path.parent}: no lung network here ({path.name} is missing)",
            hint="bundles made before Hilum 0.2 have none; pack it again with 'hilum train'",
        )
    changed = "the file was changed; pack it again"
    return validated(LungSpec, path.read_bytes(), BundleError, changed, where=str(path))
