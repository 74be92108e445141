from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hilum.bundle.severity import (
    MAXIMA,
    SEVERITY,
    SeverityModel,
    SeverityModels,
    open_severity,
    shorten,
)
from hilum.core.details import RESEARCH_SCORE, Scale
from hilum.core.errors import BundleError


def model(scale: Scale = Scale.EXTENT, **values: object) -> SeverityModel:
    about = {"films": 89, "patients": 61, "fitted_on": "made", "coverage": 0.9, "half_width": 1.5}
    weights = {"grey": (0.5, -1.0), "lungs": (2.0,)}
    return SeverityModel.model_validate(
        {"scale": scale, "intercept": 1.0, "weights": weights} | about | values
    )


FEATURES = {"grey": np.array([2.0, 1.0], np.float32), "lungs": np.array([1.5], np.float32)}


def test_an_estimate_is_the_linear_map_with_its_interval():
    found = model()(FEATURES)
    assert found.value == pytest.approx(1 + 0.5 * 2 - 1 + 2 * 1.5)
    assert (found.low, found.high) == (2.5, 5.5)
    assert (found.minimum, found.maximum, found.coverage) == (0, 8, 0.9)
    assert found.notice == RESEARCH_SCORE


@given(st.lists(st.floats(-1e6, 1e6), min_size=3, max_size=3), st.sampled_from(list(Scale)))
def test_no_estimate_leaves_its_scale(values, scale):
    features = {"grey": np.array(values[:2]), "lungs": np.array(values[2:])}
    found = model(scale)(features)
    assert 0 <= found.low <= found.value <= found.high <= MAXIMA[scale]


def test_the_first_model_whose_groups_are_there_answers():
    rich = model(weights={"grey": (0.0, 0.0), "extents": (1.0,)}, intercept=7.0)
    both = SeverityModels(models=(rich, model(), model(Scale.BRIXIA, weights={"extents": (1.0,)})))
    assert both.needs == {"grey", "lungs", "extents"}
    (poor,) = both.estimate(FEATURES)
    assert (poor.scale, poor.value) == (Scale.EXTENT, 4.0)
    found = both.estimate(FEATURES | {"extents": np.array([0.5])})
    assert [(each.scale, each.value) for each in found] == [
        (Scale.EXTENT, 7.5),
        (Scale.BRIXIA, 1.5),
    ]
    assert both.estimate({}) == ()


@pytest.mark.parametrize(
    "grey", [np.zeros(3), np.array([np.nan, 1.0]), np.zeros((1, 2))], ids=["long", "nan", "row"]
)
def test_features_of_another_network_are_refused(grey):
    with pytest.raises(BundleError, match=r"group 'grey' has shape .* expected \(2,\)"):
        SeverityModels(models=(model(),)).estimate(FEATURES | {"grey": grey})


def test_what_is_written_is_read_again(tmp_path: Path):
    models = SeverityModels(models=(model(), model(Scale.BRIXIA)), made={"a": [1, {"b": None}]})
    models.write(tmp_path / SEVERITY)
    assert open_severity(tmp_path) == models
    text = (tmp_path / SEVERITY).read_text()
    assert '"grey": [0.5,-1.0]' in text  # a list of weights is one line
    assert json.loads(text)["models"][0]["scale"] == "geographic-extent"


def test_no_file_is_no_models_and_a_broken_one_says_where(tmp_path: Path):
    assert open_severity(tmp_path) is None
    path = tmp_path / SEVERITY
    for text, words in (
        ("{", "severity.json"),
        (json.dumps({"models": []}), "models"),
        (SeverityModels(models=(model(),)).model_dump_json().replace("1.5", "null"), "half_width"),
        (
            json.dumps({"models": [json.loads(model().model_dump_json())] * 2}),
            "two models of one scale",
        ),
    ):
        path.write_text(text)
        with pytest.raises(BundleError, match=words):
            open_severity(tmp_path)


def test_five_digits_move_a_score_by_less_than_a_hundredth():
    rng = np.random.default_rng(0)
    weights, films = rng.normal(size=2800) / 50, rng.normal(size=(50, 2800))
    off = films @ weights - films @ np.array(shorten(weights))
    assert np.abs(off).max() < 0.001
