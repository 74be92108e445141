from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from hilum.core.maps import METHODS
from hilum.learn.explain.graph import OnnxModule
from hilum.learn.explain.methods import TORCH_METHODS, Subject
from hilum.learn.explain.pixels import PixelSettings
from hilum.learn.networks import build_network, write_onnx
from hilum.learn.networks.ensemble import EnsembleNetwork

SIZE = 64
BLACK = -2.0


def _film() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(1, SIZE, SIZE)).astype(np.float32)


def _network(name: str, seed: int = 0) -> torch.nn.Module:
    torch.manual_seed(seed)
    network = build_network(name, labels=2, channels=1, size=SIZE)
    with torch.no_grad():  # a head whose answers can be told from zero
        for parameter in network.parameters():
            parameter.add_(0.05 * torch.randn(parameter.shape))
    return network.eval()


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Subject:
    """Two networks with evidence in one graph."""
    path = tmp_path_factory.mktemp("tiny") / "m.onnx"
    ensemble = EnsembleNetwork([_network("tiny", seed) for seed in (1, 2)]).eval()
    write_onnx(ensemble, path, channels=1, size=SIZE)
    return Subject(OnnxModule(path), BLACK, settings=PixelSettings(steps=64, copies=3))


@pytest.fixture(scope="module")
def paper(tmp_path_factory: pytest.TempPathFactory) -> tuple[torch.nn.Module, Path]:
    path = tmp_path_factory.mktemp("paper") / "m.onnx"
    network = _network("usatov-kosik-2021")
    write_onnx(network, path, channels=1, size=SIZE)
    return network, path


def test_these_are_the_methods_that_need_gradients() -> None:
    assert set(TORCH_METHODS) == {name for name, each in METHODS.items() if each.gradients}


@pytest.mark.parametrize("name", TORCH_METHODS)
def test_every_method_gives_a_finite_map_of_the_right_sign(name: str, tiny: Subject) -> None:
    tiny.prepare(name, _film())
    found = tiny.explain(name, _film(), 1)
    assert found.dtype == np.float32
    assert found.shape in {(8, 8), (SIZE, SIZE)}
    assert np.isfinite(found).all()
    assert np.ptp(found) > 0
    if not METHODS[name].signed:
        assert found.min() >= 0
    assert np.array_equal(found, tiny.explain(name, _film(), 1))  # nothing is left behind


@pytest.mark.parametrize("place", [0, 1])
def test_on_an_evidence_network_hirescam_is_the_evidence(tiny: Subject, place: int) -> None:
    evidence = tiny.module.run(_film()[None])[1][0, place]
    assert tiny.explain("hirescam", _film(), place) == pytest.approx(evidence, abs=1e-5)
    assert tiny.explain("dense-weighted", _film(), place) == pytest.approx(evidence, abs=1e-5)
    clipped = np.maximum(evidence, 0)
    assert tiny.explain("grad-cam", _film(), place) == pytest.approx(clipped, abs=1e-5)


def test_the_mean_of_integrated_gradients_is_the_logit_less_that_of_black(tiny: Subject) -> None:
    film = _film()
    black = np.full_like(film, BLACK)
    logits = tiny.module.run(np.stack([film, black]))[0]
    mean = tiny.explain("integrated-gradients", film, 0).mean()
    assert mean == pytest.approx(logits[0, 0] - logits[1, 0], rel=0.05, abs=2e-3)


def test_black_pixels_have_no_integrated_gradients(tiny: Subject) -> None:
    film = _film()
    film[0, :20] = BLACK
    assert not tiny.explain("integrated-gradients", film, 0)[:20].any()


def test_layer_cam_is_its_formula(paper: tuple[torch.nn.Module, Path]) -> None:
    network, path = paper
    films = torch.from_numpy(_film())[None]
    activations = network.activations(films).detach().requires_grad_()
    logit = network.layers[19:](activations)[0, 0]
    (gradient,) = torch.autograd.grad(logit, activations)
    formula = (gradient.clamp(min=0) * activations).sum(1)[0].clamp(min=0) * 64
    found = Subject(OnnxModule(path), BLACK, "stride-8").explain("layer-cam", _film(), 0)
    assert found == pytest.approx(formula.detach().numpy(), abs=1e-4, rel=1e-3)


def test_brightness_is_that_of_the_paper_after_layer_19(
    paper: tuple[torch.nn.Module, Path],
) -> None:
    from hilum.learn.papers.usatov_kosik_2021 import brightness_map

    network, path = paper
    expected = brightness_map(network, torch.from_numpy(_film())[None])
    subject = Subject(OnnxModule(path), BLACK, "stride-8")
    assert subject.explain("brightness", _film(), 0) == pytest.approx(expected, rel=1e-5)
    smoothed = subject.explain("brightness-smoothed", _film(), 0)
    assert smoothed.shape == (SIZE, SIZE)
    assert np.ptp(smoothed) < 1.5 * np.ptp(expected)


def test_dense_weighted_is_the_product_of_the_dense_layers(
    paper: tuple[torch.nn.Module, Path],
) -> None:
    network, path = paper
    first, second = (m.weight for m in network.layers if isinstance(m, torch.nn.Linear))
    features = network.activations(torch.from_numpy(_film())[None], layer=20)[0]
    weights = (second @ first).reshape(2, *features.shape)
    expected = (weights[1] * features).sum(0) * features[0].numel()
    found = Subject(OnnxModule(path), BLACK).explain("dense-weighted", _film(), 1)
    assert found == pytest.approx(expected.detach().numpy(), abs=1e-3, rel=1e-3)


def test_smooth_grad_is_the_same_for_a_seed_and_leaves_torch_alone(tiny: Subject) -> None:
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    one = tiny.explain("smooth-grad", _film(), 0)
    assert torch.equal(torch.rand(3), expected)
    assert np.array_equal(one, tiny.explain("smooth-grad", _film(), 0))
