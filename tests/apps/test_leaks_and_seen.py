"""Contract: no verb trains on, or judges by, what leaks, or judges a bundle on what it has seen.

A new verb stands in one of the three lists below, or the first test fails.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import pytest
import typer

from hilum.apps.cli.main import ONE_IMAGE, ONE_MODEL, VERBS, command_line, run
from hilum.bundle.datasheet import describe_data
from hilum.bundle.folder import DEFAULT_BUNDLE, open_bundle, seal
from hilum.bundle.seen import learned_from, split_table
from hilum.bundle.similar import read_similar, write_similar
from hilum.core.case import COLUMNS
from hilum.core.errors import LeakageError
from hilum.data import split as split_module
from hilum.data.split import SplitSpec, make_split
from hilum.data.table import read_cases
from hilum.learn.detect.run import train_detector
from hilum.serve.audit import audit
from hilum.serve.calibrate import calibrate
from hilum.serve.evaluate import evaluate
from hilum.serve.featuremap.run import make_map
from hilum.serve.reader import load_bundle
from hilum.serve.samples import ROOT, read_samples

RECIPE = '[data]\ncases = "{cases}"\n'
GRID = 'recipe = "base.toml"\nleave_out = ["north", "south"]\n[[variant]]\nname = "plain"\n'

JUDGES = {
    "evaluate": ["{bundle}", "{cases}", "--split", "all"],
    "audit model": ["{bundle}", "{cases}", "--lungs", "none"],
    "calibrate": ["{bundle}", "{cases}", "-o", "{out}/new"],
    "map": ["{bundle}", "{cases}", "--split", "all", "--json"],
    "fit-severity": ["{bundle}", "{cases}", "-o", "{out}/severity"],
}
"""Verb that judges a bundle on a cases table -> how it is called."""

TRAINS = {
    "train": ["{base}", "-o", "{out}/run"],
    "compare": ["{grid}", "-o", "{out}/compare", "--jobs", "1"],
    "train-opacities": ["--recipe", "{base}", "-o", "{out}/opacities"],
    "train-detector": ["--recipe", "{detector}", "--cases", "{cases}", "-o", "{out}/detector"],
    "similar": ["{bundle}", "--fit", "{cases}", "-o", "{out}/similar.npz"],
    "boxes score": ["{coco}", "{cases}"],
    "evaluate": ["--predictions", "{predictions}"],
}
"""Verb that learns from a table, or judges what is no bundle -> how it is called."""

OTHERS = {
    *("demo", "show", "read", "lungs", "explain"),
    *("cohort list", "cohort fetch", "cohort read", "cohort merge", "cohort check", "split"),
    *("boxes export", "boxes import", "audit lists"),
    *("bundle show", "bundle verify", "bundle card", "bundle add"),
    *("reproduce abdelhady-2020", "reproduce usatov-kosik-2021"),
}
"""Verbs that take no table to learn or judge by; papers leak on purpose and count it."""


def verbs() -> set[str]:
    def walk(command: Any, name: str) -> set[str]:
        inner = getattr(command, "commands", None)
        if inner is None:
            return {name}
        return set().union(*(walk(one, f"{name} {key}".strip()) for key, one in inner.items()))

    return walk(typer.main.get_command(command_line([])), "")


def test_every_verb_is_known_here() -> None:
    found = {verb for verb in verbs() if VERBS[verb.split()[0]][1] in (ONE_IMAGE, ONE_MODEL)}
    assert found == OTHERS | JUDGES.keys() | TRAINS.keys()


@pytest.fixture
def leaky(tmp_path: Path) -> Path:
    """Twelve films of six patients; one patient is on train and on test, and in two folds."""
    rows = [
        {
            "case_id": f"north/{n}",
            "path": f"{n}.png",
            "cohort": ("north", "south")[n % 2],
            "source": "north",
            "patient_id": f"north/p{n // 2}",
            "view": "PA",
            "covid-19": n % 2,
            "lung-opacity": n % 2,
            "no-finding": 1 - n % 2,
            "scores": '{"opacity": 1}',
            "split": "train" if n < 3 else "test",
            "fold": 1 if n < 3 else 2,
        }
        for n in range(12)
    ]
    table = pd.DataFrame(rows)
    names = [*COLUMNS, "covid-19", "lung-opacity", "no-finding", "split", "fold"]
    table.reindex(columns=names).to_csv(tmp_path / "cases.csv", index=False)
    table.assign(label="covid-19", truth=table["covid-19"], score=0.5)[
        ["case_id", "patient_id", "cohort", "split", "label", "truth", "score"]
    ].to_csv(tmp_path / "predictions.csv", index=False)
    (tmp_path / "base.toml").write_text(RECIPE.format(cases=tmp_path / "cases.csv"))
    (tmp_path / "grid.toml").write_text(GRID)
    (tmp_path / "detector.toml").write_text('[[data.cohorts]]\nname = "x"\nfolder = "x"\n')
    (tmp_path / "coco.json").write_text("[]")
    return tmp_path / "cases.csv"


def call(verb: str, arguments: list[str], bundle: Path, cases: Path, out: Path) -> int:
    folder = cases.parent
    named = {name: folder / f"{name}.toml" for name in ("base", "grid", "detector")}
    named |= {"coco": folder / "coco.json", "predictions": folder / "predictions.csv"}
    named |= {"bundle": bundle, "cases": cases, "out": out}
    return run([*verb.split(), *(each.format(**named) for each in arguments)])


@pytest.mark.parametrize(("verb", "arguments"), [*JUDGES.items(), *TRAINS.items()])
def test_a_table_with_one_patient_on_two_sides_is_refused(
    verb: str,
    arguments: list[str],
    leaky: Path,
    small_bundle: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    before = set(tmp_path.rglob("*.ckpt"))
    assert call(verb, arguments, small_bundle, leaky, tmp_path / "out") == 5
    said = capsys.readouterr().err
    assert "patient north/p1 on both sides of" in said
    assert "north/2 (" in said
    assert "north/3 (" in said
    assert set(tmp_path.rglob("*.ckpt")) == before
    assert not list((tmp_path / "out").rglob("*.onnx"))


def test_python_refuses_it_too(leaky: Path, small_bundle: Path, tmp_path: Path) -> None:
    from hilum.learn.detect.recipe import DetectorRecipe

    recipe = DetectorRecipe.load(leaky.with_name("detector.toml"))
    cases, reader = read_cases(leaky), load_bundle(small_bundle)
    for judge in (
        lambda: evaluate(reader, cases, split="test"),
        lambda: audit(lambda films: [0.5] * len(films), cases, split="test"),
        lambda: calibrate(reader, cases, tmp_path / "new", site="here"),
        lambda: make_map(reader, cases),
        lambda: train_detector(recipe, tmp_path / "run", cases=cases),
    ):
        with pytest.raises(LeakageError, match="north/p1"):
            judge()


def test_a_split_that_leaks_is_never_returned(leaky: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """So the roads that divide collections (lungs, gate, opacities, detector) end here too."""
    table = pd.read_csv(leaky).drop(columns=["split", "fold"])
    broken = ["train"] * 3 + ["test"] * 9
    monkeypatch.setattr(split_module, "_divided", lambda cases, _: cases.assign(split=broken))
    with pytest.raises(LeakageError, match="north/p1"):
        make_split(table, SplitSpec())


# What a bundle has seen


@pytest.fixture(scope="module")
def knowing(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built-in bundle as if it had been trained on made/0 alone, and chosen by made/6."""
    root = tmp_path_factory.mktemp("knowing") / "bundle"
    shutil.copytree(DEFAULT_BUNDLE, root)
    rows = [("made/0", "train"), ("elsewhere/9", "train"), ("made/6", "val"), ("made/8", "test")]
    pd.DataFrame(rows, columns=["case_id", "split"]).to_csv(root / "splits.csv", index=False)
    (root / "similar.npz").unlink()
    seal(root)
    return root


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sixteen virtual films: made/0 and made/1 are of one patient, the others of one each."""
    folder = tmp_path_factory.mktemp("made")
    sample = next(each for each in read_samples() if each.file == "frontal-opacities.png")
    clear, ill = (
        cv2.imread(str(ROOT / name), cv2.IMREAD_GRAYSCALE).astype(np.float64)
        for name in ("frontal.png", "frontal-opacities.png")
    )
    mask = cv2.imread(str(ROOT / str(sample.lesion_mask)), cv2.IMREAD_GRAYSCALE)
    cv2.imwrite(str(folder / "mask.png"), cv2.resize(mask, (256, 256)))
    rows = []
    for n in range(16):
        film = cv2.resize([clear, ill][n % 2], (256, 256), interpolation=cv2.INTER_AREA)
        noise = np.random.default_rng(n).normal(0, 2, film.shape)
        cv2.imwrite(str(folder / f"{n}.png"), np.clip(film + noise, 0, 255).astype(np.uint8))
        rows.append(
            {
                "case_id": f"made/{n}",
                "path": f"{n}.png",
                "cohort": "made",
                "source": "made",
                "patient_id": f"made/p{max(n, 1)}",
                "view": "PA",
                "covid-19": n % 2,
                "lesion_masks": json.dumps({"ground-glass": "mask.png"}),
            }
        )
    pd.DataFrame(rows).to_csv(folder / "cases.csv", index=False)
    return folder / "cases.csv"


@pytest.mark.parametrize(("verb", "arguments"), JUDGES.items())
def test_films_that_the_bundle_was_trained_on_are_refused(
    verb: str,
    arguments: list[str],
    knowing: Path,
    made: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    table = pd.read_csv(made).assign(scores='{"opacity": 1}', path="nowhere.png")
    table["lesion_masks"] = '{"ground-glass": "nowhere.png"}'
    table.to_csv(tmp_path / "cases.csv", index=False)
    assert call(verb, arguments, knowing, tmp_path / "cases.csv", tmp_path / "out") == 5
    said = capsys.readouterr().err
    assert "were in training; the first: made/" in said
    assert "1 trained on" in said
    assert "1 other films of patients trained on" in said
    answers = verb in ("evaluate", "audit model", "calibrate")
    assert ("1 on val" in said) is answers  # a map of weights is not flattered by val
    assert "--allow-seen" in said
    assert not (tmp_path / "out").exists()


SHORT = {
    "evaluate": ["--bootstrap", "20"],
    "audit model": ["--only", "informative", "--bootstrap", "20"],
    "map": ["--method", "pca", "--bootstrap", "20", "--no-thumbnails", "-o", "{out}/map.html"],
}


@pytest.mark.parametrize("verb", SHORT)
def test_with_allow_seen_they_are_counted_in_what_is_said(
    verb: str,
    knowing: Path,
    made: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = tmp_path / "out"
    asked = [each for each in [*JUDGES[verb], *SHORT[verb]] if each != "--json"]
    more = [] if verb == "map" else ["-o", str(out / "maps.csv") if "score" in verb else str(out)]
    assert call(verb, [*asked, *more, "--allow-seen"], knowing, made, out) in (0, 10)
    said = " ".join(capsys.readouterr().out.split())
    assert "were seen by the bundle before, which flatters it: 1 trained on" in said
    written = [path for path in out.rglob("*") if path.suffix in (".html", ".json")]
    assert written
    for path in written:
        assert "were seen by the bundle before" in path.read_text(encoding="utf-8"), path.name


def seen_of(knowing: Path, table: pd.DataFrame, **columns: object) -> dict[str, str]:
    return dict(open_bundle(knowing).seen(table.assign(**columns)).how)


def test_seen_by_film_by_patient_and_by_cohort(knowing: Path, made: Path, tmp_path: Path) -> None:
    table = pd.read_csv(made).iloc[:10]
    assert seen_of(knowing, table) == {"made/0": "train", "made/1": "patient", "made/6": "val"}
    strangers = {"made/0": "train", "made/6": "val"}
    assert seen_of(knowing, table, patient_id=["", " ", *[None] * 8]) == strangers
    root = tmp_path / "bundle"
    shutil.copytree(knowing, root)
    learned = table.iloc[[0]].assign(split="train", cohort="made")
    split_table(learned).to_csv(root / "splits.csv", index=False)
    seal(root)
    assert seen_of(root, table.iloc[1:]) == {"made/1": "patient"}  # no film of training is here
    assert seen_of(root, table, cohort="other", patient_id="") == {"made/0": "train"}
    bare = learned.assign(case_id="0")
    split_table(bare).to_csv(root / "splits.csv", index=False)
    seal(root)
    assert seen_of(root, bare, cohort="other", patient_id="") == {}  # a name of another cohort
    assert "made/p1" not in (root / "splits.csv").read_text()


def test_a_bundle_names_the_cohorts_and_sources_that_it_learned_from(tmp_path: Path) -> None:
    assert learned_from(tmp_path) is None
    sides = ["train", "val", "test", "site"]
    table = pd.DataFrame({"case_id": ["a/1", "b/1", "c/1", "d/1"], "split": sides})
    table.to_csv(tmp_path / "splits.csv", index=False)
    assert learned_from(tmp_path) == {"a", "b", "d"}
    cases = table.assign(path="x.png", patient_id="", cohort="all", source=["east", "", "west", ""])
    describe_data(cases.iloc[:3], []).write(tmp_path / "data.json")
    assert learned_from(tmp_path) == {"a", "b", "d", "all", "east"}


def test_a_copy_under_another_name_is_seen(made: Path, tmp_path: Path) -> None:
    """The index of similar films knows it by its pixels, in whatever file they are."""
    root = tmp_path / "bundle"
    shutil.copytree(DEFAULT_BUNDLE, root)
    table, reader = read_cases(made), load_bundle(root)
    embedding = next(reader.examine(table["path"].iloc[[1]])).embedding
    index, neighbors = read_similar(root / "similar.npz"), reader.neighbors
    assert embedding is not None
    assert neighbors is not None
    index.films[0] = neighbors.place(embedding).astype(np.float16)  # as if it had been trained on
    write_similar(root / "similar.npz", index)
    seal(root)
    copied = table.iloc[[1, 2]].assign(path=[str(tmp_path / "copy.tif"), table["path"].iloc[4]])
    cv2.imwrite(str(tmp_path / "copy.tif"), cv2.imread(table["path"].iloc[1], cv2.IMREAD_GRAYSCALE))
    reader = load_bundle(root)
    with pytest.raises(LeakageError, match=r"1 of 2 films were in training.*made/1 \(copy"):
        evaluate(reader, copied, progress=False)
    found = evaluate(reader, copied, allow_seen=True, progress=False)
    assert found.seen is not None
    assert (found.seen.films, found.seen.copies, found.seen.trained) == (1, 1, 0)


def test_a_bundle_that_does_not_say_is_said(small_bundle: Path, made: Path) -> None:
    found = evaluate(load_bundle(small_bundle), read_cases(made), progress=False)
    assert found.seen is not None
    assert "does not say which films it was trained on" in found.seen.said
