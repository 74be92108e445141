from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.covariance import EmpiricalCovariance

from hilum.core.refusal import Reason
from hilum.image.signs import SIGNS
from hilum.learn.gate import fit, judge
from hilum.learn.gate.measure import Measured, keep, kept
from hilum.learn.gate.recipe import GateFit

E = 6
HOW = GateFit(folds=3, strength=0.1, axes=E, refused=0.02, unlike=0.01)
CENTERS = {"lateral": 0, "inverted": 1, "texture": 2, "pediatric": 3}


def _material(per_cohort=80, per_kind=40, seed=0):
    """Good films around 0 in three collections, each kind far off along an axis of its own."""
    random = np.random.default_rng(seed)
    rows, points = [], []
    for cohort in "abc":
        for number in range(per_cohort):
            rows.append((f"{cohort}{number}", "frontal", cohort, f"{cohort}{number // 2}"))
            points.append(random.normal(size=E))
    for kind, axis in CENTERS.items():
        for number in range(per_kind):
            cohort = "made" if kind == "texture" else "abc"[number % 3]
            rows.append((f"{kind}{number}", kind, cohort, f"{kind}{number}"))
            points.append(random.normal(size=E) + 12 * np.eye(E)[axis])
    table = pd.DataFrame(rows, columns=["case_id", "kind", "cohort", "group"])
    signs = np.zeros((len(rows), len(SIGNS)), np.float32)
    signs[:, SIGNS.index("area")] = random.uniform(0.2, 0.4, len(rows))
    signs[:, SIGNS.index("grey_range")] = random.uniform(0.5, 1, len(rows))
    return Measured(table, np.array(points, np.float32), signs)


def _folds(measured):
    return pd.factorize(measured.pictures["group"])[0] % 3 + 1.0


@pytest.fixture(scope="module")
def judged():
    measured = _material()
    return measured, judge.fit_and_judge(measured, _folds(measured), HOW, "f" * 64)


def test_kinds_that_lie_apart_are_all_refused_for_the_right_reason(judged):
    _, found = judged
    table = judge.table_of_kinds(found.outcomes).set_index("kind")
    assert table.loc[list(CENTERS), "right_reason"].min() >= 0.95
    assert table.loc["frontal", "refused"] <= 0.04
    assert np.isnan(table.loc["frontal", "right_reason"])
    counted = table[["read", *sorted({r.value for r in Reason} & set(table.columns))]]
    assert (counted.sum(axis=1) == table["pictures"]).all()


def test_good_films_of_a_collection_that_was_left_out_pass(judged):
    _, found = judged
    table = judge.table_of_cohorts(found.outcomes).set_index("cohort")
    assert table.index.tolist() == ["a", "b", "c"]
    assert (table["films"] == 80).all()
    assert table["refused_left_out"].max() <= 0.05


def test_a_kind_that_was_never_seen_is_far_from_what_is_read(judged):
    _, found = judged
    assert set(found.unforeseen) == set(CENTERS)
    assert min(found.unforeseen.values()) >= 0.9


def test_limits_are_those_of_the_shares_that_were_asked_for(judged):
    measured, found = judged
    scored = fit.score_folds(measured, _folds(measured), HOW)
    good = fit.is_good(measured)
    for one in found.gate.spec.kinds:
        scores = scored.log_odds[:, scored.kinds.index(one.kind)]
        for cohort in "abc":
            inside = good & (measured.pictures["cohort"] == cohort).to_numpy()
            assert (scores[inside] > one.refuse.value).mean() <= HOW.refused
        assert one.refuse.value >= 1.25
        if one.correct is not None:
            assert one.correct.value >= one.refuse.value


def test_only_what_can_be_put_right_has_a_second_limit(judged):
    _, found = judged
    assert [one.kind for one in found.gate.spec.kinds if one.correct] == ["inverted"]


def test_no_gate_sees_the_patients_that_it_judges(monkeypatch):
    measured = _material(20, 9)
    seen = []
    real = fit.fit_gate

    def spy(train, how, lungs):
        seen.append(set(train.pictures["group"]))
        return real(train, how, lungs)

    monkeypatch.setattr(fit, "fit_gate", spy)
    folds = _folds(measured)
    fit.score_folds(measured, folds, HOW)
    for fold, groups in zip(np.unique(folds), seen, strict=True):
        assert not groups & set(measured.pictures["group"][folds == fold])
    seen.clear()
    shared = measured.pictures.copy()
    shared.loc[shared["case_id"] == "b0", "group"] = "a0"  # one patient in two collections
    fit.score_cohorts(Measured(shared, *measured[1:]), HOW)
    assert "a0" not in seen[0]
    assert "a0" not in seen[1]
    assert "a0" in seen[2]


def test_limits_ignore_the_films_that_they_are_not_chosen_on():
    measured = _material()
    folds = _folds(measured)
    views = fit.score_held_out(measured, folds, HOW)
    before = fit.choose_kinds(views, measured, folds != 1, HOW)
    far = fit.choose_distance(views, measured, folds != 1, HOW)
    for view in views:
        view.log_odds[folds == 1] += 100
        view.distance[folds == 1] += 100
    assert fit.choose_kinds(views, measured, folds != 1, HOW) == before
    assert fit.choose_distance(views, measured, folds != 1, HOW) == far
    everything = np.ones(len(folds), bool)
    assert fit.choose_distance(views, measured, everything, HOW).value > far.value


def test_rules_lie_beyond_every_good_film():
    measured = _material()
    rules = {
        rule.sign: rule for rule in fit.choose_rules(measured, np.ones(len(measured[1]), bool))
    }
    for sign, rule in rules.items():
        values = measured.signs[fit.is_good(measured), SIGNS.index(sign)]
        assert rule.low is None or rule.low.value < values.min()
        assert rule.high is None or rule.high.value > values.max()
    assert rules["area"].reason is Reason.LUNGS_NOT_IN_FIELD


def test_every_class_and_every_collection_of_good_films_weighs_alike():
    measured = _material()
    few = ~measured.pictures["case_id"].isin([f"a{i}" for i in range(60)]).to_numpy()
    measured = measured.where(few)
    named = fit.classes(measured)
    weights = pd.Series(fit._weights(measured, named))
    by_class = weights.groupby(named).sum()
    np.testing.assert_allclose(by_class, by_class.mean())
    cohorts = measured.pictures["cohort"].to_numpy()[named == "frontal"]
    inside = weights[named == "frontal"].groupby(cohorts).sum()
    np.testing.assert_allclose(inside, inside.mean())
    assert weights.mean() == pytest.approx(1)


def test_the_distance_is_that_of_a_covariance_fitted_elsewhere():
    measured = _material()
    good = measured.where(fit.is_good(measured))
    gate = fit.fit_gate(measured, HOW, "")
    expected = EmpiricalCovariance().fit(good.embedding.astype(float)).mahalanobis(good.embedding)
    np.testing.assert_allclose(
        gate.distance(good.embedding), np.sqrt(expected / E), rtol=1e-3, atol=1e-3
    )


def test_a_fit_is_the_same_every_time():
    measured = _material(30, 12)
    one, again = (fit.fit_gate(measured, HOW, "").spec for _ in range(2))
    assert one == again


def test_measurements_come_back_from_their_file(tmp_path):
    measured = _material(5, 2)
    keep(measured, tmp_path / "m.npz")
    again = kept(tmp_path / "m.npz")
    pd.testing.assert_frame_equal(
        again.pictures, measured.pictures, check_dtype=False, check_column_type=False
    )
    np.testing.assert_array_equal(again.embedding, measured.embedding)
    np.testing.assert_array_equal(again.signs, measured.signs)


def test_young_patients_are_counted_by_age(judged):
    _, found = judged
    ages = pd.Series({f"pediatric{i}": float(i % 10) for i in range(30)})
    table = judge.table_of_ages(found.outcomes, ages)
    assert table["films"].sum() == 40
    left_out = table["refused_left_out"]
    assert left_out.notna().all()
    assert set(table["years"]) == {"0 to 2", "3 to 5", "6 to 10", "not stated"}


def test_a_collection_of_children_alone_is_left_out_too_and_a_tiny_one_is_not_asked_about():
    measured = _material(30, 25)
    cohorts = measured.pictures["cohort"].mask(measured.pictures["kind"] == "pediatric", "ward")
    cohorts[0] = "tiny"
    measured = Measured(measured.pictures.assign(cohort=cohorts), *measured[1:])
    found = judge.fit_and_judge(measured, _folds(measured), HOW, "f" * 64)
    foreign = found.outcomes.set_index("cohort")["foreign"]
    assert set(foreign["ward"]) <= {"pediatric", "unlike-training", "read", "lateral"}
    assert foreign["tiny"] == ""
    table = judge.table_of_cohorts(found.outcomes).set_index("cohort")
    assert np.isnan(table.loc["tiny", "refused_left_out"])
    ages = judge.table_of_ages(found.outcomes, pd.Series(dtype=float)).set_index("cohort")
    expected = (foreign["ward"] != "read").mean()
    assert ages.loc["ward", "refused_left_out"] == pytest.approx(expected)
