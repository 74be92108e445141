from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest

from hilum.apps.cli.main import run
from hilum.data.table import read_cases


@pytest.fixture
def cases(tmp_path: Path) -> Path:
    """Sixty small films of forty people in two cohorts; film 59 is film 0, and inverted."""
    rng = np.random.default_rng(0)
    rows = []
    (tmp_path / "films").mkdir()
    for number in range(60):
        noise = cv2.GaussianBlur(rng.standard_normal((160, 140)), (0, 0), 4)
        film = np.uint8(255 * (noise - noise.min()) / np.ptp(noise))
        path = tmp_path / "films" / f"{number}.png"
        if number == 59:
            film = 255 - cv2.imread(str(tmp_path / "films" / "0.png"), cv2.IMREAD_GRAYSCALE)
        assert cv2.imwrite(str(path), film)
        cohort = "north" if number % 2 == 0 else "south"
        rows.append(
            {
                "case_id": f"{cohort}/{number}",
                "path": f"films/{number}.png",
                "cohort": cohort,
                "source": cohort,
                "patient_id": f"{cohort}/p{number // 2 % 20}",
                "covid-19": number // 2 % 20 % 2,
            }
        )
    pd.DataFrame(rows).to_csv(tmp_path / "cases.csv", index=False)
    return tmp_path / "cases.csv"


def test_split_finds_duplicates_and_writes_table_record_and_pairs(
    cases: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = cases.with_name("split.csv")
    assert run(["cohort", "split", str(cases), "-o", str(out)]) == 0
    shown = capsys.readouterr().out
    assert "60 films in 39 groups" in shown
    assert "1 pairs of duplicate films" in shown
    table = read_cases(out).set_index("case_id")
    assert set(table["split"]) == {"train", "val", "test"}
    assert table["group"]["north/0"] == table["group"]["south/59"]
    assert table["split"]["north/0"] == table["split"]["south/59"]
    record = json.loads(out.with_suffix(".json").read_text())
    assert record["spec"]["fractions"] == [0.7, 0.15, 0.15]
    assert record["duplicate_pairs"] == 1
    assert sum(row["films"] for row in record["counts"]) == 60
    pairs = pd.read_csv(cases.with_name("split.pairs.csv"))
    assert pairs[["case_id_a", "case_id_b", "kind"]].to_numpy().tolist() == [
        ["north/0", "south/59", "near"]
    ]


def test_pairs_found_before_are_used_again(cases: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pairs = cases.with_name("pairs.csv")
    pairs.write_text("case_id_a,case_id_b,kind,distance\nnorth/2,south/3,exact,0\n")
    out = cases.with_name("split.csv")
    command = [
        "cohort",
        "split",
        str(cases),
        "-o",
        str(out),
        "--pairs",
        str(pairs),
        "--folds",
        "3",
        "--json",
    ]
    assert run(command) == 0
    record = json.loads(capsys.readouterr().out)
    assert record["spec"]["kind"] == "folds"
    assert record["groups"] == 39
    table = read_cases(out).set_index("case_id")
    assert table["fold"]["north/2"] == table["fold"]["south/3"]


def test_one_cohort_held_out(cases: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = cases.with_name("split.csv")
    command = ["cohort", "split", str(cases), "-o", str(out), "--no-duplicates"]
    assert run([*command, "--leave-one-out", "cohort", "--held-out", "south"]) == 0
    table = read_cases(out)
    assert (table["split"][table["cohort"] == "south"] == "test").all()
    assert "test" not in set(table["split"][table["cohort"] == "north"])
    assert run([*command, "--leave-one-out", "cohort"]) == 0
    assert "fold 2 leaves out south" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (["--folds", "3", "--leave-one-out", "cohort"], 6, "two kinds of split"),
        (["--held-out", "south"], 6, "of what?"),
        (["--fractions", "70,30"], 6, "expected three numbers"),
        (["--fractions", "70,15,15", "--folds", "3"], 6, "no meaning for folds"),
        (["--stratify", "covid"], 6, "label"),
        (["--stratify", "tuberculosis"], 4, "no column tuberculosis"),
        (["--folds", "25"], 4, "expected 25 at least"),
        (["--leave-one-out", "cohort", "--held-out", "sauth"], 6, "no cohort 'sauth'"),
        (["--pairs", "nowhere.csv"], 4, "No such file"),
    ],
)
def test_what_cannot_be_done_is_one_line(
    cases: Path,
    capsys: pytest.CaptureFixture[str],
    options: list[str],
    code: int,
    message: str,
) -> None:
    out = cases.with_name("split.csv")
    duplicates = [] if "--pairs" in options else ["--no-duplicates"]
    assert run(["cohort", "split", str(cases), "-o", str(out), *duplicates, *options]) == code
    assert message in capsys.readouterr().err
    assert not out.exists()


def test_no_film_is_opened_for_a_split_that_cannot_be_made(
    cases: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def opened(*_: object, **__: object) -> None:
        pytest.fail("a film was opened")

    monkeypatch.setattr("hilum.data.duplicates.find_duplicates", opened)
    command = ["cohort", "split", str(cases), "-o", str(tmp_path / "s.csv")]
    assert run([*command, "--leave-one-out", "cohort", "--held-out", "sauth"]) == 6
    assert "no cohort 'sauth'" in capsys.readouterr().err
    assert run([*command, "--stratify", "pneumonia"]) == 4
    assert "no column pneumonia" in capsys.readouterr().err
    assert not (tmp_path / "s.pairs.csv").exists()


def test_a_side_without_a_class_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cases, out = tmp_path / "cases.csv", tmp_path / "split.csv"
    rows = "".join(f"{i},{i}.png,x,x,{i},{int(i < 4)}\n" for i in range(60))
    cases.write_text(f"case_id,path,cohort,source,patient_id,covid-19\n{rows}")
    command = ["cohort", "split", str(cases), "-o", str(out), "--no-duplicates", "--json"]
    assert run([*command, "--fractions", "90,5,5"]) == 0
    said = capsys.readouterr()
    sides = {(row["side"], row["label"]) for row in json.loads(said.out)["counts"]}
    for side in ("train", "val", "test"):
        note = f"no film with covid-19 = 1 on {side}"
        assert (note in said.err) == ((side, "1") not in sides)
    assert "note: no film with covid-19 = 1 on " in said.err
