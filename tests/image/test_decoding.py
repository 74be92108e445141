"""Decoding that goes wrong in the decoder itself."""

from __future__ import annotations

import struct

import pytest
from pydicom import uid
from pydicom.encaps import encapsulate

from hilum.core.errors import UnreadableImageError
from hilum.image.open import open_bytes


def overlong_rle(dataset):
    """PS3.5 annex G: two segments, the first of which gives more bytes than the film has pixels."""
    dataset.compress(uid.RLELossless)
    pixels = dataset.Rows * dataset.Columns
    runs = b"\x81\x00" * (pixels // 128) + bytes([257 - pixels % 128, 0]) + b"\x81\x07"
    segment = runs + b"\x00" * (len(runs) % 2)
    header = struct.pack("<16I", 2, 64, 64 + len(segment), *[0] * 13)
    dataset.PixelData = encapsulate([header + segment + segment])


def test_a_panic_of_a_codec_in_rust_is_a_refusal(make_dicom):
    """Its PanicException is no Exception; one damaged film ended a run over thousands."""
    data = make_dicom(edit=overlong_rle).read_bytes()
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
