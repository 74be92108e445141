from __future__ import annotations

import numpy as np
import onnxruntime
import pytest

from hilum.bundle.onnx import Graph
from hilum.core.errors import ConfigError


@pytest.fixture
def asked(monkeypatch):
    """A build of ONNX Runtime that offers more; keeps what it was asked for, answers on the CPU."""
    found = {"broken": ()}
    real = onnxruntime.InferenceSession

    class Session:
        def __init__(self, path, options, providers):
            found["providers"] = providers
            self._session = real(path, options, providers=["CPUExecutionProvider"])

        def get_providers(self):
            names = [each if isinstance(each, str) else each[0] for each in found["providers"]]
            return [name for name in names if name not in found["broken"]]

        def __getattr__(self, name):
            return getattr(self._session, name)

    there = ["TensorrtExecutionProvider", "CUDAExecutionProvider", "CPUExecutionProvider"]
    monkeypatch.setattr("onnxruntime.get_available_providers", lambda: there)
    monkeypatch.setattr("onnxruntime.InferenceSession", Session)
    return found


@pytest.mark.parametrize(
    ("engine", "providers"),
    [
        ("cpu", ["CPUExecutionProvider"]),
        ("cuda", [("CUDAExecutionProvider", {"use_tf32": "0"}), "CPUExecutionProvider"]),
        (
            "tensorrt",
            [
                ("TensorrtExecutionProvider", {"trt_fp16_enable": "0"}),
                ("CUDAExecutionProvider", {"use_tf32": "0"}),
                "CPUExecutionProvider",
            ],
        ),
    ],
)
def test_an_engine_is_asked_for_float32(asked, small_bundle, monkeypatch, engine, providers):
    monkeypatch.setenv("HILUM_ENGINE", engine)
    graph = Graph(small_bundle / "model.onnx", threads=1)
    assert asked["providers"] == providers
    films = np.zeros((1, *next(iter(graph.inputs.values()))[1:]), np.float32)
    assert graph.run(films, ["logits"])[0].shape[0] == 1


def test_an_engine_that_does_not_start_is_not_replaced_by_the_processor(
    asked, small_bundle, monkeypatch
):
    asked["broken"] = ("CUDAExecutionProvider",)
    monkeypatch.setenv("HILUM_ENGINE", "cuda")
    with pytest.raises(ConfigError, match="'cuda': CUDAExecutionProvider did not start"):
        Graph(small_bundle / "model.onnx")


def test_an_engine_that_is_not_there(small_bundle, monkeypatch):
    monkeypatch.setenv("HILUM_ENGINE", "cuda")
    with pytest.raises(ConfigError, match="'cuda': this onnxruntime has no CUDA") as caught:
        Graph(small_bundle / "model.onnx")
    assert "onnxruntime-gpu" in caught.value.hint


def test_an_engine_that_nobody_knows(small_bundle, monkeypatch):
    monkeypatch.setenv("HILUM_ENGINE", "gpu")
    with pytest.raises(
        ConfigError, match=r"no engine 'gpu' \(--engine, or HILUM_ENGINE\)"
    ) as caught:
        Graph(small_bundle / "model.onnx")
    assert caught.value.hint == "one of cpu, cuda, tensorrt, coreml, openvino"
