from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from hilum.apps.cli.main import run
from hilum.image.write import write_png


@pytest.fixture
def film(tmp_path):
    path = tmp_path / "film.png"
    write_png(path, np.linspace(0, 1, 1200).reshape(30, 40), bits=16)
    return path


def test_json(film, capsys):
    assert run(["show", str(film), "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert (shown["format"], shown["bits"], shown["width"], shown["height"]) == ("PNG", 16, 40, 30)
    assert [step["name"] for step in shown["history"]] == ["decode", "scale"]
    assert shown["metadata"]["view"] is None
    assert shown["path"] == str(film)


def test_table_and_picture(film, tmp_path, capsys):
    out = tmp_path / "out" / "shown.png"
    assert run(["show", str(film), "-o", str(out)]) == 0
    printed = capsys.readouterr().out
    assert "40 x 30 pixels, 16 bits" in printed
    assert "Steps from stored values" in printed
    picture = np.asarray(Image.open(out))
    assert picture.shape == (30, 40)
    assert (picture.min(), picture.max()) == (0, 255)


def test_16_bit_picture_keeps_every_level(film, tmp_path):
    out = tmp_path / "deep.png"
    assert run(["show", str(film), "-o", str(out), "--bits", "16"]) == 0
    assert np.array_equal(np.asarray(Image.open(out)), np.asarray(Image.open(film)))


def test_refusals(film, tmp_path, capsys):
    text = tmp_path / "text.dcm"
    text.write_text("not a film")
    assert run(["show", str(text)]) == 3
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "text; expected a film" in captured.err
    assert "hint:" in captured.err
    assert run(["show", str(film), "--max-megapixels", "0.001"]) == 3
    assert run(["show", str(film), "-o", str(tmp_path / "a.jpg")]) == 6
    assert run(["show", str(film), "--bits", "12"]) == 6
