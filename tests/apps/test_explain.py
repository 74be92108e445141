from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hilum.apps.cli.main import run
from hilum.bundle.folder import DEFAULT_BUNDLE, manifest_of
from hilum.serve.explain import METHODS
from hilum.serve.samples import ROOT

FRONTAL = ROOT / "frontal.png"
LATERAL = ROOT / "lateral.png"


def _pixels(path: str | Path) -> np.ndarray:
    with Image.open(path) as picture:
        return np.asarray(picture)


def _lines(text: str) -> list[dict]:
    return [json.loads(line) for line in text.splitlines()]


def test_one_film_by_the_default_method(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "maps"
    assert run(["explain", str(FRONTAL), "-o", str(out), "--values", "--json"]) == 0
    (found,) = _lines(capsys.readouterr().out)
    assert found["status"] == "read"
    assert found["label"] == "covid-19"
    assert found["notice"].startswith("Research use only")
    assert 0 < found["in_lung_share"] <= 1
    height, width = _pixels(FRONTAL).shape[:2]
    assert 0 < found["peak"][0] < width
    assert 0 < found["peak"][1] < height
    assert _pixels(found["picture"]).ndim == 3
    heat = np.load(found["values"])
    assert (heat.dtype, heat.shape) == (np.float16, (height, width))
    whole = manifest_of(DEFAULT_BUNDLE).preprocess.region == "film"
    assert np.isnan(heat).any() != whole  # beyond its region the network did not look
    assert float(np.nanmax(heat)) == pytest.approx(found["high"], rel=0.01)


def test_every_method_on_a_small_bundle(
    small_bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["explain", "-b", str(small_bundle), str(FRONTAL), "-m", "all", "-o", str(tmp_path)]
    assert run([*arguments, "--label", "pneumonia", "--json", "--force"]) == 0
    found = _lines(capsys.readouterr().out)
    assert [each["method"] for each in found] == list(METHODS)
    assert all(each["label"] == "pneumonia" for each in found)
    assert len(list(tmp_path.glob("frontal.pneumonia.*.png"))) == len(METHODS)


def test_a_network_without_evidence_is_explained_by_occlusion(
    make_bundle: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle = make_bundle(tmp_path / "bundle", evidence=False)
    assert run(["explain", "-b", str(bundle), str(FRONTAL), "--json", "--force"]) == 0
    (found,) = _lines(capsys.readouterr().out)
    assert (found["status"], found["method"]) == ("read", "occlusion")
    assert run(["explain", "-b", str(bundle), str(FRONTAL), "-m", "evidence", "--force"]) == 7
    assert "no evidence output" in capsys.readouterr().err


def test_a_refused_film_has_no_map_unless_forced(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["explain", str(LATERAL), "-m", "evidence", "-o", str(tmp_path)]
    assert run([*arguments, "--json"]) == 3
    (found,) = _lines(capsys.readouterr().out)
    assert found["status"] == "refused"
    assert found["reason"]
    assert found["picture"] is None
    assert not list(tmp_path.iterdir())
    assert run([*arguments, "--json", "--force"]) == 0
    (found,) = _lines(capsys.readouterr().out)
    assert found["forced"]
    assert Path(found["picture"]).is_file()


def test_a_text_file_is_a_row_with_a_reason(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.txt").write_text("no film")
    assert run(["explain", str(tmp_path / "a.txt"), "-m", "evidence"]) == 3
    printed = capsys.readouterr().out
    assert "error" in printed
    assert "1 film, 1 not explained" in printed


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["-m", "occlusio"], "did you mean 'occlusion'?"),
        (["--label", "covid"], "did you mean 'covid-19'?"),
        (["--values"], "add -o FOLDER"),
    ],
)
def test_usage(
    more: list[str], message: str, small_bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["explain", "-b", str(small_bundle), str(FRONTAL), "--force", *more]) == 6
    assert message in capsys.readouterr().err


def test_films_of_one_name_are_told_apart(
    films: Path, small_bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for folder in ("x", "y"):
        (tmp_path / folder).mkdir()
        shutil.copyfile(films / "a.png", tmp_path / folder / "a.png")
    assert run(["explain", str(tmp_path), "-b", str(small_bundle)]) == 0
    said = "".join(capsys.readouterr().out.split())
    assert "x/a.png" in said
    assert "y/a.png" in said
