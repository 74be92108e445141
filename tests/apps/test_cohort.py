"""``hilum cohort`` as a person and as a script call it."""

from __future__ import annotations

import hashlib
import io
import json
import re

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from hilum.apps.cli.main import run
from hilum.core.case import owner_of
from hilum.data.table import read_cases


@pytest.fixture
def collection(tmp_path):
    """A folder for each class, with films that differ."""
    rng = np.random.default_rng(0)
    for index in range(4):
        path = tmp_path / "films" / ("covid", "normal")[index % 2] / f"p{index}_a.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        small = Image.fromarray(rng.integers(0, 255, (8, 8), dtype=np.uint8))
        small.resize((96, 96), Image.Resampling.BICUBIC).save(path)
    return tmp_path / "films"


@pytest.fixture
def table(collection, tmp_path, capsys):
    path = tmp_path / "cases.csv"
    options = ["-o", str(path), "--set", r"patient=(p\d)_"]
    assert run(["cohort", "read", "folders", str(collection), *options]) == 0
    capsys.readouterr()
    return path


def split(table, sides):
    cases = pd.read_csv(table, dtype="str", keep_default_na=False)
    cases.assign(split=sides).to_csv(table, index=False)
    return table


def test_list_shows_every_collection(capsys):
    assert run(["cohort", "list"]) == 0
    shown = capsys.readouterr().out
    assert "covid-chestxray-dataset" in shown
    assert run(["cohort", "list", "--json"]) == 0
    entries = json.loads(capsys.readouterr().out)
    assert len(entries) == 14
    assert run(["cohort", "list", "shenzhen"]) == 0
    assert "Jaeger" in capsys.readouterr().out
    assert run(["cohort", "list", "shenzen"]) == 4
    assert "did you mean 'shenzhen'" in capsys.readouterr().err
    assert run(["cohort", "list", "folders"]) == 4
    assert "'hilum cohort read folders FOLDER'" in capsys.readouterr().err


def test_read_prints_a_summary_and_writes_a_table(collection, tmp_path, capsys):
    out = tmp_path / "cases.csv"
    assert run(["cohort", "read", "folders", str(collection), "-o", str(out), "--name", "x"]) == 0
    shown = capsys.readouterr().out
    assert "x: 4 films of 4 patients" in shown
    assert "covid-19" in shown
    assert "rows whose image is missing: 0" in shown
    assert len(pd.read_csv(out)) == 4


def test_read_as_json(collection, capsys):
    assert run(["cohort", "read", "folders", str(collection), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["labels"]["covid-19"] == {"1": 2, "0": 2, "unknown": 0}
    assert said["report"]["missing"] == []


def test_read_with_columns_and_classes_of_your_own(collection, tmp_path, capsys):
    mine = tmp_path / "mine.csv"
    mine.write_text("file,who\ncovid/p0_a.png,7\n")
    options = [
        "--column",
        "path=file",
        "--column",
        "patient_id=who",
        "--set",
        f"images={collection}",
    ]
    assert run(["cohort", "read", "csv", str(mine), "--json", *options]) == 0
    assert json.loads(capsys.readouterr().out)["films"] == 1
    (collection / "covid").rename(collection / "ill")
    assert run(["cohort", "read", "folders", str(collection)]) == 4
    assert "--class ill=LABEL" in capsys.readouterr().err
    assert run(["cohort", "read", "folders", str(collection), "--class", "ill=covid-19"]) == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["folder", "."], "no cohort adapter 'folder'"),
        (["covidx", ".", "--set", "versoin=7B"], "no option 'versoin'"),
        (["covidx", ".", "--set", "version"], "expected KEY=VALUE"),
        (["covidx", ".", "--column", "path=file"], "no option 'columns'"),
        (["csv", ".", "--set", "columns=3"], "say each with --column OURS=YOURS"),
        (["folders", ".", "--set", "classes=3"], "say each with --class FOLDER=LABEL"),
    ],
)
def test_read_complains_in_one_line(arguments, said, capsys):
    assert run(["cohort", "read", *arguments]) == 4
    assert said in capsys.readouterr().err


def test_merge(table, tmp_path, collection, capsys):
    other, both = tmp_path / "other.csv", tmp_path / "both.csv"
    run(["cohort", "read", "folders", str(collection), "--name", "x", "-o", str(other)])
    capsys.readouterr()
    assert run(["cohort", "merge", str(table), str(other), "-o", str(both), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    cases = read_cases(both)
    assert (found["films"], found["patients"]) == (8, owner_of(cases).nunique())
    assert found["cohorts"].keys() == set(cases["cohort"])
    assert sum(each["films"] for each in found["cohorts"].values()) == 8
    assert sum(each["patients"] for each in found["cohorts"].values()) == found["patients"]
    assert run(["cohort", "merge", str(table), str(other), "-o", str(both)]) == 0
    said = " ".join(capsys.readouterr().out.split())
    for name, each in found["cohorts"].items():
        assert re.search(rf"{name}\W+{each['films']}\W+{each['patients']}\b", said)
    assert run(["cohort", "merge", str(table), str(table), "-o", str(both)]) == 4
    assert "stands twice" in capsys.readouterr().err
    assert len(pd.read_csv(both)) == 8


def test_check_without_a_split(table, capsys):
    assert run(["cohort", "check", str(table)]) == 0
    shown = capsys.readouterr().out
    assert "every value is valid; 4 films, 4 patients" in shown
    assert "duplicate pairs: 0" in shown
    assert "no column split or fold" in shown


def test_check_is_clean_on_a_clean_split(table, capsys):
    split(table, ["train", "train", "test", "test"])
    assert run(["cohort", "check", str(table)]) == 0
    assert "leaks: 0" in capsys.readouterr().out


def test_check_finds_a_patient_on_both_sides(table, capsys):
    split(table, ["train", "train", "test", "test"])
    cases = pd.read_csv(table, dtype="str", keep_default_na=False)
    cases.loc[3, "patient_id"] = cases.loc[0, "patient_id"]
    cases.to_csv(table, index=False)
    assert run(["cohort", "check", str(table), "--no-duplicates", "--json"]) == 5
    told = capsys.readouterr()
    (leak,) = json.loads(told.out)["leaks"]
    assert {leak["case_a"], leak["case_b"]} == {cases.loc[0, "case_id"], cases.loc[3, "case_id"]}
    assert cases.loc[3, "case_id"] in told.err


def test_check_finds_a_planted_duplicate_film(table, collection, capsys):
    cases = pd.read_csv(split(table, ["train", "train", "test", "test"]), dtype="str")
    film = collection.parent / cases["path"][0]
    Image.open(film).save(collection.parent / cases["path"][3])
    assert run(["cohort", "check", str(table)]) == 5
    shown = capsys.readouterr().out
    assert cases["case_id"][0] in shown
    assert cases["case_id"][3] in shown
    assert "duplicate pairs: 1" in shown


def test_check_takes_pairs_found_before(table, tmp_path, capsys):
    cases = pd.read_csv(split(table, ["train", "train", "test", "test"]))
    pairs = tmp_path / "pairs.csv"
    first, last = cases["case_id"][0], cases["case_id"][3]
    pairs.write_text(f"case_id_a,case_id_b,kind,distance\n{first},{last},near,0.1\n")
    assert run(["cohort", "check", str(table), "--pairs", str(pairs)]) == 5
    assert "leaks: 1" in capsys.readouterr().out


def test_check_counts_missing_images_and_names_a_wrong_value(table, collection, capsys):
    (collection / "covid" / "p0_a.png").unlink()
    assert run(["cohort", "check", str(table)]) == 0
    assert "images that are not there: 1" in capsys.readouterr().out
    text = table.read_text().replace("X-ray", "ultrasound", 1)
    table.write_text(text)
    assert run(["cohort", "check", str(table)]) == 4
    assert "row 2, column modality: 'ultrasound'" in capsys.readouterr().err


@pytest.fixture
def mirror(tmp_path):
    folder = tmp_path / "mirror" / "covidx"
    folder.mkdir(parents=True)
    lines = {
        "train_COVIDx7B.txt": "A x.png negative rsna\n",
        "test_COVIDx7B.txt": "B y.png positive sirm\n",
    }
    for name, text in lines.items():
        (folder / name).write_text(text)
    sums = [f"{hashlib.sha256(text.encode()).hexdigest()}  {name}" for name, text in lines.items()]
    (folder / "SHA256SUMS").write_text("\n".join(sums) + "\n")
    return folder.parent


def test_fetch_from_a_mirror_and_read(mirror, tmp_path, capsys):
    out = tmp_path / "lists"
    arguments = ["cohort", "fetch", "covidx", "-o", str(out), "--mirror", str(mirror)]
    assert run([*arguments, "--accept-licence", "--json"]) == 0
    files = json.loads(capsys.readouterr().out)
    assert [file["checked"] for file in files] == [True, True]
    assert run([*arguments, "--accept-licence"]) == 0
    assert "already here, checksum agrees" in capsys.readouterr().out
    assert run(["cohort", "read", "covidx", str(out)]) == 0


@pytest.mark.parametrize(("answer", "code"), [("y\n", 0), ("n\n", 4), ("", 4)])
def test_fetch_asks_for_consent(mirror, tmp_path, capsys, monkeypatch, answer, code):
    monkeypatch.setattr("sys.stdin", io.StringIO(answer))
    monkeypatch.setenv("HILUM_MIRROR", str(mirror))
    out = tmp_path / "lists"
    assert run(["cohort", "fetch", "covidx", "-o", str(out)]) == code
    told = capsys.readouterr()
    assert "Do you accept this licence?" in told.err + told.out
    assert "lists only, research use" in told.err
    assert out.exists() == (code == 0)


def test_fetch_says_how_to_get_what_it_cannot(tmp_path, capsys, monkeypatch):
    monkeypatch.delenv("HILUM_MIRROR", raising=False)
    out = ["-o", str(tmp_path / "x"), "--accept-licence"]
    assert run(["cohort", "fetch", "bimcv-covid19", *out]) == 4
    told = capsys.readouterr().err
    assert "without a login" in told
    assert "research use agreement" in told


def test_what_was_not_entered_or_may_be_several_is_counted_and_exit_3(collection, tmp_path, capsys):
    (tmp_path / "away").mkdir()
    (collection / "covid" / "more").symlink_to(tmp_path / "away")
    assert run(["cohort", "read", "folders", str(collection)]) == 3
    shown = capsys.readouterr().out
    assert "folders that were not entered: 1 (covid/more: a linked folder)" in shown
    (collection / "covid" / "more").unlink()
    (collection / "normal" / "p0_a.png").write_bytes(b"another")
    table = collection / "mine.csv"
    table.write_text("path,covid-19\np0_a.png,1\np2_a.png,1\n")
    assert run(["cohort", "read", "csv", str(table)]) == 3
    shown = capsys.readouterr().out
    assert "rows whose image may be one of several: 1 (mine.csv row 2: p0_a.png: is it" in shown
