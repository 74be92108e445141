from __future__ import annotations

import cv2
import numpy as np
import pydicom
import pytest
from pydicom.sr.codedict import codes

from hilum.core.files import sha256_of
from hilum.core.labels import Label, View
from hilum.image.open import open_radiograph
from hilum.serve.reader import load_bundle
from hilum.serve.samples import DESCRIPTION, ROOT, describe, read_samples

SAMPLES = {sample.file: sample for sample in read_samples()}


def _mask(name):
    mask = cv2.imread(str(ROOT / name), cv2.IMREAD_GRAYSCALE)
    assert set(np.unique(mask)) == {0, 255}
    return mask > 0


def _pixels(name):
    return open_radiograph(ROOT / name).pixels


def test_every_byte_is_the_one_that_was_rendered():
    shipped = {p.name for p in ROOT.iterdir() if p.is_file() and p.suffix not in {".py", ".json"}}
    checksums = describe()["checksums"]
    assert shipped == checksums.keys()
    assert {name: sha256_of(ROOT / name) for name in shipped} == checksums


def test_all_together_are_small():
    assert sum(p.stat().st_size for p in ROOT.iterdir() if p.is_file()) < 3_000_000


def test_the_five_kinds_are_there():
    assert list(SAMPLES) == [
        "frontal.png",
        "frontal-opacities.png",
        "lateral.png",
        "frontal.dcm",
        "cropped.jpg",
    ]
    assert [s.view for s in SAMPLES.values()].count(View.LATERAL) == 1


@pytest.mark.parametrize("name", SAMPLES)
def test_a_sample_opens_as_a_film(name):
    sample = SAMPLES[name]
    radiograph = open_radiograph(sample.path)
    assert radiograph.shape == (sample.height, sample.width)
    kind = {".png": "PNG", ".jpg": "JPEG", ".dcm": "DICOM DX"}[sample.path.suffix]
    assert radiograph.format == kind
    assert radiograph.pixels.std() > 0.15


def test_lungs_are_dark_and_the_spine_is_bright():
    film, lungs = _pixels("frontal.png"), _mask("frontal.lungs.png")
    upper = slice(0, 600)
    spine = film[upper, 470:520]
    assert np.median(film[upper][lungs[upper]]) < 0.5 < 0.75 < np.median(spine)


def test_the_heart_points_to_the_right_of_the_picture():
    film = _pixels("frontal.png")
    right, left = film[560:620, 330:400].mean(), film[560:620, 600:670].mean()
    assert left > right + 0.15


def test_the_dicom_film_is_the_png():
    dicom = open_radiograph(ROOT / "frontal.dcm")
    assert dicom.bits == 12
    assert np.abs(dicom.pixels - _pixels("frontal.png")).max() <= 0.5 / 255 + 1 / 4095


def test_the_dicom_film_says_what_it_is():
    metadata = open_radiograph(ROOT / "frontal.dcm").metadata
    assert metadata.modality == "DX"
    assert metadata.view is View.PA
    assert metadata.patient_id == "HILUM-SAMPLE-1"
    assert metadata.spacing_mm == (0.36, 0.36)
    assert metadata.presentation_intent == "FOR PRESENTATION"
    assert metadata.burned_in_annotation is False
    assert metadata.manufacturer == "Hilum"


def test_the_dicom_film_has_one_view_in_both_its_words_and_its_code():
    (code,) = pydicom.dcmread(ROOT / "frontal.dcm").ViewCodeSequence
    known = codes.CID4010.PosteroAnterior
    assert (code.CodeValue, code.CodeMeaning) == (known.value, known.meaning)


def test_opacities_lie_in_both_lungs_and_brighten_the_film():
    lesions, lungs = _mask("frontal-opacities.lesions.png"), _mask("frontal.lungs.png")
    assert not (lesions & ~lungs).any()
    half = lesions.shape[1] // 2
    assert 0.05 < lesions[:, :half].mean() < 0.2
    assert 0.05 < lesions[:, half:].mean() < 0.2
    added = _pixels("frontal-opacities.png") - _pixels("frontal.png")
    assert added[lesions].mean() > 0.05
    apart = cv2.dilate(lesions.astype(np.uint8), np.ones((151, 151))) == 0
    assert abs(added[apart].mean()) < 0.005


@pytest.fixture(scope="module")
def default_bundle():
    return load_bundle()


@pytest.mark.parametrize("name", ["frontal.png", "frontal.dcm"])
def test_the_clear_film_is_read_as_clear(default_bundle, name):
    (examined,) = default_bundle.examine([ROOT / name], details=True)
    assert not examined.reading.findings[0].present
    lungs = examined.lungs.mask
    assert (examined.opacities.mask() & lungs).sum() < 0.05 * lungs.sum()


@pytest.mark.parametrize("name", ["frontal-opacities.png", "cropped.jpg"])
def test_opacities_are_found_where_they_were_put(default_bundle, name):
    put = _mask("frontal-opacities.lesions.png")
    if SAMPLES[name].crop:
        left, top, width, height = SAMPLES[name].crop
        put = put[top : top + height, left : left + width]
    (examined,) = default_bundle.examine([ROOT / name], details=True)
    found = examined.opacities.on_film(put.shape)
    assert 2 * (found & put).sum() / (found.sum() + put.sum()) > 0.75


def test_the_cropped_film_is_cut_from_the_one_that_it_names():
    sample = SAMPLES["cropped.jpg"]
    left, top, width, height = sample.crop
    whole = _pixels(sample.crop_of)[top : top + height, left : left + width]
    assert np.abs(_pixels("cropped.jpg") - whole).mean() < 0.01


def test_nothing_is_claimed_that_nobody_can_know():
    assert SAMPLES["frontal-opacities.png"].truth[Label.COVID_19] is None
    assert SAMPLES["frontal-opacities.png"].truth[Label.LUNG_OPACITY] is True


def test_the_ct_is_credited():
    ct = describe()["ct"]
    assert ct["doi"] == "10.7937/K9/TCIA.2015.LO9QL9SX"
    assert ct["licence"] == "CC-BY-3.0"
    assert DESCRIPTION.is_file()
