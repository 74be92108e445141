from __future__ import annotations

import pytest
from pydicom import config
from pydicom.datadict import tag_for_keyword
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.tag import BaseTag

from hilum.core.labels import View
from hilum.image.dicom_metadata import age_of, age_years, view_of
from hilum.image.dicom_values import given, numbers


def of(**attributes) -> Dataset:
    dataset = Dataset()
    with config.disable_value_validation():
        for keyword, value in attributes.items():
            setattr(dataset, keyword, value)
    return dataset


def code(value: str) -> Dataset:
    return of(CodeValue=value, CodingSchemeDesignator="SCT", CodeMeaning="x")


@pytest.mark.parametrize(
    ("position", "view"),
    [
        ("PA", View.PA),
        ("AP", View.AP),
        ("LL", View.LATERAL),
        ("RL", View.LATERAL),
        ("LATERAL", View.LATERAL),
        ("LLD", None),
        ("RAO", None),
        ("", None),
        (None, None),
    ],
)
def test_view_position(position, view):
    assert view_of(of(ViewPosition=position)) is view


def test_view_code_and_supine():
    assert view_of(of(ViewCodeSequence=Sequence([code("272479007")]))) is View.PA
    assert view_of(of(ViewCodeSequence=Sequence([code("1")]))) is None
    assert view_of(of(ViewPosition="AP", SeriesDescription="Thorax SUPINE")) is View.AP_SUPINE
    assert view_of(of(ViewPosition="PA", SeriesDescription="supine")) is View.PA
    assert view_of(of(ViewPosition="AP", PatientPosition="HFS")) is View.AP
    recumbent = code("102538003")
    recumbent.PatientOrientationModifierCodeSequence = Sequence([code("40199007")])
    orientation = Sequence([recumbent])
    assert view_of(of(ViewPosition="AP", PatientOrientationCodeSequence=orientation)) is (
        View.AP_SUPINE
    )


@pytest.mark.parametrize(
    ("age", "years"),
    [("068Y", 68), ("68", 68), ("006M", 0.5), ("412", None), ("abc", None), ("", None)],
)
def test_age(age, years):
    assert age_years(of(PatientAge=age)) == years


def test_age_from_birth_date():
    assert age_years(of(PatientBirthDate="19500101", StudyDate="20200101")) == pytest.approx(
        70, abs=0.01
    )
    assert age_years(of(PatientBirthDate="20200101", StudyDate="19010101")) is None


@pytest.mark.parametrize(
    ("age", "born", "years", "said"),
    [
        ("000Y", "19700101", 50.0, "the dates believed"),
        ("0", "19700101", 50.0, "the dates believed"),
        ("000D", "19700101", 50.0, "the dates believed"),
        ("000Y", "20191201", 0, ""),
        ("000Y", "", 0, ""),
        ("000Y", "20300101", 0, ""),
        ("050Y", "19690601", 50, ""),
        ("050Y", "19000101", 50, "PatientAge believed"),
        ("012Y", "19700101", 12, "PatientAge believed"),
        ("412", "19700101", 50.0, "'412' cannot be"),
        ("?", "19700101", 50.0, "'?' cannot be"),
        ("", "19700101", 50.0, ""),
        ("999Y", "", None, "'999Y' cannot be"),
    ],
)
def test_age_and_dates_that_disagree(age, born, years, said):
    found, note = age_of(of(PatientAge=age, PatientBirthDate=born, StudyDate="20200101"))
    assert found == (pytest.approx(years, abs=0.01) if years else years)
    assert said in note
    assert bool(note) == bool(said)


def test_years_from_birth_to_study_are_whole_ones():
    """Nobody is 68 before that birthday, nor on it still 67."""
    for studied, years in (("20261130", 67), ("20270303", 67), ("20270304", 68), ("20280304", 69)):
        dates = {"PatientBirthDate": "19590304", "StudyDate": studied}
        _, note = age_of(of(PatientAge="012Y", **dates))
        assert f"but {years} years from birth to study" in note
        assert int(age_years(of(**dates))) == years


def test_age_0_without_a_date_of_the_study():
    found, note = age_of(of(PatientAge="000Y", PatientBirthDate="19700101"))
    assert (found, note) == (None, "PatientAge '000Y' of somebody born before 1993: age unknown")
    assert age_of(of(PatientAge="000Y", PatientBirthDate="20200101")) == (0, "")


@pytest.mark.parametrize("born", ["19700101", "1970.01.01", "1970-01-01"])
def test_dates_with_dots_and_dashes(born):
    found = age_years(of(PatientBirthDate=born, StudyDate="2020.01.01"))
    assert found == pytest.approx(50, abs=0.01)


def test_any_date_of_the_study_will_do():
    assert age_years(of(PatientBirthDate="19700101", AcquisitionDate="20200101")) == pytest.approx(
        50, abs=0.01
    )


def test_numbers():
    assert numbers(of(WindowCenter=[1, 2]), "WindowCenter") == [1.0, 2.0]
    assert numbers(of(WindowCenter=None), "WindowCenter") == []


@pytest.mark.parametrize(("vr", "value"), [("LO", "abc"), ("OB", b"abcd"), ("US", 5)])
@pytest.mark.parametrize("keyword", ["ViewCodeSequence", "PatientOrientationCodeSequence"])
def test_codes_that_are_no_sequence_refuse_no_film(keyword, vr, value):
    position = "AP" if keyword.startswith("Patient") else ""
    dataset = of(ViewPosition=position)
    dataset.add_new(keyword, vr, value)
    assert view_of(dataset) is (View.AP if position else None)


@pytest.mark.filterwarnings("ignore:Invalid value for VR IS")
def test_a_number_without_end_in_a_whole_number_is_none():
    """pydicom raises OverflowError for 1e400 where VR IS is written."""
    tag = tag_for_keyword("WindowCenter")
    dataset = Dataset()
    dataset[tag] = RawDataElement(BaseTag(tag), "IS", 6, b"1e400 ", 0, False, True)
    assert [(each.text, each.number) for each in given(dataset, "WindowCenter")] == [
        ("1e400", None)
    ]
