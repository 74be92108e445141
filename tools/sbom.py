"""Write what Hilum is made of, as CycloneDX 1.6 (a software bill of materials).

python tools/sbom.py sbom.json

Python packages that Hilum needs with the extras 'evaluate', 'web' and 'postgresql', with what those
need, as they are installed here; and the packages that the viewer's build may hold, from
viewer/package-lock.json.
"""

from __future__ import annotations

import json
import sys
import tomllib
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement

import hilum

ROOT = Path(__file__).parents[1]
EXTRAS = ("evaluate", "web", "postgresql")


def main(out: Path) -> None:
    """Write the file."""
    out.write_text(json.dumps(bill(), indent=1, sort_keys=True) + "\n", encoding="utf-8")


def bill() -> dict[str, Any]:
    """Return the bill as JSON has it."""
    project = _project()
    parts = [*_python(project), *_viewer()]
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {
            "component": {
                "type": "application",
                "name": "hilum",
                "version": hilum.__version__,
                "bom-ref": "hilum",
                "licenses": [{"license": {"id": "Apache-2.0"}}],
            }
        },
        "components": sorted(parts, key=lambda part: part["bom-ref"]),
    }


def _project() -> dict[str, Any]:
    with (ROOT / "pyproject.toml").open("rb") as stream:
        found: dict[str, Any] = tomllib.load(stream)["project"]
    return found


def _python(project: dict[str, Any]) -> list[dict[str, str]]:
    """Walk from what the project names to everything that it needs."""
    extras = project["optional-dependencies"]
    waiting = [*project["dependencies"], *(each for name in EXTRAS for each in extras[name])]
    found: dict[str, dict[str, str]] = {}
    seen = set()
    while waiting:
        needed = Requirement(waiting.pop())
        key = (needed.name.lower(), *sorted(needed.extras))
        if needed.name == "hilum" or key in seen:
            continue
        seen.add(key)
        try:
            installed = distribution(needed.name)
        except PackageNotFoundError:  # of another system
            continue
        name = installed.metadata["Name"].lower().replace("_", "-")
        found[name] = _part("pypi", name, installed.version)
        asked = [Requirement(each) for each in installed.requires or ()]
        waiting += [str(_bare(each)) for each in asked if _applies(each, needed.extras)]
    return list(found.values())


def _applies(needed: Requirement, extras: set[str]) -> bool:
    if needed.marker is None:
        return True
    return any(needed.marker.evaluate({"extra": each}) for each in ("", *extras))


def _bare(needed: Requirement) -> Requirement:
    needed.marker = None
    return needed


def _viewer() -> list[dict[str, str]]:
    lock = (ROOT / "viewer" / "package-lock.json").read_text(encoding="utf-8")
    return [
        _part("npm", folder.rpartition("node_modules/")[2].replace("@", "%40"), facts["version"])
        for folder, facts in json.loads(lock)["packages"].items()
        if folder and not facts.get("dev") and not facts.get("optional")
    ]


def _part(kind: str, name: str, version: str) -> dict[str, str]:
    address = f"pkg:{kind}/{name}@{version}"
    return {
        "type": "library",
        "name": name.replace("%40", "@"),
        "version": version,
        "purl": address,
        "bom-ref": address,
    }


if __name__ == "__main__":
    main(Path(sys.argv[1]))
