from __future__ import annotations

import json
import os
import socket
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from hilum.bundle.folder import DEFAULT_BUNDLE, manifest_of, open_bundle, verify
from hilum.bundle.gate import GATE, open_gate
from hilum.bundle.lungs import LungSegmenter
from hilum.bundle.manifest import Manifest
from hilum.core.command import command_line
from hilum.core.errors import BundleError
from hilum.core.files import sha256_of
from hilum.learn.export import open_session, run_session, sigmoid
from hilum.learn.fit import FitResult, fit
from hilum.learn.pack import pack_bundle
from hilum.learn.predict import inputs_of, predict_logits
from hilum.learn.recipe import Recipe

MakeCases = Callable[..., pd.DataFrame]
Packed = tuple[Path, FitResult, Recipe, pd.DataFrame]


@pytest.fixture
def packed(make_cases: MakeCases, tiny_recipe: Callable[..., Recipe], tmp_path: Path) -> Packed:
    cases = make_cases(60)
    recipe = tiny_recipe(
        {"epochs": 3},
        data={"cases": str(tmp_path / "cases.csv"), "labels": ["covid-19", "pneumonia"]},
        bundle={"name": "made", "version": "1.2.3"},
    )
    cases["pneumonia"] = np.where(cases["split"] == "val", cases["covid-19"], cases["pneumonia"])
    cases.loc[cases["covid-19"] == 0, "pneumonia"] = 0.0
    result = fit(recipe, cases, tmp_path / "run")
    command = command_line(["/x/hilum", "train", str(tmp_path / "r.toml"), "--out", str(tmp_path)])
    pack_bundle(result, recipe, cases, tmp_path / "run" / "bundle", command=command)
    return tmp_path / "run" / "bundle", result, recipe, cases


def test_a_packed_bundle(packed: Packed) -> None:
    root, result, recipe, cases = packed
    bundle = open_bundle(root)
    manifest = bundle.manifest
    assert bundle.identity.startswith("made 1.2.3 (")
    assert [output.label for output in manifest.labels] == ["covid-19", "pneumonia"]
    assert manifest.labels[0].code == "840539006"
    assert manifest.preprocess == recipe.preprocess
    assert manifest.evidence
    for place, output in enumerate(manifest.labels):
        assert output.bias == pytest.approx(result.network.bias[place].item())
    splits = pd.read_csv(root / "splits.csv").set_index("case_id")["split"]
    assert splits.to_dict() == dict(zip(cases["case_id"], cases["split"], strict=True))
    assert "creativecommons.org/licenses/by-nc-sa/4.0" in (root / "LICENSE").read_text()
    assert "Not evaluated yet." in (root / "MODEL_CARD.md").read_text()
    files = {path.name for path in root.iterdir()}
    assert files == {
        "bundle.json",
        "model.onnx",
        "lungs.onnx",
        "lungs.json",
        "gate.json",
        "recipe.toml",
        "environment.json",
        "MODEL_CARD.md",
        "LICENSE",
        "splits.csv",
        "checksums.json",
    }


def test_the_model_is_the_trained_network(packed: Packed) -> None:
    root, result, recipe, _ = packed
    theirs = run_session(
        open_session(root / "model.onnx"), inputs_of(result.val, recipe.preprocess)
    )
    ours = predict_logits(result.network, result.val, recipe.preprocess)
    np.testing.assert_allclose(sigmoid(theirs[0]), sigmoid(ours), atol=1e-4)


def test_the_operating_point_has_the_largest_youden_index_on_val(packed: Packed) -> None:
    root, result, recipe, _ = packed
    scores = sigmoid(predict_logits(result.network, result.val, recipe.preprocess))[:, 0]
    truth = result.val.cases["covid-19"].to_numpy() == 1
    point = (
        Manifest.model_validate_json((root / "bundle.json").read_text())
        .labels[0]
        .operating_points[0]
    )

    def youden(threshold: float) -> float:
        called = scores >= threshold
        return called[truth].mean() - called[~truth].mean()

    assert youden(point.threshold) == pytest.approx(max(youden(score) for score in scores))
    assert point.sensitivity.value == pytest.approx((scores >= point.threshold)[truth].mean())
    assert point.chosen_on.startswith("val: 12 films of 6 patients (made 12)")


def test_the_decisions_are_fitted_on_val_and_too_few_films_say_so(packed: Packed) -> None:
    root, *_ = packed
    output = open_bundle(root).manifest.labels[0]
    assert [point.name for point in output.operating_points] == [
        "balanced",
        "sensitive",
        "specific",
    ]
    assert output.operating_points[1].sensitivity.value >= 0.95
    assert output.operating_points[2].specificity.value >= 0.95
    assert output.calibration.method == "identity"
    assert output.calibration.note == "6 patients of one class; a calibration needs 20 of each"
    assert output.conformal is None


def test_predictions_out_of_source_take_the_place_of_val(packed: Packed) -> None:
    root, result, recipe, cases = packed
    rng = np.random.default_rng(0)
    truth = np.r_[np.ones(80), np.zeros(160)]
    table = pd.DataFrame(
        {
            "case_id": [f"c{i}" for i in range(240)],
            "label": "covid-19",
            "truth": truth,
            "score": np.clip(rng.normal(0.4 + 0.2 * truth, 0.1), 0, 1),
            "group": [f"p{i // 2}" for i in range(240)],
            "cohort": ["north"] * 80 + ["south"] * 80 + ["east"] * 80,
            "split": "test",
        }
    )
    seen = table.assign(split="val", score=0.999)  # rows of val: of sources that were seen
    judged = cases.loc[cases["split"] == "test", "case_id"]  # nothing may be fitted on them
    ours = table.iloc[: len(judged)].assign(case_id=judged.to_numpy(), score=0.999)
    ours["group"] = [f"held out {i}" for i in range(len(ours))]
    kin = ours.assign(case_id=[f"kin {i}" for i in range(len(ours))])  # nor on their patients
    everything = pd.concat([table, seen, ours, kin])
    pack_bundle(result, recipe, cases, root, command="again", out_of_source=everything)
    covid, pneumonia = open_bundle(root).manifest.labels
    words = "left-out sources, each film scored by a network that never saw its source: 240 films"
    assert covid.calibration.method != "identity"
    assert covid.calibration.prevalence == pytest.approx(1 / 2)  # sources and classes alike
    assert covid.conformal is not None
    for said in (covid.calibration.fitted_on, covid.conformal.fitted_on):
        assert said.startswith(words)
    for output in (covid, pneumonia):  # thresholds belong to the scores of the packed network
        assert output.operating_points[0].chosen_on.startswith("val: ")
    assert pneumonia.calibration.note
    # a reading states it for a sober share, not for a half; nothing fitted, nothing stated
    assert (covid.stated, covid.prevalence) == (0.2, 0.2)
    assert (pneumonia.stated, pneumonia.prevalence) == (None, None)


def test_no_file_names_a_folder_or_a_host(packed: Packed, tmp_path: Path) -> None:
    root, *_ = packed
    host = socket.gethostname()
    for path in root.iterdir():
        content = path.read_bytes()
        for secret in (str(tmp_path), str(Path.cwd()), str(Path.home()), os.sep + "tmp"):
            assert secret.encode() not in content, (path.name, secret)
        if len(host) > 5:
            assert host.encode() not in content, path.name
    assert Recipe.load(root / "recipe.toml").data.cases == "cases.csv"


def test_the_environment_says_how_to_make_it_again(packed: Packed) -> None:
    root, result, *_ = packed
    facts = json.loads((root / "environment.json").read_text())
    assert facts["command"] == f"hilum train r.toml --out {result.folder.parent.name}"
    assert facts["seed"] == 0
    assert facts["films"] == {"train": 36, "val": 12, "test": 12}
    assert len(facts["data_fingerprint"]) == 64
    assert facts["device"] == "cpu"
    assert facts["onnx_parity"]["score"] <= 1e-4
    assert {"torch", "onnxruntime", "numpy"} <= facts["packages"].keys()


def test_packing_again_replaces_and_a_failure_leaves_the_old_one(
    packed: Packed, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, result, recipe, cases = packed
    (root / "stray.txt").write_text("x")
    pack_bundle(result, recipe, cases, root, command="again")
    verify(root)
    assert not (root / "stray.txt").exists()
    monkeypatch.setattr("hilum.learn.export.TOLERANCE", -1.0)
    with pytest.raises(BundleError):
        pack_bundle(result, recipe, cases, root, command="again")
    verify(root)
    assert [path.name for path in root.parent.glob(".*")] == []


def test_a_bundle_carries_the_lungs_and_the_gate_of_the_package_in_one_pass_too(
    packed: Packed, one_pass_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, result, recipe, cases = packed
    spec = json.loads((DEFAULT_BUNDLE / GATE).read_text())
    spec["lungs"] = sha256_of(one_pass_bundle / "model.onnx")
    (one_pass_bundle / GATE).write_text(json.dumps(spec))
    monkeypatch.setattr("hilum.learn.pack.DEFAULT_BUNDLE", one_pass_bundle)
    pack_bundle(result, recipe, cases, root, command="again")
    segmenter = LungSegmenter(root)
    assert segmenter.checksum == sha256_of(one_pass_bundle / "model.onnx")
    assert segmenter.spec.preprocess == manifest_of(one_pass_bundle).preprocess
    assert open_gate(root, lungs=segmenter.checksum) is not None
