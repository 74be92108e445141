"""An ensemble is the mean of its members, in torch, in ONNX, and with weights of half the size."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from hilum.core.errors import BundleError
from hilum.image.preprocess import Preprocess
from hilum.learn import export
from hilum.learn.export import export_onnx, open_session, run_session
from hilum.learn.fit import fit
from hilum.learn.networks import build_network
from hilum.learn.networks.ensemble import EnsembleNetwork
from hilum.learn.predict import predict_logits

SIZE = 64


def members(count: int = 2) -> list[torch.nn.Module]:
    torch.manual_seed(0)
    built = [build_network("tiny", labels=2, channels=1, size=SIZE) for _ in range(count)]
    for place, network in enumerate(built):
        torch.nn.init.constant_(network.bias, float(place))
    return [network.eval() for network in built]


def test_it_is_the_mean_of_its_members_and_keeps_the_identity() -> None:
    networks, films = members(), torch.randn(3, 1, SIZE, SIZE)
    ensemble = EnsembleNetwork(networks)
    with torch.no_grad():
        output, each = ensemble(films), [network(films) for network in networks]
    expected = (each[0].logits + each[1].logits) / 2
    torch.testing.assert_close(output.logits, expected)
    torch.testing.assert_close(output.logits, output.evidence.mean((2, 3)) + ensemble.bias)
    assert output.embedding.shape[1] == 2 * each[0].embedding.shape[1]


def test_half_the_space_and_nearly_the_same_scores(tmp_path: Path) -> None:
    films = np.random.default_rng(0).normal(size=(4, 1, SIZE, SIZE)).astype(np.float32)
    preprocess = Preprocess(size=SIZE, channels=1)
    ensemble = EnsembleNetwork(members()).eval()
    whole, half = tmp_path / "whole.onnx", tmp_path / "half.onnx"
    export_onnx(ensemble, preprocess, whole, films)
    parity = export_onnx(ensemble, preprocess, half, films, half=True)
    assert half.stat().st_size < 0.75 * whole.stat().st_size
    assert parity.score <= 5e-3
    one, other = (run_session(open_session(path), films) for path in (whole, half))
    np.testing.assert_allclose(one[0], other[0], atol=2e-2)
    assert one[1].dtype == other[1].dtype == np.float32


def test_half_weights_that_change_the_scores_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export, "HALF_TOLERANCE", 0.0)
    films = np.ones((2, 1, SIZE, SIZE), np.float32)
    with pytest.raises(BundleError, match="ONNX differs from torch"):
        export_onnx(
            members()[0], Preprocess(size=SIZE, channels=1), tmp_path / "m.onnx", films, half=True
        )
    assert not list(tmp_path.iterdir())


def test_members_are_the_runs_of_their_seeds(make_cases, tiny_recipe, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    cases = make_cases()
    both = fit(tiny_recipe({"members": 2, "seed": 3}), cases, tmp_path / "both")
    alone = [fit(tiny_recipe({"seed": seed}), cases, tmp_path / f"seed-{seed}") for seed in (3, 4)]
    preprocess = tiny_recipe().preprocess
    logits = [predict_logits(each.network, both.val, preprocess) for each in (both, *alone)]
    np.testing.assert_allclose(logits[0], (logits[1] + logits[2]) / 2, atol=1e-5)
    assert (tmp_path / "both" / "member-2" / "curves.csv").is_file()
