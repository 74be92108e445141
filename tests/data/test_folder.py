"""Finding the images that a table names."""

from __future__ import annotations

import pytest
from PIL import Image

from hilum.core.csvtable import read_table
from hilum.core.errors import CohortError
from hilum.data.folder import Folder
from hilum.data.header import image_size


@pytest.fixture
def folder(tmp_path):
    for name in ("a.PNG", "b.jpeg", "c.png", "c.jpg", "deep/d.png", "masks/e.png", "t.csv"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"")
    return Folder(tmp_path, but=("masks",))


def test_names_are_found_in_spite_of_case_and_extension(folder):
    assert folder.find("c.png", "row 1").name == "c.png"
    assert folder.find("a.png", "row 2").name == "a.PNG"
    assert folder.find("b.jpg", "row 3").name == "b.jpeg"
    assert folder.find("d", "row 4").name == "d.png"
    assert folder.resolved == ["a.png -> a.PNG", "b.jpg -> b.jpeg"]
    assert [path.name for path in folder.left()] == ["c.jpg"]


def test_what_is_ambiguous_or_absent_is_missing(folder):
    assert folder.find("c.bmp", "row 1") is None
    assert folder.find("e.png", "row 2") is None
    assert folder.find("volumes/x.nii.gz", "row 3") is None
    assert folder.ambiguous == ["row 1: c.bmp: is it c.jpg or c.png?"]
    assert folder.missing == ["row 2: e.png", "row 3: volumes/x.nii.gz"]


def test_dots_inside_a_name_are_no_extension(tmp_path):
    (tmp_path / "CR.1.2.840.png").write_bytes(b"")
    (tmp_path / "CR.1.2.841.png").write_bytes(b"")
    folder = Folder(tmp_path)
    assert folder.find("CR.1.2.841", "row 1").name == "CR.1.2.841.png"
    assert folder.find("CR.1.2.999", "row 2") is None


def test_size_comes_from_the_header(tmp_path):
    Image.new("L", (30, 20)).save(tmp_path / "a.png")
    assert image_size(tmp_path / "a.png") == (30, 20)
    (tmp_path / "b.png").write_bytes(b"no picture")
    with pytest.raises(CohortError, match=r"b\.png: size cannot be read"):
        image_size(tmp_path / "b.png")


def test_a_table_is_stripped_text_and_names_what_it_lacks(tmp_path):
    (tmp_path / "t.csv").write_text("﻿a,b\n 1 ,NA\n", encoding="utf-8")
    assert read_table(tmp_path / "t.csv").to_dict("records") == [{"a": "1", "b": "NA"}]
    with pytest.raises(CohortError, match="no column z; found a, b"):
        read_table(tmp_path / "t.csv", ("z",))
    with pytest.raises(CohortError, match="No such file"):
        read_table(tmp_path / "none.csv")
