"""Loggers: where Lightning writes the numbers of every epoch, besides curves.csv."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from lightning.pytorch.loggers import CSVLogger, Logger, MLFlowLogger, TensorBoardLogger

from hilum.core.extras import require


def build_loggers(names: Sequence[str], out: Path, run: str) -> list[Logger]:
    """Build the loggers of a run, all beneath ``out/logs`` unless MLFLOW_TRACKING_URI says else.

    Args:
        names: "tensorboard", "csv" or "mlflow".
        out: the run folder.
        run: what MLflow calls the run.

    Raises:
        MissingExtraError: "mlflow" without the extra ``mlflow``.
    """
    return [_build(name, out / "logs", run) for name in names]


def _build(name: str, folder: Path, run: str) -> Logger:
    if name == "tensorboard":
        return TensorBoardLogger(folder, name="tensorboard", version="")
    if name == "csv":
        return CSVLogger(folder, name="csv")
    require("mlflow")
    folder.mkdir(parents=True, exist_ok=True)
    file = f"sqlite:///{(folder / 'mlflow.db').absolute()}"
    return MLFlowLogger(run, tracking_uri=os.environ.get("MLFLOW_TRACKING_URI", file))
