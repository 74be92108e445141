"""Maps of the papers' networks: where their answers come from, read from the last feature map.

The second paper shows brightness after layer 19 and the same smoothed, and proposes activations
weighted by the dense layers that follow. Grad-CAM stands beside them for comparison. A network is
given in two parts: up to that feature map, ``A`` (K, h, w), and what follows.
"""

from __future__ import annotations

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

Map = NDArray[np.float32]

BENDS = (nn.ELU, nn.ReLU)
"""Activations of both papers' networks."""


def brightness(front: nn.Module, film: Tensor) -> Map:
    """Cumulative intensity (Usatov and Kosik 2021): the sum of the activations over the channels.

    Args:
        front: the network up to the feature map.
        film: float32 (1, C, S, S), standardised.

    Returns:
        float32 (h, w), the same for every label; negative where ELU's negative activations
        prevail.
    """
    with torch.inference_mode():
        return np.asarray(front(film)[0].sum(0).float().numpy(), np.float32)


def weighted(front: nn.Module, back: nn.Sequential, film: Tensor, place: int = 0) -> Map:
    """Activations weighted by the dense layers that follow, which that paper proposes.

    Two dense layers with weights U and V give each activation the weight V U of the label, if the
    bend between them is left out.

    Args:
        front: the network up to the feature map.
        back: what follows.
        film: float32 (1, C, S, S), standardised.
        place: of the label among the logits.

    Returns:
        float32 (h, w), of both signs. Its sum and what the biases give is the logit of the network
        without bends after the feature map.
    """
    straight = nn.Sequential(*(layer for layer in back if not isinstance(layer, BENDS)))
    activations, gradient = _gradient(front, straight, film, place)
    return np.asarray((gradient * activations).sum(0).numpy(), np.float32)


def grad_cam(front: nn.Module, back: nn.Module, film: Tensor, place: int = 0) -> Map:
    """Grad-CAM (Selvaraju et al., ICCV 2017): max(sum_k mean(g_k) A_k, 0), g the gradient.

    Args:
        front: the network up to the feature map.
        back: what follows.
        film: float32 (1, C, S, S), standardised.
        place: of the label among the logits.

    Returns:
        float32 (h, w), at least 0, without a unit.
    """
    activations, gradient = _gradient(front, back, film, place)
    heat = (gradient.mean((1, 2), keepdim=True) * activations).sum(0).clamp(min=0)
    return np.asarray(heat.numpy(), np.float32)


def smooth(heat: Map, shape: tuple[int, int]) -> Map:
    """Bring a map to the size of its film, and smooth it, as the second paper shows it.

    Args:
        heat: float32 (h, w) over the whole film.
        shape: (height, width) of the film in pixels.

    Returns:
        float32 (height, width): bicubic, then a Gaussian of half a cell of the map.
    """
    height, width = shape
    large = cv2.resize(heat, (width, height), interpolation=cv2.INTER_CUBIC)
    down, across = height / heat.shape[0], width / heat.shape[1]
    blurred = cv2.GaussianBlur(large, (0, 0), sigmaX=across / 2, sigmaY=down / 2)
    return np.asarray(blurred, np.float32)


def _gradient(front: nn.Module, back: nn.Module, film: Tensor, place: int) -> tuple[Tensor, Tensor]:
    """Return the feature map (K, h, w) and the gradient of a logit there."""
    with torch.no_grad():
        activations: Tensor = front(film)
    activations.requires_grad_()
    with torch.enable_grad():
        (gradient,) = torch.autograd.grad(back(activations)[0, place], activations)
    return activations[0].detach(), gradient[0]
