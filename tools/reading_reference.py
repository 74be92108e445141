"""Write the JSON schema of a reading, and the example of its reference page.

python tools/reading_reference.py docs/reference

The example is the built-in virtual film with opacities, read by the default bundle. Outlines are
thinned to a few points, so that the page stays short.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

import hilum
from hilum.core.files import write_text
from hilum.core.reading import Reading
from hilum.serve.samples import read_samples

FILM = "frontal-opacities.png"
POINTS = 6
PAGE, SCHEMA = "reading.md", "reading.schema.json"
EXAMPLE = re.compile(r"(<!-- example -->\n+```json\n).*?(```\n)", re.DOTALL)


def schema_text() -> str:
    """Return the schema as it is written."""
    dialect = {"$schema": "https://json-schema.org/draft/2020-12/schema"}
    return json.dumps(dialect | Reading.model_json_schema(), indent=2) + "\n"


def example() -> str:
    """Read the film; return its reading as JSON."""
    path = next(sample.path for sample in read_samples() if sample.file == FILM)
    reading = hilum.load_bundle(threads=1).read(path, details=True)
    values = reading.model_dump(mode="json") | {"path": FILM, "elapsed_ms": 230.0}
    text = json.dumps(_short(values), indent=2)
    # numbers of one list on one line
    return re.sub(r"\[[^\[\]{}\"]*\]", _on_one_line, text) + "\n"


def main(folder: Path) -> None:
    """Write both into ``folder``; the page must be there, with a place for the example."""
    write_text(folder / SCHEMA, schema_text())
    page = (folder / PAGE).read_text(encoding="utf-8")
    text = example()
    write_text(folder / PAGE, EXAMPLE.sub(lambda found: found[1] + text + found[2], page))


def _on_one_line(found: re.Match[str]) -> str:
    return "[" + " ".join(found[0][1:-1].split()) + "]"


def _short(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            key: _thin(each) if key == "outline" else _short(each) for key, each in value.items()
        }
    if isinstance(value, list):
        return [_short(each) for each in value]
    return round(value, 4) if isinstance(value, float) else value


def _thin(outline: list[list[int]]) -> list[list[int]]:
    return outline[:: max(1, len(outline) // POINTS)][:POINTS]


if __name__ == "__main__":
    main(Path(sys.argv[1]))
