"""COVID-19 given opacity: which films teach it, and what they teach."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.optimize import minimize

from hilum.core.errors import ConfigError
from hilum.image.preprocess import Preprocess
from hilum.learn.films import Films
from hilum.learn.given import contrasts, learn_given
from hilum.learn.networks import build_network
from hilum.learn.networks.dense import LAYOUT, DenseNetwork
from hilum.learn.predict import inputs_of, predict_logits

SIZE = 64
PREPROCESS = Preprocess.parse({"size": SIZE, "region": "film", "channels": 3}, where="test")


def table(**columns: list) -> pd.DataFrame:
    count = len(next(iter(columns.values())))
    return pd.DataFrame({"case_id": [f"c/{place}" for place in range(count)], **columns})


def test_what_teaches_covid_given_opacity_and_how_much() -> None:
    nan = np.nan
    cases = table(
        cohort=["both"] * 4 + ["looks"] * 4 + ["covid"] * 2 + ["tb"] * 2 + ["ward"],
        appearance=[""] * 4 + ["typical", "atypical", "indeterminate", "negative"] + [""] * 5,
        **{
            "covid-19": [1, 1, 0, 0, 1, nan, nan, 0, 1, 1, 0, 0, 0],
            "pneumonia": [nan, nan, 1, nan, nan, nan, nan, nan, nan, nan, nan, nan, 1],
            "no-finding": [nan, nan, nan, 1, nan, nan, nan, nan, nan, nan, nan, nan, nan],
            "tuberculosis": [nan] * 10 + [1, 1, nan],
        },
    )
    answer, weight = contrasts(cases)
    expected = [1, 1, 0, nan, 1, 0, 0, nan, 1, 1, 0, 0, 0]
    np.testing.assert_array_equal(answer, expected)
    third, half = 1 / 3, 1 / 2
    inside = np.array([half, half, 1, 0, 1, half, half, 0, 0, 0, 0, 0, 0])
    across = np.array(
        [third / 2] * 2 + [0, 0, third] + [0] * 3 + [third / 2] * 2 + [1 / 4] * 2 + [half]
    )
    np.testing.assert_allclose(weight / weight.sum(), (inside + 2 * across) / 8)
    assert weight[weight > 0].mean() == pytest.approx(1)


def test_one_class_alone_teaches_nothing() -> None:
    cases = table(cohort=["a", "b"], **{"covid-19": [1, 1], "pneumonia": [1, 1]})
    assert contrasts(cases)[1].tolist() == [0, 0]


@pytest.fixture
def network() -> DenseNetwork:
    torch.manual_seed(0)
    made = build_network("dense", labels=2, channels=3, size=SIZE, pretrained=False)
    assert isinstance(made, DenseNetwork)
    with torch.no_grad():
        for _ in range(20):
            made(torch.randn(8, 3, SIZE, SIZE))
    return made.eval()


def films(cases: pd.DataFrame) -> Films:
    random = np.random.default_rng(0)
    squares = random.random((len(cases), SIZE, SIZE)).astype(np.float16)
    squares[::2, :, : SIZE // 2] *= np.float16(0.3)
    return Films(cases, squares, np.arange(len(cases)), pd.DataFrame(), {})


def test_it_is_the_penalized_regression_on_the_layout_and_kept(
    network: DenseNetwork, tmp_path: Path
) -> None:
    cases = table(
        cohort=["both"] * 30,
        **{"covid-19": [1.0, 0.0] * 15, "pneumonia": [1.0] * 30},
    )
    shown, path = films(cases), tmp_path / "given.json"
    learn_given(network, shown, PREPROCESS, path)
    with torch.inference_mode():
        layout = network.look_at(torch.from_numpy(inputs_of(shown, PREPROCESS))).double().numpy()
    truth = cases["covid-19"].to_numpy()

    def cost(values: np.ndarray) -> float:
        margin = (2 * truth - 1) * (layout @ values[1:] + values[0])
        return float(np.logaddexp(0, -margin).sum() * 0.01 + values[1:] @ values[1:] / 2)

    independent = minimize(cost, np.zeros(1 + len(LAYOUT)), method="BFGS").x
    found = json.loads(path.read_text())
    named = [found["bias"], *(found["weights"][name] for name in LAYOUT)]
    np.testing.assert_allclose(named, independent, atol=1e-3)
    np.testing.assert_allclose(network.layout.weight[0].detach(), named[1:], rtol=1e-5)
    before = predict_logits(network, shown, PREPROCESS)
    given = layout @ np.array(named[1:])
    assert given[truth == 1].mean() > given[truth == 0].mean()

    with torch.no_grad():
        network.layout.weight[0] = 9
    learn_given(network, films(table(cohort=[])), PREPROCESS, path)  # without its films
    np.testing.assert_array_equal(predict_logits(network, shown, PREPROCESS), before)


@pytest.mark.parametrize("damage", [("0.01", "0.02"), ('"apart"', '"far"'), ("{", "")])
def test_what_another_version_kept_or_is_damaged_is_refused(
    network: DenseNetwork, tmp_path: Path, damage: tuple[str, str]
) -> None:
    path, none = tmp_path / "given.json", films(table(cohort=["a"], **{"covid-19": [1.0]}))
    learn_given(network, none, PREPROCESS, path)
    path.write_text(path.read_text().replace(*damage))
    with pytest.raises(ConfigError, match=r"given\.json"):
        learn_given(network, none, PREPROCESS, path)


def test_without_a_contrast_it_says_one_half(network: DenseNetwork, tmp_path: Path) -> None:
    shown = films(table(cohort=["a"] * 4, **{"covid-19": [1.0] * 4}))
    learn_given(network, shown, PREPROCESS, tmp_path / "given.json")
    with torch.inference_mode():
        given = network(torch.from_numpy(inputs_of(shown, PREPROCESS))).given
    np.testing.assert_array_equal(given[:, 0], 0)
