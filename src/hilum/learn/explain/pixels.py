"""Maps of single pixels: gradients of a logit with respect to the film, by Captum."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor

from hilum.core.config import Config
from hilum.learn.explain.cams import Logits
from hilum.learn.explain.graph import OnnxModule

Map = NDArray[np.float32]


class PixelSettings(Config):
    """How pixel maps are made.

    Attributes:
        steps: of integrated gradients, from black to the film.
        copies: of smooth-grad.
        noise: standard deviation of its noise, as a share of the film's range of grey.
        seed: of that noise.
        at_a_time: films in one pass; more take more memory and no less time.
    """

    steps: int = Field(default=16, ge=2)
    copies: int = Field(default=8, ge=1)
    noise: float = Field(default=0.1, gt=0)
    seed: int = 0
    at_a_time: int = Field(default=8, ge=1)


def integrated_gradients(
    module: OnnxModule, film: Tensor, place: int, black: float, settings: PixelSettings
) -> Map:
    """Integrated gradients (Sundararajan et al., ICML 2017), from a black film.

    Args:
        module: the network.
        film: float (1, C, S, S).
        place: of the label among the logits.
        black: what a black pixel is after standardisation.
        settings: number of steps.

    Returns:
        float32 (S, S), summed over channels, times S * S: the *mean* over the map is the logit of
        the film minus that of a black one, to the error of the steps. Exactly 0 where the film is
        black, so nothing can be said of black borders.
    """
    from captum.attr import IntegratedGradients  # type: ignore[import-untyped]

    found: Tensor = IntegratedGradients(Logits(module)).attribute(
        film,
        baselines=black,
        target=place,
        n_steps=settings.steps,
        internal_batch_size=settings.at_a_time,
    )
    return _as_map(found[0].sum(0) * found[0, 0].numel())


def smooth_grad(module: OnnxModule, film: Tensor, place: int, settings: PixelSettings) -> Map:
    """SmoothGrad (Smilkov et al., 2017): mean size of the gradient over noisy copies of a film.

    Returns:
        float32 (S, S), at least 0: summed over channels, times S * S, so that the mean over the
        map is the change of the logit should every pixel change by one unit against its sign.
    """
    from captum.attr import NoiseTunnel, Saliency

    spread = float(film.max() - film.min())
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        found: Tensor = NoiseTunnel(Saliency(Logits(module))).attribute(
            film,
            nt_type="smoothgrad",
            nt_samples=settings.copies,
            nt_samples_batch_size=settings.at_a_time,
            stdevs=settings.noise * spread,
            target=place,
        )
    return _as_map(found[0].sum(0) * found[0, 0].numel())


def _as_map(values: Tensor) -> Map:
    return np.asarray(values.detach().numpy(), np.float32)
