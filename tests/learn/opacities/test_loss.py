from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from hilum.learn.opacities.batches import Batch
from hilum.learn.opacities.loss import drawn_loss, loss_of, weak_loss

SIDE = 16


def batch(drawn: list[bool]) -> Batch:
    films = len(drawn)
    kinds = torch.zeros(films, 2, SIDE, SIDE)
    kinds[:, 0, 2:8, 2:8] = 1
    lungs = torch.zeros(films, 1, SIDE, SIDE)
    lungs[..., 1:12] = 1
    boxes = torch.zeros(films, 4, SIDE, SIDE)
    boxes[:, 0, 2:8, 2:8] = 1
    return Batch(torch.zeros(films, 1, SIDE, SIDE), kinds, lungs, boxes, torch.tensor(drawn))


def certain(given: Batch) -> torch.Tensor:
    return 40 * given.kinds - 20


def test_the_truth_costs_nothing_and_its_opposite_much() -> None:
    given = batch([True, True])
    assert float(drawn_loss(certain(given), given)) == pytest.approx(0, abs=0.01)
    assert float(drawn_loss(-certain(given), given)) > 1


def test_what_lies_outside_the_lungs_does_not_count() -> None:
    given = batch([True])
    logits = certain(given)
    logits[..., 12:] = 20
    assert float(drawn_loss(logits, given)) == pytest.approx(0, abs=0.01)


def test_cross_entropy_is_that_of_torch() -> None:
    given = batch([True, True])
    torch.manual_seed(0)
    logits = torch.randn(2, 2, SIDE, SIDE)
    whole = given._replace(lungs=torch.ones_like(given.lungs))
    inside = whole.lungs.expand_as(logits) > 0
    entropy = functional.binary_cross_entropy_with_logits(logits[inside], whole.kinds[inside])
    scores = logits.sigmoid()
    maps = torch.cat([scores, scores.amax(1, keepdim=True)], 1)
    truth = torch.cat([whole.kinds, whole.kinds.amax(1, keepdim=True)], 1)
    common, total = (maps * truth).sum((0, 2, 3)), (maps + truth).sum((0, 2, 3))
    dice = (1 - (2 * common + 1) / (total + 1)).mean()
    assert float(drawn_loss(logits, whole)) == pytest.approx(float(entropy + dice), rel=1e-4)


def test_a_film_without_a_kind_is_no_dice_of_its_own() -> None:
    given = batch([True, True])
    given.kinds[1] = 0
    assert float(drawn_loss(certain(given), given)) == pytest.approx(0, abs=0.01)


def test_boxes_ask_for_a_share_inside_and_nothing_outside() -> None:
    given = batch([False])
    nothing = torch.full((1, 2, SIDE, SIDE), -20.0)
    half = nothing.clone()
    half[:, 1, 2:5, 2:8] = 20  # half of the box
    everywhere = -nothing
    assert float(weak_loss(nothing, given, 0.5)) == pytest.approx(1, abs=0.01)
    assert float(weak_loss(half, given, 0.5)) == pytest.approx(0, abs=0.01)
    assert float(weak_loss(everywhere, given, 0.5)) > 5


def test_a_box_beyond_the_lungs_asks_for_nothing() -> None:
    given = batch([False])
    given.boxes[:] = 0
    given.boxes[:, 0, 2:8, 13:] = 1
    nothing = torch.full((1, 2, SIDE, SIDE), -20.0)
    assert float(weak_loss(nothing, given, 0.5)) == pytest.approx(0, abs=0.01)


def test_each_part_weighs_as_many_films_as_it_has() -> None:
    both = batch([True, False, False, False])
    torch.manual_seed(1)
    logits = torch.randn(4, 2, SIDE, SIDE, requires_grad=True)
    expected = 0.25 * drawn_loss(logits, both) + 0.75 * weak_loss(logits, both, 0.5)
    loss = loss_of(logits, both, 0.5)
    assert float(loss.detach()) == pytest.approx(float(expected.detach()))
    loss.backward()
    assert torch.isfinite(logits.grad).all()  # type: ignore[arg-type]
