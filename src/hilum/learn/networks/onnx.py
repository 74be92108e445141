"""A network as an ONNX file: "image" in; "logits", "evidence" and "embedding" out."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor, nn

from hilum.core.files import atomic_path
from hilum.learn.networks.dense import DenseOutput

OPSET = 18


class _Plain(nn.Module):
    """The same network with a plain tuple for output, as the exporter wants it."""

    def __init__(self, network: nn.Module, with_evidence: bool) -> None:
        super().__init__()
        self.network = network
        self.with_evidence = with_evidence

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        output = self.network(image)
        if isinstance(output, DenseOutput):
            return *output, output.appearance
        return tuple(output) if self.with_evidence else (output.logits,)


def write_onnx(network: nn.Module, path: Path, *, channels: int, size: int) -> tuple[str, ...]:
    """Write a network to ``path`` as one ONNX file, opset 18, with any number of films.

    The file has the input "image", float32 (N, C, S, S), and the outputs "logits" (N, L) and,
    where the network has them, "evidence" (N, L, h, w) and "embedding" (N, E); of a dense network
    also "maps" (N, 4, h, w), "given" and "appearance" (N, 4), see ``DenseOutput``. The network is
    written in evaluation mode and left in the mode in which it came.

    Args:
        network: one that ``build_network`` made, on the CPU.
        path: the file; replaced whole or not at all.
        channels, size: C and S of its input.

    Returns:
        The names of the outputs.
    """
    was_training = network.training
    network.eval()
    films = torch.zeros(2, channels, size, size)  # 2: the exporter takes a 1 for a constant
    with torch.no_grad():
        output = network(films)
    with_evidence = output.evidence is not None
    outputs = ("logits", "evidence", "embedding") if with_evidence else ("logits",)
    if isinstance(output, DenseOutput):
        outputs = (*outputs, "maps", "given", "appearance")
    try:
        with atomic_path(path) as temporary, quiet_exporter():
            torch.onnx.export(
                _Plain(network, with_evidence).eval(),
                (films,),
                temporary,
                input_names=["image"],
                output_names=list(outputs),
                opset_version=OPSET,
                dynamic_shapes=({0: torch.export.Dim("N")},),
                dynamo=True,
                external_data=False,
                verbose=False,
            )
    finally:
        network.train(was_training)
    return outputs


@contextmanager
def quiet_exporter() -> Iterator[None]:
    """Hide what torch 2.13's exporter says of itself: no torchvision, a deprecation inside."""
    registration = logging.getLogger("torch.onnx._internal.exporter._registration")
    level = registration.level
    registration.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*LeafSpec.*", category=FutureWarning)
            yield
    finally:
        registration.setLevel(level)
