"""tiny: three small convolutions and an evidence head, for tests."""

from __future__ import annotations

from typing import Literal

from torch import nn

from hilum.learn.networks.output import EvidenceNetwork


def build_tiny(*, labels: int, channels: Literal[1, 3], size: int) -> EvidenceNetwork:
    """Build a network of some 7,000 parameters that any CPU trains in seconds.

    Args:
        labels: L, the number of logits.
        channels: C of the input.
        size: side of the input in pixels; the evidence has side ``ceil(size / 8)``.
    """
    del size  # any size will do
    backbone = nn.Sequential(
        _block(channels, 8),
        _block(8, 16),
        _block(16, 32),
    )
    return EvidenceNetwork(backbone, width=32, labels=labels)


def _block(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel_size=3, stride=2, padding=1, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(),
    )
