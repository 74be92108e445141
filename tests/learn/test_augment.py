"""Augmentation: off is identity, the range holds, one seed is one result."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hilum.core.errors import ConfigError
from hilum.learn.augment import Augmentation, augment

ELEMENTS: dict[str, Any] = {
    "rotation_degrees": 20.0,
    "shift": 0.2,
    "scale": 0.3,
    "shear_degrees": 15.0,
    "contrast": 0.5,
    "gamma": 1.0,
    "noise": 0.2,
    "flip": True,
}

augmentations = st.builds(
    Augmentation,
    rotation_degrees=st.floats(0, 180),
    shift=st.floats(0, 1),
    scale=st.floats(0, 0.9),
    scale_axes_apart=st.booleans(),
    shear_degrees=st.floats(0, 45),
    contrast=st.floats(0, 1),
    gamma=st.floats(0, 4),
    noise=st.floats(0, 1),
    flip=st.booleans(),
)


def chance(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def films(seed: int, count: int = 4, size: int = 24) -> torch.Tensor:
    return torch.rand(count, 1, size, size, generator=chance(seed))


@given(augmentations, st.integers(0, 1000))
@settings(max_examples=50, deadline=None)
def test_keeps_shape_type_and_range(augmentation: Augmentation, seed: int) -> None:
    batch = films(seed)
    before = batch.clone()
    changed = augment(batch, augmentation, chance(seed))
    assert changed.shape == batch.shape
    assert changed.dtype == torch.float32
    assert bool(torch.isfinite(changed).all())
    assert 0.0 <= float(changed.min()) <= float(changed.max()) <= 1.0
    torch.testing.assert_close(batch, before, rtol=0, atol=0)


@given(augmentations, st.integers(0, 1000))
@settings(max_examples=20, deadline=None)
def test_one_seed_is_one_result(augmentation: Augmentation, seed: int) -> None:
    batch = films(seed)
    first = augment(batch, augmentation, chance(seed))
    torch.manual_seed(seed)  # the global generator plays no part
    second = augment(batch, augmentation, chance(seed))
    torch.testing.assert_close(first, second, rtol=0, atol=0)


@given(st.integers(0, 1000))
@settings(max_examples=20, deadline=None)
def test_all_off_is_identity(seed: int) -> None:
    batch = films(seed)
    torch.testing.assert_close(
        augment(batch, Augmentation.off(), chance(seed)), batch, rtol=0, atol=0
    )


@pytest.mark.parametrize("element", ELEMENTS)
def test_each_element_alone_changes_films_each_in_its_own_way(element: str) -> None:
    alone = Augmentation.off().model_copy(update={element: ELEMENTS[element]})
    batch = films(1, count=1).expand(16, -1, -1, -1)
    changed = augment(batch, alone, chance(2))
    assert not torch.allclose(changed, batch)
    distinct = {changed[i].numpy().tobytes() for i in range(16)}
    assert len(distinct) == (2 if element == "flip" else 16)


@pytest.mark.parametrize("geometry", ["rotation_degrees", "shift", "scale", "flip"])
@pytest.mark.parametrize("grey", ["contrast", "gamma"])
def test_an_element_draws_alike_whatever_else_is_on(geometry: str, grey: str) -> None:
    def only(*elements: str) -> Augmentation:
        chosen = {element: ELEMENTS[element] for element in elements}
        return Augmentation.off().model_copy(update=chosen)

    batch = films(3)
    together = augment(batch, only(geometry, grey), chance(4))
    one_by_one = augment(augment(batch, only(geometry), chance(4)), only(grey), chance(4))
    torch.testing.assert_close(together, one_by_one, rtol=0, atol=0)


def test_flip_mirrors_left_and_right() -> None:
    batch = films(5, count=32)
    changed = augment(batch, Augmentation.off().model_copy(update={"flip": True}), chance(6))
    mirrored = 0
    for film, new in zip(batch, changed, strict=True):
        is_mirror = torch.allclose(new, film.flip(-1), atol=1e-5)
        assert is_mirror or torch.allclose(new, film, atol=1e-5)
        mirrored += is_mirror
    assert 6 <= mirrored <= 26


def test_rotation_and_shift_agree_with_opencv() -> None:
    size = 48
    y, x = np.mgrid[:size, :size] / size
    film = np.clip(np.sin(7 * x) * np.cos(5 * y) * 0.4 + 0.5, 0, 1).astype(np.float32)
    batch = torch.from_numpy(film)[None, None]
    rotation = Augmentation.off().model_copy(update={"rotation_degrees": 30.0, "shift": 0.1})
    draws = torch.rand(1, 9, generator=chance(7))[0]
    angle = float(2 * draws[0] - 1) * 30.0
    moved = [float(2 * draw - 1) * 0.1 * size for draw in draws[4:6]]
    centre = ((size - 1) / 2, (size - 1) / 2)
    matrix = cv2.getRotationMatrix2D(centre, -angle, 1.0)  # from the new film into the old one
    matrix[:, 2] += moved
    expected = cv2.warpAffine(
        film,
        matrix,
        (size, size),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )
    found = augment(batch, rotation, chance(7))[0, 0].numpy()
    np.testing.assert_allclose(found, expected, atol=0.02)


def test_a_strength_out_of_range_or_misspelt_is_refused() -> None:
    with pytest.raises(ConfigError, match="scale"):
        Augmentation.parse({"scale": 1.5}, where="recipe.toml")
    with pytest.raises(ConfigError) as unknown:
        Augmentation.parse({"rotation": 3}, where="recipe.toml")
    assert "rotation_degrees" in unknown.value.hint
