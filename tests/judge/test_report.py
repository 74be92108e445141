from __future__ import annotations

import json
import re
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from hilum.core.estimate import Estimate
from hilum.judge.evaluation import evaluate_predictions
from hilum.judge.plots import roc_band
from hilum.judge.predictions import check_predictions, read_predictions, scored
from hilum.judge.report import CAPTIONS, forest_rows, write_report
from hilum.judge.schema import About, EvaluationSettings, NotRead

FAST = EvaluationSettings(folds=50)


@pytest.fixture(scope="module")
def folder(made_predictions, tmp_path_factory):
    tmp_path, predictions = tmp_path_factory.mktemp("report"), made_predictions.copy()
    about = About(title="probe <1>", bundle="probe 1 (abc)", command="hilum evaluate probe")
    lost = [NotRead(case_id="case/lost", status="refused", reason="a CT slice & more")]
    evaluation = evaluate_predictions(
        predictions.assign(training="yes"), settings=FAST, about=about, not_read=lost
    )
    write_report(evaluation, predictions, tmp_path)
    return tmp_path, evaluation


def test_the_folder_has_json_predictions_every_picture_and_the_page(folder):
    out, _ = folder
    names = {path.name for path in out.iterdir()}
    pictures = {f"covid-19-{name}.png" for name in CAPTIONS}
    assert names == {"evaluation.json", "predictions.csv", "report.html"} | pictures
    for name in pictures:
        with Image.open(out / name) as picture:
            assert min(picture.size) >= 400
            assert np.asarray(picture.convert("L")).std() > 5  # not a blank sheet


def test_the_page_is_whole_and_needs_no_other_file(folder):
    out, evaluation = folder
    page = (out / "report.html").read_text(encoding="utf-8")
    assert not re.search(r'(src|href)="(?!data:)', page)
    assert page.count("data:image/png;base64,") == len(CAPTIONS)
    assert "probe &lt;1&gt;" in page
    assert "a CT slice &amp; more" in page
    for text in ("Research use only", "What is not known", "hilum evaluate probe", "seed 0"):
        assert text in page
    assert f"{evaluation['covid-19'].metrics['auroc'].value:.3f}" in page
    assert "nan" not in re.sub(r"base64,[^\"]*", "", page).lower().replace("nuisance", "").split()
    _Balanced().feed(page)


def test_the_page_counts_no_patients_where_nobody_gave_them(made_predictions, tmp_path):
    """380 films of 190 patients; without them each film is one of its own."""
    bare = made_predictions.drop(columns=["group", "patient_id"], errors="ignore")
    evaluation = evaluate_predictions(bare, settings=FAST)
    assert [step.patients for step in evaluation.flow] == [None] * len(evaluation.flow)
    write_report(evaluation, bare, tmp_path)
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    known = [part.patients for part in evaluation["covid-19"].strata if part.column == "source"]
    assert known
    for patients in known:
        assert page.count(f'<td class="num">{patients}</td>') == 1  # the films alone


def test_predictions_written_are_predictions_that_can_be_judged_again(folder):
    out, evaluation = folder
    again = evaluate_predictions(read_predictions(out / "predictions.csv"), settings=FAST)
    assert again["covid-19"].metrics == evaluation["covid-19"].metrics
    assert again["covid-19"].baseline == evaluation["covid-19"].baseline


@pytest.mark.parametrize("kept", [1.0, 0.0])
def test_one_class_still_makes_a_page(predictions, tmp_path, kept):
    only = predictions[predictions["truth"] == kept].head(30)
    page = write_report(evaluate_predictions(only, settings=FAST), only, tmp_path)
    assert "one class only" in page.read_text(encoding="utf-8")
    assert not (tmp_path / "covid-19-roc.png").exists()
    json.loads((tmp_path / "evaluation.json").read_text())


def test_three_films_make_a_page(tmp_path):
    few = pd.DataFrame(
        {"case_id": list("abc"), "label": "x $y$/z", "truth": [1, 0, 0], "score": [0.9, 0.2, 0.4]}
    )
    write_report(evaluate_predictions(few, settings=FAST), few, tmp_path)
    assert (tmp_path / "x__y__z-roc.png").is_file()


def test_the_band_holds_the_curve_and_matches_a_naive_resampling(predictions):
    cases = scored(check_predictions(predictions), 0.5)
    grid = np.array([0.1, 0.5])
    low, high = roc_band(cases, grid, folds=200, seed=5)
    names, index = np.unique(cases.groups, return_inverse=True)
    rng, rows = np.random.default_rng(5), []
    from sklearn.metrics import roc_curve

    for _ in range(200):
        drawn = rng.integers(0, names.size, names.size)
        films = np.concatenate([np.flatnonzero(index == group) for group in drawn])
        false, true, _ = roc_curve(cases.truth[films], cases.score[films], drop_intermediate=False)
        rows.append(np.interp(grid, false, true))
    np.testing.assert_allclose([low, high], np.percentile(rows, [2.5, 97.5], axis=0), atol=1e-9)


def test_the_forest_names_films_and_sets_the_baseline_beside(folder):
    _, evaluation = folder
    rows = forest_rows(evaluation["covid-19"])
    assert rows[0][0] == "all films"
    with_baseline = [name for name, _, baseline in rows if baseline is not None]
    assert any(name.startswith("cohort: alpha (") for name in with_baseline)


class _Balanced(HTMLParser):
    """Refuses a page whose tables, lists and sections are not closed in order."""

    def __init__(self):
        super().__init__()
        self.open = []

    def handle_starttag(self, tag, attrs):
        if tag not in {"meta", "img", "br", "link"}:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_the_area_beneath_the_precision_recall_picture_is_the_average_precision(predictions):
    from hilum.judge.metrics import average_precision
    from hilum.judge.plots import precision_recall

    cases = scored(check_predictions(predictions), 0.5)
    value = float(average_precision(cases.truth, cases.score))
    figure = precision_recall(cases, Estimate(value=value, n=len(cases)))
    recall, precision = figure.axes[0].lines[0].get_data()
    assert np.sum(np.diff(recall) * precision[1:]) == pytest.approx(value)
    assert figure.axes[0].lines[0].get_drawstyle() == "steps-pre"
