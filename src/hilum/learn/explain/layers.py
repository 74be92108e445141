"""Which layers of a network a map is read from.

A layer is a set of values of the graph, one a branch: an ensemble of two networks in one graph has
two last feature maps, and a map of it is the sum over both (their logits' mean already carries the
1/2). Candidates are the maps with a place on which something was decided: activations, poolings,
sums. A convolution alone is none, for the head that turns features into evidence is one.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from hilum.core.errors import ConfigError
from hilum.learn.explain.graph import ACTIVATIONS, OnnxModule

LAST = "last"
STRIDE = "stride-"
_CANDIDATES = ACTIVATIONS | {"Add", "AveragePool", "BatchNormalization", "MaxPool", "Mul"}


@dataclass(frozen=True, slots=True)
class Layer:
    """Feature maps of one depth.

    Attributes:
        name: "last", "stride-16", or that of a value of the graph.
        values: names of the values, one a branch.
        stride: pixels of the input that one cell spans.
    """

    name: str
    values: tuple[str, ...]
    stride: int


def choose_layer(module: OnnxModule, films: Tensor, name: str = LAST) -> Layer:
    """Find a layer by name.

    Args:
        module: the network.
        films: float (1, C, S, S), any film of the right size.
        name: "last"; "stride-8" for the last feature map whose cells span 8 pixels; or the name of
            any value of the graph that has a place.

    Raises:
        ConfigError: there is no such layer; the hint lists those that exist.
    """
    side, sizes = films.shape[-1], _spatial(module, films)
    if name in sizes:
        return Layer(name, (name,), round(side / sizes[name]))
    decided = _decided(module, sizes)
    strides = _strides(decided, side)
    wanted = max(strides, default=0) if name == LAST else _stride(name)
    if wanted not in strides:
        known = ", ".join([LAST, *(f"{STRIDE}{stride}" for stride in strides)])
        raise ConfigError(
            f"layer '{name}': {module.where} has none of that name",
            hint=f"known: {known}, or a value of the graph",
        )
    return Layer(name, _frontier(module, decided, side, wanted), wanted)


def strides_of(module: OnnxModule, films: Tensor) -> list[int]:
    """Return the strides of the layers of a network, ascending; ``films`` float (1, C, S, S)."""
    return _strides(_decided(module, _spatial(module, films)), films.shape[-1])


def _decided(module: OnnxModule, sizes: dict[str, int]) -> dict[str, int]:
    upstream = module.ancestors("logits")
    maps = {key: size for key, size in sizes.items() if key in upstream}
    return {k: v for k, v in maps.items() if module.nodes[k].kind in _CANDIDATES} or maps


def _strides(sizes: dict[str, int], side: int) -> list[int]:
    return sorted({round(side / size) for size in sizes.values()})


def _stride(name: str) -> int:
    digits = name.removeprefix(STRIDE)
    return int(digits) if name.startswith(STRIDE) and digits.isdigit() else 0


def _spatial(module: OnnxModule, films: Tensor) -> dict[str, int]:
    """Return name -> side of every square map with a place."""
    with torch.no_grad():
        values = module(films, list(module.nodes))
    return {
        name: value.shape[-1]
        for name, value in values.items()
        if value.dim() == 4 and value.shape[0] == 1 and 1 < value.shape[-1] == value.shape[-2]
    }


def _frontier(module: OnnxModule, sizes: dict[str, int], side: int, stride: int) -> tuple[str, ...]:
    """Name the maps of one stride that no other map of that stride comes after."""
    level = [name for name, size in sizes.items() if round(side / size) == stride]
    passed = {up for name in level for up in module.ancestors(name) if up != name}
    return tuple(name for name in level if name not in passed)
