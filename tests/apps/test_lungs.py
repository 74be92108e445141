from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from hilum.apps.cli.main import run
from hilum.bundle.lungs import LUNGS, LUNGS_SPEC, LungSegmenter
from hilum.image.open import open_radiograph
from hilum.serve.samples import ROOT

FRONTAL = ROOT / "frontal.png"
DICOM = ROOT / "frontal.dcm"
LATERAL = ROOT / "lateral.png"

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


def test_masks_have_the_size_of_their_films(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.txt").write_text("no film")
    cv2.imwrite(str(tmp_path / "grey.png"), np.full((400, 300), 128, np.uint8))
    films = [str(FRONTAL), str(DICOM), str(LATERAL), str(tmp_path / "grey.png")]
    out = tmp_path / "out"
    assert run(["read", *films, str(tmp_path / "a.txt"), "--masks", str(out), "--json"]) == 3
    readings = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [each["status"] for each in readings[:3]] == ["read", "read", "refused"]
    names = {path.name for path in out.iterdir()}
    assert {"frontal.mask.png", "frontal-2.mask.png"} <= names
    assert not {"grey.mask.png", "a.mask.png"} & names
    segmenter = LungSegmenter(threads=1)
    for film, name in ((FRONTAL, "frontal"), (DICOM, "frontal-2")):
        radiograph = open_radiograph(film)
        mask = np.asarray(Image.open(out / f"{name}.mask.png"))
        assert (mask.dtype, mask.shape) == (np.uint8, radiograph.shape)
        assert set(np.unique(mask)) == {0, 255}
        expected = segmenter.segment(radiograph).on_film(radiograph.shape)
        np.testing.assert_array_equal(mask > 0, expected)


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
