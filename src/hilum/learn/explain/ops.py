"""The operations of ONNX that our networks and common ones use, in torch.

onnx2torch and onnx2pytorch import torchvision, which Hilum does without; hence this table.

Each entry takes the attributes of a node, pops those that it knows, and returns a function of the
node's inputs. Whatever is left over is refused by ``operation``: an attribute that is ignored in
silence would be a wrong number.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 (as everyone writes it)

from hilum.core.config import did_you_mean
from hilum.core.errors import BundleError

Attributes = dict[str, Any]
Function = Callable[..., Tensor]

HINT = "explain it with --method evidence or occlusion, which run on ONNX Runtime"


def operation(kind: str, attributes: Attributes, where: str) -> Function:
    """Return the torch function of one node.

    Args:
        kind: its ONNX ``op_type``.
        attributes: name -> value, strings decoded.
        where: what to call the node in an error.

    Raises:
        BundleError: the operation, or one of its attributes, is not known here.
    """
    if kind not in OPS:
        raise BundleError(
            f"{where}: operation '{kind}' has no gradients here",
            hint=f"{HINT} ({did_you_mean(kind, OPS)})",
        )
    rest = dict(attributes)
    try:
        function = OPS[kind](rest)
    except ValueError as error:
        raise BundleError(f"{where}: {kind}: {error}", hint=HINT) from None
    if rest:
        raise BundleError(f"{where}: {kind}: attributes {rest} are not known here", hint=HINT)
    return function


def _plain(function: Callable[..., Tensor]) -> Callable[[Attributes], Function]:
    return lambda _: function


def _conv(a: Attributes) -> Function:
    strides, pads, dilations = _window(a)
    a.pop("kernel_shape", None)  # the weights say it
    groups = a.pop("group", 1)

    def run(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        kernel = weight.shape[2:]
        x = F.pad(x, _padding(pads, x.shape[2:], kernel, strides, dilations))
        convolve = {3: F.conv1d, 4: F.conv2d}[x.dim()]
        return convolve(x, weight, bias, strides, 0, dilations, groups)

    return run


def _max_pool(a: Attributes) -> Function:
    kernel = a.pop("kernel_shape")
    strides, pads, dilations = _window(a, len(kernel))
    _only(a, "ceil_mode", 0)
    _only(a, "storage_order", 0)

    def run(x: Tensor) -> Tensor:
        padding = _padding(pads, x.shape[2:], kernel, strides, dilations)
        x = F.pad(x, padding, value=-torch.inf) if any(padding) else x
        return F.max_pool2d(x, kernel, strides, 0, dilations)

    return run


def _average_pool(a: Attributes) -> Function:
    kernel = a.pop("kernel_shape")
    strides, pads, _ = _window(a, len(kernel))
    _only(a, "ceil_mode", 0)
    counted = bool(a.pop("count_include_pad", 0))

    def run(x: Tensor) -> Tensor:
        padding = _padding(pads, x.shape[2:], kernel, strides, [1, 1])
        if not any(padding):
            return F.avg_pool2d(x, kernel, strides)
        total = F.avg_pool2d(F.pad(x, padding), kernel, strides)
        if counted:
            return total
        inside = F.pad(torch.ones_like(x[:1, :1]), padding)
        return total / F.avg_pool2d(inside, kernel, strides)

    return run


def _batch_norm(a: Attributes) -> Function:
    epsilon = a.pop("epsilon", 1e-5)
    a.pop("momentum", None)  # of training only
    _only(a, "training_mode", 0)

    def run(x: Tensor, scale: Tensor, bias: Tensor, mean: Tensor, variance: Tensor) -> Tensor:
        return F.batch_norm(x, mean, variance, scale, bias, False, 0.0, epsilon)

    return run


def _gemm(a: Attributes) -> Function:
    alpha, beta = a.pop("alpha", 1.0), a.pop("beta", 1.0)
    left, right = a.pop("transA", 0), a.pop("transB", 0)

    def run(x: Tensor, y: Tensor, z: Tensor | None = None) -> Tensor:
        product: Tensor = alpha * ((x.T if left else x) @ (y.T if right else y))
        return product if z is None else product + beta * z

    return run


def _clip(_: Attributes) -> Function:
    def run(x: Tensor, low: Tensor | None = None, high: Tensor | None = None) -> Tensor:
        ends = [None if end is None else float(end) for end in (low, high)]
        return x if ends == [None, None] else x.clamp(*ends)

    return run


def _hard_sigmoid(a: Attributes) -> Function:
    alpha, beta = a.pop("alpha", 0.2), a.pop("beta", 0.5)
    return lambda x: (alpha * x + beta).clamp(0, 1)


def _elu(a: Attributes) -> Function:
    alpha = a.pop("alpha", 1.0)
    return lambda x: F.elu(x, alpha)


def _leaky_relu(a: Attributes) -> Function:
    alpha = a.pop("alpha", 0.01)
    return lambda x: F.leaky_relu(x, alpha)


def _softmax(a: Attributes) -> Function:
    axis = a.pop("axis", -1)
    return lambda x: torch.softmax(x, axis)


def _reduce(reduce: Callable[..., Tensor]) -> Callable[[Attributes], Function]:
    def make(a: Attributes) -> Function:
        keep, given = bool(a.pop("keepdims", 1)), a.pop("axes", None)
        no_axes = bool(a.pop("noop_with_empty_axes", 0))

        def run(x: Tensor, axes: Tensor | None = None) -> Tensor:
            chosen = given if axes is None else _whole(axes)
            if not chosen and no_axes:
                return x
            return reduce(x, chosen or list(range(x.dim())), keepdim=keep)

        return run

    return make


def _flatten(a: Attributes) -> Function:
    axis = a.pop("axis", 1)
    return lambda x: x.reshape(int(np.prod(x.shape[:axis])), -1)


def _reshape(a: Attributes) -> Function:
    zeros_are_zeros = bool(a.pop("allowzero", 0))

    def run(x: Tensor, shape: Tensor) -> Tensor:
        sizes = _whole(shape)
        if not zeros_are_zeros:
            sizes = [x.shape[place] if size == 0 else size for place, size in enumerate(sizes)]
        return x.reshape(sizes)

    return run


def _unsqueeze(a: Attributes) -> Function:
    given = a.pop("axes", None)

    def run(x: Tensor, axes: Tensor | None = None) -> Tensor:
        chosen = given if axes is None else _whole(axes)
        rank = x.dim() + len(chosen)
        for axis in sorted(axis % rank for axis in chosen):
            x = x.unsqueeze(axis)
        return x

    return run


def _squeeze(a: Attributes) -> Function:
    given = a.pop("axes", None)

    def run(x: Tensor, axes: Tensor | None = None) -> Tensor:
        chosen = given if axes is None else _whole(axes)
        return x.squeeze() if chosen is None else x.squeeze(tuple(chosen))

    return run


def _concat(a: Attributes) -> Function:
    axis = a.pop("axis")
    return lambda *parts: torch.cat(parts, axis)


def _cast(a: Attributes) -> Function:
    kind = a.pop("to")
    a.pop("saturate", None)  # of float8 only
    if kind not in _TYPES:
        raise ValueError(f"to type {kind}")
    return lambda x: x.to(_TYPES[kind])


def _transpose(a: Attributes) -> Function:
    order = a.pop("perm", None)
    return lambda x: x.permute(order if order else list(range(x.dim()))[::-1])


def _pad(a: Attributes) -> Function:
    mode = a.pop("mode", "constant")
    if mode != "constant":
        raise ValueError(f"mode '{mode}'")

    def run(x: Tensor, pads: Tensor, value: Tensor | None = None) -> Tensor:
        ends = _whole(pads)
        rank = len(ends) // 2
        pairs = [(ends[axis], ends[axis + rank]) for axis in reversed(range(rank))]
        filling = 0.0 if value is None else float(value)
        return F.pad(x, [end for pair in pairs for end in pair], value=filling)

    return run


def _resize(a: Attributes) -> Function:
    """Nearest by whole factors, and linear with half-pixel centers: what U-Nets use."""
    mode, how = a.pop("mode", "nearest"), a.pop("coordinate_transformation_mode", "half_pixel")
    for name in ("cubic_coeff_a", "extrapolation_value", "exclude_outside", "nearest_mode"):
        a.pop(name, None)  # say nothing of these two modes
    _only(a, "antialias", 0)
    _only(a, "keep_aspect_ratio_policy", "stretch")
    if (mode, how) not in {
        ("nearest", "asymmetric"),
        ("linear", "half_pixel"),
        ("linear", "pytorch_half_pixel"),
    }:
        raise ValueError(f"mode '{mode}' with coordinates '{how}'")

    def run(
        x: Tensor,
        _: Tensor | None = None,
        scales: Tensor | None = None,
        sizes: Tensor | None = None,
    ) -> Tensor:
        if sizes is not None:
            shape = _whole(sizes)[2:]
        elif scales is not None:
            shape = [int(s * f) for s, f in zip(x.shape[2:], scales.tolist()[2:], strict=True)]
        else:
            raise BundleError("Resize: neither scales nor sizes", hint=HINT)
        return F.interpolate(x, shape, mode="bilinear" if mode == "linear" else mode)

    return run


_TYPES = {1: torch.float32, 6: torch.int32, 7: torch.int64, 9: torch.bool, 10: torch.float16}
"""``onnx.TensorProto.DataType`` -> torch."""

OPS: dict[str, Callable[[Attributes], Function]] = {
    "Add": _plain(torch.add),
    "AveragePool": _average_pool,
    "BatchNormalization": _batch_norm,
    "Cast": _cast,
    "Clip": _clip,
    "Concat": _concat,
    "Conv": _conv,
    "Div": _plain(torch.div),
    "Dropout": lambda a: a.clear() or (lambda x, *_: x),  # type: ignore[func-returns-value]
    "Elu": _elu,
    "Flatten": _flatten,
    "Gemm": _gemm,
    "GlobalAveragePool": _plain(lambda x: x.mean(tuple(range(2, x.dim())), keepdim=True)),
    "HardSigmoid": _hard_sigmoid,
    "HardSwish": _plain(F.hardswish),
    "Identity": _plain(lambda x: x),
    "LeakyRelu": _leaky_relu,
    "MatMul": _plain(torch.matmul),
    "MaxPool": _max_pool,
    "Mul": _plain(torch.mul),
    "Pad": _pad,
    "ReduceMean": _reduce(torch.mean),
    "ReduceSum": _reduce(torch.sum),
    "Relu": _plain(torch.relu),
    "Reshape": _reshape,
    "Resize": _resize,
    "Sigmoid": _plain(torch.sigmoid),
    "Softmax": _softmax,
    "Squeeze": _squeeze,
    "Sub": _plain(torch.sub),
    "Tanh": _plain(torch.tanh),
    "Transpose": _transpose,
    "Unsqueeze": _unsqueeze,
}
"""ONNX operation -> from its attributes to a function of its inputs."""


def _only(a: Attributes, name: str, value: object) -> None:
    found = a.pop(name, value)
    if found != value:
        raise ValueError(f"{name} {found}; expected {value}")


def _window(a: Attributes, rank: int = 2) -> tuple[list[int], list[int] | str, list[int]]:
    """Pop strides, pads (or the name of a rule for them) and dilations."""
    rule = a.pop("auto_pad", "NOTSET")
    pads: list[int] | str = a.pop("pads", [0] * 2 * rank)
    if rule == "VALID":
        pads = [0] * 2 * rank
    elif rule != "NOTSET":
        pads = str(rule)
    return a.pop("strides", [1] * rank), pads, a.pop("dilations", [1] * rank)


def _padding(
    pads: list[int] | str, sides: Any, kernel: Any, strides: list[int], dilations: list[int]
) -> list[int]:
    """From ONNX (all starts, all ends) to torch (last axis first, start and end)."""
    rank = len(strides)
    if isinstance(pads, str):
        starts, ends = [], []
        for side, width, stride, step in zip(sides, kernel, strides, dilations, strict=True):
            reach = (width - 1) * step + 1
            total = max((-(-side // stride) - 1) * stride + reach - side, 0)
            small, large = total // 2, total - total // 2
            starts.append(small if pads == "SAME_UPPER" else large)
            ends.append(large if pads == "SAME_UPPER" else small)
    else:
        starts, ends = pads[:rank], pads[rank:]
    return [end for axis in reversed(range(rank)) for end in (starts[axis], ends[axis])]


def _whole(values: Tensor) -> list[int]:
    return [int(value) for value in values.reshape(-1).tolist()]
