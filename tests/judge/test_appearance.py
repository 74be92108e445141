"""Appearance: the temperature, the sets and the study, each beside another implementation."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from crepes import ConformalClassifier
from scipy.special import log_softmax, softmax

from hilum.core.labels import Appearance
from hilum.core.reading import NOT_THE_INFECTION, appearance_words
from hilum.judge.appearance import AppearanceOutput, fit_appearance, tempered
from hilum.judge.appearance_study import evaluate_appearance
from hilum.judge.schema import Evaluation, EvaluationSettings

NAMES = np.array([each.value for each in Appearance])


def films(count: int, seed: int = 0, temperature: float = 1.0, sharp: float = 2.0):
    """Chances, and appearances drawn from them at a temperature; 55, 20, 5 and 20 % or so."""
    random = np.random.default_rng(seed)
    logits = random.normal(0, sharp, (count, 4)) + np.log([0.55, 0.2, 0.05, 0.2])
    truth = [random.choice(4, p=row) for row in softmax(logits / temperature, axis=1)]
    return softmax(logits, axis=1), np.array(truth)


def fitted(chances, truth, **how) -> AppearanceOutput:
    patients = np.arange(len(truth)).astype(str)
    return fit_appearance(NAMES[truth], chances, patients, fitted_on="here", **how)


@pytest.mark.parametrize("true", [0.5, 1.0, 3.0])
def test_the_temperature_is_that_of_least_log_loss(true: float) -> None:
    chances, truth = films(4000, temperature=true)
    found = fitted(chances, truth).temperature
    assert found == pytest.approx(true, rel=0.15)

    def loss(temperature: float) -> float:
        logs = log_softmax(np.log(chances) / temperature, axis=1)
        return -logs[np.arange(len(truth)), truth].mean()

    tried = found * np.exp(np.linspace(-0.3, 0.3, 61))
    assert tried[np.argmin([loss(each) for each in tried])] == pytest.approx(found, rel=0.011)
    np.testing.assert_allclose(
        tempered(chances, found), softmax(np.log(chances) / found, axis=1), rtol=1e-3, atol=1e-6
    )


def test_the_sets_are_those_of_crepes() -> None:
    chances, truth = films(407)
    assert all((np.bincount(truth) + 1) % 10)  # else a p-value of exactly 0.1: rounding decides
    output = fitted(chances, truth)
    library = ConformalClassifier().fit(1 - chances[np.arange(407), truth], bins=truth)
    new, _ = films(300, seed=1)
    theirs = np.zeros((300, 4), bool)
    for place in range(4):
        theirs[:, place] = library.predict_set(
            1 - new, bins=np.full(300, place), confidence=0.9, smoothing=False
        )[:, place]
    ours = np.array([[each in output(row).prediction_set for each in Appearance] for row in new])
    np.testing.assert_array_equal(ours, theirs)
    assert {int(size) for size in ours.sum(1)} >= {1, 2, 3}


def test_each_appearance_is_covered_whatever_its_share() -> None:
    covered: dict[int, list[bool]] = {place: [] for place in range(4)}
    for seed in range(60):
        chances, truth = films(400, seed)
        output = fitted(chances, truth)
        for row, told in zip(*films(60, 1000 + seed), strict=True):
            covered[told].append(NAMES[told] in output(row).prediction_set)
    for told in covered.values():
        assert 0.88 <= np.mean(told) <= 0.96  # 0.9, and up to one film of a small class more


def test_an_appearance_with_too_few_films_is_never_ruled_out() -> None:
    chances, truth = films(400)
    keep = (truth != 2) | (np.cumsum(truth == 2) <= 5)
    output = fitted(chances[keep], truth[keep])
    assert output.kept_from[Appearance.ATYPICAL] == 0
    assert output.note == "too few films to rule out: atypical"
    assert output.films[Appearance.ATYPICAL] == 5
    assert Appearance.ATYPICAL in output([1, 0, 0, 0]).prediction_set


def test_too_few_patients_fit_nothing_and_say_so() -> None:
    chances, truth = films(60)
    output = fit_appearance(NAMES[truth], chances, np.repeat(["a", "b"], 30), fitted_on="here")
    assert not output.fitted
    assert output.note.startswith("2 patients of one kind; it needs 20")
    said = output([0.5, 0.3, 0.1, 0.1])
    assert (said.calibration, said.prediction_set, said.coverage) == ("identity", None, None)
    assert list(said.chances.values()) == pytest.approx([0.5, 0.3, 0.1, 0.1])
    assert said.words.startswith("likeliest, with nothing fitted that says how sure: typical")
    nobody = fit_appearance([], np.empty((0, 4)), [], fitted_on="nothing")
    assert not nobody.fitted


def test_no_words_let_a_clear_film_pass_for_no_infection() -> None:
    chances = dict.fromkeys(Appearance, 0.25)
    for bits in range(16):
        kept = [each for place, each in enumerate(Appearance) if bits >> place & 1]
        words = appearance_words(chances, kept)
        if Appearance.NEGATIVE in kept and len(kept) < 4:
            assert "does not rule out an infection" in words
        assert "negative" not in words
        assert "not infected" not in words
    assert "does not rule out an infection" in appearance_words({Appearance.NEGATIVE: 1.0}, None)
    assert NOT_THE_INFECTION.startswith("The appearance of the film, not the infection")


def by_hand(present: np.ndarray, score: np.ndarray) -> float:
    """Average precision of PASCAL VOC 2010, as its development kit has it."""
    order = np.argsort(-score, kind="stable")
    found = np.cumsum(present[order])
    recall = np.r_[0, found / present.sum(), 1]
    precision = np.r_[0, found / np.arange(1, present.size + 1), 0]
    for place in range(precision.size - 2, -1, -1):
        precision[place] = max(precision[place], precision[place + 1])
    steps = np.flatnonzero(recall[1:] != recall[:-1]) + 1
    return float(((recall[steps] - recall[steps - 1]) * precision[steps]).sum())


def test_the_study_counts_what_counting_gives(tmp_path) -> None:
    chances, truth = films(200)
    output = fitted(*films(400, seed=3))
    said = [output(row) for row in chances]
    table = pd.DataFrame(
        {
            "truth": NAMES[truth],
            "group": [f"p{place // 2}" for place in range(200)],
            **{f"chance-{each}": [one.chances[each] for one in said] for each in Appearance},
            "kept": ["|".join(one.prediction_set) for one in said],
        }
    )
    study = evaluate_appearance(table, EvaluationSettings(folds=200), 0.9)
    stated = tempered(chances, output.temperature)
    precisions = [by_hand(truth == place, stated[:, place]) for place in range(4)]
    for each, right in zip(study.classes, precisions, strict=True):
        assert each.average_precision.value == pytest.approx(right)
        assert each.average_precision.low < right < each.average_precision.high
    assert study.mean_average_precision.value == pytest.approx(np.mean(precisions))
    cells = np.array([list(each.likeliest.values()) for each in study.classes])
    np.testing.assert_array_equal(
        cells, np.histogram2d(truth, stated.argmax(1), bins=[range(5), range(5)])[0]
    )
    assert study.right.value == pytest.approx(np.trace(cells) / 200)
    covered = [NAMES[told] in one.prediction_set for told, one in zip(truth, said, strict=True)]
    assert study.coverage.value == pytest.approx(np.mean(covered))
    rare = study.classes[2]
    assert rare.coverage.value == pytest.approx(np.mean(np.array(covered)[truth == 2]))
    sizes = np.bincount([len(one.prediction_set) for one in said], minlength=5)
    assert study.set_sizes == tuple(sizes)
    assert (study.films, study.patients, study.nominal_coverage) == (200, 100, 0.9)
    bare = evaluate_appearance(table.assign(kept=None), EvaluationSettings(folds=20))
    assert bare.coverage is None
    assert bare.set_sizes == ()
    written = Evaluation.model_validate(EMPTY | {"appearance": study.model_dump()})
    written.write(tmp_path / "evaluation.json")
    assert Evaluation.load(tmp_path / "evaluation.json").appearance == study


EMPTY = {
    "about": {},
    "settings": {},
    "flow": (),
    "not_read": (),
    "labels": (),
    "not_known": (),
}
