"""resnet18 and densenet121: two reference backbones from MONAI, trained from scratch.

MONAI is imported by the builder alone: its import takes seconds and some 600 MB.
"""

from __future__ import annotations

from typing import Literal

from torch import nn

from hilum.learn.networks.output import EvidenceNetwork


def build_resnet18(
    *, labels: int, channels: Literal[1, 3], size: int, dropout: float = 0.0
) -> EvidenceNetwork:
    """Build ResNet-18 (He et al., CVPR 2016) with an evidence head of side S/32.

    Args:
        labels: L, the number of logits.
        channels: C of the input.
        size: side of the input in pixels; any multiple of 32 is used in full.
        dropout: before the head.
    """
    del size
    from monai.networks.nets import resnet18

    network = resnet18(
        spatial_dims=2,
        n_input_channels=channels,
        conv1_t_size=7,
        conv1_t_stride=2,
        bias_downsample=False,
        feed_forward=False,
    )
    parts = ("conv1", "bn1", "act", "maxpool", "layer1", "layer2", "layer3", "layer4")
    backbone = nn.Sequential(*(getattr(network, part) for part in parts))
    return EvidenceNetwork(backbone, width=512, labels=labels, dropout=dropout)


def build_densenet121(
    *, labels: int, channels: Literal[1, 3], size: int, dropout: float = 0.0
) -> EvidenceNetwork:
    """Build DenseNet-121 (Huang et al., CVPR 2017) with an evidence head of side S/32.

    Args:
        labels: L, the number of logits.
        channels: C of the input.
        size: side of the input in pixels; any multiple of 32 is used in full.
        dropout: before the head.
    """
    del size
    from monai.networks.nets import DenseNet121

    network = DenseNet121(spatial_dims=2, in_channels=channels, out_channels=1)
    backbone = nn.Sequential(network.features, nn.ReLU())
    return EvidenceNetwork(backbone, width=1024, labels=labels, dropout=dropout)
