"""Install wheel and source archive into fresh environments: what do they weigh, and do they work?

    python tools/light_install.py --into docs/results python3.13 python3.12 python3.11
    python tools/light_install.py                      this Python; writes nothing (CI)

Each Python gets the wheel, then the source archive. An import with every warning made an error
must say nothing, `hilum doctor` and `hilum demo` must end well, and then the tests
that need no extra run there. ``install.csv`` has a row an environment, ``install-parts.csv`` a row
a package of the first one. MB are 2^20 bytes on disk, without pip's own; seconds are of the
processor, since those of the clock depend on the network and on what else runs.
"""

from __future__ import annotations

import argparse
import csv
import os
import re
import resource
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).parents[1]
TESTS = (
    "tests/image/test_open.py",
    "tests/image/test_png.py",
    "tests/image/test_tiff.py",
    "tests/image/test_dicom_codec.py",
    "tests/serve/test_reader.py",
    "tests/apps/test_read.py",
    "tests/apps/test_show.py",
)
"""Tests that need nothing but the light install and ``TOOLS``."""
TOOLS = ("pytest", "hypothesis", "onnx")
_SHOWN_MB = 9
_NOT_OURS = ("pip", "_distutils_hack", "setuptools", "pkg_resources")

Parts = dict[str, tuple[float, float]]
"""Distribution -> MB of code and of byte code."""


def main(pythons: list[str], into: Path | None) -> None:
    """Build, install, measure, try; a step that fails ends it."""
    rows = []
    with tempfile.TemporaryDirectory() as name:
        dist = Path(name, "dist")
        _run(sys.executable, "-m", "build", "--outdir", dist, ROOT)
        archives = sorted(dist.iterdir(), key=lambda path: path.suffix == ".gz")  # the wheel first
        for python in pythons:
            for archive in archives:
                row, parts = _tried(python, archive, Path(name, "env"))
                print(*row.values(), sep="\t", flush=True)
                if into is not None and not rows:
                    _write(into / "install-parts.csv", _table(parts))
                rows.append(row)
                if into is not None:
                    _write(into / "install.csv", rows)


def _tried(python: str, archive: Path, folder: Path) -> tuple[dict[str, object], Parts]:
    shutil.rmtree(folder, ignore_errors=True)
    _run(python, "-m", "venv", folder)
    inside, hilum = folder / "bin" / "python", folder / "bin" / "hilum"
    pip = (inside, "-m", "pip", "install", "--disable-pip-version-check", "-q")
    locked = ("--constraint", ROOT / "constraints.txt")
    began = _cpu_s()
    _run(*pip, *locked, archive)
    seconds = _cpu_s() - began
    parts = _weighed(next(folder.glob("lib/*/site-packages")))
    which = "import hilum, platform; print(platform.python_version())"
    version = _run(inside, "-W", "error", "-c", which).strip()
    _run(hilum, "doctor")
    _run(hilum, "demo", "-o", folder / "demo")
    _run(*pip, *locked, *TOOLS)
    said = _run(inside, "-m", "pytest", "-q", "-p", "no:cacheprovider", *TESTS)
    row = {
        "python": version,
        "archive": "wheel" if archive.suffix == ".whl" else "source",
        "mb": round(sum(map(sum, parts.values()))),
        "mb_without_bytecode": round(sum(code for code, _ in parts.values())),
        "packages": len(parts),
        "cpu_seconds": round(seconds),
        "tests_passed": int(re.findall(r"(\d+) passed", said)[-1]),
    }
    return row, parts


def _cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _weighed(packages: Path) -> Parts:
    owners: dict[str, str] = {}
    for record in packages.glob("*.dist-info/RECORD"):
        owner = record.parent.name.partition("-")[0]
        with record.open(newline="") as lines:
            files = [line[0].partition("/")[0] for line in csv.reader(lines)]
        owners |= dict.fromkeys(files, owner)
    code: Counter[str] = Counter()
    bytecode: Counter[str] = Counter()
    for path in filter(Path.is_file, packages.rglob("*")):
        top = path.relative_to(packages).parts[0]
        owner = owners.get(top, top)
        if owner not in _NOT_OURS and top not in _NOT_OURS:
            size = path.stat().st_blocks * 512 / 2**20
            (bytecode if path.suffix == ".pyc" else code)[owner] += size
    return {owner: (code[owner], bytecode[owner]) for owner in code}


def _table(parts: Parts) -> list[dict[str, object]]:
    weights = {name: sum(each) for name, each in parts.items()}
    shown = sorted((name for name in weights if weights[name] >= _SHOWN_MB), key=weights.get)
    rows = [{"package": name, "mb": round(weights.pop(name))} for name in reversed(shown)]
    return [*rows, {"package": f"{len(weights)} smaller ones", "mb": round(sum(weights.values()))}]


def _write(path: Path, rows: list[dict[str, object]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        table.writeheader()
        table.writerows(rows)


def _run(*command: object) -> str:
    alone = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    words = [str(word) for word in command]
    done = subprocess.run(
        words, cwd=ROOT, env=alone, capture_output=True, text=True, check=False
    )  # fmt: skip
    if done.returncode:
        raise SystemExit("\n".join((" ".join(words), done.stdout[-4000:], done.stderr[-4000:])))
    return done.stdout


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("pythons", nargs="*", default=[sys.executable])
    parser.add_argument("--into", type=Path)
    given = parser.parse_args()
    main(given.pythons, given.into)
