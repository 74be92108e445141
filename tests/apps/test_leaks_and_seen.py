"""Contract: no verb trains on, or judges by, what leaks, or judges a bundle on what it has seen.

A new verb stands in one of the three lists below, or the first test fails.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import pytest
import typer
from numpy.typing import NDArray

from hilum.apps.cli.main import HOSPITAL, THE_REST, VERBS, command_line, run
from hilum.bundle.datasheet import describe_data
from hilum.bundle.folder import DEFAULT_BUNDLE, open_bundle, seal
from hilum.bundle.seen import learned_from, split_table
from hilum.bundle.similar import read_similar, write_similar
from hilum.core.case import COLUMNS
from hilum.core.errors import LeakageError
from hilum.data import fingerprint
from hilum.data import split as split_module
from hilum.data.cohorts import read_cohort
from hilum.data.split import SplitSpec, make_split
from hilum.data.table import merge_cases, read_cases
from hilum.image.open import open_radiograph
from hilum.learn.detect.run import train_detector
from hilum.serve.audit import audit
from hilum.serve.calibrate import calibrate
from hilum.serve.evaluate import evaluate, predict
from hilum.serve.featuremap.run import make_map
from hilum.serve.reader import load_bundle
from hilum.serve.samples import ROOT, read_samples

RECIPE = '[data]\ncases = "{cases}"\n'
GRID = 'recipe = "base.toml"\nleave_out = ["north", "south"]\n[[variant]]\nname = "plain"\n'

JUDGES = {
    "evaluate": ["{cases}", "-b", "{bundle}", "--split", "all"],
    "audit": ["{cases}", "-b", "{bundle}", "--lungs", "none"],
    "calibrate": ["{cases}", "-b", "{bundle}", "-o", "{out}/new"],
    "map": ["{cases}", "-b", "{bundle}", "--split", "all", "--json"],
    "bundle fit-severity": ["{cases}", "-b", "{bundle}", "-o", "{out}/severity"],
}
"""Verb that judges a bundle on a cases table -> how it is called."""

TRAINS = {
    "train": ["{base}", "-o", "{out}/run"],
    "compare": ["{grid}", "-o", "{out}/compare", "--jobs", "1"],
    "train --cases": ["{cases}", "{detector}", "-o", "{out}/detector"],
    "bundle index": ["{cases}", "-b", "{bundle}", "-o", "{out}/similar.npz"],
    "evaluate --detections": ["{coco}", "{cases}"],
    "evaluate --predictions": ["{predictions}"],
}
"""Verb that learns from a table, or judges what is no bundle -> how it is called."""

OTHERS = {
    "batch",
    *("demo", "show", "read", "explain", "deidentify"),
    *("cohort list", "cohort fetch", "cohort read", "cohort merge", "cohort check", "cohort split"),
    *("cohort to-coco", "cohort from-coco", "cohort audit"),
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
    found = {verb for verb in verbs() if VERBS[verb.split()[0]][1] not in (HOSPITAL, THE_REST)}
    assert found == OTHERS | {verb.partition(" --")[0] for verb in (*JUDGES, *TRAINS)}


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
    (tmp_path / "detector.toml").write_text(
        'task = "detector"\n[[data.cohorts]]\nname = "x"\nfolder = "x"\n'
    )
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
    """So the roads that divide collections (gate, detector) end here too."""
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
    assert " films were seen by " in said
    assert "1 trained on" in said
    assert "1 other films of patients trained on" in said
    answers = verb in ("evaluate", "audit", "calibrate")
    assert ("1 on val" in said) is answers  # a map of weights is not flattered by val
    assert "--allow-seen" in said
    assert not (tmp_path / "out").exists()


SHORT = {
    "evaluate": ["--bootstrap", "20"],
    "audit": ["--only", "informative", "--bootstrap", "20"],
    "map": ["--projection", "pca", "--bootstrap", "20", "--no-thumbnails", "-o", "{out}/map.html"],
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


@pytest.mark.parametrize("verb", SHORT)
def test_without_an_index_it_is_said_that_nobody_looked_for_copies(
    verb: str,
    knowing: Path,
    made: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """made/0 under another name is among them, and only its look could tell."""
    renamed = {f"made/{n}": f"there/{n}" for n in range(16)}
    table = read_cases(made).replace({"case_id": renamed}).assign(cohort="there")
    table["patient_id"] = table["case_id"]
    table.to_csv(tmp_path / "cases.csv", index=False)
    out = tmp_path / "out"
    asked = [each for each in [*JUDGES[verb], *SHORT[verb]] if each != "--json"]
    more = [] if verb == "map" else ["-o", str(out)]
    assert call(verb, [*asked, *more], knowing, tmp_path / "cases.csv", out) in (0, 10)
    said = " ".join(capsys.readouterr().out.split())
    assert "none of 16 case_ids is among the " in said
    assert "copies under other names were not looked for" in said
    assert "'hilum bundle index' makes" in said
    assert "'hilum bundle add' puts it in" in said
    written = [path for path in out.rglob("*") if path.suffix in (".html", ".json")]
    assert written
    for path in written:
        assert "were not looked for" in path.read_text(encoding="utf-8"), path.name


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


def test_without_looks_a_copy_with_equal_pixels_is_seen(made: Path, tmp_path: Path) -> None:
    """An index of version 1 knows it by its embedding, in whatever file the pixels are."""
    root = tmp_path / "bundle"
    shutil.copytree(DEFAULT_BUNDLE, root)
    table, reader = read_cases(made), load_bundle(root)
    embedding = next(reader.examine(table["path"].iloc[[1]])).embedding
    index, neighbors = read_similar(root / "similar.npz"), reader.neighbors
    assert embedding is not None
    assert neighbors is not None
    index.films[0] = neighbors.place(embedding).astype(np.float16)  # as if it had been trained on
    write_similar(root / "similar.npz", replace(index, look=None))
    seal(root)
    copied = table.iloc[[1, 2]].assign(path=[str(tmp_path / "copy.tif"), table["path"].iloc[4]])
    cv2.imwrite(str(tmp_path / "copy.tif"), cv2.imread(table["path"].iloc[1], cv2.IMREAD_GRAYSCALE))
    reader = load_bundle(root)
    with pytest.raises(LeakageError, match=r"1 of 2 films were seen by .*made/1 \(copy"):
        evaluate(reader, copied, progress=False)
    found = evaluate(reader, copied, allow_seen=True, progress=False)
    assert found.seen is not None
    assert (found.seen.films, found.seen.copies, found.seen.trained) == (1, 1, 0)
    said = open_bundle(root).seen(copied).said()
    assert "copies that were resized or stored with loss are not found" in said


Film = NDArray[np.uint8]


def jpeg(quality: int) -> Callable[[Film], Film]:
    def stored(film: Film) -> Film:
        _, data = cv2.imencode(".jpg", film, [cv2.IMWRITE_JPEG_QUALITY, quality])
        return cv2.imdecode(data, cv2.IMREAD_GRAYSCALE)

    return stored


def resized(across: float, down: float) -> Callable[[Film], Film]:
    return lambda film: cv2.resize(film, None, fx=across, fy=down, interpolation=cv2.INTER_AREA)


def window(film: Film) -> Film:
    low, high = np.percentile(film, (2, 98))
    return np.uint8(np.clip((film - low) / (high - low), 0, 1) * 255)


def cut(share: float) -> Callable[[Film], Film]:
    def rest(film: Film) -> Film:
        y, x = (round(share * side) for side in film.shape)
        return film[y : film.shape[0] - y, x : film.shape[1] - x]

    return rest


COPIES: dict[str, Callable[[Film], Film]] = {
    "renamed": lambda film: film,
    "with little loss": jpeg(80),
    "with loss": jpeg(60),
    "half as large": resized(0.5, 0.5),
    "stretched": resized(1.25, 0.8),
    "in another window": window,
    "mirrored": lambda film: film[:, ::-1],
    "all of it": lambda film: window(resized(0.6, 0.5)(jpeg(60)(film))),
}
"""Copies that are told."""

CHANGED: dict[str, Callable[[Film], Film]] = {"cropped": cut(0.1)}
"""Copies that are not, as the reports say."""


def copies_of(films: dict[str, str], folder: Path) -> pd.DataFrame:
    """Store every kind of copy of each film (name -> path) under a name of its own."""
    rows = []
    for name, path in films.items():
        original = np.asarray(np.round(open_radiograph(path).pixels * 255), np.uint8)
        for kind, change in {**COPIES, **CHANGED}.items():
            file = folder / f"{len(rows)}.png"
            assert cv2.imwrite(str(file), np.ascontiguousarray(change(original)))
            case_id = f"there/{name} {kind}"
            rows.append({"case_id": case_id, "path": str(file), "patient_id": case_id})
    return pd.DataFrame(rows).assign(cohort="there", source="there", view="PA")


@pytest.fixture(scope="module")
def indexed(tmp_path_factory: pytest.TempPathFactory, made: Path) -> Path:
    """The built-in bundle as if it had been trained on made/0 and made/1."""
    root = tmp_path_factory.mktemp("indexed") / "bundle"
    shutil.copytree(DEFAULT_BUNDLE, root)
    learned = read_cases(made).iloc[:2].assign(split="train")
    learned.to_csv(root.with_name("split.csv"), index=False)
    split_table(learned).to_csv(root / "splits.csv", index=False)
    seal(root)
    made_of, index = str(root.with_name("split.csv")), str(root.with_name("similar.npz"))
    assert run(["bundle", "index", made_of, "-b", str(root), "-o", index]) == 0
    assert run(["bundle", "add", index, "-b", str(root)]) == 0
    return root


@pytest.fixture(scope="module")
def copied(tmp_path_factory: pytest.TempPathFactory, made: Path) -> Path:
    """Copies of made/1, of every kind."""
    folder = tmp_path_factory.mktemp("copied")
    table = copies_of({"1": read_cases(made)["path"].iloc[1]}, folder)
    table["covid-19"] = [n % 2 for n in range(len(table))]
    table["scores"] = '{"opacity": 1}'
    masks = []
    for path in table["path"]:
        mask = np.zeros_like(cv2.imread(path, cv2.IMREAD_GRAYSCALE))
        mask[mask.shape[0] // 3 : -mask.shape[0] // 3] = 255
        cv2.imwrite(path.replace(".png", ".mask.png"), mask)
        masks.append(json.dumps({"ground-glass": path.replace(".png", ".mask.png")}))
    table.assign(lesion_masks=masks).to_csv(folder / "cases.csv", index=False)
    return folder / "cases.csv"


@pytest.mark.parametrize(("verb", "arguments"), JUDGES.items())
def test_every_verb_that_judges_knows_copies_of_films_that_were_trained_on(
    verb: str,
    arguments: list[str],
    indexed: Path,
    copied: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    asked = [
        *arguments,
        *(each for each in SHORT.get(verb, []) if each != "-o" and "{" not in each),
    ]
    assert call(verb, asked, indexed, copied, tmp_path / "out") == 5
    said = capsys.readouterr().err
    whole = len(COPIES) + len(CHANGED)
    assert f"{len(COPIES)} of {whole} films were seen by " in said
    assert f"{len(COPIES)} copies of films trained on" in said
    assert not (tmp_path / "out").exists()


def test_what_is_no_copy_is_judged_and_the_report_says_which_ones_could_be_found(
    indexed: Path, copied: Path
) -> None:
    table = read_cases(copied)
    strangers = table[table["case_id"].str.contains("cropped")]
    found = evaluate(load_bundle(indexed), strangers, progress=False)
    assert found.seen is not None
    assert (found.seen.films, found.seen.copies) == (0, 0)
    assert "none is a copy of one of 2 films of training, be it with loss" in found.seen.said
    assert "cropped and turned copies are not found" in found.seen.said


def test_a_film_that_is_only_read_is_not_looked_at(
    indexed: Path, made: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only a verb that judges asks for a film's look; reading does not pay for it."""
    monkeypatch.setattr(fingerprint, "_even_out", lambda _: pytest.fail("a look was made"))
    assert load_bundle(indexed).read(read_cases(made)["path"].iloc[0], details=True).findings


@pytest.mark.real_data
def test_copies_of_real_films_are_known_and_films_of_other_people_are_not(
    data_root: Path, tmp_path: Path
) -> None:
    """Of the films that the built-in bundle was trained on."""
    collections = (
        ("covid-chestxray-dataset", "covid-chestxray-dataset"),
        ("covid-cxnet", "COVID-CXNet"),
        ("nih-chestxray14", "nih-chestxray14"),
        ("openist", "OpenIST"),
    )
    cases = merge_cases([read_cohort(name, data_root / at).cases for name, at in collections])
    splits = pd.read_csv(DEFAULT_BUNDLE / "splits.csv").set_index("case_id")["split"]
    side = cases["case_id"].map(splits)
    known, unknown = (
        cases[side == name].groupby("cohort").sample(most, random_state=0)
        for name, most in (("train", 2), ("test", 6))
    )
    table = copies_of(dict(zip(known["case_id"], known["path"], strict=True)), tmp_path)
    strangers = unknown.assign(case_id="there/" + unknown["case_id"], patient_id="", cohort="there")
    table = pd.concat([table, strangers])[[*table.columns]].assign(**{"covid-19": 0})
    found = predict(load_bundle(), table, ["covid-19"], nuisance=False)
    wanted = {f"there/{film} {kind}" for film in known["case_id"] for kind in COPIES}
    assert wanted - set(found.copies) <= {film.case_id for film in found.not_read}
    assert set(found.copies) <= wanted
    assert len(found.not_read) < len(table) / 20


def test_a_bundle_that_does_not_say_is_said(small_bundle: Path, made: Path) -> None:
    found = evaluate(load_bundle(small_bundle), read_cases(made), progress=False)
    assert found.seen is not None
    assert "does not say which films it was trained on" in found.seen.said
