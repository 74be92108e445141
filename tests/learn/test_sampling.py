from __future__ import annotations

from collections import Counter

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hilum.learn.sampling import EpochSampler, balanced_weights


def table(cells: dict[tuple[float, str], int]) -> pd.DataFrame:
    rows = [cell for cell, count in cells.items() for _ in range(count)]
    return pd.DataFrame(rows, columns=["covid-19", "source"])


CASES = table({(1.0, "a"): 4, (0.0, "a"): 16, (0.0, "b"): 64})


def test_class_gives_each_class_the_same_chance_and_each_film_in_it() -> None:
    weights = balanced_weights(CASES, ["covid-19"], "class")
    positive = (CASES["covid-19"] == 1).to_numpy()
    assert weights[positive].sum() == pytest.approx(0.5)
    assert np.ptp(weights[~positive]) == pytest.approx(0)


def test_class_and_source_gives_sources_the_square_root_of_their_films() -> None:
    weights = balanced_weights(CASES, ["covid-19"], "class-and-source")
    shares = pd.Series(weights).groupby([CASES["covid-19"], CASES["source"]]).sum()
    assert shares[1.0, "a"] == pytest.approx(0.5)
    assert shares[0.0, "b"] / shares[0.0, "a"] == pytest.approx(2.0)  # sqrt(64 / 16)


def test_the_class_is_the_first_label_that_is_present() -> None:
    nan = np.nan
    answers = [(1, 1), (1, nan), (1, nan), (0, 1), (nan, 1), (0, 0), (0, nan), (0, 0)]
    cases = pd.DataFrame(answers, columns=["covid-19", "pneumonia"]).assign(source="a")
    weights = balanced_weights(cases, ["covid-19", "pneumonia"], "class")
    np.testing.assert_allclose(weights, [*[1 / 9] * 3, *[1 / 6] * 2, *[1 / 9] * 3])


def test_as_is_gives_each_film_the_same_chance() -> None:
    assert np.ptp(balanced_weights(CASES, ["covid-19"], "as-is")) == 0


@given(
    st.lists(
        st.tuples(st.sampled_from([0.0, 1.0, np.nan]), st.sampled_from("abc")),
        min_size=1,
        max_size=40,
    ),
    st.sampled_from(["class", "class-and-source", "as-is"]),
)
def test_chances_are_positive_and_sum_to_one(rows: list[tuple[float, str]], balance: str) -> None:
    cases = pd.DataFrame(rows, columns=["covid-19", "source"])
    weights = balanced_weights(cases, ["covid-19"], balance)
    assert weights.shape == (len(rows),)
    assert (weights > 0).all()
    assert weights.sum() == pytest.approx(1)


def order(seed: int, epoch: int, **ranks: int) -> list[int]:
    weights = balanced_weights(CASES, ["covid-19"], "class")
    sampler = EpochSampler(len(CASES), weights, seed, **ranks)
    sampler.set_epoch(epoch)
    return list(sampler)


def test_the_order_follows_from_seed_and_epoch_alone() -> None:
    assert order(1, 3) == order(1, 3)
    assert order(1, 3) != order(1, 4)
    assert order(1, 3) != order(2, 3)


def test_balanced_draws_come_out_balanced() -> None:
    drawn = [i for epoch in range(30) for i in order(0, epoch)]
    share = (CASES["covid-19"].to_numpy()[drawn] == 1).mean()
    assert 0.46 < share < 0.54  # 2,520 draws: four standard deviations


def test_without_weights_each_film_comes_once() -> None:
    sampler = EpochSampler(10, None, 0)
    assert sorted(sampler) == list(range(10))
    assert list(sampler) != list(range(10))


def test_several_devices_share_one_order_without_overlap() -> None:
    whole = order(0, 0)
    parts = [order(0, 0, rank=rank, world=4) for rank in range(4)]
    assert {len(part) for part in parts} == {21}
    assert Counter(i for part in parts for i in part) == Counter(whole)
