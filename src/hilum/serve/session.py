"""Session: a bundle's network on ONNX Runtime, checked against its manifest."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hilum.bundle.folder import Bundle
from hilum.bundle.onnx import AGAIN, Graph
from hilum.core.errors import BundleError

Logits = NDArray[np.float32]
Evidence = NDArray[np.float32]

EMBEDDING, APPEARANCE = "embedding", "appearance"


class NetworkAnswer(NamedTuple):
    """What the network says of one film.

    Attributes:
        logits: float32 (L,).
        evidence: float32 (L, h, w), or None without that output.
        embedding: float32 (E,), or None without that output.
        appearance: float32 (4,), chances in the order of ``hilum.core.labels.Appearance``; None
            without that output.
    """

    logits: Logits
    evidence: Evidence | None
    embedding: NDArray[np.float32] | None
    appearance: NDArray[np.float32] | None = None


class NetworkSession:
    """The network of one bundle.

    Args:
        bundle: an opened bundle.
        threads: CPU threads of one inference; None for every core of this process.

    Raises:
        BundleError: the graph does not load, or is not what the manifest says.
    """

    def __init__(self, bundle: Bundle, threads: int | None = None) -> None:
        self._graph = Graph(bundle.model, threads)
        check_graph(self._graph, bundle)
        self._outputs = ["logits", "evidence"] if bundle.manifest.evidence else ["logits"]

    def run(self, inputs: NDArray[np.float32]) -> tuple[Logits, Evidence | None]:
        """Run the network on a batch.

        Args:
            inputs: float32 (N, C, S, S), standardised as the bundle's ``Preprocess`` does it.

        Returns:
            logits float32 (N, L); evidence float32 (N, L, h, w), or None without that output.

        Raises:
            BundleError: the network failed on this batch.
        """
        outputs = self._graph.run(inputs, self._outputs)
        return outputs[0], outputs[1] if len(outputs) > 1 else None

    def embed(self, inputs: NDArray[np.float32]) -> NDArray[np.float32] | None:
        """Return what the network makes of each film before its head: float32 (N, E).

        None where the graph has no output "embedding".

        Raises:
            BundleError: the network failed on this batch.
        """
        if EMBEDDING not in self._graph.outputs:
            return None
        return self._graph.run(inputs, [EMBEDDING])[0]

    def answers(self, inputs: NDArray[np.float32]) -> list[NetworkAnswer]:
        """Run the network once for all of its outputs; return them film by film.

        Raises:
            BundleError: the network failed on this batch.
        """
        named = [*self._outputs, *({EMBEDDING, APPEARANCE} & self._graph.outputs.keys())]
        found = dict(zip(named, self._graph.run(inputs, named), strict=True))
        nothing = [None] * len(inputs)
        rows = (found["logits"], *(found.get(name, nothing) for name in NetworkAnswer._fields[1:]))
        return [NetworkAnswer(*row) for row in zip(*rows, strict=True)]


def check_graph(graph: Graph, bundle: Bundle) -> None:
    """Raise ``BundleError`` where a graph is not what the manifest of its bundle says."""
    manifest = bundle.manifest
    size, channels = manifest.preprocess.size, manifest.preprocess.channels
    expected = {"image": [channels, size, size]}
    if {name: shape[1:] for name, shape in graph.inputs.items()} != expected:
        raise BundleError(f"{bundle.model}: inputs {graph.inputs}; expected {expected}", hint=AGAIN)
    for name in ("logits", "evidence") if manifest.evidence else ("logits",):
        if name not in graph.outputs or graph.outputs[name][1] != len(manifest.labels):
            raise BundleError(
                f"{bundle.model}: outputs {graph.outputs}; expected '{name}' of "
                f"{len(manifest.labels)} labels",
                hint=AGAIN,
            )
    if manifest.appearance is not None and graph.outputs.get(APPEARANCE, [])[1:] != [4]:
        raise BundleError(
            f"{bundle.model}: outputs {graph.outputs}; expected '{APPEARANCE}' of 4 chances",
            hint=AGAIN,
        )
