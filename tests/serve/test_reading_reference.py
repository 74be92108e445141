"""The reference of a reading in the docs says what the code does."""

from __future__ import annotations

import importlib.util
import json
import re
from pathlib import Path

import pytest

from hilum.core import details, reading, refusal
from hilum.core.reading import READING_SCHEMA_VERSION, Reading

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "reference" / "reading.md").read_text(encoding="utf-8")
MODELS = {
    name: getattr(room, name)
    for room, names in (
        (reading, ("Reading", "Finding", "AppearanceFinding")),
        (refusal, ("Refusal",)),
        (
            details,
            (
                "Details",
                "LungDetail",
                "Affected",
                "Lesion",
                "OpacityBox",
                "Severity",
                "Similar",
            ),
        ),
    )
    for name in names
}


def _example():
    return re.search(r"<!-- example -->\n+```json\n(.*?)```", PAGE, re.DOTALL)[1]


def test_the_schema_is_that_of_the_code():
    path = ROOT / "tools" / "reading_reference.py"
    spec = importlib.util.spec_from_file_location("reading_reference", path)
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    written = (ROOT / "docs" / "reference" / tool.SCHEMA).read_text(encoding="utf-8")
    assert written == tool.schema_text(), "run: python tools/reading_reference.py docs/reference"


@pytest.mark.parametrize("name", MODELS)
def test_every_field_is_explained(name):
    section = re.search(rf"^##+ {name}\n(.*?)(?=^##|\Z)", PAGE, re.DOTALL | re.MULTILINE)[1]
    rows = re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE)
    assert rows == list(MODELS[name].model_fields)


def test_every_model_of_the_schema_has_its_section():
    objects = {
        name
        for name, each in Reading.model_json_schema()["$defs"].items()
        if each["type"] == "object"
    }
    assert objects | {"Reading"} == set(MODELS)


def test_the_example_is_a_reading_with_details():
    example = Reading.model_validate_json(_example())
    assert example.schema_version == READING_SCHEMA_VERSION
    assert example.findings
    assert example.details.lungs
    assert json.loads(_example()).keys() == Reading.model_fields.keys()
    assert f"at present **{READING_SCHEMA_VERSION}**" in PAGE
