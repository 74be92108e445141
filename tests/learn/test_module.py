from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from hilum.learn.module import learning_rate_factor, masked_bce
from hilum.learn.recipe import Fit

NAN = float("nan")


def test_masked_bce_is_the_mean_over_known_labels() -> None:
    logits = torch.tensor([[0.0, 2.0], [-1.0, 3.0]])
    truth = torch.tensor([[1.0, NAN], [0.0, 1.0]])
    scores = 1 / (1 + np.exp(-np.array([0.0, -1.0, 3.0])))
    expected = -(np.log(scores[0]) + np.log(1 - scores[1]) + np.log(scores[2])) / 3
    assert masked_bce(logits, truth).item() == pytest.approx(expected, rel=1e-6)


def test_an_unknown_label_sends_no_gradient() -> None:
    logits = torch.tensor([[0.5, -0.5], [1.0, 1.0]], requires_grad=True)
    masked_bce(logits, torch.tensor([[1.0, NAN], [NAN, NAN]])).backward()
    assert logits.grad is not None
    assert (logits.grad != 0).tolist() == [[True, False], [False, False]]


def test_a_batch_that_knows_nothing_has_no_loss() -> None:
    logits = torch.ones(3, 2, requires_grad=True)
    loss = masked_bce(logits, torch.full((3, 2), NAN))
    loss.backward()
    assert loss.item() == 0
    assert logits.grad is not None
    assert not logits.grad.any()


@given(
    epochs=st.integers(1, 5),
    steps=st.integers(1, 30),
    warmup=st.floats(0, 2),
    schedule=st.sampled_from(["cosine", "constant"]),
)
def test_the_learning_rate_stays_within_bounds(
    epochs: int, steps: int, warmup: float, schedule: str
) -> None:
    fit = Fit.parse({"epochs": epochs, "warmup_epochs": warmup, "schedule": schedule}, where="test")
    factors = [learning_rate_factor(step, steps, fit) for step in range(epochs * steps)]
    assert all(0 < factor <= 1 for factor in factors)
