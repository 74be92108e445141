from __future__ import annotations

import json

import pandas as pd
import pytest

from hilum.apps.cli.main import run


@pytest.fixture
def evaluate(capsys):
    def call(*arguments):
        code = run(["evaluate", *map(str, arguments)])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call


@pytest.fixture
def scores(tmp_path):
    path = tmp_path / "scores.csv"
    pd.DataFrame(
        {
            "case_id": [f"c{i}" for i in range(30)],
            "label": "covid-19",
            "truth": [i % 2 for i in range(30)],
            "score": [(i % 2) * 0.4 + (i * 7 % 30) / 60 for i in range(30)],
        }
    ).to_csv(path, index=False)
    return path


def test_a_bundle_and_a_split_become_a_table_and_a_page(
    evaluate, small_bundle, split_csv, tmp_path
):
    out = tmp_path / "out"
    code, said, _ = evaluate(split_csv, "-b", small_bundle, "-o", out, "--bootstrap", 20)
    assert code == 0
    for text in ("covid-19: AUROC", "no lung", "Sensitivity", "2 films were not read"):
        assert text in " ".join(said.split())
    assert "Research use only" in said
    assert (out / "report.html").is_file()
    assert (out / "evaluation.json").is_file()


def test_json_is_one_valid_object_and_nothing_else(evaluate, small_bundle, split_csv):
    options = ("--json", "--bootstrap", 20, "--prevalence", 0.2, "--seed", 4, "--no-nuisance")
    code, said, _ = evaluate(
        split_csv,
        "-b",
        small_bundle,
        *options,
        "--operating-point",
        "sensitive",
        "--label",
        "covid-19",
    )
    found = json.loads(said, parse_constant=lambda token: pytest.fail(token))
    assert code == 0
    assert found["settings"]["prevalence"] == 0.2
    assert found["settings"]["seed"] == 4
    assert found["labels"][0]["operating_point"]["name"] == "sensitive"
    assert found["labels"][0]["baseline"] == []


def test_predictions_made_elsewhere_are_judged_alike(evaluate, scores, tmp_path):
    code, said, _ = evaluate("--predictions", scores, "--threshold", 0.4, "-o", tmp_path / "o")
    assert code == 0
    assert "covid-19: AUROC" in said
    assert (tmp_path / "o" / "report.html").is_file()
    found = json.loads((tmp_path / "o" / "evaluation.json").read_text())
    assert found["labels"][0]["operating_point"]["threshold"] == 0.4


def test_written_predictions_give_the_same_evaluation_again(
    evaluate, small_bundle, split_csv, tmp_path
):
    evaluate(split_csv, "-b", small_bundle, "-o", tmp_path, "--bootstrap", 20)
    options = ("--threshold", 0.5, "--bootstrap", 20, "--json")
    _, said, _ = evaluate("--predictions", tmp_path / "predictions.csv", *options)
    first = json.loads((tmp_path / "evaluation.json").read_text())["labels"][0]
    again = json.loads(said)["labels"][0]
    for part in ("metrics", "strata", "baseline", "counts"):
        assert again[part] == first[part]


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ([], 2, "expected CASES.csv"),
        (["cases.csv", "--predictions", "x.csv"], 2, "not both"),
        (["-b", "bundle", "--predictions", "x.csv"], 2, "not several"),
        (["bundle", "split.csv"], 2, "a bundle is named by -b"),
        (["--predictions", "gone.csv"], 4, "gone.csv"),
        (["split.csv", "-b", "gone"], 7, "no bundle here"),
    ],
)
def test_wrong_use_has_an_exit_code_and_one_message(evaluate, arguments, code, message):
    found, _, said = evaluate(*arguments)
    assert found == code
    assert message in said


def test_faults_of_tables_and_options_have_exit_codes(evaluate, small_bundle, split_csv, scores):
    code, _, said = evaluate(split_csv, "-b", small_bundle, "--split", "tset")
    assert (code, "no case in split 'tset'" in said) == (4, True)
    code, _, said = evaluate("--predictions", scores, "--prevalence", 2)
    assert (code, "prevalence" in said) == (6, True)
    code, _, said = evaluate("--predictions", scores, "--label", "sars")
    assert (code, "'sars'" in said) == (4, True)
