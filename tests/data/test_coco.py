"""COCO: what goes out comes back; what is not settled stays at home."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hilum.core.errors import CohortError
from hilum.data.coco import (
    boxed,
    boxes_in,
    from_coco,
    labels_of,
    read_coco,
    to_coco,
    with_boxes,
    write_coco,
)
from hilum.data.table import arrange

LABELS = ("lung-opacity", "nodule")
side = st.floats(0.1, 300, allow_nan=False).map(lambda value: round(value, 1))
box = st.builds(
    lambda label, x, y, width, height: {
        "label": label,
        "x": x,
        "y": y,
        "width": width,
        "height": height,
    },
    st.sampled_from(LABELS),
    *[side] * 4,
)


def table(boxes, **labels) -> pd.DataFrame:
    rows = [
        {"case_id": f"made/{i}", "path": f"/films/{i}.png", "cohort": "made", "source": "made"}
        | {"patient_id": f"made/{i}", "boxes": json.dumps(each) if each else ""}
        | {name: values[i] for name, values in labels.items()}
        for i, each in enumerate(boxes)
    ]
    return arrange(pd.DataFrame(rows))


def export(cases: pd.DataFrame, *labels: str):
    return to_coco(cases, labels or LABELS[:1], size_of=lambda _: (300, 400))


OPACITY = {"label": "lung-opacity", "x": 1.5, "y": 2.0, "width": 30.0, "height": 40.0}
NODULE = {"label": "nodule", "x": 5.0, "y": 6.0, "width": 7.0, "height": 8.0}


@settings(max_examples=60, deadline=None)
@given(boxes=st.lists(st.lists(box, max_size=4), min_size=1, max_size=5))
def test_what_goes_out_comes_back(boxes) -> None:
    cases = table(boxes, **{label: [0.0] * len(boxes) for label in LABELS})
    if not any(boxes):
        with pytest.raises(CohortError, match="no film has a box"):
            export(cases, *LABELS)
        return
    coco = json.loads(json.dumps(export(cases, *LABELS)))
    assert from_coco(coco) == {f"made/{i}": each for i, each in enumerate(boxes)}
    stripped = cases.assign(boxes="")
    back = with_boxes(stripped, from_coco(coco))["boxes"]
    assert list(back) == list(cases["boxes"])


def test_a_film_whose_boxes_are_not_known_is_left_out() -> None:
    cases = table([[OPACITY], [], [], []], **{"lung-opacity": [1.0, 0.0, 1.0, float("nan")]})
    assert [image["case_id"] for image in export(cases)["images"]] == ["made/0", "made/1"]
    assert list(boxed(cases, "lung-opacity")["case_id"]) == ["made/0", "made/1"]


def test_it_is_what_coco_tools_read() -> None:
    coco_module = pytest.importorskip("pycocotools.coco")
    coco = export(table([[OPACITY, NODULE], []], **{"lung-opacity": [1.0, 0.0]}))
    index = coco_module.COCO()
    index.dataset = coco
    index.createIndex()
    (image,) = index.loadImgs([1])
    assert (image["width"], image["height"], image["case_id"]) == (300, 400, "made/0")
    (annotation,) = index.loadAnns(index.getAnnIds(imgIds=[1]))
    assert annotation["bbox"] == [1.5, 2.0, 30.0, 40.0]
    assert annotation["area"] == 1200
    assert index.getAnnIds(imgIds=[2]) == []


def test_paths_beneath_the_file_become_relative(tmp_path: Path) -> None:
    cases = table([[OPACITY]]).assign(path=str(tmp_path / "films" / "a.png"))
    write_coco(export(cases), tmp_path / "coco.json")
    stored = read_coco(tmp_path / "coco.json")
    assert stored["images"][0]["file_name"] == "films/a.png"
    assert from_coco(stored) == {"made/0": [OPACITY]}


def test_import_replaces_boxes_of_its_labels_and_keeps_the_others() -> None:
    cases = table([[OPACITY, NODULE], [NODULE]])
    other = OPACITY | {"x": 9.0}
    merged = with_boxes(cases, {"made/0": [other]})
    assert json.loads(merged["boxes"][0]) == [NODULE, other]
    assert json.loads(merged["boxes"][1]) == [NODULE]
    assert boxes_in(merged["boxes"][0], "lung-opacity") == [(9.0, 2.0, 30.0, 40.0)]
    with pytest.raises(CohortError, match="'made/7' is not in the table"):
        with_boxes(cases, {"made/7": []})


def test_import_clears_a_film_whose_boxes_were_all_deleted() -> None:
    cases = table([[OPACITY, NODULE], [OPACITY]], **{"lung-opacity": [1.0, 1.0]})
    coco = export(cases)
    emptied = coco | {"annotations": coco["annotations"][1:]}  # of made/0
    merged = with_boxes(cases, from_coco(emptied), labels_of(emptied))
    assert json.loads(merged["boxes"][0]) == [NODULE]
    assert json.loads(merged["boxes"][1]) == [OPACITY]
    emptied = coco | {"annotations": []}  # of every film
    merged = with_boxes(cases, from_coco(emptied), labels_of(emptied))
    assert json.loads(merged["boxes"][0]) == [NODULE]
    assert merged["boxes"][1] == ""


def test_images_of_other_tools_go_by_file_name() -> None:
    coco = {
        "images": [{"id": 3, "file_name": "a.png"}],
        "categories": [{"id": 0, "name": "mass"}],
        "annotations": [{"id": 1, "image_id": 3, "category_id": 0, "bbox": [1, 2, 3, 4]}],
    }
    assert from_coco(coco)["a.png"][0]["label"] == "mass"


@pytest.mark.parametrize(
    "broken",
    [
        {},
        [],
        {"images": [], "categories": [], "annotations": [{"bbox": [1, 2, 3, 4]}]},
        {"images": [], "categories": [{"id": 1, "name": "x"}]}
        | {"annotations": [{"image_id": 9, "category_id": 1, "bbox": [1, 2, 3, 4]}]},
    ],
)
def test_what_is_no_coco_is_refused(broken) -> None:
    with pytest.raises(CohortError, match=r"made.json: not COCO"):
        from_coco(broken, "made.json")


@pytest.mark.parametrize(
    ("part", "twin"),
    [
        ("images", {"id": 4, "file_name": "a.png"}),
        ("images", {"id": 3, "file_name": "b.png"}),
        ("categories", {"id": 0, "name": "nodule"}),
        ("categories", {"id": 1, "name": "mass"}),
        ("annotations", {"image_id": 3, "category_id": 0, "bbox": [1, 2, 3, float("inf")]}),
        ("annotations", {"image_id": 3, "category_id": 0, "bbox": [1, 2, -3, 4]}),
    ],
)
def test_two_films_or_labels_never_become_one(part, twin) -> None:
    coco = {
        "images": [{"id": 3, "file_name": "a.png"}],
        "categories": [{"id": 0, "name": "mass"}],
        "annotations": [],
    }
    coco[part] = [*coco[part], twin]
    with pytest.raises(CohortError, match=r"not COCO detection JSON: ValueError"):
        from_coco(coco)


@pytest.mark.parametrize("text", ['{"a": 1, "a": 2}', '{"a": NaN}', "[" * 100_000])
def test_json_of_a_careless_program_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "c.json").write_text(text)
    with pytest.raises(CohortError, match=r"c\.json: not JSON"):
        read_coco(tmp_path / "c.json")
    (tmp_path / "c.json").write_text('{"images": []}', encoding="utf-8-sig")
    assert read_coco(tmp_path / "c.json") == {"images": []}


def test_files_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    with pytest.raises(CohortError, match="No such file"):
        read_coco(tmp_path / "gone.json")
    (tmp_path / "text.json").write_text("no json")
    with pytest.raises(CohortError, match="not JSON"):
        read_coco(tmp_path / "text.json")


@pytest.mark.real_data
def test_the_boxes_of_rsna_go_out(data_root: Path) -> None:
    from hilum.data.cohorts import read_cohort

    cases = read_cohort("nih-chestxray14", data_root / "nih-chestxray14").cases
    coco = to_coco(cases)
    assert len(coco["annotations"]) == 197
    assert len({each["image_id"] for each in coco["annotations"]}) == 130
    sizes = {image["id"]: (image["width"], image["height"]) for image in coco["images"]}
    for each in coco["annotations"]:
        x, y, width, height = each["bbox"]
        assert x + width <= sizes[each["image_id"]][0] + 0.2
        assert y + height <= sizes[each["image_id"]][1] + 0.2
