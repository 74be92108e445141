"""The one reader of tables: right, or refused with its row; never wrong in silence."""

from __future__ import annotations

import csv
import io
import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hilum.core.csvtable import numbers_in, parse_table, read_table
from hilum.core.errors import CohortError
from hilum.core.textfile import decode

CELL = st.text(
    st.characters(codec="utf-8", exclude_characters="\0\r", exclude_categories=("Cs",)), max_size=8
)


@pytest.fixture
def table(tmp_path):
    def write(content, encoding="utf-8"):
        path = tmp_path / "t.csv"
        path.write_bytes(content if isinstance(content, bytes) else content.encode(encoding))
        return path

    return write


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r", "\r\r\n"])
def test_what_programs_write_is_read(table, encoding, separator, end):
    mark = "\ufeff" if encoding in {"utf-16-le", "utf-16-be"} else ""
    lines = [f"case_id{separator}ward", f"007{separator}Müller", f"NA{separator}1e5", ""]
    found = read_table(table(mark + end.join(lines), encoding))
    assert found.to_dict("list") == {"case_id": ["007", "NA"], "ward": ["Müller", "1e5"]}


@pytest.mark.parametrize("text", ["NA", "null", "None", "nan", "00123", "1e5", "1.0", "True", "-"])
def test_an_id_keeps_its_text(table, text):
    assert read_table(table(f"case_id,x\n{text},1\n"))["case_id"].tolist() == [text]


def test_two_names_in_another_encoding_are_never_one(table):
    path = table("case_id,patient_id\n1,Müller\n2,Möller\n", "latin-1")
    with pytest.raises(CohortError, match=r"t\.csv line 2: byte 0xfc is no UTF-8") as caught:
        read_table(path)
    assert "iconv" in caught.value.hint


def test_one_name_composed_or_not_is_one(table):
    found = read_table(table("patient_id\nMu\u0308ller\nM\u00fcller\n\u00a0Müller \n"))
    assert set(found["patient_id"]) == {"M\u00fcller"}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "an empty file; expected a header"),
        (b"\xef\xbb\xbf", "an empty file"),
        (b"\n\n", "an empty file"),
        (b"\na,b\n1,2\n", "row 1 is blank; expected a header"),
        (b"a,b\n1,2,3\n", "row 2: 3 cells; the header has 2"),
        (b"a,b\n1,2\n\n1\n", "row 4: 1 cells; the header has 2"),
        (b'a,b\n1,"2\n3,4\n', "row 2: a quote that is never closed"),
        (b'a,b\n"1"x,2\n', "row 2: a quote that closes inside a cell"),
        (b'"a,b\n1,2\n', "row 1: a quote that is never closed"),
        (b"a,b,a\n1,2,3\n", "column 'a' stands twice: columns 1 and 3"),
        (b"a, a\n1,2\n", "column 'a' stands twice: columns 1 and 2"),
        (b"a,b;c\n1,2;3\n", "the header holds commas and semicolons; expected one separator"),
        (b"a,b\n1,\x00\n", "line 2: a NUL byte"),
        ("a,b\n1,2\n".encode("utf-16-le"), "line 1: a NUL byte"),
        (b"\xff\xfea", "begins like UTF-16, but is none"),
        (b"PK\x03\x04\x14\x00", "an Excel workbook or another ZIP archive; expected text"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1", "an old Excel workbook; expected text"),
        (b"\x89PNG\r\n\x1a\n", "line 1: byte 0x89 is no UTF-8"),
        (b"a,b\n1," + b"x" * 200_000, "row 2: a cell of more than 131,072 characters"),
    ],
)
def test_what_is_no_table_is_refused_with_its_row(table, content, said):
    path = table(content)
    with pytest.raises(CohortError) as caught:
        read_table(path)
    assert caught.value.message.startswith(str(path))
    assert said in caught.value.message
    assert caught.value.hint


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("quote", ["", '"'])
def test_the_first_line_of_excel_names_the_separator(table, separator, quote):
    lines = [f"{quote}sep={separator}{quote}", f"case_id{separator}ward", f"1{separator}2", ""]
    path = table("\r\n".join(lines), "utf-8-sig")
    found = read_table(path)
    assert found.to_dict("list") == {"case_id": ["1"], "ward": ["2"]}
    assert found.index.tolist() == [3]
    path = table("\n".join([lines[0], f"a{separator}b,c;d", ""]))
    assert len(read_table(path).columns) == (3 if separator in ",;" else 2)


@pytest.mark.parametrize("mark", ["\ufeff", "\u200b", "\u202a", "\u200e", "\u200b \u00a0"])
def test_what_is_not_seen_makes_no_other_name(table, mark):
    found = read_table(table(f"{mark}patient_id,path\n{mark}p1{mark},{mark}C:/a.png\np1,b.png\n"))
    assert found.to_dict("list") == {"patient_id": ["p1", "p1"], "path": ["C:/a.png", "b.png"]}


def test_a_line_of_blanks_is_an_empty_line(table):
    found = read_table(table("case_id,x\n1,2\n   \n\u00a0\n3,4\n"))
    assert found.index.tolist() == [2, 5]


def test_a_table_of_more_columns_than_films_have_is_refused_at_once(table):
    path = table(",".join(f"c{n}" for n in range(200_000)) + "\n")
    with pytest.raises(CohortError, match=r"t\.csv: 200,000 columns; expected 2,000 at most"):
        read_table(path)


def test_a_folder_is_no_table(tmp_path):
    with pytest.raises(CohortError, match="Is a directory"):
        read_table(tmp_path)


def test_columns_that_must_be_there_decide_between_separators(table):
    path = table("id;note, short\n1;a\n")
    assert read_table(path, ("id",)).to_dict("list") == {"id": ["1"], "note, short": ["a"]}
    with pytest.raises(CohortError, match="no column Id; found id, note") as caught:
        read_table(table("id,note\n"), ("Id",))
    assert "did you mean 'id'?" in caught.value.hint


def test_a_header_alone_is_a_table_without_rows(table):
    assert read_table(table("a,b\n")).shape == (0, 2)


def test_rows_are_counted_as_a_spreadsheet_does(table):
    found = read_table(table('# from a scale\na,b\n1,"two\nlines"\n\n3,x\n,\n'), comments=True)
    assert found.index.tolist() == [3, 5]
    with pytest.raises(CohortError, match="row 5, column b: 'x'; expected a number or blank"):
        numbers_in(found.loc[[5]], "b", "t")


def test_a_column_without_a_name_is_left_out_only_where_it_is_blank(table):
    assert read_table(table("a,,\n1,,\n")).columns.tolist() == ["a"]
    found = read_table(table(",a\n0,x\n1,y\n"))
    assert found.to_dict("list") == {"unnamed 1": ["0", "1"], "a": ["x", "y"]}


@pytest.mark.parametrize("text", ["1_000", "0,5", "inf", "1e999", "٣", "0x10", "one"])
def test_a_number_is_never_guessed(table, text):
    found = read_table(table(f'a,b\n"{text}",1\n'))
    with pytest.raises(CohortError, match="row 2, column a"):
        numbers_in(found, "a", "t")


@given(st.binary(max_size=200))
@example(b'a,b\n"1')
@example(b"a\r\r\nb")
def test_any_bytes_are_a_table_or_an_error_of_ours(data):
    try:
        found = parse_table(decode(data, "t", CohortError), "t")
    except CohortError:
        return
    assert found.columns.is_unique
    assert found.index.is_unique
    assert "\ufffd" not in found.to_csv() or b"\xef\xbf\xbd" in data or data[:1] in b"\xff\xfe"


@given(
    st.lists(st.lists(CELL, min_size=3, max_size=3), max_size=5),
    st.sampled_from([",", ";", "\t"]),
    st.sampled_from(["\n", "\r\n"]),
    st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
)
def test_what_a_csv_writer_writes_is_read(rows, separator, end, quoting):
    text = io.StringIO(newline="")
    writer = csv.writer(text, delimiter=separator, lineterminator=end, quoting=quoting)
    writer.writerows([["one", "two", "three"], *([*row[:2], f"|{row[2]}"] for row in rows)])
    found = parse_table(text.getvalue(), "t")
    expected = [
        [unicodedata.normalize("NFC", cell.strip()) for cell in (*row[:2], f"|{row[2]}")]
        for row in rows
    ]
    assert found.to_numpy().tolist() == expected


@given(st.data())
def test_a_damaged_table_is_read_or_refused(data):
    sound = b'case_id,patient_id;x,score\n"a,1",7,0.5\nb,\xc3\xbc,0.25\n'
    place = data.draw(st.integers(0, len(sound) - 1))
    damaged = sound[:place] + data.draw(st.binary(max_size=3)) + sound[place + 1 :]
    try:
        found = parse_table(decode(damaged, "t", CohortError), "t", ("case_id",))
        numbers_in(found, str(found.columns[-1]), "t")
    except CohortError:
        return
    assert len(found) <= 3
