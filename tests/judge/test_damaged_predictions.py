"""Predictions that were damaged: read as they stand, or refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hilum.core.errors import CohortError
from hilum.judge.predictions import read_predictions, read_scores

SOUND = (
    b"case_id,label,truth,score,probability,patient_id,cohort,age_years,nuisance_mean\n"
    b"007,covid-19,1,0.9,0.8,NA,north,50,0.25\n"
    b"1e5,covid-19,0,0.125,0.25,null,north,,0.5\n"
)


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return tmp_path_factory.mktemp("predictions") / "p.csv"


def test_what_stands_there_is_read(path):
    path.write_bytes(SOUND)
    table = read_predictions(path)
    assert table["case_id"].tolist() == ["007", "1e5"]
    assert table["patient_id"].tolist() == ["NA", "null"]
    assert table["score"].tolist() == [0.9, 0.125]
    assert table["probability"].tolist() == [0.8, 0.25]
    assert table["nuisance_mean"].tolist() == [0.25, 0.5]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (b"0.125", b'"0,125"', "row 3, column score: '0,125'; expected a number"),
        (b"0.125", b"inf", "row 3, column score: 'inf'"),
        (b"score", b"Score", "column 'Score' is not known"),
        (b"patient_id", b"PatientID", "column 'PatientID' is not known"),
        (b"cohort", b"truth", "column 'truth' stands twice"),
        (b"north,50", b"north,50,1", "row 2: 10 cells; the header has 9"),
    ],
)
def test_what_is_wrong_is_named(path, old, new, said):
    path.write_bytes(SOUND.replace(old, new))
    with pytest.raises(CohortError) as caught:
        read_scores(path)
    assert said in caught.value.message


@given(data=st.data())
def test_damage_is_read_or_refused(path, data):
    start = data.draw(st.integers(0, len(SOUND)))
    end = start + data.draw(st.integers(0, 5))
    path.write_bytes(SOUND[:start] + data.draw(st.binary(max_size=4)) + SOUND[end:])
    try:
        table = read_predictions(path)
    except CohortError:
        return
    assert table["score"].between(0, 1).all()
    assert table["truth"].dropna().isin([0, 1]).all()
