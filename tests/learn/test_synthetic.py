from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hilum.learn.synthetic import add_lesions

SIDE = 64


def chest() -> tuple[np.ndarray, np.ndarray]:
    down, across = (np.mgrid[0:SIDE, 0:SIDE] + 0.5) / SIDE
    lungs = (np.hypot((down - 0.5) / 0.4, (np.abs(across - 0.5) - 0.22) / 0.17)) < 1
    return (0.8 - 0.55 * lungs).astype(np.float32), lungs


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000))
def test_lesions_lie_in_the_lungs_and_make_them_lighter(seed: int) -> None:
    film, lungs = chest()
    before = film.copy()
    ill, masks = add_lesions(film, lungs, np.random.default_rng(seed))
    assert np.array_equal(film, before)
    assert ill.dtype == np.float32
    assert 0 <= ill.min() <= ill.max() <= 1
    assert masks.shape == (2, SIDE, SIDE)
    assert not (masks & ~lungs).any()
    assert masks.any(0)[lungs].mean() <= 0.62
    core = masks.any(0)
    if core.sum() > 30:
        assert (ill - film)[core].mean() > 0.01
    far = np.abs(np.arange(SIDE) - SIDE // 2) < 2  # between the lungs
    assert np.allclose(ill[:, far], film[:, far], atol=0.06)


def test_the_seed_decides() -> None:
    film, lungs = chest()
    one, other, same = (
        add_lesions(film, lungs, np.random.default_rng(seed))[0] for seed in (1, 2, 1)
    )
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)


def test_consolidation_is_denser_than_ground_glass() -> None:
    film, lungs = chest()
    added: tuple[list[float], list[float]] = ([], [])
    for seed in range(60):
        ill, masks = add_lesions(film, lungs, np.random.default_rng(seed))
        glass, dense = masks[0] & ~masks[1], masks[1]
        for values, mask in zip(added, (glass, dense), strict=True):
            values.extend((ill - film)[mask][:200])
    assert np.mean(added[1]) > 1.5 * np.mean(added[0])


def test_most_lie_low_and_outside() -> None:
    film, lungs = chest()
    total = np.zeros((SIDE, SIDE))
    for seed in range(80):
        total += add_lesions(film, lungs, np.random.default_rng(seed))[1].any(0)
    half = np.arange(SIDE) < SIDE // 2
    assert total[~half].sum() > 1.3 * total[half].sum()


def test_without_lungs_nothing_is_drawn() -> None:
    film, lungs = chest()
    ill, masks = add_lesions(film, np.zeros_like(lungs), np.random.default_rng(0))
    assert ill is film
    assert not masks.any()


@pytest.mark.parametrize("rows", [1, 2])
def test_a_sliver_of_lung_is_no_error(rows: int) -> None:
    film, lungs = chest()
    sliver = np.zeros_like(lungs)
    sliver[30 : 30 + rows, 10:20] = True
    _, masks = add_lesions(film, sliver, np.random.default_rng(0))
    assert not (masks & ~sliver).any()
