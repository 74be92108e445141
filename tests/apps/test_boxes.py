"""Boxes on a table of made films: out, in, scored; a recipe of a detector says what is wrong."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from hilum.apps.cli.main import run

HEADER = "case_id,path,cohort,source,patient_id,boxes,lung-opacity\n"


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """Three films: one with a box, one without opacity, one with an opacity nobody drew."""
    box = json.dumps([{"label": "lung-opacity", "x": 10, "y": 20, "width": 30, "height": 40}])
    rows = []
    for name, boxes, label in (("a", box, 1), ("b", "", 0), ("c", "", 1)):
        cv2.imwrite(str(tmp_path / f"{name}.png"), np.zeros((100, 80), np.uint8))
        quoted = boxes.replace('"', '""')
        rows.append(f'made/{name},{name}.png,made,made,made/{name},"{quoted}",{label}\n')
    (tmp_path / "cases.csv").write_text(HEADER + "".join(rows))
    return tmp_path / "cases.csv"


def test_boxes_go_out_and_come_back(table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    coco, back = table.parent / "coco.json", table.parent / "back.csv"
    assert run(["cohort", "to-coco", str(table), "-o", str(coco), "--json"]) == 0
    counts = json.loads(capsys.readouterr().out)
    assert (counts["films"], counts["films_with_boxes"], counts["boxes"]) == (2, 1, 1)
    stored = json.loads(coco.read_text())
    assert [image["file_name"] for image in stored["images"]] == ["a.png", "b.png"]
    bare = table.parent / "bare.csv"
    bare.write_text(HEADER + "".join(f"made/{n},{n}.png,made,made,made/{n},,\n" for n in "abc"))
    assert run(["cohort", "from-coco", str(coco), str(bare), "-o", str(back)]) == 0
    assert "1 boxes on 2 films" in capsys.readouterr().out
    assert '""width"": 30' in back.read_text()


def test_detections_are_scored(table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    right = {"image_id": "made/a", "category_id": 1, "bbox": [11, 20, 30, 40], "score": 0.9}
    found = table.parent / "found.json"
    found.write_text(json.dumps([right]))
    score = ["evaluate", str(table), "--detections", str(found)]
    assert run([*score, "--json"]) == 0
    scores = json.loads(capsys.readouterr().out)
    assert scores["map"]["value"] == scores["recall"]["value"] == 1
    assert scores["map"]["n"] == 2
    assert run([*score, "--overlap", "0.99"]) == 0
    assert "mAP at overlap 0.99: 0.00" in capsys.readouterr().out


def test_detections_on_other_films_are_said(
    table: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    right = {"image_id": "made/a ", "category_id": 1, "bbox": [11, 20, 30, 40], "score": 0.9}
    found = table.parent / "found.json"
    found.write_text(json.dumps([right, right | {"image_id": "made/z"}]))
    score = ["evaluate", str(table), "--detections", str(found)]
    assert run([*score, "--json"]) == 0
    said = capsys.readouterr()
    assert json.loads(said.out)["map"]["value"] == 1
    assert "on 1 films that are not in the table are left out, e.g. 'made/z'" in said.err


def test_detections_may_count_in_a_coco_file(
    table: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    coco, found = table.parent / "coco.json", table.parent / "found.json"
    run(["cohort", "to-coco", str(table), "-o", str(coco)])
    score = ["evaluate", str(table), "--detections", str(found)]
    found.write_text(json.dumps([{"image_id": 1, "bbox": [10, 20, 30, 40], "score": 0.5}]))
    capsys.readouterr()
    assert run([*score, "--coco", str(coco), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["map"]["value"] == 1
    found.write_text(json.dumps([{"image_id": 77, "bbox": [10, 20, 30, 40], "score": 0.5}]))
    assert run([*score, "--coco", str(coco)]) == 4
    assert "not COCO results" in capsys.readouterr().err


def test_what_is_wrong_is_said_in_one_line(
    table: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run(["cohort", "to-coco", str(table), "-o", "x.json", "--label", "mass"]) == 4
    assert "there are: lung-opacity" in capsys.readouterr().err
    monkeypatch.delenv("HILUM_DATA", raising=False)
    recipe = Path(__file__).parents[2] / "recipes" / "detector.toml"
    out = str(table.parent / "run")
    assert run(["train", str(recipe), "-o", out]) == 4
    assert "HILUM_DATA" in capsys.readouterr().err
    assert run(["train", str(recipe), "--set", "fit.epoch=3", "-o", out]) == 6
    assert "did you mean 'epochs'" in capsys.readouterr().err


def test_detections_on_other_films_are_no_score(
    table: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = [{"image_id": 1, "bbox": [1, 2, 3, 4], "score": 0.5}]
    (table.parent / "found.json").write_text(json.dumps(found))
    assert run(["evaluate", str(table), "--detections", str(table.parent / "found.json")]) == 4
    assert "no detection is on a film of the table; the first names '1'" in capsys.readouterr().err


def test_detections_are_scored_for_one_label_and_no_bundle(
    table: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (table.parent / "found.json").write_text("[]")
    score = ["evaluate", str(table), "--detections", str(table.parent / "found.json")]
    assert run([*score, "--label", "mass", "--label", "nodule"]) == 2
    assert "for one label" in capsys.readouterr().err
    assert run([*score, "-b", "default"]) == 2
    assert "not several" in capsys.readouterr().err


def test_a_table_without_rows_has_no_box(table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table.write_text(HEADER)
    assert run(["cohort", "to-coco", str(table), "-o", str(table.parent / "c.json")]) == 4
    assert "a header without rows" in capsys.readouterr().err


def test_detections_are_scored_on_the_films_of_a_split(
    table: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = table.read_text().splitlines()
    sides = ("split", "train", "test", "test")
    table.write_text("".join(f"{line},{side}\n" for line, side in zip(lines, sides, strict=True)))
    found = {"image_id": "made/a", "category_id": 1, "bbox": [10, 20, 30, 40], "score": 0.9}
    (table.parent / "found.json").write_text(json.dumps([found]))
    score = ["evaluate", str(table), "--detections", str(table.parent / "found.json"), "--json"]
    for split, films in (("all", 2), ("train", 1)):
        assert run([*score, "--split", split]) == 0
        said = capsys.readouterr()
        assert json.loads(said.out)["map"]["n"] == films
    assert "1 of 3 films of the table are in split 'train'" in said.err
    assert run(score) == 0  # of test: b has no box, and of c nobody knows where
    scores = json.loads(capsys.readouterr().out)
    assert (scores["map"]["n"], scores["map"]["note"]) == (1, "no film has a reader's box")
    assert run([*score, "--split", "nonsense"]) == 4
    assert "no case in split 'nonsense'" in capsys.readouterr().err


def test_scores_of_detections_are_written(table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (table.parent / "found.json").write_text("[]")
    out = table.parent / "out"
    score = ["evaluate", str(table), "--detections", str(table.parent / "found.json"), "--json"]
    assert run([*score, "-o", str(out)]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert json.loads((out / "scores.json").read_text())["scores"] == printed
    assert run([*score, "--split", "test"]) == 4
    assert "no column 'split'" in capsys.readouterr().err
