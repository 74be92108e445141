"""An ONNX file as a torch module: every node a submodule, so that gradients and hooks work.

A bundle ships its network as ONNX alone. Its weights, float16 with a cast or not, become
parameters here, and its answers are those of ONNX Runtime to float32 rounding.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from numpy.typing import NDArray
from torch import Tensor, nn

from hilum.core.errors import BundleError
from hilum.learn.explain.ops import HINT, operation

ACTIVATIONS = frozenset(
    {"Clip", "Elu", "HardSigmoid", "HardSwish", "LeakyRelu", "Relu", "Sigmoid", "Tanh"}
)
"""Operations that bend, number by number; ``forward`` can leave them out."""


class Node(nn.Module):
    """One node of the graph.

    Attributes:
        kind: its ONNX ``op_type``.
        inputs: names of what it takes; "" for an optional input that is not there.
        output: name of what it gives.
    """

    def __init__(self, proto: onnx.NodeProto, where: str) -> None:
        super().__init__()
        self.kind, self.inputs = proto.op_type, tuple(proto.input)
        named = f"{where}: node '{proto.name or proto.output[0]}'"
        if len(proto.output) != 1 and any(proto.output[1:]):
            raise BundleError(f"{named}: {len(proto.output)} outputs; expected one", hint=HINT)
        self.output = proto.output[0]
        self.run = operation(self.kind, _attributes(proto), named)

    def forward(self, *values: Tensor | None) -> Tensor:
        """Calculate the node."""
        return self.run(*values)


class OnnxModule(nn.Module):
    """The network of an ONNX file, in torch.

    Args:
        path: the file: one input, float32 (N, C, S, S); an output "logits" (N, L).

    Attributes:
        nodes: name of its output -> node, in order of calculation.
        outputs: names of the graph's outputs.

    Raises:
        BundleError: the file cannot be read, or has an operation that ``ops.OPS`` lacks.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        graph = _load(path)
        constants = {each.name: _tensor(each) for each in graph.initializer}
        inputs = [each.name for each in graph.input if each.name not in constants]
        self.where, self.input = str(path), inputs[0]
        self.outputs = tuple(each.name for each in graph.output)
        kept = []
        for proto in graph.node:
            if proto.op_type == "Constant":
                constants[proto.output[0]] = _constant(proto, str(path))
                continue
            node = Node(proto, str(path))
            if all(name in constants or not name for name in node.inputs):
                constants[node.output] = node(*(constants.get(name) for name in node.inputs))
            else:
                kept.append(node)
        used = {name for node in kept for name in node.inputs}
        self._constants = {name: value for name, value in constants.items() if name in used}
        self._weights = {
            name: number
            for number, name in enumerate(
                name for name, value in self._constants.items() if value.is_floating_point()
            )
        }
        self.weights = nn.ParameterList(
            nn.Parameter(self._constants.pop(name), requires_grad=False) for name in self._weights
        )
        self.steps = nn.ModuleList(kept)
        self.nodes: dict[str, Node] = {node.output: node for node in kept}

    def forward(
        self,
        films: Tensor,
        wanted: Collection[str] = ("logits",),
        *,
        straight: Collection[str] = (),
    ) -> dict[str, Tensor]:
        """Calculate films, float (N, C, S, S).

        Args:
            films: standardised as the bundle's ``Preprocess`` does it.
            wanted: values to return: outputs of the graph or of any node.
            straight: nodes that pass on their first input unchanged instead of bending it.

        Raises:
            BundleError: the graph has no such value.
        """
        values: dict[str, Tensor] = {self.input: films}
        for node in self.nodes.values():
            taken = [self._value(name, values) for name in node.inputs]
            straightened = node.output in straight
            values[node.output] = taken[0] if straightened else node(*taken)  # type: ignore[assignment]
        lacking = [name for name in wanted if name not in values]
        if lacking:
            raise BundleError(f"{self.where}: no value '{lacking[0]}'", hint="see --layer")
        return {name: values[name] for name in wanted}

    def run(self, inputs: NDArray[np.float32]) -> tuple[NDArray[np.float32], Any]:
        """Return logits and evidence (or None) as ``Reader.run`` does, float32."""
        wanted = [name for name in ("logits", "evidence") if name in self.outputs]
        with torch.no_grad():
            found = self(torch.from_numpy(np.ascontiguousarray(inputs)), wanted)
        evidence = found.get("evidence")
        return found["logits"].numpy(), None if evidence is None else evidence.numpy()

    def weight(self, name: str) -> nn.Parameter | None:
        """Return the parameter that the graph calls ``name``, or None."""
        place = self._weights.get(name)
        return None if place is None else self.weights[place]

    def ancestors(self, output: str) -> set[str]:
        """Name the values that ``output`` depends on, itself included."""
        found, waiting = set(), [output]
        while waiting:
            name = waiting.pop()
            if name in self.nodes and name not in found:
                found.add(name)
                waiting.extend(self.nodes[name].inputs)
        return found

    def _value(self, name: str, values: dict[str, Tensor]) -> Tensor | None:
        if not name:
            return None
        if name in values:
            return values[name]
        place = self._weights.get(name)
        return self._constants[name] if place is None else self.weights[place]


def _load(path: Path) -> onnx.GraphProto:
    try:
        return onnx.load(path).graph
    except (OSError, DecodeError) as error:
        raise BundleError(f"{path}: {error}", hint="pack the bundle again") from None


def _attributes(proto: onnx.NodeProto) -> dict[str, Any]:
    values = {each.name: onnx.helper.get_attribute_value(each) for each in proto.attribute}
    return {k: v.decode() if isinstance(v, bytes) else v for k, v in values.items()}


def _tensor(proto: onnx.TensorProto) -> Tensor:
    return torch.from_numpy(onnx.numpy_helper.to_array(proto).copy())


def _constant(proto: onnx.NodeProto, where: str) -> Tensor:
    (name, value), *others = _attributes(proto).items()
    if others or name not in ("value", "value_float", "value_int", "value_floats", "value_ints"):
        raise BundleError(f"{where}: Constant of '{name}' is not known here", hint=HINT)
    return _tensor(value) if name == "value" else torch.tensor(value)
