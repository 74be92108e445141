from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from hilum.core.errors import BundleError, TrainingError
from hilum.learn.module import standardise
from hilum.learn.opacities import export, fit
from hilum.learn.opacities.batches import make_batch
from hilum.learn.opacities.export import export_opacities
from hilum.learn.opacities.films import Films
from hilum.learn.opacities.fit import fit_opacities
from hilum.learn.opacities.networks import NETWORKS, OpacityUNet, build
from hilum.learn.opacities.recipe import OpacityRecipe
from hilum.learn.opacities.validate import SCORES, cross_validate, predict

Recipe = Callable[..., OpacityRecipe]
Made = Callable[..., Films]
MIXED = {"clear": 0.25, "synthetic": 0.25, "boxed": 0.25}


def test_a_few_steps_learn_discs(tmp_path: Path, recipe_of: Recipe, films_of: Made) -> None:
    recipe = recipe_of(fit={"steps": 70, "batch_size": 8, "learning_rate": 0.005})
    films = films_of(drawn=16, clear=0, boxed=0)
    fitted = fit_opacities(recipe, films, tmp_path, progress=False)
    assert np.mean(fitted.losses[-10:]) < 0.7 * np.mean(fitted.losses[:10])
    scores = predict(fitted.network, films_of(drawn=8, clear=0, boxed=0, seed=1), recipe)[:, 0]
    truth = films_of(drawn=8, clear=0, boxed=0, seed=1).truth[:, 0]
    assert scores[truth].mean() > scores[~truth].mean() + 0.2


def test_a_batch_follows_from_seed_and_step(recipe_of: Recipe, films_of: Made) -> None:
    recipe, films = recipe_of(material=MIXED), films_of()
    before = films.squares.clone()
    one, same, other = (make_batch(films, recipe, step) for step in (3, 3, 4))
    assert all(torch.equal(a, b) for a, b in zip(one, same, strict=True))
    assert not torch.equal(one.films, other.films)
    assert torch.equal(films.squares, before)


def test_materials_come_in_their_shares(recipe_of: Recipe, films_of: Made) -> None:
    recipe, films = recipe_of(material=MIXED, fit={"batch_size": 16}), films_of()
    batches = [make_batch(films, recipe, step) for step in range(20)]
    drawn = torch.cat([batch.drawn for batch in batches]).float().mean()
    assert float(drawn) == pytest.approx(0.75, abs=0.07)
    ill = torch.cat([batch.kinds.amax((1, 2, 3)) for batch in batches])
    assert 0.3 < float(ill.mean()) < 0.7  # half drawn or synthetic, half clear or boxed
    assert all(batch.kinds[~batch.drawn].sum() == 0 for batch in batches)


def test_a_run_that_was_killed_ends_as_one_that_was_not(
    tmp_path: Path, recipe_of: Recipe, films_of: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe, films = recipe_of(material=MIXED), films_of()
    monkeypatch.setattr(fit, "_EVERY", 2)
    whole = fit_opacities(recipe, films, tmp_path / "whole", progress=False)
    real = fit._step

    def killed(*arguments: Any) -> float:
        if arguments[-1] == 3:
            raise KeyboardInterrupt
        return real(*arguments)

    monkeypatch.setattr(fit, "_step", killed)
    with pytest.raises(KeyboardInterrupt):
        fit_opacities(recipe, films, tmp_path / "killed", progress=False)
    monkeypatch.setattr(fit, "_step", real)
    resumed = fit_opacities(recipe, films, tmp_path / "killed", progress=False)
    assert resumed.losses == whole.losses
    for one, other in zip(
        resumed.network.state_dict().values(), whole.network.state_dict().values(), strict=True
    ):
        assert torch.equal(one, other)


def test_a_loss_that_is_no_number_ends_the_run_and_is_not_kept(
    tmp_path: Path, recipe_of: Recipe, films_of: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe, films = recipe_of(), films_of()
    monkeypatch.setattr(fit, "_EVERY", 2)
    real = fit.loss_of
    left = iter(range(6))

    def broken(*arguments: Any) -> torch.Tensor:
        return real(*arguments) * (float("nan") if next(left) == 3 else 1.0)

    monkeypatch.setattr(fit, "loss_of", broken)
    with pytest.raises(TrainingError, match="step 4: the loss is nan") as caught:
        fit_opacities(recipe, films, tmp_path, progress=False)
    assert "learning_rate" in caught.value.hint
    monkeypatch.setattr(fit, "loss_of", real)
    state = torch.load(tmp_path / fit.CHECKPOINT, weights_only=True)
    assert len(state["losses"]) == 2
    assert all(weights.isfinite().all() for weights in state["network"].values())


def test_nobody_is_scored_by_a_network_that_saw_them(
    tmp_path: Path, recipe_of: Recipe, films_of: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[set[str]] = []
    real = fit.fit_opacities

    def spied(recipe: OpacityRecipe, films: Films, *args: Any, **options: Any) -> Any:
        seen.append(set(films.cases["case_id"]))
        return real(recipe, films, *args, **options)

    monkeypatch.setattr("hilum.learn.opacities.validate.fit_opacities", spied)
    films, recipe = films_of(), recipe_of()
    scores = cross_validate(recipe, films, tmp_path, progress=False)
    assert np.isfinite(scores).all()
    for fold, ids in zip((1, 2), seen, strict=True):
        held_out = set(films.cases.loc[films.cases["fold"] == fold, "case_id"])
        assert ids == set(films.cases["case_id"]) - held_out
    again = cross_validate(recipe, films, tmp_path, progress=False)
    assert len(seen) == 2  # whole folds are kept
    assert np.allclose(again, scores, atol=1e-3)
    assert (tmp_path / "fold-1" / SCORES).is_file()


def test_films_of_fold_zero_are_learned_from_and_never_scored(
    tmp_path: Path, recipe_of: Recipe, films_of: Made
) -> None:
    films = films_of()
    films.cases.loc[0, "fold"] = 0.0
    scores = cross_validate(recipe_of(fit={"steps": 1}), films, tmp_path, progress=False)
    assert np.isnan(scores[0]).all()
    assert np.isfinite(scores[1:]).all()


@pytest.mark.parametrize("name", NETWORKS)
def test_networks_keep_the_shape(name: str) -> None:
    network = build(name, 48).eval()
    with torch.inference_mode():
        assert network(torch.zeros(3, 1, 48, 48)).shape == (3, 2, 48, 48)


def test_what_is_frozen_stays_so_in_training() -> None:
    network = OpacityUNet(32, pretrained=False).train()
    frozen = (network.stem, *network.blocks[:3])
    assert not any(part.training for part in frozen)
    assert not any(each.requires_grad for part in frozen for each in part.parameters())
    assert network.blocks[3].training


def test_onnx_says_what_torch_says(tmp_path: Path, films_of: Made, recipe_of: Recipe) -> None:
    network = build("fully-convolutional", 32).eval()
    films = standardise(films_of().squares, recipe_of().preprocess).contiguous()
    parity = export_opacities(network, tmp_path / "opacities.onnx", films)
    assert parity.films == len(films)
    assert parity.score < 0.01
    other = build("fully-convolutional", 32).eval()
    assert export.compare(other, tmp_path / "opacities.onnx", films).score > 0.01


def test_an_export_that_differs_is_removed(
    tmp_path: Path, films_of: Made, recipe_of: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = build("fully-convolutional", 32).eval()
    films = standardise(films_of().squares[:2], recipe_of().preprocess).contiguous()
    worse = export.OpacityParity(films=2, score=float("nan"), pixels=0.0)
    monkeypatch.setattr(export, "compare", lambda *_: worse)
    with pytest.raises(BundleError, match="differs from torch"):
        export_opacities(network, tmp_path / "opacities.onnx", films)
    assert not (tmp_path / "opacities.onnx").exists()
