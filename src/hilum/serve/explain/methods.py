"""The methods that ONNX Runtime alone can make, by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from hilum.core.errors import BundleError
from hilum.serve.explain.occlusion import Films, Occlusion, Run, occlude
from hilum.serve.explain.shifted import shifted_evidence

Map = NDArray[np.float32]


@dataclass(frozen=True)
class Subject:
    """What is explained, and how.

    Attributes:
        run: the network.
        black: what a black pixel is after standardisation.
        occlusion: how patches are laid.
    """

    run: Run
    black: float
    occlusion: Occlusion = field(default_factory=Occlusion)

    def explain(self, method: str, film: Films, place: int) -> Map:
        """Make one map.

        Args:
            method: a key of ``ONNX_METHODS``.
            film: float32 (C, S, S), standardised.
            place: of the label among the logits.

        Returns:
            float32 (h, w) over the network's input.

        Raises:
            BundleError: the method needs evidence, and the network has none.
        """
        found = ONNX_METHODS[method](self, film, place)
        if found is None:
            raise BundleError(
                f"method '{method}': this network has no evidence output",
                hint="--method occlusion runs on any network",
            )
        return found


def _evidence(subject: Subject, film: Films, place: int) -> Map | None:
    evidence = subject.run(film[None])[1]
    return None if evidence is None else np.asarray(evidence[0, place], np.float32)


def _shifted(subject: Subject, film: Films, place: int) -> Map | None:
    return shifted_evidence(subject.run, film, place, subject.black)


def _occlusion(subject: Subject, film: Films, place: int) -> Map:
    return occlude(subject.run, film, place, subject.black, subject.occlusion)


ONNX_METHODS: dict[str, Callable[[Subject, Films, int], Map | None]] = {
    "evidence": _evidence,
    "evidence-shifted": _shifted,
    "occlusion": _occlusion,
}
"""Name -> from (subject, film (C, S, S), place of the label) to a map, or None without evidence."""
