"""Grey levels against functions of pydicom where those are right, against DCMTK, and as written."""

from __future__ import annotations

import shutil
from copy import deepcopy

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from pydicom import uid
from pydicom.dataset import Dataset
from pydicom.pixels.processing import apply_modality_lut, apply_voi_lut, apply_windowing
from pydicom.sequence import Sequence

from hilum.core.errors import UnreadableImageError
from hilum.image.dicom_grey import grey_levels, windowed
from hilum.image.open import open_radiograph
from hilum.image.stored import open_stored, shown

from .test_dcmtk import rendered

CODES = np.arange(4096)


def header(**attributes) -> Dataset:
    dataset = Dataset()
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, 12, 11
    dataset.PixelRepresentation = 0
    for keyword, value in attributes.items():
        setattr(dataset, keyword, value)
    return dataset


def table(entries, bits, first) -> Dataset:
    item = Dataset()
    item.add_new("LUTDescriptor", "SS" if first < 0 else "US", [len(entries), first, bits])
    item.add_new("LUTData", "US", [int(entry) for entry in entries])
    return item


def levels(dataset) -> np.ndarray:
    return grey_levels(dataset, "film").values[:4096]


@settings(max_examples=60, deadline=None)
@given(
    center=st.floats(-500, 5000),
    width=st.floats(2, 6000),
    function=st.sampled_from(["LINEAR", "LINEAR_EXACT", "SIGMOID"]),
    slope=st.floats(0.25, 4),
    intercept=st.floats(-1024, 1024),
)
def test_rescale_and_window_as_pydicom(center, width, function, slope, intercept):
    dataset = header(
        RescaleSlope=float(f"{slope:.6g}"),
        RescaleIntercept=float(f"{intercept:.6g}"),
        WindowCenter=float(f"{center:.6g}"),
        WindowWidth=float(f"{width:.6g}"),
        VOILUTFunction=function,
    )
    with np.errstate(over="ignore"):  # theirs overflows in a narrow sigmoid; ours may not
        theirs = apply_windowing(apply_modality_lut(CODES, dataset), dataset)
    assume(np.ptp(theirs) > 0)  # a window without a value of the film is left out here
    low = float(dataset.RescaleIntercept)
    high = 4095 * float(dataset.RescaleSlope) + low
    np.testing.assert_allclose(levels(dataset), (theirs - low) / (high - low), atol=1e-9)


@settings(max_examples=30, deadline=None)
@given(
    size=st.integers(2, 4096),
    first=st.integers(-100, 4000),
    bits=st.sampled_from([10, 12, 16]),
    seed=st.integers(0, 2**32 - 1),
)
def test_voi_lut_as_pydicom(size, first, bits, seed):
    entries = np.random.default_rng(seed).integers(0, 2**bits, size)
    entries[-1] = 2**bits - 1  # a table that needs its bits
    dataset = header(VOILUTSequence=Sequence([table(entries, bits, first)]))
    theirs = apply_voi_lut(CODES.astype(np.int32), dataset) / (2**bits - 1)
    np.testing.assert_allclose(levels(dataset), theirs, atol=1e-12)


@given(st.integers(2, 300), st.integers(0, 4000))
@settings(max_examples=30, deadline=None)
def test_modality_lut_as_pydicom(size, first):
    entries = np.linspace(0, 65535, size).astype(int)
    dataset = header(ModalityLUTSequence=Sequence([table(entries, 16, first)]))
    theirs = apply_modality_lut(CODES, dataset) / 65535
    np.testing.assert_allclose(levels(dataset), theirs, atol=1e-12)


def test_eight_bit_table_longer_than_256():
    """pydicom cuts this index to 8 bits; the standard allows it (C.11.2.1.1)."""
    entries = CODES // 16
    packed = header(VOILUTSequence=Sequence([table(entries, 8, 0)]))
    np.testing.assert_allclose(levels(packed), entries / 255)
    item = Dataset()
    item.add_new("LUTDescriptor", "US", [4096, 0, 8])
    item.add_new("LUTData", "OW", entries.astype(np.uint8).tobytes())
    np.testing.assert_allclose(levels(header(VOILUTSequence=Sequence([item]))), entries / 255)


def test_voi_lut_is_preferred_to_the_window():
    lut = table(4095 - CODES, 12, 0)
    dataset = header(VOILUTSequence=Sequence([lut]), WindowCenter=2048, WindowWidth=4096)
    np.testing.assert_allclose(levels(dataset), (4095 - CODES) / 4095)
    np.testing.assert_allclose(levels(dataset), apply_voi_lut(CODES, dataset) / 4095)


def test_first_of_several_windows():
    dataset = header(WindowCenter=[1000, 2000], WindowWidth=[101, 4096])
    expected = windowed(CODES.astype(float), 1000, 101, "LINEAR")
    np.testing.assert_allclose(levels(dataset), expected)
    assert "first of 2" in grey_levels(dataset, "film").steps[0].detail


def test_negative_slope_turns_the_film_and_the_window_does_not_turn_it_back():
    dataset = header(RescaleSlope=-1, RescaleIntercept=4095, WindowCenter=2048, WindowWidth=4096)
    found = levels(dataset)
    assert found[0] == 1
    assert found[-1] == 0


def test_extreme_sigmoid_does_not_overflow():
    found = windowed(np.array([-1e9, 0.0, 1e9]), 0, 1e-3, "SIGMOID")
    np.testing.assert_allclose(found, [0, 0.5, 1])


@pytest.mark.parametrize("slope", [0, None])
def test_rescale_that_says_nothing(slope):
    dataset = header(RescaleSlope=slope, RescaleIntercept=0)
    np.testing.assert_allclose(levels(dataset), CODES / 4095)


def test_broken_tables():
    for descriptor in ([4096, 0], [4096, 0, 40]):
        item = table(CODES, 12, 0)
        item.LUTDescriptor = descriptor
        with pytest.raises(UnreadableImageError, match="LUTDescriptor"):
            levels(header(VOILUTSequence=Sequence([item])))


RAMP = np.linspace(0, 65535, 4096).astype(int)
SYNTAXES = [uid.ImplicitVRLittleEndian, uid.ExplicitVRLittleEndian, uid.ExplicitVRBigEndian]


def lut_item(entries, first, bits, *, descriptor="US", data="US", size=None) -> Dataset:
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
    lut = lut_item(RAMP, first, 16, descriptor=vr)
    path = make_dicom(
        syntax=syntax, RescaleSlope=1, RescaleIntercept=-1024, VOILUTSequence=Sequence([lut])
    )
    agree(path, film)


@pytest.mark.parametrize("syntax", SYNTAXES)
@pytest.mark.parametrize("vr", ["US", "SS"])
def test_first_value_is_unsigned_after_a_modality_lut(make_dicom, film, vr, syntax):
    modality = lut_item(np.arange(4096) + 36000, -2048, 16, descriptor="SS")
    lut = lut_item(RAMP, 36000 - 65536 * (vr == "SS"), 16, descriptor=vr)
    path = make_dicom(
        signed=True,
        syntax=syntax,
        ModalityLUTSequence=Sequence([modality]),
        VOILUTSequence=Sequence([lut]),
    )
    agree(path, film)


def test_first_value_of_a_modality_lut_of_signed_pixels(make_dicom, film):
    """Read as US, which a file with implicit VR leaves open."""
    modality = lut_item(np.arange(4096) // 4, 65536 - 2048, 10)
    voi = lut_item(np.arange(1024) * 64, 0, 16)
    path = make_dicom(
        signed=True, ModalityLUTSequence=Sequence([modality]), VOILUTSequence=Sequence([voi])
    )
    agree(path, film)


def test_first_value_above_32767_of_unsigned_pixels(make_dicom, film):
    lut = lut_item(RAMP, 40000, 16)
    stored = np.rint(film * 4095).astype(int) + 40000
    agree(make_dicom(bits=16, stored=stored, VOILUTSequence=Sequence([lut])), film)


EIGHT = np.arange(4096) // 16
PACKED = EIGHT.astype(np.uint8).view("<u2")
ENTRIES = {
    "in words": lut_item(EIGHT, 0, 8),
    "in words, OW": lut_item(EIGHT, 0, 8, data="OW"),
    "two in a word": lut_item(PACKED, 0, 8, size=4096),
    "two in a word, OW": lut_item(PACKED, 0, 8, size=4096, data="OW"),
    "in both bytes": lut_item(EIGHT * 257, 0, 8, data="OW"),
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
    lut = lut_item(packed, 0, 8, size=4095, data="OW")
    agree(make_dicom(VOILUTSequence=Sequence([lut])), film, atol=5e-3)


def test_entries_above_their_bits_are_believed_and_said(make_dicom, film):
    """DCMTK cuts them to 12 bits, which turns white to black."""
    lut = lut_item(RAMP, 0, 12)
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


def written(make_dicom, name="film.dcm", *, syntax=uid.ImplicitVRLittleEndian, **texts):
    """Write attributes as they are, valid or not; in implicit VR they are read as DS."""

    def edit(dataset):
        for keyword, value in texts.items():
            dataset.add_new(keyword, "LO", value)

    return make_dicom(name, syntax=syntax, edit=edit)


def step(film, name) -> str:
    (detail,) = (each.detail for each in film.history if each.name == name)
    return detail


PAIRS = [
    # centers, widths, the pair that is used, what is said
    ("NaN\\2048", "4096\\1000", (2048, 1000), "window 1 left out: center 'NaN', width '4096'"),
    ("2048\\1000", "NaN\\500", (1000, 500), "window 1 left out: center '2048', width 'NaN'"),
    ("\\2048", "4096\\1000", (2048, 1000), "window 1 left out: center '', width '4096'"),
    ("2048\\900", "1000", (2048, 1000), "window 2 left out: center '900', width ''"),
    ("2048", "1000\\700\\500", (2048, 1000), "window 3 left out: center '', width '500'"),
    ("2048\\1500", "0\\1200", (1500, 1200), "window width 0 is not allowed"),
    ("2048\\1500", "-900\\1200", (1500, 1200), "window width -900 is not allowed"),
    ("2048\\1500", "0.5\\1200", (1500, 1200), "window width 0.5 is not allowed"),
    ("[2048]\\1500", "[1000]\\1200", (1500, 1200), "window 1 left out: center '[2048]'"),
    ("2048/1500\\1800", "1000/900\\1200", (1800, 1200), "center '2048/1500', width '1000/900'"),
    ("1e400\\1500", "1000\\1200", (1500, 1200), "window 1 left out: center '1e400'"),
    ("2048,5", "1000,0", (2048.5, 1000), "WindowCenter '2048,5': taken as a decimal comma"),
    ("2048,500000", "1000", (2048.5, 1000), "'2048,500000': taken as a decimal comma"),
    ("2,048\\1500", "1000\\1200", (1500, 1200), "window 1 left out: center '2,048'"),
]


@pytest.mark.parametrize("syntax", SYNTAXES)
@pytest.mark.parametrize(("centers", "widths", "used", "said"), PAIRS)
def test_pairs_stay_pairs(make_dicom, film, syntax, centers, widths, used, said):
    path = written(make_dicom, syntax=syntax, WindowCenter=centers, WindowWidth=widths)
    opened, stored = open_radiograph(path), open_stored(path)
    expected = windowed(np.rint(film * 4095), *used, "LINEAR")
    np.testing.assert_allclose(opened.pixels, expected, atol=1e-6)
    assert f"center {used[0]:g}, width {used[1]:g}" in step(opened, "window")
    assert any(said in note for note in opened.notes)
    np.testing.assert_allclose(shown(stored.values, stored.windows[0]), expected, atol=1e-5)
    assert any(said in note for note in stored.radiograph.notes)


LOST = [("NaN", "4096"), ("[2048]", "[4096]"), ("2048/1", "4096"), ("2048", ""), ("2048", "0"),
        ("wide", "narrow"), ("", "4096"), ("1,024", "2,048"), ("1_0", "4096")]  # fmt: skip


@pytest.mark.parametrize(("center", "width"), LOST)
def test_without_a_valid_pair_the_whole_range_is_shown_and_said(make_dicom, film, center, width):
    path = written(make_dicom, WindowCenter=center, WindowWidth=width)
    opened = open_radiograph(path)
    assert abs(opened.pixels - film).max() < 1e-3
    assert any("left out" in note for note in opened.notes)
    assert open_stored(path).windows == ()


@pytest.mark.parametrize(("center", "width"), [(-500, 300), (60000, 400), (4096.5, 1), (-1, 2)])
@pytest.mark.parametrize("slope", [1, -1])
def test_a_window_with_no_value_of_the_film_is_left_out(make_dicom, film, center, width, slope):
    scale = {"RescaleSlope": slope, "RescaleIntercept": 0 if slope > 0 else 4095}
    path = make_dicom(WindowCenter=[center, 2048], WindowWidth=[width, 1000], **scale)
    opened, stored = open_radiograph(path), open_stored(path)
    values = np.rint(film * 4095) if slope > 0 else 4095 - np.rint(film * 4095)
    expected = windowed(values, 2048, 1000, "LINEAR")
    np.testing.assert_allclose(opened.pixels, expected, atol=1e-6)
    assert any("window 1 left out: the film has no value" in note for note in opened.notes)
    np.testing.assert_allclose(shown(stored.values, stored.windows[0]), expected, atol=1e-5)


def test_empty_window_is_no_window(make_dicom):
    opened = open_radiograph(written(make_dicom, WindowCenter="", WindowWidth=""))
    assert opened.notes == ()


@pytest.mark.parametrize(
    ("function", "width"), [("LINEAR_EXACT", 0.5), ("SIGMOID", 0.5), ("sigmoid ", 900)]
)
def test_a_width_below_1_is_allowed_but_for_linear(make_dicom, film, function, width):
    path = written(make_dicom, WindowCenter="2048", WindowWidth=f"{width}", VOILUTFunction=function)
    expected = windowed(np.rint(film * 4095), 2048, width, function.strip().upper())
    np.testing.assert_allclose(open_radiograph(path).pixels, expected, atol=1e-6)


RESCALES = [
    ("NaN", "0", "RescaleSlope 'NaN' cannot be: rescaling left out"),
    ("0", "5", "RescaleSlope 0 would erase the film"),
    ("1", "inf", "RescaleIntercept 'inf' cannot be"),
    ("1e300", "0", "RescaleSlope '1e300' cannot be"),
    ("one", "0", "RescaleSlope 'one' cannot be"),
    ("", "0", "RescaleSlope is empty: taken as 1"),
    ("1", "", "RescaleIntercept is empty: taken as 0"),
]


@pytest.mark.parametrize(("slope", "intercept", "said"), RESCALES)
def test_what_is_wrong_with_the_rescaling_is_said(make_dicom, film, slope, intercept, said):
    path = written(make_dicom, RescaleSlope=slope, RescaleIntercept=intercept)
    opened, stored = open_radiograph(path), open_stored(path)
    assert abs(opened.pixels - film).max() < 1e-3
    assert any(said in note for note in opened.notes)
    assert (stored.slope, stored.intercept) == (1, 0)


def groups(**sequences) -> Dataset:
    """Make an item of a functional group."""
    item = Dataset()
    for keyword, attributes in sequences.items():
        inner = Dataset()
        for name, value in attributes.items():
            setattr(inner, name, value)
        setattr(item, keyword, Sequence([inner]))
    return item


@pytest.mark.parametrize("where", ["Shared", "PerFrame"])
def test_functional_groups_are_heard(make_dicom, film, where):
    group = groups(
        FrameVOILUTSequence={"WindowCenter": 900, "WindowWidth": 1500},
        PixelValueTransformationSequence={"RescaleSlope": 0.5, "RescaleIntercept": -100},
        PixelMeasuresSequence={"PixelSpacing": [0.2, 0.2]},
    )
    path = make_dicom(**{f"{where}FunctionalGroupsSequence": Sequence([group])})
    opened, stored = open_radiograph(path), open_stored(path)
    expected = windowed(np.rint(film * 4095) / 2 - 100, 900, 1500, "LINEAR")
    np.testing.assert_allclose(opened.pixels, expected, atol=1e-6)
    assert opened.metadata.spacing_mm == (0.2, 0.2)
    np.testing.assert_allclose(shown(stored.values, stored.windows[0]), expected, atol=1e-3)
    assert stored.slope == 0.5


def test_the_frames_own_group_counts_before_the_shared_one_and_the_data_set(make_dicom, film):
    path = make_dicom(
        WindowCenter=100,
        WindowWidth=50,
        SharedFunctionalGroupsSequence=Sequence(
            [groups(FrameVOILUTSequence={"WindowCenter": 200, "WindowWidth": 70})]
        ),
        PerFrameFunctionalGroupsSequence=Sequence(
            [groups(FrameVOILUTSequence={"WindowCenter": 2048, "WindowWidth": 4096})]
        ),
    )
    opened = open_radiograph(path)
    assert abs(opened.pixels - film).max() < 1e-3
    assert any("WindowCenter of the functional group taken" in note for note in opened.notes)


def test_detector_spacing_of_a_functional_group(make_dicom):
    group = groups(FramePixelDataPropertiesSequence={"ImagerPixelSpacing": [0.14, 0.14]})
    path = make_dicom(SharedFunctionalGroupsSequence=Sequence([group]))
    assert open_radiograph(path).metadata.spacing_mm == (0.14, 0.14)
