from __future__ import annotations

import hashlib
import json

import numpy as np
import pandas as pd
import pytest

from hilum.bundle.folder import open_bundle, seal
from hilum.bundle.seen import REFIT, WEIGHTS
from hilum.core.errors import CohortError, ConfigError, LeakageError
from hilum.judge.schema import NotRead
from hilum.serve import calibrate as module
from hilum.serve.calibrate import calibrate
from hilum.serve.evaluate import Predictions
from hilum.serve.reader import load_bundle

FAST = {"site": "St. Anna", "folds": 20, "progress": False}


@pytest.fixture
def cases():
    """130 patients with two films each; 55 have covid-19, two pneumonia."""
    number = np.arange(260)
    return pd.DataFrame(
        {
            "case_id": [f"local/{i}" for i in number],
            "path": "nowhere.png",
            "cohort": "local",
            "source": "local",
            "patient_id": [f"local/p{i // 2}" for i in number],
            "covid-19": (number // 2 < 55).astype(float),
            "pneumonia": np.where(number < 4, 1.0, 0.0),
        }
    )


@pytest.fixture(autouse=True)
def scores(monkeypatch):
    """Scores by a formula, in the place of reading 260 films; the command line's test reads."""

    def predict(reader, cases, labels, nuisance, progress):
        rng = np.random.default_rng(0)
        parts = [
            cases[["case_id", "patient_id", "cohort", "source"]].assign(
                label=label,
                truth=cases[label],
                score=np.clip(rng.normal(0.5 + 0.2 * cases[label], 0.15), 0, 1),
            )
            for label in labels
        ]
        missing = (NotRead(case_id="local/x", status="error", reason="broken"),)
        return Predictions(pd.concat(parts, ignore_index=True), missing)

    monkeypatch.setattr(module, "predict", predict)


def test_the_decisions_change_and_the_weights_do_not(calibrated_bundle, cases, tmp_path):
    reader, out = load_bundle(calibrated_bundle), tmp_path / "new"
    record = calibrate(reader, cases, out, **FAST)
    new, old = open_bundle(out), reader.bundle
    for name in ("model.onnx", "LICENSE"):
        ours, theirs = ((b.root / name).read_bytes() for b in (new, old))
        assert hashlib.sha256(ours).digest() == hashlib.sha256(theirs).digest()
    covid, pneumonia = new.manifest.labels
    words = "site 'St. Anna': 260 films of 130 patients"
    assert covid.calibration.fitted_on == covid.conformal.fitted_on == words
    assert [p.name for p in covid.operating_points] == ["balanced", "sensitive", "specific"]
    assert pneumonia == old.manifest.labels[1]
    assert record.kept["pneumonia"].startswith("2 positive and 128 negative patients")
    assert new.manifest.version == "0.0.1+st-anna"
    assert new.manifest.adaptations == (record,)
    assert (record.bundle, record.films, record.not_read) == (old.identity, 260, 1)
    assert (record.labels[0].positives, record.labels[0].negatives) == (55, 75)
    assert load_bundle(out).labels == reader.labels


def test_the_card_has_before_and_after(calibrated_bundle, cases, tmp_path):
    calibrate(load_bundle(calibrated_bundle), cases, tmp_path / "new", **FAST)
    card = (tmp_path / "new" / "MODEL_CARD.md").read_text()
    assert card.startswith("# Blocks")
    assert "## Adapted to the site 'St. Anna'" in card
    assert "| log loss | " in card
    assert "pneumonia was not adapted: 2 positive" in card


def test_films_are_not_called_patients_where_nobody_gave_them(calibrated_bundle, cases, tmp_path):
    cases = cases.assign(patient_id="")
    calibrate(load_bundle(calibrated_bundle), cases, tmp_path / "new", **FAST)
    fitted_on = open_bundle(tmp_path / "new").manifest.labels[0].calibration.fitted_on
    assert fitted_on == "site 'St. Anna': 260 films, patients not given"
    card = (tmp_path / "new" / "MODEL_CARD.md").read_text()
    assert "260 films of\nthis site" in card
    assert "260 patients" not in card


def test_a_site_can_be_adapted_again(calibrated_bundle, cases, tmp_path):
    calibrate(load_bundle(calibrated_bundle), cases, tmp_path / "one", **FAST)
    again = FAST | {"site": "two"}
    calibrate(load_bundle(tmp_path / "one"), cases, tmp_path / "two", **again)
    manifest = open_bundle(tmp_path / "two").manifest
    assert manifest.version == "0.0.1+st-anna.two"
    assert [one.site for one in manifest.adaptations] == ["St. Anna", "two"]


def test_a_film_of_training_is_refused(calibrated_bundle, cases, tmp_path, make_bundle):
    root = make_bundle(tmp_path / "trained")
    splits = pd.DataFrame({"case_id": ["local/7", "local/8"], "split": ["test", "val"]})
    splits.to_csv(root / "splits.csv", index=False)
    seal(root)
    reader = load_bundle(root)
    with pytest.raises(
        LeakageError, match=r"1 of 260 films were seen by .*; the first: local/8 \(val\); 1 on val"
    ):
        calibrate(reader, cases, tmp_path / "new", **FAST)
    assert not (tmp_path / "new").exists()
    fresh = cases[cases["case_id"] != "local/8"]
    record = calibrate(reader, fresh, tmp_path / "new", **FAST)
    assert "none of 259 case_ids is among the 1 of train and val" in record.leak_check


def test_a_film_of_training_is_taken_where_it_is_asked_for(cases, tmp_path, make_bundle):
    root = make_bundle(tmp_path / "trained")
    splits = pd.DataFrame({"case_id": ["local/8"], "split": ["train"]})
    splits.to_csv(root / "splits.csv", index=False)
    seal(root)
    reader = load_bundle(root)
    with pytest.raises(LeakageError, match="1 other films of patients trained on"):
        calibrate(reader, cases[cases["case_id"] != "x"], tmp_path / "new", **FAST)
    record = calibrate(reader, cases, tmp_path / "new", allow_seen=True, **FAST)
    assert "2 of 260 films were seen by the bundle before" in record.leak_check


def test_the_new_bundle_knows_the_films_that_it_was_calibrated_to(
    calibrated_bundle, cases, tmp_path
):
    calibrate(load_bundle(calibrated_bundle), cases, tmp_path / "new", **FAST)
    seen = open_bundle(tmp_path / "new").seen(cases)
    assert len(seen.counted()) == 260
    assert seen.counted(REFIT) == seen.counted(WEIGHTS) == []
    with pytest.raises(LeakageError, match="260 of the site that the bundle was calibrated to"):
        seen.refuse()


def test_films_of_the_bundles_own_test_are_of_the_site_from_then_on(cases, tmp_path, make_bundle):
    """And what the weights learned from stays what it is, as does a namesake of another cohort."""
    root = make_bundle(tmp_path / "tested")
    rows = [(f"local/{n}", "test", "local") for n in range(200)] + [
        ("elsewhere/1", "train", "elsewhere"),
        ("local/201", "val", "local"),
        ("7", "test", "elsewhere"),
    ]
    splits = pd.DataFrame(rows, columns=["case_id", "split", "cohort"])
    splits.to_csv(root / "splits.csv", index=False)
    seal(root)
    cases.loc[250, "case_id"] = "7"
    calibrate(load_bundle(root), cases, tmp_path / "new", allow_seen=True, **FAST)
    new = open_bundle(tmp_path / "new")
    seen = new.seen(cases)
    assert seen.record().site == 259
    assert seen.how["local/201"] == "val"
    assert seen.counted(WEIGHTS) == []
    with pytest.raises(LeakageError, match=r"260 of 260 films were seen by .* 259 of the site"):
        seen.refuse()
    theirs = pd.DataFrame(
        {"case_id": ["7", "local/199", "local/300"], "patient_id": ["a", "b", "c"]}
    )
    known = new.seen(theirs.assign(cohort=["elsewhere", "local", "local"]))
    assert known.how == {"local/199": "site"}
    fresh = known.among(["7", "local/300"]).said()
    assert "none of 2 case_ids is among the 261 of train, val and site" in fresh


def test_a_bundle_without_splits_says_that_nothing_was_compared(calibrated_bundle, cases, tmp_path):
    record = calibrate(load_bundle(calibrated_bundle), cases, tmp_path / "new", **FAST)
    assert "could not be looked for" in record.leak_check


def test_too_few_patients_are_refused_and_nothing_is_written(calibrated_bundle, cases, tmp_path):
    reader = load_bundle(calibrated_bundle)
    few = cases[cases["patient_id"] < "local/p3"]
    with pytest.raises(CohortError, match="expected at least 50 of each"):
        calibrate(reader, few, tmp_path / "new", **FAST)
    with pytest.raises(CohortError, match="pneumonia: 2 positive"):
        calibrate(reader, cases, tmp_path / "new", labels=["pneumonia"], **FAST)
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_done_is_said(calibrated_bundle, cases, tmp_path):
    reader = load_bundle(calibrated_bundle)
    (tmp_path / "there").mkdir()
    with pytest.raises(ConfigError, match="already there"):
        calibrate(reader, cases, tmp_path / "there", **FAST)
    with pytest.raises(ConfigError, match="letter or digit"):
        calibrate(reader, cases, tmp_path / "new", **FAST | {"site": "?"})
    unlabelled = cases.drop(columns=["covid-19", "pneumonia"])
    with pytest.raises(CohortError, match="no column 'covid-19'"):
        calibrate(reader, unlabelled, tmp_path / "new", **FAST)


def test_the_manifest_is_json_without_nan(calibrated_bundle, cases, tmp_path):
    calibrate(load_bundle(calibrated_bundle), cases, tmp_path / "new", **FAST | {"folds": 0})
    text = (tmp_path / "new" / "bundle.json").read_text()
    json.loads(text, parse_constant=lambda token: pytest.fail(token))
