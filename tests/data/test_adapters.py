"""What each adapter makes of the words of its own collection."""

from __future__ import annotations

import json

import pandas as pd
import pytest

from hilum.core.errors import CohortError
from hilum.data.cohorts import read_cohort

from .trees import film, made, read, row, text


def test_covid_chestxray_reports_what_is_not_there(tmp_path):
    report = read("covid-chestxray-dataset", tmp_path).report
    assert report.rows == 3
    assert report.missing == ("metadata.csv row 4: images/gone.png",)


def test_covid_cxnet_resolves_names_and_keeps_films_without_a_row(tmp_path):
    cohort = read("covid-cxnet", tmp_path)
    assert cohort.report.resolved == ("1.png -> 1.PNG", "2.jpg -> 2.jpeg")
    assert cohort.report.without_row == ("3-.jpg",)
    assert cohort.patients == 3
    assert cohort.cases["covid-19"].tolist()[0] == 1
    assert pd.isna(row(cohort, "2.jpeg")["covid-19"]), "pcr_test negative"
    assert row(cohort, "3-.jpg")["no-finding"] == 1
    assert row(cohort, "1.PNG")["offset_days"] == 7
    assert row(cohort, "2.jpeg")["offset_days"] == 1


def test_nih_reads_labels_ages_and_nested_folders(tmp_path):
    cohort = read("nih-chestxray14", tmp_path)
    sick = row(cohort, "00000001_000.png")
    assert (sick["pneumonia"], sick["effusion"], sick["no-finding"], sick["hernia"]) == (1, 1, 0, 0)
    assert sick["covid-19"] == 0
    assert pd.isna(sick["age_years"]), "nobody is 411 years old"
    assert row(cohort, "00000002_000.png")["age_years"] == 12


def test_nih_boxes_are_in_pixels_of_the_file(tmp_path):
    root = made("nih-chestxray14", tmp_path)
    text(
        root / "BBox_List_2017.csv",
        "Image Index,Finding Label,Bbox [x,y,w,h],,,",
        "00000001_000.png,Infiltrate,512.0,256.0,100.0,200.0,,,",
    )
    cohort = read_cohort("nih-chestxray14", root)
    assert row(cohort, "00000001_000.png")["boxes"] == (
        '[{"label": "infiltration", "x": 128.0, "y": 128.0, "width": 25.0, "height": 100.0}]'
    )


@pytest.mark.parametrize(
    ("row_text", "said"),
    [
        ("00000001_000.png,Infiltrate,wide,256.0,100.0,200.0,,,", "column Bbox [x: 'wide'"),
        ("00000001_000.png,Dragon,512.0,256.0,100.0,200.0,,,", "'Dragon' is not known"),
    ],
)
def test_a_box_that_is_none_is_named(tmp_path, row_text, said):
    root = made("nih-chestxray14", tmp_path)
    text(root / "BBox_List_2017.csv", "Image Index,Finding Label,Bbox [x,y,w,h],,,", row_text)
    with pytest.raises(CohortError) as caught:
        read_cohort("nih-chestxray14", root)
    assert "BBox_List_2017.csv row 2" in caught.value.message
    assert said in caught.value.message


def test_nih_takes_the_radiologists_of_rsna_and_google(tmp_path):
    root = made("nih-chestxray14", tmp_path)
    other = tmp_path / "rsna-pneumonia"
    text(other / "stage_2_detailed_class_info.csv", "patientId,class", "r1,Lung Opacity")
    text(
        other / "stage_2_train_labels.csv",
        "patientId,x,y,width,height,Target",
        "r1,512,512,1024,1024,1",
    )
    text(other / "rsna_nih_mapping.csv", "patientId,Image Index", "r1,00000001_000.png")
    text(
        root / "google2019_nih-chest-xray-labels.csv",
        "Image Index,Fracture,Pneumothorax,Airspace opacity,Nodule or mass",
        "00000002_000.png,NO,YES,NO,NO",
    )
    cohort = read_cohort("nih-chestxray14", root)
    first, second = row(cohort, "00000001_000.png"), row(cohort, "00000002_000.png")
    assert (first["lung-opacity"], first["pneumothorax"]) == (1, 0)
    assert '"x": 128.0, "y": 256.0, "width": 256.0, "height": 512.0' in first["boxes"]
    assert first["note"] == "RSNA radiologists: Lung Opacity"
    assert (second["lung-opacity"], second["pneumothorax"]) == (0, 1)


def test_rsna_scales_boxes_and_finds_the_nih_patient(tmp_path):
    cohort = read("rsna-pneumonia", tmp_path)
    ill, well = row(cohort, "r1"), row(cohort, "r2")
    assert ill["patient_id"] == "nih-chestxray14/7"
    assert well["patient_id"] == "rsna-pneumonia/r2"
    assert ill["boxes"].count("lung-opacity") == 2
    assert '"x": 50.0, "y": 100.0, "width": 25.0, "height": 30.0' in ill["boxes"]
    assert well["boxes"] == ""
    assert (ill["pneumonia"], ill["no-finding"], well["pneumonia"], well["no-finding"]) == (
        1,
        0,
        0,
        1,
    )
    assert (ill["view"], ill["sex"], ill["age_years"]) == ("AP", "F", 51)


def test_rsna_names_a_class_that_is_not_known(tmp_path):
    root = made("rsna-pneumonia", tmp_path)
    text(root / "stage_2_detailed_class_info.csv", "patientId,class", "r1,Opacity")
    with pytest.raises(CohortError, match="column class: 'Opacity'; expected Lung Opacity"):
        read_cohort("rsna-pneumonia", root)


def test_tuberculosis_collections_read_the_clinical_readings(tmp_path):
    (tmp_path / "s").mkdir()
    (tmp_path / "m").mkdir()
    normal = row(read("shenzhen", tmp_path / "s"), "CHNCXR_0004_0")
    assert (normal["sex"], normal["age_years"], normal["tuberculosis"]) == ("M", 45, 0)
    assert normal["lung_mask"].endswith("CHNCXR_0004_0_mask.png")
    cohort = read("montgomery", tmp_path / "m")
    ill = row(cohort, "MCUCXR_0104_1")
    assert (ill["sex"], ill["age_years"], ill["tuberculosis"]) == ("F", 27, 1)
    assert ill["finding"] == "cavity in the right upper lobe"
    assert cohort.films == 2, "masks are no films"


def test_kermany_tells_the_children_apart(tmp_path):
    cohort = read("kermany", tmp_path)
    assert cohort.patients == 4
    virus = row(cohort, "person1_virus_6.jpeg")
    assert (virus["viral-pneumonia"], virus["bacterial-pneumonia"]) == (1, 0)
    assert cohort.cases["age_years"].isna().all()
    assert (cohort.cases["note"] == "child of 1 to 5 years").all()


def test_covidx_keeps_the_split_and_names_absent_images(tmp_path):
    cohort = read("covidx", tmp_path)
    assert cohort.cases["split"].value_counts().to_dict() == {"train": 2, "test": 1}
    assert row(cohort, "COVID(1).png")["patient_id"] == "covidx/sirm/COVID 1"
    assert len(cohort.report.missing) == 2
    with pytest.raises(CohortError, match="no lists of COVIDx 9Z"):
        read_cohort("covidx", tmp_path / "collection", version="9Z")


def test_covidx_names_a_line_that_it_cannot_read(tmp_path):
    root = made("covidx", tmp_path)
    text(root / "test_COVIDx7B.txt", "A1 y.png maybe actmed")
    with pytest.raises(CohortError, match=r"test_COVIDx7B\.txt line 1: 'A1 y\.png maybe actmed'"):
        read_cohort("covidx", root)


def test_bimcv_goes_by_the_pcr_near_the_film(tmp_path):
    cohort = read("bimcv-covid19", tmp_path)
    first, second = cohort.cases.iloc[0], cohort.cases.iloc[1]
    assert (first["covid-19"], first["reference_standard"]) == (1, "RT-PCR")
    assert (second["covid-19"], second["reference_standard"]) == (0, "RT-PCR"), "IGG is no PCR"
    assert (first["pneumonia"], second["pneumonia"], second["no-finding"]) == (1, 0, 1)
    assert (first["age_years"], first["sex"], first["view"]) == (64, "M", "AP")
    assert first["study_date"] == "2020-03-20"


def test_bimcv_without_a_pcr_near_takes_the_report_and_never_says_no(tmp_path):
    cohort = read("bimcv-covid19", tmp_path, days=1)
    assert cohort.cases["reference_standard"].tolist() == ["report", "report"]
    assert cohort.cases["covid-19"][0] == 1
    assert pd.isna(cohort.cases["covid-19"][1])


def test_bimcv_leaves_ct_and_bad_reports_out(tmp_path):
    root = made("bimcv-covid19", tmp_path)
    film(root / "sub-S1" / "ses-E1" / "mod-ct" / "sub-S1_ses-E1_run-2_bp-chest_ct.png")
    text(
        root / "derivatives" / "labels" / "labels_covid_posi.tsv",
        "PatientID\tReportID\tReport\tLabels",
        "sub-S1\tses-E1\ttext\t['exclude']",
    )
    cohort = read_cohort("bimcv-covid19", root, days=0)
    assert len(cohort.report.skipped) == 1
    assert cohort.films == 2


def test_siim_takes_person_and_size_from_dicom_and_pneumonia_from_the_study(tmp_path):
    cohort = read("siim-covid19", tmp_path)
    assert cohort.patients == 2
    first = row(cohort, "/i1")
    assert first["patient_id"] == "siim-covid19/p-s1"
    assert (first["pneumonia"], row(cohort, "/i3")["pneumonia"]) == (1, 0)
    assert '"x": 100.5' in first["boxes"]


def test_tbx11k_has_the_kinds_of_its_boxes(tmp_path):
    cohort = read("tbx11k", tmp_path)
    assert {case.case_id.split("/")[1]: case.finding for case in cohort.cases.itertuples()} == {
        "tb0001": "Active tuberculosis",
        "tb0002": "Active and latent tuberculosis",
        "tb1199": "Tuberculosis",
        "h1": "Healthy",
        "s1": "Sick, no tuberculosis",
    }
    assert cohort.label_counts()["tuberculosis"] == (2, 2, 1), "nothing was drawn on tb1199"
    assert cohort.label_counts()["no-finding"] == (1, 4, 0)
    (box,) = json.loads(row(cohort, "/tb0001")["boxes"])
    assert (box["label"], box["x"]) == ("tuberculosis", 8), (
        "drawn at 256 of 512 pixels; the film has 16"
    )
    assert cohort.report.skipped == ("test/t1.png: no label; expected health, sick or tb",)


@pytest.mark.parametrize("name", ["rsna-pneumonia", "tbx11k"])
def test_a_smaller_copy_names_a_finding_that_is_not_known(tmp_path, name):
    film(tmp_path / "images" / "a.png")
    text(
        tmp_path / "films.csv",
        "image,patient_id,finding,view,sex,age",
        "images/a.png,p1,Dragon,PA,F,51",
    )
    with pytest.raises(CohortError, match=r"films\.csv row 2: 'Dragon'; expected "):
        read_cohort(name, tmp_path)


def test_jsrt_has_age_sex_and_masks(tmp_path):
    cohort = read("jsrt", tmp_path)
    ill, well = row(cohort, "/JPCLN001"), row(cohort, "/JPCNN001")
    assert (ill["nodule"], ill["age_years"], ill["sex"]) == (1, 53, "M")
    assert (well["nodule"], well["age_years"], well["sex"]) == (0, 14, "F")
    assert ill["lung_mask"].endswith("masks/JPCLN001_lung.png")
    assert cohort.report.skipped == ("1 files .IMG: raw pixels; convert them to 16-bit PNG",)


def test_pictures_of_siim_learn_their_patient_from_the_table(tmp_path):
    root = made("siim-covid19", tmp_path)
    for path in sorted(root.rglob("*.dcm")):
        film(root / "train" / f"{path.stem}.png")
        path.unlink()
    text(root / "meta.csv", "image_id,dim0,dim1", "i1,2000,2000")
    text(root / "train_meta.csv", "patientid,studyid,imageid", "p,s1,i1", "p,s2,i3")
    cohort = read_cohort("siim-covid19", root)
    patients = cohort.cases.set_index("case_id")["patient_id"].str.removeprefix("siim-covid19/")
    assert patients.to_dict() == {
        "siim-covid19/i1": "p",
        "siim-covid19/i2": "s1",
        "siim-covid19/i3": "p",
    }
    typical, negative = row(cohort, "/i1"), row(cohort, "/i3")
    assert (typical["appearance"], typical["covid-19"], typical["pneumonia"]) == ("typical", 1, 1)
    assert (negative["appearance"], negative["covid-19"], negative["pneumonia"]) == (
        "negative",
        0,
        0,
    )
    assert "the patient may be infected" in negative["note"]


def test_pictures_of_rsna_go_by_their_names(tmp_path):
    root = made("rsna-pneumonia", tmp_path)
    before = read_cohort("rsna-pneumonia", root)
    for path in sorted(root.rglob("*.dcm")):
        film(path.with_suffix(".png"))
        path.unlink()
    after = read_cohort("rsna-pneumonia", root)
    for column in ("case_id", "patient_id", "finding", "lung-opacity"):
        assert after.cases[column].tolist() == before.cases[column].tolist()
    assert set(after.cases["view"]) == {""}
