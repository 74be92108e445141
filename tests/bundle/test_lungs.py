from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from hilum.bundle.folder import DEFAULT_BUNDLE
from hilum.bundle.lungs import LUNGS, LUNGS_SPEC, LungSegmenter, LungSpec
from hilum.core.errors import BundleError
from hilum.core.files import sha256_of
from hilum.core.radiograph import Radiograph
from hilum.image.preprocess import Preprocess

SIZE = 32
TEACHER = Path(__file__).parents[2] / "recipes" / "teacher"


@pytest.fixture
def dark_is_lung(tmp_path: Path) -> Path:
    """A folder with a network whose arithmetic a test can repeat: a dark pixel is lung."""
    constants = {"minus": np.float32([-1.0]), "axes": np.int64([2, 3])}
    nodes = [
        helper.make_node("Mul", ["image", "minus"], ["lungs"]),
        helper.make_node("ReduceMean", ["image", "axes"], ["embedding"], keepdims=0),
    ]
    square = ["N", 1, SIZE, SIZE]
    graph = helper.make_graph(
        nodes,
        "dark",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, square)],
        [
            helper.make_tensor_value_info("lungs", TensorProto.FLOAT, square),
            helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["N", 1]),
        ],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.save(model, tmp_path / LUNGS)
    spec = LungSpec(preprocess=Preprocess(size=SIZE, channels=1, mean=0.5, std=0.5))
    (tmp_path / LUNGS_SPEC).write_text(spec.model_dump_json())
    return tmp_path


def film(random: np.random.Generator) -> Radiograph:
    pixels = random.random((80, 60), np.float32)
    return Radiograph(pixels=pixels, path="made", format="PNG", bits=8)


def test_a_film_gives_its_mask_and_its_embedding(dark_is_lung: Path) -> None:
    segmenter = LungSegmenter(dark_is_lung, threads=1)
    radiograph = film(np.random.default_rng(0))
    lungs = segmenter.segment(radiograph)
    square = segmenter.preprocess.square(radiograph)
    np.testing.assert_array_equal(lungs.mask, square < 0.5)
    assert lungs.embedding == pytest.approx([(square.mean() - 0.5) / 0.5], abs=1e-6)
    assert segmenter.checksum == sha256_of(dark_is_lung / LUNGS)


def test_films_together_are_the_films_one_by_one(dark_is_lung: Path) -> None:
    segmenter = LungSegmenter(dark_is_lung, threads=1)
    random = np.random.default_rng(1)
    squares = [segmenter.preprocess.square(film(random)) for _ in range(3)]
    together = segmenter.segment_squares(squares)
    for square, lungs in zip(squares, together, strict=True):
        np.testing.assert_array_equal(lungs.mask, segmenter.segment_squares([square])[0].mask)
    assert segmenter.segment_squares([]) == []


def test_no_network_and_a_changed_description_are_named(tmp_path: Path, dark_is_lung: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(BundleError, match="no lung network here"):
        LungSegmenter(empty)
    values = json.loads((dark_is_lung / LUNGS_SPEC).read_text())
    (dark_is_lung / LUNGS_SPEC).write_text(json.dumps(values | {"dice": 1}))
    with pytest.raises(BundleError, match=r"lungs\.json"):
        LungSegmenter(dark_is_lung)
    (dark_is_lung / LUNGS_SPEC).write_text("{")
    with pytest.raises(BundleError, match=r"lungs\.json"):
        LungSegmenter(dark_is_lung)


def test_the_network_of_the_package() -> None:
    segmenter = LungSegmenter(threads=1)
    one, other = (segmenter.segment(film(np.random.default_rng(seed))) for seed in (2, 3))
    side = one.mask.shape[0]
    assert one.mask.shape == (side, side)
    assert one.embedding.shape == other.embedding.shape
    assert not np.allclose(one.embedding, other.embedding)
    assert b"site-packages" not in (DEFAULT_BUNDLE / "model.onnx").read_bytes()


def test_the_network_of_bundles_up_to_0_3_0() -> None:
    segmenter = LungSegmenter(TEACHER, threads=1)
    lungs = segmenter.segment(film(np.random.default_rng(2)))
    assert lungs.mask.shape == (224, 224)
    assert lungs.embedding.shape == (224,)
    made, measured = segmenter.spec.made, segmenter.spec.measured
    assert {"recipe", "environment", "command", "data_fingerprint", "seed", "held_out"} <= set(made)
    assert len(made["held_out"]) == made["films"]["test"]
    assert str(Path.cwd().parent) not in json.dumps(made)
    for collection in ("openist", "shenzhen", "covid-chestxray-dataset"):
        dice = measured["collections"][collection]["manual masks"]["dice"]
        assert 0.94 < dice["low"] < dice["value"] < dice["high"] < 1
