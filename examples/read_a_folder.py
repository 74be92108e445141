"""Read a folder of films into one pandas table.

python examples/read_a_folder.py FOLDER readings.csv

One row a film and label; a film that was refused or could not be opened keeps a row, with the
reason. Needs pandas, which the extra "evaluate" brings. Research use only; not a medical device.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pandas as pd

import hilum


def read_folder(folder: Path) -> pd.DataFrame:
    """Return what the default bundle says of every file beneath a folder."""
    reader = hilum.load_bundle()
    films = sorted(path for path in folder.rglob("*") if path.is_file())
    rows = []
    for reading in reader.read_many(films):
        film = {"path": reading.path, "status": reading.status.value, "reason": reading.reason}
        findings = [
            {
                "label": finding.label.value,
                "score": finding.score,
                "probability": finding.probability,
                "answer": finding.answer.value,
            }
            for finding in reading.findings
        ]
        rows += [film | finding for finding in findings or [{}]]
    return pd.DataFrame(rows)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    table = read_folder(Path(sys.argv[1]))
    table.to_csv(sys.argv[2], index=False)
    print(table.groupby(["status", "label"], dropna=False).size().to_string())
