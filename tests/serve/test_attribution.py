from __future__ import annotations

import numpy as np
import pytest

from hilum.image.lungs import Lungs
from hilum.image.preprocess import Preprocess
from hilum.serve.attribution import in_lung_share

NO_EMBEDDING = np.zeros(0, np.float32)
FILM = Preprocess(size=64)


def left_half() -> Lungs:
    mask = np.zeros((64, 64), bool)
    mask[:, :32] = True
    return Lungs(mask, NO_EMBEDDING)


def test_evidence_in_one_half() -> None:
    evidence = np.zeros((8, 8), np.float32)
    evidence[2:6, 1:3] = 2  # all of it left of the middle
    assert in_lung_share(FILM, evidence, (300, 200), left_half()) == pytest.approx(1)
    assert in_lung_share(FILM, evidence[:, ::-1].copy(), (300, 200), left_half()) == 0
    even = np.ones((8, 8), np.float32)
    assert in_lung_share(FILM, even, (300, 200), left_half()) == pytest.approx(0.5, abs=0.01)


def test_only_what_speaks_for_the_label_counts() -> None:
    evidence = np.full((8, 8), -3, np.float32)
    evidence[2:6, 1:3] = 2
    assert in_lung_share(FILM, evidence, (300, 200), left_half()) == pytest.approx(1)
    assert in_lung_share(FILM, np.full((8, 8), -3, np.float32), (300, 200), left_half()) is None


@pytest.mark.parametrize("fit", ["stretch", "pad", "crop"])
@pytest.mark.parametrize("region", ["film", "lung-field"])
def test_the_share_is_that_counted_at_film_size(fit: str, region: str) -> None:
    random = np.random.default_rng(0)
    evidence = random.standard_normal((7, 7)).astype(np.float32)
    mask = np.zeros((96, 96), bool)
    mask[20:70, 15:80] = True
    how, lungs = Preprocess(size=64, fit=fit, region=region), Lungs(mask, NO_EMBEDDING)
    shape = (700, 500)
    whole = np.maximum(np.nan_to_num(how.to_film(evidence, shape, lungs)), 0)
    expected = whole[lungs.on_film(shape)].sum() / whole.sum()
    assert in_lung_share(how, evidence, shape, lungs) == pytest.approx(expected, abs=0.01)


def test_without_lungs_there_is_no_share() -> None:
    even = np.ones((8, 8), np.float32)
    assert in_lung_share(FILM, even, (300, 200), None) is None
    none = Lungs(np.zeros((64, 64), bool), NO_EMBEDDING)
    assert in_lung_share(FILM, even, (300, 200), none) is None
