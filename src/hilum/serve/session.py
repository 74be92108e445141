"""Session: a bundle's network on ONNX Runtime, checked against its manifest."""

from __future__ import annotations

import os

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from onnxruntime.capi import onnxruntime_pybind11_state as raised

from hilum.bundle.folder import Bundle
from hilum.core.errors import BundleError

Logits = NDArray[np.float32]
Evidence = NDArray[np.float32]

_FAILURES = (
    raised.Fail,
    raised.InvalidArgument,
    raised.InvalidGraph,
    raised.InvalidProtobuf,
    raised.NotImplemented,
    raised.RuntimeException,
)
_AGAIN = "pack the bundle again with 'hilum train'"


def cores() -> int:
    """Number of CPU cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class Session:
    """The network of one bundle.

    Args:
        bundle: an opened bundle.
        threads: CPU threads of one inference; None for every core of this process.

    Raises:
        BundleError: the graph does not load, or is not what the manifest says.
    """

    def __init__(self, bundle: Bundle, threads: int | None = None) -> None:
        self._where = str(bundle.model)
        self._session = _load(self._where, threads or cores())
        _check(self._session, bundle)
        self._outputs = ["logits", "evidence"] if bundle.manifest.evidence else ["logits"]

    def run(self, inputs: NDArray[np.float32]) -> tuple[Logits, Evidence | None]:
        """Run the network on a batch.

        Args:
            inputs: float32 (N, C, S, S), standardised as the bundle's ``Preprocess`` does it.

        Returns:
            logits float32 (N, L); evidence float32 (N, L, h, w), or None without that output.

        Raises:
            BundleError: the network failed on this batch.
        """
        try:
            outputs = self._session.run(self._outputs, {"image": inputs})
        except _FAILURES as error:
            raise BundleError(f"{self._where}: {_first_line(error)}", hint=_AGAIN) from None
        return outputs[0], outputs[1] if len(outputs) > 1 else None


def _load(path: str, threads: int) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = threads
    # Waiting threads that spin take the cores that decoding needs; see benchmarks/README.md.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except (*_FAILURES, raised.NoSuchFile) as error:
        raise BundleError(f"{path}: {_first_line(error)}", hint=_AGAIN) from None


def _check(session: onnxruntime.InferenceSession, bundle: Bundle) -> None:
    manifest = bundle.manifest
    size, channels = manifest.preprocess.size, manifest.preprocess.channels
    inputs = {node.name: node.shape for node in session.get_inputs()}
    outputs = {node.name: node.shape for node in session.get_outputs()}
    expected = {"image": [channels, size, size]}
    if {name: shape[1:] for name, shape in inputs.items()} != expected:
        raise BundleError(f"{bundle.model}: inputs {inputs}; expected {expected}", hint=_AGAIN)
    for name in ("logits", "evidence") if manifest.evidence else ("logits",):
        if name not in outputs or outputs[name][1] != len(manifest.labels):
            raise BundleError(
                f"{bundle.model}: outputs {outputs}; expected '{name}' of "
                f"{len(manifest.labels)} labels",
                hint=_AGAIN,
            )


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]
