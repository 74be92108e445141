"""Networks: one literal table, one way to build, one contract that a test runs over all.

Every network maps standardised films, float (N, C, S, S), to ``NetworkOutput``. A network of ours
has evidence and a ``bias`` of shape (L,), with ``logits == evidence.mean((2, 3)) + bias``; those
of the founding papers keep their published heads, and their evidence is None.
"""

from __future__ import annotations

from collections.abc import Callable
from inspect import signature
from typing import Any

from pydantic import ValidationError, validate_call
from torch import nn

from hilum.core.config import did_you_mean
from hilum.core.errors import ConfigError
from hilum.learn.networks.abdelhady_2020 import build_abdelhady_2020
from hilum.learn.networks.dense import build_dense, build_fully_convolutional
from hilum.learn.networks.efficientnet_lite import build_efficientnet_lite0
from hilum.learn.networks.monai_backbones import build_densenet121, build_resnet18
from hilum.learn.networks.onnx import write_onnx
from hilum.learn.networks.output import EvidenceNetwork, NetworkOutput
from hilum.learn.networks.tiny import build_tiny
from hilum.learn.networks.usatov_kosik_2021 import build_usatov_kosik_2021

__all__ = ["NETWORKS", "Builder", "EvidenceNetwork", "NetworkOutput", "build_network", "write_onnx"]

Builder = Callable[..., nn.Module]

NETWORKS: dict[str, Builder] = {
    "abdelhady-2020": build_abdelhady_2020,
    "usatov-kosik-2021": build_usatov_kosik_2021,
    "efficientnet-lite0": build_efficientnet_lite0,
    "dense": build_dense,
    "fully-convolutional": build_fully_convolutional,
    "resnet18": build_resnet18,
    "densenet121": build_densenet121,
    "tiny": build_tiny,
}
"""Name -> function of ``labels, channels, size`` and the network's own options."""

SMALLEST_SIZE = 32


def build_network(name: str, *, labels: int, channels: int, size: int, **options: Any) -> nn.Module:
    """Build a network by name.

    Weights are drawn from torch's global generator: call ``torch.manual_seed`` before.

    Args:
        name: a key of ``NETWORKS``.
        labels: L, the number of logits.
        channels: C of the input, 1 or 3.
        size: side S of the input in pixels, at least 32.
        options: the network's own, as in its builder ("activation", "pretrained", ...).

    Raises:
        ConfigError: an unknown name or option, or a value that does not fit.
    """
    if name not in NETWORKS:
        raise ConfigError(f"network '{name}' is not known", hint=did_you_mean(name, NETWORKS))
    if size < SMALLEST_SIZE or labels < 1:
        raise ConfigError(
            f"network '{name}': size {size} and {labels} labels; "
            f"expected a size of at least {SMALLEST_SIZE} and one label or more"
        )
    builder = NETWORKS[name]
    try:
        return validate_call(builder)(labels=labels, channels=channels, size=size, **options)
    except ValidationError as error:
        raise _explain(name, builder, error) from None


def _explain(name: str, builder: Builder, error: ValidationError) -> ConfigError:
    first = error.errors()[0]
    key = str(first["loc"][-1])
    if first["type"] == "unexpected_keyword_argument":
        known = signature(builder).parameters.keys() - {"labels", "channels", "size"}
        hint = did_you_mean(key, known) if known else "this network has no options"
        return ConfigError(f"network '{name}': unknown option '{key}'", hint=hint)
    return ConfigError(f"network '{name}': {key}: {first['msg']}; found {first['input']!r}")
