"""Models whose verdict is known beforehand: an audit that cannot fail a cheat is no audit."""

from __future__ import annotations

import json
import math

import numpy as np
import pandas as pd
import pytest

from hilum.serve.audit import AuditVerdict, Overall, audit


@pytest.fixture(scope="module")
def audited(models, worlds, guarded, tmp_path_factory):
    """World and model -> (audit, its folder); each made once."""
    made = {}

    def run(model, world):
        if (model, world) not in made:
            cases, find_lungs, find_opacities = worlds[world]
            out = tmp_path_factory.mktemp(f"{model}-{world}")
            found = audit(
                subject=guarded(models[model]),
                cases=cases,
                threshold=0.5,
                find_lungs=find_lungs,
                find_opacities=find_opacities,
                learned=["east"],
                folds=200,
                out=out if world == "marker" and model == "marker" else None,
                progress=False,
            )
            made[model, world] = found, out
        return made[model, world]

    return run


def test_a_model_of_a_planted_corner_marker_fails(audited):
    found, _ = audited("marker", "marker")
    assert found.verdict is Overall.FAIL
    assert found["informative"].verdict is AuditVerdict.PASS
    failed = {test.name for test in found.failed}
    assert {"nuisance", "lungs-removed", "lungs-only", "corners", "evidence"} <= failed
    assert found["lungs-removed"].shown.measured.value > 0.9
    assert found["evidence"].shown.measured.value < 0.5
    assert found["opacity-hidden"].verdict is AuditVerdict.NOT_RUN  # there is none in this world


def test_a_model_of_a_planted_opacity_passes_whatever_markers_lie_about(audited):
    found, _ = audited("opacity", "opacity")
    assert [(test.name, test.said) for test in found.failed] == []
    assert found.verdict is Overall.PASS
    assert [test.name for test in found.tests if test.verdict is AuditVerdict.NOT_RUN] == ["loso"]
    assert found["informative"].shown.measured.value > 0.95
    assert abs(found["lungs-removed"].shown.measured.value) < 0.4
    assert found["polarity"].said == "All films are refused, so no call can be wrong."


NEW = ("opacity-hidden", "ward", "tuberculosis")


def test_only_the_reader_of_opacities_rests_on_them_and_is_quiet_on_a_strange_ward(audited):
    """Where markers lie at random, who reads them calls every second film of any source."""
    verdicts = {
        name: [audited(name, "opacity")[0][test].verdict for test in NEW]
        for name in ("opacity", "marker", "random")
    }
    assert verdicts == {
        "opacity": [AuditVerdict.PASS] * 3,
        "marker": [AuditVerdict.FAIL] * 3,
        "random": [AuditVerdict.FAIL] * 3,
    }
    found = audited("opacity", "opacity")[0]
    falls, moves = found["opacity-hidden"].checks
    assert falls.measured.value > 0.9
    assert moves.measured.value < 0.1
    assert found["ward"].shown.measured.n == found["tuberculosis"].shown.measured.n == 20


def test_whoever_calls_every_opacity_fails_on_tuberculosis_that_is_opaque(models, worlds, guarded):
    cases = worlds["opacity"][0].copy()
    opaque = (cases["source"] == "west") & (cases["covid-19"] == 1) & (cases["view"] == "PA")
    cases.loc[opaque, ["covid-19", "tuberculosis"]] = [0.0, 1.0]
    found = audit(
        subject=guarded(models["opacity"]), cases=cases, threshold=0.5, learned=["east"],
        only=["ward", "tuberculosis"], folds=50, progress=False,
    )  # fmt: skip
    assert found["ward"].verdict is AuditVerdict.PASS
    assert found["tuberculosis"].verdict is AuditVerdict.FAIL


@pytest.mark.parametrize("world", ["opacity", "marker"])
def test_a_model_with_random_weights_is_uninformative(audited, world):
    found, _ = audited("random", world)
    assert found.verdict is Overall.UNINFORMATIVE
    assert found["informative"].verdict is AuditVerdict.FAIL
    assert found["lungs-removed"].verdict is AuditVerdict.NOT_RUN
    assert "nothing to lose" in found["lungs-removed"].said


def test_an_honest_model_knows_nothing_of_a_world_without_disease(audited):
    """The reader of opacities has nothing to read where only markers tell the classes apart."""
    found, _ = audited("opacity", "marker")
    assert found.verdict is Overall.UNINFORMATIVE


def test_the_folder_holds_page_json_and_tables(audited):
    found, out = audited("marker", "marker")
    page = (out / "audit.html").read_text(encoding="utf-8")
    assert page.count("data:image/jpeg") >= 2 * 12
    assert page.count("data:image/png") >= 10
    assert "http" not in page.replace("http-equiv", "")
    for text in ("FAIL", "lungs blacked out", "min_films", "Research use only"):
        assert text in page
    stored = json.loads((out / "audit.json").read_text(), parse_constant=pytest.fail)
    assert stored["verdict"] == "fail"
    scores = pd.read_csv(out / "scores.csv")
    assert len(scores) == 160
    assert {"score", "score_corners", "score_inverted", "evidence_in_lungs"} <= set(scores)
    tests = pd.read_csv(out / "tests.csv").set_index("test")
    assert tests.loc["lungs-removed", "verdict"] == "fail"
    parts = pd.read_csv(out / "parts.csv")
    row = parts[parts["part"] == "corners occluded"].iloc[0]
    called = (scores["score"] >= 0.5) != (scores["score_corners"] >= 0.5)
    assert row["value"] == pytest.approx(called.mean())
    assert found["corners"].verdict is AuditVerdict.FAIL


def test_the_same_seed_gives_the_same_audit(models, worlds, guarded):
    cases, find_lungs, _ = worlds["opacity"]
    options = {"threshold": 0.5, "find_lungs": find_lungs, "folds": 50, "max_films": 60}
    only = ("informative", "marker", "sources")
    first, again, other = (
        audit(
            subject=guarded(models["opacity"]),
            cases=table,
            only=only,
            seed=seed,
            progress=False,
            **options,
        )
        for table, seed in ((cases, 3), (cases.iloc[::-1], 3), (cases, 4))
    )
    assert first.tests == again.tests
    assert first.tests != other.tests


def test_a_function_is_audited_like_a_graph(models, worlds, guarded):
    cases, find_lungs, _ = worlds["opacity"]
    subject = guarded(models["opacity"])

    def predict(films):
        return subject.look(films, [None] * len(films)).score.tolist()

    only = ("informative", "lungs-removed", "embedding", "evidence", "polarity")
    found = audit(predict, cases, find_lungs=find_lungs, only=only, folds=50, progress=False)
    assert found.subject == "predict"
    assert "Youden" in found.operating_point
    assert found["informative"].verdict is found["lungs-removed"].verdict is AuditVerdict.PASS
    assert found["embedding"].verdict is found["evidence"].verdict is AuditVerdict.NOT_RUN
    assert found["polarity"].verdict is AuditVerdict.FAIL
    assert not math.isnan(found["informative"].shown.measured.low)


def test_without_lungs_nothing_decides(models, worlds, guarded):
    cases = worlds["opacity"][0]
    only = ("informative", "lungs-removed", "lungs-only")
    found = audit(
        subject=guarded(models["opacity"]), cases=cases, only=only, folds=50, progress=False
    )
    assert found.verdict is Overall.INCOMPLETE
    assert "neither a lung network nor masks" in found["lungs-removed"].said


def test_scores_alone_are_audited_as_far_as_they_go(models, worlds, guarded):
    cases = worlds["opacity"][0]
    rng = np.random.default_rng(0)
    truth = cases["covid-19"].to_numpy()
    scores = pd.DataFrame(
        {
            "case_id": cases["case_id"],
            "score": np.clip(0.3 + 0.4 * truth + rng.normal(0, 0.2, 160), 0, 1),
        }
    )
    found = audit(scores=scores, cases=cases, threshold=0.5, folds=50, progress=False)
    ran = {test.name for test in found.tests if test.verdict is not AuditVerdict.NOT_RUN}
    assert ran == {"informative", "source", "nuisance", "sources", "subgroups", "calibration"}
    assert found.verdict in (Overall.INCOMPLETE, Overall.FAIL)
