"""Against DCMTK: an implementation that shares no code with ours."""

from __future__ import annotations

import shutil
import subprocess

import numpy as np
import pytest
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from hilum.image.open import open_radiograph

pytestmark = pytest.mark.skipif(
    not (shutil.which("dcm2pnm") and shutil.which("dcmcjpeg")),
    reason="dcmtk is not installed (apt-get install dcmtk)",
)


def rendered(path, *options) -> np.ndarray:
    out = path.with_suffix(".dcmtk.png")
    subprocess.run(["dcm2pnm", "+on2", *options, str(path), str(out)], check=True)
    stored = np.asarray(Image.open(out)).astype(float)
    return stored / 65535


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
@pytest.mark.parametrize(
    ("center", "width", "function"),
    [(2048, 4096, "LINEAR"), (1500, 1200, "LINEAR"), (1800, 1500, "SIGMOID")],
)
def test_window(make_dicom, photometric, center, width, function):
    path = make_dicom(
        PhotometricInterpretation=photometric,
        WindowCenter=center,
        WindowWidth=width,
        VOILUTFunction=function,
        RescaleSlope=1,
        RescaleIntercept=0,
    )
    options = ["+Wi", "1"] + (["+Wfs"] if function == "SIGMOID" else [])
    assert abs(open_radiograph(path).pixels - rendered(path, *options)).max() < 2e-3


@pytest.mark.parametrize("signed", [False, True])
def test_rescale_and_window(make_dicom, signed):
    path = make_dicom(
        signed=signed,
        RescaleSlope=0.5,
        RescaleIntercept=-100,
        WindowCenter=400 - 1024 * signed,
        WindowWidth=900,
    )
    assert abs(open_radiograph(path).pixels - rendered(path, "+Wi", "1")).max() < 2e-3


def test_voi_lut(make_dicom):
    curve = np.rint(65535 * np.linspace(0, 1, 4096) ** 2)
    item = Dataset()
    item.add_new("LUTDescriptor", "US", [4096, 0, 16])
    item.add_new("LUTData", "US", [int(v) for v in curve])
    path = make_dicom(VOILUTSequence=Sequence([item]))
    assert abs(open_radiograph(path).pixels - rendered(path, "+Wl", "1")).max() < 2e-3


JPEGS = {
    "baseline": ("+eb", 8, 0.03),
    "extended 8": ("+ee", 8, 0.03),
    "extended 12": ("+ee", 12, 0.03),
    "lossless": ("+el", 16, 1e-5),
    "lossless SV1": ("+e1", 12, 1.4e-4),
}


@pytest.mark.parametrize("how", JPEGS)
def test_jpeg_written_by_dcmtk(make_dicom, film, how):
    option, bits, tolerance = JPEGS[how]
    path = make_dicom(bits=bits)
    packed = path.with_suffix(".jpeg.dcm")
    subprocess.run(["dcmcjpeg", option, str(path), str(packed)], check=True)
    opened = open_radiograph(packed)
    assert abs(opened.pixels - film).max() < tolerance
    assert "JPEG" in opened.history[0].detail
