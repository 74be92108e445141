"""Cases tables: round trips, and complaints that name file, row and column."""

from __future__ import annotations

import json
import math
import shutil
import unicodedata

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hilum.core.case import COLUMNS
from hilum.core.errors import CohortError
from hilum.data.table import arrange, check_cases, merge_cases, read_cases, write_cases

TEXT = st.text(
    st.characters(codec="utf-8", exclude_categories=("Cc", "Cs", "Zl", "Zp")), max_size=12
)
BOX = '[{"label": "a", "x": 1.5, "y": 2, "width": 3, "height": 4.25}]'
NUMBER = st.one_of(st.just(math.nan), st.floats(0, 120, allow_subnormal=False))


def a_table(**columns):
    row = {"case_id": "a/1", "path": "/films/1.png", "cohort": "a", "source": "s"}
    row |= {"patient_id": "a/p1"} | columns
    return pd.DataFrame([row])


def write_csv(path, **columns):
    a_table(**columns).to_csv(path, index=False)
    return path


@st.composite
def tables(draw):
    rows = draw(st.integers(1, 6))
    return arrange(
        pd.DataFrame(
            [
                {
                    "case_id": f"c/{index}",
                    "path": f"/films/{index}.png",
                    "cohort": "c",
                    "source": "host",
                    "patient_id": f"c/{index % 2}",
                    "view": draw(st.sampled_from(["", "PA", "AP", "AP supine", "lateral"])),
                    "sex": draw(st.sampled_from(["", "M", "F"])),
                    "age_years": draw(NUMBER),
                    "study_date": draw(st.sampled_from(["", "2020-02-29"])),
                    "offset_days": draw(st.one_of(st.just(math.nan), st.floats(-1e4, 1e4))),
                    "finding": draw(TEXT),
                    "note": draw(TEXT),
                    "boxes": draw(st.sampled_from(["", BOX])),
                    "covid-19": draw(st.sampled_from([0.0, 1.0, math.nan])),
                    "split": draw(st.sampled_from(["", "train", "test"])),
                    "fold": draw(st.sampled_from([math.nan, 0.0, 3.0])),
                }
                for index in range(rows)
            ]
        )
    )


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30, deadline=None
)
@given(cases=tables())
def test_what_is_written_is_read(tmp_path, cases):
    path = tmp_path / "cases.csv"
    write_cases(cases, path)
    pd.testing.assert_frame_equal(read_cases(path), cases)


def test_the_label_column_is_not_made_up(tmp_path):
    write_cases(a_table(), tmp_path / "cases.csv")
    cases = read_cases(tmp_path / "cases.csv")
    assert list(cases.columns) == list(COLUMNS)


def test_a_folder_with_its_table_can_be_moved(tmp_path):
    old = tmp_path / "old"
    (old / "films").mkdir(parents=True)
    masks = json.dumps({"ground-glass": str(old / "films" / "ggo.png")})
    table = a_table(
        path=str(old / "films" / "1.png"), lung_mask=str(old / "m.png"), lesion_masks=masks
    )
    write_cases(table, old / "cases.csv")
    text = (old / "cases.csv").read_text()
    assert "films/1.png" in text
    assert str(tmp_path) not in text
    shutil.move(old, tmp_path / "new")
    row = read_cases(tmp_path / "new" / "cases.csv").iloc[0]
    assert row["path"] == str(tmp_path / "new" / "films" / "1.png")
    assert row["lung_mask"] == str(tmp_path / "new" / "m.png")
    assert json.loads(row["lesion_masks"]) == {
        "ground-glass": str(tmp_path / "new" / "films" / "ggo.png")
    }


def test_a_film_elsewhere_keeps_its_absolute_path(tmp_path):
    write_cases(a_table(path="/elsewhere/1.png"), tmp_path / "cases.csv")
    assert read_cases(tmp_path / "cases.csv")["path"][0] == "/elsewhere/1.png"


def test_own_columns_are_kept_as_text(tmp_path):
    write_csv(tmp_path / "cases.csv", ward="007")
    assert read_cases(tmp_path / "cases.csv")["ward"].tolist() == ["007"]


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"covid-19": 0.5}, "row 2, column covid-19: 0.5; expected 1, 0 or blank"),
        ({"covid-19": "yes"}, "row 2, column covid-19: 'yes'; expected a number"),
        ({"age_years": 411}, "row 2, column age_years: 411.0; expected 0 to 120"),
        ({"view": "XX"}, "row 2, column view: 'XX'; expected PA, AP, AP supine, lateral"),
        ({"sex": "male"}, "row 2, column sex: 'male'; expected M, F or blank"),
        ({"study_date": "14.3.2020"}, "row 2, column study_date: '14.3.2020'"),
        ({"boxes": "[1,"}, "row 2, column boxes"),
        ({"split": "Train"}, "row 2, column split: 'Train'; expected train, val, test in small"),
        ({"patient_id": ""}, "row 2, column patient_id: ''; expected a value"),
        ({"reference_standard": "guess"}, "row 2, column reference_standard: 'guess'"),
    ],
)
def test_a_wrong_value_is_named_with_file_row_and_column(tmp_path, columns, said):
    path = write_csv(tmp_path / "bad.csv", **columns)
    with pytest.raises(CohortError) as caught:
        read_cases(path)
    assert str(path) in caught.value.message
    assert said in caught.value.message


def test_the_row_is_that_of_a_spreadsheet(tmp_path):
    table = pd.concat([a_table(case_id=f"a/{i}", view="PA") for i in range(5)])
    table.iloc[3, table.columns.get_loc("view")] = "sideways"
    table.to_csv(tmp_path / "bad.csv", index=False)
    with pytest.raises(CohortError, match="row 5, column view: 'sideways'"):
        read_cases(tmp_path / "bad.csv")


def test_a_missing_column_and_a_missing_file(tmp_path):
    (tmp_path / "bad.csv").write_text("case_id,path\na,b\n")
    with pytest.raises(CohortError, match="no column cohort, source, patient_id"):
        read_cases(tmp_path / "bad.csv")
    with pytest.raises(CohortError, match="No such file"):
        read_cases(tmp_path / "none.csv")
    (tmp_path / "film.png").write_bytes(b"\x89PNG\r\n\x1a\n\xff\xfe\x00")
    with pytest.raises(CohortError, match=r"film\.png: no text, but other bytes; expected text"):
        read_cases(tmp_path / "film.png")


def test_a_case_that_stands_twice_is_named_with_both_rows(tmp_path):
    twice = pd.concat([a_table(), a_table(case_id="a/2"), a_table()])
    with pytest.raises(CohortError, match=r"'a/1' stands twice: t row 2 and row 4"):
        check_cases(arrange(twice), "t")


def test_merge_names_both_tables():
    with pytest.raises(CohortError, match=r"'a/1' stands twice: one\.csv row 2 and two\.csv row 3"):
        merge_cases(
            [a_table(), pd.concat([a_table(case_id="a/9"), a_table()])], ["one.csv", "two.csv"]
        )


def test_merge_keeps_the_unknown_unknown():
    covid = a_table(case_id="a/1", **{"covid-19": 1.0})
    tuberculosis = a_table(case_id="b/1", tuberculosis=0.0)
    merged = merge_cases([covid, tuberculosis])
    assert merged["covid-19"].tolist()[0] == 1.0
    assert math.isnan(merged["covid-19"][1])
    assert math.isnan(merged["tuberculosis"][0])
    assert merged["note"].tolist() == ["", ""]


def test_a_table_that_is_wrong_is_not_written(tmp_path):
    with pytest.raises(CohortError):
        write_cases(a_table(**{"covid-19": 2.0}), tmp_path / "cases.csv")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("header", ["COVID-19", "covid19", "Covid 19"])
def test_a_label_in_other_letters_is_never_dropped(tmp_path, header):
    path = write_csv(tmp_path / "cases.csv", **{header: 1})
    with pytest.raises(CohortError, match=f"column '{header}' is not known") as caught:
        read_cases(path)
    assert "did you mean 'covid-19'?" in caught.value.hint


def test_ids_keep_their_text(tmp_path):
    rows = [a_table(case_id=each, patient_id=each) for each in ("NA", "null", "007", "1e5")]
    pd.concat(rows).to_csv(tmp_path / "cases.csv", index=False)
    cases = read_cases(tmp_path / "cases.csv")
    assert cases["patient_id"].tolist() == ["NA", "null", "007", "1e5"]


def test_paths_of_windows_and_of_another_form_of_letters_are_found(tmp_path):
    (tmp_path / "films").mkdir()
    name = unicodedata.normalize("NFD", "Müller.png")
    (tmp_path / "films" / name).write_bytes(b"")
    masks = json.dumps({"ground-glass": "films\\Müller.png"}, ensure_ascii=False)
    table = a_table(path="films\\Müller.png", lesion_masks=masks)
    table.to_csv(tmp_path / "cases.csv", index=False)
    row = read_cases(tmp_path / "cases.csv").iloc[0]
    assert row["path"] == str(tmp_path / "films" / name)
    assert json.loads(row["lesion_masks"]) == {"ground-glass": row["path"]}


def test_the_row_is_right_after_an_empty_line(tmp_path):
    path = write_csv(tmp_path / "cases.csv", view="XX")
    path.write_text(path.read_text().replace("\n", "\n\n", 1))
    with pytest.raises(CohortError, match="row 3, column view: 'XX'"):
        read_cases(path)


def test_a_header_without_rows_is_no_cases_table(tmp_path):
    path = write_csv(tmp_path / "cases.csv")
    path.write_text(path.read_text().splitlines()[0])
    with pytest.raises(CohortError, match="a header without rows"):
        read_cases(path)


@pytest.mark.parametrize(
    ("column", "text"),
    [
        ("lesion_masks", "[1]"),
        ("lesion_masks", '{"ground-glass": 1}'),
        ("lesion_masks", '{"a": "x.png", "a": "y.png"}'),
        ("boxes", "[1]"),
        ("boxes", '[{"label": "a", "x": 1}]'),
        ("boxes", '[{"label": "a", "x": 1, "y": 2, "width": NaN, "height": 1}]'),
        ("boxes", '[{"label": "a", "x": 1, "y": 2, "width": 1e999, "height": 1}]'),
        ("scores", '{"brixia": "3"}'),
        ("scores", '{"brixia": 1' + "0" * 400 + "}"),
        ("scores", "[" * 3000),
    ],
)
def test_json_of_another_shape_is_refused(tmp_path, column, text):
    path = write_csv(tmp_path / "cases.csv", **{column: text})
    with pytest.raises(CohortError, match=f"row 2, column {column}"):
        read_cases(path)


@given(data=st.data())
def test_a_damaged_table_is_read_or_refused(tmp_path_factory, data):
    path = tmp_path_factory.getbasetemp() / "damaged.csv"
    sound = write_csv(path, boxes=BOX, age_years=50, view="PA", **{"covid-19": 1}).read_bytes()
    place = data.draw(st.integers(0, len(sound) - 1))
    path.write_bytes(sound[:place] + data.draw(st.binary(max_size=4)) + sound[place + 1 :])
    try:
        cases = read_cases(path)
    except CohortError as error:
        assert str(path) in error.message or "case_id" in error.message  # noqa: PT017
        return
    assert list(cases.columns[: len(COLUMNS)]) == list(COLUMNS)
