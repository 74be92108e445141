"""What the security pages say is there: the tests that they name, and the bill of materials."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "explanation" / "security.md"
NAMED = sorted(set(re.findall(r"`([\w/]+\.py)(?:::(\w+))?`", PAGE.read_text(encoding="utf-8"))))


def test_every_threat_names_a_test():
    rows = re.findall(r"^\| (?!threat|---)(.*) \|$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert len(rows) >= 15
    assert all(len(row.split(" | ")) == 3 and ".py" in row.split(" | ")[2] for row in rows)


@pytest.mark.parametrize(("path", "name"), NAMED)
def test_the_tests_that_it_names_are_there(path, name):
    found = (ROOT / "tests" / path).read_text(encoding="utf-8")
    assert f"def {name or 'test_'}" in found


def _sbom():
    spec = importlib.util.spec_from_file_location("sbom", ROOT / "tools" / "sbom.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_bill_of_materials_is_cyclonedx_and_whole(tmp_path):
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator

    sbom = _sbom()
    sbom.main(tmp_path / "sbom.json")
    text = (tmp_path / "sbom.json").read_text(encoding="utf-8")
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    names = {each["name"] for each in sbom.bill()["components"]}
    assert {"numpy", "pydicom", "fastapi", "starlette", "h11", "@cornerstonejs/core"} <= names
    assert not {"pytest", "torch", "typescript"} & names
