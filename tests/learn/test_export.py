from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pandas as pd
import pytest
import torch
from torch import nn

from hilum.core.errors import BundleError
from hilum.image.preprocess import Preprocess
from hilum.learn.export import compare, export_onnx, sigmoid
from hilum.learn.films import open_films
from hilum.learn.networks import build_network, write_onnx
from hilum.learn.predict import inputs_of

MakeCases = Callable[..., pd.DataFrame]
PREPROCESS = Preprocess(size=32, channels=1)


def network(name: str = "tiny", **options: object) -> nn.Module:
    torch.manual_seed(4)
    built = build_network(name, labels=2, channels=1, size=32, **options)
    return built.eval()


@pytest.fixture
def films(make_cases: MakeCases, tmp_path: Path) -> np.ndarray:
    return inputs_of(open_films(make_cases(20), PREPROCESS, tmp_path / "cache"), PREPROCESS)


def test_onnx_and_torch_agree_and_the_evidence_is_the_logit(
    films: np.ndarray, tmp_path: Path
) -> None:
    path = tmp_path / "model.onnx"
    parity = export_onnx(network(), PREPROCESS, path, films)
    assert parity.films == 20
    assert parity.score <= 1e-4
    assert parity.evidence is not None
    assert parity.evidence <= 1e-4
    names = [each.name for each in onnx.load(path).graph.output]
    assert names == ["logits", "evidence", "embedding"]
    assert list(tmp_path.glob("*.data")) == []


def test_a_network_of_the_papers_has_no_evidence(films: np.ndarray, tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    assert export_onnx(network("abdelhady-2020"), PREPROCESS, path, films).evidence is None


def test_compare_measures_the_largest_difference_in_score(
    films: np.ndarray, tmp_path: Path
) -> None:
    ours = network()
    write_onnx(ours, tmp_path / "model.onnx", channels=1, size=32)
    with torch.no_grad():
        before = sigmoid(ours(torch.from_numpy(films)).logits.numpy())
        ours.bias += torch.tensor([0.0, 0.5])
        after = sigmoid(ours(torch.from_numpy(films)).logits.numpy())
    parity = compare(ours, tmp_path / "model.onnx", films)
    assert parity.score == pytest.approx(np.abs(after - before).max(), rel=1e-3)
    assert parity.evidence == pytest.approx(0.5, rel=1e-3)


def test_an_export_that_differs_is_refused_and_removed(
    films: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def wrong(ours: nn.Module, path: Path, **shape: int) -> None:
        write_onnx(ours, path, **shape)
        with torch.no_grad():
            ours.bias += 0.01

    monkeypatch.setattr("hilum.learn.export.write_onnx", wrong)
    with pytest.raises(BundleError, match=r"ONNX differs from torch on 20 films"):
        export_onnx(network(), PREPROCESS, tmp_path / "model.onnx", films)
    assert not (tmp_path / "model.onnx").exists()


def test_a_nan_is_no_agreement(films: np.ndarray, tmp_path: Path) -> None:
    broken = network()
    with torch.no_grad():
        broken.bias.fill_(float("nan"))
    with pytest.raises(BundleError):
        export_onnx(broken, PREPROCESS, tmp_path / "model.onnx", films)
