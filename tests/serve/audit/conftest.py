"""Films whose truth is planted, and three models whose verdict is known beforehand.

A film is a grey trunk with two dark lungs. In the world "opacity" disease is a bright spot in a
lung, and markers lie at random; in the world "marker" it is a bright square in a corner that
nearly all positive films have, and no lung shows anything.
"""

from __future__ import annotations

import cv2
import numpy as np
import onnx
import pandas as pd
import pytest
from onnx import TensorProto, helper, numpy_helper
from sklearn.linear_model import LogisticRegression

from hilum.core.radiograph import Radiograph
from hilum.image.lungs import Lungs
from hilum.image.perturb import with_ecg_lead, with_text
from hilum.image.preprocess import Preprocess
from hilum.serve.audit import OnnxSubject

SIDE = 128
INPUT = 24
PREPROCESS = Preprocess(
    size=INPUT, channels=1, low_percentile=None, high_percentile=None, mean=0.0, std=1.0
)


def film(truth, world, rng):
    """Return pixels float32, lungs bool and what is opaque in them bool, each (SIDE, SIDE)."""
    rows, columns = np.mgrid[:SIDE, :SIDE] / SIDE
    lungs = np.zeros((SIDE, SIDE), bool)
    spot = np.zeros((SIDE, SIDE))
    left = bool(rng.integers(2))
    for side, center in ((True, 0.30), (False, 0.70)):
        x, y = center + rng.normal(0, 0.01), 0.5 + rng.normal(0, 0.01)
        lungs |= ((columns - x) / 0.15) ** 2 + ((rows - y) / 0.30) ** 2 < 1
        if world == "opacity" and truth and side is left:
            at = y + rng.uniform(-0.1, 0.1)
            spot = 0.5 * np.exp(-((columns - x) ** 2 + (rows - at) ** 2) / (2 * 0.08**2))
    pixels = np.where(lungs, 0.2, 0.6) + spot * lungs + rng.normal(0, 0.02, lungs.shape)
    pixels = 0.5 + (pixels - 0.5) * rng.normal(1, 0.1) + rng.normal(0, 0.06)  # exposure
    marked = rng.random() < (0.5 if world == "opacity" else 0.95 if truth else 0.05)
    if marked:
        pixels[4:16, 4:16] = 0.95
    return np.clip(pixels, 0, 1).astype(np.float32), lungs, lungs & (spot > 0.1)


def disturbed(pixels, rng):
    """Half of the training films of the honest world carry text or a wire, whatever the truth."""
    radiograph = Radiograph(pixels, "made", "PNG", 8)
    if rng.random() < 0.5:
        radiograph = with_text(radiograph, "PORTABLE"[: rng.integers(1, 9)], "right", rng)
    if rng.random() < 0.5:
        radiograph = with_ecg_lead(radiograph, rng)
    return radiograph.pixels


def linear(weights, bias, path):
    """Write logits = mean(image x weights) + bias with its exact evidence and an embedding."""
    constants = {
        "weights": weights.reshape(1, 1, INPUT, INPUT).astype(np.float32) * INPUT**2,
        "axes": np.array([2, 3], np.int64),
        "bias": np.array([bias], np.float32),
    }
    nodes = [
        helper.make_node("Mul", ["image", "weights"], ["evidence"]),
        helper.make_node("ReduceMean", ["evidence", "axes"], ["mean"], keepdims=0),
        helper.make_node("Add", ["mean", "bias"], ["logits"]),
        helper.make_node("AveragePool", ["image"], ["pool"], kernel_shape=[6, 6], strides=[6, 6]),
        helper.make_node("Flatten", ["pool"], ["embedding"]),
    ]
    shapes = {"logits": [1], "evidence": [1, INPUT, INPUT], "embedding": [16]}
    graph = helper.make_graph(
        nodes,
        "linear",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["N", 1, INPUT, INPUT])],
        [helper.make_tensor_value_info(k, TensorProto.FLOAT, ["N", *v]) for k, v in shapes.items()],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.save(model, path)
    return path


def trained(world, path, films=500):
    rng = np.random.default_rng(11)
    truth = np.arange(films) % 2 == 0
    pixels = [film(t, world, rng)[0] for t in truth]
    if world == "opacity":
        pixels = [disturbed(each, rng) for each in pixels]
    inputs = np.stack([PREPROCESS(Radiograph(p, "made", "PNG", 8)).ravel() for p in pixels])
    middle = inputs.mean(axis=0)
    model = LogisticRegression(C=1.0, max_iter=2000).fit(inputs - middle, truth)
    weights = model.coef_[0]
    return linear(weights, float(model.intercept_[0] - middle @ weights), path)


class Guarded(OnnxSubject):
    """Refuses a film whose lungs are brighter than what lies between them."""

    def guarded(self, films):
        scores = super().guarded(films)
        refused = [f.pixels[50:78, 34:42].mean() > f.pixels[50:78, 60:68].mean() for f in films]
        return np.where(refused, np.nan, scores)


@pytest.fixture(scope="session")
def models(tmp_path_factory):
    """Name -> ONNX file: trained on each world, and one with random weights."""
    folder = tmp_path_factory.mktemp("models")
    weights = np.random.default_rng(5).normal(0, 0.2, INPUT**2)
    bias = -float(0.5 * weights.sum())
    return {
        "opacity": trained("opacity", folder / "opacity.onnx"),
        "marker": trained("marker", folder / "marker.onnx"),
        "random": linear(weights, bias, folder / "random.onnx"),
    }


@pytest.fixture(scope="session")
def worlds(tmp_path_factory):
    """World -> cases table of 160 films on disk, and from a film to its lungs, and opacities.

    Films of "west" are half of each class; of its negatives half are portable, half tuberculosis.
    """
    return {name: _world(name, tmp_path_factory.mktemp(name)) for name in ("opacity", "marker")}


def _world(name, folder, films=160):
    rng = np.random.default_rng(23)
    rows, masks = [], {}
    for i in range(films):
        truth = bool(i % 2)
        pixels, lungs, opaque = film(truth, name, rng)
        path = str(folder / f"{i:03d}.png")
        cv2.imwrite(path, np.rint(pixels * 255).astype(np.uint8))
        masks[path] = lungs, opaque
        rows.append(
            {
                "case_id": f"made/{i}",
                "path": path,
                "cohort": "made",
                "source": ("east", "west")[i // 2 % 2],
                "patient_id": f"made/p{i}",
                "view": ("PA", "AP")[i // 4 % 2],
                "sex": ("M", "F")[i // 8 % 2],
                "age_years": 20.0 + i % 60,
                "covid-19": float(truth),
                "tuberculosis": float(not truth and i // 4 % 2 == 0),
            }
        )
    return (
        pd.DataFrame(rows),
        lambda radiograph: Lungs.drawn(masks[radiograph.path][0]),
        lambda radiograph, lungs: masks[radiograph.path][1],
    )


@pytest.fixture(scope="session")
def guarded():
    """From an ONNX file to a subject that refuses inverted films."""
    return lambda path: Guarded(path, PREPROCESS, output="logits")
