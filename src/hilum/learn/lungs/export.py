"""Export the lung network: lungs.onnx and lungs.json."""

from __future__ import annotations

from pathlib import Path

import torch

from hilum.core.files import atomic_path
from hilum.learn.lungs.network import LungNetwork
from hilum.learn.networks.onnx import OPSET, quiet_exporter


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
