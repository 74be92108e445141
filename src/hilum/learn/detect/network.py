"""Detectors of the transformers library: made anew, or loaded from the hub or a folder."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import (
    AutoModelForObjectDetection,
    RTDetrV2Config,
    RTDetrV2ForObjectDetection,
)
from transformers.utils import logging

from hilum.core.errors import ConfigError
from hilum.learn.detect.backbone import STAGES, Lite0Backbone, Lite0Config
from hilum.learn.detect.recipe import DetectorNetwork

Detector = Any
"""A ``transformers.PreTrainedModel`` for object detection; the library's own types are partial."""

_TAKEN = ["stage2", "stage3", "stage4"]
_PRIOR = 0.01
"""Score of an untrained detector; the library's own, 1 / (labels + 1), is 0.5 for one label."""


def make_detector(spec: DetectorNetwork, label: str, size: int) -> Detector:
    """Build an untrained RT-DETRv2 on EfficientNet-Lite0.

    Args:
        spec: how large.
        label: the one category.
        size: side of the square input, in pixels; a multiple of 32.

    Raises:
        ConfigError: ``size`` is no multiple of 32.
    """
    if size % 32:
        raise ConfigError(f"preprocess.size {size}: expected a multiple of 32")
    wide = 2 * spec.width
    config = RTDetrV2Config(
        backbone_config=Lite0Config(image_size=size, out_features=_TAKEN),  # type: ignore[call-arg]
        freeze_backbone_batch_norms=False,
        encoder_in_channels=[STAGES[stage][1] for stage in _TAKEN],
        encoder_hidden_dim=spec.width,
        d_model=spec.width,
        decoder_in_channels=[spec.width] * len(_TAKEN),
        encoder_ffn_dim=wide,
        decoder_ffn_dim=wide,
        hidden_expansion=0.5,
        encoder_attention_heads=spec.heads,
        decoder_attention_heads=spec.heads,
        decoder_layers=spec.layers,
        num_queries=spec.queries,
        num_denoising=spec.denoising,
        initializer_bias_prior_prob=_PRIOR,
        id2label={0: label},
        label2id={label: 0},
    )
    model = RTDetrV2ForObjectDetection(config)
    if spec.imagenet:
        _backbone(model).load_imagenet()
    return model


def load_detector(weights: str, label: str) -> Detector:
    """Load a detector for fine-tuning on one category; heads for other categories start anew.

    Args:
        weights: a folder made by ``save_pretrained``, or a name on the hub, as
            "PekingU/rtdetr_v2_r18vd" (needs a network the first time).
        label: the one category.

    Raises:
        ConfigError: nothing there that is a detector.
    """
    try:
        with _quiet():
            model: Detector = AutoModelForObjectDetection.from_pretrained(
                weights,
                id2label={0: label},
                label2id={label: 0},
                ignore_mismatched_sizes=True,
            )
    except (OSError, ValueError, KeyError, ImportError) as error:
        raise ConfigError(
            f"--weights {weights}: {str(error).strip().splitlines()[0]}",
            hint="a folder made by save_pretrained, or the name of a detector on the hub",
        ) from None
    return model


def save_detector(model: Detector, folder: Path) -> None:
    """Write a detector as a folder that ``load_detector`` and transformers read."""
    with _quiet():
        model.save_pretrained(folder)


def freeze(model: Detector, blocks: int) -> None:
    """Stop the first blocks of our own backbone; other backbones are trained whole."""
    found = [part for part in model.modules() if isinstance(part, Lite0Backbone)]
    for backbone in found:
        backbone.freeze(blocks)


def found_boxes(logits: Tensor, boxes: Tensor) -> tuple[Tensor, Tensor]:
    """Return what a detector of one category found.

    Args:
        logits: float (N, Q, C): of the category alone (RT-DETR, D-FINE, Deformable and Conditional
            DETR: sigmoid), or of it and "no object" (DETR, YOLOS: softmax).
        boxes: float (N, Q, 4): center x, center y, width, height, as fractions of the side.

    Returns:
        scores float (N, Q) in [0, 1]; boxes float (N, Q, 4): left, top, right, bottom, cut at the
        border.
    """
    alone = logits.shape[-1] == 1
    scores = logits[..., 0].sigmoid() if alone else logits.softmax(-1)[..., 0]
    center, half = boxes[..., :2], boxes[..., 2:] / 2
    return scores, torch.cat([center - half, center + half], dim=-1).clamp(0, 1)


@contextmanager
def _quiet() -> Iterator[None]:
    """Hide the library's bars, and its list of weights of the heads that start anew."""
    library: Any = logging  # untyped
    verbosity, bars = library.get_verbosity(), library.is_progress_bar_enabled()
    library.set_verbosity_error()
    library.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        library.set_verbosity(verbosity)
        if bars:
            library.enable_progress_bar()


def _backbone(model: Any) -> Lite0Backbone:
    found: Lite0Backbone = model.model.backbone.model
    return found
