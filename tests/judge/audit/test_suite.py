"""Each test fails on material in which its fault is planted, and passes without it."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import hilum
from hilum.core.errors import ConfigError
from hilum.core.estimate import Estimate
from hilum.image.perturb import PERTURBATIONS
from hilum.judge.audit.limits import AuditLimits
from hilum.judge.audit.material import Material
from hilum.judge.audit.report import reasons
from hilum.judge.audit.schema import AuditVerdict, Overall, at_least, at_most
from hilum.judge.audit.suite import TESTS, choose_tests, judge, overall, variants_of
from hilum.judge.predictions import check_predictions

N = 240
TRUTH = np.arange(N) % 2
EAST = np.arange(N) % 4 < 2
RNG = np.random.default_rng(0)
GOOD = np.clip(0.25 + 0.5 * TRUTH + RNG.normal(0, 0.12, N), 0, 1)
CHANCE = np.clip(GOOD * 0.9 + 0.05, 0, 1)
NOISE = RNG.random(N)


def material(
    variants=None, *, limits=None, embedding=None, loso=None, learned=("east",), **columns
):
    table = {
        "case_id": [f"c{i}" for i in range(N)],
        "label": "covid-19",
        "truth": TRUTH,
        "score": GOOD,
        "probability": np.clip(TRUTH * 0.9 + 0.05, 0, 1),
        "cohort": "made",
        "source": np.where(EAST, "east", "west"),
        "nuisance_a": RNG.random(N),
        "nuisance_b": RNG.random(N),
    }
    return Material(
        check_predictions(pd.DataFrame(table | columns)),
        0.5,
        limits=limits or AuditLimits(),
        variants=variants or {},
        embedding=embedding,
        loso=loso,
        learned=None if learned is None else frozenset(learned),
        folds=100,
    )


def verdict(name, made):
    return judge(made, [name])[0].verdict


LEAKS = np.clip(GOOD + np.where(EAST, 0.2, -0.2), 0, 1)
SOURCE_TRUTH = np.where(RNG.random(N) < 0.85, EAST, ~EAST).astype(int)
AGES = np.where(np.arange(N) // 4 % 2, 30.0, 70.0)
PORTABLE = np.where(np.arange(N) // 8 % 2, "AP supine", "AP")
CALLS_WEST = np.where(~EAST & (TRUTH == 0), 0.9, GOOD)

FAULTS = {
    "informative": ({"score": NOISE}, {}),
    "source": ({"truth": SOURCE_TRUTH, "score": np.where(EAST, 0.6, 0.3) + NOISE / 50}, {}),
    "nuisance": ({"nuisance_a": GOOD + RNG.normal(0, 0.01, N)}, {}),
    "sources": ({"score": np.where(EAST & (TRUTH == 0), 0.9, GOOD)}, {}),
    "subgroups": (
        {"score": np.where((AGES > 60) & (TRUTH == 1), 0.1, GOOD), "age_years": AGES},
        {"age_years": AGES},
    ),
    "ward": ({"score": CALLS_WEST, "view": PORTABLE}, {"view": PORTABLE}),
    "tuberculosis": ({"score": CALLS_WEST, "tuberculosis": 1.0}, {"tuberculosis": 1.0}),
    "calibration": ({"probability": np.clip(GOOD + 0.3, 0, 1)}, {}),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_planted_fault_of_the_scores_fails_its_test_and_nothing_else_is_needed(name):
    bad, good = FAULTS[name]
    assert verdict(name, material(**bad)) is AuditVerdict.FAIL
    assert verdict(name, material(**good)) is AuditVerdict.PASS


FLIPPED = np.where(np.arange(N) % 4 == 0, 1 - GOOD, GOOD)
HIDDEN = np.where(TRUTH, GOOD - 0.3, np.nan)
PIXEL_FAULTS = {
    "opacity-hidden": (
        {"opacity-hidden": CHANCE, "lung-hidden": CHANCE},
        {"opacity-hidden": HIDDEN, "lung-hidden": CHANCE},
    ),
    "lungs-removed": ({"lungs-removed": GOOD}, {"lungs-removed": NOISE}),
    "lungs-only": ({"lungs-only": NOISE}, {"lungs-only": GOOD}),
    "border": ({"border": FLIPPED}, {"border": CHANCE}),
    "corners": ({"corners": FLIPPED}, {"corners": CHANCE}),
    "marker": (
        {"marker-portable": GOOD, "marker-r": FLIPPED, "ecg-lead": GOOD},
        {"marker-portable": GOOD, "marker-r": CHANCE, "ecg-lead": GOOD},
    ),
    "polarity": ({"inverted": FLIPPED}, {"inverted": np.full(N, np.nan)}),
    "crop": ({"cropped": FLIPPED}, {"cropped": CHANCE}),
    "jpeg": ({"jpeg": FLIPPED}, {"jpeg": CHANCE}),
    "resize": ({"resized": FLIPPED}, {"resized": CHANCE}),
}


@pytest.mark.parametrize("name", PIXEL_FAULTS)
def test_a_planted_fault_of_the_pixels_fails_its_test(name):
    bad, good = PIXEL_FAULTS[name]
    assert verdict(name, material(bad)) is AuditVerdict.FAIL
    assert verdict(name, material(good)) is AuditVerdict.PASS
    assert verdict(name, material()) is AuditVerdict.NOT_RUN


def test_every_test_has_a_planted_fault_or_a_test_of_its_own():
    elsewhere = {"embedding", "loso", "evidence"}
    assert {*FAULTS, *PIXEL_FAULTS, *elsewhere} == set(TESTS)


def test_an_embedding_that_names_the_source_fails():
    blind = np.random.default_rng(3).normal(size=(N, 8))
    tells = blind + EAST[:, None] * 3
    assert verdict("embedding", material(embedding=tells)) is AuditVerdict.FAIL
    found = judge(material(embedding=blind), ["embedding"])[0]
    assert found.verdict is AuditVerdict.PASS
    assert 0.4 < found.shown.measured.value < 0.62


def test_leave_one_source_out_compares_the_same_films():
    away = pd.DataFrame({"case_id": [f"c{i}" for i in range(N)], "truth": TRUTH, "score": NOISE})
    found = judge(material(loso=away), ["loso"])[0]
    assert found.verdict is AuditVerdict.FAIL
    assert found.shown.measured.value > 0.3
    assert verdict("loso", material(loso=away.assign(score=GOOD))) is AuditVerdict.PASS


@pytest.mark.parametrize("name", ["ward", "tuberculosis"])
def test_films_of_a_source_left_out_are_those_of_no_source_and_no_cohort_learned_from(name):
    kind = {"view": PORTABLE, "tuberculosis": 1.0, "score": CALLS_WEST}
    found = judge(material(**kind), [name])[0]
    assert found.shown.measured.value == 1
    assert found.shown.measured.n == ((TRUTH == 0) & ~EAST).sum()
    assert [row.name for row in found.rows] == ["west"]
    for learned, said in ((("made",), "0 of 120"), (None, "nobody says")):
        found = judge(material(learned=learned, **kind), [name])[0]
        assert found.verdict is AuditVerdict.NOT_RUN
        assert said in found.said
    assert "has no" in judge(material(), [name])[0].said


def test_films_of_a_source_learned_from_count_by_a_model_that_left_it_out():
    ids = [f"c{i}" for i in range(N)]
    calls = pd.DataFrame({"case_id": ids, "truth": TRUTH, "score": 0.9})
    found = judge(material(loso=calls, view=PORTABLE), ["ward"])[0]
    assert found.shown.measured.value == 0.5
    assert "60 were scored by models that never saw their source" in found.said
    found = judge(material(loso=calls, view=PORTABLE, learned=None), ["ward"])[0]
    assert found.shown.measured.value == 1


def test_children_are_no_ward_of_adults():
    for columns in ({"age_years": 5.0}, {"note": "child of 1 to 5 years"}):
        found = judge(material(view=PORTABLE, **columns), ["ward"])[0]
        assert found.verdict is AuditVerdict.NOT_RUN
        assert "has no portable" in found.said


def test_a_fall_by_any_fill_is_no_fall_by_the_opacity():
    everywhere = {"opacity-hidden": HIDDEN, "lung-hidden": HIDDEN}
    assert verdict("opacity-hidden", material(everywhere)) is AuditVerdict.FAIL
    alone = {"opacity-hidden": HIDDEN, "lung-hidden": np.full(N, np.nan)}
    found = judge(material(alone), ["opacity-hidden"])[0]
    assert found.verdict is AuditVerdict.NOT_RUN
    assert "for comparison" in found.said
    alone["opacity-hidden"] = GOOD
    assert (
        verdict("opacity-hidden", material(alone)) is AuditVerdict.FAIL
    )  # that needs no comparison
    few = {"opacity-hidden": np.where(np.arange(N) < 9, HIDDEN, np.nan), "lung-hidden": CHANCE}
    found = judge(material(few), ["opacity-hidden"])[0]
    assert found.verdict is AuditVerdict.NOT_RUN
    assert "expected at least 10" in found.said


def test_evidence_in_the_lungs_is_compared_with_their_area():
    called = np.full(N, 0.8)
    for share, expected in ((0.3, AuditVerdict.FAIL), (0.6, AuditVerdict.PASS)):
        made = material(score=called)
        made = Material(
            made.table, 0.5, evidence=np.full(N, share) + NOISE / 100, lung_area=np.full(N, 0.3)
        )
        found = judge(made, ["evidence"])[0]
        assert found.verdict is expected
        assert found.shown.measured.value == pytest.approx(share / 0.3, rel=0.05)


def test_a_limit_that_is_changed_changes_the_verdict():
    variants = {"jpeg": FLIPPED}
    assert verdict("jpeg", material(variants)) is AuditVerdict.FAIL
    generous = AuditLimits(stability_flips=0.5)
    assert verdict("jpeg", material(variants, limits=generous)) is AuditVerdict.PASS


def test_the_overall_verdict():
    names = ["informative", "lungs-removed", "jpeg"]
    variants = {"lungs-removed": NOISE, "jpeg": CHANCE}
    assert overall(judge(material(variants), names))[0] is Overall.PASS
    assert overall(judge(material(variants | {"jpeg": FLIPPED}), names))[0] is Overall.FAIL
    assert overall(judge(material(variants, score=NOISE), names))[0] is Overall.UNINFORMATIVE
    assert overall(judge(material({"jpeg": CHANCE}), names))[0] is Overall.INCOMPLETE


def test_a_source_alone_is_compared_with_no_other():
    alone = material(source="east", cohort="made")
    found = judge(alone, ["source"])[0]
    assert found.verdict is AuditVerdict.NOT_RUN
    assert found.said.startswith("all films are of one source")


@pytest.mark.parametrize("learned", [("north",), None])
def test_films_of_sources_left_out_are_not_compared_with_themselves(learned):
    scores = pd.DataFrame({"case_id": [f"c{i}" for i in range(N)], "truth": TRUTH, "score": GOOD})
    left = check_predictions(scores.assign(label="covid-19"))
    found = judge(material(loso=left, learned=learned), ["loso"])[0]
    assert (found.verdict is AuditVerdict.NOT_RUN) == (learned is not None)
    assert ("no film is of a source that the model learned from" in found.said) == bool(learned)


@pytest.mark.parametrize(
    ("source", "where"),
    [
        (np.where(EAST, "east", "west"), "between films of one source"),
        ([f"s{i}" for i in range(N)], "on these films, pooled"),
    ],
)
def test_uninformative_says_between_which_films(source, where):
    outcomes = judge(material(source=source, cohort="", score=NOISE), ["informative", "source"])
    found, said = overall(outcomes)
    assert found is Overall.UNINFORMATIVE
    assert outcomes[0].said in " ".join(said)
    assert where in outcomes[0].said


def test_where_no_source_has_both_classes_nothing_is_decided():
    apart = material(source=np.where(TRUTH == 1, "clinic", "screening"))
    for name in ("informative", "source"):
        found = judge(apart, [name])[0]
        assert found.verdict is AuditVerdict.NOT_RUN
        assert "source" in found.said


def test_too_few_films_decide_nothing():
    wide = Estimate(value=0.6, low=0.1, high=0.9, n=9)
    assert at_most("x", wide, 0.5).passed is None
    assert at_least("x", wide, 0.95).passed is False
    worst = Estimate(value=0.2, low=0.05, high=0.3, n=20)
    assert at_most("x", worst, 0.1).passed is False
    assert at_most("x", worst, 0.1, by_interval=True).passed is True


def test_names_of_tests_and_their_perturbations():
    assert choose_tests([]) == tuple(TESTS)
    assert choose_tests(["jpeg", "source"]) == ("source", "jpeg")
    with pytest.raises(ConfigError, match="no test 'jpg'") as raised:
        choose_tests(["jpg"])
    assert "jpeg" in raised.value.hint
    assert set(variants_of(TESTS)) == set(PERTURBATIONS)


def test_every_limit_has_a_reason_and_is_used():
    assert set(reasons()) == set(AuditLimits.model_fields)
    assert all(len(why) > 40 for why in reasons().values())
    room = Path(hilum.__file__).parent / "judge" / "audit"
    code = "".join(p.read_text() for p in room.glob("*.py") if p.name != "limits.py")
    for name in AuditLimits.model_fields:
        assert re.search(rf"\.{name}\b|\"{name}\"", code), name
