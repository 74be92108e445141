"""Train on your own films of two hospitals, and see what is left at the one that was left out.

python examples/train_on_two_hospitals.py cases.csv OUT

``cases.csv`` is a cases table with the hospital in the column ``source`` and your label as a
column. Each hospital is left out once. The network is a small one, for a first look; for a real run
take the network and the epochs of recipes/labels.toml. Needs the extra "train".
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pandas as pd

RECIPE = """
[data]
cases = "{cases}"
labels = ["{label}"]

[preprocess]
size = 64
channels = 1

[network]
name = "tiny"

[fit]
epochs = 6
batch_size = 16
learning_rate = 0.01

[bundle]
gate = false  # it is made for the films of the package
"""


def hilum(*arguments: str) -> None:
    """Run one command of Hilum; stop where it fails."""
    subprocess.run([sys.executable, "-m", "hilum", *arguments], check=True)


def main(cases: str, out: str, label: str = "covid-19") -> None:
    """Leave each hospital out once: split, train, evaluate."""
    for source in pd.read_csv(cases)["source"].unique():
        folder = Path(out) / source
        folder.mkdir(parents=True)
        split = folder / "split.csv"
        held = ("--leave-one-out", "source", "--held-out", source)
        hilum("cohort", "split", cases, "-o", str(split), *held)
        recipe = RECIPE.format(cases=split.resolve().as_posix(), label=label)
        (folder / "recipe.toml").write_text(recipe, encoding="utf-8")
        hilum("train", str(folder / "recipe.toml"), "-o", str(folder / "run"))
        print(f"{source}: {folder / 'run' / 'evaluation' / 'report.html'}")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(sys.argv[1], sys.argv[2])
