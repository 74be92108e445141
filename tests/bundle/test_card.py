from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from hilum.bundle.card import model_card, write_card
from hilum.bundle.manifest import EVALUATION, LabelOutput, Manifest
from hilum.core.estimate import Estimate
from hilum.core.labels import Label
from hilum.image.preprocess import Preprocess
from hilum.judge.calibration import OperatingPoint
from hilum.judge.evaluation import evaluate_predictions
from hilum.judge.schema import Evaluation, EvaluationSettings, Threshold

ENVIRONMENT = {
    "python": "3.11.9",
    "packages": {"torch": "9.8.7", "numpy": "2.0.0"},
    "command": "hilum train some.toml",
    "seed": 41,
    "device": "cpu",
    "training_time_s": 90.0,
    "epochs": 7,
    "best_epoch": 5,
    "monitor": "auroc",
    "data_fingerprint": "f00d" * 16,
    "onnx_parity": {"films": 12, "score": 3.2e-7, "evidence": None},
    "films": {"train": 70, "val": 10, "test": 20},
    "films_not_opened": 3,
}


@pytest.fixture
def manifest() -> Manifest:
    point = OperatingPoint(
        name="balanced",
        label=Label.COVID_19,
        threshold=0.43215,
        sensitivity=Estimate(value=0.81, low=0.71, high=0.91, n=37),
        specificity=Estimate(value=0.62, low=0.52, high=0.72, n=53),
        chosen_on="val: 90 films",
        rule="largest Youden index",
    )
    output = LabelOutput(
        label=Label.COVID_19, code="840539006", scheme="SCT", operating_points=(point,)
    )
    return Manifest(
        name="made",
        version="2.0",
        created="2020-01-02",
        network="tiny",
        evidence=True,
        preprocess=Preprocess(size=96),
        labels=(output,),
        trained_on="70 films of 60 patients (made 70)",
    )


@pytest.fixture
def evaluation() -> Evaluation:
    random = np.random.default_rng(2)
    truth = np.repeat([1.0, 0.0], 40)
    table = pd.DataFrame(
        {
            "case_id": [f"c{i}" for i in range(80)],
            "label": "covid-19",
            "truth": truth,
            "score": np.clip(0.35 + 0.3 * truth + 0.2 * random.standard_normal(80), 0, 1),
            "group": [f"p{i}" for i in range(80)],
            "cohort": ["a", "b"] * 40,
            "source": ["a", "b"] * 40,
            "view": "PA",
            "sex": "F",
            "age_years": 50.0,
        }
    )
    table["probability"] = table["score"]
    threshold = Threshold(name="balanced", threshold=0.5, chosen_on="val", rule="any")
    return evaluate_predictions(
        table,
        operating_points={"covid-19": threshold},
        settings=EvaluationSettings(folds=50, nuisance=False),
    )


def test_a_card_without_an_evaluation_says_so(manifest: Manifest) -> None:
    card = model_card(manifest, ENVIRONMENT)
    assert card.startswith("# made 2.0\n")
    assert "Not evaluated yet." in card
    assert "not a medical device" in card


def test_every_number_comes_from_the_files(manifest: Manifest, evaluation: Evaluation) -> None:
    card = model_card(manifest, ENVIRONMENT, evaluation)
    label = evaluation["covid-19"]
    wanted = [
        "0.4321",
        "0.81 [0.71, 0.91] (n=37)",
        "0.62 [0.52, 0.72] (n=53)",
        "96 x 96",
        "SCT 840539006",
        "test 20, train 70, val 10; 3 could not be opened",
        "3.2e-07",
        "1.5 min, 7 epochs, of which 5 is kept by its auroc on val",
        "f00d" * 16,
        "torch 9.8.7",
        str(label.metrics["auroc"]),
        str(label.metrics["sensitivity"]),
        "80 films of 80 patients: 40 with, 40 without",
        *(sentence for sentence in evaluation.not_known),
    ]
    for text in wanted:
        assert text in card, text


def test_parts_are_listed_where_their_auroc_is_defined(
    manifest: Manifest, evaluation: Evaluation
) -> None:
    card = model_card(manifest, ENVIRONMENT, evaluation)
    parts = [part for part in evaluation["covid-19"].strata if part.column == "cohort"]
    assert len(parts) == 2
    for part in parts:
        auroc = part.metrics["auroc"]
        assert f"| cohort {part.value} | 20 | 20 | {auroc} |" in card
    assert "undefined" not in card


def test_tables_are_whole_lines(manifest: Manifest, evaluation: Evaluation) -> None:
    for line in model_card(manifest, ENVIRONMENT, evaluation).splitlines():
        if "|" in line:
            assert line.startswith("|"), line
            assert line.endswith("|"), line


def test_write_card_reads_the_files_of_a_bundle(
    manifest: Manifest, evaluation: Evaluation, tmp_path: Path
) -> None:
    (tmp_path / "bundle.json").write_text(manifest.model_dump_json())
    (tmp_path / "environment.json").write_text(json.dumps(ENVIRONMENT))
    write_card(tmp_path)
    assert "Not evaluated yet." in (tmp_path / "MODEL_CARD.md").read_text()
    evaluation.write(tmp_path / EVALUATION)
    write_card(tmp_path)
    card = (tmp_path / "MODEL_CARD.md").read_text()
    assert card == model_card(manifest, ENVIRONMENT, Evaluation.load(tmp_path / EVALUATION))
