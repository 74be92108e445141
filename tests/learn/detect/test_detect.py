"""A detector learns bright discs in a few steps, ends alike however often it is broken off."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import pytest
import torch

from hilum.core.errors import CohortError, ConfigError
from hilum.data.coco import detections_of, read_coco, to_coco
from hilum.data.table import arrange
from hilum.learn.augment import Augmentation, augment, augment_with_boxes, augment_with_planes
from hilum.learn.detect import fit
from hilum.learn.detect.backbone import Lite0Backbone, Lite0Config
from hilum.learn.detect.export import export_on
from hilum.learn.detect.films import Boxed, divide, on_film, open_boxed
from hilum.learn.detect.fit import CHECKPOINT, fit_detector, predict
from hilum.learn.detect.network import found_boxes, load_detector, make_detector
from hilum.learn.detect.recipe import DetectorNetwork, DetectorRecipe
from hilum.learn.detect.run import train_detector
from hilum.learn.networks.efficientnet_lite import lite

SIDE = 64
SMALL = DetectorNetwork(
    width=32, heads=2, layers=2, queries=8, denoising=4, imagenet=False, frozen_blocks=0
)


def recipe_of(**fit: Any) -> DetectorRecipe:
    values = {
        "data": {"cohorts": [{"name": "nih-chestxray14", "folder": "nih"}]},
        "split": {"kind": "folds", "folds": 2, "label": "lung-opacity"},
        "preprocess": {"size": SIDE, "channels": 3, "mean": 0.5, "std": 0.5}
        | {"low_percentile": "none", "high_percentile": "none"},
        "augmentation": Augmentation.off().model_dump() | {"shift": 0.05},
        "network": SMALL.model_dump(),
        "fit": {"epochs": 2, "batch_size": 4, "backbone_rate": 1.0} | fit,
    }
    return DetectorRecipe.parse(values, where="test")


def discs(films: int, seed: int = 0) -> Boxed:
    """Two bright squares on every second film, on grey noise."""
    random = np.random.default_rng(seed)
    squares = random.normal(80, 10, (films, SIDE, SIDE))
    boxes = []
    for square in squares[::2]:
        corner = random.integers([4, 8, 36, 8], [12, 32, 40, 32]).reshape(2, 2)
        both = np.hstack([corner, corner + 20])
        for left, top, right, bottom in both:
            square[top:bottom, left:right] += 120
        boxes += [torch.from_numpy((both / SIDE).astype(np.float32)), torch.zeros(0, 4)]
    cases = pd.DataFrame({"case_id": [f"made/{i}" for i in range(films)]})
    windows = np.tile([0.0, 0.0, 2 * SIDE, SIDE], (films, 1))
    return Boxed(cases, squares.clip(0, 255).astype(np.uint8), boxes[:films], windows)


@pytest.fixture(scope="module")
def untrained() -> Any:
    torch.manual_seed(0)
    return make_detector(SMALL, "lung-opacity", SIDE).eval()


@pytest.mark.slow
def test_a_few_steps_lower_the_loss(tmp_path: Path) -> None:
    recipe = recipe_of(epochs=10, learning_rate=5e-4)
    fitted = fit_detector(recipe, discs(12), range(12), tmp_path, progress=False)
    assert fitted.losses[-1] < 0.8 * fitted.losses[0]
    assert not fitted.model.training


def test_a_run_that_was_killed_ends_as_one_that_was_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe, films = recipe_of(epochs=3), discs(8)
    whole = fit_detector(recipe, films, range(8), tmp_path / "whole", progress=False)
    real = fit._epoch

    def killed(*arguments: Any) -> float:
        if arguments[4] == 2:
            raise KeyboardInterrupt
        return real(*arguments)

    monkeypatch.setattr(fit, "_epoch", killed)
    with pytest.raises(KeyboardInterrupt):
        fit_detector(recipe, films, range(8), tmp_path / "killed", progress=False)
    monkeypatch.undo()
    assert (tmp_path / "killed" / CHECKPOINT).is_file()
    resumed = fit_detector(recipe, films, range(8), tmp_path / "killed", progress=False)
    assert resumed.losses == whole.losses
    pairs = zip(resumed.model.state_dict().values(), whole.model.state_dict().values(), strict=True)
    assert all(torch.equal(one, other) for one, other in pairs)


def test_it_starts_from_a_local_folder(tmp_path: Path, untrained: Any) -> None:
    other = copy.deepcopy(untrained)
    other.config.id2label = {0: "cat"}
    other.save_pretrained(tmp_path / "weights")
    loaded = load_detector(str(tmp_path / "weights"), "lung-opacity").eval()
    assert loaded.config.id2label == {0: "lung-opacity"}
    assert isinstance(loaded.model.backbone.model, Lite0Backbone)
    films = torch.rand(2, 3, SIDE, SIDE)
    with torch.inference_mode():
        assert torch.equal(loaded(films).pred_boxes, untrained(films).pred_boxes)
    fitted = fit_detector(
        recipe_of(epochs=1),
        discs(4),
        range(4),
        tmp_path / "run",
        weights=str(tmp_path / "weights"),
        progress=False,
    )
    assert len(fitted.losses) == 1


def test_heads_for_other_categories_start_anew(tmp_path: Path) -> None:
    from transformers import YolosConfig, YolosForObjectDetection

    config = YolosConfig(
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        image_size=[SIDE, SIDE],
        num_detection_tokens=5,
        num_labels=7,
    )
    YolosForObjectDetection(config).save_pretrained(tmp_path / "yolos")
    films = discs(4)
    fitted = fit_detector(
        recipe_of(epochs=1),
        films,
        range(4),
        tmp_path,
        weights=str(tmp_path / "yolos"),
        progress=False,
    )
    found = predict(fitted.model, recipe_of(), films, range(4))
    assert len(found) == 4
    assert all(0 <= box["score"] <= 1 for boxes in found for box in boxes)


@pytest.mark.parametrize("weights", ["gone", "file"])
def test_what_is_no_detector_is_refused(tmp_path: Path, weights: str) -> None:
    (tmp_path / "file").mkdir()
    with pytest.raises(ConfigError, match="--weights") as caught:
        load_detector(str(tmp_path / weights), "lung-opacity")
    assert "save_pretrained" in caught.value.hint


def test_the_backbone_is_the_package_network() -> None:
    backbone = Lite0Backbone(Lite0Config(image_size=SIDE, out_features=["stage4"])).eval()
    backbone.load_imagenet()
    network = lite("efficientnet-lite0", SIDE, pretrained=True).eval()
    del network._conv_head
    films = torch.rand(2, 3, SIDE, SIDE)
    network._conv_head, network._bn1, network._swish = (torch.nn.Identity() for _ in range(3))
    stem = torch.nn.ReLU6()
    with torch.inference_mode():
        features = stem(network._bn0(network._conv_stem(films)))
        for block in network._blocks:
            features = block(features)
        (found,) = backbone(films).feature_maps
    assert found.shape == (2, 320, 2, 2)
    assert torch.equal(found, features)


def test_frozen_blocks_keep_their_imagenet_weights(tmp_path: Path) -> None:
    network = SMALL.model_copy(update={"imagenet": True, "frozen_blocks": 3})
    recipe = recipe_of(epochs=1).model_copy(update={"network": network})
    model = fit_detector(recipe, discs(4), range(4), tmp_path, progress=False).model
    before = lite("efficientnet-lite0", SIDE, pretrained=True).state_dict()
    after = model.model.backbone.model.state_dict()
    assert torch.equal(after["blocks.2._bn1.running_mean"], before["_blocks.2._bn1.running_mean"])
    assert torch.equal(
        after["blocks.2._project_conv.weight"], before["_blocks.2._project_conv.weight"]
    )
    assert not torch.equal(
        after["blocks.9._project_conv.weight"], before["_blocks.9._project_conv.weight"]
    )


def test_a_size_that_does_not_divide_is_refused() -> None:
    with pytest.raises(ConfigError, match="multiple of 32"):
        make_detector(SMALL, "lung-opacity", 100)


def test_scores_are_sigmoid_alone_and_softmax_beside_no_object() -> None:
    boxes = torch.tensor([[[0.5, 0.5, 0.2, 0.4], [0.0, 0.5, 0.2, 0.2]]])
    scores, corners = found_boxes(torch.tensor([[[0.0], [2.0]]]), boxes)
    assert scores[0] == pytest.approx([0.5, 0.8808], abs=1e-4)
    assert corners[0, 0].tolist() == pytest.approx([0.4, 0.3, 0.6, 0.7])
    assert corners[0, 1].tolist() == pytest.approx([0.0, 0.4, 0.1, 0.6])
    scores, _ = found_boxes(torch.tensor([[[1.0, 0.0], [0.0, 0.0]]]), boxes)
    assert scores[0] == pytest.approx([0.7311, 0.5], abs=1e-4)


def test_boxes_come_out_in_pixels_of_the_film(untrained: Any) -> None:
    films = discs(2)
    for boxes in predict(untrained, recipe_of(), films, [1, 0]):
        assert [box["score"] for box in boxes] == sorted(
            (box["score"] for box in boxes), reverse=True
        )
        for box in boxes:
            x, y, width, height = box["bbox"]
            assert -0.01 <= x <= x + width <= 2 * SIDE + 0.01
            assert -0.01 <= y <= y + height <= SIDE + 0.01
    placed = on_film(np.array([[0.25, 0.5, 0.5, 1.0]]), np.array([10.0, 20.0, 40.0, 80.0]))
    assert placed.tolist() == [[20, 60, 10, 40]]


@pytest.mark.slow
def test_onnx_says_the_same(tmp_path: Path) -> None:
    torch.manual_seed(0)
    every = SMALL.model_copy(update={"queries": 84})  # 8 x 8 + 4 x 4 + 2 x 2: none to choose
    untrained = make_detector(every, "lung-opacity", SIDE).eval()
    parity = export_on(untrained, tmp_path / "detector.onnx", torch.rand(3, 3, SIDE, SIDE))
    assert parity.films == 3
    assert parity.scores <= 1e-4
    assert parity.boxes <= 1e-4


def test_boxes_move_with_the_film() -> None:
    """The same draws move a box and its filled mask alike, whatever moves them."""
    strong = Augmentation(
        rotation_degrees=25,
        shift=0.1,
        scale=0.3,
        scale_axes_apart=True,
        shear_degrees=10,
        flip=True,
    )
    boxes = torch.tensor([[0.3, 0.35, 0.6, 0.55]]).expand(8, 1, 4)
    masks = torch.zeros(8, 1, 128, 128)
    masks[:, :, round(0.35 * 128) : round(0.55 * 128), round(0.3 * 128) : round(0.6 * 128)] = 1
    films = torch.rand(8, 1, 128, 128)
    moved, found = augment_with_boxes(films, list(boxes), strong, torch.Generator().manual_seed(3))
    again, soft = augment_with_planes(films, masks, strong, torch.Generator().manual_seed(3))
    assert torch.equal(moved, again)
    for box, mask in zip(found, soft[:, 0] > 0.5, strict=True):
        rows, columns = torch.nonzero(mask.any(1)), torch.nonzero(mask.any(0))
        around = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
        assert box[0].tolist() == pytest.approx([float(side) / 128 for side in around], abs=0.02)
    still, same = augment_with_boxes(
        films, list(boxes), Augmentation.off(), torch.Generator().manual_seed(3)
    )
    assert torch.equal(still, augment(films, Augmentation.off(), torch.Generator()))
    assert torch.equal(torch.stack(same), boxes)


def test_a_box_that_leaves_the_film_is_cut_or_dropped() -> None:
    shifted = Augmentation.off().model_copy(update={"shift": 1.0})
    boxes = torch.tensor([[0.0, 0.4, 0.2, 0.6], [0.45, 0.45, 0.55, 0.55]])
    _, found = augment_with_boxes(
        torch.rand(40, 1, 16, 16), [boxes] * 40, shifted, torch.Generator().manual_seed(0)
    )
    counts = {len(each) for each in found}
    assert counts == {0, 1, 2}
    together = torch.cat(found)
    assert ((together >= 0) & (together <= 1)).all()
    assert (together[:, 2:] > together[:, :2]).all()


def film_table(folder: Path, films: int = 12) -> pd.DataFrame:
    made, rows = discs(films), []
    for number, (square, boxes) in enumerate(zip(made.squares, made.boxes, strict=True)):
        path = folder / f"{number}.png"
        cv2.imwrite(str(path), cv2.resize(square, (2 * SIDE, 2 * SIDE)))
        drawn = [
            {"label": "lung-opacity", "x": x, "y": y, "width": right - x, "height": bottom - y}
            for x, y, right, bottom in (2.0 * SIDE * boxes).tolist()
        ]
        rows.append(
            {"case_id": f"made/{number}", "path": str(path), "cohort": "made", "source": "made"}
            | {
                "patient_id": f"made/p{number // 2}",
                "boxes": str(drawn).replace("'", '"') * bool(drawn),
            }
            | {"lung-opacity": float(bool(drawn))}
        )
    return arrange(pd.DataFrame(rows)).assign(group=lambda table: table["patient_id"])


def test_a_run_scores_each_film_by_a_detector_that_never_saw_its_patient(tmp_path: Path) -> None:
    cases = film_table(tmp_path).assign(fold=lambda t: [float(i // 2 % 2 + 1) for i in t.index])
    recipe = recipe_of(epochs=1)
    trained = train_detector(recipe, tmp_path / "run", cases=cases, progress=False)
    for name in ("recipe.toml", "coco.json", "folds.csv", "scores.json", "fold-2/checkpoint.pt"):
        assert (tmp_path / "run" / name).is_file(), name
    assert trained.scores["map"].n == 12
    found = detections_of(read_coco(tmp_path / "run" / "detections.json"), None)
    held_out = load_detector(str(tmp_path / "run" / "fold-1" / "model"), "lung-opacity")
    coco = to_coco(cases)
    films = open_boxed(cases, coco, recipe.preprocess, tmp_path / "again", progress=False)
    (expected,) = predict(held_out, recipe, films, [0])
    assert found["made/0"][1] == pytest.approx([box["score"] for box in expected], abs=2e-5)
    with pytest.raises(ConfigError, match="holds a run already"):
        train_detector(recipe, tmp_path / "run", cases=cases, progress=False)


def test_a_run_goes_on_only_from_the_weights_that_it_started_from(tmp_path: Path) -> None:
    from hilum.learn.detect.run import claim_weights

    claim_weights(tmp_path, "one", resume=False)
    claim_weights(tmp_path, "one", resume=True)
    for other, found in (("other", "other"), (None, "none")):
        with pytest.raises(ConfigError, match=f"started from weights one; found {found}"):
            claim_weights(tmp_path, other, resume=True)
    claim_weights(tmp_path / "fresh", None, resume=False)
    with pytest.raises(ConfigError, match="started from weights none; found one"):
        claim_weights(tmp_path / "fresh", "one", resume=True)


def test_a_run_remembers_its_weights(tmp_path: Path) -> None:
    cases = film_table(tmp_path, films=8).assign(fold=lambda t: [i // 2 % 2 + 1.0 for i in t.index])
    out, recipe = tmp_path / "run", recipe_of(epochs=1)
    train_detector(recipe, out, cases=cases, progress=False)
    weights = str(out / "fold-1" / "model")
    with pytest.raises(ConfigError, match="cannot resume, it started from weights none"):
        train_detector(recipe, out, cases=cases, weights=weights, resume=True, progress=False)


def test_folds_keep_patients_together(tmp_path: Path) -> None:
    divided = divide(film_table(tmp_path, films=16), recipe_of(), progress=False)
    assert set(divided["fold"]) == {1.0, 2.0}
    one, two = (set(films["patient_id"]) for _, films in divided.groupby("fold"))
    assert not one & two
    assert (divided.groupby("fold")["lung-opacity"].sum() > 0).all()


def test_without_films_there_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(CohortError, match="not known"):
        train_detector(recipe_of(), tmp_path / "run")
    negative = discs(4)._replace(boxes=[torch.zeros(0, 4)] * 4)
    with pytest.raises(CohortError, match="has a box"):
        fit_detector(recipe_of(), negative, range(4), tmp_path, progress=False)


def test_boxes_are_cut_to_what_the_square_shows(tmp_path: Path) -> None:
    cases = film_table(tmp_path, films=2).assign(fold=1.0)
    how = recipe_of().preprocess.model_copy(update={"fit": "pad"})
    films = open_boxed(cases, to_coco(cases), how, tmp_path, progress=False)
    assert films.windows.tolist() == [[0, 0, 2 * SIDE, 2 * SIDE]] * 2
    assert torch.allclose(films.boxes[0], discs(2).boxes[0])
    assert films.films([1, 0]).shape == (2, 1, SIDE, SIDE)
    assert films.films([0]).max() <= 1
