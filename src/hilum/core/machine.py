"""Machine: what this process may use of the one that it runs on."""

from __future__ import annotations

import os

from hilum.core.errors import ConfigError

ENGINE = "HILUM_ENGINE"
"""Environment variable: what runs networks, a key of ``ENGINES``."""
ENGINES: dict[str, tuple[str, ...]] = {
    "cpu": (),
    "cuda": ("CUDAExecutionProvider",),
    "tensorrt": ("TensorrtExecutionProvider", "CUDAExecutionProvider"),
    "coreml": ("CoreMLExecutionProvider",),
    "openvino": ("OpenVINOExecutionProvider",),
}
"""Engine -> the providers of ONNX Runtime that it needs, the first before the others."""


def cores() -> int:
    """Number of CPU cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def engine() -> str:
    """Return the engine that ``HILUM_ENGINE`` names, "cpu" without it.

    Raises:
        ConfigError: no engine of that name.
    """
    named = os.environ.get(ENGINE) or "cpu"
    if named not in ENGINES:
        raise ConfigError(
            f"no engine '{named}' (--engine, or {ENGINE})", hint=f"one of {', '.join(ENGINES)}"
        )
    return named
