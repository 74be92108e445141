from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import hilum
from hilum.apps.cli.main import run
from hilum.bundle.folder import DEFAULT_BUNDLE, seal
from hilum.bundle.seen import split_table
from hilum.bundle.similar import read_similar
from hilum.data.table import read_cases
from hilum.image.write import write_png
from hilum.serve.samples import ROOT


@pytest.fixture(scope="module")
def virtual(tmp_path_factory) -> Path:
    """A cases table of 14 virtual films of 7 patients, darker and lighter, and one that is none."""
    folder = tmp_path_factory.mktemp("virtual")
    rows = []
    for i in range(14):
        film = hilum.open_radiograph(ROOT / ("frontal.png", "frontal-opacities.png")[i % 2])
        write_png(folder / f"{i}.png", film.pixels[::3, ::3] ** np.float32(0.7 + i / 20))
        rows.append(
            {
                "case_id": f"virtual/{i}",
                "path": f"{i}.png",
                "cohort": "virtual",
                "source": ("east", "west")[i // 2 % 2],
                "patient_id": f"virtual/p{i // 2}",
                "view": "PA",
                "covid-19": i % 2,
                "split": "train" if i < 8 else ("val" if i < 10 else "test"),
            }
        )
    (folder / "none.png").write_text("no film\n")
    rows.append(rows[0] | {"case_id": "virtual/none", "path": "none.png"})
    pd.DataFrame(rows).to_csv(folder / "cases.csv", index=False)
    return folder / "cases.csv"


@pytest.fixture(scope="module")
def learned(virtual, tmp_path_factory) -> Path:
    """The built-in bundle as if it had been trained on the train films."""
    root = shutil.copytree(DEFAULT_BUNDLE, tmp_path_factory.mktemp("learned") / "bundle")
    split_table(read_cases(virtual)).to_csv(root / "splits.csv", index=False)
    seal(root)
    return root


@pytest.fixture(scope="module")
def index(virtual, learned, tmp_path_factory):
    """An index of the train films, and the table of what was measured."""
    out = tmp_path_factory.mktemp("index")
    code = run(
        ["bundle", "index", str(virtual), "-b", str(learned), "-o", str(out / "similar.npz"),
         "--numbers", str(out / "similar.csv"), "--bootstrap", "20"]
    )  # fmt: skip
    assert code == 0
    return out / "similar.npz"


def test_map_writes_page_picture_numbers_and_json(virtual, tmp_path, capsys):
    out, png, numbers = (tmp_path / name for name in ("map.html", "map.png", "map.csv"))
    arguments = ["map", str(virtual), "--split", "all", "--projection", "pca", "--json"]
    files = ["-o", str(out), "--png", str(png), "--numbers", str(numbers), "--bootstrap", "20"]
    assert run([*arguments, *files]) == 0
    found = json.loads(capsys.readouterr().out, parse_constant=lambda token: pytest.fail(token))
    assert found["films"] == 14
    assert found["patients"] == 7
    assert found["method"] == "PCA"
    assert found["trained"] == 0
    assert [film["case_id"] for film in found["not_read"]] == ["virtual/none"]
    assert found["notice"].startswith("Research use only")
    assert png.read_bytes()[:4] == b"\x89PNG"
    table = pd.read_csv(numbers)
    assert {"trustworthiness", "continuity"} <= set(table["what"])
    page = out.read_text(encoding="utf-8")
    data = json.loads(page.partition('id="data">')[2].partition("</script>")[0])
    assert len(data["pictures"]) == len(data["case_id"]) == 14
    assert str(virtual.parent) not in page  # a page is passed on: it names no folder


def test_map_without_pictures_of_a_split(virtual, tmp_path, capsys):
    out = tmp_path / "map.html"
    arguments = ["map", str(virtual), "--split", "train", "-o", str(out)]
    assert run([*arguments, "--no-thumbnails", "--bootstrap", "0", "--max-films", "6"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "6 films" in said or "5 films" in said  # the one that is no film may be drawn
    assert "trustworthiness" in said
    assert "image/jpeg;base64,/" not in out.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("more", "code", "said"),
    [
        ([], 2, "nothing to write"),
        (["--json", "--projection", "som"], 6, "method 'som'"),
        (["--json", "--label", "cough"], 6, "label 'cough'"),
        (["--json", "--split", "nowhere"], 4, "no case in split 'nowhere'"),
        (["--json", "--operating-point", "keen"], 6, "operating point 'keen'"),
        (["--json", "--split", "test"], 4, "a map needs at least 5"),
    ],
)
def test_map_refuses(virtual, capsys, more, code, said):
    assert run(["map", str(virtual), *more]) == code
    assert said in " ".join(capsys.readouterr().err.split())


def test_a_network_without_embedding_has_no_map(small_bundle, split_csv, capsys):
    assert run(["map", str(split_csv), "-b", str(small_bundle), "--json"]) == 7
    assert "no output 'embedding'" in capsys.readouterr().err


def test_a_bundle_with_the_index_names_its_own_films(index, virtual, tmp_path, capsys):
    root = shutil.copytree(DEFAULT_BUNDLE, tmp_path / "bundle")
    assert run(["bundle", "add", str(index), "-b", str(root)]) == 0
    capsys.readouterr()
    film, refused = str(virtual.parent / "2.png"), str(ROOT / "lateral.png")
    assert run(["read", film, refused, "-b", str(root), "--details", "--json"]) == 3
    read, sideways = map(json.loads, capsys.readouterr().out.splitlines())
    nearest, *others = read["details"]["similar"]
    assert nearest["case_id"] == "virtual/2"
    assert nearest["distance"] < 0.002
    assert nearest["labels"] == {"covid-19": 0}
    assert others
    assert "virtual/3" not in {one["case_id"] for one in others}  # one film a patient
    assert (sideways["status"], sideways["details"]) == ("refused", None)


def test_an_index_holds_train_films_only_and_its_measurements_say_for_whom(index):
    found = read_similar(index)
    assert found.case_id.tolist() == [f"virtual/{i}" for i in range(8)]
    table = pd.read_csv(index.with_name("similar.csv"))
    assert set(table["films_of"]) == {"val", "test"}
    assert len(set(table.loc[table["chosen"] == "yes", "distance"])) == 1


def test_films_that_the_bundle_was_not_trained_on_stay_out_of_its_index(
    virtual, learned, tmp_path, capsys
):
    cases = read_cases(virtual)
    late = cases["case_id"].isin(["virtual/12", "virtual/13"])
    cases.assign(split=cases["split"].mask(late, "train")).to_csv(tmp_path / "split.csv")
    out = tmp_path / "similar.npz"
    fit = ["bundle", "index", str(tmp_path / "split.csv"), "-b", str(learned), "-o", str(out)]
    asked = (("foo", 6, "known: covid-19"), ("lung-opacity", 4, "no column 'lung-opacity'"))
    for label, code, told in asked:
        assert run([*fit, "--label", label]) == code
        assert told in capsys.readouterr().err
    assert run([*fit, "--bootstrap", "20"]) == 0
    said = capsys.readouterr().out
    assert "left out: 2 films that the bundle was not trained on (splits.csv)" in said
    assert read_similar(out).case_id.tolist() == [f"virtual/{i}" for i in range(8)]
    # without a split every film is one of train, to the table
    cases.drop(columns="split").to_csv(tmp_path / "split.csv")
    assert run([*fit, "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert (printed["films"], printed["left_out"]) == (8, 6)
    # of none of these films does the built-in bundle know
    assert run([each for each in fit if each not in ("-b", str(learned))]) == 4
    assert "the table has 0 films that " in capsys.readouterr().err


def test_one_film_is_no_index(virtual, tmp_path, capsys):
    cases = pd.read_csv(virtual)
    cases["path"] = [str(virtual.parent / name) for name in cases["path"]]
    cases["split"] = ["train", *["test"] * (len(cases) - 1)]
    cases.iloc[[0, 2, 3]].to_csv(tmp_path / "cases.csv", index=False)
    root = shutil.copytree(DEFAULT_BUNDLE, tmp_path / "bundle")
    (root / "splits.csv").unlink()
    seal(root)
    fit = [str(tmp_path / "cases.csv"), "-b", str(root), "-o", str(tmp_path / "similar.npz")]
    assert run(["bundle", "index", *fit]) == 4
    assert "1 films of split 'train' were read; an index needs" in capsys.readouterr().err
