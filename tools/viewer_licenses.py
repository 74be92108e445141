"""Write the licences of the packages that the viewer's build may hold.

python tools/viewer_licenses.py viewer src/hilum/apps/web/THIRD_PARTY_LICENSES.txt

Reads viewer/package-lock.json and viewer/node_modules (tools/viewer_build.sh installs them).
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

HEAD = """The built viewer (src/hilum/apps/web/static) holds code of the packages below, or of some
of them. Each is under its own licence. Written by tools/viewer_licenses.py; do not edit.
"""
NAMES = ("licen", "copying", "notice")


def main(viewer: Path, out: Path) -> None:
    """Write the file."""
    packages = json.loads((viewer / "package-lock.json").read_text(encoding="utf-8"))["packages"]
    parts = [HEAD]
    for folder, facts in sorted(packages.items()):
        if not folder or facts.get("dev") or facts.get("optional"):
            continue
        name = folder.rpartition("node_modules/")[2]
        parts.append(
            f"{'=' * 78}\n{name} {facts['version']}: {facts.get('license', 'see below')}\n"
        )
        texts = [
            path.read_text(encoding="utf-8", errors="replace").strip()
            for path in sorted((viewer / folder).glob("*"))
            if path.is_file() and path.name.lower().startswith(NAMES)
        ]
        parts.append("\n\n".join(texts) + "\n" if texts else "")
    lines = (line.rstrip() for line in "\n".join(parts).splitlines())
    out.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
