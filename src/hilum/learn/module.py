"""Learner: what Lightning trains: a network, its loss, its optimizer, and its numbers an epoch."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd
import torch
from lightning.pytorch import LightningModule
from torch import Tensor, nn
from torch.nn import functional
from torch.optim import SGD, Adam, AdamW, Optimizer
from torch.optim.lr_scheduler import LambdaLR

from hilum.core.errors import TrainingError
from hilum.image.preprocess import Preprocess
from hilum.judge.metrics import auroc
from hilum.learn.augment import augment
from hilum.learn.films import Batch
from hilum.learn.networks.output import NetworkOutput
from hilum.learn.recipe import Fit, Recipe
from hilum.learn.robust import Cells, GroupRobust
from hilum.learn.seeds import AUGMENTATION, DROPOUT, derive_seed, generator


def masked_bce(logits: Tensor, truth: Tensor) -> Tensor:
    """Return the binary cross-entropy over the labels that are known, a scalar >= 0.

    Args:
        logits: float (N, L).
        truth: float (N, L): 1, 0, or NaN for unknown. An unknown label adds nothing and sends no
            gradient; a batch that knows nothing has loss 0.
    """
    each, known = _each(logits, truth)
    return each.sum() / known.sum().clamp(min=1)


def _each(logits: Tensor, truth: Tensor) -> tuple[Tensor, Tensor]:
    """Return the cross-entropy of every answer, 0 where it is unknown, and which are known."""
    known = ~torch.isnan(truth)
    target = torch.where(known, truth, 0.0)
    each = functional.binary_cross_entropy_with_logits(logits.float(), target, reduction="none")
    return torch.where(known, each, 0.0), known


def standardise(squares: Tensor, preprocess: Preprocess) -> Tensor:
    """Do to float32 (N, 1, S, S) what ``Preprocess.standardise`` does to a film: (N, C, S, S)."""
    standard = (squares - preprocess.mean) / preprocess.std
    return standard.expand(-1, preprocess.channels, -1, -1)


class Learner(LightningModule):
    """A network in training.

    Args:
        network: as ``build_network`` made it.
        recipe: of the run.
        steps_per_epoch: batches that one device takes in an epoch.
        cases: of the training films.

    Attributes:
        numbers: of the epoch that ended last: train_loss, train_accuracy, val_loss, ...
    """

    def __init__(
        self, network: nn.Module, recipe: Recipe, steps_per_epoch: int, cases: pd.DataFrame
    ) -> None:
        super().__init__()
        self.network, self.recipe = network, recipe
        self.steps_per_epoch, self.films_of = steps_per_epoch, cases["case_id"].tolist()
        cells = Cells.of(cases, [label.value for label in recipe.data.labels])
        robust = recipe.fit.group_robust
        self._robust = GroupRobust(cells, robust) if robust else None
        self.numbers: dict[str, float] = {}
        self._train, self._val = _Tally(), _Tally()

    def forward(self, squares: Tensor) -> Tensor:
        """Read float32 (N, 1, S, S) in [0, 1]: logits (N, L)."""
        return self._look(squares).logits

    def _look(self, squares: Tensor) -> NetworkOutput:
        films = standardise(squares, self.recipe.preprocess)
        if self.recipe.fit.channels_last:
            films = films.contiguous(memory_format=torch.channels_last)
        output: NetworkOutput = self.network(films)
        return output

    def _loss(self, output: NetworkOutput, batch: Batch) -> Tensor:
        loss = masked_bce(output.logits, batch.truth)
        if self._robust is not None:
            each, known = _each(output.logits, batch.truth)
            loss = self._robust(each.sum(1) / known.sum(1).clamp(min=1), batch.rows)
        return loss

    def _changed(self, batch: Batch, random: torch.Generator) -> Tensor:
        """Return the films of a batch as they are shown this time."""
        return augment(batch.squares, self.recipe.augmentation, random)

    def _groups(self) -> list[dict[str, Any]]:
        """Return what is learned, in groups of one learning rate."""
        return [{"params": [each for each in self.parameters() if each.requires_grad]}]

    def on_train_epoch_start(self) -> None:
        """Forget the last epoch's predictions."""
        self._train = _Tally()

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Return the loss of one batch; raise ``TrainingError`` when it is not a number."""
        place = batch_idx * self.trainer.world_size + self.trainer.global_rank
        when = (self.current_epoch, place)
        random = generator(self.recipe.fit.seed, AUGMENTATION, *when, device=batch.squares.device)
        # here and not once an epoch: on resume the loaders draw from torch's generator in between
        torch.manual_seed(derive_seed(self.recipe.fit.seed, DROPOUT, *when))
        output = self._look(self._changed(batch, random))
        loss = self._loss(output, batch)
        if not torch.isfinite(loss):
            raise self._not_a_number(loss, batch, batch_idx)
        self._train.add(output.logits.detach(), batch.truth)
        return loss

    def on_validation_epoch_start(self) -> None:
        """Forget the last epoch's predictions."""
        self._val = _Tally()

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Keep the logits of one batch of val."""
        self._val.add(self(batch.squares), batch.truth)

    def on_train_epoch_end(self) -> None:
        """Put the epoch's numbers together, before the callbacks that watch them."""
        labels = [label.value for label in self.recipe.data.labels]
        self.numbers = {
            "learning_rate": float(self.trainer.optimizers[0].param_groups[0]["lr"]),
            "train_loss": self._train.loss(),
            "train_accuracy": self._train.accuracy(),
            "val_loss": self._val.loss(),
            "val_accuracy": self._val.accuracy(),
            **self._val.aurocs(labels),
        }

    def configure_optimizers(self) -> Any:
        """Build the optimizer and its schedule, which moves every step."""
        fit = self.recipe.fit
        optimizer = _optimizer(self._groups(), fit)
        schedule = LambdaLR(
            optimizer, lambda step: learning_rate_factor(step, self.steps_per_epoch, fit)
        )
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": schedule, "interval": "step"},
        }

    def _not_a_number(self, loss: Tensor, batch: Batch, batch_idx: int) -> TrainingError:
        films = [self.films_of[i] for i in batch.rows.tolist()][:3]
        return TrainingError(
            f"epoch {self.current_epoch + 1}, batch {batch_idx + 1}: the loss is {loss.item()}; "
            f"first films of the batch: {', '.join(films)}; "
            f"what was trained until epoch {self.current_epoch} is kept",
            hint="lower fit.learning_rate or set fit.gradient_clip = 1.0 or "
            'fit.precision = "32-true", and run again',
        )


def learning_rate_factor(step: int, steps_per_epoch: int, fit: Fit) -> float:
    """Return the share of ``fit.learning_rate`` at a step: linear warm-up, then the schedule.

    >>> fit = Fit(epochs=4, warmup_epochs=1, schedule="cosine")
    >>> [round(learning_rate_factor(step, 10, fit), 2) for step in (0, 9, 25, 40)]
    [0.1, 1.0, 0.5, 0.0]
    """
    warmup = round(fit.warmup_epochs * steps_per_epoch)
    if step < warmup:
        return (step + 1) / warmup
    if fit.schedule == "constant":
        return 1.0
    rest = max(fit.epochs * steps_per_epoch - warmup, 1)
    return 0.5 * (1 + math.cos(math.pi * min((step - warmup) / rest, 1.0)))


def _optimizer(learned: list[dict[str, Any]], fit: Fit) -> Optimizer:
    rate, decay = fit.learning_rate, fit.weight_decay
    if fit.optimizer == "sgd":
        return SGD(learned, rate, momentum=0.9, nesterov=True, weight_decay=decay)
    kind = AdamW if fit.optimizer == "adamw" else Adam
    return kind(learned, rate, weight_decay=decay)


class _Tally:
    """The logits and labels of one pass over films."""

    def __init__(self) -> None:
        self._logits: list[Tensor] = []
        self._truth: list[Tensor] = []

    def add(self, logits: Tensor, truth: Tensor) -> None:
        self._logits.append(logits.float())
        self._truth.append(truth)

    def loss(self) -> float:
        return masked_bce(*self._both()).item()

    def accuracy(self) -> float:
        """Share of known labels on their side of score 0.5."""
        logits, truth = self._both()
        known = ~torch.isnan(truth)
        right = (logits > 0) == (truth > 0.5)
        return (right & known).sum().item() / max(known.sum().item(), 1)

    def aurocs(self, labels: list[str]) -> dict[str, float]:
        """AUROC of each label and their mean over those that have both classes."""
        logits, truth = (tensor.cpu().double().numpy() for tensor in self._both())
        each = [float(auroc(truth[:, i], logits[:, i])) for i in range(len(labels))]
        defined = [value for value in each if not math.isnan(value)]
        mean = sum(defined) / len(defined) if defined else math.nan
        names = [f"val_auroc_{label}" for label in labels] if len(labels) > 1 else []
        return {"val_auroc": mean, **dict(zip(names, each, strict=False))}

    def _both(self) -> tuple[Tensor, Tensor]:
        return torch.cat(self._logits), torch.cat(self._truth)
