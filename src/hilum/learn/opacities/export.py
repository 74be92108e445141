"""Export the opacity network as ONNX, its weights as float16, checked against torch."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from hilum.bundle.onnx import Graph
from hilum.core.config import Config
from hilum.core.errors import BundleError
from hilum.core.files import atomic_path
from hilum.learn.export import store_half, strip
from hilum.learn.networks.onnx import OPSET, quiet_exporter

TOLERANCE = 0.02
"""Largest difference in score of any pixel that the rounding to float16 may make."""

_AT_A_TIME = 16


class OpacityParity(Config):
    """How far ONNX Runtime, with weights stored as float16, is from torch.

    Attributes:
        films: how many were compared.
        score: largest difference of sigmoid(logit) of a pixel.
        pixels: pixels on the other side of 0.5, as a share of all.
    """

    films: int
    score: float
    pixels: float


def export_opacities(network: nn.Module, path: Path, films: Tensor) -> OpacityParity:
    """Write ``network`` to ``path`` and compare both on ``films``.

    Args:
        network: in evaluation mode, on the CPU.
        path: of the ONNX file.
        films: float32 (n, C, S, S), real films, standardised.

    Raises:
        BundleError: ONNX differs from torch by more than ``TOLERANCE``; the file is removed.
    """
    _write(network, path, films[:2])
    strip(path)
    store_half(path)
    parity = compare(network, path, films)
    if not parity.score <= TOLERANCE:
        path.unlink()
        raise BundleError(
            f"ONNX differs from torch on {parity.films} films: scores by {parity.score:.2g}; "
            f"expected at most {TOLERANCE:g}",
            hint="the network uses an operation that the exporter changes; the checkpoint is kept",
        )
    return parity


def compare(network: nn.Module, path: Path, films: Tensor) -> OpacityParity:
    """Compare an ONNX file with the network that it was made from, on the same films."""
    graph, worst, flipped, total = Graph(path, torch.get_num_threads()), 0.0, 0, 0
    for batch in torch.split(films, _AT_A_TIME):
        with torch.inference_mode():
            ours = network(batch).sigmoid()
        theirs = torch.from_numpy(graph.run(batch.numpy(), ["opacities"])[0]).sigmoid()
        # not max(): it would lose a NaN, which must fail the limit
        worst = float(torch.maximum(torch.tensor(worst), (ours - theirs).abs().max()))
        flipped += int(((ours > 0.5) != (theirs > 0.5)).sum())
        total += ours.numel()
    return OpacityParity(films=len(films), score=worst, pixels=flipped / max(total, 1))


def _write(network: nn.Module, path: Path, example: Tensor) -> None:
    with atomic_path(path) as temporary, quiet_exporter():
        torch.onnx.export(
            network.eval().to(memory_format=torch.contiguous_format),  # type: ignore[call-overload]
            (example.contiguous(),),
            temporary,
            input_names=["image"],
            output_names=["opacities"],
            opset_version=OPSET,
            dynamic_shapes=({0: torch.export.Dim("N")},),
            dynamo=True,
            external_data=False,
            verbose=False,
        )
