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
        (["split.csv", "-b", "gone", "--threshold", "0.5"], 2, "--threshold has no meaning for a"),
        (["split.csv", "-b", "gone", "--overlap", "0.4"], 2, "--overlap has no meaning for a"),
        (["--predictions", "gone.csv", "--operating-point", "x"], 2, "--operating-point has no"),
        (["--predictions", "gone.csv", "--allow-seen"], 2, "--allow-seen has no meaning"),
        (["c.csv", "--detections", "d.json", "--prevalence", "0.1"], 2, "--prevalence has no"),
        (["c.csv", "--detections", "d.json", "--no-nuisance"], 2, "--nuisance has no meaning"),
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
    assert (code, "'sars'" in said) == (6, True)
    code, _, said = evaluate(split_csv, "-b", small_bundle, "--label", "covid")
    assert (code, "did you mean 'covid-19'?" in said) == (6, True)


def test_a_probability_of_the_table_is_no_raw_score(evaluate, scores, tmp_path):
    table = pd.read_csv(scores)
    table.assign(probability=table["score"] ** 2).to_csv(tmp_path / "given.csv", index=False)
    out = tmp_path / "given"
    code, said, _ = evaluate("--predictions", tmp_path / "given.csv", "-o", out)
    assert code == 0
    assert "The probability is the one given with the predictions." in said
    page = (out / "report.html").read_text()
    assert "Raw score as a probability" not in page
    assert "no calibration was fitted" not in page
    label = json.loads((out / "evaluation.json").read_text())["labels"][0]
    known = table.dropna(subset=["truth"])
    brier = ((known["score"] ** 2 - known["truth"]) ** 2).mean()
    assert label["metrics"]["brier"]["value"] == pytest.approx(brier)
    evaluate("--predictions", scores, "-o", tmp_path / "bare")
    assert "Raw score as a probability" in (tmp_path / "bare" / "report.html").read_text()


def test_a_film_without_a_score_is_counted_not_judged(evaluate, scores, tmp_path):
    table = pd.read_csv(scores)
    blank = table["case_id"].iloc[:3].tolist()
    table.loc[table["case_id"].isin(blank), "score"] = None
    table.to_csv(tmp_path / "blank.csv", index=False)
    code, said, _ = evaluate("--predictions", tmp_path / "blank.csv", "-o", tmp_path / "o")
    assert code == 0
    assert "3 films were not read: counted, not scored." in said
    found = json.loads((tmp_path / "o" / "evaluation.json").read_text())
    assert [film["case_id"] for film in found["not_read"]] == blank
    assert found["labels"][0]["films"] == table.dropna(subset=["truth", "score"]).shape[0]
    table.assign(score=None).to_csv(tmp_path / "none.csv", index=False)
    code, _, said = evaluate("--predictions", tmp_path / "none.csv")
    assert (code, "every score is blank" in said) == (4, True)


def test_a_film_with_one_blank_score_is_read_and_lacks_one_label(evaluate, scores, tmp_path):
    table = pd.read_csv(scores)
    both = pd.concat([table, table.assign(label="pneumonia")], ignore_index=True)
    both.loc[[0, 1, 30], "score"] = None  # c0 of both labels, c1 of covid-19 alone
    both.to_csv(tmp_path / "both.csv", index=False)
    code, _, _ = evaluate("--predictions", tmp_path / "both.csv", "-o", tmp_path / "o")
    assert code == 0
    found = json.loads((tmp_path / "o" / "evaluation.json").read_text())
    assert [film["case_id"] for film in found["not_read"]] == ["c0"]
    assert {each["label"]: each["films"] for each in found["labels"]} == {
        "covid-19": 28,
        "pneumonia": 29,
    }
    lacking = [each for each in found["not_known"] if "without a score" in each]
    assert lacking == ["covid-19: films without a score, in no metric: 1."]
    table = pd.read_csv(scores)
    table["probability"] = table["score"]
    table.loc[2, "probability"] = None
    table.to_csv(tmp_path / "half.csv", index=False)
    code, _, said = evaluate("--predictions", tmp_path / "half.csv")
    assert (code, "column probability: blank" in said, "leave out" in said) == (4, True, False)


def test_an_evaluation_of_a_table_says_when_and_with_what_it_was_made(evaluate, scores):
    about = json.loads(evaluate("--predictions", scores, "--json")[1])["about"]
    assert about["created"]
    assert about["versions"]["hilum"]


def test_films_of_other_splits_are_counted_and_the_split_is_said(evaluate, scores, tmp_path):
    table = pd.read_csv(scores)
    table["split"] = ["test" if i < 20 else "train" for i in range(len(table))]
    table.to_csv(tmp_path / "split.csv", index=False)
    found = json.loads(evaluate("--predictions", tmp_path / "split.csv", "--json")[1])
    assert [(step["step"], step["films"]) for step in found["flow"]][:3] == [
        ("Films in the table", 30),
        ("In split 'test'", 20),
        ("Read", 20),
    ]
    assert found["about"]["split"] == "test"
    every = ("--predictions", tmp_path / "split.csv", "--split", "all", "--json")
    found = json.loads(evaluate(*every)[1])
    assert (found["about"]["split"], found["labels"][0]["films"]) == ("all", 30)


def test_a_split_that_is_asked_for_needs_its_column(evaluate, scores):
    assert json.loads(evaluate("--predictions", scores, "--json")[1])["about"]["split"] == "all"
    code, _, said = evaluate("--predictions", scores, "--split", "test")
    assert (code, "no column 'split'" in said) == (4, True)
