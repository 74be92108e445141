"""Callbacks: curves while it runs, the epoch to keep, a checkpoint that is whole or not there."""

from __future__ import annotations

import csv
import math
import time
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins import TorchCheckpointIO
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint
from torch import Tensor
from tqdm import tqdm

from hilum.core.errors import TrainingError
from hilum.core.files import atomic_path
from hilum.learn.module import Learner

CHECKPOINT = "last.ckpt"
CURVES = "curves.csv"
PICTURE = "curves.png"


class WholeCheckpoints(TorchCheckpointIO):
    """Checkpoints that replace the old one when they are complete: no kill leaves half of one."""

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: Any, storage_options: Any | None = None
    ) -> None:
        """Write ``checkpoint`` beside ``path``, then rename it."""
        del storage_options
        with atomic_path(Path(path)) as temporary:
            torch.save(checkpoint, temporary)


class Curves(Callback):
    """Rewrites curves.csv and curves.png at the end of every epoch, and tells the loggers.

    The rows travel in the checkpoint, so a run that is resumed goes on where its checkpoint ends.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.rows: list[dict[str, float]] = []

    def state_dict(self) -> dict[str, Any]:
        """Return the rows so far."""
        return {"rows": self.rows}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take the rows of a checkpoint."""
        self.rows = list(state_dict["rows"])

    def take(self, trainer: Trainer, numbers: dict[str, float]) -> None:
        """Add one epoch's numbers and write the files."""
        self.rows.append({"epoch": len(self.rows) + 1, **numbers})
        if trainer.is_global_zero:
            write_curves(self.rows, self.folder)
            for logger in trainer.loggers:
                logger.log_metrics(numbers, step=len(self.rows))
                logger.save()


class KeepBest(Checkpoint):
    """Writes the checkpoint of every epoch; in it, a copy of the weights of the best one.

    One file holds both, so that no kill can leave a best epoch that the last one does not know.

    Args:
        folder: of the run.
        curves: gets the epoch's numbers first, so that the checkpoint holds them.
        monitor: "auroc" (larger is better) or "loss", of val; "last" keeps the newest epoch.
        patience: epochs without a better one until the run stops; None never stops it.
        average: keep the mean weights of the last so many epochs; above 1 only with "last".
    """

    def __init__(
        self,
        folder: Path,
        curves: Curves,
        *,
        monitor: str,
        patience: int | None,
        average: int = 1,
    ) -> None:
        self.folder, self.curves, self.monitor, self.patience = folder, curves, monitor, patience
        self.average = average
        self.recent: list[dict[str, Tensor]] = []
        self.best_epoch, self.best_rank = 0, [-math.inf]
        self.weights: dict[str, Tensor] = {}
        self.seconds = 0.0
        self._started: float | None = None

    def state_dict(self) -> dict[str, Any]:
        """Return the best epoch (from 1), its rank and weights, and the time spent."""
        return {
            "best_epoch": self.best_epoch,
            "best_rank": self.best_rank,
            "weights": self.weights,
            "recent": self.recent,
            "seconds": self.elapsed(),
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take what a checkpoint holds."""
        self.best_epoch, self.best_rank = state_dict["best_epoch"], state_dict["best_rank"]
        self.weights, self.seconds = state_dict["weights"], state_dict["seconds"]
        self.recent = state_dict["recent"]

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the clock."""
        self._started = time.monotonic()

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Compare, copy, stop where it must, and write the checkpoint."""
        if not isinstance(pl_module, Learner):
            raise TypeError(f"{type(pl_module).__name__}; expected a Learner")
        self.curves.take(trainer, pl_module.numbers)
        self._compare(pl_module)
        trainer.save_checkpoint(self.folder / CHECKPOINT)
        trainer.should_stop = self.exhausted

    def elapsed(self) -> float:
        """Seconds spent in training, those before a break included."""
        return self.seconds + (time.monotonic() - self._started if self._started else 0.0)

    @property
    def exhausted(self) -> bool:
        """True when ``patience`` epochs have passed without a better one."""
        return (
            self.patience is not None and len(self.curves.rows) - self.best_epoch >= self.patience
        )

    def _compare(self, learner: Learner) -> None:
        rank = self._rank(learner.numbers)
        if rank > self.best_rank:
            self.best_epoch, self.best_rank = len(self.curves.rows), rank
            weights = learner.network.state_dict()
            copied = {name: tensor.detach().cpu().clone() for name, tensor in weights.items()}
            if self.average > 1:
                self.recent = [*self.recent, copied][-self.average :]
                copied = _mean(self.recent)
            self.weights = copied

    def _rank(self, numbers: dict[str, float]) -> list[float]:
        """Return what makes an epoch better when it is larger, the second where the first ties."""
        loss, auroc = numbers["val_loss"], numbers["val_auroc"]
        ranks = {"auroc": [auroc, -loss], "loss": [-loss], "last": [float(len(self.curves.rows))]}
        rank = ranks[self.monitor]
        if any(math.isnan(value) for value in rank):
            epoch = len(self.curves.rows)
            raise TrainingError(
                f"epoch {epoch}: val {self.monitor} is not a number; "
                f"what was trained until epoch {epoch - 1} is kept",
                hint="lower fit.learning_rate, or see that val has films of both classes",
            )
        return rank


def _mean(states: list[dict[str, Tensor]]) -> dict[str, Tensor]:
    """Mean of each tensor; counters, which are whole numbers, as the last one has them."""
    last = states[-1]
    return {
        name: torch.stack([state[name] for state in states]).mean(0)
        if last[name].is_floating_point()
        else last[name]
        for name in last
    }


class ProgressBar(Callback):
    """One bar over all batches of the run, on stderr."""

    def __init__(self, curves: Curves) -> None:
        self.curves = curves
        self.bar: tqdm[Any] | None = None

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Open the bar where the run stands."""
        if trainer.is_global_zero:
            self.bar = tqdm(
                total=int(trainer.num_training_batches) * (trainer.max_epochs or 1),
                initial=trainer.global_step,
                desc="train",
                unit="batch",
                disable=None,
                dynamic_ncols=True,
            )

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Move on by one batch."""
        if self.bar is not None:
            self.bar.update()

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Show the epoch and the numbers of the one before."""
        if self.bar is not None:
            self.bar.set_description(f"epoch {trainer.current_epoch + 1}/{trainer.max_epochs}")
            if self.curves.rows:
                last = self.curves.rows[-1]
                wanted = ("train_loss", "val_loss", "val_auroc")
                self.bar.set_postfix({name: f"{last[name]:.3f}" for name in wanted})

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Close the bar, whatever ended the run."""
        if self.bar is not None:
            self.bar.close()


def write_curves(rows: list[dict[str, float]], folder: Path) -> None:
    """Write one row an epoch to curves.csv and draw accuracy and loss in curves.png."""
    with atomic_path(folder / CURVES) as temporary, temporary.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    draw_curves(rows, folder / PICTURE)


def draw_curves(rows: list[dict[str, float]], path: Path) -> None:
    """Draw loss, accuracy and AUROC over the epochs, PNG."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.6))
    left, right = figure.subplots(1, 2)
    epochs = [row["epoch"] for row in rows]
    for axes, names in (
        (left, ("train_loss", "val_loss")),
        (right, ("train_accuracy", "val_accuracy", "val_auroc")),
    ):
        for name in names:
            axes.plot(epochs, [row[name] for row in rows], marker=".", label=name.replace("_", " "))
        axes.set_xlabel("epoch")
        axes.grid(alpha=0.3)
        axes.legend(frameon=False)
    left.set_title("Loss")
    right.set_title("Accuracy and AUROC")
    figure.subplots_adjust(left=0.07, right=0.98, bottom=0.15, top=0.9)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=110)
