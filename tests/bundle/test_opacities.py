from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from hilum.bundle.opacities import (
    OPACITIES,
    OPACITIES_SPEC,
    OpacitySegmenter,
    OpacitySpec,
    open_opacities,
    place,
)
from hilum.core.details import Opacity
from hilum.core.errors import BundleError
from hilum.core.radiograph import Radiograph
from hilum.image.lungs import Lungs
from hilum.image.opacities import Regions, find_regions
from hilum.image.preprocess import Preprocess

SIDE = 32
HOW = Preprocess(
    size=SIDE,
    channels=1,
    region="lung-field",
    margin=0.0,
    low_percentile=None,
    high_percentile=None,
    mean=0.5,
    std=0.5,
)


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """A network whose logits are 10 x and -10 x its input, x in [-1, 1]."""
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        [
            helper.make_node("Mul", ["image", "gain"], ["one"]),
            helper.make_node("Neg", ["one"], ["other"]),
            helper.make_node("Concat", ["one", "other"], ["opacities"], axis=1),
        ],
        "twofold",
        [value("image", TensorProto.FLOAT, ["N", 1, SIDE, SIDE])],
        [value("opacities", TensorProto.FLOAT, ["N", 2, SIDE, SIDE])],
        [helper.make_tensor("gain", TensorProto.FLOAT, [1], [10.0])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.save(model, tmp_path / OPACITIES)
    write(tmp_path, OpacitySpec(preprocess=HOW, thresholds=dict.fromkeys(Opacity, 0.5)))
    return tmp_path


def write(root: Path, spec: OpacitySpec) -> None:
    (root / OPACITIES_SPEC).write_text(spec.model_dump_json(), encoding="utf-8")


def lungs_in(top: int, left: int, bottom: int, right: int, side: int = 64) -> Lungs:
    mask = np.zeros((side, side), bool)
    mask[top:bottom, left:right] = True
    return Lungs(mask, np.zeros(0, np.float32))


def test_what_is_light_inside_the_lungs_is_found_where_it_is(bundle: Path) -> None:
    pixels = np.zeros((200, 100), np.float32)
    pixels[100:, :] = 1  # the lower half of the film
    film = Radiograph(pixels, "made", "PNG", 8)
    lungs = lungs_in(16, 8, 48, 56)
    segmenter = open_opacities(bundle)
    assert segmenter is not None
    found = segmenter.segment(film, lungs)
    assert found.scores.dtype == np.float32
    glass, dense = (found.mask(kind) for kind in Opacity)
    expected = lungs.mask.copy()
    expected[:32] = False
    assert (glass ^ expected)[[*range(31), *range(33, 64)]].sum() == 0
    assert np.array_equal(dense[:31], (lungs.mask & ~expected)[:31])
    assert (found.scores[:, ~lungs.mask] == 0).all()


def test_the_rule_of_the_description_is_applied(bundle: Path) -> None:
    pixels = np.full((64, 64), 0.55, np.float32)  # a score of 0.73 in all of both lungs
    pixels[:, 32:] = 0.9
    film = Radiograph(pixels, "made", "PNG", 8)
    lungs = Lungs(lungs_in(16, 8, 48, 28).mask | lungs_in(16, 36, 48, 56).mask, np.zeros(0))
    limits = dict.fromkeys(Opacity, 0.5)
    before = OpacitySegmenter(bundle).segment(film, lungs)
    assert before.mask()[:, :32].any()
    rule = Regions(reach=0.6, core=0.9, least=0.1)
    write(bundle, OpacitySpec(preprocess=HOW, thresholds=limits, regions=rule))
    after = OpacitySegmenter(bundle).segment(film, lungs)
    assert np.array_equal(after.regions, find_regions(before.scores, lungs.mask, rule))
    assert np.array_equal(after.scores, before.scores)
    assert not after.mask()[:, :28].any()
    assert np.array_equal(after.mask()[:, 40:], before.mask()[:, 40:])


def test_a_description_of_the_first_version_is_read_as_it_was(bundle: Path) -> None:
    values = json.loads((bundle / OPACITIES_SPEC).read_text())
    del values["regions"]
    (bundle / OPACITIES_SPEC).write_text(json.dumps(values | {"schema_version": "1"}))
    segmenter = OpacitySegmenter(bundle)
    assert segmenter.spec.regions is None
    faint = np.full((2, 64, 64), 0.5, np.float32)
    assert segmenter.spec.opacities(faint, np.ones((64, 64), bool)).mask().all()


def test_without_lungs_nothing_is_opaque(bundle: Path) -> None:
    film = Radiograph(np.ones((50, 50), np.float32), "made", "PNG", 8)
    empty = Lungs(np.zeros((64, 64), bool), np.zeros(0, np.float32))
    found = OpacitySegmenter(bundle).segment(film, empty)
    assert found.scores.shape == (2, 64, 64)
    assert not found.mask().any()


def test_scores_are_placed_on_the_lung_field_alone() -> None:
    lungs = lungs_in(10, 20, 40, 50)
    scores = place(np.full((2, 8, 8), 100, np.float32), HOW, lungs)
    assert scores.shape == (2, 64, 64)
    assert np.array_equal(scores[0] > 0.99, lungs.mask)
    assert np.isfinite(place(np.full((2, 8, 8), -1e6, np.float32), HOW, lungs)).all()


def test_a_bundle_without_is_none(tmp_path: Path) -> None:
    assert open_opacities(tmp_path) is None


@pytest.mark.parametrize("gone", [OPACITIES, OPACITIES_SPEC])
def test_half_a_network_is_an_error(bundle: Path, gone: str) -> None:
    (bundle / gone).unlink()
    with pytest.raises(BundleError):
        open_opacities(bundle)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"thresholds": {"ground-glass": 0.5}}, "opacities.json"),
        ({"preprocess": {"fit": "pad"}}, "opacities.json"),
        ({"unknown": 1}, "opacities.json"),
        ({"regions": {"reach": 0, "core": 0.5}}, r"regions\.reach"),
    ],
)
def test_a_spec_that_was_changed_is_refused(bundle: Path, change: dict, said: str) -> None:
    path = bundle / OPACITIES_SPEC
    path.write_text(json.dumps(json.loads(path.read_text()) | change), encoding="utf-8")
    with pytest.raises(BundleError, match=said):
        open_opacities(bundle)


def test_thresholds_are_in_the_order_of_the_maps(bundle: Path) -> None:
    limits = {Opacity.CONSOLIDATION: 0.7, Opacity.GROUND_GLASS: 0.2}
    write(bundle, OpacitySpec(preprocess=HOW, thresholds=limits))
    assert OpacitySegmenter(bundle).spec.limits == (0.2, 0.7)


@pytest.mark.parametrize("limit", [0.0, -1.0, 1.5, float("nan")])
def test_a_threshold_that_the_outside_of_lungs_reaches_is_refused(bundle, limit):
    values = json.loads((bundle / OPACITIES_SPEC).read_text())
    values["thresholds"]["consolidation"] = limit
    (bundle / OPACITIES_SPEC).write_text(json.dumps(values))
    with pytest.raises(BundleError, match=r"thresholds\.consolidation: Input should be"):
        open_opacities(bundle)
