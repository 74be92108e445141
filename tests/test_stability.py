"""Nothing that others build on goes away unnoticed: docs/reference/stability.md."""

from __future__ import annotations

import copy
import importlib.util
import json
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
STABLE = ROOT / "docs" / "reference" / "stable"


@pytest.fixture(scope="module")
def tool():
    spec = importlib.util.spec_from_file_location("surfaces", ROOT / "tools" / "surfaces.py")
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found


@pytest.fixture(scope="module")
def now(tool):
    return json.loads(json.dumps(tool.surfaces()))


def test_each_surface_has_its_record_and_its_row(now):
    page = (ROOT / "docs" / "reference" / "stability.md").read_text(encoding="utf-8")
    assert {path.stem for path in STABLE.glob("*.json")} == set(now)
    assert all(f"(stable/{name}.json)" in page for name in now)


@pytest.mark.parametrize("name", sorted(path.stem for path in STABLE.glob("*.json")))
def test_what_was_recorded_is_there(tool, now, name):
    recorded = json.loads((STABLE / f"{name}.json").read_text(encoding="utf-8"))
    assert recorded
    assert tool.gone(recorded, now[name]) == [], (
        "a stable surface lost something: keep it; or, for a new major version, "
        "say so in the changelog and run: python tools/surfaces.py"
    )


def test_a_field_that_is_taken_away_is_found(tool, now):
    less = copy.deepcopy(now)
    del less["reading"]["$defs"]["Finding"]["properties"]["probability"]
    less["bundle"]["properties"]["name"]["type"] = "integer"
    del less["api"]["calls"]["GET /api/v1/ready"]
    del less["python"]["hilum.load_bundle"]["threads"]
    del less["command-line"]["read"]["--json"]
    less["command-line"]["batch"]["--executor"].remove("ray")
    less["command-line"]["batch"]["argument 1"] = "may be left out"  # asks for less: no loss
    del less["tables"]["cases"]["patient_id"]
    less["errors"]["errors"]["LeakageError"]["exit code"] = 1
    less["errors"]["exit codes"].remove(12)
    del less["settings"]["properties"]["hosts"]
    assert tool.gone(now, less) == [
        "reading.$defs.Finding.properties.probability is gone",
        "bundle.properties.name.type: 'string' is now 'integer'",
        "settings.properties.hosts is gone",
        "command-line.read.--json is gone",
        "command-line.batch.--executor: ray is gone",
        "tables.cases.patient_id is gone",
        "errors.exit codes: 12 is gone",
        "errors.errors.LeakageError.exit code: 5 is now 1",
        "api.calls.GET /api/v1/ready is gone",
        "python.hilum.load_bundle.threads is gone",
    ]
    assert tool.gone(less["api"], now["api"]) == []
    less["python"]["hilum.load_bundle"]["key"] = "needed"
    assert "hilum.load_bundle.key is newly needed" in tool.gone(now["python"], less["python"])
