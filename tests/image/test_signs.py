from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from hilum.core.radiograph import Radiograph
from hilum.image.lungs import Lungs
from hilum.image.signs import EXPOSURE, FIELD, LAYOUT, PICTURE, SIGNS, _median, signs

SIDE = 112


def _film(pixels):
    return Radiograph(np.asarray(pixels, np.float32), "film", "PNG", 8)


def _lungs(mask):
    return Lungs(np.asarray(mask, bool), np.zeros(0, np.float32))


def _measured(pixels, mask=None, square=None):
    square = np.asarray(pixels if square is None else square, np.float32)
    mask = np.zeros(square.shape, bool) if mask is None else mask
    return dict(zip(SIGNS, signs(_film(pixels), square, _lungs(mask)), strict=True))


def _two_lungs(side=SIDE):
    mask = np.zeros((side, side), bool)
    mask[side // 4 : 3 * side // 4, side // 8 : 3 * side // 8] = True
    mask[side // 4 : 3 * side // 4, 5 * side // 8 : 7 * side // 8] = True
    return mask


@settings(max_examples=40, deadline=None)
@given(
    pixels=hnp.arrays(np.float32, (64, 80), elements=st.floats(0, 1, width=32)),
    square=hnp.arrays(np.float32, (32, 32), elements=st.floats(0, 1, width=32)),
    mask=hnp.arrays(bool, (32, 32)),
)
def test_every_film_has_finite_signs(pixels, square, mask):
    found = signs(_film(pixels), square, _lungs(mask))
    assert found.dtype == np.float32
    assert found.shape == (len(SIGNS),)
    assert np.isfinite(found).all()


def test_names_are_unique_and_in_order():
    assert (*EXPOSURE, *PICTURE, *FIELD, *LAYOUT) == SIGNS
    assert len(set(SIGNS)) == len(SIGNS)


def test_exposure_of_a_film_of_known_levels():
    pixels = np.zeros((100, 200), np.float32)
    pixels[:, 50:100], pixels[:, 100:150], pixels[:, 150:] = 1, 100 / 255, 101 / 255
    found = _measured(pixels, square=np.zeros((SIDE, SIDE)))
    assert found["black"] == pytest.approx(0.25)
    assert found["white"] == pytest.approx(0.25)
    assert found["grey_levels"] == pytest.approx(np.log(4))
    assert found["grey_range"] == pytest.approx(1)
    assert found["log_aspect"] == pytest.approx(np.log(2))


def test_a_thin_gutter_between_pictures_is_empty_and_a_black_margin_is_not_a_gutter():
    random = np.random.default_rng(0)
    square = random.random((SIDE, SIDE)).astype(np.float32)
    square[:, 50:62] = 1
    square[:14] = 0
    found = _measured(square)
    assert found["gutter_columns"] == pytest.approx(12 / SIDE)
    assert found["gutter_rows"] == 0
    assert found["empty_top"] == pytest.approx(14 / SIDE)
    assert found["empty_bottom"] == found["empty_left"] == found["empty_right"] == 0


@settings(max_examples=40, deadline=None)
@given(
    values=hnp.arrays(
        np.float32,
        hnp.array_shapes(min_dims=1, max_dims=2, min_side=1, max_side=40),
        elements=st.floats(0, 1, width=32),
    )
)
def test_the_median_is_numpys_to_the_bit(values):
    assert np.array_equal(_median(values), np.median(values, axis=-1))


def test_a_step_from_one_picture_to_the_next_is_a_seam():
    flat = np.full((SIDE, SIDE), 0.3, np.float32)
    joined = flat.copy()
    joined[:, SIDE // 2 :] = 0.7
    assert _measured(joined)["seam_columns"] == pytest.approx(0.4, abs=1e-5)
    assert _measured(joined)["seam_rows"] == pytest.approx(0, abs=1e-6)
    assert _measured(flat)["seam_columns"] == pytest.approx(0, abs=1e-6)


def test_the_field_of_two_drawn_lungs():
    square = np.full((SIDE, SIDE), 0.8, np.float32)
    mask = _two_lungs()
    square[mask] = 0.2
    found = _measured(square, mask)
    assert found["area"] == pytest.approx(mask.mean())
    assert found["parts"] == 2
    assert found["balance"] == pytest.approx(1)
    assert found["apart"] == pytest.approx(0.5)
    assert found["askew"] == pytest.approx(0, abs=1e-6)
    assert found["darkness"] == pytest.approx(0.6, abs=0.02)
    assert found["twins"] == pytest.approx(1)
    assert found["apex"] == pytest.approx(1 / 3, abs=0.02)
    assert found["cut_left"] == found["cut_bottom"] == 0


def test_lungs_that_touch_an_edge_are_cut_there():
    mask = np.roll(_two_lungs(), -SIDE // 8, axis=1)
    found = _measured(np.full((SIDE, SIDE), 0.5), mask)
    assert found["cut_left"] == pytest.approx(0.5)
    assert found["cut_right"] == 0


def test_an_inverted_film_has_bright_lungs():
    square = np.full((SIDE, SIDE), 0.8, np.float32)
    square[_two_lungs()] = 0.2
    upright, inverted = (_measured(one, _two_lungs())["darkness"] for one in (square, 1 - square))
    assert inverted == pytest.approx(-upright, abs=1e-5)


def test_mirror_and_flip_are_correlations_with_the_turned_film():
    random = np.random.default_rng(1)
    half = random.random((SIDE, SIDE // 2)).astype(np.float32)
    twin = np.concatenate([half, half[:, ::-1]], axis=1)
    assert _measured(twin)["mirror"] == pytest.approx(1, abs=1e-4)
    assert _measured(twin.T.copy())["flip"] == pytest.approx(1, abs=1e-4)
    expected = np.corrcoef(twin.ravel(), twin[::-1].ravel())[0, 1]
    assert _measured(twin)["flip"] == pytest.approx(expected, abs=1e-4)


def test_without_lungs_the_numbers_of_the_field_are_zero():
    found = _measured(np.random.default_rng(2).random((SIDE, SIDE)))
    assert all(found[name] == 0 for name in FIELD)


def test_the_layout_is_a_coarse_picture_of_film_and_lungs():
    square = np.zeros((SIDE, SIDE), np.float32)
    square[:14, -14:] = 1
    found = _measured(square, _two_lungs())
    assert found["grey_07"] == pytest.approx(1)
    assert sum(found[name] for name in LAYOUT if name.startswith("grey")) == pytest.approx(1)
    coarse = [found[name] for name in LAYOUT if name.startswith("lung")]
    assert np.mean(coarse) == pytest.approx(_two_lungs().mean(), abs=0.01)
