"""abdelhady-2020: the small convolutional network of the first founding paper.

The paper gives two 3x3 convolutions of 32 channels with ReLU, each followed by 2x2 max pooling,
a flattening, a dense layer of 256 with ReLU, and a dense layer of 1 with a sigmoid. It states
neither padding nor initialisation; both are those of Keras, in which it was built: no padding
("valid"), Glorot uniform weights and zero biases. The sigmoid lives in the loss.

ReLU and max pooling are monotone, so they commute: here the pooling comes first, which gives the
same values and gradients and saves a third of the time, since ReLU then sees a quarter of the map.
"""

from __future__ import annotations

from typing import Literal

from torch import Tensor, nn

from hilum.learn.networks.output import NetworkOutput


class Abdelhady2020(nn.Module):
    """The published network; it keeps its published head, so it has no evidence.

    Args:
        labels: L, the number of logits (1 in the paper).
        channels: C of the input (3 in the customary set-up).
        size: side S of the input in pixels (64 in the customary set-up).
    """

    def __init__(self, labels: int, channels: int, size: int) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(channels, 32, kernel_size=3),
            nn.MaxPool2d(2),
            nn.ReLU(inplace=True),
            nn.Conv2d(32, 32, kernel_size=3),
            nn.MaxPool2d(2),
            nn.ReLU(inplace=True),
        )
        side = ((size - 2) // 2 - 2) // 2
        self.head = nn.Sequential(
            nn.Flatten(),
            nn.Linear(32 * side * side, 256),
            nn.ReLU(),
            nn.Linear(256, labels),
        )
        self.apply(_initialise_as_keras)

    def forward(self, films: Tensor) -> NetworkOutput:
        """Read films, float (N, C, S, S): logits (N, L)."""
        return NetworkOutput(self.head(self.features(films)), None)


def build_abdelhady_2020(*, labels: int, channels: Literal[1, 3], size: int) -> Abdelhady2020:
    """Build the network of Abdelhady (2020); see ``Abdelhady2020``."""
    return Abdelhady2020(labels, channels, size)


def _initialise_as_keras(module: nn.Module) -> None:
    if isinstance(module, nn.Conv2d | nn.Linear):
        nn.init.xavier_uniform_(module.weight)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
