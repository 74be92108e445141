"""Export a detector as ONNX, checked against torch on real films."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from onnx import TensorProto
from torch import Tensor, nn

from hilum.bundle.onnx import Graph
from hilum.core.config import Config
from hilum.core.errors import BundleError
from hilum.core.files import atomic_path
from hilum.learn.detect.films import Boxed
from hilum.learn.detect.network import Detector, found_boxes
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
    model: Detector, path: Path, films: Boxed, recipe: DetectorRecipe
) -> DetectorParity:
    """Write a detector and compare both on films.

    The file takes one film at a time, for the exporter ties RT-DETR to the number of films that it
    is shown: "image" float32 (1, C, S, S) -> "scores" (1, Q) in [0, 1], "boxes" (1, Q, 4): left,
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


def export_on(model: Detector, path: Path, inputs: Tensor) -> DetectorParity:
    """Write a detector and compare both on standardised films, float32 (n, C, S, S)."""
    plain = _Plain(model).eval().to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(path) as temporary, quiet_exporter(), torch.no_grad():
        _write(plain, temporary, inputs)
    strip(path)
    graph, worst = Graph(path, torch.get_num_threads()), np.zeros(2)
    for film in torch.split(inputs, 1):
        with torch.inference_mode():
            ours = plain(film)
        theirs = graph.run(film.numpy(), OUTPUTS)
        worst = np.maximum(worst, _apart([each.numpy()[0] for each in ours], theirs))
    scores, boxes = (float(each) for each in worst)
    parity = DetectorParity(films=len(inputs), scores=scores, boxes=boxes)
    if not (scores <= TOLERANCE and boxes <= TOLERANCE):
        path.unlink()
        raise BundleError(
            f"ONNX differs from torch on {parity.films} films: scores by {scores:.2g}, boxes by "
            f"{boxes:.2g}; expected at most {TOLERANCE:g}",
            hint="the detector uses an operation that the exporter changes; its folder is kept",
        )
    return parity


def _apart(ours: list[NDArray[Any]], theirs: list[NDArray[Any]]) -> NDArray[Any]:
    """Return how far the scores, and the edges, of our boxes are from their likes.

    Boxes of equal score may come in another order; each is compared with that nearest to it.
    """
    scores = np.abs(ours[0][:, None] - theirs[0][0][None])
    edges = np.abs(ours[1][:, None] - theirs[1][0][None]).max(axis=2)
    like = np.maximum(scores, edges).argmin(axis=1)[:, None]
    both = (np.take_along_axis(each, like, axis=1).max() for each in (scores, edges))
    return np.array(list(both))


def _write(plain: Any, path: Path, inputs: Tensor) -> None:
    torch.onnx.export(
        plain,
        (torch.zeros(1, *inputs.shape[1:]),),
        path,
        input_names=["image"],
        output_names=list(OUTPUTS),
        opset_version=OPSET,
        custom_translation_table={torch.ops.aten._is_all_true.default: _all_true},
        dynamo=True,
        external_data=False,
        verbose=False,
    )


def _all_true(flags: Any) -> Any:
    """Translate a check of shapes inside RT-DETR that torch 2.13's exporter does not know."""
    from onnxscript import opset18

    whole = opset18.ReduceMin(opset18.Cast(flags, to=TensorProto.INT32), keepdims=0)
    return opset18.Cast(whole, to=TensorProto.BOOL)
