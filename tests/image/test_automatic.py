"""A film without a window that uses little of its range is shown and read through one."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from pydicom import uid
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from tifffile import imwrite

from hilum.image.automatic import automatic_window
from hilum.image.open import open_radiograph
from hilum.image.stored import open_stored, shown

NOTE = "shown and read through the automatic window"


def table(entries, bits) -> Dataset:
    item = Dataset()
    item.add_new("LUTDescriptor", "US", [len(entries), 0, bits])
    item.add_new("LUTData", "US", [int(entry) for entry in entries])
    return item


def as_png(make_dicom, tmp_path, stored):
    cv2.imwrite(str(tmp_path / "x.png"), stored)
    return tmp_path / "x.png"


def as_tiff(make_dicom, tmp_path, stored):
    imwrite(tmp_path / "x.tif", stored)
    return tmp_path / "x.tif"


def as_dicom(**attributes):
    def make(make_dicom, tmp_path, stored):
        return make_dicom(bits=16, stored=stored, **attributes)

    return make


def as_monochrome1(make_dicom, tmp_path, stored):
    return make_dicom(bits=16, stored=65535 - stored, PhotometricInterpretation="MONOCHROME1")


def as_signed(make_dicom, tmp_path, stored):
    return make_dicom(bits=16, signed=True, stored=stored.astype(int) - 2000)


def as_jpeg_2000(make_dicom, tmp_path, stored):
    syntax = uid.JPEG2000Lossless
    return make_dicom(bits=16, stored=stored, edit=lambda dataset: dataset.compress(syntax))


def as_modality_lut(make_dicom, tmp_path, stored):
    lut = table(np.arange(8192), 16)
    return make_dicom(bits=13, stored=stored, ModalityLUTSequence=Sequence([lut]))


FORMATS = {
    "PNG": as_png,
    "TIFF": as_tiff,
    "DICOM": as_dicom(),
    "DICOM, rescaled": as_dicom(RescaleSlope=2, RescaleIntercept=-5000),
    "MONOCHROME1": as_monochrome1,
    "signed": as_signed,
    "JPEG 2000": as_jpeg_2000,
    "Modality LUT": as_modality_lut,
}


@pytest.mark.parametrize("bits", [12, 13])
@pytest.mark.parametrize("how", FORMATS)
def test_12_or_13_bits_in_16(make_dicom, film, tmp_path, how, bits):
    stored = np.rint(film * (2**bits - 1)).astype(np.uint16)
    path = FORMATS[how](make_dicom, tmp_path, stored)
    opened, eye = open_radiograph(path), open_stored(path)
    low, high = np.percentile(film, [0.5, 99.5])
    expected = np.clip((film - low) / (high - low), 0, 1)
    assert abs(opened.pixels - expected).max() < 2e-3
    assert opened.history[-1].name == "window"
    assert opened.history[-1].detail.startswith("automatic, percentile 0.5 to 99.5: ")
    assert opened.notes[-1].endswith(NOTE)
    assert eye.windows[0].name == "auto"
    assert abs(shown(eye.values, eye.windows[0]) - opened.pixels).max() < 2e-3
    assert eye.radiograph.notes == opened.notes


def test_the_depth_stays_for_the_eye(film, tmp_path):
    stored = np.rint(film * 4095).astype(np.uint16)
    assert np.array_equal(open_stored(as_png(None, tmp_path, stored)).values, stored)


@pytest.mark.parametrize("bits", [8, 10])
def test_fewer_bits_in_16_too(film, tmp_path, bits):
    stored = np.rint(film * (2**bits - 1)).astype(np.uint16)
    opened = open_radiograph(as_png(None, tmp_path, stored))
    assert np.ptp(opened.pixels) == 1


def test_a_voi_lut_of_12_bits_declared_16(make_dicom, film):
    opened = open_radiograph(make_dicom(VOILUTSequence=Sequence([table(np.arange(4096), 16)])))
    assert abs(opened.pixels - film).max() < 1e-3
    assert any("VOI LUT: entries of up to 12 bits; the file says 16" in n for n in opened.notes)


@pytest.mark.parametrize("padded", [0, 65535])
def test_padding_is_no_part_of_the_film(make_dicom, film, padded):
    stored = np.rint(film * 4095).astype(int) + 30000
    stored[:30] = padded
    path = make_dicom(bits=16, stored=stored, PixelPaddingValue=padded)
    opened, eye = open_radiograph(path), open_stored(path)
    low, high = np.percentile(film[30:], [0.5, 99.5])
    assert (opened.pixels[:30] == 0).all()
    expected = np.clip((film[30:] - low) / (high - low), 0, 1)
    assert abs(opened.pixels[30:] - expected).max() < 2e-3
    assert abs(shown(eye.values, eye.windows[0]) - opened.pixels).max() < 2e-3


def test_a_white_mark_does_not_hide_the_film(film, tmp_path):
    stored = np.rint(film * 4095).astype(np.uint16)
    stored[2:10, 2:10] = 65535  # 0.4 % of the pixels
    opened = open_radiograph(as_png(None, tmp_path, stored))
    assert opened.notes[-1].endswith(NOTE)
    assert np.std(opened.pixels) > 0.15


def test_a_window_of_the_file_is_its_own_choice(make_dicom, film):
    stored = np.rint(film * 4095).astype(int)
    path = make_dicom(bits=16, stored=stored, WindowCenter=1000, WindowWidth=9000)
    opened = open_radiograph(path)
    assert not any(NOTE in note for note in opened.notes)
    assert [window.name for window in open_stored(path).windows] == ["film"]


@pytest.mark.parametrize(("center", "width"), [(32768, 65536), (32768, 131072)])
@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_a_window_that_is_the_whole_range_is_none(make_dicom, film, center, width, photometric):
    picture = 1 - film if photometric == "MONOCHROME1" else film
    stored = np.rint(picture * 4095).astype(int)
    path = make_dicom(
        bits=16,
        stored=stored,
        WindowCenter=center,
        WindowWidth=width,
        PhotometricInterpretation=photometric,
    )
    opened, eye = open_radiograph(path), open_stored(path)
    assert opened.notes[-1].endswith(NOTE)
    low, high = np.percentile(film, [0.5, 99.5])
    assert abs(opened.pixels - np.clip((film - low) / (high - low), 0, 1)).max() < 2e-3
    assert [window.name for window in eye.windows] == ["auto", "film"]
    assert abs(shown(eye.values, eye.windows[0]) - opened.pixels).max() < 2e-3
    assert eye.radiograph.notes == opened.notes


@pytest.mark.parametrize("depth", [8, 12, 14, 16])
def test_films_that_use_their_range_are_left_alone(make_dicom, film, depth):
    opened = open_radiograph(make_dicom(bits=depth))
    assert abs(opened.pixels - film).max() < 0.51 / (2**depth - 1) + 1e-6


def test_8_bits_are_left_alone(film, tmp_path):
    stored = np.rint(film * 30).astype(np.uint8)
    cv2.imwrite(str(tmp_path / "x.png"), stored)
    opened = open_radiograph(tmp_path / "x.png")
    np.testing.assert_array_equal(opened.pixels, stored * np.float32(1 / 255))
    assert open_stored(tmp_path / "x.png").windows == ()


@pytest.mark.parametrize("noise", [0, 1, 5, 30])
def test_a_blank_film_stays_blank(noise):
    rng = np.random.default_rng(1)
    codes = np.clip(rng.normal(3000, noise, (600, 500)), 0, 65535)
    assert automatic_window((codes / 65535).astype(np.float32), 65535) is None
