"""The same network with weights that have learned nothing (Adebayo et al., NeurIPS 2018).

A map that looks alike with random weights shows the film, or the architecture, not what the
network learned.
"""

from __future__ import annotations

import copy
import math

import torch

from hilum.learn.explain.graph import OnnxModule

_WEIGHTED = {"Conv": 1, "Gemm": 1, "MatMul": 1}
"""Operation -> place of its weights among its inputs; a bias, if any, comes next."""


def randomised(module: OnnxModule, seed: int) -> OnnxModule:
    """Return a copy in which every layer's weights are drawn anew, its biases 0.

    Weights are normal with variance 2 / fan-in (He et al., ICCV 2015), as before any training;
    batch normalisation stays as it is.
    """
    other = copy.deepcopy(module)
    generator = torch.Generator().manual_seed(seed)
    for node in other.nodes.values():
        if node.kind not in _WEIGHTED:
            continue
        _, name, *biases = node.inputs
        weights = other.weight(name)
        if weights is not None:
            fan_in = max(weights[0].numel(), 1)
            drawn = torch.randn(weights.shape, generator=generator) * math.sqrt(2 / fan_in)
            weights.data.copy_(drawn)
        for bias in biases:
            if (values := other.weight(bias)) is not None:
                values.data.zero_()
    return other
