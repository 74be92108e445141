"""COCO: the boxes of a cases table as detection JSON, which every detector's tools read, and back.

The format of cocodataset.org (Lin et al., ECCV 2014): ``images``, ``categories``, ``annotations``
with ``bbox`` = [x, y, width, height] in pixels of the file. An image carries its ``case_id``.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hilum.core.csvtable import plain
from hilum.core.errors import CohortError
from hilum.core.files import write_text
from hilum.core.labels import Label
from hilum.core.textfile import read_json
from hilum.data.header import image_size

Coco = dict[str, Any]
"""``images``, ``categories`` and ``annotations``."""


def to_coco(
    cases: pd.DataFrame,
    labels: Sequence[str] = (Label.LUNG_OPACITY.value,),
    *,
    size_of: Callable[[Path], tuple[int, int]] | None = None,
) -> Coco:
    """Return the boxes of some labels.

    COCO cannot say "unknown": an image without an annotation is one without an object. So a film
    is taken only where every label is settled: it has a box of the label, or the label is 0. A
    film with the label and no box says nothing of where, and is left out.

    Args:
        cases: a cases table.
        labels: names of boxes; they become the categories, counted from 1.
        size_of: from a file to (width, height) in pixels; None reads the header.

    Raises:
        CohortError: no film has such a box, or a film cannot be opened.
    """
    kept = cases[_all_settled(cases, labels)]
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for number, (case_id, path, boxes) in enumerate(
        zip(kept["case_id"], kept["path"], kept["boxes"], strict=True), start=1
    ):
        width, height = (size_of or image_size)(Path(path))
        image = {"id": number, "file_name": path, "case_id": case_id}
        images.append(image | {"width": width, "height": height})
        for box in (box for box in _boxes(boxes) if box["label"] in labels):
            annotations.append(_annotation(len(annotations) + 1, number, box, labels))
    if not annotations:
        known = _known(cases)
        raise CohortError(
            f"no film has a box '{', '.join(labels)}'",
            hint=f"boxes there are: {known}" if known else "no film of the table has any box",
        )
    categories = [{"id": place, "name": name} for place, name in enumerate(labels, start=1)]
    return {"images": images, "categories": categories, "annotations": annotations}


def from_coco(coco: Mapping[str, Any], where: str = "COCO") -> dict[str, list[dict[str, Any]]]:
    """Return the boxes of each image as the column ``boxes`` has them, by case.

    Args:
        coco: as ``to_coco`` makes it; an image without ``case_id`` goes by its file's name.
        where: what to call it in an error.

    Returns:
        case_id -> [{"label", "x", "y", "width", "height"}]; images without a box too.

    Raises:
        CohortError: a part is missing, or an annotation names an image or category that is not
            there.
    """
    try:
        names = _by_id(coco["categories"], "category", lambda each: each["name"])
        cases = _by_id(coco["images"], "image", _case_of)
        found: dict[str, list[dict[str, Any]]] = {case: [] for case in cases.values()}
        for each in coco["annotations"]:
            x, y, width, height = _sides(each["bbox"])
            box = {"label": names[each["category_id"]], "x": x, "y": y}
            found[cases[each["image_id"]]].append(box | {"width": width, "height": height})
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise CohortError(
            f"{where}: not COCO detection JSON: {type(error).__name__} {error}",
            hint="expected images, categories, and annotations with image_id, category_id, bbox",
        ) from None
    return found


def labels_of(coco: Mapping[str, Any]) -> list[str]:
    """Return the names of the categories of what ``from_coco`` has read."""
    return [str(each["name"]) for each in coco["categories"]]


def detections_of(
    results: Sequence[Mapping[str, Any]], coco: Mapping[str, Any] | None, where: str = "COCO"
) -> dict[str, tuple[list[list[float]], list[float]]]:
    """Return what a detector found, by case.

    Args:
        results: COCO results: [{"image_id", "bbox", "score"}, ...].
        coco: in whose images ``image_id`` counts; None: each result has a ``case_id``, or its
            ``image_id`` is one.
        where: what to call the results in an error.

    Returns:
        case_id -> (boxes x, y, width, height in pixels of the film; their scores).

    Raises:
        CohortError: a part is missing, or an image that ``coco`` does not have.
    """
    found: dict[str, tuple[list[list[float]], list[float]]] = {}
    try:
        names = coco and _by_id(coco["images"], "image", _case_of)
        for each in results:
            number = each["image_id"]
            case = names[number] if names else plain(str(each.get("case_id", number)))
            x, y, width, height = _sides(each["bbox"])
            boxes, scores = found.setdefault(case, ([], []))
            boxes.append([x, y, width, height])
            scores.append(float(each["score"]))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise CohortError(
            f"{where}: not COCO results: {type(error).__name__} {error}",
            hint="expected a list of objects with image_id, bbox and score",
        ) from None
    return found


def with_boxes(
    cases: pd.DataFrame,
    boxes: Mapping[str, Sequence[Mapping[str, Any]]],
    labels: Iterable[str] = (),
) -> pd.DataFrame:
    """Return a copy of a cases table in which the films of ``boxes`` carry those boxes.

    Args:
        cases: a cases table.
        boxes: case_id -> its boxes.
        labels: whose boxes were looked for on these films, so that none means that there is none.

    Returns:
        The table; on the films of ``boxes``, boxes of ``labels`` and of labels that ``boxes`` has
        are replaced, others are kept.

    Raises:
        CohortError: a case that the table does not have.
    """
    if strange := sorted(boxes.keys() - set(cases["case_id"])):
        raise CohortError(
            f"case_id '{strange[0]}' is not in the table ({len(strange)} such)",
            hint="images are joined by case_id",
        )
    known = {box["label"] for each in boxes.values() for box in each}.union(labels)

    def joined(case_id: str, old: str) -> str:
        kept = [box for box in _boxes(old) if case_id not in boxes or box["label"] not in known]
        together = [*kept, *(dict(box) for box in boxes.get(case_id, ()))]
        return json.dumps(together) if together else ""

    pairs = zip(cases["case_id"], cases["boxes"], strict=True)
    return cases.assign(boxes=[joined(case_id, old) for case_id, old in pairs])


def read_coco(path: Path) -> Any:
    """Read a JSON file of COCO: annotations or detections.

    Raises:
        CohortError: no such file, or no JSON (see ``hilum.core.textfile.read_json``).
    """
    return read_json(path, CohortError)


def write_coco(coco: Any, path: Path) -> None:
    """Write annotations or detections, whole or not at all; paths beneath its folder relative."""
    folder = f"{path.resolve().parent}/"
    if isinstance(coco, dict):
        images = [
            image | {"file_name": str(image["file_name"]).removeprefix(folder)}
            for image in coco["images"]
        ]
        coco = coco | {"images": images}
    write_text(path, json.dumps(coco, allow_nan=False) + "\n")


def boxed(cases: pd.DataFrame, label: str) -> pd.DataFrame:
    """Return the films on which it is settled where ``label`` is: boxes drawn, or known absent."""
    return cases[_all_settled(cases, [label])].reset_index(drop=True)


def boxes_in(case_boxes: str, label: str) -> list[tuple[float, float, float, float]]:
    """Return the boxes of one label from the column ``boxes``: (x, y, width, height) in pixels.

    >>> boxes_in('[{"label": "mass", "x": 1, "y": 2, "width": 3, "height": 4}]', "mass")
    [(1.0, 2.0, 3.0, 4.0)]
    """
    return [
        (float(box["x"]), float(box["y"]), float(box["width"]), float(box["height"]))
        for box in _boxes(case_boxes)
        if box["label"] == label
    ]


def _by_id(listed: Iterable[Any], kind: str, name_of: Callable[[Any], Any]) -> dict[Any, str]:
    """Return id -> name; two things of one id or name would become one."""
    pairs = [(each["id"], plain(str(name_of(each)))) for each in listed]
    for place, what in enumerate(("id", "name")):
        again = pd.Series([pair[place] for pair in pairs], dtype=object).duplicated()
        if again.any():
            raise ValueError(f"{kind} {what} {pairs[int(again.argmax())][place]!r} stands twice")
    return dict(pairs)


def _case_of(image: Mapping[str, Any]) -> str:
    return str(image.get("case_id", image["file_name"]))


def _sides(box: Iterable[Any]) -> tuple[float, ...]:
    sides = tuple(float(side) for side in box)
    if not np.isfinite(sides).all() or min(sides[2:], default=0) < 0:
        raise ValueError(f"bbox {sides}")
    return sides


def _all_settled(cases: pd.DataFrame, labels: Sequence[str]) -> NDArray[np.bool_]:
    return np.array([_settled(case, labels) for case in cases.to_dict("records")], bool)


def _settled(case: Mapping[Any, Any], labels: Sequence[str]) -> bool:
    drawn = {box["label"] for box in _boxes(case["boxes"])}
    return all(label in drawn or case.get(label) == 0 for label in labels)


def _annotation(
    number: int, image: int, box: Mapping[str, Any], labels: Sequence[str]
) -> dict[str, Any]:
    return {
        "id": number,
        "image_id": image,
        "category_id": list(labels).index(box["label"]) + 1,
        "bbox": [box["x"], box["y"], box["width"], box["height"]],
        "area": box["width"] * box["height"],
        "iscrowd": 0,
    }


def _boxes(text: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(text) if text else []
    return found


def _known(cases: pd.DataFrame) -> str:
    return ", ".join(sorted({box["label"] for text in cases["boxes"] for box in _boxes(text)}))
