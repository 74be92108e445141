from __future__ import annotations

import cv2
import numpy as np
import pytest
from scipy.ndimage import binary_propagation

from hilum.image.opacities import KINDS, Opacities, Regions, find_regions

LUNGS = np.zeros((64, 64), bool)
LUNGS[8:56, 4:60] = True


def smooth(seed: int) -> np.ndarray:
    random = np.random.default_rng(seed)
    maps = [cv2.GaussianBlur(random.random((64, 64)), (0, 0), 3) for _ in range(2)]
    low, high = np.min(maps), np.max(maps)
    return np.where(LUNGS, (np.stack(maps) - low) / (high - low), 0).astype(np.float32)


@pytest.mark.parametrize("seed", range(4))
def test_a_core_keeps_its_region_as_propagation_in_scipy_does(seed: int) -> None:
    scores = smooth(seed)
    union = scores.max(0)
    expected = binary_propagation(union >= 0.8, np.ones((3, 3)), mask=union >= 0.55)
    kept = find_regions(scores, LUNGS, Regions(reach=0.55, core=0.8))
    assert np.array_equal(kept, expected)
    assert expected.any()


def test_a_region_without_a_core_is_gone() -> None:
    scores = np.zeros((2, 64, 64), np.float32)
    scores[0, 10:30, 10:30], scores[1, 20, 20] = 0.5, 0.9
    scores[0, 40:50, 40:50] = 0.7
    kept = find_regions(scores, LUNGS, Regions(reach=0.4, core=0.8))
    assert np.array_equal(kept, np.pad(np.ones((20, 20), bool), ((10, 34), (10, 34))))


def test_a_core_that_is_small_beside_the_lungs_keeps_nothing() -> None:
    scores = np.zeros((2, 64, 64), np.float32)
    scores[0, 10:30, 10:30] = 0.5
    scores[1, 12:22, 12:22] = 0.9  # 100 pixels of 2,688
    share = 100 / LUNGS.sum()
    kept = find_regions(scores, LUNGS, Regions(reach=0.4, core=0.8, least=share - 1e-6))
    assert np.array_equal(kept, scores[0] > 0)
    assert not find_regions(scores, LUNGS, Regions(reach=0.4, core=0.8, least=share + 1e-6)).any()


def test_on_a_film_that_is_unsure_regions_end_where_it_is_sure() -> None:
    scores = np.zeros((2, 64, 64), np.float32)
    scores[0, 10:30, 10:30] = 0.5
    scores[1, 12:22, 12:22] = 0.9  # 100 pixels of 2,688
    share = 100 / LUNGS.sum()
    sure = find_regions(scores, LUNGS, Regions(reach=0.4, core=0.8, film=share - 1e-6))
    assert np.array_equal(sure, scores[0] > 0)
    unsure = find_regions(scores, LUNGS, Regions(reach=0.4, core=0.8, film=share + 1e-6))
    assert np.array_equal(unsure, scores[1] > 0)


def test_nothing_is_kept_of_a_map_without_regions() -> None:
    dark = np.zeros((2, 64, 64), np.float32)
    assert not find_regions(dark, LUNGS, Regions(reach=0.1, core=0.1)).any()
    assert find_regions(dark + 1, np.ones((64, 64), bool), Regions(reach=0.1, core=0.1)).all()


def test_what_lies_outside_the_regions_is_not_shown() -> None:
    scores = np.full((2, 64, 64), 0.5, np.float32)
    regions = np.zeros((64, 64), bool)
    regions[:, :32] = True
    found = Opacities(scores, (0.4, 0.6), regions)
    assert np.array_equal(found.mask(), regions)
    assert not found.mask(KINDS[1]).any()
    on_film = found.on_film((128, 96), KINDS[0])
    assert on_film[:, :44].all()
    assert not on_film[:, 52:].any()
    assert found.with_doubtful().mask().all()
