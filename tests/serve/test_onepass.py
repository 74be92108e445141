"""A bundle of one network: lungs, opacities and answers from one inference."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from hilum.bundle.folder import seal
from hilum.bundle.lungs import LungSegmenter
from hilum.bundle.manifest import Manifest
from hilum.bundle.onepass import MapOpacities, OnePass, SeenLungs, open_segmenter
from hilum.bundle.onnx import Graph
from hilum.bundle.opacities import OPACITIES_SPEC, OpacitySpec
from hilum.core.details import Opacity
from hilum.core.errors import BundleError
from hilum.core.reading import Status
from hilum.image.lungs import Lungs
from hilum.image.opacities import KINDS
from hilum.image.open import open_radiograph
from hilum.serve.reader import Reader, load_bundle

SIZE, SMALL = 64, 16
GLASS, DENSE = (64, 112, 48, 80), (144, 192, 160, 208)
"""Rows and columns of the two opacities on the film."""


def draw() -> np.ndarray:
    """A light chest with two dark lungs; ground-glass in the right one, consolidation in the left.

    uint8 (256, 256): 230 outside, 30 in the lungs, 100 and 140 in the opacities.
    """
    film = np.full((256, 256), 230, np.uint8)
    film[48:208, 32:112] = film[48:208, 144:224] = 30
    for (top, bottom, left, right), grey in ((GLASS, 100), (DENSE, 140)):
        film[top:bottom, left:right] = grey
    return film


def graph() -> bytes:
    """What is darker than 0.65 is lung, on either half; lighter than 0.3, opacity; 0.5, dense.

    What is no lung is no opacity, either.
    """
    gains = np.array([-60.0, -60.0, 60.0, 60.0], np.float32).reshape(1, 4, 1, 1)
    cuts = np.array([0.65, 0.65, 0.3, 0.5], np.float32).reshape(1, 4, 1, 1)
    half = np.zeros((1, 4, SMALL, SMALL), np.float32)
    half[0, 0, :, SMALL // 2 :] = half[0, 1, :, : SMALL // 2] = -100
    constants = {
        "gains": gains,
        "cuts": cuts,
        "half": half,
        "falls": np.array([0.0, 0.0, -60.0, -60.0], np.float32).reshape(1, 4, 1, 1),
        "most": np.array([1e3, 1e3, 39.0, 39.0], np.float32).reshape(1, 4, 1, 1),
        "two": np.array([2.0, -3.0], np.float32).reshape(1, 2, 1, 1),
        "bias": np.array([-0.5, 0.25], np.float32),
        "axes": np.array([2, 3], np.int64),
    }
    nodes = [
        helper.make_node("AveragePool", ["image"], ["coarse"], kernel_shape=[4, 4], strides=[4, 4]),
        helper.make_node("Sub", ["coarse", "cuts"], ["above"]),
        helper.make_node("Mul", ["above", "gains"], ["whole"]),
        helper.make_node("Add", ["whole", "half"], ["halves"]),
        helper.make_node("Mul", ["coarse", "falls"], ["darker"]),
        helper.make_node("Add", ["darker", "most"], ["inside"]),
        helper.make_node("Min", ["halves", "inside"], ["maps"]),
        helper.make_node("Mul", ["coarse", "two"], ["evidence"]),
        helper.make_node("ReduceMean", ["evidence", "axes"], ["mean"], keepdims=0),
        helper.make_node("Add", ["mean", "bias"], ["logits"]),
        helper.make_node("ReduceMean", ["maps", "axes"], ["embedding"], keepdims=0),
    ]
    shapes = {
        "logits": ["N", 2],
        "evidence": ["N", 2, SMALL, SMALL],
        "embedding": ["N", 4],
        "maps": ["N", 4, SMALL, SMALL],
    }
    model = helper.make_graph(
        nodes,
        "one pass",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["N", 1, SIZE, SIZE])],
        [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
            for name, shape in shapes.items()
        ],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    made = helper.make_model(model, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.checker.check_model(made)
    return bytes(made.SerializeToString())


@pytest.fixture
def bundle(make_bundle, tmp_path: Path) -> Path:
    as_it_is = {"low_percentile": None, "high_percentile": None, "mean": 0.0, "std": 1.0}
    root = make_bundle(tmp_path / "bundle", **as_it_is)
    values = json.loads((root / "bundle.json").read_text()) | {"maps": True}
    manifest = Manifest.model_validate(values)
    (root / "bundle.json").write_text(manifest.model_dump_json())
    (root / "model.onnx").write_bytes(graph())
    limits = {Opacity.GROUND_GLASS: 0.5, Opacity.CONSOLIDATION: 0.5}
    spec = OpacitySpec(preprocess=manifest.preprocess, thresholds=limits)
    (root / OPACITIES_SPEC).write_text(spec.model_dump_json())
    seal(root)
    return root


@pytest.fixture
def reader(bundle: Path) -> Reader:
    return load_bundle(bundle)


@pytest.fixture
def film(tmp_path: Path) -> Path:
    cv2.imwrite(str(tmp_path / "film.png"), draw())
    return tmp_path / "film.png"


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many films each inference saw."""
    seen: list[int] = []
    run = Graph.run

    def count(self: Graph, inputs: np.ndarray, outputs: list[str]) -> list[np.ndarray]:
        seen.append(len(inputs))
        return run(self, inputs, outputs)

    monkeypatch.setattr(Graph, "run", count)
    return seen


def overlap(one: np.ndarray, other: np.ndarray) -> float:
    return 2 * (one & other).sum() / (one.sum() + other.sum())


def test_one_inference_says_everything_of_a_film(
    reader: Reader, film: Path, runs: list[int]
) -> None:
    (examined,) = reader.examine([film], details=True)
    assert runs == [1]
    assert examined.reading.status is Status.READ
    grey = draw()
    assert isinstance(examined.lungs, SeenLungs)
    assert overlap(examined.lungs.mask, grey < 200) > 0.93
    assert examined.opacities is not None
    glass, dense = map(examined.opacities.mask, KINDS)
    for found, grey_level in ((glass, 100), (dense, 140)):
        assert overlap(found, grey == grey_level) > 0.8
    details = examined.reading.details
    assert details is not None
    assert len(details.lungs) == 2
    assert {lesion.kind for lesion in details.lesions} == set(Opacity)


def test_the_answers_are_those_of_the_network_alone(
    reader: Reader, film: Path, runs: list[int]
) -> None:
    reading = reader.read(film)
    assert runs == [1]
    logits, _ = reader.run(reader.preprocess(open_radiograph(film))[None])
    assert [finding.logit for finding in reading.findings] == pytest.approx(logits[0].tolist())


def test_many_films_are_each_seen_once_and_a_bad_one_never(
    reader: Reader, film: Path, tmp_path: Path, runs: list[int]
) -> None:
    broken, small = tmp_path / "broken.png", tmp_path / "small.png"
    broken.write_bytes(film.read_bytes()[:200])
    cv2.imwrite(str(small), draw()[:20, :20])
    found = [one.status for one in reader.read_many([film, broken, film, small, film])]
    assert found == [Status.READ, Status.ERROR, Status.READ, Status.REFUSED, Status.READ]
    assert sum(runs) == 3


def test_lungs_drawn_by_hand_are_looked_into_once_more(bundle: Path, film: Path) -> None:
    opacities = MapOpacities(bundle)
    mask = np.zeros((256, 256), bool)
    mask[48:208, 32:112] = True  # the right lung alone
    found = opacities.segment(open_radiograph(film), Lungs.drawn(mask))
    glass, dense = map(found.mask, KINDS)
    assert overlap(glass, draw() == 100) > 0.8
    assert not dense.any()
    none = opacities.segment(open_radiograph(film), Lungs.drawn(np.zeros((256, 256), bool)))
    assert not none.mask().any()


def test_nothing_is_lost_where_the_kinds_meet(reader: Reader, tmp_path: Path) -> None:
    grey = np.full((256, 256), 230, np.uint8)
    grey[48:208, 32:112] = grey[48:208, 144:224] = 100
    grey[112:160, 32:112] = 140  # consolidation between two parts of ground-glass
    cv2.imwrite(str(tmp_path / "meet.png"), grey)
    (examined,) = reader.examine([tmp_path / "meet.png"], details=True)
    assert examined.opacities is not None
    inside = cv2.erode((grey < 200).astype(np.uint8), np.ones((25, 25), np.uint8)) > 0
    assert examined.opacities.mask()[inside].all()


def test_a_folder_says_what_finds_its_lungs(bundle: Path, tmp_path: Path, make_bundle) -> None:
    assert isinstance(open_segmenter(bundle), OnePass)
    assert isinstance(open_segmenter(None), LungSegmenter)
    with pytest.raises(BundleError, match="no lung network"):
        open_segmenter(make_bundle(tmp_path / "plain"))
