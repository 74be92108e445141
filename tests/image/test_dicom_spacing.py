"""Millimeters of the patient and of the detector, PS3.3 10.7.1.3."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image
from pydicom import config
from pydicom.dataset import Dataset

from hilum.core.radiograph import Plane
from hilum.image.dicom_spacing import spacing_of
from hilum.image.open import open_radiograph


def of(**attributes) -> Dataset:
    dataset = Dataset()
    with config.disable_value_validation():
        for keyword, value in attributes.items():
            setattr(dataset, keyword, value)
    return dataset


FACTOR = "EstimatedRadiographicMagnificationFactor"


@pytest.mark.parametrize(
    ("attributes", "mm", "plane"),
    [
        ({}, None, None),
        ({"ImagerPixelSpacing": [0.2, 0.2]}, (0.2, 0.2), Plane.DETECTOR),
        ({"ImagerPixelSpacing": [0.2, 0.2], FACTOR: 1.25}, (0.16, 0.16), Plane.PATIENT),
        ({"PixelSpacing": [0.2, 0.1]}, (0.2, 0.1), Plane.DETECTOR),
        ({"PixelSpacing": [0.2, 0.1], FACTOR: 1.25}, (0.16, 0.08), Plane.PATIENT),
        (
            {"PixelSpacing": [0.16, 0.16], "PixelSpacingCalibrationType": "GEOMETRY", FACTOR: 1.25},
            (0.16, 0.16),
            Plane.PATIENT,
        ),
        (
            {"PixelSpacing": [0.2, 0.2], "ImagerPixelSpacing": [0.2, 0.2],
             "PixelSpacingCalibrationType": "FIDUCIAL"},
            (0.2, 0.2),
            Plane.PATIENT,
        ),
        # equal to the detector's: not calibrated, whatever else the file has
        (
            {"PixelSpacing": [0.2, 0.2], "ImagerPixelSpacing": [0.2, 0.2]},
            (0.2, 0.2),
            Plane.DETECTOR,
        ),
        (
            {"PixelSpacing": [0.2, 0.2], "ImagerPixelSpacing": [0.2, 0.2], FACTOR: 1.25},
            (0.16, 0.16),
            Plane.PATIENT,
        ),
        # other than the detector's: corrected, and not to be divided once more
        (
            {"PixelSpacing": [0.16, 0.16], "ImagerPixelSpacing": [0.2, 0.2], FACTOR: 1.25},
            (0.16, 0.16),
            Plane.PATIENT,
        ),
        ({"NominalScannedPixelSpacing": [0.1, 0.1]}, (0.1, 0.1), Plane.DETECTOR),
        (
            {"ImagerPixelSpacing": [0.2, 0.2], "DistanceSourceToDetector": 1800,
             "DistanceSourceToPatient": 1440},
            (0.16, 0.16),
            Plane.PATIENT,
        ),
        # the factor of the file goes before the quotient of its distances
        (
            {"ImagerPixelSpacing": [0.2, 0.2], FACTOR: 1.25, "DistanceSourceToDetector": 1800,
             "DistanceSourceToPatient": 1000},
            (0.16, 0.16),
            Plane.PATIENT,
        ),
        (
            {"ImagerPixelSpacing": [0.2, 0.2], "DistanceSourceToDetector": 1800,
             "DistanceSourceToPatient": 1800},
            (0.2, 0.2),
            Plane.DETECTOR,
        ),
        (
            {"ImagerPixelSpacing": [0.2, 0.2], "DistanceSourceToDetector": 1000,
             "DistanceSourceToPatient": 1800},
            (0.2, 0.2),
            Plane.DETECTOR,
        ),
        (
            {"ImagerPixelSpacing": [0.2, 0.2], "DistanceSourceToDetector": 1800},
            (0.2, 0.2),
            Plane.DETECTOR,
        ),
    ],
)  # fmt: skip
def test_where_the_millimeters_hold(attributes, mm, plane):
    found = spacing_of(of(**attributes))
    assert found.mm == (pytest.approx(mm) if mm else None)
    assert found.plane is plane
    assert found.notes == ()


@pytest.mark.parametrize(
    "value", [[0, 0.2], [-0.2, -0.2], ["NaN", "0.2"], ["0.2"], [0.2, 0.2, 0.2]]
)
@pytest.mark.parametrize("keyword", ["PixelSpacing", "ImagerPixelSpacing"])
def test_a_wrong_spacing_is_left_out_and_said(keyword, value):
    found = spacing_of(of(**{keyword: value}))
    assert found.mm is None
    assert found.plane is None
    assert any(note.startswith(keyword) for note in found.notes)
    other = "ImagerPixelSpacing" if keyword == "PixelSpacing" else "PixelSpacing"
    assert spacing_of(of(**{keyword: value, other: [0.14, 0.14]})).mm == (0.14, 0.14)


@pytest.mark.parametrize("factor", [0.5, 12, 1000])
def test_a_magnification_beyond_belief_is_left_out_and_said(factor):
    found = spacing_of(of(ImagerPixelSpacing=[0.2, 0.2], **{FACTOR: factor}))
    assert found.plane is Plane.DETECTOR
    assert any(FACTOR in note for note in found.notes)


def test_a_radiograph_says_where_its_millimeters_hold(make_dicom):
    """700 pixels of 0.2 mm are 140 mm at the detector, and 112 mm in the patient."""
    opened = open_radiograph(make_dicom(ImagerPixelSpacing=[0.2, 0.2], **{FACTOR: 1.25}))
    assert opened.metadata.spacing_mm is not None
    assert 700 * opened.metadata.spacing_mm[0] == pytest.approx(112)
    assert opened.metadata.spacing_plane is Plane.PATIENT
    assert opened.metadata.spacing_source == (
        "ImagerPixelSpacing, divided by the magnification factor 1.25"
    )


@pytest.mark.parametrize("name", ["film.png", "film.tif", "film.jpg"])
def test_the_resolution_of_a_picture_is_no_millimeter_of_the_patient(tmp_path, film, name):
    picture = Image.fromarray(np.rint(film * 255).astype(np.uint8))
    picture.save(tmp_path / name, dpi=(254, 254))
    opened = open_radiograph(tmp_path / name)
    assert opened.metadata.spacing_mm is None
    assert opened.metadata.spacing_plane is None


@pytest.mark.parametrize("written", [[0.000143, 0.000143], [1000, 1000], [0.2, 0], [-0.2, 0.2]])
def test_a_spacing_beyond_belief_is_left_out_and_said(written):
    spacing = spacing_of(of(PixelSpacing=written))
    assert spacing.mm is None
    assert "expected two numbers of 0.01 to 10 mm" in spacing.notes[0]


@pytest.mark.parametrize("factor", ["0", "-1", "0.8", "125", "NaN"])
def test_a_magnification_beyond_belief_is_said(factor):
    spacing = spacing_of(of(ImagerPixelSpacing=[0.2, 0.2], **{FACTOR: factor}))
    assert (spacing.mm, spacing.plane) == ((0.2, 0.2), Plane.DETECTOR)
    assert spacing.notes == (f"{FACTOR} '{factor}': expected 1 to 5; left out",)
