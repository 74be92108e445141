"""ONNX Runtime, as every network of Hilum is run, with errors that say what to do.

It runs on the processor, or by the providers of ``HILUM_ENGINE``, in float32 as far as these can
be told: a bundle's thresholds and calibration are those of float32.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from onnxruntime.capi import onnxruntime_pybind11_state as raised

from hilum.core.errors import BundleError, ConfigError
from hilum.core.machine import ENGINES, cores, engine

_FAILURES = (
    raised.Fail,
    raised.InvalidArgument,
    raised.InvalidGraph,
    raised.InvalidProtobuf,
    raised.NotImplemented,
    raised.RuntimeException,
)
onnxruntime.disable_telemetry_events()  # events of Windows; elsewhere see hilum.core.silence
_CPU = "CPUExecutionProvider"
_IN_FLOAT32: dict[str, dict[str, str]] = {
    "CUDAExecutionProvider": {"use_tf32": "0"},
    "TensorrtExecutionProvider": {"trt_fp16_enable": "0"},
    "OpenVINOExecutionProvider": {"device_type": "CPU", "precision": "FP32"},
}
AGAIN = "pack the bundle again with 'hilum train'"


class Graph:
    """One ONNX file, loaded.

    Args:
        path: the file.
        threads: CPU threads of one inference; None for every core.
        on: a key of ``ENGINES``; None for that of ``HILUM_ENGINE``.
        hint: what to do where it cannot be loaded or run.

    Attributes:
        inputs, outputs: name -> shape, the batch first.

    Raises:
        BundleError: the file is not there, or no graph that this runtime can run.
        ConfigError: that engine is not there.
    """

    def __init__(
        self, path: Path, threads: int | None = None, *, on: str | None = None, hint: str = AGAIN
    ) -> None:
        self._where, self._hint = str(path), hint
        self._session = _load(self._where, threads or cores(), on or engine(), hint)
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
            raise BundleError(f"{self._where}: {_first_line(error)}", hint=self._hint) from None


def absent(name: str) -> list[str]:
    """Return the providers that an engine needs and this ONNX Runtime was built without."""
    there = onnxruntime.get_available_providers()
    return [provider for provider in ENGINES[name] if provider not in there]


def _load(path: str, threads: int, name: str, hint: str) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = threads
    # Waiting threads that spin take the cores that decoding needs; see benchmarks/README.md.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    if lacks := absent(name):
        raise _not_there(name, f"this onnxruntime has no {' and no '.join(lacks)}")
    wanted: list[Any] = [(each, _IN_FLOAT32.get(each, {})) for each in ENGINES[name]]
    try:
        session = onnxruntime.InferenceSession(path, options, providers=[*wanted, _CPU])
    except (*_FAILURES, raised.NoSuchFile) as error:
        raise BundleError(f"{path}: {_first_line(error)}", hint=hint) from None
    lost = [each for each in ENGINES[name][:1] if each not in session.get_providers()]
    if lost:  # else the processor would do the work and nobody would know
        raise _not_there(name, f"{lost[0]} did not start: a driver or a library of it is missing")
    return session


def _not_there(name: str, why: str) -> ConfigError:
    build = {"cuda": "-gpu", "tensorrt": "-gpu", "openvino": "-openvino"}.get(name, "")
    return ConfigError(
        f"engine '{name}': {why}",
        hint=f"install onnxruntime{build} in place of onnxruntime, or read on the cpu",
    )


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]
