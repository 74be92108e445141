"""Audit a product of which you have nothing but its scores.

python examples/audit_a_vendor.py vendor.csv cases.csv OUT

``vendor.csv`` has the columns case_id and score (0 to 1); ``cases.csv`` is a cases table of the
same films with the reference standard. It is what `hilum audit cases.csv --scores vendor.csv`
with `-o OUT` does; OUT holds a page, JSON and tables. The exit code is 10 where a test failed.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path


def main(scores: str, cases: str, out: str) -> int:
    """Run the audit, then print its verdicts from the file that it wrote."""
    command = [sys.executable, "-m", "hilum", "audit", cases, "--scores", scores, "-o", out]
    done = subprocess.run(command, check=False, stdout=subprocess.DEVNULL)
    if done.returncode not in (0, 10):  # it has said why
        return done.returncode
    audit = json.loads((Path(out) / "audit.json").read_text(encoding="utf-8"))
    for test in audit["tests"]:
        print(f"{test['verdict']:<14} {test['name']}")
    return done.returncode


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    sys.exit(main(*sys.argv[1:]))
