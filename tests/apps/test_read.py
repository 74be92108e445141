from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from typing import Any

import cv2
import numpy as np
import pytest
from pydantic import BaseModel, field_serializer

from hilum.apps.cli import table
from hilum.apps.cli.main import run
from hilum.bundle.folder import seal
from hilum.core.details import Affected, Details, Scale, Severity, Side, Similar, Zone
from hilum.core.labels import Label
from hilum.core.reading import NOT_THE_INFECTION, Reading
from hilum.serve.reader import load_bundle
from hilum.serve.said import said_of

KEYS = {"path", "status", "reason", "findings", "bundle", "elapsed_ms"}


@pytest.fixture
def read(small_bundle, capsys):
    def call(*arguments):
        code = run(["read", "--bundle", str(small_bundle), *map(str, arguments)])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call


def test_json_is_one_object_a_line_in_input_order(read, films):
    code, out, _ = read("--json", films / "b.jpg", films)
    rows = [json.loads(line) for line in out.splitlines()]
    names = ["b.jpg", "a.png", "b.jpg", "blank.png", "broken.jpg", "notes.txt", "tiny.png", "c.png"]
    assert [row["path"].rpartition("/")[2] for row in rows] == names
    assert [row["status"][:3] for row in rows] == ["rea"] * 3 + ["ref", "err", "err", "ref", "rea"]
    assert code == 3
    for row in rows:
        assert row.keys() >= KEYS
        assert (row["reason"] is None) == (row["status"] == "read")
        assert bool(row["findings"]) == (row["status"] == "read")
        for finding in row["findings"]:
            assert finding.keys() >= {"label", "score", "probability", "present", "operating_point"}


def test_all_read_is_exit_0(read, films):
    code, out, _ = read("--json", films / "a.png", films / "sub")
    assert code == 0
    assert len(out.splitlines()) == 2


def test_the_table_has_every_row_and_what_it_means(read, films):
    code, out, _ = read(films)
    assert code == 3
    for word in ("a.png", "c.png", "refused", "error", "text; expected a film", "balanced"):
        assert word in out
    assert "7 films: 3 read, 2 refused, 2 error" in out
    assert "Research use only" in out
    assert "Not calibrated" in out


def test_an_operating_point_is_chosen_by_name(read, films):
    code, out, _ = read("--json", "--operating-point", "sensitive", films / "a.png")
    assert code == 0
    assert {f["operating_point"] for f in json.loads(out)["findings"]} == {"sensitive"}
    code, _, err = read("--operating-point", "sensitve", films / "a.png")
    assert code == 6
    assert "did you mean 'sensitive'?" in err


def test_nothing_found_is_one_clear_error(read, tmp_path):
    code, out, err = read(tmp_path)
    assert (code, out) == (6, "")
    assert err.startswith(f"error: {tmp_path}: no files found")
    assert "hint: " in err


def test_a_missing_bundle_is_exit_7(capsys, films, tmp_path):
    assert run(["read", "--bundle", str(tmp_path), str(films / "a.png")]) == 7
    assert "no bundle here" in capsys.readouterr().err


def test_overlays_are_in_film_coordinates(read, films, tmp_path):
    code, _, err = read("--json", "--heatmap", tmp_path / "maps", films)
    assert code == 3
    names = {f"{stem}.{label}.png" for stem in "abc" for label in ("covid-19", "pneumonia")}
    assert {path.name for path in (tmp_path / "maps").iterdir()} == names
    assert "wrote 6 overlays" in err
    picture = cv2.imread(str(tmp_path / "maps" / "a.covid-19.png"), cv2.IMREAD_UNCHANGED)
    assert picture.shape[1] == 160
    assert picture.shape[0] > 200
    assert picture.ndim == 3


@pytest.mark.parametrize(("more", "width"), [((), 1024), (("--heatmap-side", "0"), 1200)])
def test_an_overlay_is_no_larger_than_asked_for(read, films, tmp_path, more, width):
    film = cv2.imread(str(films / "a.png"), cv2.IMREAD_GRAYSCALE)
    cv2.imwrite(str(tmp_path / "large.png"), cv2.resize(film, (1200, 1200)))
    assert read("--heatmap", tmp_path / "maps", *more, tmp_path / "large.png")[0] == 0
    picture = cv2.imread(str(tmp_path / "maps" / "large.covid-19.png"))
    assert picture.shape[1] == width


def test_films_of_one_name_keep_their_own_overlay(read, films, tmp_path):
    for ward in ("1", "2"):
        (tmp_path / ward).mkdir()
        (tmp_path / ward / "a.png").write_bytes((films / "a.png").read_bytes())
    read("--heatmap", tmp_path / "maps", tmp_path / "1", tmp_path / "2")
    assert (tmp_path / "maps" / "a.covid-19.png").is_file()
    assert (tmp_path / "maps" / "a-2.covid-19.png").is_file()


def test_a_page_is_written(read, films, tmp_path):
    code, _, err = read("--html", tmp_path / "report.html", films)
    assert code == 3
    assert "report.html" in err
    assert "3 read, 2 refused, 2 not opened" in (tmp_path / "report.html").read_text()


def test_a_network_without_evidence_is_read_without_overlays(make_bundle, films, tmp_path, capsys):
    bundle = make_bundle(tmp_path / "bundle", evidence=False)
    maps = tmp_path / "maps"
    code = run(["read", "-b", str(bundle), "--heatmap", str(maps), str(films / "a.png")])
    assert code == 0
    assert "no evidence maps" in capsys.readouterr().err
    assert list(maps.iterdir()) == []


@pytest.fixture
def many(tmp_path):
    film = np.random.default_rng(0).integers(0, 255, (512, 512), dtype=np.uint8)
    cv2.imwrite(str(tmp_path / "0000.png"), film)
    for number in range(1, 2000):
        os.link(tmp_path / "0000.png", tmp_path / f"{number:04}.png")
    return tmp_path


def _start(*arguments):
    command = [sys.executable, "-m", "hilum", "read", *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_an_interruption_leaves_finished_rows(small_bundle, many):
    process = _start("--json", "-b", small_bundle, many)
    first = process.stdout.readline()
    process.send_signal(signal.SIGINT)
    with process.stdout, process.stderr:
        rest, err = process.stdout.read(), process.stderr.read()
    process.wait(timeout=60)
    rows = [json.loads(line) for line in [first, *rest.splitlines()]]
    assert process.returncode == 130, err
    assert 1 <= len(rows) < 2000
    assert {row["status"] for row in rows} == {"read"}
    assert "interrupted" in err
    assert "Traceback" not in err


def test_an_interruption_while_json_is_written_is_one(monkeypatch, small_bundle, films, capsys):
    def interrupted(_: Any) -> None:
        raise KeyboardInterrupt

    class Interrupted(BaseModel):
        value: int = 0
        _serialize = field_serializer("value")(interrupted)

    dump = lambda self: Interrupted().model_dump_json()  # noqa: E731
    monkeypatch.setattr("hilum.core.reading.Reading.model_dump_json", dump)
    assert run(["read", str(films / "a.png"), "--json", "-b", str(small_bundle)]) == 130
    assert "interrupted" in capsys.readouterr().err


def test_a_reader_that_goes_away_is_no_error(small_bundle, many):
    process = _start("--json", "-b", small_bundle, many)
    process.stdout.readline()
    process.stdout.close()
    with process.stderr:
        err = process.stderr.read()
    assert process.wait(timeout=60) == 0
    assert "Traceback" not in err
    assert "BrokenPipe" not in err


def test_a_calibrated_bundle_shows_probability_prevalence_and_set(calibrated_bundle, films, capsys):
    arguments = ["read", str(films / "a.png"), "--bundle", str(calibrated_bundle)]
    assert run([*arguments, "--prevalence", "0.05"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "set at 90 %: " in said
    assert "on val of a test, moved from a prevalence of 40.0% to 5.0%." in said
    assert "Sets hold the truth in 90% of films like those" in said
    assert run(arguments) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "Probability: by platt on val of a test, for a prevalence of 40.0%." in said


def test_the_table_has_what_is_said_of_a_label_beside_it(calibrated_bundle, films, capsys):
    """Also where it is folded, as it is by default."""
    reader = load_bundle(calibrated_bundle)
    (one,) = reader.examine([films / "a.png"])
    table.ReadingTable(reader.bundle).add(one)
    lines = capsys.readouterr().out.splitlines()
    assert len(one.reading.findings) > 1
    for finding, said in zip(one.reading.findings, said_of(one.reading).findings, strict=True):
        at = next(place for place, line in enumerate(lines) if f" {finding.label} " in line)
        words = f"{said.answered}; {said.grounds}"
        assert f" {said.probability} " in lines[at]
        assert words[:20] in lines[at]
        assert words not in lines[at]  # it is folded
    assert sum("a.png" in line for line in lines) == sum(" read " in line for line in lines) == 1


def test_json_has_the_restated_probability_and_the_page_says_so(
    calibrated_bundle, films, tmp_path, capsys
):
    arguments = ["read", str(films / "a.png"), "--bundle", str(calibrated_bundle), "--json"]
    assert run(arguments) == 0
    plain = json.loads(capsys.readouterr().out)["findings"][0]
    page = tmp_path / "page.html"
    assert run([*arguments, "--prevalence", "0.05", "--html", str(page)]) == 0
    restated = json.loads(capsys.readouterr().out)["findings"][0]
    assert (plain["prevalence"], restated["prevalence"]) == (0.4, 0.05)
    assert restated["probability"] < plain["probability"]
    assert restated["score"] == plain["score"]
    assert restated["prediction_set"] in ("present", "absent", "indeterminate", "none")
    text = page.read_text()
    assert "where 5.0 % have it (platt)" in text
    assert "class-conditional conformal prediction" in text


def test_a_prevalence_leaves_a_label_without_calibration_as_it_is_and_says_so_once(
    calibrated_bundle, films, tmp_path, capsys
):
    root = shutil.copytree(calibrated_bundle, tmp_path / "mixed")
    values = json.loads((root / "bundle.json").read_text())
    values["labels"][1]["calibration"] = {}
    (root / "bundle.json").write_text(json.dumps(values))
    seal(root)
    arguments = ["read", str(films / "a.png"), str(films / "a.png"), "-b", str(root), "--json"]
    assert run(arguments) == 0
    (covid, pneumonia), _ = (
        json.loads(line)["findings"] for line in capsys.readouterr().out.splitlines()
    )
    assert run([*arguments, "--prevalence", "0.05"]) == 0
    printed = capsys.readouterr()
    said = " ".join(printed.err.split())
    assert said.count("--prevalence leaves pneumonia as it is: no calibration was fitted") == 1
    for line in printed.out.splitlines():
        restated, left = json.loads(line)["findings"]
        assert restated["prevalence"] == 0.05
        assert restated["probability"] < covid["probability"]
        assert left == pneumonia


def test_a_prevalence_is_refused_where_nothing_was_calibrated(small_bundle, films, capsys):
    code = run(["read", str(films), "--bundle", str(small_bundle), "--prevalence", "0.05"])
    said = capsys.readouterr().err
    assert code == 6
    assert "no calibration was fitted" in said
    assert "hilum calibrate" in said


def test_the_table_says_how_much_how_severe_and_what_is_alike():
    details = Details(
        affected=(
            Affected(side=None, zone=None, share=0.25, kinds={}),
            Affected(side=Side.RIGHT, zone=None, share=0.4, kinds={}),
            Affected(side=Side.LEFT, zone=None, share=0.004, kinds={}),
            Affected(side=Side.LEFT, zone=Zone.LOWER, share=0.3, kinds={}),
        ),
        severity=(
            Severity(scale=Scale.BRIXIA, value=7.2, low=4.1, high=10, coverage=0.9, maximum=18),
        ),
        similar=(
            Similar(
                case_id="a/1",
                cohort="a",
                distance=0.0,
                labels={Label.COVID_19: 0, Label.PNEUMONIA: 1},
            ),
        ),
    )
    reading = Reading(path="a.png", status="read", bundle="b", elapsed_ms=1, details=details)
    assert table.lines_of(said_of(reading)) == [
        "Opaque: 25 % of the lungs (right lung 40 %, left lung < 1 %)",
        "Brixia (research score): 7.2 [4.1, 10.0] of 18",
        "most similar: a/1, distance 0; not covid-19, pneumonia",
        "The model was trained on this film or a copy of it: this reading says little.",
    ]
    bare = reading.model_copy(update={"details": Details()})
    assert table.lines_of(said_of(bare)) == []


def test_a_folder_that_is_not_entered_is_a_row_and_exit_3(read, films, tmp_path, monkeypatch):
    ward = tmp_path / "ward"
    (ward / "shut").mkdir(parents=True)
    (ward / "a.png").write_bytes((films / "a.png").read_bytes())
    assert read("--json", ward)[0] == 0
    (ward / "link").symlink_to(films / "sub")
    scandir = os.scandir

    def shut(path="."):
        if str(path).endswith("shut"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", shut)
    monkeypatch.setattr(os, "listdir", shut)
    code, out, _ = read("--json", ward)
    rows = {row["path"].rpartition("/")[2]: row for row in map(json.loads, out.splitlines())}
    assert code == 3
    assert [row["status"] for row in rows.values()] == ["read", "error", "error"]
    assert "a linked folder, which is not entered" in rows["link"]["reason"]
    assert "cannot be listed: permission denied" in rows["shut"]["reason"]


def test_the_table_says_what_a_film_looks_like(small_bundle, films, capsys, say_looks):
    reader = load_bundle(small_bundle)
    shown = table.ReadingTable(reader.bundle)
    for one in reader.examine([films / "a.png"]):
        shown.add(say_looks(one, "negative"))
    shown.close()
    said = " ".join(capsys.readouterr().out.split())
    assert "Appearance: no pneumonia seen on this film; that does not rule out" in said
    assert NOT_THE_INFECTION in said
