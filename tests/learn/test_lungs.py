from __future__ import annotations

import copy
import json
import shutil
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import pytest
import torch
from monai.metrics.meandice import compute_dice
from scipy.ndimage import distance_transform_edt
from torch import nn

from hilum.bundle.lungs import LungSegmenter
from hilum.core.errors import BundleError, CohortError, ConfigError
from hilum.data.cohorts import read_cohort
from hilum.data.table import merge_cases
from hilum.learn.augment import Augmentation, augment_with_mask
from hilum.learn.lungs import export, fit
from hilum.learn.lungs.export import LungParity, export_lungs
from hilum.learn.lungs.films import Masked, read_mask
from hilum.learn.lungs.fit import CHECKPOINT, fit_lungs
from hilum.learn.lungs.measure import boundary, dice, kinds_of, measure_films, summarize
from hilum.learn.lungs.network import EMBEDDING, LungNetwork
from hilum.learn.lungs.recipe import LungRecipe
from hilum.learn.module import standardise

SIDE = 64


def recipe_of(**fit: Any) -> LungRecipe:
    values = {
        "data": {"cohorts": [{"name": "openist", "folder": "OpenIST"}]},
        "preprocess": {"size": SIDE, "channels": 1, "mean": 0.5, "std": 0.5},
        "fit": {"epochs": 3, "batch_size": 8, "frozen_blocks": 0} | fit,
    }
    return LungRecipe.parse(values, where="test")


def ellipses(films: int, seed: int = 0) -> Masked:
    """Dark ellipses, two a film, on a grey ground with noise."""
    random = np.random.default_rng(seed)
    down, across = (np.mgrid[0:SIDE, 0:SIDE] + 0.5) / SIDE
    masks = np.zeros((films, 1, SIDE, SIDE), np.float32)
    for mask in masks:
        for x in (0.3, 0.7):
            y, x = 0.5 + random.uniform(-0.08, 0.08), x + random.uniform(-0.05, 0.05)
            high, wide = random.uniform(0.2, 0.35), random.uniform(0.1, 0.16)
            mask[0] += ((down - y) / high) ** 2 + ((across - x) / wide) ** 2 < 1
    masks = masks.clip(0, 1)
    squares = 0.75 - 0.5 * masks + 0.08 * random.standard_normal(masks.shape)
    cases = pd.DataFrame({"case_id": [f"made/{i}" for i in range(films)], "split": "train"})
    return Masked(
        cases, torch.from_numpy(squares.clip(0, 1).astype(np.float32)), torch.from_numpy(masks)
    )


@pytest.fixture(scope="module")
def network() -> LungNetwork:
    torch.manual_seed(0)
    return LungNetwork(SIDE).eval()


def overlap(network: LungNetwork, films: Masked, recipe: LungRecipe) -> float:
    with torch.inference_mode():
        found = network(standardise(films.squares, recipe.preprocess)).lungs > 0
    return float(compute_dice(found.float(), films.masks).mean())


def test_a_few_steps_learn_ellipses(tmp_path: Path) -> None:
    recipe, held_out = recipe_of(epochs=6), ellipses(8, seed=1)
    fitted = fit_lungs(recipe, ellipses(24), tmp_path, progress=False)
    assert fitted.losses[-1] < 0.6 * fitted.losses[0]
    assert overlap(fitted.network, held_out, recipe) > 0.75
    assert len(fitted.seconds) == 6
    assert not fitted.network.training


def test_a_run_that_was_killed_ends_as_one_that_was_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe, films = recipe_of(), ellipses(8)
    whole = fit_lungs(recipe, films, tmp_path / "whole", progress=False)
    real = fit._epoch

    def killed(*arguments: Any) -> float:
        if arguments[5] == 2:
            raise KeyboardInterrupt
        return real(*arguments)

    monkeypatch.setattr(fit, "_epoch", killed)
    with pytest.raises(KeyboardInterrupt):
        fit_lungs(recipe, films, tmp_path / "killed", progress=False)
    monkeypatch.undo()
    assert (tmp_path / "killed" / CHECKPOINT).is_file()
    resumed = fit_lungs(recipe, films, tmp_path / "killed", progress=False)
    assert resumed.losses == whole.losses
    for one, other in zip(
        resumed.network.state_dict().values(), whole.network.state_dict().values(), strict=True
    ):
        assert torch.equal(one, other)


def test_frozen_blocks_keep_their_imagenet_weights(tmp_path: Path, network: LungNetwork) -> None:
    fitted = fit_lungs(recipe_of(epochs=1, frozen_blocks=3), ellipses(8), tmp_path, progress=False)
    before, after = network.state_dict(), fitted.network.state_dict()
    frozen = [name for name in before if name.startswith(("stem", "blocks.0.", "blocks.2."))]
    assert frozen
    assert all(torch.equal(before[name], after[name]) for name in frozen)
    assert not torch.equal(
        before["blocks.3._depthwise_conv.weight"], after["blocks.3._depthwise_conv.weight"]
    )


def test_outputs_have_the_shapes_that_a_bundle_promises(network: LungNetwork) -> None:
    with torch.inference_mode():
        output = network(torch.zeros(2, 1, SIDE, SIDE))
    assert output.lungs.shape == (2, 1, SIDE, SIDE)
    assert output.embedding.shape == (2, EMBEDDING) == (2, 224)


@pytest.fixture(scope="module")
def exported(network: LungNetwork, tmp_path_factory: Any) -> tuple[Path, LungParity]:
    path = tmp_path_factory.mktemp("lungs") / "lungs.onnx"
    films = standardise(ellipses(5).squares, recipe_of().preprocess).contiguous()
    return path, export_lungs(network, path, films)


def test_onnx_is_torch_and_holds_no_path(exported: tuple[Path, LungParity]) -> None:
    path, parity = exported
    assert parity.films == 5
    assert parity.lungs < 1e-4
    assert parity.embedding < 1e-4
    assert str(Path(torch.__file__).parents[1]).encode() not in path.read_bytes()


def test_onnx_that_differs_is_not_kept(
    exported: tuple[Path, LungParity],
    tmp_path: Path,
    network: LungNetwork,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def stale(network: nn.Module, path: Path, *, size: int) -> None:
        del network, size
        shutil.copyfile(exported[0], path)

    monkeypatch.setattr(export, "write_lungs", stale)
    other = copy.deepcopy(network)
    with torch.no_grad():
        other.head.bias += 0.01
    with pytest.raises(BundleError, match="ONNX differs from torch"):
        export_lungs(other, tmp_path / "lungs.onnx", torch.rand(2, 1, SIDE, SIDE))
    assert not (tmp_path / "lungs.onnx").exists()


def test_masks_move_with_their_films() -> None:
    films = ellipses(6)
    strong = Augmentation(
        rotation_degrees=20, shift=0.1, scale=0.2, contrast=0, gamma=0, noise=0, degrade=1
    )
    moved, masks = augment_with_mask(
        1 - films.masks, films.masks, strong, torch.Generator().manual_seed(3)
    )
    assert set(masks.unique().tolist()) == {0.0, 1.0}
    assert float((masks - films.masks).abs().mean()) > 0.02
    inside = moved < 0.5  # the film is the mask turned round, so its dark part is the mask
    assert float(compute_dice(inside.float(), masks).min()) > 0.97


def test_a_mask_is_read_at_film_size_and_its_faults_are_named(tmp_path: Path) -> None:
    path = tmp_path / "mask.png"
    drawn = np.zeros((50, 40), np.uint8)
    drawn[10:30, 10:20] = 255
    cv2.imwrite(str(path), drawn)
    mask = read_mask(str(path), (100, 80))
    assert mask.shape == (100, 80)
    assert mask.sum() == 4 * 200
    with pytest.raises(CohortError, match="40 x 50; its film is 80 x 80"):
        read_mask(str(path), (80, 80))
    path.write_text("no picture")
    with pytest.raises(CohortError, match="not a picture"):
        read_mask(str(path), (100, 80))


@pytest.mark.parametrize("seed", range(4))
def test_dice_is_that_of_monai(seed: int) -> None:
    one, other = np.random.default_rng(seed).random((2, 40, 30)) < 0.4
    pair = (torch.from_numpy(each).float()[None, None] for each in (one, other))
    assert dice(one, other) == pytest.approx(compute_dice(*pair).item(), abs=1e-6)
    assert dice(one, one) == 1
    assert dice(np.zeros_like(one), np.zeros_like(one)) == 1


def test_the_boundary_is_off_by_as_much_as_the_mask_was_moved() -> None:
    one, other = np.zeros((2, 256, 200), bool)
    one[50:150, 40:120] = True
    other[50:150, 48:128] = True  # 8 pixels to the right
    edge = other & ~np.asarray(cv2.erode(other.astype(np.uint8), np.ones((3, 3))), bool)
    assert distance_transform_edt(~edge)[100, 40] == 8
    assert boundary(one, other) == pytest.approx(8 / 256, abs=1 / 256)
    assert np.isnan(boundary(one, np.zeros_like(one)))


def test_kinds_of_films() -> None:
    lesions = json.dumps({"consolidation": "x_consolidation.png"})
    rows = [
        {"covid-19": 1.0, "lesion_masks": lesions},
        {"covid-19": 1.0, "lesion_masks": '{"ground-glass": "x.png"}'},
        {"covid-19": 1.0, "scores": '{"opacity": 2.0}'},
        {"covid-19": 1.0, "scores": '{"opacity": 0.0}'},
        {"covid-19": 1.0},
        {"tuberculosis": 1.0},
        {"no-finding": 1.0},
        {"no-finding": 1.0, "lung_mask": "a/lungVAE-masks/x.png"},
    ]
    blank = {"lung_mask": "a/masks/x.png", "lesion_masks": "", "scores": "", "covid-19": np.nan}
    cases = pd.DataFrame([blank | row for row in rows])
    assert kinds_of(cases).tolist() == [
        "COVID-19, consolidation drawn",
        "COVID-19, opacity drawn or scored",
        "COVID-19, opacity drawn or scored",
        "COVID-19, scored clear",
        "COVID-19, not scored",
        "tuberculosis",
        "normal",
        "mask by a model",
    ]


def test_masks_of_a_model_are_not_pooled_with_those_of_readers() -> None:
    films = pd.DataFrame(
        {
            "cohort": "made",
            "group": ["a", "a", "b", "c"],
            "kind": ["normal", "normal", "normal", "mask by a model"],
            "dice": [0.9, 0.92, 0.97, 0.1],
            "hd95": [0.01, 0.02, np.nan, 0.5],
        }
    )
    measured = summarize(films, folds=200)
    manual = measured["collections"]["made"]["manual masks"]
    assert manual["dice"]["value"] == pytest.approx(0.93)
    assert manual["dice"]["low"] == pytest.approx(0.91)  # patient a alone
    assert manual["dice"]["high"] == pytest.approx(0.97)  # patient b alone
    assert (manual["dice"]["n"], manual["patients"]) == (3, 2)
    assert manual["hd95"]["value"] == pytest.approx(0.015)
    assert set(measured["kinds"]) == {"normal"}
    json.dumps(measured, allow_nan=False)


def test_another_task_is_refused() -> None:
    with pytest.raises(ConfigError, match="task"):
        LungRecipe.parse({"task": "heart", "data": {"cohorts": []}}, where="test")


@pytest.mark.real_data
def test_held_out_films_have_the_dice_that_is_recorded(data_root: Path) -> None:
    segmenter = LungSegmenter(threads=1)
    held_out, measured = segmenter.spec.made["held_out"], segmenter.spec.measured["collections"]
    recipe = LungRecipe.parse(segmenter.spec.made["recipe"], where="lungs.json")
    cohorts = [(each.name, each.folder) for each in recipe.data.cohorts]
    cases = merge_cases(
        [read_cohort(name, data_root / folder).cases for name, folder in cohorts],
        [folder for _, folder in cohorts],
    )
    chosen = cases[cases["case_id"].isin(held_out[::10])].assign(group=cases["patient_id"])
    assert len(chosen) == len(held_out[::10])
    films = measure_films(chosen, segmenter, progress=False)
    for cohort, some in films[films["kind"] != "mask by a model"].groupby("cohort"):
        recorded = measured[str(cohort)]["manual masks"]["dice"]["value"]
        assert some["dice"].mean() == pytest.approx(recorded, abs=0.025)
