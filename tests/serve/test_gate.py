from __future__ import annotations

import numpy as np
import pytest

from hilum.core.errors import RejectedImageError
from hilum.core.labels import View
from hilum.core.radiograph import Metadata, Radiograph
from hilum.serve import gate


def _film(shape=(200, 160), **metadata):
    pixels = np.linspace(0, 1, shape[0] * shape[1], dtype=np.float32).reshape(shape)
    return Radiograph(pixels, "ward/film", "PNG", 8, Metadata(**metadata))


@pytest.mark.parametrize(
    "metadata",
    [
        {},
        {"modality": "CR", "view": View.PA},
        {"modality": "DX", "view": View.AP_SUPINE},
        {"modality": "OT"},
    ],
)
def test_a_frontal_film_passes(metadata):
    gate.check(_film(**metadata))


@pytest.mark.parametrize("modality", sorted(gate.OTHER_MODALITIES))
def test_another_modality_is_refused_by_name(modality):
    with pytest.raises(RejectedImageError, match=f"ward/film: .*modality {modality}"):
        gate.check(_film(modality=modality))


def test_a_lateral_is_refused():
    with pytest.raises(RejectedImageError, match="lateral"):
        gate.check(_film(view=View.LATERAL))


def test_size_is_refused_below_the_limit_only():
    gate.check(_film((gate.MIN_SIDE, gate.MIN_SIDE)))
    with pytest.raises(RejectedImageError, match="200 x 63 pixels"):
        gate.check(_film((gate.MIN_SIDE - 1, 200)))


def test_a_blank_film_is_refused():
    blank = Radiograph(np.full((200, 200), 0.4, np.float32), "x", "PNG", 8)
    with pytest.raises(RejectedImageError, match="blank"):
        gate.check(blank)
