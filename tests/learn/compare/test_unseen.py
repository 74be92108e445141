"""Which prediction of a film decisions are fitted on."""

from __future__ import annotations

import pandas as pd

from hilum.learn.compare.grid import Entry
from hilum.learn.compare.join import EntryAnswer
from hilum.learn.compare.unseen import unseen


def table(films: dict[str, int], score: float) -> pd.DataFrame:
    return pd.DataFrame(
        {"case_id": list(films), "label": "covid-19", "truth": films.values(), "score": score}
    )


def test_a_source_that_holds_most_of_a_class_is_answered_by_cross_validation() -> None:
    small = {f"small/{i}": i % 2 for i in range(8)}
    large = {f"large/{i}": 0 for i in range(12)}
    other = {f"other/{i}": 1 for i in range(5)}
    left = [
        (films, Entry(names=(name,))) for films, name in ((small, "s"), (large, "l"), (other, "o"))
    ]
    answers = {entry: EntryAnswer(table({}, 0), table(films, 0.1)) for films, entry in left}
    everything = small | large | other
    answers[Entry(names=(), fold=1)] = EntryAnswer(table({}, 0), table(everything, 0.9))
    found = unseen(answers).set_index("case_id")
    assert sorted(found.index) == sorted(everything)
    # 12 of 16 negatives are of "large", 5 of 9 positives of "other"
    for case_id, row in found.iterrows():
        source = str(case_id).startswith("small")
        assert (row["left_out"], row["score"]) == (("source", 0.1) if source else ("patient", 0.9))
