"""Headers as files really write them: empty is absent, doubled is single, meta may be wrong."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
from pydicom import uid
from pydicom.filereader import data_element_generator

from hilum.core.errors import UnreadableImageError, UnsupportedImageError
from hilum.image.dicom import read_dicom_header
from hilum.image.open import open_radiograph
from hilum.image.stored import open_stored

IMPLICIT, EXPLICIT = uid.ImplicitVRLittleEndian, uid.ExplicitVRLittleEndian
DEFLATED = uid.DeflatedExplicitVRLittleEndian


def same(path, film, atol=1e-3):
    opened = open_radiograph(path)
    assert abs(opened.pixels - film).max() < atol
    assert open_stored(path).values.shape == film.shape
    return opened


OPTIONAL = {
    "HighBit": "US",
    "SamplesPerPixel": "US",
    "PixelRepresentation": "US",
    "NumberOfFrames": "IS",
    "PlanarConfiguration": "US",
    "RescaleSlope": "DS",
    "RescaleIntercept": "DS",
    "WindowCenter": "DS",
    "WindowWidth": "DS",
    "VOILUTFunction": "CS",
    "VOILUTSequence": "SQ",
    "ModalityLUTSequence": "SQ",
    "PresentationLUTShape": "CS",
    "PixelPaddingValue": "US",
    "PixelAspectRatio": "IS",
    "PixelSpacing": "DS",
    "ImagerPixelSpacing": "DS",
    "SOPClassUID": "UI",
    "Modality": "CS",
    "PatientAge": "AS",
    "ViewPosition": "CS",
    "LossyImageCompression": "CS",
    "SharedFunctionalGroupsSequence": "SQ",
}


@pytest.mark.parametrize("syntax", [IMPLICIT, EXPLICIT])
@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("keyword", OPTIONAL)
def test_empty_is_absent(make_dicom, film, keyword, compressed, syntax):
    def edit(dataset, empty):
        if compressed:
            dataset.compress(uid.JPEGLSLossless)
        if keyword in dataset:
            del dataset[keyword]
        if empty:
            value = [] if OPTIONAL[keyword] == "SQ" else None
            dataset.add_new(keyword, OPTIONAL[keyword], value)

    def path(name, empty):
        given = EXPLICIT if compressed else syntax
        return make_dicom(name, syntax=given, edit=lambda dataset: edit(dataset, empty))

    absent, empty = (same(path(name, name == "empty"), film) for name in ("absent", "empty"))
    np.testing.assert_array_equal(empty.pixels, absent.pixels)
    said = [note for note in empty.notes if "is empty" not in note]
    assert said == list(absent.notes)


@pytest.mark.parametrize("frames", ["0", "1", " 1 ", "-1"])
def test_one_frame(make_dicom, film, frames):
    same(make_dicom(edit=lambda d: d.add_new("NumberOfFrames", "LO", frames)), film)


@pytest.mark.parametrize("empty", [False, True])
@pytest.mark.parametrize("compressed", [False, True])
def test_bits_stored_may_be_missing(make_dicom, film, empty, compressed):
    def edit(dataset):
        if compressed:
            dataset.compress(uid.JPEG2000Lossless)
        del dataset.BitsStored, dataset.HighBit
        if empty:
            dataset.BitsStored = None

    opened = open_radiograph(make_dicom(edit=edit))
    bits = 12 if compressed else 16
    assert opened.bits == bits
    assert any(f"BitsStored is missing: taken as {bits}" in note for note in opened.notes)
    assert np.corrcoef(opened.pixels.ravel(), film.ravel())[0, 1] > 0.999


def test_bits_stored_follow_from_high_bit(make_dicom, film):
    def edit(dataset):
        del dataset.BitsStored

    assert same(make_dicom(edit=edit), film).bits == 12


def test_colours_of_12_bits_in_16(make_dicom, film):
    def edit(dataset, blue=1.0):
        deep = np.rint(film * 4095).astype("<u2")
        dataset.SamplesPerPixel, dataset.PlanarConfiguration = 3, 0
        dataset.PhotometricInterpretation = "RGB"
        dataset.PixelData = np.stack([deep, deep, (deep * blue).astype("<u2")], axis=2).tobytes()

    assert same(make_dicom(edit=edit), film).notes == ()
    with pytest.raises(UnsupportedImageError, match="colour"):
        open_radiograph(make_dicom(edit=lambda dataset: edit(dataset, blue=0.0)))


@pytest.mark.parametrize("keyword", ["Rows", "Columns", "BitsAllocated", "PixelData"])
@pytest.mark.parametrize("empty", [False, True])
def test_what_is_needed_is_missed_by_name(make_dicom, keyword, empty):
    def edit(dataset):
        vr = dataset[keyword].VR
        del dataset[keyword]
        if empty:
            dataset.add_new(keyword, vr, None)

    with pytest.raises(UnreadableImageError, match=f"{keyword}|end of its pixel data"):
        open_radiograph(make_dicom(edit=edit))


@pytest.mark.parametrize("syntax", [IMPLICIT, EXPLICIT])
@pytest.mark.parametrize(
    "written", ["monochrome1", " MONOCHROME1", "Monochrome1 ", "MONOCHROME1\\MONOCHROME1"]
)
def test_photometric_interpretation_as_it_is_written(make_dicom, film, written, syntax):
    def edit(dataset):
        dataset.PixelData = (4095 - np.rint(film * 4095)).astype("<u2").tobytes()
        dataset.add_new("PhotometricInterpretation", "LO", written)

    opened = same(make_dicom(syntax=syntax, edit=edit), film)
    assert opened.notes == ()


@pytest.mark.parametrize("written", ["rgb", " RGB", "RGB\\RGB"])
@pytest.mark.parametrize("missing", ["SamplesPerPixel", "PlanarConfiguration", "HighBit"])
def test_colours_too(make_dicom, film, written, missing):
    def edit(dataset):
        grey = np.rint(film * 255).astype(np.uint8)
        dataset.SamplesPerPixel, dataset.PlanarConfiguration = 3, 0
        dataset.add_new("PhotometricInterpretation", "LO", written)
        dataset.PixelData = np.repeat(grey[..., None], 3, axis=2).tobytes()
        dataset.add_new(missing, "US", None)

    same(make_dicom(bits=8, edit=edit), film, atol=3e-3)


def test_two_photometric_interpretations_are_said(make_dicom, film):
    def edit(dataset):
        dataset.add_new("PhotometricInterpretation", "LO", "MONOCHROME2\\RGB")

    opened = same(make_dicom(edit=edit), film)
    assert any("MONOCHROME2\\RGB': taken as MONOCHROME2" in note for note in opened.notes)


def test_codes_are_read_in_any_case(make_dicom):
    def edit(dataset):
        dataset.add_new("Modality", "LO", " ct")
        dataset.add_new("ViewPosition", "LO", "pa")
        dataset.add_new("BurnedInAnnotation", "LO", "yes")
        dataset.add_new("PatientSex", "LO", "f")

    known = open_radiograph(make_dicom(edit=edit)).metadata
    assert (known.modality, known.view, known.sex) == ("CT", "PA", "F")
    assert known.burned_in_annotation is True


NUMBERS = ["Rows", "Columns", "BitsAllocated", "BitsStored", "HighBit", "SamplesPerPixel"]


@pytest.mark.parametrize("vr", ["DS", "IS", "LO", "UL", "SS", "FD"])
@pytest.mark.parametrize("keyword", NUMBERS)
def test_numbers_in_another_vr(make_dicom, film, keyword, vr):
    def edit(dataset):
        value = dataset[keyword].value
        dataset.add_new(keyword, vr, str(value) if vr in ("DS", "IS", "LO") else value)

    opened = same(make_dicom(edit=edit), film)
    assert not any("expected one" in note for note in opened.notes)


@pytest.mark.parametrize("syntax", [IMPLICIT, EXPLICIT])
@pytest.mark.parametrize("keyword", NUMBERS)
@pytest.mark.parametrize("other", [False, True])
def test_several_numbers_where_one_is_meant(make_dicom, film, keyword, other, syntax):
    def edit(dataset):
        value = dataset[keyword].value
        dataset.add_new(keyword, "US", [value, value + other])

    opened = same(make_dicom(syntax=syntax, edit=edit), film)
    assert any(f"{keyword} '" in note for note in opened.notes) == other


def parts(path) -> tuple[bytes, bytes, bytes]:
    """Cut an explicit file in preamble with prefix, file meta without its group length, rest."""
    data = path.read_bytes()
    end = 144 + int.from_bytes(data[140:144], "little")
    return data[:132], data[144:end], data[end:]


def length(size: int) -> bytes:
    return b"\x02\x00\x00\x00UL\x04\x00" + size.to_bytes(4, "little")


@pytest.mark.parametrize("syntax", [IMPLICIT, EXPLICIT, uid.ExplicitVRBigEndian, DEFLATED])
@pytest.mark.parametrize("group_length", ["right", "absent", "short", "long", "zero"])
@pytest.mark.parametrize("preamble", [True, False])
def test_file_meta(make_dicom, film, syntax, group_length, preamble):
    path = make_dicom(syntax=syntax)
    head, meta, rest = parts(path)
    size = {"right": len(meta), "short": len(meta) - 30, "long": len(meta) + 44, "zero": 0}
    first = b"" if group_length == "absent" else length(size[group_length])
    path.write_bytes((head if preamble else b"") + first + meta + rest)
    same(path, film)
    read_dicom_header(path.read_bytes(), "film", 100)


@pytest.mark.parametrize("pixels", [False, True])
def test_every_vr_is_un(make_dicom, film, pixels):
    path = make_dicom(
        bits=10, signed=True, WindowCenter=0, WindowWidth=1024, RescaleSlope=1, PatientAge="050Y"
    )
    head, meta, rest = parts(path)
    elements = data_element_generator(io.BytesIO(rest), False, True)
    unknown = b"".join(
        struct.pack("<HH", element.tag.group, element.tag.element)
        + (b"OW" if element.tag == 0x7FE00010 and not pixels else b"UN")
        + struct.pack("<HL", 0, len(element.value))
        + element.value
        for element in elements
    )
    path.write_bytes(head + length(len(meta)) + meta + unknown)
    assert same(path, film).metadata.age_years == 50


@pytest.mark.parametrize("syntax", [IMPLICIT, EXPLICIT])
@pytest.mark.parametrize("value", [None, b"", b"\0\0"])
def test_file_meta_without_a_transfer_syntax(make_dicom, film, syntax, value):
    path = make_dicom(syntax=syntax)
    head, meta, rest = parts(path)
    kept = b"".join(
        struct.pack("<HH2sH", 2, element.tag.element, b"UI", len(element.value)) + element.value
        for element in data_element_generator(io.BytesIO(meta), False, True)
        if element.VR == "UI" and element.tag != 0x00020010
    )
    if value is not None:
        kept += struct.pack("<HH2sH", 2, 0x10, b"UI", len(value)) + value
    path.write_bytes(head + length(len(kept)) + kept + rest)
    same(path, film)


@pytest.mark.parametrize("syntax", [IMPLICIT, EXPLICIT])
def test_without_file_meta(make_dicom, film, syntax):
    path = make_dicom(syntax=syntax)
    head, _, rest = parts(path)
    path.write_bytes(head + rest)
    same(path, film)
    path.write_bytes(rest)
    same(path, film)


def test_implicit_vr_under_an_explicit_header(make_dicom, film):
    path = make_dicom(syntax=IMPLICIT)
    data = path.read_bytes()
    assert data.count(b"1.2.840.10008.1.2\0") == 1
    head, meta, rest = parts(path)
    old = b"UI\x12\x001.2.840.10008.1.2\0"
    assert old in meta
    meta = meta.replace(old, b"UI\x14\x001.2.840.10008.1.2.1\0")
    path.write_bytes(head + length(len(meta)) + meta + rest)
    same(path, film)


@pytest.mark.parametrize("padding", [b" ", b"\0"])
def test_transfer_syntax_padded_with_a_blank(make_dicom, film, padding):
    path = make_dicom()
    data = path.read_bytes()
    path.write_bytes(data.replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2.1" + padding, 1))
    same(path, film)


@pytest.mark.parametrize("preamble", [True, False])
def test_an_instance_that_begins_like_the_deflated_syntax(make_dicom, film, preamble):
    def edit(dataset):
        dataset.SOPInstanceUID = f"{DEFLATED}.840.1.99"
        dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID

    path = make_dicom(edit=edit)
    head, meta, rest = parts(path)
    path.write_bytes((head if preamble else b"") + length(len(meta)) + meta + rest)
    same(path, film)


@pytest.mark.parametrize("group_length", [False, True])
def test_a_damaged_deflated_film_is_refused(make_dicom, group_length):
    path = make_dicom(syntax=DEFLATED)
    head, meta, rest = parts(path)
    assert zlib.decompress(rest, -zlib.MAX_WBITS)
    first = length(len(meta)) if group_length else b""
    path.write_bytes(head + first + meta + b"\xff\xff" + rest[2:])
    with pytest.raises(UnreadableImageError, match="deflated data"):
        open_radiograph(path)
