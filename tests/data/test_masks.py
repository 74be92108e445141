from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from hilum.core.errors import CohortError
from hilum.data.masks import read_kinds, read_mask


def test_a_mask_is_read_at_film_size_and_its_faults_are_named(tmp_path: Path) -> None:
    path = tmp_path / "mask.png"
    drawn = np.zeros((50, 40), np.uint8)
    drawn[10:30, 10:20] = 255
    cv2.imwrite(str(path), drawn)
    mask = read_mask(str(path), (100, 80))
    assert mask.shape == (100, 80)
    assert mask.sum() == 4 * 200
    with pytest.raises(CohortError, match="40 x 50; its film is 80 x 80"):
        read_mask(str(path), (80, 80))
    path.write_text("no picture")
    with pytest.raises(CohortError, match="not a picture"):
        read_mask(str(path), (100, 80))


def test_a_kind_that_was_not_drawn_is_empty(tmp_path: Path) -> None:
    path = tmp_path / "dense.png"
    cv2.imwrite(str(path), np.full((8, 8), 255, np.uint8))
    glass, dense = read_kinds(json.dumps({"consolidation": str(path)}), (16, 16))
    assert (glass.any(), dense.all()) == (False, True)
    assert not any(kind.any() for kind in read_kinds("", (4, 4)))
