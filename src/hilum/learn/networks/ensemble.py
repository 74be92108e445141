"""Ensemble: several networks as one, the mean of their logits and of their evidence."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from hilum.learn.networks.output import NetworkOutput


class EnsembleNetwork(nn.Module):
    """Networks that look at the same films.

    Means keep the identity of logits and evidence: the mean of sums is the sum of means. The
    embedding is that of each member, one after another.

    Args:
        members: networks of the same labels and input, all with evidence or none.
    """

    def __init__(self, members: Sequence[nn.Module]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)

    @property
    def bias(self) -> Tensor:
        """Mean of the members' biases, (L,)."""
        return torch.stack([torch.as_tensor(member.bias) for member in self.members]).mean(0)

    def forward(self, films: Tensor) -> NetworkOutput:
        """Read standardised films, float (N, C, S, S)."""
        outputs = [member(films) for member in self.members]
        logits = torch.stack([output.logits for output in outputs]).mean(0)
        if outputs[0].evidence is None:
            return NetworkOutput(logits, None)
        evidence = torch.stack([output.evidence for output in outputs]).mean(0)
        return NetworkOutput(logits, evidence, torch.cat([each.embedding for each in outputs], 1))
