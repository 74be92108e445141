"""The whole depth of a film sits where the reading's film sits, and windows to the same picture."""

from __future__ import annotations

from io import BytesIO

import cv2
import numpy as np
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from hilum.image.open import open_radiograph
from hilum.image.stored import open_stored, shown, windows_of
from hilum.serve.samples import ROOT


def _dicom(path, **changes):
    dataset = dcmread(ROOT / "frontal.dcm")
    dataset.decompress()
    for keyword in ("WindowCenter", "WindowWidth", "VOILUTSequence", "PresentationLUTShape"):
        if keyword in dataset:
            delattr(dataset, keyword)
    dataset.PhotometricInterpretation = "MONOCHROME2"
    for keyword, value in changes.items():
        setattr(dataset, keyword, value)
    out = BytesIO()
    dataset.save_as(out, enforce_file_format=True)
    path.write_bytes(out.getvalue())
    return path


WINDOW = {"WindowCenter": 1800, "WindowWidth": 1200}


@pytest.mark.parametrize(
    "changes",
    [
        {},
        WINDOW,
        WINDOW | {"VOILUTFunction": "LINEAR_EXACT"},
        WINDOW | {"PhotometricInterpretation": "MONOCHROME1"},
        WINDOW | {"PresentationLUTShape": "INVERSE"},
        WINDOW | {"RescaleSlope": "2", "RescaleIntercept": "-1024"},
        WINDOW | {"RescaleSlope": "-1", "RescaleIntercept": "4095"},
        {
            "RescaleSlope": "-0.5", "RescaleIntercept": "100", "PhotometricInterpretation":
            "MONOCHROME1", "WindowCenter": -900, "WindowWidth": 700,
        },
    ],
)  # fmt: skip
def test_the_files_window_gives_the_picture_that_is_read(tmp_path, changes):
    path = _dicom(tmp_path / "x.dcm", **changes)
    stored, read = open_stored(path), open_radiograph(path)
    (window,) = stored.windows or (windows_of(stored.values, stored.top)[0],)
    assert np.allclose(shown(stored.values, window), read.pixels, atol=1e-5)
    assert stored.inverted == (
        changes.get("PhotometricInterpretation") == "MONOCHROME1"
        or "PresentationLUTShape" in changes
    )
    whole = dcmread(path)
    unit = whole.pixel_array * float(whole.get("RescaleSlope", 1)) + float(
        whole.get("RescaleIntercept", 0)
    )
    assert np.allclose(stored.values * stored.slope + stored.intercept, unit)


@pytest.mark.parametrize("curve", ["sigmoid", "table"])
def test_a_curve_becomes_the_window_of_its_ends(tmp_path, curve):
    if curve == "sigmoid":
        path = _dicom(tmp_path / "x.dcm", VOILUTFunction="SIGMOID", **WINDOW)
    else:
        item = Dataset()
        item.LUTDescriptor = [4096, 0, 16]
        ramp = np.clip((np.arange(4096) - 1000) / 2000, 0, 1) * 65535
        item.LUTData = ramp.astype("<u2").tobytes()
        item["LUTData"].VR = "OW"
        path = _dicom(tmp_path / "x.dcm", VOILUTSequence=Sequence([item]))
    stored, read = open_stored(path), open_radiograph(path)
    window = stored.windows[0]
    picture = shown(stored.values, window)
    assert np.abs(picture - read.pixels).max() < 0.15
    assert np.corrcoef(picture.ravel(), read.pixels.ravel())[0, 1] > 0.98


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_a_falling_voi_lut_is_no_negative(tmp_path, photometric):
    item = Dataset()
    item.LUTDescriptor, item.LUTData = [4096, 0, 12], np.arange(4096)[::-1].astype("<u2").tobytes()
    changes = {"VOILUTSequence": Sequence([item]), "PhotometricInterpretation": photometric}
    path = _dicom(tmp_path / "x.dcm", **changes)
    stored, read = open_stored(path), open_radiograph(path)
    assert np.allclose(shown(stored.values, stored.windows[0]), read.pixels, atol=0.03)
    assert stored.inverted == (photometric == "MONOCHROME2")
    unit = dcmread(path).pixel_array
    assert np.allclose(stored.values * stored.slope + stored.intercept, unit)


def test_pixels_that_are_not_square_are_stretched_alike(tmp_path):
    path = _dicom(tmp_path / "x.dcm", PixelSpacing=[0.4, 0.2])
    stored, read = open_stored(path), open_radiograph(path)
    assert stored.values.shape == read.shape
    assert stored.radiograph.metadata.spacing_mm == (0.2, 0.2)


@pytest.mark.parametrize("bits", [8, 16])
def test_pictures_keep_every_value(tmp_path, bits):
    kind = np.uint8 if bits == 8 else np.uint16
    values = np.random.default_rng(0).integers(0, 2**bits, (90, 70)).astype(kind)
    cv2.imwrite(str(tmp_path / "x.png"), values)
    stored = open_stored(tmp_path / "x.png")
    assert np.array_equal(stored.values, values)
    assert (stored.bits, stored.top, stored.windows) == (bits, 2**bits - 1, ())


def test_windows_that_follow_from_the_values_are_in_order():
    values = np.random.default_rng(0).integers(100, 900, (50, 60)).astype(np.uint16)
    full, auto, lungs, bone = windows_of(values, 4095)
    assert (full.low, full.high) == (0, 4095)
    assert auto.low == lungs.low < bone.low < lungs.high < auto.high == bone.high
    for flat in windows_of(np.full((9, 9), 7, np.uint16), 255):
        assert flat.high > flat.low
