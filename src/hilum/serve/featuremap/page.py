"""Page: a map as one HTML file that asks no host for anything."""

from __future__ import annotations

import base64
import hashlib
import json
import math
from pathlib import Path
from typing import Any

from hilum.core.files import write_text
from hilum.core.page import render
from hilum.serve.featuremap.run import FeatureMap

TEMPLATE = Path(__file__).parent / "page.html"
SCRIPT = Path(__file__).parent / "map.js"
_COLUMNS = ("cohort", "source", "view", "sex", "split", "reference_standard", "finding")


def write_page(found: FeatureMap, path: Path) -> None:
    """Write the page, whole or not at all."""
    write_text(path, page(found))


def page(found: FeatureMap) -> str:
    """Return the page of a map."""
    script = SCRIPT.read_text(encoding="utf-8")
    measured = found.facts.measured
    return render(
        TEMPLATE,
        facts=found.facts,
        faithful=[one for one in measured if one.chance is None],
        readable=[one for one in measured if one.chance is not None],
        pictured=bool(found.pictures),
        data=_embedded(data_of(found)),
        script=script,
        script_hash=_hash(script),
    )


def data_of(found: FeatureMap) -> dict[str, Any]:
    """Return what the page's script draws, as JSON can hold it; lists run over the films."""
    table = found.table
    return {
        "label": found.facts.label,
        "case_id": table["case_id"].tolist(),
        "x": [round(float(x), 4) for x in found.points[:, 0]],
        "y": [round(float(y), 4) for y in found.points[:, 1]],
        "score": [round(float(score), 4) for score in table["score"]],
        "truth": [None if math.isnan(truth) else int(truth) for truth in table["truth"]],
        "present": [int(present) for present in table["present"]],
        "columns": {name: _coded(table[name].tolist()) for name in _COLUMNS},
        "colorings": [coloring.model_dump() for coloring in found.colorings],
        "pictures": found.addresses,
    }


def _coded(values: list[str]) -> dict[str, Any]:
    """Say each value once: a column of few words takes little room."""
    words = sorted(set(values))
    places = {word: place for place, word in enumerate(words)}
    return {"values": words, "of": [places[value] for value in values]}


def _embedded(values: dict[str, Any]) -> str:
    """JSON that can stand in a script element: nothing in it can close the element."""
    return json.dumps(values, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")


def _hash(script: str) -> str:
    digest = hashlib.sha256(script.encode("utf-8")).digest()
    return f"sha256-{base64.b64encode(digest).decode('ascii')}"
