"""LungNetwork: the U-Net that finds the lungs of a film."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from hilum.learn.networks.unet import TAKEN, Lite0UNet

EMBEDDING = 2 * TAKEN[10]
"""Length of the embedding: mean and maximum of the deepest features."""


class LungOutput(NamedTuple):
    """A batch of films segmented.

    Attributes:
        lungs: float (N, 1, S, S), logits; a pixel belongs to a lung where they are > 0.
        embedding: float (N, 224), what the film as a whole looks like; the gate reads it.
    """

    lungs: Tensor
    embedding: Tensor


class LungNetwork(Lite0UNet):
    """Segments the lungs of a film.

    Args:
        size: S, side of the square input, in pixels; a multiple of 16.
        pretrained: start from the ImageNet weights of the package.
    """

    def __init__(self, size: int, *, pretrained: bool = True) -> None:
        super().__init__(size, 1, pretrained=pretrained)

    def forward(self, films: Tensor) -> LungOutput:
        """Segment standardised films, float (N, 1, S, S)."""
        lungs, deepest = self.segment(films)
        embedding = torch.cat([deepest.mean((2, 3)), deepest.amax((2, 3))], dim=1)
        return LungOutput(lungs, embedding)
