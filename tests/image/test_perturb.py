from __future__ import annotations

import cv2
import numpy as np
import pytest

from hilum.core.radiograph import Radiograph
from hilum.image import perturb
from hilum.image.perturb import PERTURBATIONS, Places


@pytest.fixture
def film():
    pixels = np.random.default_rng(0).uniform(0.2, 0.8, (200, 160)).astype(np.float32)
    return Radiograph(pixels, "film.png", "PNG", 8)


@pytest.fixture
def lungs():
    mask = np.zeros((200, 160), bool)
    mask[60:140, 30:70] = mask[60:140, 90:130] = True
    return mask


@pytest.fixture
def opacities():
    """One in the lower part of the lung on the left, down to its edge, and on to the diaphragm."""
    mask = np.zeros((200, 160), bool)
    mask[115:150, 35:65] = True
    return mask


@pytest.mark.parametrize("name", PERTURBATIONS)
def test_every_perturbation_keeps_the_contract_of_a_radiograph(name, film, lungs, opacities):
    before = film.pixels.copy()
    how = PERTURBATIONS[name]
    places = Places(lungs, opacities)
    one, two = (how.change(film, places, np.random.default_rng(7)) for _ in range(2))
    assert one.pixels.dtype == np.float32
    assert one.pixels.min() >= 0
    assert one.pixels.max() <= 1
    assert np.array_equal(one.pixels, two.pixels)
    assert np.array_equal(film.pixels, before)
    assert len(one.history) == 1
    assert (one.shape == film.shape) or not how.same_place
    assert one.shape != film.shape or not np.array_equal(one.pixels, film.pixels)


def test_lungs_removed_and_lungs_only_part_the_film(film, lungs):
    without, only = perturb.without_lungs(film, lungs), perturb.only_lungs(film, lungs)
    assert np.array_equal(without.pixels + only.pixels, film.pixels)
    assert not without.pixels[lungs].any()
    assert (only.pixels[:50] == 0).all()
    assert np.array_equal(only.pixels[lungs], film.pixels[lungs])


def test_occlusions_leave_the_middle_and_hide_the_rest(film):
    border, corners = perturb.without_border(film), perturb.without_corners(film)
    middle = (slice(40, 160), slice(40, 120))
    for changed in (border, corners):
        assert np.array_equal(changed.pixels[middle], film.pixels[middle])
    assert np.ptp(border.pixels[:13]) == 0
    assert np.ptp(corners.pixels[:32, -32:]) == 0
    assert np.array_equal(corners.pixels[:32, 40:120], film.pixels[:32, 40:120])


@pytest.mark.parametrize("corner", ["left", "right"])
def test_a_marker_lies_white_in_its_upper_corner_whole(film, corner):
    changed = perturb.with_text(film, "PORTABLE", corner, np.random.default_rng(1))
    rows, columns = np.nonzero(changed.pixels != film.pixels)
    assert rows.max() < 40
    assert (columns.max() < 100) if corner == "left" else (columns.min() > 60)
    assert columns.min() > 0
    assert columns.max() < 159
    assert changed.pixels.max() > 0.95


def test_an_ecg_lead_only_brightens(film):
    changed = perturb.with_ecg_lead(film, np.random.default_rng(1))
    share = (changed.pixels != film.pixels).mean()
    assert (changed.pixels >= film.pixels).all()
    assert 0.001 < share < 0.05


def test_what_happens_to_films_on_their_way(film):
    assert np.allclose(perturb.inverted(perturb.inverted(film)).pixels, film.pixels, atol=1e-6)
    assert perturb.cropped(film).shape == (180, 144)
    assert perturb.resized(film).shape == (140, 112)
    assert 0.005 < np.abs(perturb.jpeg(film).pixels - film.pixels).mean() < 0.2


def test_opacities_are_filled_from_clear_lung_and_from_nothing_else(lungs, opacities):
    pixels = np.where(lungs, np.float32(0.2), np.float32(0.9))
    pixels[lungs & opacities] = 0.8
    plain = Radiograph(pixels, "film.png", "PNG", 8)
    gone = perturb.filled(plain, lungs, opacities)
    assert np.allclose(gone.pixels[lungs], 0.2, atol=0.01)
    assert np.array_equal(gone.pixels[~lungs], pixels[~lungs])
    assert gone.history[-1].name == "filled"
    large = Radiograph(cv2.resize(pixels, (1600, 2000)), "film.png", "PNG", 8)
    up = [cv2.resize(m.astype(np.uint8), (1600, 2000)) > 0 for m in (lungs, opacities)]
    inside = perturb.filled(large, *up).pixels[1160:1380, 360:640]
    assert np.allclose(inside, 0.2, atol=0.01)


def test_as_much_clear_lung_is_filled_for_comparison(film, lungs, opacities):
    gone = perturb.filled(film, lungs, opacities).pixels != film.pixels
    other = perturb.filled(film, lungs, opacities, elsewhere=True).pixels != film.pixels
    assert gone.sum() == pytest.approx(other.sum(), rel=0.01)
    assert not (gone & other).any()
    assert not (other & ~lungs).any()
    assert cv2.connectedComponents(other.astype(np.uint8))[0] == 2


def test_what_cannot_be_changed_is_none(film, lungs, opacities):
    rng, nothing = np.random.default_rng(0), np.zeros_like(lungs)
    half = lungs.copy()
    half[:, 80:] = False
    for name, places in (
        ("lungs-only", Places()),
        ("lungs-removed", Places(None, opacities)),
        ("opacity-hidden", Places(lungs)),
        ("opacity-hidden", Places(lungs, nothing)),
        ("opacity-hidden", Places(lungs, lungs)),
        ("lung-hidden", Places(lungs, nothing)),
        ("lung-hidden", Places(lungs, half)),
    ):
        assert PERTURBATIONS[name].change(film, places, rng) is None, name
    assert PERTURBATIONS["opacity-hidden"].change(film, Places(lungs, half), rng) is not None
