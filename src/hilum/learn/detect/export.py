"""Export a detector as ONNX, checked against torch on real films."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from hilum.bundle.onnx import Graph
from hilum.core.config import Config
from hilum.core.errors import BundleError
from hilum.core.files import atomic_path
from hilum.learn.detect.films import Boxed
from hilum.learn.detect.network import found_boxes
from hilum.learn.detect.recipe import DetectorRecipe
from hilum.learn.export import TOLERANCE, strip
from hilum.learn.module import standardise
from hilum.learn.networks.onnx import OPSET, quiet_exporter

PARITY_FILMS = 16
OUTPUTS = ("scores", "boxes")


class DetectorParity(Config):
    """How far ONNX Runtime is from torch.

    Attributes:
        films: how many were compared.
        scores: largest difference of a score.
        boxes: largest difference of a box's edge, as a fraction of the side.
    """

    films: int
    scores: float
    boxes: float


class _Plain(nn.Module):
    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        output = self.model(pixel_values=image)
        return found_boxes(output.logits, output.pred_boxes)


def export_detector(
    model: PreTrainedModel, path: Path, films: Boxed, recipe: DetectorRecipe
) -> DetectorParity:
    """Write a detector and compare both on films.

    The file: "image" float32 (N, C, S, S) -> "scores" (N, Q) in [0, 1], "boxes" (N, Q, 4): left,
    top, right, bottom, as fractions of the side.

    Args:
        model: on the CPU.
        path: of the ONNX file.
        films: the first of them are compared.
        recipe: whose preprocessing they go through.

    Raises:
        BundleError: ONNX differs from torch by more than ``TOLERANCE``; the file is removed.
    """
    rows = np.arange(min(PARITY_FILMS, len(films.cases)))
    inputs = standardise(films.films(rows), recipe.preprocess).contiguous()
    return export_on(model, path, inputs)


def export_on(model: PreTrainedModel, path: Path, inputs: Tensor) -> DetectorParity:
    """Write a detector and compare both on standardised films, float32 (n, C, S, S)."""
    plain = _Plain(model).eval().to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(path) as temporary, quiet_exporter(), torch.no_grad():
        _write(plain, temporary, inputs)
    strip(path)
    with torch.inference_mode():
        ours = plain(inputs)
    theirs = Graph(path, torch.get_num_threads()).run(inputs.numpy(), OUTPUTS)
    scores, boxes = (
        float((one - torch.from_numpy(other)).abs().max())
        for one, other in zip(ours, theirs, strict=True)
    )
    parity = DetectorParity(films=len(inputs), scores=scores, boxes=boxes)
    if not (scores <= TOLERANCE and boxes <= TOLERANCE):
        path.unlink()
        raise BundleError(
            f"ONNX differs from torch on {parity.films} films: scores by {scores:.2g}, boxes by "
            f"{boxes:.2g}; expected at most {TOLERANCE:g}",
            hint="the detector uses an operation that the exporter changes; its folder is kept",
        )
    return parity


def _write(plain: Any, path: Path, inputs: Tensor) -> None:
    torch.onnx.export(
        plain,
        (torch.zeros(2, *inputs.shape[1:]),),
        path,
        input_names=["image"],
        output_names=list(OUTPUTS),
        opset_version=OPSET,
        dynamic_shapes=({0: torch.export.Dim("N")},),
        dynamo=True,
        external_data=False,
        verbose=False,
    )
