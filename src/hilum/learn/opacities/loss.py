"""What a network of opacities learns: Dice and cross-entropy inside the lungs, boxes as hints."""

from __future__ import annotations

import torch
from monai.losses.dice import DiceLoss
from torch import Tensor
from torch.nn import functional

from hilum.learn.opacities.batches import Batch

_DICE = DiceLoss(batch=True, reduction="mean", smooth_nr=1.0, smooth_dr=1.0)


def loss_of(logits: Tensor, batch: Batch, box_share: float) -> Tensor:
    """Return the loss of a batch, a number.

    Args:
        logits: float (N, K, S, S).
        batch: that they are of.
        box_share: see ``OpacityFit``.
    """
    total = logits.sum() * 0
    if batch.drawn.any():
        total = total + drawn_loss(logits, batch) * batch.drawn.float().mean()
    if not batch.drawn.all():
        total = total + weak_loss(logits, batch, box_share) * (~batch.drawn).float().mean()
    return total


def drawn_loss(logits: Tensor, batch: Batch) -> Tensor:
    """Dice of each kind and of their union, plus cross-entropy, over the films that are drawn.

    Dice is taken over the films together: on a film without a kind its own Dice would say nothing.
    """
    inside, truth = batch.lungs[batch.drawn], batch.kinds[batch.drawn]
    known = logits[batch.drawn]
    scores, truth = known.sigmoid() * inside, truth * inside
    dice: Tensor = _DICE(_with_union(scores), _with_union(truth))
    entropy = functional.binary_cross_entropy_with_logits(known, truth, reduction="none")
    return dice + (entropy * inside).sum() / (inside.sum() * logits.shape[1]).clamp(min=1)


def weak_loss(logits: Tensor, batch: Batch, box_share: float) -> Tensor:
    """What boxes say of the films that have them.

    Outside every box nothing is opaque (cross-entropy); inside each, the mean score of the union is
    at least ``box_share`` (a hinge: a box is more than its opacity, and says nothing of kinds).
    """
    weak = ~batch.drawn
    known, inside, boxes = logits[weak], batch.lungs[weak], batch.boxes[weak]
    outside = inside * (1 - boxes.amax(1, keepdim=True))
    entropy = functional.softplus(known) * outside
    free = entropy.sum() / (outside.sum() * logits.shape[1]).clamp(min=1)
    union = known.sigmoid().amax(1, keepdim=True)
    areas = (boxes * inside).sum((2, 3))
    means = (union * boxes * inside).sum((2, 3)) / areas.clamp(min=1)
    short = torch.relu(box_share - means) / box_share * (areas > 0)
    return free + short.sum() / (areas > 0).sum().clamp(min=1)


def _with_union(maps: Tensor) -> Tensor:
    return torch.cat([maps, maps.amax(1, keepdim=True)], dim=1)
