from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from hilum.apps.cli.main import run


@pytest.fixture
def audit(capsys):
    def call(*arguments):
        code = run(["audit", *map(str, arguments)])
        captured = capsys.readouterr()
        return code, " ".join(captured.out.split()), captured.err, captured.out

    return call


@pytest.fixture
def scores(split_csv, tmp_path):
    """Scores of a model of the brightness, for every film of the table."""
    cases = pd.read_csv(split_csv, dtype={"case_id": str})
    rng = np.random.default_rng(0)
    table = pd.DataFrame({"case_id": cases["case_id"], "score": rng.random(len(cases))})
    table.to_csv(tmp_path / "vendor.csv", index=False)
    return tmp_path / "vendor.csv"


FEW = ("--bootstrap", 20, "--lungs", "none")


def test_a_bundle_is_named_by_its_option(audit, small_bundle, split_csv, tmp_path):
    options = (*FEW, "--only", "sources", "--only", "jpeg", "--set", "sensitivity=0.999")
    code, said, _, _ = audit(split_csv, "-b", small_bundle, "-o", tmp_path / "o", *options)
    assert code in (0, 10)
    for text in ("jpeg", "sources", "Operating point: 'balanced'", "Research use only"):
        assert text in said
    assert "lungs-removed" not in said
    found = json.loads((tmp_path / "o" / "audit.json").read_text())
    assert found["limits"]["sensitivity"] == 0.999
    assert found["changed"] == ["sensitivity"]
    assert (code == 10) == (found["verdict"] in ("fail", "uninformative"))
    assert len(found["not_read"]) == 2
    assert (tmp_path / "o" / "audit.html").is_file()


def test_a_table_of_scores_needs_the_cases_alone(audit, scores, split_csv):
    code, _, _, raw = audit(
        "--scores", scores, split_csv, "--threshold", 0.5, "--bootstrap", 50, "--json"
    )
    found = json.loads(raw, parse_constant=pytest.fail)
    assert (code, found["verdict"]) == (10, "uninformative")
    verdicts = {test["name"]: test["verdict"] for test in found["tests"]}
    assert verdicts["informative"] == "fail"
    assert verdicts["jpeg"] == verdicts["lungs-removed"] == "not run"
    assert found["subject"] == "vendor.csv"


def test_sources_that_a_model_learned_from_are_named(audit, scores, split_csv):
    options = ("--scores", scores, split_csv, "--threshold", 0, "--bootstrap", 20)
    only = ("--only", "ward", "--set", "min_films=2", "--json")
    for learned, verdict in ((("--learned", "east"), "fail"), ((), "not run")):
        found = json.loads(audit(*options, *learned, *only)[3])
        assert found["tests"][0]["verdict"] == verdict


def test_a_function_is_named_by_its_module(audit, split_csv, tmp_path, monkeypatch):
    (tmp_path / "mymodel.py").write_text(
        "def predict(films):\n    return [float(film.pixels.mean()) for film in films]\n"
    )
    monkeypatch.chdir(tmp_path)
    code, said, _, _ = audit("--predict", "mymodel:predict", split_csv, *FEW, "--only", "resize")
    assert code == 0
    assert "INCOMPLETE: mymodel:predict" in said
    code, _, said, _ = audit("--predict", "mymodel:guess", split_csv, *FEW)
    assert (code, "mymodel:guess" in said) == (6, True)


def test_a_function_that_fails_is_named_with_the_film(audit, split_csv, tmp_path, monkeypatch):
    (tmp_path / "failing.py").write_text(
        "def predict(films):\n    return [1 / (film.path[-5] != '1') for film in films]\n"
        "def words(films):\n    return ['high' for film in films]\n"
    )
    (tmp_path / "broken.py").write_text("1 / 0\n")
    monkeypatch.chdir(tmp_path)
    code, _, said, _ = audit("--predict", "failing:predict", split_csv, *FEW, "--only", "resize")
    assert code == 6
    assert "failing:predict failed on " in said
    assert "1.png: ZeroDivisionError: division by zero (failing.py, line 2)" in said
    assert "Traceback" not in said
    code, _, said, _ = audit("--predict", "failing:words", split_csv, *FEW, "--only", "resize")
    assert (code, "expected one number for each film" in said) == (6, True)
    code, _, said, _ = audit("--predict", "broken:predict", split_csv, *FEW)
    assert (code, "ZeroDivisionError: division by zero" in said) == (6, True)


def test_an_onnx_file_comes_with_its_preprocessing(audit, small_bundle, split_csv, tmp_path):
    spec = tmp_path / "spec.toml"
    spec.write_text("size = 64\nchannels = 1\n")
    options = ("--onnx", small_bundle / "model.onnx", "--output-name", "logits", *FEW)
    code, said, _, _ = audit(*options, "--preprocess", spec, split_csv, "--only", "evidence")
    assert code == 0
    assert "model.onnx" in said
    code, _, said, _ = audit(*options, split_csv)
    assert (code, "--preprocess" in said) == (2, True)
    wrong = tmp_path / "wrong.onnx"
    wrong.write_text("no graph")
    channels = tmp_path / "channels.toml"
    channels.write_text("size = 64\nchannels = 3\n")
    for onnx, how in ((wrong, spec), (small_bundle / "model.onnx", channels)):
        code, _, said, _ = audit("--onnx", onnx, "--preprocess", how, split_csv, *FEW)
        assert (code, "by --preprocess" in said, "hilum train" in said) == (7, True, False)
    spec.write_text("sise = 64\n")
    code, _, said, _ = audit(*options, "--preprocess", spec, split_csv)
    assert (code, "did you mean 'size'" in said) == (6, True)


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ([], 2, "Missing argument"),
        (["bundle", "cases.csv"], 2, "a bundle is named by -b"),
        (["--scores", "a.csv", "--onnx", "b.onnx", "cases.csv"], 2, "not several"),
        (["cases.csv", "-b", "bundle", "--scores", "a.csv"], 2, "not several"),
        (["gone.csv", "-b", "gone"], 4, "gone.csv"),
        (["gone.csv", "-b", "gone", "--output-index", "5"], 2, "--output-index has no meaning"),
        (["gone.csv", "--predict", "a:b", "--activation", "softmax"], 2, "--activation has no"),
        (["gone.csv", "--scores", "a.csv", "--lungs", "none"], 2, "--lungs has no meaning"),
        (["gone.csv", "--lungs", "gut"], 2, "'gut' is not one of"),
        (["gone.csv", "--onnx", "x.onnx", "--activation", "x"], 2, "'x' is not one of"),
        (["lists", "gone.txt", "gone.txt"], 2, "'hilum cohort audit'"),
    ],
)
def test_wrong_use_has_an_exit_code_and_one_message(audit, arguments, code, message):
    found, _, said, _ = audit(*arguments)
    assert found == code
    assert message in said


def test_unknown_tests_and_limits_are_refused(audit, small_bundle, split_csv):
    for options, message in (
        (("--only", "jpg"), "no test 'jpg'"),
        (("--set", "ecee=1"), "did you mean 'ece'"),
    ):
        code, _, said, _ = audit(split_csv, "-b", small_bundle, *options)
        assert (code, message in said) == (6, True)


@pytest.fixture
def audit_split(capsys):
    def call(*arguments):
        code = run(["cohort", "audit", *map(str, arguments)])
        said = capsys.readouterr().out
        return code, " ".join(said.split()), said

    return call


def test_lists_are_audited_and_fail(audit_split, tmp_path):
    for name, numbers in (("train", range(6)), ("test", range(5, 9))):
        lines = [f"P{i} f{i}.png {'positive a' if i % 2 else 'negative b'}" for i in numbers]
        (tmp_path / f"{name}.txt").write_text("\n".join(lines))
    paths = (tmp_path / "train.txt", tmp_path / "test.txt")
    code, said, _ = audit_split(*paths)
    assert code == 10
    assert "scores 1.000 on test (4/4)" in said
    assert "patients on both sides: 1: covidx/a/P5" in said
    _, _, raw = audit_split(*paths, "--json")
    assert json.loads(raw)["lookup_right"] == 4


def test_a_table_with_a_split_is_one_argument(audit_split, split_csv):
    code, said, _ = audit_split(split_csv)
    assert code in (0, 10)
    assert "split.csv, split 'test'" in said


def test_lists_of_covidx_are_sides_and_may_be_a_look_up(audit_split, tmp_path):
    """The published ones are judged in tests/judge/audit/test_lists.py."""
    for name, films in (("train", 20), ("test", 8)):
        kinds = ("positive cohen", "negative rsna")
        lines = [f"{name}{place} {name}{place}.png {kinds[place % 2]}\n" for place in range(films)]
        (tmp_path / f"{name}_COVIDx9B.txt").write_text("".join(lines))
    lists = (tmp_path / "train_COVIDx9B.txt", tmp_path / "test_COVIDx9B.txt")
    code, said, _ = audit_split(*lists)
    assert code == 10
    assert "scores 1.000 on test (8/8)" in said
