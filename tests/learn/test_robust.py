from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
import torch

from hilum.learn.callbacks import CHECKPOINT
from hilum.learn.fit import fit
from hilum.learn.recipe import Recipe
from hilum.learn.robust import Cells, GroupRobust

CASES = pd.DataFrame(
    {
        "cohort": ["east", "west", "east", "west", "north", "north"],
        "covid-19": [1.0, 1.0, 0.0, 0.0, 0.0, np.nan],
        "pneumonia": [1.0, 1.0, 1.0, 0.0, 0.0, 0.0],
    }
)
LABELS = ("covid-19", "pneumonia")


@pytest.fixture
def cells() -> Cells:
    return Cells.of(CASES, LABELS)


def test_cells_are_class_and_source(cells: Cells) -> None:
    assert cells.classes.tolist() == [0, 0, 1, 2, 2, 2]  # covid-19, pneumonia, neither
    assert cells.sources.tolist() == [0, 2, 0, 2, 1, 1]  # east, north, west
    assert cells.together.tolist() == [
        [True, False, True],
        [True, False, False],
        [False, True, True],
    ]


def test_group_weights_are_those_worked_out_by_hand(cells: Cells) -> None:
    robust, step = GroupRobust(cells, step=0.5), 0.5
    losses = torch.tensor([0.2, 1.0, 0.4, 0.8, 0.6, 0.0], requires_grad=True)
    loss = robust(losses, torch.arange(6))
    # cells: class x 3 + source
    means = {0: 0.2, 2: 1.0, 3: 0.4, 8: 0.8, 7: 0.3}
    weights = {cell: math.exp(step * mean) for cell, mean in means.items()}
    total = sum(weights.values())
    expected = sum(weights[cell] / total * mean for cell, mean in means.items())
    assert loss.item() == pytest.approx(expected, rel=1e-6)
    loss.backward()
    share_of_north = weights[7] / total  # two films, half each
    assert losses.grad is not None
    assert losses.grad.tolist()[4:] == pytest.approx([share_of_north / 2] * 2, rel=1e-5)
    kept = robust.weights
    assert kept.mean().item() == pytest.approx(1)
    ratio = (kept[2] / kept[0]).item()
    assert ratio == pytest.approx(weights[2] / weights[0], rel=1e-5)
    assert (kept[1] / kept[4]).item() == pytest.approx(1)  # cells without films do not move


def test_the_worst_cell_gains_weight_step_by_step(cells: Cells) -> None:
    robust = GroupRobust(cells, step=0.2)
    losses = torch.tensor([0.1, 0.1, 0.1, 0.1, 2.0, 2.0])
    values = [robust(losses, torch.arange(6)).item() for _ in range(30)]
    assert values == sorted(values)
    assert values[-1] > 1.9  # near the worst cell's own loss, far from the mean of cells 0.48
    assert robust.weights.argmax().item() == 7


def test_the_average_of_epochs_is_the_mean_of_their_weights(
    tmp_path, make_cases: Callable[..., pd.DataFrame], tiny_recipe: Callable[..., Recipe]
) -> None:
    def weights_of(epochs: int, average: int) -> dict[str, torch.Tensor]:
        fitted = {"epochs": epochs, "monitor": "last", "average_epochs": average}
        recipe = tiny_recipe(fitted | {"schedule": "constant", "warmup_epochs": 0.0})
        folder = tmp_path / f"{epochs}-{average}"
        result = fit(recipe, make_cases(), folder, device="cpu", progress=False)
        assert (folder / CHECKPOINT).is_file()
        return result.network.state_dict()

    second, third = weights_of(2, 1), weights_of(3, 1)
    averaged = weights_of(3, 2)
    assert any(not torch.equal(second[name], third[name]) for name in second)
    for name, tensor in averaged.items():
        if tensor.is_floating_point():
            torch.testing.assert_close(tensor, (second[name] + third[name]) / 2)
        else:
            assert torch.equal(tensor, third[name])
