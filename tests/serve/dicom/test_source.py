"""The film as it lies in its file: what its header gives, and where points of the reading lie."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.sr._concepts_dict import concepts as CONCEPTS  # noqa: N812

from hilum.core.errors import UnsupportedImageError
from hilum.core.labels import Code, Label
from hilum.image.turns import TURNS, turn_upright
from hilum.serve.dicom import codes
from hilum.serve.dicom.source import Placement, read_source
from hilum.serve.gate import CORRECTIONS
from hilum.serve.samples import ROOT


def _codes():
    found = list(codes.OWN.values()) + [codes.of_label(label) for label in Label]
    for value in vars(codes).values():
        if isinstance(value, Code):
            found.append(value)
        elif isinstance(value, dict):
            found += [each for each in value.values() if isinstance(each, Code)]
    return found


def test_every_code_fits_and_has_one_meaning():
    meanings = {}
    for code in _codes():
        assert 0 < len(code.value) <= 16, code
        assert 0 < len(code.meaning) <= 64, code
        assert meanings.setdefault((code.scheme, code.value), code.meaning) == code.meaning


def test_codes_of_dicom_and_snomed_mean_what_the_dictionary_of_pydicom_says():
    known = {}
    for scheme in ("DCM", "SCT"):
        for concept in CONCEPTS[scheme].values():
            for value, (meaning, _) in concept.items():
                known.setdefault((scheme, value), set()).add(meaning.lower())
    known["SCT", "404684003"] = {"clinical finding"}  # pydicom: "finding" and
    known["SCT", "260753009"] = {"source"}  # "Source (attribute)"
    found = {(code.scheme, code.value): code.meaning.lower() for code in _codes()}
    both = found.keys() & known.keys()
    assert len(both) > 15
    assert [key for key in both if found[key] not in known[key]] == []


_TURNED = [(1, ())] + [(turn, ()) for turn in TURNS]
_TURNED += [(turn, each) for turn in (1, 5, 6) for each in itertools.product(CORRECTIONS, repeat=2)]


@given(st.sampled_from(_TURNED), st.integers(1, 40), st.integers(1, 40), st.booleans())
def test_a_point_goes_back_to_the_pixel_that_it_came_from(turned, rows, columns, stretched):
    turn, corrections = turned
    history = [f"orientation: stored X\\Y, {TURNS[turn]} to L\\F"] if turn > 1 else []
    history += [f"corrected: {CORRECTIONS[each].done} (the film came so)" for each in corrections]
    stored = np.arange(rows * columns, dtype=np.float32).reshape(rows, columns)
    opened = np.repeat(stored, 2, axis=0) if stretched else stored
    read = turn_upright(opened, turn)
    for each in corrections:
        if CORRECTIONS[each].moves:
            read = CORRECTIONS[each].put_right(read)
    placed = Placement(history, read.shape, stored.shape)
    there = [(x, y) for y in range(read.shape[0]) for x in range(read.shape[1])]
    x, y = np.floor(placed.outline(there)).astype(int).T
    assert np.array_equal(stored[y, x], read.ravel())
    assert placed.inverted == (corrections.count("inverted") == 1)
    if not placed.inverted:
        assert np.array_equal(placed.as_read(opened), read)


def test_a_box_keeps_its_corners():
    placed = Placement([f"corrected: {CORRECTIONS['upside-down'].done} ("], (100, 200), (100, 200))
    assert placed.box(10, 20, 30, 40).tolist() == [[190, 80], [160, 80], [160, 40], [190, 40]]


def _film(tmp_path, **values):
    dataset = dcmread(ROOT / "frontal.dcm")
    for keyword, value in values.items():
        if value is None:
            delattr(dataset, keyword)
        else:
            setattr(dataset, keyword, value)
    path = tmp_path / "film.dcm"
    dataset.save_as(path)
    return path


def test_the_demo_film_needs_no_repair():
    source = read_source(ROOT / "frontal.dcm")
    stored = dcmread(ROOT / "frontal.dcm", stop_before_pixels=True)
    assert source.repairs == ()
    assert source.shape == (stored.Rows, stored.Columns)
    assert source.study.PatientName == stored.PatientName
    assert "PixelData" not in source.header


@pytest.mark.filterwarnings("ignore")
def test_what_cannot_be_is_left_out_and_named_without_its_value(tmp_path):
    bad = {
        "ReferringPhysicianName": "a^b^c^d^e^f",
        "PatientSex": "U",
        "PatientAge": "412",
        "StudyDate": "2020.1",
        "PatientID": "7" * 70,
    }
    source = read_source(_film(tmp_path, **bad, StudyID=None))
    for keyword in ("PatientSex", "StudyDate", "PatientID", "StudyID", "ReferringPhysicianName"):
        assert source.study[keyword].value in ("", None)
    assert "PatientAge" not in source.study
    assert {each.split(":")[0] for each in source.repairs} == set(bad)
    assert not any("7777" in each for each in source.repairs)


def test_names_of_all_groups_are_kept_in_unicode(tmp_path):
    name = "Yamada^Tarou=山田^太郎=やまだ^たろう"
    path = _film(tmp_path, SpecificCharacterSet=["", "ISO 2022 IR 87"], PatientName=name)
    assert str(read_source(path).study.PatientName) == name


def test_the_order_goes_along(tmp_path):
    item = Dataset()
    item.RequestedProcedureID = "RP7"
    item.ScheduledProcedureStepID = "not taken"
    (request,) = read_source(
        _film(tmp_path, RequestAttributesSequence=[item], AccessionNumber="A9")
    ).requests
    assert request.RequestedProcedureID == "RP7"
    assert request.AccessionNumber == "A9"
    assert "ScheduledProcedureStepID" not in request


@pytest.mark.parametrize("keyword", ["StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"])
def test_a_film_without_its_place_has_no_objects(tmp_path, keyword):
    with pytest.raises(UnsupportedImageError, match=keyword):
        read_source(_film(tmp_path, **{keyword: None}))


def test_a_picture_has_no_study():
    with pytest.raises(UnsupportedImageError, match="no DICOM file"):
        read_source(ROOT / "frontal.png")
