"""What an error advises fits what was done."""

from __future__ import annotations

import shutil

import pytest

from hilum.apps.cli.main import run

CASES = "case_id,cohort,source,patient_id,path,covid-19\na/1,a,a,p,a.png,1\n"
NODE = '[node]\nlisten = "127.0.0.1:0"\nreserve_gb = 0.0\n'


@pytest.fixture
def said(tmp_path, monkeypatch, capsys, films):
    """Run a command in a folder; return its exit code, and what it printed."""
    monkeypatch.chdir(tmp_path)
    shutil.copyfile(films / "a.png", tmp_path / "a.png")
    (tmp_path / "empty").mkdir()
    (tmp_path / "cases.csv").write_text(CASES)

    def call(command):
        code = run(command.split())
        told = capsys.readouterr()
        return code, told.out + told.err

    return call


def test_peers_of_a_node_that_has_none(said, tmp_path):
    (tmp_path / "hilum.toml").write_text(NODE)
    for command, code in (("node send a.png --peer pacs", 6), ("node check", 0)):
        assert said(f"{command} --home .") == (
            code,
            ("error: there is no peer 'pacs'\n  hint: " if code else "")
            + "hilum.toml names no peer: [[node.peers]] adds one\n",
        )


def test_boxes_of_a_table_that_has_none(said):
    code, told = said("cohort to-coco cases.csv -o coco.json")
    assert code == 4
    assert "hint: no film of the table has any box" in told


def test_an_empty_folder_is_no_matter_of_another_verb(said):
    code, told = said("batch empty -o out")
    assert code == 6
    assert "no files found" in told
    assert "hilum read" not in told


def test_a_film_that_is_named_twice(said, tmp_path):
    (tmp_path / "labels.csv").write_text("path,covid-19\na.png,1\na.png,0\n")
    code, told = said("cohort read csv labels.csv -o read.csv")
    assert code == 4
    assert "labels.csv row 3: 'csv/a.png' stands in " in told
    assert "labels.csv row 2, too" in told
    assert "--name" not in told
    (tmp_path / "twice.csv").write_text(CASES + CASES.splitlines()[1] + "\n")
    code, told = said("cohort check twice.csv")
    assert code == 4
    assert "twice.csv row 2 and row 3" in told
    assert "--name" not in told


def test_a_picture_where_a_table_is_expected(said):
    code, told = said("cohort check a.png")
    assert code == 4
    assert "a.png: no text" in told
    assert "iconv" not in told


@pytest.mark.parametrize(
    ("row", "wrong"),
    [
        ("b,covid-19,2,0.5", " (b), column truth: 2.0"),
        ("b,covid-19,1,7", " (b), column score: 7.0"),
        ("b,covid-19,x,0.5", ", column truth: 'x'"),
    ],
)
def test_a_value_of_predictions_is_named_with_its_place(said, tmp_path, row, wrong):
    (tmp_path / "p.csv").write_text(f"case_id,label,truth,score\na,covid-19,1,0.5\n{row}\n")
    code, told = said("evaluate --predictions p.csv")
    assert code == 4
    assert f"error: p.csv row 3{wrong}; expected " in told
