"""Export: the network as ONNX, checked against torch on real films before anyone reads with it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from numpy.typing import NDArray
from torch import nn

from hilum.core.config import Config
from hilum.core.errors import BundleError
from hilum.core.files import atomic_path
from hilum.image.preprocess import Preprocess
from hilum.learn.networks import NetworkOutput, write_onnx

TOLERANCE = 1e-4
"""Largest difference in score, sigmoid(logit), that an export may have."""

HALF_TOLERANCE = 5e-3
"""The same where the weights were rounded to float16; all that follows uses the rounded ones."""

_AT_A_TIME = 16
_LARGE = 1024  # weights; less is not worth a cast


class Parity(Config):
    """How far ONNX Runtime is from torch.

    Attributes:
        films: how many were compared.
        score: largest difference of a score.
        evidence: largest difference of ``evidence.mean((h, w)) + bias`` from the logit, in ONNX
            Runtime's own outputs; None where the network has no evidence.
    """

    films: int
    score: float
    evidence: float | None


def export_onnx(
    network: nn.Module,
    preprocess: Preprocess,
    path: Path,
    films: NDArray[np.float32],
    *,
    half: bool = False,
) -> Parity:
    """Write ``network`` to ``path`` and compare both on ``films``.

    Args:
        network: in evaluation mode, on the CPU.
        preprocess: says the shape of the input.
        films: float32 (n, C, S, S), real films as the network takes them.
        half: store the weights as float16.

    Raises:
        BundleError: ONNX differs from torch by more than ``TOLERANCE``, or ``HALF_TOLERANCE``
            with ``half``; the file is removed.
    """
    write_onnx(network, path, channels=preprocess.channels, size=preprocess.size)
    strip(path)
    if half:
        store_half(path)
    parity = compare(network, path, films)
    allowed = HALF_TOLERANCE if half else TOLERANCE
    if not (parity.score <= allowed and (parity.evidence or 0.0) <= TOLERANCE):
        path.unlink()
        raise BundleError(
            f"ONNX differs from torch on {parity.films} films: score by {parity.score:.2g}, "
            f"evidence by {parity.evidence or 0:.2g}; expected at most {allowed:g}",
            hint="the network uses an operation that the exporter changes; the checkpoint is kept",
        )
    return parity


def strip(path: Path) -> None:
    """Take out of an ONNX file what the exporter notes of the machine: the paths of its sources."""
    model = onnx.load(path)
    for part in (model, model.graph, *model.graph.node, *model.graph.value_info):
        part.ClearField("metadata_props")
        part.ClearField("doc_string")
    with atomic_path(path) as temporary:
        onnx.save(model, temporary)


def store_half(path: Path) -> None:
    """Store the large float32 constants of an ONNX file as float16, each with a cast back.

    ONNX Runtime calculates the casts once, when it loads the file.
    """
    model = onnx.load(path)
    constants, casts = model.graph.initializer, []
    for constant in constants:
        values = onnx.numpy_helper.to_array(constant)
        if values.dtype != np.float32 or values.size < _LARGE:
            continue
        name, half = constant.name, f"{constant.name}_half"
        constant.CopyFrom(onnx.numpy_helper.from_array(values.astype(np.float16), half))
        casts.append(onnx.helper.make_node("Cast", [half], [name], to=onnx.TensorProto.FLOAT))
    nodes = [*casts, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    with atomic_path(path) as temporary:
        onnx.save(model, temporary)


def compare(network: nn.Module, path: Path, films: NDArray[np.float32]) -> Parity:
    """Compare an ONNX file with the network that it was made from, on the same films."""
    session = open_session(path)
    score, evidence = 0.0, 0.0
    for start in range(0, len(films), _AT_A_TIME):
        batch = films[start : start + _AT_A_TIME]
        ours, theirs = _torch(network, batch), run_session(session, batch)
        score = _worse(score, _largest(sigmoid(ours.logits.numpy()), sigmoid(theirs[0])))
        if ours.evidence is not None:
            bias = network.bias.detach().numpy()  # type: ignore[operator]
            summed = np.array(getattr(network, "summed", [True] * len(bias)))
            ours_again = theirs[1].mean((2, 3)) + bias
            evidence = _worse(evidence, _largest(ours_again[:, summed], theirs[0][:, summed]))
    has_evidence = len(session.get_outputs()) > 1
    return Parity(films=len(films), score=score, evidence=evidence if has_evidence else None)


def open_session(path: Path) -> onnxruntime.InferenceSession:
    """Open an ONNX file on the CPU with torch's number of threads."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def run_session(
    session: onnxruntime.InferenceSession, films: NDArray[np.float32]
) -> list[NDArray[np.float32]]:
    """Read films, float32 (n, C, S, S): logits (n, L) and, where it has it, evidence."""
    outputs: list[NDArray[np.float32]] = session.run(None, {"image": films})
    return outputs


def sigmoid(logits: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the score of each logit, float64 in [0, 1]."""
    return np.asarray(1 / (1 + np.exp(-logits.astype(np.float64))))


def _torch(network: nn.Module, films: NDArray[np.float32]) -> NetworkOutput:
    with torch.inference_mode():
        output: NetworkOutput = network(torch.from_numpy(films))
    return output


def _largest(ours: NDArray[np.floating], theirs: NDArray[np.floating]) -> float:
    """Largest absolute difference; NaN where either is not a number, so that it fails a limit."""
    return float(np.abs(ours.astype(np.float64) - theirs).max())


def _worse(one: float, other: float) -> float:
    """The larger of two differences, NaN if either is NaN (``max`` would lose it)."""
    return float(np.maximum(one, other))
