from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest

from hilum.apps.cli.main import run
from hilum.serve.samples import ROOT, read_samples

FILM = "frontal-opacities.png"


@pytest.fixture(scope="module")
def cases(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five copies of a built-in film: two held out with masks, one with boxes, two of training."""
    folder = tmp_path_factory.mktemp("annotated")
    sample = next(each for each in read_samples() if each.file == FILM)
    film = cv2.imread(str(sample.path), cv2.IMREAD_GRAYSCALE)
    film = cv2.resize(film, None, fx=0.3, fy=0.3, interpolation=cv2.INTER_AREA)
    mask = cv2.imread(str(ROOT / str(sample.lesion_mask)), cv2.IMREAD_GRAYSCALE)
    cv2.imwrite(str(folder / "mask.png"), cv2.resize(mask, film.shape[::-1]))
    height, width = film.shape
    box = {"label": "lung-opacity", "x": width * 0.6, "y": height * 0.3}
    boxes = json.dumps([box | {"width": width * 0.2, "height": height * 0.2}])
    rows = []
    for number, split in enumerate(["test", "val", "train", "train", "test", "test"]):
        name = f"{number}.png"
        cv2.imwrite(str(folder / name), np.clip(film.astype(int) + number, 0, 255))
        rows.append(
            {
                "case_id": f"made/{number}",
                "path": name,
                "cohort": "made",
                "source": "made",
                "patient_id": f"made/{number}",
                "lesion_masks": '{"ground-glass": "mask.png"}' if number < 4 else "",
                "boxes": boxes if number in (1, 4) else "",
                "split": split,
            }
        )
    pd.DataFrame(rows).to_csv(folder / "cases.csv", index=False)
    return folder / "cases.csv"


def test_the_table_of_maps(
    cases: Path, small_bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "maps.csv"
    chosen = ["-m", "evidence", "-m", "occlusion", "-m", "layer-cam"]
    arguments = ["score-maps", str(small_bundle), str(cases), "-o", str(out), "--split", "all"]
    assert run([*arguments, *chosen]) == 0
    printed = capsys.readouterr().out
    assert "held out: lesion-masks" in printed
    assert "Research use only" in printed
    table = pd.read_csv(out)
    assert set(table["block"]) == {"held out", "all annotated"}
    assert set(table["method"]) == {
        *("evidence", "occlusion", "layer-cam"),
        *("uniform in lungs", "random blocks", "grey levels in lungs"),
    }
    masks = table[(table["target"] == "lesion-masks") & (table["metric"] == "energy")]
    counts = masks.groupby("block")["n"].first()
    assert counts.to_dict() == {"held out": 2, "all annotated": 4}
    assert set(table["target"]) == {"lesion-masks", "rsna-boxes"}
    boxes = table[table["target"] == "rsna-boxes"]
    assert set(boxes["label"]) == {"pneumonia"}
    assert table["value"].between(-1, 60).all()
    compared = table[(table["method"] == "occlusion") & (table["metric"] == "energy")]
    assert compared["difference"].notna().all()
    assert table[table["method"] == "evidence"]["difference"].isna().all()
    found = json.loads(out.with_suffix(".json").read_text())
    assert found["bundle"].startswith("blocks")
    assert str(tmp_path) not in out.with_suffix(".json").read_text()
    assert len(found["rows"]) == len(table)


def test_chance_is_the_share_of_the_lungs_that_is_marked(
    cases: Path, small_bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["score-maps", str(small_bundle), str(cases), "-m", "evidence", "--json"]
    assert run(arguments) == 0
    rows = pd.DataFrame(json.loads(capsys.readouterr().out)["rows"])
    uniform = rows[(rows["method"] == "uniform in lungs") & (rows["target"] == "lesion-masks")]
    values = uniform.set_index("metric")["value"]
    assert 0 < values["energy"] < 0.5
    assert values["energy"] == pytest.approx(values["pointing"])
    assert values["auroc in lungs"] == 0.5
    assert set(rows["block"]) == {"held out"}


def test_the_costly_numbers_are_of_as_many_films_as_asked_for(
    cases: Path, small_bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    few = ["--faithful-films", "1", "--random-films", "2", "--networks", "2", "--json"]
    assert run(["score-maps", str(small_bundle), str(cases), "-m", "evidence", *few]) == 0
    found = json.loads(capsys.readouterr().out)
    rows = pd.DataFrame(found["rows"]).query("method == 'evidence'")
    counts = rows[rows["label"] == "covid-19"].set_index("metric")["n"]
    assert (counts["deletion"], counts["insertion"], counts["random weights"]) == (1, 1, 2)
    assert found["settings"]["networks"] == 2


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--split", "tests"], "expected test, val, val+test, all"),
        (["-o", "maps.txt"], "expected a name ending in .csv"),
        (["-m", "evidense"], "did you mean 'evidence'?"),
        (["-m", "occlusion@last"], "occlusion reads no layer"),
    ],
)
def test_usage(
    more: list[str],
    message: str,
    cases: Path,
    small_bundle: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(["score-maps", str(small_bundle), str(cases), *more]) == 6
    assert message in capsys.readouterr().err


def test_a_table_without_annotations(
    split_csv: Path, small_bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["score-maps", str(small_bundle), str(split_csv)]) == 4
    assert "no row of the cases table has a lesion mask" in capsys.readouterr().err


def test_random_weights_flag_a_map_that_does_not_see_them(
    make_bundle: Callable[..., Path],
) -> None:
    from hilum.apps.map_scores.settings import ScoreSettings
    from hilum.apps.map_scores.table import summarise

    rows = pd.DataFrame(
        {
            "case_id": ["a", "b"] * 2,
            "patient": ["a", "b"] * 2,
            "held_out": True,
            "target": "lesion-masks",
            "label": "covid-19",
            "method": ["edges"] * 2 + ["evidence"] * 2,
            "energy": [0.2, 0.4, 0.1, 0.1],
            "random weights": [0.9, 0.8, 0.1, -0.1],
        }
    )
    found = summarise(rows, ScoreSettings(), "evidence").set_index(["method", "metric"])
    assert found.loc[("edges", "random weights"), "flag"] == "survives random weights"
    assert found.loc[("evidence", "random weights"), "flag"] == ""
    assert found.loc[("edges", "energy"), "difference"] == pytest.approx(0.2)


def test_a_method_that_nothing_is_compared_with_is_refused(
    cases: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["score-maps", "default", str(cases), "-m", "evidence", "--against", "evidnce"]) == 6
    assert "did you mean 'evidence'?" in capsys.readouterr().err


def test_a_split_needs_its_column(
    cases: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = pd.read_csv(cases).drop(columns="split")
    table["path"] = [str(cases.parent / each) for each in table["path"]]
    table.to_csv(tmp_path / "cases.csv", index=False)
    call = ["score-maps", "default", str(tmp_path / "cases.csv"), "-m", "evidence"]
    assert run([*call, "--split", "test"]) == 4
    assert "no column 'split'" in capsys.readouterr().err
