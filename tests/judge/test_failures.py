from __future__ import annotations

import pandas as pd

from hilum.judge.evaluation import worst_failures


def test_the_surest_wrong_readings_come_first() -> None:
    known = pd.DataFrame(
        {
            "case_id": list("abcdef"),
            "source": "s",
            "truth": [1.0, 1.0, 0.0, 0.0, 0.0, 1.0],
            "score": [0.1, 0.15, 0.99, 0.3, 0.1, 0.9],
        }
    )
    found = worst_failures(known, 0.2)
    # c: 0.79 of 0.8 above; a: half the way down; b: a quarter; d: an eighth of the way up
    assert [film.case_id for film in found] == ["c", "a", "b", "d"]
    assert [film.truth for film in found] == [0, 1, 1, 0]
    assert [film.case_id for film in worst_failures(known, 0.2, listed=1)] == ["c"]
    assert worst_failures(known.iloc[4:], 0.2) == ()
    assert worst_failures(known, 0.0)[0].score == 0.99  # a threshold at the edge divides by nothing
