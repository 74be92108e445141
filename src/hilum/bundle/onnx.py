"""ONNX Runtime, as every network of Hilum is run: on the CPU, with errors that say what to do."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from onnxruntime.capi import onnxruntime_pybind11_state as raised

from hilum.core.errors import BundleError
from hilum.core.machine import cores

_FAILURES = (
    raised.Fail,
    raised.InvalidArgument,
    raised.InvalidGraph,
    raised.InvalidProtobuf,
    raised.NotImplemented,
    raised.RuntimeException,
)
onnxruntime.disable_telemetry_events()  # events of Windows; elsewhere see hilum.core.silence
AGAIN = "pack the bundle again with 'hilum train'"


class Graph:
    """One ONNX file, loaded.

    Args:
        path: the file.
        threads: CPU threads of one inference; None for every core.

    Attributes:
        inputs, outputs: name -> shape, the batch first.

    Raises:
        BundleError: the file is not there, or no graph that this runtime can run.
    """

    def __init__(self, path: Path, threads: int | None = None) -> None:
        self._where = str(path)
        self._session = _load(self._where, threads or cores())
        self.inputs = {node.name: list(node.shape) for node in self._session.get_inputs()}
        self.outputs = {node.name: list(node.shape) for node in self._session.get_outputs()}

    def run(self, inputs: NDArray[np.float32], outputs: Sequence[str]) -> list[NDArray[np.float32]]:
        """Run the graph on a batch, float32 (N, C, S, S); return the outputs named.

        Raises:
            BundleError: the graph failed on this batch.
        """
        try:
            return list(self._session.run(list(outputs), {next(iter(self.inputs)): inputs}))
        except _FAILURES as error:
            raise BundleError(f"{self._where}: {_first_line(error)}", hint=AGAIN) from None


def _load(path: str, threads: int) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = threads
    # Waiting threads that spin take the cores that decoding needs; see benchmarks/README.md.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except (*_FAILURES, raised.NoSuchFile) as error:
        raise BundleError(f"{path}: {_first_line(error)}", hint=AGAIN) from None


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]
