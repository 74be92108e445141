"""Take a cohort to MONAI, and a data list of MONAI back.

python examples/exchange_with_monai.py cases.csv covid-19 datalist.json back.csv

``datalist.json`` has the form of MONAI and of the Medical Segmentation Decathlon: one list a side
of the split, with path and label. Patient, source and group go along as further keys: without them
nobody could split again without leaks. Needs the extra "train".
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd
from monai.data import DataLoader, Dataset

import hilum
from hilum.core.case import COLUMNS
from hilum.data.table import read_cases, write_cases

SIDES = {"train": "training", "val": "validation", "test": "test"}
KEPT = ("case_id", "cohort", "source", "patient_id", "group", "view")


def to_monai(cases: pd.DataFrame, label: str) -> dict[str, list[dict[str, object]]]:
    """Return one list a side; a film whose label is unknown is left out, for MONAI has no blank."""
    known = cases.dropna(subset=[label])
    return {
        theirs: [
            {"image": row["path"], "label": int(row[label])} | {key: row[key] for key in KEPT}
            for _, row in known[known["split"] == ours].iterrows()
        ]
        for ours, theirs in SIDES.items()
    }


def from_monai(datalist: dict[str, list[dict[str, object]]], label: str) -> pd.DataFrame:
    """Return a cases table with the split of the list."""
    rows = [
        {"path": item["image"], label: float(item["label"]), "split": ours}
        | {key: item[key] for key in KEPT}
        for ours, theirs in SIDES.items()
        for item in datalist[theirs]
    ]
    return pd.DataFrame(rows).reindex(columns=[*COLUMNS, label, "split"])


def opened(item: dict[str, object]) -> dict[str, object]:
    """Open a film as Hilum does: polarity, windows and orientation put right."""
    film = hilum.open_radiograph(str(item["image"]))
    return {"image": film.pixels[np.newaxis], "label": item["label"]}


def main(table: str, label: str, datalist: str, back: str) -> None:
    """Write the list, draw a batch of it as a training would, and read it back."""
    written = to_monai(read_cases(Path(table)), label)
    Path(datalist).write_text(json.dumps(written, indent=1), encoding="utf-8")
    batch = next(iter(DataLoader(Dataset(written["training"], opened), batch_size=2)))
    print("a batch:", tuple(batch["image"].shape), batch["label"].tolist())
    cases = from_monai(json.loads(Path(datalist).read_text(encoding="utf-8")), label)
    write_cases(cases, Path(back))
    print(len(cases), "films back")


if __name__ == "__main__":
    if len(sys.argv) != 5:
        sys.exit(__doc__)
    main(*sys.argv[1:5])
