"""One pass: lungs, opacities and answers of a film from one network, in one inference.

A bundle whose manifest says ``maps`` carries neither ``lungs.onnx`` nor ``opacities.onnx``: its
``model.onnx`` also gives "maps" (N, 4, h, w), the logits of the right lung, the left lung, opacity,
and consolidation given opacity. The gate judges by its "embedding".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hilum.bundle.folder import manifest_of
from hilum.bundle.lungs import LungSegmenter, lungs_on
from hilum.bundle.manifest import MANIFEST, MODEL
from hilum.bundle.onnx import Graph
from hilum.bundle.opacities import (
    OPACITIES,
    OPACITIES_SPEC,
    OpacitySegmenter,
    OpacitySpec,
    nothing_opaque,
    place_scores,
    read_spec,
    sigmoid,
)
from hilum.core.files import sha256_of
from hilum.core.labels import Label
from hilum.core.radiograph import Pixels, Radiograph
from hilum.image.lungs import Lungs
from hilum.image.opacities import Opacities
from hilum.image.preprocess import Preprocess

_OPACITY, _CONSOLIDATION = 2, 3


@dataclass(frozen=True)
class SeenLungs(Lungs):
    """Lungs, with all that the one network said of their film.

    Attributes:
        inputs: float32 (C, S, S), what the network saw.
        outputs: its other outputs by name, without the batch.
    """

    inputs: NDArray[np.float32]
    outputs: dict[str, NDArray[np.float32]]


class OnePass:
    """Sees films with a bundle's one network; safe to share between threads.

    Args:
        root: folder of a bundle whose manifest says ``maps``.
        threads: CPU threads of one inference; None for every core.

    Attributes:
        preprocess: of the bundle.
        checksum: SHA-256 of ``model.onnx``.
        graph: that file, loaded.
    """

    def __init__(self, root: Path, threads: int | None = None) -> None:
        self.preprocess: Preprocess = manifest_of(root).preprocess
        self.checksum = sha256_of(root / MODEL)
        self.graph = Graph(root / MODEL, threads)

    def segment(self, radiograph: Radiograph) -> SeenLungs:
        """Return the lungs of one film, with all that was said of it."""
        return self.segment_squares([self.preprocess.square(radiograph)])[0]

    def segment_squares(self, squares: Sequence[Pixels]) -> list[SeenLungs]:
        """Return the lungs of films that went through ``preprocess.square``, in one inference."""
        if not squares:
            return []
        films = [self.preprocess.standardise(square) for square in squares]
        inputs = np.stack(films) if len(films) > 1 else films[0][None]
        names = list(self.graph.outputs)
        rows = zip(*self.graph.run(inputs, names), strict=True)
        outputs = [dict(zip(names, row, strict=True)) for row in rows]
        return [
            SeenLungs(lungs_on(one["maps"]), one["embedding"], film, one)
            for film, one in zip(inputs, outputs, strict=True)
        ]


Segmenter = LungSegmenter | OnePass
"""What finds the lungs of a film."""


def open_segmenter(root: Path) -> Segmenter:
    """Open what finds lungs for the bundle in a folder, for one thread.

    For films of another bundle, ``LungSegmenter`` finds them with either kind of network.

    Raises:
        BundleError: no lung network there, or it does not load.
    """
    one = (root / MANIFEST).is_file() and manifest_of(root).maps
    return OnePass(root, threads=1) if one else LungSegmenter(root, threads=1)


class MapOpacities:
    """Finds opacities on the maps of a bundle's one network; safe to share between threads.

    Args:
        root: folder of a bundle whose manifest says ``maps``.
        threads: CPU threads of one inference; None for every core.

    Attributes:
        spec: what ``opacities.json`` holds.
        checksum: SHA-256 of ``model.onnx``.
    """

    def __init__(self, root: Path, threads: int | None = 1) -> None:
        self.spec: OpacitySpec = read_spec(root / OPACITIES_SPEC)
        self._root, self._threads = root, threads
        labels = [output.label for output in manifest_of(root).labels]
        said = Label.LUNG_OPACITY in labels
        self._answer = labels.index(Label.LUNG_OPACITY) if said else None
        self.checksum = sha256_of(root / MODEL)

    def segment(self, radiograph: Radiograph, lungs: Lungs) -> Opacities:
        """Return the opacities of one film.

        Args:
            radiograph: the opened film.
            lungs: of that film. Those of ``OnePass`` carry what the network said; for others, as
                lungs drawn by hand, it looks once more.
        """
        if not lungs.parts:
            return nothing_opaque(self.spec, lungs)
        seen = lungs if isinstance(lungs, SeenLungs) else self._look(radiograph)
        scores = scores_on(seen.outputs["maps"], self.spec.preprocess, lungs)
        return self.spec.opacities(scores, lungs.mask, self._chance(seen))

    def _chance(self, seen: SeenLungs) -> float:
        """Return the film's answer to whether it shows any opacity."""
        if self._answer is None:
            return 1.0
        return float(sigmoid(seen.outputs["logits"][self._answer]))

    def _look(self, radiograph: Radiograph) -> SeenLungs:
        return self._network.segment(radiograph)

    @cached_property
    def _network(self) -> OnePass:
        return OnePass(self._root, self._threads)


def open_map_opacities(root: Path, threads: int | None = 1) -> MapOpacities | None:
    """Return the opacities of a bundle of one network; None where that has no ``opacities.json``.

    Raises:
        BundleError: the file cannot be read.
    """
    if (root / OPACITIES).exists() or not (root / OPACITIES_SPEC).is_file():
        return None
    one = (root / MANIFEST).is_file() and manifest_of(root).maps
    return MapOpacities(root, threads) if one else None


AnyOpacities = OpacitySegmenter | MapOpacities
"""What finds the opacities of a film."""


def scores_on(
    maps: NDArray[np.float32], preprocess: Preprocess, lungs: Lungs
) -> NDArray[np.float32]:
    """Return the scores of opacities on "maps" (4, h, w) of one film, where its lungs lie.

    Returns:
        float32 (K, S, S) in [0, 1], one map a kind; 0 outside the lungs.
    """
    chances = sigmoid(maps[[_OPACITY, _CONSOLIDATION]])
    chance, dense = place_scores(chances, preprocess, lungs)
    # a pixel is of the likelier kind, with all of its chance to be opaque; told apart after
    # enlarging, so that nothing is lost where the kinds meet
    return np.stack([np.where(dense < 0.5, chance, 0), np.where(dense < 0.5, 0, chance)])
