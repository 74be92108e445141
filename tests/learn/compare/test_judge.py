from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import confusion_matrix, roc_auc_score

from hilum.core.errors import CohortError
from hilum.learn.compare.grid import Entry
from hilum.learn.compare.join import Answers, answer, average
from hilum.learn.compare.judge import EVERYTHING, gaps_of, rows_of

NORTH, PAIR = Entry(("north",)), Entry(("east", "west"))
FOLDS = (Entry((), 1, 2), Entry((), 2, 2))


def predictions(
    cohorts: tuple[str, ...], *, signal: float, seed: int = 0, films: int = 60, noise: int = 0
) -> pd.DataFrame:
    """Val of a fourth cohort, test of ``cohorts``; the same seed draws the same films."""
    random = np.random.default_rng(seed)
    errors = np.random.default_rng(1000 + noise)
    parts = []
    for cohort in ("seen", *cohorts):
        truth = (random.random(films) < 0.4).astype(float)
        logit = signal * (truth - 0.5) + errors.standard_normal(films)
        parts.append(
            pd.DataFrame(
                {
                    "case_id": [f"{cohort}/{n}" for n in range(films)],
                    "label": "covid-19",
                    "truth": np.where(np.arange(films) % 9 == 8, np.nan, truth),
                    "score": 1 / (1 + np.exp(-logit)),
                    "logit": logit,
                    "group": [f"{cohort}/{n // 2}" for n in range(films)],
                    "cohort": cohort,
                    "source": cohort,
                    "view": "PA",
                    "split": "val" if cohort == "seen" else "test",
                }
            )
        )
    return pd.concat(parts, ignore_index=True)


def answers(signal: float, noise: int = 0) -> Answers:
    return {
        NORTH: answer([predictions(("north",), signal=signal, noise=noise)], (), "north"),
        PAIR: answer(
            [predictions(("east", "west"), signal=signal, seed=1, noise=noise + 1)], (), "pair"
        ),
    }


def test_rows_agree_with_scikit_learn() -> None:
    ours, first, nuisance = answers(2.0, 10), answers(1.0, 20), answers(0.3, 30)
    rows = list(rows_of("v", ours, first, nuisance, by="cohort", folds=200))
    assert [(row.left_out, row.cohort) for row in rows] == [
        ("north", ""), ("east + west", ""), ("east + west", "east"), ("east + west", "west"),
        (EVERYTHING, ""),
    ]  # fmt: skip
    tests = {
        key: pd.concat([a.test for a in found.values()]).dropna(subset="truth")
        for key, found in (("ours", ours), ("first", first), ("nuisance", nuisance))
    }
    of = {"north": ["north"], "east + west": ["east", "west"]}
    for row in rows:
        where = [row.cohort] if row.cohort else of.get(row.left_out, ["north", "east", "west"])
        mine, rival, numbers = (t[t["cohort"].isin(where)] for t in tests.values())
        expected = roc_auc_score(mine["truth"], mine["logit"])
        assert row.auroc.value == pytest.approx(expected)
        assert row.auroc.low < expected < row.auroc.high
        assert row.nuisance_auroc.value == pytest.approx(
            roc_auc_score(numbers["truth"], numbers["logit"])
        )
        assert row.difference.value == pytest.approx(
            expected - roc_auc_score(rival["truth"], rival["logit"])
        )
        (tn, fp), (fn, tp) = confusion_matrix(mine["truth"], mine["called"])
        assert row.sensitivity.value == pytest.approx(tp / (tp + fn))
        assert row.false_positive_rate.value == pytest.approx(fp / (fp + tn))
        rate = row.false_positive_rate
        assert 0 <= rate.low <= rate.value <= rate.high <= 1
        assert (row.n, row.positives) == (len(mine), tp + fn)
    assert rows[0].val_auroc == pytest.approx(_auroc_on_val(ours))


def _auroc_on_val(ours: Answers) -> float:
    val = ours[NORTH].val.dropna(subset="truth")
    return float(roc_auc_score(val["truth"], val["logit"]))


def test_the_threshold_is_chosen_on_val_and_not_on_what_was_left_out() -> None:
    table = predictions(("north",), signal=2.0)
    shifted = table.assign(logit=table["logit"].where(table["split"] == "val", table["logit"] + 9))
    one = answer([table], (), "x")
    other = answer([shifted.assign(score=1.0)], (), "x")
    assert len(set(one.test["threshold"])) == 1
    assert one.test["threshold"].iloc[0] == pytest.approx(other.test["threshold"].iloc[0])
    assert other.test["called"].all()
    val = one.val.dropna(subset="truth")
    youden = [
        (val["score"][val["truth"] == 1] >= t).mean()
        - (val["score"][val["truth"] == 0] >= t).mean()
        for t in val["score"]
    ]
    called = val["called"]
    assert called[val["truth"] == 1].mean() - called[val["truth"] == 0].mean() == pytest.approx(
        max(youden)
    )


def test_one_class_has_no_auroc_but_its_rate_with_an_exact_interval() -> None:
    table = predictions(("north",), signal=2.0)
    test = table["split"] == "test"
    table.loc[test, "truth"] = 0.0
    table.loc[test, "logit"] = -20.0
    found = answer([table], (), "x")
    (row,) = rows_of("v", {NORTH: found}, {}, {}, by="cohort", folds=100)
    assert np.isnan(row.auroc.value)
    assert np.isnan(row.sensitivity.value)
    assert np.isnan(row.difference.value)
    rate = row.false_positive_rate
    assert rate.value == rate.low == 0
    assert rate.high == pytest.approx(1 - 0.025 ** (1 / 30))  # 30 patients


def test_seeds_are_averaged_by_film_whatever_their_order() -> None:
    one, other = (predictions(("north",), signal=1.0, noise=noise) for noise in (1, 2))
    mean = average([one, other.iloc[::-1]], "x")
    assert mean["logit"].to_numpy() == pytest.approx((one["logit"] + other["logit"]).to_numpy() / 2)
    assert mean["score"].to_numpy() == pytest.approx(1 / (1 + np.exp(-mean["logit"].to_numpy())))
    with pytest.raises(CohortError, match="both: cannot be averaged, 1 rows"):
        average([one, other.iloc[1:]], "both")


def test_the_gap_is_over_the_same_films() -> None:
    left = answers(1.0, 10)
    pooled = {
        fold: answer([predictions(cohorts, signal=3.0, seed=seed, noise=40 + seed)], (), "fold")
        for fold, cohorts, seed in zip(FOLDS, (("north",), ("east", "west")), (0, 1), strict=True)
    }
    (gap,) = gaps_of("v", left | pooled, folds=200)
    tests = [pd.concat([a.test for a in part.values()]) for part in (left, pooled)]
    expected = [
        roc_auc_score(*t.dropna(subset="truth")[["truth", "logit"]].T.to_numpy()) for t in tests
    ]
    assert (gap.left_out.value, gap.pooled.value) == pytest.approx(tuple(expected))
    assert gap.gap.value == pytest.approx(expected[1] - expected[0])
    assert gap.gap.low > 0
    rows = list(rows_of("v", left | pooled, {}, {}, by="cohort", folds=50))
    assert rows[-1].left_out == "2-fold cross-validation"
    assert rows[-1].auroc.value == pytest.approx(expected[1])
    unfinished = left | {FOLDS[0]: pooled[FOLDS[0]]}
    assert list(gaps_of("v", unfinished, folds=50)) == []
