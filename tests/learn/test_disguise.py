from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import pytest
import torch

from hilum.learn.augment import Augmentation, augment
from hilum.learn.disguise import add_markers, cover_borders, degrade, erase, process

ALL = {
    "processing": process,
    "degrade": degrade,
    "markers": add_markers,
    "borders": cover_borders,
    "erase": erase,
}


def square(size: int, seed: int = 0) -> np.ndarray:
    coarse = np.random.default_rng(seed).random((9, 9), np.float32)
    return np.clip(cv2.resize(coarse, (size, size), interpolation=cv2.INTER_CUBIC), 0.1, 0.9)


@pytest.mark.parametrize("change", ALL.values(), ids=ALL)
@pytest.mark.parametrize("size", [32, 97, 224])
def test_a_disguise_keeps_shape_and_range_and_changes_something(
    change: Callable, size: int
) -> None:
    film, changed_any = square(size), False
    for seed in range(12):
        before = film.copy()
        changed = change(film, np.random.default_rng(seed))
        np.testing.assert_array_equal(film, before)  # the film itself stays as it was
        assert changed.shape == (size, size)
        assert changed.dtype == np.float32
        assert 0 <= changed.min() <= changed.max() <= 1
        changed_any |= bool(np.abs(changed - film).max() > 0.05)
    assert changed_any


@pytest.mark.parametrize("change", ALL.values(), ids=ALL)
def test_a_disguise_follows_from_its_generator(change: Callable) -> None:
    film = square(64)
    one, again, other = (change(film, np.random.default_rng(seed)) for seed in (3, 3, 4))
    np.testing.assert_array_equal(one, again)
    assert not np.array_equal(one, other)


def test_degrading_loses_detail_and_keeps_the_film() -> None:
    random = np.random.default_rng(0)
    film = np.clip(square(128) + 0.1 * random.standard_normal((128, 128)), 0, 1).astype(np.float32)
    sharpness = cv2.Laplacian(film, cv2.CV_32F).var()
    for seed in range(8):
        coarse = degrade(film, np.random.default_rng(seed))
        assert cv2.Laplacian(coarse, cv2.CV_32F).var() < sharpness
        assert np.corrcoef(coarse.ravel(), film.ravel())[0, 1] > 0.8


def test_another_processing_keeps_what_is_lighter_lighter() -> None:
    film = square(128)
    for seed in range(16):
        processed = process(film, np.random.default_rng(seed))
        assert np.corrcoef(processed.ravel(), film.ravel())[0, 1] > 0.7


def test_borders_lie_at_the_sides_and_no_deeper_than_an_eighth() -> None:
    film = square(80)
    for seed in range(20):
        covered = cover_borders(film, np.random.default_rng(seed))
        np.testing.assert_array_equal(covered[10:70, 10:70], film[10:70, 10:70])
        assert set(np.unique(covered[covered != film])) <= {0.0, 1.0}


def test_what_is_erased_is_one_rectangle_of_at_most_a_third() -> None:
    film = square(90)
    for seed in range(20):
        rows, columns = np.nonzero(erase(film, np.random.default_rng(seed)) != film)
        high, wide = np.ptp(rows) + 1, np.ptp(columns) + 1
        assert high <= 30
        assert wide <= 30
        assert len(rows) > 0.98 * high * wide


@pytest.mark.parametrize("element", ALL)
def test_a_chance_of_one_reaches_every_film_and_of_none_no_film(element: str) -> None:
    films = torch.from_numpy(np.stack([square(64, seed) for seed in range(6)]))[:, None]

    def drawn(chance: float) -> torch.Tensor:
        augmentation = Augmentation.off().model_copy(update={element: chance})
        return augment(films, augmentation, torch.Generator().manual_seed(1))

    assert torch.equal(drawn(0.0), films)
    changed = (drawn(1.0) != films).flatten(1).any(1)
    # a border may be drawn for none of the four sides: (1/2)^4
    assert changed.sum() >= (4 if element == "borders" else 6)
    assert torch.equal(drawn(1.0), drawn(1.0))
