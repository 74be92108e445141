from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from hilum.apps.cli.main import run
from hilum.bundle.lungs import LungSegmenter
from hilum.image.open import open_radiograph
from hilum.serve.samples import ROOT

FRONTAL = ROOT / "frontal.png"
DICOM = ROOT / "frontal.dcm"
LATERAL = ROOT / "lateral.png"


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


@pytest.mark.parametrize(("task", "hint"), [("lungs", "recipes/default.toml"), ("lung", "task")])
def test_another_task_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], task: str, hint: str
) -> None:
    recipe = tmp_path / "x.toml"
    recipe.write_text(f'task = "{task}"\n')
    assert run(["train", str(recipe)]) == 6
    said = capsys.readouterr().err
    assert f"task '{task}'; expected 'gate'" in said
    assert hint in said
