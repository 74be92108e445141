"""usatov-kosik-2021: the deep ELU network of the second founding paper.

The figure of the paper that shows the layers is not machine-readable. What the text fixes: a deep
convolutional network with ELU (compared with ReLU), 1 or 3 input channels, one output, and a
brightness map that can be read "after layer 19". The layers below are our choice, and why:

===== =================================================== ==================================
1-5   conv 16, activation, conv 16, activation, max pool    four blocks of five layers, so that
6-10  conv 32, activation, conv 32, activation, max pool    layer 19, counted from 1, is the
11-15 conv 64, activation, conv 64, activation, max pool    last activation that still has a
16-20 conv 64, activation, conv 64, activation, max pool    place: the deepest map, S/8 pixels
21-25 flatten, dropout, dense 64, activation, dense L       a dense head, as was usual
===== =================================================== ==================================

Convolutions are 3x3 with padding, pooling 2x2. There is no batch normalisation: that ELU makes it
needless is the point of ELU (Clevert et al., ICLR 2016), and with it ELU against ReLU would be no
comparison. Weights start as He normal (He et al., ICCV 2015), which suits both activations.
"""

from __future__ import annotations

from typing import Literal

from torch import Tensor, nn

from hilum.learn.networks.output import NetworkOutput

MAP_LAYER = 19
"""The layer, counted from 1, after which the paper reads its brightness map."""

_WIDTHS = (16, 32, 64, 64)
_ACTIVATIONS: dict[str, type[nn.Module]] = {"elu": nn.ELU, "relu": nn.ReLU}


class UsatovKosik2021(nn.Module):
    """Four blocks of two convolutions, then a dense head; it has no evidence.

    Args:
        labels: L, the number of logits (1 in the paper).
        channels: C of the input, 1 or 3.
        size: side S of the input in pixels.
        activation: "elu" or "relu".
        dropout: probability before the dense layer.
    """

    def __init__(
        self, labels: int, channels: int, size: int, activation: str, dropout: float
    ) -> None:
        super().__init__()
        act = _ACTIVATIONS[activation]
        layers: list[nn.Module] = []
        inputs = channels
        for width in _WIDTHS:
            layers += [nn.Conv2d(inputs, width, 3, padding=1), act()]
            layers += [nn.Conv2d(width, width, 3, padding=1), act(), nn.MaxPool2d(2)]
            inputs = width
        side = size // 2 ** len(_WIDTHS)
        layers += [nn.Flatten(), nn.Dropout(dropout), nn.Linear(inputs * side * side, 64), act()]
        layers += [nn.Linear(64, labels)]
        self.layers = nn.Sequential(*layers)
        self.apply(_initialise)

    def forward(self, films: Tensor) -> NetworkOutput:
        """Read films, float (N, C, S, S): logits (N, L)."""
        return NetworkOutput(self.layers(films), None)


def build_usatov_kosik_2021(
    *,
    labels: int,
    channels: Literal[1, 3],
    size: int,
    activation: Literal["elu", "relu"] = "elu",
    dropout: float = 0.5,
) -> UsatovKosik2021:
    """Build the network of Usatov and Kosik (2021); see ``UsatovKosik2021``."""
    return UsatovKosik2021(labels, channels, size, activation, dropout)


def _initialise(module: nn.Module) -> None:
    if isinstance(module, nn.Conv2d | nn.Linear):
        nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
        if module.bias is not None:
            nn.init.zeros_(module.bias)
