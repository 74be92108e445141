"""What a reader finds beside what people drew: Dice, pooled, false opacity, and the picture."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from monai.metrics.meandice import compute_dice

from hilum.core.radiograph import Radiograph
from hilum.data.table import read_cases
from hilum.image.lungs import Lungs
from hilum.image.opacities import Opacities
from hilum.serve.drawn import ANY, Drawn
from hilum.serve.evaluate import predict
from hilum.serve.gate import CORRECTIONS
from hilum.serve.reader import load_bundle

SIDE = 64
WHOLE = Lungs(np.ones((SIDE, SIDE), bool), np.zeros(0, np.float32))


def film() -> Radiograph:
    return Radiograph(np.full((SIDE, SIDE), 0.5, np.float32), "film.png", "PNG", 8)


def blocks(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """What was drawn and what is found of both kinds, bool (2, S, S), overlapping in part."""
    random = np.random.default_rng(seed)
    drawn, found = np.zeros((2, 2, SIDE, SIDE), bool)
    for mask in (*drawn, *found):
        top, left = random.integers(0, SIDE // 2, 2)
        mask[top : top + 28, left : left + 28] = True
    return drawn, found


def opacities(found: np.ndarray) -> Opacities:
    return Opacities(found.astype(np.float32), (0.5, 0.5))


def outlined(folder: Path, name: str, masks: np.ndarray) -> dict[str, Any]:
    paths = {}
    for kind, mask in zip(("ground-glass", "consolidation"), masks, strict=True):
        paths[kind] = str(folder / f"{name}-{kind}.png")
        cv2.imwrite(paths[kind], 255 * mask.astype(np.uint8))
    return {"case_id": name, "lesion_masks": json.dumps(paths)}


def dice(one: np.ndarray, other: np.ndarray) -> float:
    pair = (torch.from_numpy(each).float()[None, None] for each in (one, other))
    return float(compute_dice(*pair))


def test_masks_of_a_film_that_the_gate_turned_are_not_compared(tmp_path: Path) -> None:
    told, (drawn, found) = Drawn(), blocks(1)
    turned = film().stepped(film().pixels, "corrected", f"{CORRECTIONS['upside-down'].done} (why)")
    told.add(outlined(tmp_path, "made-1", drawn), "p1", turned, WHOLE, opacities(found))
    assert told.rows == []
    (said,) = told.not_known
    assert "1 masks cannot be compared" in said
    assert "made-1: its film was turned before it was read" in said
    told.add({"case_id": "made-2", "no-finding": 1.0}, "p2", turned, WHOLE, opacities(found))
    assert len(told.rows) == 1  # a film without a finding has no mask to turn


def test_dice_is_that_of_monai_film_by_film_and_pooled(tmp_path: Path) -> None:
    told, pairs = Drawn(), [blocks(seed) for seed in range(5)]
    for place, (drawn, found) in enumerate(pairs):
        case = outlined(tmp_path, f"made/{place}".replace("/", "-"), drawn)
        told.add(case, f"p{place}", film(), WHOLE, opacities(found))
    for part, pick in (
        ("consolidation", lambda masks: masks[1]),
        (ANY, lambda masks: masks.any(0)),
    ):
        each = [dice(pick(drawn), pick(found)) for drawn, found in pairs]
        assert told.table[f"dice {part}"].tolist() == pytest.approx(each)
        numbers = told.summarize(folds=50)
        assert numbers[part].value == pytest.approx(np.mean(each))
        together = [np.stack([pick(pair[side]) for pair in pairs]) for side in (0, 1)]
        assert numbers[f"{part}, pooled"].value == pytest.approx(dice(*together))
        assert numbers[part].low < numbers[part].value < numbers[part].high
        assert numbers[part].n == 5


def test_a_kind_that_was_not_drawn_counts_where_films_are_pooled_alone(tmp_path: Path) -> None:
    drawn, found = blocks(1)
    told = Drawn()
    case = outlined(tmp_path, "a", drawn)
    glass = {
        "lesion_masks": json.dumps(
            {"ground-glass": json.loads(case["lesion_masks"])["ground-glass"]}
        )
    }
    told.add(case | glass, "p", film(), WHOLE, opacities(found))
    numbers = told.summarize(folds=0)
    assert "consolidation" not in numbers  # nobody drew it
    assert numbers["consolidation, pooled"].value == 0  # and it is found
    assert numbers["ground-glass"].value == pytest.approx(dice(drawn[0], found[0]))


def test_films_without_a_finding_say_what_is_found_for_nothing() -> None:
    told = Drawn()
    for place, wide in enumerate((0, 4, 32)):
        found = np.zeros((2, SIDE, SIDE), bool)
        found[0, :wide] = True
        told.add(
            {"case_id": f"{place}", "no-finding": 1.0}, f"{place}", film(), WHOLE, opacities(found)
        )
    shadow = {"case_id": "shadow", "no-finding": 1.0, "lung-opacity": 1.0}
    told.add(shadow, "x", film(), WHOLE, opacities(found))
    numbers = told.summarize(folds=20)
    assert numbers["opaque share of clear films"].value == pytest.approx((0 + 4 + 32) / 64 / 3)
    assert numbers["clear films over a tenth opaque"].value == pytest.approx(1 / 3)
    assert numbers["clear films over a tenth opaque"].n == 3


def test_masks_of_a_network_are_left_out_and_unreadable_ones_are_told(tmp_path: Path) -> None:
    drawn, _ = blocks(2)
    told = Drawn()
    for folder in ("by-hand", "lungVAE-masks"):
        (tmp_path / folder).mkdir()
        path = tmp_path / folder / "a.png"
        cv2.imwrite(str(path), 255 * drawn[0].astype(np.uint8))
        told.add({"case_id": folder, "lung_mask": str(path)}, folder, film(), WHOLE, None)
    assert told.table["case_id"].tolist() == ["by-hand"]
    assert told.summarize(folds=0)["lungs"].value == pytest.approx(
        dice(drawn[0], np.ones((SIDE, SIDE), bool))
    )
    told.add({"case_id": "gone", "lung_mask": str(tmp_path / "gone.png")}, "g", film(), WHOLE, None)
    assert len(told.rows) == 1
    said = f"1 masks cannot be compared; the first: {tmp_path}/gone.png: not a picture."
    assert told.not_known == (said,)


def test_the_picture_goes_from_the_worst_film_to_the_best(tmp_path: Path) -> None:
    told = Drawn()
    for seed in range(8):
        drawn, found = blocks(seed)
        told.add(outlined(tmp_path, f"{seed}", drawn), f"{seed}", film(), WHOLE, opacities(found))
    told.write(tmp_path)
    picture = cv2.imread(str(tmp_path / "drawn.png"))
    assert picture.shape == (346, 6 * 320, 3)
    assert len((tmp_path / "drawn.csv").read_text().splitlines()) == 9


def test_evaluation_compares_the_films_that_it_reads(
    small_bundle: Path, split_csv: Path, tmp_path: Path
) -> None:
    cases = read_cases(split_csv).iloc[:4].assign(lung_mask="")
    mask = np.zeros((64, 64), np.uint8)
    mask[10:50, 8:28] = mask[10:50, 36:56] = 255
    cv2.imwrite(str(tmp_path / "mask.png"), mask)
    height, width = cv2.imread(cases["path"].iloc[0], cv2.IMREAD_GRAYSCALE).shape
    cv2.imwrite(str(tmp_path / "mask.png"), cv2.resize(mask, (width, height)))
    cases.loc[cases.index[:2], "lung_mask"] = str(tmp_path / "mask.png")
    reader, told = load_bundle(small_bundle), Drawn()
    predict(reader, cases, ["covid-19"], nuisance=False, drawn=told)
    assert told.table["case_id"].tolist() == cases["case_id"].tolist()[:2]
    (one,) = reader.examine(cases["path"].iloc[:1])
    truth = Lungs.drawn(cv2.resize(mask, (width, height)) > 127, len(one.lungs.mask)).mask
    assert told.table["dice lungs"].iloc[0] == pytest.approx(dice(one.lungs.mask, truth), abs=0.02)
