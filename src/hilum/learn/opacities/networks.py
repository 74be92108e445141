"""Two networks that find opacities: the second paper's, made fully convolutional, and a U-Net."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from hilum.image.opacities import KINDS
from hilum.learn.networks.unet import Lite0UNet
from hilum.learn.networks.usatov_kosik_2021 import MAP_LAYER, build_usatov_kosik_2021


class FullyConvolutional(nn.Module):
    """The ELU convolutions of Usatov and Kosik (2021) with a map instead of the dense head.

    The paper names semantic segmentation by a fully convolutional network as its next step. Up to
    layer 19, from which it reads its brightness map, the layers are its own; a 1x1 convolution
    turns their 64 maps at an eighth of the side into logits, brought back to full size by bilinear
    interpolation (Long, Shelhamer and Darrell, CVPR 2015). Starts from random weights.

    Args:
        size: S, side of the square input, in pixels; a multiple of 16.
    """

    def __init__(self, size: int) -> None:
        super().__init__()
        whole = build_usatov_kosik_2021(labels=1, channels=1, size=size)
        self.layers = whole.layers[:MAP_LAYER]
        self.head = nn.Conv2d(64, len(KINDS), kernel_size=1)

    def forward(self, films: Tensor) -> Tensor:
        """Read standardised films, float (N, 1, S, S): logits (N, K, S, S)."""
        maps = self.head(self.layers(films))
        return functional.interpolate(maps, scale_factor=8.0, mode="bilinear")


class OpacityUNet(Lite0UNet):
    """The U-Net of the lungs, with one map a kind of opacity.

    Args:
        size: S, side of the square input, in pixels; a multiple of 16.
        pretrained: start from the ImageNet weights of the package.
        frozen_blocks: the stem and so many blocks keep those weights; 0 for none.
    """

    def __init__(self, size: int, *, pretrained: bool = True, frozen_blocks: int = 3) -> None:
        super().__init__(size, len(KINDS), pretrained=pretrained)
        self._frozen_blocks = frozen_blocks
        self.freeze(frozen_blocks)

    def train(self, mode: bool = True) -> OpacityUNet:
        """Switch to training; what is frozen keeps its running statistics."""
        super().train(mode)
        return self.freeze(self._frozen_blocks)

    def forward(self, films: Tensor) -> Tensor:
        """Read standardised films, float (N, 1, S, S): logits (N, K, S, S)."""
        return self.segment(films)[0]


def build(name: str, size: int) -> nn.Module:
    """Build a network by its name in ``NETWORKS``."""
    return NETWORKS[name](size)


NETWORKS: dict[str, type[nn.Module]] = {
    "fully-convolutional": FullyConvolutional,
    "u-net": OpacityUNet,
}
