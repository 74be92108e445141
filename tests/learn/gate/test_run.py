from __future__ import annotations

import json

import cv2
import numpy as np
import pandas as pd
import pytest

from hilum.apps.cli.main import run
from hilum.bundle.gate import GATE, open_gate
from hilum.core.errors import CohortError, ConfigError
from hilum.data.duplicates import PAIR_COLUMNS
from hilum.image.lungs import Lungs
from hilum.image.preprocess import Preprocess
from hilum.learn.gate import run as gate_run
from hilum.learn.gate.recipe import GateRecipe

RECIPE = """
task = "gate"
[data]
made = 6
children = []
[[data.cohorts]]
name = "csv"
folder = "east.csv"
[[data.cohorts]]
name = "csv"
folder = "west.csv"
[fit]
folds = 2
axes = 4
"""


class Stub:
    """A lung network of eight numbers: a coarse picture."""

    checksum = "e" * 64
    preprocess = Preprocess(size=32, channels=1)
    asked = 0

    def __init__(self, root=None, threads=None):
        pass

    def segment(self, film):
        return self.segment_squares([self.preprocess.square(film)])[0]

    def segment_squares(self, squares):
        Stub.asked += len(squares)
        return [Lungs(square < 0.5, _coarse(square)) for square in squares]


def _coarse(square):
    return cv2.resize(square, (4, 2), interpolation=cv2.INTER_AREA).ravel()


def _write_films(root, name, seed):
    random = np.random.default_rng(seed)
    rows = []
    for number in range(24):
        lateral = number % 3 == 0
        film = np.full((120, 110), 0.8) + random.normal(0, 0.03, (120, 110))
        for x in (55,) if lateral else (32, 78):
            center = (x + int(random.integers(-3, 4)), 62)
            cv2.ellipse(film, center, (17, 40), 0, 0, 360, 0.25, -1)
        path = root / f"{name}-{number}.png"
        cv2.imwrite(str(path), np.uint8(255 * np.clip(film, 0, 1)))
        rows.append((path.name, "lateral" if lateral else "PA", f"p{number // 2}"))
    table = pd.DataFrame(rows, columns=["path", "view", "patient_id"])
    table.to_csv(root / f"{name}.csv", index=False)


@pytest.fixture(scope="module")
def ward(tmp_path_factory):
    root = tmp_path_factory.mktemp("gate")
    _write_films(root, "east", 0)
    _write_films(root, "west", 1)
    (root / "gate.toml").write_text(RECIPE)
    return root


def _stubbed(patch):
    patch.setattr(gate_run, "LungSegmenter", Stub)
    nothing = pd.DataFrame(columns=list(PAIR_COLUMNS))  # the drawn films are all alike
    patch.setattr(gate_run, "find_duplicates", lambda *_, **__: nothing)


@pytest.fixture(scope="module")
def fitted(ward):
    with pytest.MonkeyPatch.context() as patch:
        _stubbed(patch)
        recipe = GateRecipe.load(ward / "gate.toml")
        yield gate_run.fit_recipe(
            recipe, ward / "run", root=ward, command="hilum train gate.toml", progress=False
        )


def test_the_gate_that_was_written_opens(fitted):
    gate = open_gate(fitted.folder, lungs=Stub.checksum)
    assert gate is not None
    assert gate.spec == fitted.spec
    assert gate.spec.made["command"] == "hilum train gate.toml"
    assert set(gate.spec.measured) == {"kinds", "good_films"}


def test_it_holds_no_path_and_is_whole_json(fitted, ward):
    text = (fitted.folder / GATE).read_text()
    assert str(ward) not in text
    json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))


def test_the_tables_count_every_picture_of_their_kind(fitted):
    kinds = pd.read_csv(fitted.folder / "kinds.csv").set_index("kind")
    assert kinds.loc["frontal", "pictures"] == 32
    assert kinds.loc["lateral", "pictures"] == 16
    assert (kinds.loc[["inverted", "panel", "texture"], "pictures"] == 6).all()
    cohorts = pd.read_csv(fitted.folder / "cohorts.csv")
    assert cohorts["films"].sum() == 32
    assert (fitted.folder / "tables.md").read_text().count("| lateral |") >= 1


def test_a_run_goes_on_with_what_was_measured(fitted, ward, monkeypatch):
    _stubbed(monkeypatch)
    before = Stub.asked
    recipe = GateRecipe.load(ward / "gate.toml")
    again = gate_run.fit_recipe(
        recipe, fitted.folder, root=ward, command="hilum train gate.toml", resume=True
    )
    assert Stub.asked == before
    assert again.spec == fitted.spec
    monkeypatch.setattr(Stub, "checksum", "f" * 64)
    with pytest.raises(ConfigError, match="another lung network"):
        gate_run.fit_recipe(recipe, fitted.folder, root=ward, command="x", resume=True)


def test_a_run_without_collections_says_what_is_missing(ward, tmp_path):
    recipe = GateRecipe.load(ward / "gate.toml")
    with pytest.raises(CohortError, match="where the collections lie"):
        gate_run.fit_recipe(recipe, tmp_path / "run", root=None, command="x")


def test_the_command_line_takes_the_recipe(ward, tmp_path, monkeypatch, capsys):
    _stubbed(monkeypatch)
    command = ["train", str(ward / "gate.toml"), "--data", str(ward), "-o", str(tmp_path / "run")]
    assert run(command) == 0
    printed = capsys.readouterr().out
    assert "Good films of adults, refused" in printed
    assert (tmp_path / "run" / GATE).is_file()


def test_the_recipe_in_the_repository_is_a_recipe(pytestconfig):
    recipe = GateRecipe.load(pytestconfig.rootpath / "recipes" / "gate.toml")
    assert "kermany" in recipe.data.children
