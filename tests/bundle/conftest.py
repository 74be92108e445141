"""A bundle that carries every result a card can show, all of it made up."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from hilum.bundle.datasheet import DATA, describe_data
from hilum.bundle.folder import seal
from hilum.bundle.manifest import ENVIRONMENT, EVALUATION
from hilum.core.estimate import Estimate
from hilum.judge.audit.limits import AuditLimits
from hilum.judge.audit.schema import Audit, AuditOutcome, AuditVerdict, Overall, at_most
from hilum.judge.evaluation import evaluate_predictions
from hilum.judge.schema import About, Evaluation, EvaluationSettings, NotRead, Threshold

FACTS = {
    "python": "3.11.9",
    "packages": {"torch": "9.8.7", "numpy": "2.0.0"},
    "machine": {"system": "Linux", "processor": "Some CPU", "threads": 2},
    "command": "hilum train some.toml",
    "seed": 41,
    "device": "cpu",
    "training_time_s": 5400.0,
    "epochs": 7,
    "best_epoch": 5,
    "monitor": "auroc",
    "data_fingerprint": "f00d" * 16,
    "onnx_parity": {"films": 12, "score": 3.2e-7, "evidence": None},
    "films": {"train": 70, "val": 10, "test": 20},
    "films_not_opened": 3,
}


@pytest.fixture(scope="session")
def cases() -> pd.DataFrame:
    """240 films of 120 patients: two collections, three sources, all sides."""
    draw = np.random.default_rng(1)
    patient = np.arange(240) // 2
    return pd.DataFrame(
        {
            "case_id": [f"made/{i}" for i in range(240)],
            "path": "nowhere.png",
            "cohort": np.where(patient < 70, "shenzhen", "ours"),
            "source": np.where(patient < 70, "north", np.where(patient < 100, "east", "west")),
            "patient_id": [f"p{p}" for p in patient],
            "group": "",
            "sex": draw.choice(["F", "M", ""], 240),
            "view": draw.choice(["PA", "AP"], 240),
            "age_years": draw.choice([np.nan, 17.0, 30.0, 50.0, 80.0], 240),
            "study_date": np.where(patient < 3, "2020-03-04", ""),
            "licence": "CC0",
            "reference_standard": draw.choice(["RT-PCR", "report", ""], 240),
            "covid-19": draw.choice([0.0, 1.0, np.nan], 240),
            "split": np.array(["train", "val", "test"])[np.minimum(patient // 50, 2)],
        }
    )


@pytest.fixture(scope="session")
def evaluation() -> Evaluation:
    """Of 80 test films; some of them read wrongly, two not read."""
    draw = np.random.default_rng(2)
    truth = np.repeat([1.0, 0.0], 40)
    table = pd.DataFrame(
        {
            "case_id": [f"test/{i}" for i in range(80)],
            "label": "covid-19",
            "truth": truth,
            "score": np.clip(0.35 + 0.3 * truth + 0.2 * draw.standard_normal(80), 0.01, 0.99),
            "group": [f"p{i}" for i in range(80)],
            "cohort": ["shenzhen", "ours"] * 40,
            "source": ["north", "east"] * 40,
            "view": "PA",
            "sex": "F",
            "age_years": 50.0,
            "prediction_set": draw.choice(["present", "absent", "indeterminate", "none"], 80),
        }
    )
    threshold = Threshold(name="balanced", threshold=0.5, chosen_on="val", rule="any")
    refused = [
        NotRead(case_id=f"no/{i}", status="refused", reason="why", code="lateral", cohort="ours")
        for i in range(2)
    ]
    return evaluate_predictions(
        table,
        operating_points={"covid-19": threshold},
        calibrated=["covid-19"],
        coverage={"covid-19": 0.9},
        settings=EvaluationSettings(folds=50, nuisance=False),
        about=About(split="test"),
        not_read=refused,
    )


@pytest.fixture(scope="session")
def packed(
    calibrated_bundle: Path,
    tmp_path_factory: pytest.TempPathFactory,
    cases: pd.DataFrame,
    evaluation: Evaluation,
) -> Path:
    """A sealed bundle with datasheet, environment, recipe, evaluation, lungs and gate."""
    root = tmp_path_factory.mktemp("packed") / "full"
    shutil.copytree(calibrated_bundle, root)
    (root / ENVIRONMENT).write_text(json.dumps(FACTS))
    (root / "recipe.toml").write_text("[fit]\nepochs = 7\nlearning_rate = 0.013\n")
    left_out = {"not an X-ray": 4, "view not wanted": 9, "on no side of the split": 2}
    describe_data(
        cases,
        ["covid-19"],
        left_out=left_out,
        duplicates=17,
        notes=["ours: 6 rows have no image"],
        not_opened=1,
    ).write(root / DATA)
    evaluation.write(root / EVALUATION)
    dice = Estimate(value=0.951, low=0.94, high=0.962, n=84).model_dump()
    measured = {"what": "held out", "collections": {"ours": {"manual": {"dice": dice}}}}
    (root / "lungs.json").write_text(json.dumps({"measured": measured}))
    kinds = [
        {"kind": "lateral", "pictures": 54, "refused": 0.963, "right_reason": None},
        {"kind": "ct", "pictures": 62, "refused": 1.0, "right_reason": 0.97},
    ]
    (root / "gate.json").write_text(json.dumps({"measured": {"kinds": kinds}}))
    seal(root)
    return root


@pytest.fixture
def full_bundle(packed: Path, tmp_path: Path) -> Path:
    """A copy of it that a test may change."""
    return shutil.copytree(packed, tmp_path / "full")


@pytest.fixture(scope="session")
def write_audit(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Write an audit with one failed test, of the bundle with the given checksum."""

    def write(checksum: str, label: str = "covid-19") -> Path:
        measured = Estimate(value=0.312, low=0.25, high=0.375, n=77)
        test = AuditOutcome(
            name="corners",
            title="Corners covered",
            question="?",
            verdict=AuditVerdict.FAIL,
            said="it looks at corners",
            checks=(at_most("AUROC lost", measured, 0.05),),
        )
        path = tmp_path_factory.mktemp("audit") / f"found-{label}.json"
        Audit(
            about=About(bundle="blocks 0.0.1", checksum=checksum),
            subject="blocks",
            label=label,
            threshold=0.5,
            operating_point="balanced",
            limits=AuditLimits(),
            seed=0,
            folds=10,
            flow=(),
            verdict=Overall.FAIL,
            said=("It looks at corners.",),
            tests=(test,),
        ).write(path)
        return path

    return write


@pytest.fixture(scope="session")
def comparison(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ``table.json`` of ``hilum compare`` with two variants."""

    def row(variant: str, left_out: str, auroc: float | None) -> dict[str, object]:
        known = {"value": auroc, "low": 0.41, "high": 0.79, "n": 200, "note": ""}
        none = {"value": None, "low": None, "high": None, "n": 200, "note": "one class only"}
        return {
            "variant": variant,
            "left_out": left_out,
            "cohort": "",
            "label": "covid-19",
            "n": 200,
            "positives": 91,
            "patients": 150,
            "auroc": none if auroc is None else known,
            "sensitivity": none,
            "false_positive_rate": known | {"value": 0.137},
            "nuisance_auroc": known | {"value": 0.533},
            "difference": none,
            "val_auroc": None,
            "runs": 3,
            "epochs": 8.0,
            "seconds": 10.0,
        }

    rows = [
        row(variant, left_out, auroc)
        for variant in ("nuisance numbers", "whole film", "lungs")
        for left_out, auroc in (
            ("east", 0.617),
            ("all left out", 0.662),
            ("shenzhen", None),
            ("3-fold cross-validation", 0.959),
        )
    ]
    gap = {"variant": "lungs", "label": "covid-19"} | {
        name: {"value": value, "low": 0.1, "high": 0.9, "n": 200, "note": ""}
        for name, value in (("pooled", 0.959), ("left_out", 0.662), ("gap", 0.297))
    }
    path = tmp_path_factory.mktemp("comparison") / "table.json"
    path.write_text(
        json.dumps({"rows": rows, "gaps": [gap], "unfinished": [], "failed": {}, "notes": []})
    )
    return path
