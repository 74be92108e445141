"""The readers agree with the second table of the data: films, labels, patients, boxes."""

from __future__ import annotations

import json

import pandas as pd
import pytest

from hilum.data.cohorts import read_cohort
from hilum.data.table import merge_cases

pytestmark = pytest.mark.real_data

# folder: (adapter, films, covid 1/0/blank, patients, films with boxes, boxes)
EXPECTED = {
    "siim-covid19": ("siim-covid19", 3767, (1751, 1071, 945), 1989, 2557, 4671),
    "tbx11k": ("tbx11k", 501, (0, 501, 0), 501, 500, 765),
    "jsrt": ("jsrt", 247, (0, 247, 0), 247, 0, 0),
    "rsna-via-covidx": ("rsna-pneumonia", 189, (0, 189, 0), 186, 93, 181),
}


@pytest.fixture(scope="module")
def manifest(data_root):
    table = pd.read_csv(data_root / "manifest-more.csv", dtype="str", keep_default_na=False)
    return table.assign(path=[str(data_root / path) for path in table["path"]])


@pytest.fixture(scope="module")
def cohorts(data_root):
    return {
        folder: read_cohort(row[0], data_root / folder, name=folder)
        for folder, row in EXPECTED.items()
    }


@pytest.mark.parametrize("folder", EXPECTED)
def test_films_labels_and_patients(folder, cohorts, manifest):
    _, films, covid, patients, boxed, boxes = EXPECTED[folder]
    cohort = cohorts[folder]
    readme = manifest[manifest["source"] == folder]
    assert cohort.films == films == len(readme)
    assert cohort.label_counts()["covid-19"] == covid
    assert cohort.patients == patients == readme["patient_id"].nunique()
    drawn = [json.loads(text) for text in cohort.cases["boxes"] if text]
    assert (len(drawn), sum(map(len, drawn))) == (boxed, boxes)
    report = cohort.report
    assert report.missing == report.ambiguous == report.without_row == report.skipped == ()


@pytest.mark.parametrize("folder", EXPECTED)
def test_film_by_film(folder, cohorts, manifest):
    cases = cohorts[folder].cases
    table = cases.merge(manifest, on="path", validate="one_to_one", suffixes=("", "_readme"))
    assert len(table) == len(cases)
    covid = table["covid-19"].map({1.0: "1", 0.0: "0"}).fillna("")
    assert (covid == table["covid"]).all()
    assert (table["view"] == table["view_readme"]).all()
    assert (table["sex"] == table["sex_readme"]).all()
    assert ((table["lung_mask"] != "") == (table["mask_path"] != "")).all()
    age = pd.to_numeric(table["age"].where(table["age"] != "", None)).astype(float)
    pd.testing.assert_series_equal(table["age_years"], age, check_names=False)
    assert table.groupby("patient_id")["patient_id_readme"].nunique().max() == 1
    assert table.groupby("patient_id_readme")["patient_id"].nunique().max() == 1


@pytest.mark.parametrize("folder", EXPECTED)
def test_boxes_lie_inside_their_films(folder, cohorts, manifest):
    sizes = manifest.set_index("path")[["width", "height"]].astype(float)
    cases = cohorts[folder].cases
    for path, text in cases.loc[cases["boxes"] != "", ["path", "boxes"]].to_numpy():
        width, height = sizes.loc[path]
        for box in json.loads(text):
            assert min(box["x"], box["y"]) >= -1
            assert box["x"] + box["width"] <= width + 1
            assert box["y"] + box["height"] <= height + 1


def test_appearances_of_siim(cohorts):
    cases = cohorts["siim-covid19"].cases
    assert cases["appearance"].value_counts().to_dict() == {
        "typical": 1751,
        "negative": 1071,
        "indeterminate": 670,
        "atypical": 275,
    }
    assert (cases["covid-19"] == 0).eq(cases["appearance"] == "negative").all()
    negative = cases["note"].str.contains("may be infected")
    assert negative.eq(cases["appearance"] == "negative").all()


def test_labels_of_the_others(cohorts):
    assert cohorts["jsrt"].label_counts()["nodule"] == (154, 93, 0)
    assert cohorts["tbx11k"].label_counts()["tuberculosis"] == (500, 0, 1)
    rsna = cohorts["rsna-via-covidx"].label_counts()
    assert rsna["lung-opacity"] == rsna["pneumonia"] == (93, 96, 0)
    assert rsna["no-finding"] == (96, 93, 0)


def test_patients_of_rsna_are_those_of_nih(cohorts, data_root):
    nih = read_cohort("nih-chestxray14", data_root / "nih-chestxray14")
    merged = merge_cases([nih.cases, cohorts["rsna-via-covidx"].cases])
    readme = pd.concat(
        pd.read_csv(data_root / name, dtype="str", keep_default_na=False)
        for name in ("manifest.csv", "manifest-more.csv")
    )
    known = readme[readme["source"].isin(["nih-chestxray14", "rsna-via-covidx"])]
    assert merged["patient_id"].nunique() == known["patient_id"].nunique()
