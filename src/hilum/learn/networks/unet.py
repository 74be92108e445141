"""Lite0UNet: a U-Net (Ronneberger et al., MICCAI 2015) on the front of EfficientNet-Lite0.

The encoder is the package's ImageNet network up to its last layer at a sixteenth of the side; the
decoder is MONAI's. What lies deeper would triple the size and knows nothing of edges.
"""

from __future__ import annotations

from typing import Self

from monai.networks.nets.flexible_unet import UNetDecoder
from torch import Tensor, nn
from torch.nn import functional

from hilum.learn.networks.efficientnet_lite import grey_efficientnet_lite0

TAKEN = {0: 16, 2: 24, 4: 40, 10: 112}
"""Block of the encoder -> channels, at 1/2, 1/4, 1/8 and 1/16 of the side."""

_DECODER = (64, 32, 16)


class Lite0UNet(nn.Module):
    """Segments films; its subclasses say what, and what else they return.

    Args:
        size: S, side of the square input, in pixels; a multiple of 16.
        maps: K, logits of a pixel.
        pretrained: start from the ImageNet weights of the package.
    """

    def __init__(self, size: int, maps: int, *, pretrained: bool = True) -> None:
        super().__init__()
        network = grey_efficientnet_lite0(size, pretrained=pretrained)
        self.stem = nn.Sequential(network._conv_stem, network._bn0, nn.ReLU6())
        self.blocks = nn.ModuleList(list(network._blocks)[: max(TAKEN) + 1])
        self.decoder = UNetDecoder(
            spatial_dims=2,
            encoder_channels=tuple(TAKEN.values()),
            decoder_channels=_DECODER,
            act="relu",
            norm=("batch", {"eps": 1e-3, "momentum": 0.1}),
            dropout=0.0,
            bias=False,
            upsample="nontrainable",
            interp_mode="bilinear",
            pre_conv="default",
            align_corners=None,
            is_pad=False,
        )
        self.head = nn.Conv2d(_DECODER[-1], maps, kernel_size=3, padding=1)

    def segment(self, films: Tensor) -> tuple[Tensor, Tensor]:
        """Read standardised films, float (N, 1, S, S).

        Returns:
            Logits (N, K, S, S), and the deepest features (N, 112, S/16, S/16).
        """
        features = self._encode(films)
        half = self.head(self.decoder(features, skip_connect=len(_DECODER) - 1))
        return functional.interpolate(half, scale_factor=2.0, mode="bilinear"), features[-1]

    def freeze(self, blocks: int) -> Self:
        """Stop the stem and the first blocks, their running statistics too; 0 stops nothing."""
        for part in (self.stem, *self.blocks[:blocks]) if blocks else ():
            part.eval().requires_grad_(False)
        return self

    def _encode(self, films: Tensor) -> list[Tensor]:
        features, taken = self.stem(films), []
        for place, block in enumerate(self.blocks):
            features = block(features)
            if place in TAKEN:
                taken.append(features)
        return taken
