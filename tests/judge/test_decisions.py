from __future__ import annotations

import numpy as np
import pytest

from hilum.core.errors import CohortError
from hilum.core.labels import Label
from hilum.judge.decisions import fit_decisions


def _fit(n=400, **how):
    rng = np.random.default_rng(0)
    truth = (rng.random(n) < 0.4).astype(float)
    score = np.clip(rng.normal(0.4 + 0.25 * truth, 0.12), 0, 1)
    found = fit_decisions(
        truth, score, np.arange(n) // 2, label=Label.COVID_19, fitted_on="val", folds=50, **how
    )
    return found, truth, score


def test_three_points_a_calibration_and_sets_all_say_where_they_come_from():
    found, truth, score = _fit()
    names = [point.name for point in found.operating_points]
    assert names == ["balanced", "sensitive", "specific"]
    balanced, sensitive, specific = found.operating_points
    assert specific.threshold >= balanced.threshold >= sensitive.threshold
    assert sensitive.sensitivity.value >= 0.95
    assert specific.specificity.value >= 0.95
    said = {found.calibration.fitted_on, found.conformal.fitted_on}
    assert said | {point.chosen_on for point in found.operating_points} == {"val"}
    assert found.calibration(score).mean() == pytest.approx(truth.mean(), abs=0.05)
    assert found.conformal.coverage == 0.9


def test_the_cost_of_a_point_is_told_by_source():
    found, *_ = _fit(sources=np.array(["a", "b"] * 200))
    balanced = found.operating_points[0]
    assert balanced.rule == "largest Youden index"
    assert [cost.source for cost in balanced.sources] == ["a", "b"]


def test_one_class_has_no_decisions():
    with pytest.raises(CohortError, match="one class"):
        fit_decisions([1, 1], [0.1, 0.2], [0, 1], label=Label.COVID_19, fitted_on="val")
