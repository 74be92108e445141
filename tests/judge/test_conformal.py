from __future__ import annotations

import numpy as np
import pytest
from crepes import ConformalClassifier
from hypothesis import assume, given
from hypothesis import strategies as st

from hilum.core.errors import ConfigError
from hilum.core.reading import PredictionSet
from hilum.judge.conformal import fit_conformal

SCORES = st.lists(st.integers(0, 1000).map(lambda i: i / 1000), min_size=19, max_size=60)


def _by_library(positives, negatives, score, coverage):
    """Sets of crepes, class-conditional: column 0 absent, column 1 present."""
    alphas = np.r_[1 - np.array(positives), np.array(negatives)]
    bins = np.r_[np.ones(len(positives)), np.zeros(len(negatives))]
    library = ConformalClassifier().fit(alphas, bins=bins)
    found = [
        library.predict_set(
            np.array([[score, 1 - score]]),
            bins=np.array([label]),
            confidence=coverage,
            smoothing=False,
        )[0, label]
        for label in (0, 1)
    ]
    return {
        (1, 0): PredictionSet.ABSENT,
        (0, 1): PredictionSet.PRESENT,
        (1, 1): PredictionSet.INDETERMINATE,
        (0, 0): PredictionSet.NONE,
    }[found[0], found[1]]


@given(SCORES, SCORES, st.integers(0, 2000).map(lambda i: i / 2000), st.sampled_from([0.8, 0.9]))
def test_the_sets_are_those_of_crepes(positives, negatives, score, coverage):
    for part in (positives, negatives):  # a p-value of exactly 1 - coverage is a matter of rounding
        share = (1 - coverage) * (len(part) + 1)
        assume(abs(share - round(share)) > 1e-6)
    truth = [1] * len(positives) + [0] * len(negatives)
    sets = fit_conformal(truth, positives + negatives, fitted_on="here", coverage=coverage)
    assume(abs(score - sets.present_from) > 1e-9 or score == sets.present_from)
    assert sets(score) is _by_library(positives, negatives, score, coverage)


def test_coverage_of_each_class_holds_whatever_their_share():
    rng = np.random.default_rng(0)
    covered = {0: [], 1: []}
    for _ in range(200):
        truth = (rng.random(300) < 0.2).astype(float)
        score = np.clip(rng.normal(0.4 + 0.2 * truth, 0.15), 0, 1)
        sets = fit_conformal(truth, score, fitted_on="here")
        for label in (0, 1):
            new = float(np.clip(rng.normal(0.4 + 0.2 * label, 0.15), 0, 1))
            right = PredictionSet.PRESENT if label else PredictionSet.ABSENT
            covered[label].append(sets(new) in (right, PredictionSet.INDETERMINATE))
    for label in (0, 1):
        assert 0.85 <= np.mean(covered[label]) <= 0.96


def test_a_perfect_score_leaves_films_between_the_classes_without_an_answer():
    sets = fit_conformal([0] * 20 + [1] * 20, [0.1] * 20 + [0.9] * 20, fitted_on="here")
    asked = (0.05, 0.1, 0.5, 0.9, 1.0)
    assert [sets(score).value for score in asked] == [
        "absent",
        "absent",
        "none",
        "present",
        "present",
    ]


def test_unknown_truths_are_left_out_and_counts_are_kept():
    truth = np.r_[np.ones(30), np.zeros(40), np.full(9, np.nan)]
    sets = fit_conformal(truth, np.linspace(0, 1, 79), fitted_on="here")
    assert (sets.positives, sets.negatives, sets.coverage) == (30, 40, 0.9)


def test_too_few_films_rule_nothing_out_and_give_no_sets():
    truth, score = [1] * 8 + [0] * 50, np.linspace(0, 1, 58)
    assert fit_conformal(truth, score, fitted_on="here") is None
    assert fit_conformal(truth, score, fitted_on="here", coverage=0.8) is not None
    with pytest.raises(ConfigError, match="coverage"):
        fit_conformal(truth, score, fitted_on="here", coverage=90)


def test_with_sources_each_counts_alike_as_if_its_films_were_repeated():
    rng = np.random.default_rng(3)
    truth, sources = rng.integers(0, 2, 4000), np.array(["large"] * 3600 + ["small"] * 400)
    score = np.clip(rng.normal(0.4 + 0.2 * truth + 0.1 * (sources == "small"), 0.1), 0, 1)
    sets = fit_conformal(truth, score, fitted_on="here", sources=sources)
    for label, covered in ((1, score >= sets.present_from), (0, score <= sets.absent_to)):
        each = [covered[(truth == label) & (sources == name)].mean() for name in ("large", "small")]
        assert np.mean(each) == pytest.approx(0.9, abs=0.005)
    even = np.tile(["a", "b"], 2000)  # sources of one size and one kind change nothing
    plain = fit_conformal(truth, score, fitted_on="here")
    alike = fit_conformal(truth, score, fitted_on="here", sources=even)
    assert alike.present_from == pytest.approx(plain.present_from, abs=0.005)
    assert alike.absent_to == pytest.approx(plain.absent_to, abs=0.005)


def test_a_large_source_among_tiny_ones_says_little():
    """Of 500 films nearly all weight is on three: too few for an answer to be ruled out."""
    sources = np.array(["large"] * 497 + ["b", "c", "d"])
    truth, score = np.r_[np.ones(500), np.zeros(500)], np.linspace(0, 1, 1000)
    both = np.r_[sources, sources]
    assert fit_conformal(truth, score, fitted_on="here") is not None
    assert fit_conformal(truth, score, fitted_on="here", sources=both) is None
