"""The methods that need gradients or layers, by name."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import import_module

import numpy as np
import torch
from numpy.typing import NDArray

from hilum.core.maps import METHODS
from hilum.learn.explain import cams
from hilum.learn.explain.graph import OnnxModule
from hilum.learn.explain.layers import LAST, Layer, choose_layer
from hilum.learn.explain.pixels import PixelSettings, integrated_gradients, smooth_grad
from hilum.learn.explain.smoothing import smooth

Map = NDArray[np.float32]


@dataclass
class Subject:
    """What is explained, and how.

    Attributes:
        module: the network.
        black: what a black pixel is after standardisation.
        layer: where layered methods look; see ``choose_layer``.
        settings: of the pixel maps.
    """

    module: OnnxModule
    black: float
    layer: str = LAST
    settings: PixelSettings = field(default_factory=PixelSettings)
    _chosen: Layer | None = None

    def explain(self, method: str, film: NDArray[np.float32], place: int) -> Map:
        """Make one map.

        Args:
            method: a key of ``TORCH_METHODS``.
            film: float32 (C, S, S), standardised.
            place: of the label among the logits.

        Returns:
            float32 (h, w) over the network's input.

        Raises:
            ConfigError: there is no such layer.
        """
        with _quiet():
            return TORCH_METHODS[method](self, torch.from_numpy(film)[None], place)

    def prepare(self, method: str, film: NDArray[np.float32]) -> None:
        """Load the library of a method and find the layer, so that neither counts as its time."""
        if method in _LIBRARIES:
            import_module(_LIBRARIES[method])
        if METHODS[method].layered:
            self.chosen(torch.from_numpy(film)[None])

    def chosen(self, film: torch.Tensor) -> Layer:
        """Find the layer that ``layer`` names, once."""
        if self._chosen is None:
            self._chosen = choose_layer(self.module, film, self.layer)
        return self._chosen


def _layered(
    method: Callable[[OnnxModule, Layer, torch.Tensor, int], Map],
) -> Callable[[Subject, torch.Tensor, int], Map]:
    def run(subject: Subject, film: torch.Tensor, place: int) -> Map:
        return method(subject.module, subject.chosen(film), film, place)

    return run


def _integrated(subject: Subject, film: torch.Tensor, place: int) -> Map:
    return integrated_gradients(subject.module, film, place, subject.black, subject.settings)


def _smooth_grad(subject: Subject, film: torch.Tensor, place: int) -> Map:
    return smooth_grad(subject.module, film, place, subject.settings)


def _smoothed_brightness(subject: Subject, film: torch.Tensor, place: int) -> Map:
    side = film.shape[-1]
    return smooth(_layered(cams.brightness)(subject, film, place), (side, side))


TORCH_METHODS: dict[str, Callable[[Subject, torch.Tensor, int], Map]] = {
    "grad-cam": _layered(cams.grad_cam),
    "grad-cam++": _layered(cams.grad_cam_plus_plus),
    "hirescam": _layered(cams.hirescam),
    "layer-cam": _layered(cams.layer_cam),
    "integrated-gradients": _integrated,
    "smooth-grad": _smooth_grad,
    "brightness": _layered(cams.brightness),
    "brightness-smoothed": _smoothed_brightness,
    "dense-weighted": _layered(cams.dense_weighted),
}
"""Name -> from (subject, film (1, C, S, S), place of the label) to a map."""


_LIBRARIES = {
    "grad-cam": "captum.attr",
    "grad-cam++": "monai.visualize",
    "hirescam": "captum.attr",
    "integrated-gradients": "captum.attr",
    "smooth-grad": "captum.attr",
}


@contextmanager
def _quiet() -> Iterator[None]:
    """Hide what Captum says of inputs that get gradients for the first time."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*required_grads.*")
        warnings.filterwarnings("ignore", message=".*backward hook.*")
        yield
