from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from hilum.bundle.onnx import Graph
from hilum.core.errors import BundleError, ConfigError
from hilum.learn.explain.graph import OnnxModule
from hilum.learn.explain.layers import choose_layer, strides_of
from hilum.learn.explain.ops import OPS
from hilum.learn.explain.randomise import randomised
from hilum.learn.export import store_half
from hilum.learn.networks import build_network, write_onnx
from hilum.learn.networks.ensemble import EnsembleNetwork

SIZE = 64


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Write a network as ONNX, once: ``written("tiny", members=2)``."""
    folder = tmp_path_factory.mktemp("networks")

    def write(name: str = "tiny", members: int = 1) -> Path:
        path = folder / f"{name}-{members}.onnx"
        if not path.is_file():
            torch.manual_seed(3)
            parts = [build_network(name, labels=2, channels=1, size=SIZE) for _ in range(members)]
            network = parts[0] if members == 1 else EnsembleNetwork(parts)
            write_onnx(network.eval(), path, channels=1, size=SIZE)
        return path

    return write


def _films(number: int = 3, channels: int = 1, size: int = SIZE) -> np.ndarray:
    random = np.random.default_rng(0)
    return random.normal(size=(number, channels, size, size)).astype(np.float32)


def _equal(path: Path, films: np.ndarray, outputs: tuple[str, ...]) -> None:
    module = OnnxModule(path)
    expected = Graph(path, threads=1).run(films, outputs)
    with torch.no_grad():
        found = module(torch.from_numpy(films), outputs)
    for name, value in zip(outputs, expected, strict=True):
        assert found[name].numpy() == pytest.approx(value, abs=2e-5, rel=1e-4)


@pytest.mark.parametrize("name", ["tiny", "abdelhady-2020", "usatov-kosik-2021"])
def test_a_network_answers_as_in_onnx_runtime(name: str, written: Callable[..., Path]) -> None:
    outputs = ("logits", "evidence") if name == "tiny" else ("logits",)
    _equal(written(name), _films(), outputs)


def test_an_ensemble_with_half_weights_answers_as_in_onnx_runtime(
    written: Callable[..., Path], tmp_path: Path
) -> None:
    path = Path(shutil.copy(written("tiny", members=2), tmp_path / "half.onnx"))
    store_half(path)
    assert any(node.op_type == "Cast" for node in onnx.load(path).graph.node)
    _equal(path, _films(), ("logits", "evidence", "embedding"))


def test_the_default_bundle_answers_as_in_onnx_runtime(default_model: Path) -> None:
    _equal(default_model, _films(2, 3, 160), ("logits", "evidence", "embedding"))


@pytest.fixture(scope="module")
def default_model() -> Path:
    from hilum.bundle.folder import DEFAULT_BUNDLE

    return DEFAULT_BUNDLE / "model.onnx"


@pytest.mark.real_data
def test_real_films_are_read_as_in_onnx_runtime(data_root: Path, default_model: Path) -> None:
    from hilum.image.open import open_radiograph
    from hilum.serve.reader import load_bundle

    reader = load_bundle(threads=1)
    folder = data_root / "covid-19-image-repository"
    found = [path for path in sorted(folder.rglob("*.png")) if "mask" not in path.name][:4]
    assert found
    films = []
    for path in found:
        radiograph = open_radiograph(path)
        films.append(reader.preprocess(radiograph, reader.segment(radiograph)))
    _equal(default_model, np.stack(films), ("logits", "evidence"))


def _graph(path: Path, nodes: list, constants: dict[str, np.ndarray], shape: list) -> Path:
    graph = helper.make_graph(
        nodes,
        "made",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    path.write_bytes(model.SerializeToString())
    return path


_AXES = {"axes": np.array([2, 3], np.int64)}
_SHAPE = {"shape": np.array([0, -1], np.int64)}
_NODES: dict[str, tuple[str, dict, dict[str, np.ndarray]]] = {
    "same-upper": (
        "MaxPool",
        {"kernel_shape": [3, 3], "strides": [2, 2], "auto_pad": "SAME_UPPER"},
        {},
    ),
    "same-lower": (
        "AveragePool",
        {"kernel_shape": [2, 2], "strides": [1, 1], "auto_pad": "SAME_LOWER"},
        {},
    ),
    "pads": ("AveragePool", {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 0, 1, 2]}, {}),
    "counted": (
        "AveragePool",
        {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1], "count_include_pad": 1},
        {},
    ),
    "pooled": ("MaxPool", {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1]}, {}),
    "global": ("GlobalAveragePool", {}, {}),
    "flatten": ("Flatten", {"axis": 1}, {}),
    "reshape": ("Reshape", {}, _SHAPE),
    "mean": ("ReduceMean", {"keepdims": 0}, _AXES),
    "sum": ("ReduceSum", {"keepdims": 1}, _AXES),
    "clip": ("Clip", {}, {"low": np.float32(-0.2), "high": np.float32(0.4)}),
    "pad": ("Pad", {}, {"pads": np.array([0, 0, 1, 2, 0, 0, 3, 0], np.int64), "v": np.float32(2)}),
    "transpose": ("Transpose", {"perm": [0, 2, 3, 1]}, {}),
    "turned": ("Transpose", {}, {}),
    "softmax": ("Softmax", {"axis": 1}, {}),
    "elu": ("Elu", {"alpha": 0.7}, {}),
    "leaky": ("LeakyRelu", {"alpha": 0.2}, {}),
    "hard-swish": ("HardSwish", {}, {}),
    "hard-sigmoid": ("HardSigmoid", {"alpha": 0.3}, {}),
    "sigmoid": ("Sigmoid", {}, {}),
    "multiply": ("Mul", {}, {"by": np.float32([[[[2.0]], [[-1.0]], [[3.0]]]])}),
    "divide": ("Div", {}, {"by": np.float32(3)}),
    "subtract": ("Sub", {}, {"by": np.float32(3)}),
    "unsqueeze": ("Unsqueeze", {}, {"axes": np.array([0, -1], np.int64)}),
    "nearest": (
        "Resize",
        {
            "mode": "nearest",
            "coordinate_transformation_mode": "asymmetric",
            "nearest_mode": "floor",
        },
        {"roi": np.zeros(0, np.float32), "scales": np.float32([1, 1, 2, 2])},
    ),
    "linear": (
        "Resize",
        {"mode": "linear"},
        {"roi": np.zeros(0, np.float32), "scales": np.float32([1, 1, 2, 3])},
    ),
    "convolve": (
        "Conv",
        {"strides": [2, 1], "pads": [0, 1, 2, 1], "dilations": [1, 2], "group": 3},
        {"w": np.random.default_rng(1).normal(size=(6, 1, 3, 3)).astype(np.float32)},
    ),
    "same-conv": (
        "Conv",
        {"strides": [2, 2], "auto_pad": "SAME_UPPER"},
        {"w": np.random.default_rng(1).normal(size=(4, 3, 3, 3)).astype(np.float32)},
    ),
    "norm": (
        "BatchNormalization",
        {"epsilon": 0.01},
        {name: np.float32([0.5, 1.0, 2.0]) for name in ("scale", "bias", "mean", "variance")},
    ),
}


@pytest.mark.parametrize("case", _NODES)
def test_each_operation_is_that_of_onnx_runtime(case: str, tmp_path: Path) -> None:
    kind, attributes, constants = _NODES[case]
    node = helper.make_node(kind, ["image", *constants], ["logits"], **attributes)
    path = _graph(tmp_path / "m.onnx", [node], constants, ["N", 3, 9, 8])
    films = np.random.default_rng(0).normal(size=(2, 3, 9, 8)).astype(np.float32)
    expected = Graph(path, threads=1).run(films, ["logits"])[0]
    found = OnnxModule(path)(torch.from_numpy(films))["logits"].numpy()
    assert found.shape == expected.shape
    assert found == pytest.approx(expected, abs=1e-5)


def test_gemm_and_matmul(tmp_path: Path) -> None:
    random = np.random.default_rng(2)
    constants = {
        "w": random.normal(size=(5, 3 * 72)).astype(np.float32),
        "b": random.normal(size=5).astype(np.float32),
        "m": random.normal(size=(5, 2)).astype(np.float32),
    }
    nodes = [
        helper.make_node("Flatten", ["image"], ["flat"]),
        helper.make_node("Gemm", ["flat", "w", "b"], ["dense"], transB=1, alpha=0.5, beta=2.0),
        helper.make_node("MatMul", ["dense", "m"], ["logits"]),
    ]
    path = _graph(tmp_path / "m.onnx", nodes, constants, ["N", 3, 9, 8])
    films = random.normal(size=(2, 3, 9, 8)).astype(np.float32)
    _equal(path, films, ("logits",))


@pytest.mark.parametrize(
    ("kind", "attributes", "message"),
    [
        ("Erf", {}, "operation 'Erf' has no gradients here"),
        ("MaxPool", {"kernel_shape": [2, 2], "ceil_mode": 1}, "ceil_mode 1; expected 0"),
        ("Relu", {"strange": 2}, "attributes .*strange"),
    ],
)
def test_what_is_not_known_is_refused_by_name(
    kind: str, attributes: dict, message: str, tmp_path: Path
) -> None:
    node = helper.make_node(kind, ["image"], ["logits"], name="odd", **attributes)
    path = _graph(tmp_path / "m.onnx", [node], {}, ["N", 3, 9, 8])
    with pytest.raises(BundleError, match=message) as raised:
        OnnxModule(path)
    assert "occlusion" in raised.value.hint


def test_a_file_that_is_no_graph_is_refused(tmp_path: Path) -> None:
    (tmp_path / "m.onnx").write_bytes(b"no graph")
    with pytest.raises(BundleError):
        OnnxModule(tmp_path / "m.onnx")


def test_every_operation_of_the_issue_is_there() -> None:
    named = (
        "Conv Gemm MatMul BatchNormalization Relu Elu Clip Sigmoid HardSwish Add Mul Sub Div "
        "MaxPool AveragePool GlobalAveragePool ReduceMean Flatten Reshape Concat Unsqueeze Squeeze "
        "Cast Softmax Transpose Identity Pad Resize"
    )
    assert set(named.split()) <= set(OPS)


def test_layers_of_an_ensemble_have_a_branch_a_member(written: Callable[..., Path]) -> None:
    module = OnnxModule(written("tiny", members=2))
    films = torch.from_numpy(_films(1))
    last = choose_layer(module, films)
    assert (len(last.values), last.stride) == (2, 8)
    assert all(module.nodes[name].kind == "Relu" for name in last.values)
    assert choose_layer(module, films, "stride-4").stride == 4
    assert strides_of(module, films) == [2, 4, 8]
    assert choose_layer(module, films, last.values[0]).values == last.values[:1]


@pytest.mark.parametrize("name", ["stride-3", "first", "stride-"])
def test_a_layer_that_is_not_there_is_refused_with_those_that_are(
    name: str, written: Callable[..., Path]
) -> None:
    module = OnnxModule(written())
    with pytest.raises(ConfigError, match=f"layer '{name}'") as raised:
        choose_layer(module, torch.from_numpy(_films(1)), name)
    assert "stride-2, stride-4, stride-8" in raised.value.hint


def test_random_weights_are_others_and_the_same_for_a_seed(written: Callable[..., Path]) -> None:
    module = OnnxModule(written())
    before = module.run(_films())[0]
    one, same, other = (randomised(module, seed).run(_films())[0] for seed in (1, 1, 2))
    assert np.array_equal(one, same)
    assert not np.allclose(one, other)
    assert not np.allclose(one, before)
    assert np.array_equal(module.run(_films())[0], before)  # the network itself is as it was
