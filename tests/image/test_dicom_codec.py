"""Codes beyond BitsStored: a codec's overshoot stays white, bits that mean something else go."""

from __future__ import annotations

import imagecodecs
import numpy as np
import pytest
from pydicom import uid
from pydicom.encaps import encapsulate

from hilum.core.errors import UnreadableImageError
from hilum.image.codestream import read_coding
from hilum.image.open import open_radiograph
from hilum.image.stored import open_stored

LOSSY = {
    "JPEG, 12 bits": (
        uid.JPEGExtended12Bit,
        lambda codes: imagecodecs.jpeg8_encode(codes, level=40, bitspersample=12),
    ),
    "JPEG-LS near lossless": (
        uid.JPEGLSNearLossless,
        lambda codes: imagecodecs.jpegls_encode(codes, level=12),
    ),
    "JPEG 2000": (
        uid.JPEG2000,
        lambda codes: imagecodecs.jpeg2k_encode(
            codes, level=38, reversible=False, codecformat="j2k", bitspersample=12
        ),
    ),
    "JPEG 2000, reversible and cut short": (
        uid.JPEG2000,
        lambda codes: imagecodecs.jpeg2k_encode(
            codes, level=38, reversible=True, codecformat="j2k", bitspersample=12
        ),
    ),
    "JPEG 2000 under the lossless syntax": (
        uid.JPEG2000Lossless,
        lambda codes: imagecodecs.jpeg2k_encode(
            codes, level=38, reversible=False, codecformat="j2k", bitspersample=12
        ),
    ),
    "HTJ2K": (
        uid.HTJ2K,
        lambda codes: imagecodecs.htj2k_encode(codes, level=0.01, reversible=False),
    ),
}

DECODE = {
    "JPEG": imagecodecs.jpeg8_decode,
    "JPEG-LS near lossless": imagecodecs.jpegls_decode,
    "JPEG 2000": imagecodecs.jpeg2k_decode,
    "HTJ2K": imagecodecs.htj2k_decode,
}


def packed(make_dicom, stored, syntax, frame, *, bits, signed=False, **attributes):
    def edit(dataset):
        dataset.PixelData = encapsulate([frame])
        dataset["PixelData"].VR = "OB"
        dataset["PixelData"].is_undefined_length = True
        dataset.file_meta.TransferSyntaxUID = syntax

    return make_dicom(stored=stored, bits=bits, signed=signed, edit=edit, **attributes)


@pytest.fixture
def overexposed(film):
    """10 bits; a white plate with sharp edges beside black: where lossy codecs overshoot."""
    stored = np.rint(film * 900).astype(np.uint16)
    stored[20:60, 20:60] = 1023
    stored[80:120:2, 20:100] = 1023
    stored[81:121:2, 20:100] = 0
    return stored


@pytest.mark.parametrize("how", LOSSY)
def test_overshoot_of_a_lossy_codec_stays_white(make_dicom, overexposed, how):
    syntax, encode = LOSSY[how]
    path = packed(make_dicom, overexposed, syntax, encode(overexposed), bits=10)
    opened = open_radiograph(path)
    theirs = np.clip(DECODE[how.split(",")[0].split(" under")[0]](encode(overexposed)), 0, 1023)
    assert abs(opened.pixels - theirs / 1023).max() < 2 / 1023
    assert opened.pixels[30:50, 30:50].min() > 0.9
    (note,) = (note for note in opened.notes if "beyond the 10 stored" in note)
    assert "set to the nearest" in note
    assert any(step.name == "bits" for step in opened.history)
    stored = open_stored(path)
    assert abs(stored.values / 1023 - opened.pixels).max() < 1e-3
    assert note in stored.radiograph.notes


SIGNED = {
    "JPEG, 12 bits": (
        uid.JPEGExtended12Bit,
        lambda values: imagecodecs.jpeg8_encode(
            values.view(np.uint16) & 0xFFF, level=97, bitspersample=12
        ),
    ),
    "JPEG 2000": (
        uid.JPEG2000,
        lambda values: imagecodecs.jpeg2k_encode(
            values, level=70, reversible=False, codecformat="j2k"
        ),
    ),
    "HTJ2K": (
        uid.HTJ2K,
        lambda values: imagecodecs.htj2k_encode(values, level=0.005, reversible=False),
    ),
}


@pytest.mark.parametrize("how", SIGNED)
def test_overshoot_of_signed_values_stays_white(make_dicom, overexposed, how):
    """Positive values only in JPEG, which would break at the step from 0 to -1."""
    syntax, encode = SIGNED[how]
    low = 0 if how.startswith("JPEG, ") else -512
    stored = (overexposed.astype(np.int16) >> (low == 0)) + np.int16(low)
    path = packed(make_dicom, stored, syntax, encode(stored), bits=10, signed=True)
    opened = open_radiograph(path)
    theirs = DECODE[how.split(",")[0]](encode(stored)).astype(np.int64)
    theirs = np.where(theirs > 2047, theirs - 4096, theirs)  # JPEG knows no sign
    assert abs(opened.pixels - (np.clip(theirs, -512, 511) + 512) / 1023).max() < 2 / 1023
    assert opened.pixels[30:50, 30:50].min() > 0.9
    assert any("set to the nearest" in note for note in opened.notes)


@pytest.mark.parametrize("filled", ["with the sign", "with zero"])
def test_unused_bits_of_negative_values_may_be_filled_either_way(make_dicom, film, filled):
    stored = np.rint(film * 1023).astype(np.int16) - np.int16(512)
    codes = stored.view(np.uint16) & (0x3FF if filled == "with zero" else 0xFFFF)
    frame = imagecodecs.jpegls_encode(codes, level=1)
    path = packed(make_dicom, stored, uid.JPEGLSNearLossless, frame, bits=10, signed=True)
    near_the_break = np.isin(stored, (-512, -1, 0, 511))  # one code off is another sign there
    off = abs(open_radiograph(path).pixels - film)
    assert off[~near_the_break].max() < 2 / 1023
    plain = open_radiograph(make_dicom("plain", stored=codes.view(np.int16), bits=10, signed=True))
    assert abs(plain.pixels - film).max() < 0.51 / 1023
    assert not any("bits" in note for note in plain.notes)


def test_a_lossy_film_that_was_unpacked_is_still_lossy(make_dicom, overexposed):
    codes = overexposed + np.uint16(5)  # as dcmdjpeg leaves them: 1023 became 1028
    before = make_dicom(stored=codes, bits=10, LossyImageCompression="01")
    assert abs(open_radiograph(before).pixels - overexposed / 1023).max() < 6 / 1023


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("once_lossy", [False, True])
def test_bits_of_an_overlay_are_left_out_with_a_note(make_dicom, film, signed, once_lossy):
    values = np.rint(film * 1023).astype(np.int64) - 512 * signed
    codes = (values & 0x3FF).astype(np.uint16)
    codes[10:20, 10:20] |= 1 << 12

    def edit(dataset):
        dataset.add_new((0x6000, 0x0102), "US", 12)
        dataset.PixelData = codes.tobytes()
        if once_lossy:
            dataset.LossyImageCompression = "01"

    opened = open_radiograph(make_dicom(stored=values, bits=10, signed=signed, edit=edit))
    assert abs(opened.pixels - film).max() < 0.51 / 1023
    assert any("100 pixels hold more than the 10 stored bits" in note for note in opened.notes)
    assert any(step.name == "bits" for step in opened.history)


def test_a_frame_with_more_bits_than_its_container_is_refused(make_dicom, film):
    codes = np.rint(film * 4095).astype(np.uint16)
    frame = imagecodecs.jpeg2k_encode(codes, codecformat="j2k", bitspersample=12)
    path = packed(make_dicom, codes >> 4, uid.JPEG2000Lossless, frame, bits=8)
    with pytest.raises(UnreadableImageError, match="12 bits a pixel; the header says 8"):
        open_radiograph(path)


def test_the_codestream_says_whether_it_is_lossy(overexposed):
    heads = {how: read_coding(encode(overexposed)) for how, (_, encode) in LOSSY.items()}
    assert [heads[how].bits for how in LOSSY][:4] == [12, 16, 12, 12]
    assert [heads[how].lossy for how in LOSSY] == [True, True, True, None, True, True]
    exact = imagecodecs.jpegls_encode(overexposed)
    assert read_coding(exact).lossy is False
    lossless = imagecodecs.jpeg8_encode(overexposed, lossless=True, bitspersample=12)
    assert read_coding(lossless) == (12, False)
