from __future__ import annotations

import numpy as np
import pytest

from hilum.core.details import Side, Zone
from hilum.core.radiograph import Radiograph
from hilum.image.lungs import Lungs, affected
from hilum.image.opacities import Opacities
from hilum.image.severity import (
    CLASSIFIER,
    EXTENTS,
    GREY,
    GROUPS,
    LOGITS,
    LUNGS,
    SHAPE,
    lung_regions,
    severity_features,
)

EMBEDDING, LOGIT = np.arange(8, dtype=np.float32), np.zeros(2, np.float32)


def lungs(*, left: bool = True) -> Lungs:
    """Two rectangles on 60 x 60; the patient's right lung is on the left of the picture."""
    mask = np.zeros((60, 60), bool)
    mask[12:48, 8:26] = True
    if left:
        mask[12:48, 34:52] = True
    return Lungs(mask, np.ones(5, np.float32))


def film(seed: int = 0) -> Radiograph:
    pixels = np.random.default_rng(seed).uniform(0.2, 0.8, (120, 120)).astype(np.float32)
    return Radiograph(pixels, "made", "PNG", 8)


def opaque(rows: slice, columns: slice) -> Opacities:
    scores = np.zeros((2, 60, 60), np.float32)
    scores[0, rows, columns] = 0.9
    return Opacities(scores, (0.5, 0.5))


def test_every_group_is_there_and_finite():
    found = severity_features(EMBEDDING, LOGIT, lungs(), opaque(slice(0, 30), slice(0, 30)), film())
    assert list(found) == list(GROUPS)
    for values in found.values():
        assert values.dtype == np.float32
        assert values.ndim == 1
        assert np.isfinite(values).all()


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"opacities": None}, {CLASSIFIER, LOGITS, LUNGS, SHAPE, GREY}),
        ({"embedding": None}, {LOGITS, LUNGS, SHAPE, GREY, EXTENTS}),
        ({"lungs": None}, {CLASSIFIER, LOGITS}),
        ({"lungs": Lungs(np.zeros((60, 60), bool), np.ones(5, np.float32))}, {CLASSIFIER, LOGITS}),
        ({"embedding": np.full(8, np.nan, np.float32)}, {LOGITS, LUNGS, SHAPE, GREY, EXTENTS}),
        ({"lungs": Lungs.drawn(lungs().mask)}, {CLASSIFIER, LOGITS, SHAPE, GREY}),
    ],
)
def test_what_cannot_be_had_is_absent(given, expected):
    values = {"embedding": EMBEDDING, "logits": LOGIT, "lungs": lungs(), "radiograph": film()}
    values["opacities"] = opaque(slice(0, 30), slice(0, 30))
    if "lungs" in given and given["lungs"] is not None and not given["lungs"].embedding.size:
        values["opacities"] = None  # of another size
    assert set(severity_features(**(values | given))) == expected


def test_extents_are_those_of_the_zones():
    both = lungs()
    drawn = opaque(slice(12, 24), slice(8, 26))  # upper third of the right lung: zone A
    extents = severity_features(EMBEDDING, LOGIT, both, drawn, film())[EXTENTS]
    shares = extents.reshape(9, 5)[[2, 3, 4, 6, 7, 8], 0]  # zones A to F
    np.testing.assert_allclose(shares, [1, 0, 0, 0, 0, 0], atol=1e-6)
    rows = affected(drawn, both)
    np.testing.assert_allclose(extents.reshape(9, 5)[0, 0], rows[0].share, atol=1e-4)
    by_place = {(row.side, row.zone): row.share for row in rows}
    for place, region in enumerate(lung_regions(both)):
        assert extents.reshape(9, 5)[place, 0] == pytest.approx(by_place[region], abs=1e-4)


def test_zones_run_down_the_right_lung_then_the_left():
    order = [key for key in lung_regions(lungs()) if key[1] is not None]
    assert order == [(side, zone) for side in Side for zone in Zone]
    assert order[0] == (Side.RIGHT, Zone.UPPER)


def test_a_lung_that_was_not_found_is_not_a_clear_one():
    regions = lung_regions(lungs(left=False))
    assert regions[Side.LEFT, None].any()
    assert all(region.any() for region in regions.values())
    extents = severity_features(
        EMBEDDING, LOGIT, lungs(left=False), opaque(slice(12, 48), slice(8, 26)), film()
    )[EXTENTS]
    np.testing.assert_allclose(extents.reshape(9, 5)[[2, 3, 4, 6, 7, 8], 0], 1)


def test_grey_does_not_follow_brightness_or_contrast_but_what_is_white():
    radiograph, both = film(), lungs()
    dim = Radiograph(0.3 + 0.5 * radiograph.pixels, "made", "PNG", 8)
    white = radiograph.pixels.copy()
    white[24:48, 16:52] = 0.95  # zone A
    before, after, marked = (
        severity_features(EMBEDDING, LOGIT, both, None, each)[GREY]
        for each in (radiograph, dim, Radiograph(white, "made", "PNG", 8))
    )
    np.testing.assert_allclose(before, after, atol=1e-4)
    means = slice(5, None, 2)  # outside, both (2), right (2), then A
    assert marked[means][0] > before[means][0] + 0.1
