"""SIIM-FISABIO-RSNA: boxes, what "none" means, pictures that were made smaller."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image

from hilum.core.errors import CohortError
from hilum.data.cohorts import read_cohort

HEADER = "id,boxes,label,StudyInstanceUID"


def collection(root: Path, *rows: str, size: tuple[int, int] = (300, 200), meta: str = "") -> Path:
    (root / "train").mkdir(parents=True)
    (root / "train_image_level.csv").write_text("\n".join([HEADER, *rows]) + "\n")
    for row in rows:
        name = row.split("_image")[0]
        Image.new("L", size, 90).save(root / "train" / f"{name}.png")
    if meta:
        (root / "meta.csv").write_text(f"image_id,dim0,dim1,split\n{meta}\n")
    return root


def read(root: Path) -> pd.DataFrame:
    return read_cohort("siim-covid19", root).cases.set_index("case_id")


def test_boxes_are_read_from_words_never_evaluated(tmp_path: Path) -> None:
    root = collection(
        tmp_path / "siim",
        "a_image,\"__import__('os').abort()\",opacity 1 10 20 40 80 opacity 1 100 20.5 150 60,s1",
    )
    boxes = json.loads(read(root).loc["siim-covid19/a", "boxes"])
    assert [(box["x"], box["y"], box["width"], box["height"]) for box in boxes] == [
        (10, 20, 30, 60),
        (100, 20.5, 50, 39.5),
    ]
    assert {box["label"] for box in boxes} == {"lung-opacity"}


def test_none_is_no_opacity_unless_another_film_of_the_study_has_one(tmp_path: Path) -> None:
    cases = read(
        collection(
            tmp_path / "siim",
            "a_image,,opacity 1 10 20 40 80,s1",
            "b_image,,none 1 0 0 1 1,s1",
            "c_image,,none 1 0 0 1 1,s2",
        )
    )
    assert cases.loc["siim-covid19/a", "lung-opacity"] == 1
    assert pd.isna(cases.loc["siim-covid19/b", "lung-opacity"])
    assert cases.loc["siim-covid19/c", "lung-opacity"] == 0
    assert cases.loc["siim-covid19/c", "boxes"] == ""
    assert "covid-19" not in cases, "without a study table nothing is known"


def test_pictures_made_smaller_need_the_size_of_the_original(tmp_path: Path) -> None:
    row = "a_image,,opacity 1 1000 2000 1600 2800,s1"
    with pytest.raises(CohortError, match="row 2: a box reaches 1600, 2800") as caught:
        read(collection(tmp_path / "without", row))
    assert "meta.csv" in caught.value.hint
    cases = read(collection(tmp_path / "with", row, meta="a,4000,3000,train"))
    (box,) = json.loads(cases.loc["siim-covid19/a", "boxes"])
    assert (box["x"], box["y"], box["width"], box["height"]) == (100, 100, 60, 40)


@pytest.mark.parametrize(
    ("label", "message"),
    [
        ("opacity 1 10 20 40", "six words"),
        ("", "six words"),
        ("nodule 1 10 20 40 80", "expected opacity or none"),
        ("opacity 1 10 20 x 80", "expected a number"),
    ],
)
def test_what_cannot_be_read_is_named(tmp_path: Path, label: str, message: str) -> None:
    with pytest.raises(CohortError, match=message) as caught:
        read(collection(tmp_path / "siim", f"a_image,,{label},s1"))
    assert "row 2" in caught.value.message
