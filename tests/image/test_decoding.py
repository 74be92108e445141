"""Decoding that goes wrong in the decoder itself."""

from __future__ import annotations

import pytest
from pydicom import uid

from hilum.core.errors import UnreadableImageError
from hilum.image.open import open_bytes


def test_a_panic_of_a_codec_in_rust_is_a_refusal(make_dicom, panicking_rle):
    """Its PanicException is no Exception; one damaged film ended a run over thousands."""
    data = make_dicom(edit=panicking_rle).read_bytes()
    with pytest.raises(UnreadableImageError, match="film: pixel data cannot be decoded"):
        open_bytes(data, "film")


@pytest.mark.parametrize("stop", [KeyboardInterrupt, SystemExit, GeneratorExit])
def test_what_ends_a_program_is_no_refusal(make_dicom, monkeypatch, stop):
    def decode(*_, **__):
        raise stop

    data = make_dicom(edit=lambda dataset: dataset.compress(uid.RLELossless)).read_bytes()
    monkeypatch.setattr("hilum.image.dicom_codec.get_decoder", decode)
    with pytest.raises(stop):
        open_bytes(data, "film")
