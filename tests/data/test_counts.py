"""The readers agree with the table of the data's README, collection by collection.

Patients: the README unifies them across collections, by upstream id and by recognising films. A
reader sees one collection. So its patients must be the same or finer: no patient of a reader may
be two in the README, and where the README has fewer, the numbers of both stand below.
"""

from __future__ import annotations

import json

import pandas as pd
import pytest

from hilum.data.cohorts import read_cohort
from hilum.data.table import merge_cases

pytestmark = pytest.mark.real_data

# adapter: (folder, source in the manifest, films, covid 1/0/blank, patients read, README)
EXPECTED = {
    "covid-chestxray-dataset": (
        "covid-chestxray-dataset",
        "covid-chestxray-dataset",
        722,
        (523, 103, 96),
        363,
        352,
    ),
    "covid-19-image-repository": (
        "covid-19-image-repository",
        "covid-19-image-repository",
        243,
        (243, 0, 0),
        71,
        71,
    ),
    # 251 patients with a row, 88 films without one; some are films of the other two collections
    "covid-cxnet": ("COVID-CXNet", "COVID-CXNet", 487, (467, 0, 20), 339, 321),
    "nih-chestxray14": ("nih-chestxray14", "nih-chestxray14", 1031, (0, 1031, 0), 783, 783),
    "rsna-pneumonia": ("rsna-pneumonia", "rsna-pneumonia", 3, (0, 3, 0), 2, 2),
    "shenzhen": ("ChinaSet_AllFiles", "shenzhen", 280, (0, 280, 0), 280, 280),
    # films 101-210 and 201-210 were recognised as one film
    "openist": ("OpenIST", "OpenIST", 275, (0, 275, 0), 275, 274),
    "kermany": ("chest_xray", "kermany-pediatric", 126, (0, 126, 0), 117, 117),
}
VIEWS = {"AP Supine": "AP supine", "L": "lateral", "CT Axial": "", "CT Coronal": ""}


@pytest.fixture(scope="module")
def manifest(data_root):
    table = pd.read_csv(data_root / "manifest.csv", dtype="str", keep_default_na=False)
    return table.assign(path=[str(data_root / path) for path in table["path"]])


@pytest.fixture(scope="module")
def cohorts(data_root):
    return {name: read_cohort(name, data_root / row[0]) for name, row in EXPECTED.items()}


def joined(cohort, manifest):
    """Join by path, which both have for every film, and only for those."""
    return cohort.cases.merge(
        manifest, on="path", how="left", validate="one_to_one", suffixes=("", "_readme")
    )


@pytest.mark.parametrize("name", EXPECTED)
def test_films_labels_and_patients(name, cohorts, manifest):
    _, source, films, covid, patients, unified = EXPECTED[name]
    cohort = cohorts[name]
    assert cohort.films == films == (manifest["source"] == source).sum()
    assert cohort.label_counts()["covid-19"] == covid
    assert cohort.patients == patients
    assert manifest[manifest["source"] == source]["patient_id"].nunique() == unified


@pytest.mark.parametrize("name", EXPECTED)
def test_film_by_film(name, cohorts, manifest):
    table = joined(cohorts[name], manifest)
    assert (table["source_readme"] == EXPECTED[name][1]).all()
    covid = table["covid-19"].map({1.0: "1", 0.0: "0"}).fillna("")
    assert (covid == table["covid"]).all()
    assert (table["view"] == table["view_readme"].replace(VIEWS)).all()
    assert (table["sex"] == table["sex_readme"]).all()
    masks = [path.partition("/covid-")[2] or path for path in table["mask_path"]]
    assert ((table["lung_mask"] != "") == (pd.Series(masks) != "")).all()
    assert table.groupby("patient_id")["patient_id_readme"].nunique().max() == 1


@pytest.mark.parametrize("name", EXPECTED)
def test_age_by_film(name, cohorts, manifest):
    table = joined(cohorts[name], manifest)
    stated = pd.to_numeric(table["age"].where(table["age"] != "", None)).astype(float)
    pd.testing.assert_series_equal(table["age_years"], stated, check_names=False)


def test_what_was_odd_is_counted(cohorts):
    odd = {
        name: tuple(
            len(texts)
            for texts in (
                cohort.report.missing,
                cohort.report.resolved,
                cohort.report.without_row,
                cohort.report.skipped,
            )
        )
        for name, cohort in cohorts.items()
    }
    nothing = (0, 0, 0, 0)
    assert odd == dict.fromkeys(EXPECTED, nothing) | {
        "covid-chestxray-dataset": (27, 0, 0, 0),  # 21 CT volumes, 6 images
        "covid-cxnet": (0, 27, 88, 0),
        "rsna-pneumonia": (407, 0, 2, 0),  # the class table is of films that NIH has
    }
    volumes = [m for m in cohorts["covid-chestxray-dataset"].report.missing if "volumes/" in m]
    assert len(volumes) == 21


def test_todo_films_of_hannover_are_known_by_their_url_alone(cohorts):
    """The table says "todo", its url names a repository of COVID-19 patients only; no join."""
    cases = cohorts["covid-chestxray-dataset"].cases
    todo = cases[cases["finding"] == "todo"]
    hannover = todo["source"] == "Hannover Medical School"
    assert hannover.sum() == 22
    assert (todo[hannover]["covid-19"] == 1).all()
    assert todo[~hannover]["covid-19"].isna().all()
    assert len(todo[~hannover]) == 78
    assert (cases["source"] == "Hannover Medical School").sum() == 104


def test_modality_view_and_annotations_of_covid_chestxray(cohorts):
    cases = cohorts["covid-chestxray-dataset"].cases
    assert (cases["modality"] == "CT").sum() == 62
    frontal = cases["view"].isin(["PA", "AP", "AP supine"])
    assert (frontal.sum(), (cases["view"] == "lateral").sum()) == (567, 54)
    assert ((cases["view"] == "") & (cases["modality"] != "CT")).sum() == 39
    scores = [json.loads(text) for text in cases["scores"] if text]
    assert sum("geographic-extent" in each for each in scores) == 90
    assert sum("brixia-senior-global" in each for each in scores) == 173
    lesions = [json.loads(text) for text in cases["lesion_masks"] if text]
    assert sum(len(each) for each in lesions) == 122
    assert (cases["boxes"] != "").sum() == 598


def test_boxes_lie_inside_their_films(cohorts, manifest):
    sizes = manifest.set_index("path")[["width", "height"]].astype(float)
    for name in ("covid-chestxray-dataset", "nih-chestxray14"):
        cases = cohorts[name].cases
        for path, text in cases.loc[cases["boxes"] != "", ["path", "boxes"]].to_numpy():
            for box in json.loads(text):
                width, height = sizes.loc[path]
                assert box["x"] >= -1
                assert box["y"] >= -1
                assert box["x"] + box["width"] <= width + 1
                assert box["y"] + box["height"] <= height + 1


def test_nih_has_the_boxes_of_nih_and_rsna(cohorts):
    boxes = [
        box
        for text in cohorts["nih-chestxray14"].cases["boxes"]
        if text
        for box in json.loads(text)
    ]
    drawn = pd.Series([box["label"] for box in boxes]).value_counts()
    assert drawn["lung-opacity"] == 197
    assert drawn.sum() - drawn["lung-opacity"] == 48
    said = cohorts["nih-chestxray14"].cases["note"].str.startswith("RSNA radiologists")
    assert said.sum() == 407  # the 408th film of the class table is here only as DICOM


def test_labels_of_other_collections(cohorts):
    assert cohorts["shenzhen"].label_counts()["tuberculosis"] == (115, 165, 0)
    kermany = cohorts["kermany"].label_counts()
    assert kermany["bacterial-pneumonia"] == kermany["viral-pneumonia"] == (33, 93, 0)
    nih = cohorts["nih-chestxray14"].label_counts()
    assert nih["pneumonia"] == (428, 603, 0)
    assert nih["no-finding"] == (461, 570, 0)


def test_all_merged(cohorts, manifest):
    merged = merge_cases([cohort.cases for cohort in cohorts.values()], list(cohorts))
    assert len(merged) == (manifest["source"] != "originals").sum() == 3167
    assert merged["path"].is_unique


def test_the_later_layout_agrees_with_the_first(data_root, cohorts):
    root = data_root / "covid-chestxray-dataset"
    later = read_cohort("covid-chestxray-dataset", root, table="metadata_2020-10_excerpt.csv")
    rows = later.cases[later.cases["finding"] != ""]
    assert len(rows) == 24
    assert later.cases["covid-19"].value_counts().to_dict() == {1.0: 12, 0.0: 12}
    first = cohorts["covid-chestxray-dataset"].cases.set_index("case_id")["covid-19"]
    assert (first[rows["case_id"]].to_numpy() == rows["covid-19"].to_numpy()).all()


@pytest.mark.parametrize(
    ("version", "train", "test", "positive"),
    [("7B", 15464, 200, 1770), ("8B", 15952, 400, 2358), ("9B", 30482, 400, 16690)],
)
def test_covidx_lists(data_root, version, train, test, positive):
    cohort = read_cohort("covidx", data_root / "covidx-lists", version=version)
    assert cohort.cases["split"].value_counts().to_dict() == {"train": train, "test": test}
    assert cohort.label_counts()["covid-19"][0] == positive
    sides = cohort.cases.groupby("split")["patient_id"].agg(set)
    both = sides["train"] & sides["test"]
    assert both == ({"covidx/actmed/ANON191"} if version == "7B" else set())
