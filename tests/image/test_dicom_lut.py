"""Tables against DCMTK: the sign of the first value mapped, and entries of 8 bits in 16."""

from __future__ import annotations

import shutil
from copy import deepcopy

import numpy as np
import pytest
from pydicom import uid
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from hilum.core.errors import UnreadableImageError
from hilum.image.open import open_radiograph
from hilum.image.stored import open_stored, shown

from .test_dcmtk import rendered

RAMP = np.linspace(0, 65535, 4096).astype(int)
SYNTAXES = [uid.ImplicitVRLittleEndian, uid.ExplicitVRLittleEndian, uid.ExplicitVRBigEndian]


def table(entries, first, bits, *, descriptor="US", data="US", size=None) -> Dataset:
    item = Dataset()
    size = len(entries) if size is None else size
    item.add_new("LUTDescriptor", descriptor, [size % 65536, first, bits])
    words = [int(entry) for entry in entries]
    item.add_new("LUTData", data, words if data == "US" else np.array(words, "<u2").tobytes())
    return item


def agree(path, film, atol=2e-3):
    """Ours, what the eye sees, the exposure itself, and DCMTK."""
    opened, stored = open_radiograph(path), open_stored(path)
    assert abs(opened.pixels - film).max() < atol
    if shutil.which("dcm2pnm"):
        assert abs(opened.pixels - rendered(path, "+Wl", "1")).max() < atol
    assert abs(shown(stored.values, stored.windows[0]) - film).max() < 0.05


@pytest.mark.parametrize("syntax", SYNTAXES)
@pytest.mark.parametrize("vr", ["US", "SS"])
def test_first_value_is_signed_after_a_signed_rescale(make_dicom, film, vr, syntax):
    first = -1024 if vr == "SS" else 65536 - 1024
    lut = table(RAMP, first, 16, descriptor=vr)
    path = make_dicom(
        syntax=syntax, RescaleSlope=1, RescaleIntercept=-1024, VOILUTSequence=Sequence([lut])
    )
    agree(path, film)


@pytest.mark.parametrize("syntax", SYNTAXES)
@pytest.mark.parametrize("vr", ["US", "SS"])
def test_first_value_is_unsigned_after_a_modality_lut(make_dicom, film, vr, syntax):
    modality = table(np.arange(4096) + 36000, -2048, 16, descriptor="SS")
    lut = table(RAMP, 36000 - 65536 * (vr == "SS"), 16, descriptor=vr)
    path = make_dicom(
        signed=True,
        syntax=syntax,
        ModalityLUTSequence=Sequence([modality]),
        VOILUTSequence=Sequence([lut]),
    )
    agree(path, film)


def test_first_value_of_a_modality_lut_of_signed_pixels(make_dicom, film):
    """Read as US, which a file with implicit VR leaves open."""
    modality = table(np.arange(4096) // 4, 65536 - 2048, 10)
    voi = table(np.arange(1024) * 64, 0, 16)
    path = make_dicom(
        signed=True, ModalityLUTSequence=Sequence([modality]), VOILUTSequence=Sequence([voi])
    )
    agree(path, film)


def test_first_value_above_32767_of_unsigned_pixels(make_dicom, film):
    lut = table(RAMP, 40000, 16)
    stored = np.rint(film * 4095).astype(int) + 40000
    agree(make_dicom(bits=16, stored=stored, VOILUTSequence=Sequence([lut])), film)


EIGHT = np.arange(4096) // 16
PACKED = EIGHT.astype(np.uint8).view("<u2")
ENTRIES = {
    "in words": table(EIGHT, 0, 8),
    "in words, OW": table(EIGHT, 0, 8, data="OW"),
    "two in a word": table(PACKED, 0, 8, size=4096),
    "two in a word, OW": table(PACKED, 0, 8, size=4096, data="OW"),
    "in both bytes": table(EIGHT * 257, 0, 8, data="OW"),
}


@pytest.mark.parametrize("syntax", SYNTAXES)
@pytest.mark.parametrize("how", ENTRIES)
def test_entries_of_8_bits(make_dicom, film, how, syntax):
    item = deepcopy(ENTRIES[how])
    if syntax == uid.ExplicitVRBigEndian and isinstance(item.LUTData, bytes):
        item.LUTData = np.frombuffer(item.LUTData, "<u2").astype(">u2").tobytes()
    agree(make_dicom(syntax=syntax, VOILUTSequence=Sequence([item])), film, atol=5e-3)


def test_entries_of_8_bits_in_odd_number(make_dicom, film):
    packed = np.append(EIGHT[:-1], 0).astype(np.uint8).view("<u2")
    lut = table(packed, 0, 8, size=4095, data="OW")
    agree(make_dicom(VOILUTSequence=Sequence([lut])), film, atol=5e-3)


def test_entries_above_their_bits_are_believed_and_said(make_dicom, film):
    """DCMTK cuts them to 12 bits, which turns white to black."""
    lut = table(RAMP, 0, 12)
    opened = open_radiograph(make_dicom(VOILUTSequence=Sequence([lut])))
    assert abs(opened.pixels - film).max() < 2e-3
    assert any("entries of up to 16 bits; the file says 12" in note for note in opened.notes)


def palette(dataset, entries, bits, first=0, size=None):
    dataset.PhotometricInterpretation = "PALETTE COLOR"
    for colour in ("Red", "Green", "Blue"):
        keyword = f"{colour}PaletteColorLookupTable"
        size = len(entries) if size is None else size
        dataset.add_new(f"{keyword}Descriptor", "US", [size % 65536, first, bits])
        dataset.add_new(f"{keyword}Data", "OW", np.asarray(entries).astype("<u2").tobytes())


INVERTED = 255 - np.arange(256)
PALETTES = {
    "8 bits in words": (INVERTED, 8, None),
    "8 bits, two in a word": (INVERTED.astype(np.uint8).view("<u2"), 8, 256),
    "8 bits in the upper byte": (INVERTED << 8, 16, None),
    "8 bits in both bytes": (INVERTED * 257, 16, None),
    "8 bits in words, declared 16": (INVERTED, 16, None),
    "12 bits": (INVERTED * 16, 12, None),
}


@pytest.mark.parametrize("how", PALETTES)
def test_palette(make_dicom, film, how):
    entries, bits, size = PALETTES[how]
    path = make_dicom(
        bits=8,
        stored=255 - np.rint(film * 255).astype(int),
        edit=lambda d: palette(d, entries, bits, size=size),
    )
    opened = open_radiograph(path)
    assert abs(opened.pixels - film).max() < 6e-3


@pytest.mark.parametrize("signed", [False, True])
def test_palette_of_16_bits_with_a_first_value(make_dicom, film, signed):
    first = -2000 if signed else 1000
    path = make_dicom(
        bits=16,
        signed=signed,
        stored=np.rint(film * 255).astype(int) + first,
        edit=lambda d: palette(d, np.arange(256) * 257, 16, first=first & 0xFFFF),
    )
    assert abs(open_radiograph(path).pixels - film).max() < 3e-3


NO_SEQUENCE = [("LO", "abc"), ("OB", b"abcd"), ("US", 5)]


@pytest.mark.parametrize(("vr", "value"), [*NO_SEQUENCE, ("SQ", [Dataset()])])
def test_a_voi_lut_sequence_without_a_table_is_said(make_dicom, film, vr, value):
    path = make_dicom(edit=lambda d: d.add_new("VOILUTSequence", vr, value))
    for opened in (open_radiograph(path), open_stored(path).radiograph):
        assert opened.notes == ("VOILUTSequence holds no table: left out",)
    assert abs(open_radiograph(path).pixels - film).max() < 2e-3


@pytest.mark.parametrize(("vr", "value"), NO_SEQUENCE)
def test_a_modality_lut_sequence_without_a_table_is_refused(make_dicom, vr, value):
    path = make_dicom(edit=lambda d: d.add_new("ModalityLUTSequence", vr, value))
    with pytest.raises(UnreadableImageError, match="Modality LUT: LUTDescriptor"):
        open_radiograph(path)
