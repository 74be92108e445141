"""The two adapters for data of your own."""

from __future__ import annotations

import json
import os

import pandas as pd
import pytest
from PIL import Image

from hilum.core.case import COLUMNS, patients_in
from hilum.core.errors import CohortError
from hilum.data.cohorts import read_cohort
from hilum.data.table import write_cases

from .trees import dicom


@pytest.fixture
def films(tmp_path):
    def make(*names):
        for name in names:
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("L", (8, 8)).save(path)
        return tmp_path

    return make


def test_csv_takes_columns_of_your_own(films):
    root = films("pictures/a.png", "pictures/b.png")
    table = root / "mine.csv"
    table.write_text(
        "file,subject,pcr,projection,years\na.png,7,Positive,ap,65\nB.PNG,8,,,\nc.png,9,0,,\n"
    )
    columns = {"path": "file", "patient_id": "subject", "covid-19": "pcr", "view": "projection"}
    cohort = read_cohort(
        "csv",
        table,
        name="ours",
        columns=columns | {"age_years": "years"},
        images=root / "pictures",
    )
    first = cohort.cases.iloc[0]
    assert first["case_id"] == "ours/a.png"
    assert first["patient_id"] == "ours/7"
    assert (first["covid-19"], first["view"], first["age_years"]) == (1, "AP", 65)
    assert pd.isna(cohort.cases["covid-19"][1])
    assert cohort.report.missing == ("mine.csv row 4: c.png",)
    assert cohort.report.resolved == ("B.PNG -> b.png",)


def test_csv_says_what_it_did_not_understand(films):
    root = films("a.png", "b.png", "c.png")
    (root / "mine.csv").write_text(
        "path;age_years;study_date;view;sex;offset_days;covid-19\n"
        "a.png;45,5;14.03.2020;oblique;d;1,5;1\nb.png;0;2020-03-14;PA;F;0;0\nc.png;NA;;?;;nan;\n"
    )
    cohort = read_cohort("csv", root)
    assert cohort.cases["age_years"].tolist()[1] == 0
    for column, text in [
        ("age_years", "45,5"),
        ("study_date", "14.03.2020"),
        ("view", "oblique"),
        ("sex", "d"),
        ("offset_days", "1,5"),
    ]:
        told = f"{column}: 1 values are not understood and unknown, e.g. mine.csv row 2: '{text}'"
        assert told in cohort.report.notes


@pytest.mark.parametrize(
    "mask",
    [
        *("covid/masks/1.png", "covid/lung masks/1.png", "covid/Segmentation/1.png"),
        *("covid/Ground-truths/mask_1.png", "covid/ground_truth/1.png"),
        *("covid/images/1_mask.png", "covid/images/1_seg.png", "covid/images/mask_1.png"),
    ],
)
def test_a_mask_is_no_film_whatever_it_is_called(films, mask):
    cohort = read_cohort("folders", films("covid/images/1.png", mask))
    assert [path[-12:] for path in cohort.cases["path"]] == ["images/1.png"]
    assert any(note.startswith("masks, no films: covid/") for note in cohort.report.notes)


def test_films_of_a_collection_for_segmentation_are_films(films):
    root = films("covid/Lung Segmentation Data/images/1.png", "covid/segmentation/test/2.png")
    films("normal/mask_of_nobody.png", "normal/unmasked/3.png")
    assert len(read_cohort("folders", root).cases) == 4


def test_what_no_table_can_name_or_no_one_can_open_is_left_out(films):
    root = films("covid/1.png")
    (root / "covid" / os.fsdecode(b"\xff.png")).write_bytes((root / "covid/1.png").read_bytes())
    os.mkfifo(root / "covid/pipe.png")
    (root / "covid/gone.png").symlink_to("nowhere.png")
    cohort = read_cohort("folders", root)
    write_cases(cohort.cases, root / "cases.csv")
    assert [path[-11:] for path in cohort.cases["path"]] == ["covid/1.png"]
    assert "'covid/\\udcff.png': no name in UTF-8; rename it" in cohort.report.skipped
    assert {"covid/gone.png: no film", "covid/pipe.png: no film"} <= set(cohort.report.skipped)


def test_csv_without_patients_says_so(films):
    root = films("a.png", "b.png")
    (root / "mine.csv").write_text("path,covid-19\na.png,1\nb.png,0\n")
    cohort = read_cohort("csv", root)
    assert cohort.patients == 2
    assert "no patient_id" in cohort.report.notes[0]


@pytest.mark.parametrize(
    ("columns", "said", "hint"),
    [
        ({"path": "fil"}, "no column 'fil'", "did you mean 'file'?"),
        ({"path": "file", "covid19": "file"}, "no column 'covid19'", "did you mean 'covid-19'?"),
        ({}, "no column 'path'; found file, pcr", "--column path=YOURS"),
        ({"path": "file", "covid-19": "pcr"}, "mine.csv row 2, covid-19: 'maybe'", "1 and 0"),
    ],
)
def test_csv_complains_with_a_hint(films, columns, said, hint):
    root = films("a.png")
    (root / "mine.csv").write_text("file,pcr\na.png,maybe\n")
    with pytest.raises(CohortError) as caught:
        read_cohort("csv", root, columns=columns)
    assert said in caught.value.message
    assert hint in caught.value.hint


def test_csv_wants_one_table(films):
    root = films("a.png")
    with pytest.raises(CohortError, match="0 CSV files"):
        read_cohort("csv", root)


def test_folders_exclude_one_another(films):
    root = films("covid/p1_a.png", "covid/p1_b.png", "Normal/p2_a.png", "loose.png")
    cohort = read_cohort("folders", root, patient=r"(p\d+)_")
    assert cohort.patients == 2
    assert cohort.cases["covid-19"].tolist() == [0, 1, 1]
    assert cohort.cases["no-finding"].tolist() == [1, 0, 0]
    assert cohort.report.skipped == ("loose.png: lies in no class folder",)


def test_folders_of_your_own_names(films):
    root = films("ill/a.png", "well/b.png")
    with pytest.raises(CohortError, match="no label is known") as caught:
        read_cohort("folders", root)
    assert "--class ill=LABEL" in caught.value.hint
    classes = {"ill": "covid-19", "well": "covid-19=0"}
    cases = read_cohort("folders", root, classes=classes).cases
    assert cases["covid-19"].tolist() == [1, 0]
    assert "no-finding" not in cases
    with pytest.raises(CohortError, match="class 'covid': expected LABEL"):
        read_cohort("folders", root, classes={"ill": "covid", "well": "covid"})


def test_folders_refuse_a_pattern_without_a_group(films):
    root = films("covid/a.png")
    for pattern, said in ((r"p\d+", "no group"), ("(", "patient pattern")):
        with pytest.raises(CohortError, match=said):
            read_cohort("folders", root, patient=pattern)


def test_content_makes_a_film_not_its_extension(films):
    root = films("covid/a.png", "normal/b.png")
    dicom = root / "normal" / "CR.1.2.840.1"
    dicom.write_bytes(bytes(128) + b"DICM" + bytes(64))
    (root / "normal" / "c.PNG.bak").write_bytes((root / "normal" / "b.png").read_bytes())
    (root / "covid" / "Thumbs.db").write_bytes(b"\xd0\xcf\x11\xe0")
    (root / "covid" / "BMI.txt").write_text("BMI of the patients")
    cohort = read_cohort("folders", root)
    assert sorted(path.rpartition("/")[2] for path in cohort.cases["path"]) == [
        "CR.1.2.840.1",
        "a.png",
        "b.png",
        "c.PNG.bak",
    ]
    assert cohort.report.skipped == ("covid/BMI.txt: no film", "covid/Thumbs.db: no film")


def test_a_film_without_extension_is_found_by_a_table(films):
    root = films("a.png")
    (root / "CR.1.2.840.1").write_bytes(bytes(128) + b"DICM" + bytes(64))
    (root / "CR.1.2.840.2").write_bytes(bytes(128) + b"DICM" + bytes(64))
    (root / "mine.csv").write_text("path\nfilms/CR.1.2.840.1\nCR.1.2.840.2.dcm\nCR.1.2.840.3\n")
    cohort = read_cohort("csv", root / "mine.csv")
    assert [path.rpartition("/")[2] for path in cohort.cases["path"]] == [
        "CR.1.2.840.1",
        "CR.1.2.840.2",
    ]
    assert cohort.report.missing == ("mine.csv row 4: CR.1.2.840.3",)


@pytest.mark.parametrize("header", ["COVID-19", " covid-19 ", "Covid_19", "covid19"])
def test_a_label_in_other_letters_is_taken_and_said(films, header):
    root = films("a.png")
    (root / "mine.csv").write_text(f"Path,{header},ward\na.png,1,7\n")
    cohort = read_cohort("csv", root)
    assert cohort.label_counts() == {"covid-19": (1, 0, 0)}
    assert "column 'Path' is taken as path" in cohort.report.notes
    assert "columns that are not used: ward" in cohort.report.notes


def test_two_columns_of_one_meaning_are_refused(films):
    root = films("a.png")
    (root / "mine.csv").write_text("path,COVID-19,covid-19\na.png,1,0\n")
    with pytest.raises(CohortError, match="columns COVID-19 and covid-19 may both be") as caught:
        read_cohort("csv", root)
    assert "--column covid-19=YOURS" in caught.value.hint
    cohort = read_cohort("csv", root, columns={"covid-19": "COVID-19"})
    assert cohort.label_counts() == {"covid-19": (1, 0, 0)}


def test_ids_keep_their_text(films):
    root = films(*(f"{n}.png" for n in range(4)))
    ids = ["007", "1e5", "NA", "null"]
    rows = [f"{n}.png;{name}" for n, name in enumerate(ids)]
    (root / "mine.csv").write_text("\n".join(["path;patient_id", *rows]), encoding="utf-16")
    assert read_cohort("csv", root).cases["patient_id"].tolist() == [f"csv/{each}" for each in ids]


def test_folders_take_the_person_of_a_dicom_film_from_its_header(films):
    root = films("covid/p9_1.png", "normal/b.png")
    for place in ("covid/1.dcm", "covid/2.dcm"):
        dicom(root / place, "SAME")
    dicom(root / "normal/p7_3.dcm", "OTHER")
    (root / "covid" / "broken.dcm").write_bytes(b"\0" * 128 + b"DICM" + b"\xff" * 40)
    cohort = read_cohort("folders", root, patient=r"(p\d+)_")
    cases = cohort.cases.set_index("case_id")
    person = cases["patient_id"].str.removeprefix("folders/").to_dict()
    assert person == {
        "folders/covid/1.dcm": "SAME",
        "folders/covid/2.dcm": "SAME",
        "folders/covid/broken.dcm": "unknown-covid/broken.dcm",
        "folders/covid/p9_1.png": "p9",
        "folders/normal/b.png": "unknown-normal/b.png",
        "folders/normal/p7_3.dcm": "p7",
    }
    told = cases.loc["folders/covid/1.dcm"]
    assert (told["view"], told["sex"], told["age_years"]) == ("AP", "F", 51)
    assert cases.loc["folders/normal/b.png", "sex"] == ""
    notes = " ".join(cohort.report.notes)
    assert "4 DICOM films: view, sex and age are those of the header, and PatientID" in notes
    assert "(2 in the headers)" in notes
    assert "2 films name no patient: each counts as a person of its own" in notes


def test_one_patient_id_in_all_of_several_headers_names_nobody(films):
    root = films("covid/a.png")
    for place in ("covid/1.dcm", "covid/2.dcm", "normal/3.dcm"):
        (root / place).parent.mkdir(exist_ok=True)
        dicom(root / place, "ANON")
    cohort = read_cohort("folders", root)
    assert cohort.cases["patient_id"].str.contains("/unknown-", regex=False).all()
    assert patients_in(cohort.cases) is None
    notes = " ".join(cohort.report.notes)
    assert "every PatientID is 'ANON', which is taken as unknown" in notes
    (root / "covid/2.dcm").unlink()
    (root / "normal/3.dcm").unlink()
    alone = read_cohort("folders", root).cases.set_index("case_id")["patient_id"]
    assert alone["folders/covid/1.dcm"] == "folders/ANON"


VALUES = {
    "group": "g1",
    "modality": "X-ray",
    "view": "PA",
    "sex": "F",
    "age_years": "50",
    "study_date": "2020-03-14",
    "offset_days": "3",
    "finding": "shadow",
    "reference_standard": "report",
    "licence": "ours",
    "lung_mask": "masks/a.png",
    "lesion_masks": '{"ground-glass": "masks/a.png"}',
    "boxes": '[{"label": "lung-opacity", "x": 1, "y": 1, "width": 2, "height": 3}]',
    "scores": '{"brixia": 7}',
    "note": "rotated",
    "cohort": "north",
    "source": "ward",
    "case_id": "north/1",
    "patient_id": "17",
    "path": "a.png",
}


def test_no_column_of_a_cases_table_is_lost(films):
    root = films("a.png", "masks/a.png")
    pd.DataFrame([VALUES]).to_csv(root / "mine.csv", index=False)
    (case,) = read_cohort("csv", root).cases.to_dict("records")
    mask = str(root / "masks" / "a.png")
    changed = {
        "path": str(root / "a.png"),
        "patient_id": "csv/17",
        "age_years": 50,
        "offset_days": 3,
        "lung_mask": mask,
        "lesion_masks": json.dumps({"ground-glass": mask}),
    }
    assert VALUES.keys() == COLUMNS.keys()
    assert {name: case[name] for name in COLUMNS} == VALUES | changed


@pytest.mark.parametrize(
    ("column", "text", "said"),
    [
        ("lung_mask", "b.png", "row 3, column lung_mask: no file 'b.png'"),
        ("lesion_masks", "b.png", "row 3, column lesion_masks: 'b.png'; expected JSON"),
        ("lesion_masks", '{"x": "b.png"}', "row 3, column lesion_masks: no file 'b.png'"),
        ("boxes", "[1", "row 3, column boxes: '[1'; expected JSON"),
        ("scores", "[]", "row 3, column scores: '[]'; expected JSON"),
        ("modality", "DX", "row 3, column modality: 'DX'"),
    ],
)
def test_a_bad_value_is_named_by_file_and_row(films, column, text, said):
    root = films("a.png")
    rows = [{"path": "gone.png"}, {"path": "a.png", column: text}]
    pd.DataFrame(rows).to_csv(root / "mine.csv", index=False)
    with pytest.raises(CohortError) as error:
        read_cohort("csv", root)
    assert f"mine.csv {said}" in error.value.message


def test_images_that_the_table_does_not_name_are_told(films):
    root = films("a.png", "b.png", "sub/c.png", "drawn/by-hand.png")
    (root / "mine.csv").write_text("path,covid-19,lung_mask\na.png,1,drawn/by-hand.png\n")
    cohort = read_cohort("csv", root)
    assert len(cohort.cases) == 1
    assert set(cohort.report.without_row) == {"b.png", "c.png"}


@pytest.mark.parametrize(
    ("dates", "read"),
    [
        (["14/03/2020", "03/04/2020", "2020-05-06"], ["2020-03-14", "2020-04-03", "2020-05-06"]),
        (["03/14/2020", "03/04/20", ""], ["2020-03-14", "2020-03-04", ""]),
        (["03/04/2020", "05/06/2020", "20200304"], ["", "", "2020-03-04"]),
        (["14/03/2020", "03/14/2020", ""], ["", "", ""]),
    ],
)
def test_which_number_of_a_date_is_the_day_the_whole_column_tells(films, dates, read):
    root = films("a.png", "b.png", "c.png")
    rows = {"path": ["a.png", "b.png", "c.png"], "study_date": dates}
    pd.DataFrame(rows).to_csv(root / "mine.csv", index=False)
    cohort = read_cohort("csv", root)
    assert cohort.cases["study_date"].tolist() == read
    unread = [date for date, known in zip(dates, read, strict=True) if date and not known]
    assert any(f"study_date: {len(unread)} values" in note for note in cohort.report.notes) == bool(
        unread
    )


def test_films_that_lie_elsewhere_are_asked_for(films):
    root = films("other/a.png")
    (root / "tables").mkdir()
    (root / "tables" / "mine.csv").write_text("path\na.png\n")
    with pytest.raises(CohortError, match="no film") as error:
        read_cohort("csv", root / "tables")
    assert "--set images=FOLDER" in error.value.hint
