from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from hilum.bundle.folder import open_bundle, seal
from hilum.core.errors import BundleError
from hilum.core.machine import cores
from hilum.serve.session import NetworkSession


def _blocks(inputs):
    """The fixture's arithmetic, written again with NumPy."""
    n, channels, size, _ = inputs.shape
    tiles = inputs.reshape(n, channels, size // 8, 8, size // 8, 8).mean(axis=(1, 3, 5))
    return np.stack([3.0 * tiles, -1.5 * tiles], axis=1)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("count", [1, 5])
def test_the_network_gives_its_arithmetic(make_bundle, tmp_path, channels, count):
    session = NetworkSession(open_bundle(make_bundle(tmp_path / "b", channels=channels)))
    inputs = np.random.default_rng(0).normal(size=(count, channels, 64, 64)).astype(np.float32)
    logits, evidence = session.run(inputs)
    assert evidence is not None
    np.testing.assert_allclose(evidence, _blocks(inputs), atol=1e-5)
    np.testing.assert_allclose(logits, evidence.mean((2, 3)) + np.array([-0.5, 0.25]), atol=1e-5)


def test_without_evidence_there_is_none(make_bundle, tmp_path):
    session = NetworkSession(open_bundle(make_bundle(tmp_path / "b", evidence=False)))
    logits, evidence = session.run(np.zeros((2, 1, 64, 64), np.float32))
    assert evidence is None
    np.testing.assert_allclose(logits, [[-0.5, 0.25]] * 2, atol=1e-6)


@pytest.fixture
def bundle(small_bundle, tmp_path):
    return Path(shutil.copytree(small_bundle, tmp_path / "bundle"))


def _rewrite(root, **changes):
    values = json.loads((root / "bundle.json").read_text())
    (root / "bundle.json").write_text(json.dumps(values | changes))
    seal(root)


def test_a_graph_that_is_no_onnx_is_named(bundle):
    (bundle / "model.onnx").write_bytes(b"not a network")
    seal(bundle)
    with pytest.raises(BundleError, match=r"model\.onnx"):
        NetworkSession(open_bundle(bundle))


def test_a_missing_graph_is_named(bundle):
    (bundle / "model.onnx").unlink()
    seal(bundle)
    with pytest.raises(BundleError, match=r"model\.onnx"):
        NetworkSession(open_bundle(bundle))


def test_a_graph_of_another_size_is_named(bundle):
    _rewrite(bundle, preprocess={"size": 32, "channels": 1})
    with pytest.raises(BundleError, match=r"inputs .*64.*expected .*32"):
        NetworkSession(open_bundle(bundle))


def test_a_graph_with_other_labels_is_named(bundle):
    labels = json.loads((bundle / "bundle.json").read_text())["labels"]
    _rewrite(bundle, labels=labels[:1])
    with pytest.raises(BundleError, match="expected 'logits' of 1 labels"):
        NetworkSession(open_bundle(bundle))


def test_evidence_that_is_promised_must_be_there(make_bundle, tmp_path):
    root = make_bundle(tmp_path / "b", evidence=False)
    _rewrite(root, evidence=True)
    with pytest.raises(BundleError, match="'evidence'"):
        NetworkSession(open_bundle(root))


def test_a_wrong_batch_is_a_bundle_error(small_bundle):
    session = NetworkSession(open_bundle(small_bundle))
    with pytest.raises(BundleError, match=r"model\.onnx"):
        session.run(np.zeros((1, 1, 32, 32), np.float32))


def test_cores_are_those_of_this_process():
    assert cores() >= 1
