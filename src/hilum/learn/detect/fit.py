"""Train a detector; a run that was killed goes on after its last whole epoch."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.optim import AdamW
from torch.optim.lr_scheduler import OneCycleLR
from tqdm import tqdm

from hilum.core.errors import CohortError, TrainingError
from hilum.core.files import atomic_path
from hilum.learn.augment import augment_with_boxes
from hilum.learn.detect.films import Boxed, on_film
from hilum.learn.detect.network import Detector, found_boxes, freeze, load_detector, make_detector
from hilum.learn.detect.recipe import DetectorRecipe
from hilum.learn.module import standardise
from hilum.learn.seeds import AUGMENTATION, DROPOUT, ORDER, WEIGHTS, derive_seed, generator

CHECKPOINT = "checkpoint.pt"
AT_LEAST = 0.001
"""Boxes below this score are not written down."""


Rows = Sequence[int] | NDArray[np.intp]


class Fitted(NamedTuple):
    """A trained detector.

    Attributes:
        model: in evaluation mode.
        losses: mean loss of each epoch.
    """

    model: Detector
    losses: list[float]


class _State(NamedTuple):
    model: Detector
    optimizer: AdamW
    schedule: OneCycleLR
    losses: list[float]


def fit_detector(
    recipe: DetectorRecipe,
    films: Boxed,
    rows: Rows,
    out: Path,
    *,
    weights: str | None = None,
    device: str = "cpu",
    progress: bool = True,
) -> Fitted:
    """Train on some films.

    Args:
        recipe: of the run.
        films: all films.
        rows: those to learn from.
        out: folder of the checkpoint; a run in it is continued.
        weights: where to start: a folder or a name on the hub; None for an untrained detector.
        device: "cpu" or "cuda".

    Raises:
        CohortError: none of the films has a box.
        TrainingError: the loss is not a number; the checkpoint of the last epoch is kept.
    """
    state = _start(recipe, films, rows, out, weights, device)
    for epoch in range(len(state.losses), recipe.fit.epochs):
        state.losses.append(_epoch(state, recipe, films, rows, epoch, device, progress))
        _keep(out / CHECKPOINT, state)
    return Fitted(state.model.eval().cpu(), state.losses)


def predict(
    model: Detector,
    recipe: DetectorRecipe,
    films: Boxed,
    rows: Rows,
    *,
    device: str = "cpu",
) -> list[list[dict[str, Any]]]:
    """Return what a detector finds on each film: boxes and scores, best first.

    Returns:
        Of each row a list of {"bbox": [x, y, width, height] in pixels of the film, "score"}.
    """
    model = model.eval().to(device)
    found = []
    for batch in np.array_split(np.asarray(rows), max(1, -(-len(rows) // recipe.fit.batch_size))):
        inputs = standardise(films.films(batch), recipe.preprocess).to(device)
        with torch.inference_mode():
            output = model(pixel_values=inputs)
        scores, boxes = found_boxes(output.logits.float().cpu(), output.pred_boxes.float().cpu())
        found += [
            _listed(score.numpy(), box.numpy(), films.windows[row])
            for score, box, row in zip(scores, boxes, batch, strict=True)
        ]
    return found


def _start(
    recipe: DetectorRecipe,
    films: Boxed,
    rows: Rows,
    out: Path,
    weights: str | None,
    device: str,
) -> _State:
    fit, label = recipe.fit, recipe.data.label.value
    with torch.random.fork_rng():
        torch.manual_seed(derive_seed(fit.seed, WEIGHTS))
        model = (
            load_detector(weights, label)
            if weights
            else make_detector(recipe.network, label, recipe.preprocess.size)
        )
    model = model.to(device).to(memory_format=torch.channels_last)
    freeze(model, recipe.network.frozen_blocks)
    groups = _rates(model, recipe)
    optimizer = AdamW(groups, fit.learning_rate, weight_decay=fit.weight_decay)
    steps = -(-len(_order(recipe, films, rows, 0)) // fit.batch_size)
    schedule = OneCycleLR(optimizer, [group["lr"] for group in groups], steps * fit.epochs)
    state = _State(model, optimizer, schedule, [])
    _resume(out / CHECKPOINT, state)
    return state


def _epoch(
    state: _State,
    recipe: DetectorRecipe,
    films: Boxed,
    rows: Rows,
    epoch: int,
    device: str,
    progress: bool,
) -> float:
    fit, total = recipe.fit, 0.0
    state.model.train()
    freeze(state.model, recipe.network.frozen_blocks)
    order = _order(recipe, films, rows, epoch)
    batches = list(torch.split(order, fit.batch_size))
    bar = tqdm(batches, desc=f"epoch {epoch + 1}", disable=None if progress else True)
    with torch.random.fork_rng():
        # the library draws its denoising from torch's one generator
        torch.manual_seed(derive_seed(fit.seed, DROPOUT, epoch))
        for place, batch in enumerate(bar):
            random = generator(fit.seed, AUGMENTATION, epoch, place)
            squares, boxes = augment_with_boxes(
                films.films(batch), [films.boxes[row] for row in batch], recipe.augmentation, random
            )
            loss = _loss(state.model, standardise(squares, recipe.preprocess), boxes, device)
            state.optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(state.model.parameters(), fit.clip)
            state.optimizer.step()
            state.schedule.step()
            total += loss.item() * len(batch)
    if not math.isfinite(total):
        raise TrainingError(
            f"epoch {epoch + 1}: the loss is {total}", hint="lower fit.learning_rate"
        )
    return total / len(order)


def _loss(model: Detector, inputs: Tensor, boxes: list[Tensor], device: str) -> Tensor:
    labels = []
    for each in boxes:
        sides = each[:, 2:] - each[:, :2]
        target = torch.cat([each[:, :2] + sides / 2, sides], dim=1).to(device)
        classes = torch.zeros(len(each), dtype=torch.int64, device=device)
        labels.append({"class_labels": classes, "boxes": target})
    inputs = inputs.to(device).contiguous(memory_format=torch.channels_last)
    loss: Tensor = model(pixel_values=inputs, labels=labels).loss
    return loss


def _order(recipe: DetectorRecipe, films: Boxed, rows: Rows, epoch: int) -> Tensor:
    """Return the films of one epoch: all with a box, and as many without as the recipe says."""
    random = generator(recipe.fit.seed, ORDER, epoch)
    positive = torch.tensor([row for row in rows if len(films.boxes[row])], dtype=torch.int64)
    negative = torch.tensor([row for row in rows if not len(films.boxes[row])], dtype=torch.int64)
    if not len(positive):
        raise CohortError("none of the films to learn from has a box")
    wanted = min(round(recipe.fit.negatives * len(positive)), len(negative))
    drawn = negative[torch.randperm(len(negative), generator=random)[:wanted]]
    together = torch.cat([positive, drawn])
    return together[torch.randperm(len(together), generator=random)]


def _rates(model: Detector, recipe: DetectorRecipe) -> list[dict[str, Any]]:
    """Split what learns into the backbone, at a lower rate, and the rest."""
    learned = [(name, each) for name, each in model.named_parameters() if each.requires_grad]
    inside = [each for name, each in learned if "backbone" in name]
    rest = [each for name, each in learned if "backbone" not in name]
    rate = recipe.fit.learning_rate
    groups = [{"params": rest, "lr": rate}]
    if inside and recipe.fit.backbone_rate:
        groups.append({"params": inside, "lr": rate * recipe.fit.backbone_rate})
    return groups


def _listed(
    scores: NDArray[np.float32], boxes: NDArray[np.float32], window: NDArray[np.float64]
) -> list[dict[str, Any]]:
    sides = boxes[:, 2:] - boxes[:, :2]
    kept = (scores >= AT_LEAST) & (sides > 0).all(1)
    scores, placed = scores[kept], on_film(boxes[kept].astype(np.float64), window)
    return [
        {"bbox": [round(float(side), 2) for side in placed[i]], "score": round(float(scores[i]), 5)}
        for i in np.argsort(-scores, kind="stable")
    ]


def _resume(path: Path, state: _State) -> None:
    if not path.is_file():
        return
    stored = torch.load(path, map_location="cpu", weights_only=True)
    state.model.load_state_dict(stored["model"])
    state.optimizer.load_state_dict(stored["optimizer"])
    state.schedule.load_state_dict(stored["schedule"])
    state.losses.extend(stored["losses"])


def _keep(path: Path, state: _State) -> None:
    with atomic_path(path) as temporary:
        torch.save(
            {
                "model": state.model.state_dict(),
                "optimizer": state.optimizer.state_dict(),
                "schedule": state.schedule.state_dict(),
                "losses": state.losses,
            },
            temporary,
        )
