"""covid-chestxray-dataset in both layouts, Figure1, Actualmed, findings and annotations."""

from __future__ import annotations

import json
import math

import pandas as pd
import pytest
from PIL import Image

from hilum.core.errors import CohortError
from hilum.data.adapters.covid_chestxray import GENERAL, NO_FINDING, SILENT, SPECIFIC, labels_of
from hilum.data.cohorts import read_cohort

HANNOVER_URL = "https://github.com/ml-workgroup/covid-19-image-repository/tree/master/png"


@pytest.fixture
def collection(tmp_path):
    root = tmp_path / "covid-chestxray-dataset"

    def make(header, *rows, images=()):
        (root / "images").mkdir(parents=True, exist_ok=True)
        (root / "metadata.csv").write_text("\n".join((header, *rows)) + "\n")
        for name in images:
            Image.new("L", (100, 50)).save(root / "images" / name, "PNG")
        return root

    return make


def test_the_flat_layout(collection):
    root = collection(
        "patientid,offset,sex,age,finding,view,modality,date,filename,url",
        '1,?,M,65,"COVID-19, ARDS",AP Supine,X-ray,"January 22, 2020",1.png,https://www.sirm.org/a',
        "2,3,,,No Finding,Axial,CT,2020,2.png,",
        "3,,F,28,todo,?,X-ray,,3.png,https://radiopaedia.org/x",
        f"4,,F,28,todo,PA,X-ray,,4.png,{HANNOVER_URL}",
        f"5,,F,28,No Finding,PA,X-ray,,5.png,{HANNOVER_URL}",
        "6,,,,Pneumonia,PA,X-ray,11/27/19,6.png,",
        "7,,,,Pneumonia,PA,X-ray,2020,7.png,",
        "8,,,,Somethingitis,PA,X-ray,2020,8.png,",
        images=[f"{number}.png" for number in range(1, 10)],
    )
    cohort = read_cohort("covid-chestxray-dataset", root)
    cases = cohort.cases.set_index(cohort.cases["case_id"].str[-5])
    covid = cases["covid-19"]
    assert covid[["1", "4"]].tolist() == [1, 1], "todo of the COVID-19 repository of Hannover"
    assert covid[["6"]].tolist() == [0], "before the first known case"
    assert covid[["2", "3", "5", "7", "8", "9"]].isna().all()
    assert cases.loc["1", ["ards", "pneumonia", "viral-pneumonia", "sars"]].tolist() == [1, 1, 1, 0]
    assert math.isnan(cases.loc["1", "offset_days"])
    assert cases.loc["1", ["view", "study_date", "source"]].tolist() == [
        "AP supine",
        "2020-01-22",
        "sirm.org",
    ]
    assert cases.loc["2", ["modality", "view"]].tolist() == ["CT", ""]
    assert cases.loc["4", "source"] == "Hannover Medical School"
    assert cases.loc["7", "pneumonia"] == 1
    assert cohort.report.without_row == ("9.png",)
    assert cases.loc["9", "patient_id"] == "covid-chestxray-dataset/unknown-9.png"
    assert "labels blank: somethingitis" in cohort.report.notes[0]


def test_the_later_layout(collection):
    root = collection(
        "patientid,finding,RT_PCR_positive,view,modality,filename",
        "1,Pneumonia/Viral/COVID-19,Y,PA,X-ray,1.png",
        "2,Pneumonia/Viral/COVID-19,N,PA,X-ray,2.png",
        "3,Pneumonia/Bacterial/Klebsiella,,PA,X-ray,3.png",
        "4,Pneumonia/Viral,,PA,X-ray,4.png",
        "5,todo,Y,PA,X-ray,5.png",
        images=[f"{number}.png" for number in range(1, 6)],
    )
    cases = read_cohort("covid-chestxray-dataset", root).cases
    covid = cases["covid-19"].tolist()
    assert (covid[0], covid[2], covid[4]) == (1, 0, 1)
    assert math.isnan(covid[1]), "labelled COVID-19, but the PCR was negative"
    assert math.isnan(covid[3])
    assert cases["bacterial-pneumonia"].tolist()[2] == 1
    assert cases["viral-pneumonia"].tolist()[3] == 1
    assert cases["reference_standard"].tolist()[:3] == ["RT-PCR", "RT-PCR", "unstated"]


def test_figure1_names_images_by_patient(collection):
    root = collection(
        "patientid,offset,sex,age,finding,survival,view,modality,notes",
        "COVID-00003a,8,M,50+,COVID-19,,AP erect,X-ray,",
        "COVID-00003b,9,M,28,,,AP erect,X-ray,",
        "COVID-00009,,,,,,,X-ray,",
        images=["COVID-00003a.jpg", "COVID-00003b.png"],
    )
    cohort = read_cohort("covid-chestxray-dataset", root, name="figure1")
    assert cohort.name == "figure1"
    assert cohort.patients == 1, "a letter at the end is another film of the same person"
    assert cohort.cases["covid-19"].tolist()[0] == 1
    assert math.isnan(cohort.cases["covid-19"][1])
    assert cohort.cases["view"].tolist() == ["AP", "AP"]
    assert math.isnan(cohort.cases["age_years"][0])
    assert cohort.report.missing == ("metadata.csv row 4: COVID-00009",)
    assert cohort.report.resolved == (), "an extension that was never given differs from nothing"


def test_actualmed_excludes_covid_and_dates_films_in_the_notes(collection):
    excluded = "Negative (covid-19 viral infection is excluded), date taken (YYYYMMDD): 20200319"
    root = collection(
        "patientid,finding,view,modality,imagename,notes",
        f'ANON1,No finding,PA,X-ray,CR.1.2.840.3.png,"{excluded}"',
        'ANON1,COVID-19,AP,X-ray,CR.1.2.840.4.png,", date taken (YYYYMMDD): 20200325"',
        'ANON2,,AP,X-ray,CR.1.2.840.5.png,"Inconclusive, date taken (YYYYMMDD): 20200325"',
        images=[f"CR.1.2.840.{number}.png" for number in (3, 4, 5)],
    )
    cases = read_cohort("covid-chestxray-dataset", root, name="actualmed").cases
    assert cases["covid-19"].tolist()[:2] == [0, 1]
    assert math.isnan(cases["covid-19"][2])
    assert cases["study_date"].tolist() == ["2020-03-19", "2020-03-25", "2020-03-25"]
    assert cases["patient_id"].nunique() == 2


def test_masks_boxes_and_scores_are_attached(collection):
    root = collection(
        "patientid,finding,view,modality,filename",
        "1,COVID-19,PA,X-ray,1.jpg",
        images=["1.jpg"],
    )
    for place in ("semantic_masks_v7labs_lungs", "lungVAE-masks"):
        (root / "annotations" / place).mkdir(parents=True)
        (root / "annotations" / place / "1_mask.png").write_bytes(b"")
    boxes = {
        "categories": [{"id": 1, "name": "Right Lung"}],
        "images": [{"id": 7, "file_name": "1.jpg", "width": 200, "height": 200}],
        "annotations": [
            {"image_id": 7, "category_id": 1, "bbox": [20, 40, 60, 80]},
            {"image_id": 7, "bbox": [0, 0, 1, 1]},
        ],
    }
    path = root / "annotations" / "imageannotation_ai_lung_bounding_boxes.json"
    path.write_text(json.dumps(boxes))
    (root / "annotations" / "covid-severity-scores.csv").write_text(
        "## a comment,,\nfilename,geographic_mean,opacity_mean\n1.jpg,2.7,2.0\n"
    )
    zones = [f"{reader}-{zone}" for reader in "SJ" for zone in (*"ABCDEF", "Global")]
    brixia = root.parent / "brixia-score" / "public-annotations.csv"
    brixia.parent.mkdir()
    brixia.write_text(f"﻿filename,{','.join(zones)}\n1.jpg,{','.join('3' * 14)}\n")
    lesions = root.parent / "covid-19-chest-xray-segmentations-dataset" / "lesion-masks"
    lesions.mkdir(parents=True)
    (lesions / "1_ggo.png").write_bytes(b"")
    cohort = read_cohort("covid-chestxray-dataset", root)
    row = cohort.cases.iloc[0]
    assert row["lung_mask"].endswith("semantic_masks_v7labs_lungs/1_mask.png"), "manual first"
    assert json.loads(row["boxes"]) == [
        {"label": "right-lung", "x": 10.0, "y": 10.0, "width": 30.0, "height": 20.0}
    ]
    assert json.loads(row["lesion_masks"]) == {"ground-glass": str(lesions / "1_ggo.png")}
    scores = json.loads(row["scores"])
    assert (scores["geographic-extent"], scores["opacity"]) == (2.7, 2.0)
    assert (scores["brixia-senior-global"], scores["brixia-junior-a"]) == (3.0, 3.0)
    assert any("1 without a label left out" in note for note in cohort.report.notes)


def test_the_mask_of_a_name_that_two_films_share_is_nobodys(collection):
    root = collection(
        "patientid,finding,view,modality,filename",
        "1,COVID-19,PA,X-ray,1.jpg",
        "2,COVID-19,PA,X-ray,1.png",
        "3,COVID-19,PA,X-ray,3.png",
        images=["1.jpg", "1.png", "3.png"],
    )
    (root / "annotations" / "lungVAE-masks").mkdir(parents=True)
    for stem in ("1", "3"):
        (root / "annotations" / "lungVAE-masks" / f"{stem}_mask.png").write_bytes(b"")
    cohort = read_cohort("covid-chestxray-dataset", root)
    assert [mask[-10:] for mask in cohort.cases["lung_mask"]] == ["", "", "3_mask.png"]
    assert "masks of 1 left out: 2 images are called so" in cohort.report.notes


def test_a_table_of_another_collection_is_refused(collection):
    root = collection("filename,label", "1.png,COVID-19", images=["1.png"])
    with pytest.raises(CohortError, match="no column patientid, finding, view, modality"):
        read_cohort("covid-chestxray-dataset", root)


def test_broken_boxes_are_named(collection):
    root = collection("patientid,finding,view,modality", "1,COVID-19,PA,X-ray", images=["1.png"])
    (root / "annotations").mkdir()
    path = root / "annotations" / "imageannotation_ai_lung_bounding_boxes.json"
    path.write_text("{")
    with pytest.raises(CohortError, match="not JSON"):
        read_cohort("covid-chestxray-dataset", root)


@pytest.mark.parametrize("word", [*SPECIFIC, *GENERAL])
def test_a_word_inside_another_word_is_not_that_word(word):
    unmapped: set[str] = set()
    found = labels_of(f"post{word}itis", unmapped=unmapped)
    assert pd.Series(found).isna().all()
    assert unmapped == {f"post{word}itis"}


@pytest.mark.parametrize("word", sorted(SILENT))
def test_words_that_say_nothing_leave_all_unknown_even_by_date(word):
    assert pd.Series(labels_of(word, before_covid=True)).isna().all()


def test_findings_exclude_one_another():
    klebsiella = labels_of("Klebsiella")
    assert (klebsiella["covid-19"], klebsiella["bacterial-pneumonia"]) == (0, 1)
    ards = labels_of("ARDS")
    assert ards["ards"] == 1
    assert math.isnan(ards["covid-19"])
    assert labels_of("ARDS", before_covid=True)["covid-19"] == 0
    assert labels_of("COVID-19", before_covid=True)["covid-19"] == 1, "the collection's word stands"
    assert labels_of(NO_FINDING)["pneumonia"] == 0
