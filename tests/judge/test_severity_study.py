from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import pearsonr, spearmanr
from sklearn.metrics import cohen_kappa_score

from hilum.judge.severity_study import STATISTICS, agreement, icc


@pytest.fixture
def readers() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(1)
    first = rng.integers(0, 19, 90).astype(float)
    return first, np.clip(first + rng.integers(-4, 3, 90), 0, 18)


def test_statistics_are_those_of_other_libraries(readers):
    x, y = readers
    found = agreement(x, y, np.arange(90), folds=0)
    assert found["mae"].value == pytest.approx(np.abs(x - y).mean())
    assert found["bias"].value == pytest.approx(x.mean() - y.mean())
    assert found["pearson"].value == pytest.approx(pearsonr(x, y)[0])
    assert found["spearman"].value == pytest.approx(spearmanr(x, y)[0])
    every = list(range(19))
    kappa = cohen_kappa_score(x, y, weights="quadratic", labels=every)
    assert found["kappa"].value == pytest.approx(kappa)
    assert found["icc"].value == pytest.approx(anova_icc(x, y))


def anova_icc(x: np.ndarray, y: np.ndarray) -> float:
    """ICC(2,1) from the table of a two-way analysis of variance, as Shrout and Fleiss print it."""
    table = np.stack([x, y], 1)
    n, k = table.shape
    grand = table.mean()
    between = k * ((table.mean(1) - grand) ** 2).sum() / (n - 1)
    judges = n * ((table.mean(0) - grand) ** 2).sum() / (k - 1)
    total = ((table - grand) ** 2).sum()
    error = (total - between * (n - 1) - judges * (k - 1)) / ((n - 1) * (k - 1))
    return (between - error) / (between + (k - 1) * error + k * (judges - error) / n)


def test_weights_are_films_drawn_more_than_once(readers):
    x, y = readers
    drawn = np.random.default_rng(2).integers(0, 4, (3, 90))
    for name, statistic in STATISTICS.items():
        weighted = statistic(x, y, drawn.astype(float))
        for row, times in zip(weighted, drawn, strict=True):
            copied = statistic(np.repeat(x, times), np.repeat(y, times), np.ones((1, times.sum())))
            assert row == pytest.approx(copied[0]), name


def test_a_reader_who_is_always_two_points_higher_correlates_but_does_not_agree():
    x = np.arange(12.0)
    found = agreement(x, x + 2, np.arange(12), folds=0)
    assert found["spearman"].value == pytest.approx(1)
    assert found["mae"].value == pytest.approx(2)
    assert found["bias"].value == pytest.approx(-2)
    assert found["icc"].value < 0.9
    assert icc(x, x, np.ones((1, 12))) == pytest.approx(1)


def test_blanks_are_left_out_and_too_little_is_undefined():
    x, y = np.array([1, 2, 3, 4, np.nan]), np.array([1, 2, 3, np.nan, 2])
    assert agreement(x, y, np.arange(5), folds=10)["mae"].n == 3
    few = agreement(x[:2], y[:2], np.arange(2))
    assert np.isnan(few["mae"].value)
    same = agreement(np.ones(9), np.arange(9.0), np.arange(9), folds=5)["pearson"]
    assert same.note == "one side is constant"
