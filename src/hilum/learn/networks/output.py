"""What every network returns, and the head that makes a heatmap the model's own arithmetic."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn


class NetworkOutput(NamedTuple):
    """A batch read by a network.

    Attributes:
        logits: float (N, L), before the sigmoid.
        evidence: float (N, L, h, w) in logit units, or None for the published heads of the two
            papers. Where it exists, ``logits == evidence.mean((2, 3)) + network.bias``, but
            for labels whose bias is NaN.
        embedding: float (N, E), the spatial mean of the features before the head, or None with
            the evidence: what the audit asks for traces of the source.
    """

    logits: Tensor
    evidence: Tensor | None
    embedding: Tensor | None = None


class EvidenceNetwork(nn.Module):
    """A backbone, a 1x1 convolution and a spatial mean: class activation maps by construction.

    A 1x1 convolution followed by a mean is the same function as a mean followed by a linear layer
    (Zhou et al., CVPR 2016), but its map needs no gradients, so ONNX can carry it.

    Args:
        backbone: maps (N, C, S, S) to features (N, width, h, w).
        width: channels of those features.
        labels: L, the number of logits.
        dropout: probability with which a whole feature channel is left out in training; the same
            as dropout after the spatial mean, and it keeps the identity of logits and evidence.
    """

    def __init__(self, backbone: nn.Module, width: int, labels: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.backbone = backbone
        self.dropout = nn.Dropout2d(dropout)
        self.evidence = nn.Conv2d(width, labels, kernel_size=1, bias=False)
        self.bias = nn.Parameter(torch.zeros(labels))
        nn.init.normal_(self.evidence.weight, std=0.01)

    def forward(self, films: Tensor) -> NetworkOutput:
        """Read standardised films, float (N, C, S, S)."""
        features: Tensor = self.backbone(films)
        evidence: Tensor = self.evidence(self.dropout(features))
        return NetworkOutput(evidence.mean((2, 3)) + self.bias, evidence, features.mean((2, 3)))
