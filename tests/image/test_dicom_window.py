"""Windows, slopes and functional groups as files really write them."""

from __future__ import annotations

import numpy as np
import pytest
from pydicom import uid
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from hilum.image.dicom_grey import windowed
from hilum.image.open import open_radiograph
from hilum.image.stored import open_stored, shown


def written(make_dicom, name="film.dcm", *, syntax=uid.ImplicitVRLittleEndian, **texts):
    """Write attributes as they are, valid or not; in implicit VR they are read as DS."""

    def edit(dataset):
        for keyword, value in texts.items():
            dataset.add_new(keyword, "LO", value)

    return make_dicom(name, syntax=syntax, edit=edit)


def step(film, name) -> str:
    (detail,) = (each.detail for each in film.history if each.name == name)
    return detail


SYNTAXES = [uid.ImplicitVRLittleEndian, uid.ExplicitVRLittleEndian]

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
