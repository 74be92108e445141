from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from hilum.apps.cli.main import run
from hilum.bundle.lungs import LUNGS, LUNGS_SPEC, LungSegmenter
from hilum.serve.samples import ROOT

FRONTAL = ROOT / "frontal.png"
DICOM = ROOT / "frontal.dcm"

RECIPE = """
task = "lungs"
[[data.cohorts]]
name = "openist"
folder = "OpenIST"
[preprocess]
size = 64
channels = 1
mean = 0.5
std = 0.5
[fit]
epochs = 1
batch_size = 4
"""


def test_one_film_in_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, mask = tmp_path / "contours.png", tmp_path / "mask.png"
    assert run(["lungs", str(DICOM), "-o", str(out), "--mask", str(mask), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["status"] == "found"
    assert found["notice"].startswith("Research use only")
    height, width = found["height"], found["width"]
    assert np.asarray(Image.open(mask)).shape == (height, width)
    assert np.asarray(Image.open(out)).shape == (height, width, 3)
    left, top, wide, high = found["box"]
    assert 0 <= left < left + wide <= width
    assert 0 <= top < top + high <= height
    assert sum(part["area"] for part in found["parts"]) == pytest.approx(found["area"], abs=1e-4)


def test_many_films_into_a_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.txt").write_text("no film")
    films = [str(FRONTAL), str(DICOM), str(tmp_path / "a.txt")]
    assert run(["lungs", *films, "-o", str(tmp_path / "out"), "--mask", str(tmp_path / "out")]) == 3
    printed = capsys.readouterr().out
    assert "3 films: 2 found, 1 error" in printed
    assert "Research use only" in printed
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "frontal.lungs.png",
        "frontal-2.lungs.png",
        "frontal.mask.png",
        "frontal-2.mask.png",
    }


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([str(FRONTAL), str(DICOM), "-o", "one.png"], "one PNG for 2 films"),
        ([str(FRONTAL), "-o", "one.jpg"], "expected a name ending in .png, or a folder"),
        ([str(FRONTAL), "-o", str(FRONTAL)], "is one of the films"),
        ([str(FRONTAL), "-o", "x.png", "--mask", "x.png"], "both contours and mask"),
    ],
)
def test_what_cannot_be_written_is_said_before_anything_is(
    arguments: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    before = FRONTAL.read_bytes()
    assert run(["lungs", *arguments]) == 6
    assert message in capsys.readouterr().err
    assert FRONTAL.read_bytes() == before
    assert not list(tmp_path.iterdir())


def test_a_bundle_without_lungs_is_named(
    small_bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["lungs", str(FRONTAL), "--bundle", str(small_bundle)]) == 7
    assert "no lung network here" in capsys.readouterr().err


@pytest.fixture
def collection(tmp_path: Path) -> Path:
    """Films with two dark ellipses and their masks, laid out as OpenIST is."""
    folder = tmp_path / "data" / "OpenIST" / "Chest_x-ray"
    folder.mkdir(parents=True)
    random = np.random.default_rng(0)
    for number in range(10):
        mask = np.zeros((90, 90), np.uint8)
        for x in (28, 62):
            axes = int(random.integers(8, 13)), int(random.integers(20, 32))
            cv2.ellipse(mask, (x, int(random.integers(40, 50))), axes, 0, 0, 360, 255, -1)
        film = 170 - 0.4 * mask + 20 * cv2.resize(random.standard_normal((12, 12)), (90, 90))
        cv2.imwrite(str(folder / f"{number}-1.jpg"), np.clip(film, 0, 255).astype(np.uint8))
        cv2.imwrite(str(folder / f"{number}-1@.png"), mask)
    return tmp_path / "data"


def test_train_makes_a_lung_network_that_a_reader_loads(
    tmp_path: Path, collection: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe, out = tmp_path / "lungs.toml", tmp_path / "run"
    recipe.write_text(RECIPE)
    command = ["train", str(recipe), "--data", str(collection), "-o", str(out)]
    assert run([*command, "--json"]) == 0
    spec = json.loads(capsys.readouterr().out)
    assert {path.name for path in out.iterdir()} >= {LUNGS, LUNGS_SPEC, "films.csv", "recipe.toml"}
    assert spec == json.loads((out / LUNGS_SPEC).read_text())
    assert spec["made"]["films"] == {"train": 8, "test": 2}
    assert len(spec["made"]["held_out"]) == 2
    assert spec["made"]["onnx_parity"]["lungs"] < 1e-4
    assert spec["measured"]["collections"]["openist"]["normal"]["dice"]["n"] == 2
    assert str(tmp_path) not in (out / LUNGS_SPEC).read_text()
    assert LungSegmenter(out, threads=1).preprocess.size == 64
    assert run(command) == 6  # holds a run already
    assert "--resume" in capsys.readouterr().err


def test_another_task_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recipe = tmp_path / "x.toml"
    recipe.write_text('task = "lung"\n')
    assert run(["train", str(recipe)]) == 6
    assert "did you mean 'lungs'?" in capsys.readouterr().err
