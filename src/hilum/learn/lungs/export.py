"""Export the lung network as ONNX, checked against torch on real films."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from hilum.bundle.onnx import Graph
from hilum.core.config import Config
from hilum.core.errors import BundleError
from hilum.core.files import atomic_path
from hilum.learn.export import TOLERANCE, strip
from hilum.learn.lungs.network import LungNetwork
from hilum.learn.networks.onnx import OPSET, quiet_exporter

_AT_A_TIME = 16


class LungParity(Config):
    """How far ONNX Runtime is from torch.

    Attributes:
        films: how many were compared.
        lungs: largest difference of sigmoid(logit) of a pixel.
        pixels: pixels that are lung in one and not in the other, as a share of all.
        embedding: largest difference of a feature, relative to the largest feature.
    """

    films: int
    lungs: float
    pixels: float
    embedding: float


def export_lungs(network: LungNetwork, path: Path, films: Tensor) -> LungParity:
    """Write ``network`` to ``path`` and compare both on ``films``.

    Args:
        network: in evaluation mode, on the CPU.
        path: of the ONNX file.
        films: float32 (n, 1, S, S), real films, standardised.

    Raises:
        BundleError: ONNX differs from torch by more than ``TOLERANCE``; the file is removed.
    """
    write_lungs(network, path, size=films.shape[-1])
    strip(path)
    parity = compare_lungs(network, path, films)
    if not (parity.lungs <= TOLERANCE and parity.embedding <= TOLERANCE):
        path.unlink()
        raise BundleError(
            f"ONNX differs from torch on {parity.films} films: lungs by {parity.lungs:.2g}, "
            f"embedding by {parity.embedding:.2g}; expected at most {TOLERANCE:g}",
            hint="the network uses an operation that the exporter changes; the checkpoint is kept",
        )
    return parity


def write_lungs(network: LungNetwork, path: Path, *, size: int) -> None:
    """Write ``network`` as one ONNX file, any number of films a batch."""
    films = torch.zeros(2, 1, size, size)
    with atomic_path(path) as temporary, quiet_exporter():
        torch.onnx.export(
            network.eval().to(memory_format=torch.contiguous_format),  # type: ignore[call-overload]
            (films,),
            temporary,
            input_names=["image"],
            output_names=["lungs", "embedding"],
            opset_version=OPSET,
            dynamic_shapes=({0: torch.export.Dim("N")},),
            dynamo=True,
            external_data=False,
            verbose=False,
        )


def compare_lungs(network: LungNetwork, path: Path, films: Tensor) -> LungParity:
    """Compare an ONNX file with the network that it was made from, on the same films."""
    graph, worst = Graph(path, torch.get_num_threads()), np.zeros(2)
    flipped = 0
    for batch in torch.split(films, _AT_A_TIME):
        with torch.inference_mode():
            ours = network(batch)
        lungs, embedding = graph.run(batch.numpy(), ["lungs", "embedding"])
        theirs = torch.from_numpy(lungs)
        scale = ours.embedding.abs().max().clamp(min=1e-6)
        differences = (
            (ours.lungs.sigmoid() - theirs.sigmoid()).abs().max(),
            (ours.embedding - torch.from_numpy(embedding)).abs().max() / scale,
        )
        worst = np.maximum(worst, np.array([float(each) for each in differences]))
        flipped += int(((ours.lungs > 0) != (theirs > 0)).sum())
    share = flipped / films.numel()
    return LungParity(
        films=len(films), lungs=float(worst[0]), pixels=share, embedding=float(worst[1])
    )
