"""Audit a network of torchxrayvision: does it read lungs, or does it know where films come from?

    python3 -m venv xrv
    xrv/bin/pip install 'hilum[evaluate]' torch torchvision torchxrayvision
    xrv/bin/python examples/audit_torchxrayvision.py cases.csv pneumonia OUT

An environment of its own, since Hilum needs no torchvision. ``cases.csv`` is a cases table with a
column of the label, of films that the network did not learn from. torchxrayvision fetches the
weights at the first use. OUT holds a page, JSON and tables; exit code 10: a test failed.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hilum.bundle.lungs import LungSegmenter
from hilum.core.radiograph import Radiograph
from hilum.data.table import read_cases
from hilum.serve.audit import audit
from hilum.serve.audit.subject import Predict

WEIGHTS = "densenet121-res224-all"
THEIRS = {
    "pneumonia": "Pneumonia",
    "lung-opacity": "Lung Opacity",
    "consolidation": "Consolidation",
    "effusion": "Effusion",
}
"""Label of Hilum -> pathology of torchxrayvision."""


def load() -> Any:
    """Return the network; its answers are calibrated so that 0.5 is the threshold of each."""
    try:
        import torchxrayvision
    except ImportError as error:
        raise SystemExit(
            f"{error}; in an environment of its own: "
            "pip install 'hilum[evaluate]' torch torchvision torchxrayvision"
        ) from error
    return torchxrayvision.models.DenseNet(weights=WEIGHTS).eval()


def predictor(network: Any, label: str) -> Predict:
    """Return a function from films to scores, with what torchxrayvision's README does to films."""
    import torch
    from torchxrayvision.datasets import XRayCenterCrop, XRayResizer

    column = list(network.pathologies).index(THEIRS[label])
    cut, resize = XRayCenterCrop(), XRayResizer(224)

    def predict(films: Sequence[Radiograph]) -> np.ndarray:
        squares = [resize(cut((film.pixels[np.newaxis] * 2 - 1) * 1024)) for film in films]
        with torch.no_grad():
            scores = network(torch.from_numpy(np.stack(squares).astype(np.float32)))
        return scores[:, column].numpy()

    return predict


def audited(predict: Predict, cases: str, label: str, out: str) -> int:
    """Audit any function from films to scores, print a verdict a test, and return the exit code."""
    found = audit(
        predict=predict,
        cases=read_cases(Path(cases)),
        label=label,
        threshold=0.5,
        find_lungs=LungSegmenter(threads=1).segment,
        out=Path(out),
    )
    for test in found.tests:
        print(f"{test.verdict:<14} {test.title}")
    print(f"{found.verdict}: see {Path(out) / 'audit.html'}")
    return 10 if found.verdict in ("fail", "uninformative") else 0


def main(cases: str, label: str, out: str) -> int:
    """Audit the network on the films of a table."""
    if label not in THEIRS:
        raise SystemExit(f"{label}: this network is asked for one of {', '.join(THEIRS)}")
    return audited(predictor(load(), label), cases, label, out)


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    sys.exit(main(*sys.argv[1:]))
