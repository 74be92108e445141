from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import Ridge

from hilum.core.errors import CohortError
from hilum.judge.severity import (
    Question,
    SeveritySettings,
    conformal_half_width,
    constant,
    crossfit,
    fit,
)

FAST = SeveritySettings(penalties=(0.3, 10.0), folds=4, inner=2)


def made(
    films: int = 120, noise: float = 0.3, seed: int = 0
) -> tuple[Question, dict[str, np.ndarray]]:
    """Two films a patient; a score that three of 43 features carry, one of them constant."""
    rng = np.random.default_rng(seed)
    few, many = rng.normal(size=(films, 3)), rng.normal(size=(films, 40))
    few[:, 2], many = 1.0, many * 100
    score = np.clip(4 + few[:, 0] + 0.5 * few[:, 1] + noise * rng.normal(size=films), 0, 8)
    owners = np.array([f"p{i // 2}" for i in range(films)])
    question = Question(
        names=("extent",),
        maxima=np.array([8.0]),
        targets=score[:, None],
        helper=np.full(films, np.nan),
        normal=np.zeros(films, bool),
        owners=owners,
        clean=np.ones(films, bool),
    )
    return question, {"few": few, "many": many}


def changed(question: Question, **values: object) -> Question:
    return Question(**{**question.__dict__, **values})


def test_the_map_is_the_ridge_of_scikit_learn_on_scaled_blocks():
    question, blocks = made()
    found = fit(question, blocks, SeveritySettings(penalties=(0.7,), folds=4))
    few, many = blocks["few"][:, :2], blocks["many"]
    few = (few - few.mean(0)) / few.std(0) / np.sqrt(2)
    many = (many - many.mean(0)) / many.std(0) / np.sqrt(40)
    films = np.concatenate([few, many], 1)
    ridge = Ridge(alpha=0.7).fit(films, question.targets[:, 0])
    np.testing.assert_allclose(found(blocks)[:, 0], ridge.predict(films), atol=1e-6)
    assert found.coefficients["few"][2, 0] == 0  # a constant feature says nothing


def test_normals_enter_as_zeros_that_weigh_their_share():
    question, blocks = made()
    targets, normal = question.targets.copy(), np.arange(120) >= 100
    targets[normal] = np.nan
    question = changed(question, targets=targets, normal=normal)
    found = fit(question, blocks, SeveritySettings(penalties=(0.7,), folds=4, normals=0.5))
    y, weights = question.training(np.arange(120), SeveritySettings(normals=0.5))
    assert weights[normal].sum() == pytest.approx(0.5 * 100)
    assert (y[normal] == 0).all()
    root = weights / weights.mean()
    parts = []
    for values in (blocks["few"][:, :2], blocks["many"]):
        middle = np.average(values, axis=0, weights=weights)
        parts.append((values - middle) / values.std(0) / np.sqrt(values.shape[1]))
    films = np.concatenate(parts, 1)
    ridge = Ridge(alpha=0.7).fit(films, y[:, 0], sample_weight=root)
    np.testing.assert_allclose(found(blocks)[:, 0], ridge.predict(films), atol=1e-6)


def test_a_score_that_is_there_is_found_and_one_that_is_not_is_not():
    question, blocks = made()
    truth = question.targets[:, 0]
    found = crossfit(question, blocks, FAST)
    error = np.abs(found.estimates[:, 0] - truth).mean()
    assert error < 0.6 * np.abs(constant(question, FAST)[:, 0] - truth).mean()
    noise = {"many": blocks["many"]}
    lost = np.abs(crossfit(question, noise, FAST).estimates[:, 0] - truth).mean()
    assert lost > 0.9 * np.abs(constant(question, FAST)[:, 0] - truth).mean()


def test_no_film_helps_to_estimate_another_of_its_patient():
    question, blocks = made()
    ahead = crossfit(question, blocks, FAST)
    targets = question.targets.copy()
    quarter = targets[6] // 2 * 2  # folds balance quarters of the scale: stay in it
    targets[6] = quarter + (0.1 if targets[6] > quarter + 1 else 1.9)
    after = crossfit(changed(question, targets=targets), blocks, FAST)
    # films 6 and 7 are of one patient
    same = np.isclose(ahead.estimates[:, 0], after.estimates[:, 0], atol=1e-9)
    assert same[[6, 7]].all()
    assert not same.all()


def test_what_is_borrowed_comes_from_training_films_alone():
    question, _ = made()
    targets = question.targets.copy()
    helper = 2 * targets[:, 0] + 1
    targets[80:] = np.nan
    lent = changed(question, targets=targets, helper=helper)
    y, weights = lent.training(np.arange(40, 120), FAST)
    np.testing.assert_allclose(y[40:, 0], np.clip((helper[80:] - 1) / 2, 0, 8), atol=1e-9)
    assert set(weights[40:]) == {FAST.borrowed}
    poisoned = helper.copy()
    poisoned[:40] = 1e6  # not among the rows
    again, _ = changed(lent, helper=poisoned).training(np.arange(40, 120), FAST)
    np.testing.assert_array_equal(y, again)


def test_borrowing_and_normals_are_never_judged():
    question, blocks = made()
    targets = question.targets.copy()
    targets[100:] = np.nan
    lacking = changed(question, targets=targets, normal=np.arange(120) >= 110)
    found = crossfit(lacking, blocks, FAST)
    assert np.isfinite(found.estimates).all()
    assert lacking.scored.sum() == 100


def test_intervals_hold_what_they_promise():
    held = []
    for seed in range(3):
        question, blocks = made(seed=seed)
        found = crossfit(question, blocks, FAST)
        off = np.abs(found.estimates - question.targets)
        held.append((off <= found.half_widths).mean())
    assert 0.87 <= np.mean(held) <= 0.97


def test_the_quantile_counts_patients_not_films():
    residuals = np.array([1.0, 2.0, 3.0, 4.0])
    alone = np.array(["a", "b", "c", "d"])
    assert conformal_half_width(residuals, alone, 0.8) == 4  # rank 0.8 x 5
    assert conformal_half_width(residuals, alone, 0.6) == 3
    assert conformal_half_width(residuals, alone, 0.9) == np.inf  # four patients cannot say
    talkative = np.array(["a", "a", "a", "b"])
    assert conformal_half_width(residuals, talkative, 0.5) == 4  # 1.5 patients: a and half of b


def test_too_few_patients_are_refused():
    question, blocks = made(films=30)
    with pytest.raises(CohortError, match="scores of 15 patients; expected at least 20"):
        fit(question, blocks, FAST)
