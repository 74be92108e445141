"""Unseen means: nobody of whom the network learned from a film."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from hilum.apps.unseen import (
    in_sample,
    opacity_films,
    seen_patients,
    unseen_marks,
)
from hilum.bundle.folder import DEFAULT_BUNDLE, open_bundle
from hilum.bundle.opacities import OpacitySegmenter, OpacitySpec
from hilum.bundle.seen import WEIGHTS, find_seen

TEACHER = Path(__file__).parents[2] / "recipes" / "teacher"


@pytest.fixture
def table() -> pd.DataFrame:
    """Two films of one patient, one of a patient linked with it, one of nobody known, another."""
    return pd.DataFrame(
        {
            "case_id": ["a", "b", "c", "d", "e"],
            "patient_id": ["p", "p", "q", "", "r"],
            "group": ["p", "p", "p", "", ""],
        }
    )


def test_films_of_the_same_patient_are_seen(table: pd.DataFrame) -> None:
    assert seen_patients(table, {"a"}).tolist() == [True, True, True, False, False]
    assert seen_patients(table, ["d", "not here"]).tolist() == [False, False, False, True, False]
    assert not seen_patients(table, ()).any()


def test_films_without_a_patient_are_not_one_patient(table: pd.DataFrame) -> None:
    nobody = table.assign(patient_id="", group=float("nan"))
    assert seen_patients(nobody, {"a"}).tolist() == [True, False, False, False, False]


def test_what_a_bundle_says_of_its_training(tmp_path: Path) -> None:
    splits = pd.read_csv(DEFAULT_BUNDLE / "splits.csv")
    films = open_bundle().seen(splits[["case_id"]]).counted(WEIGHTS)
    assert len(films) == (splits["split"] == "train").sum()
    assert not find_seen(tmp_path, "silent", splits).learned


def test_an_opacity_network_names_the_films_that_it_learned_from() -> None:
    spec = OpacitySegmenter(TEACHER).spec
    named = set(spec.made["trained_on"])
    assert opacity_films(spec) == named
    silent = OpacitySpec(preprocess=spec.preprocess, thresholds=spec.thresholds)
    assert opacity_films(silent) is None


def test_a_film_is_unseen_by_patient(table: pd.DataFrame) -> None:
    spec = OpacitySegmenter(TEACHER).spec
    spec = spec.model_copy(update={"made": {"trained_on": ["a"]}})
    seen = open_bundle().seen(table)
    marks = unseen_marks(table, seen, spec)
    assert [part.tolist() for part in marks.values()] == [
        [True] * 5,
        [False, False, False, True, True],
    ]
    assert in_sample(table, spec) == {"a"}
    silent = spec.model_copy(update={"made": {}})
    masked = table.assign(lesion_masks=["", "", "", "{}", ""])
    assert in_sample(masked, silent) == {"d"}
