"""Draw the picture of docs/explanation/feature-space.md: a map of virtual films, in Chromium.

The built-in films are turned, shifted, brightened, blurred and passed through what happens to films
on their way; no film of any collection is in the picture.

python tools/feature_map_picture.py docs/images/feature-map.png
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import cv2
import numpy as np
import pandas as pd

import hilum
from hilum.core.radiograph import Radiograph
from hilum.data.table import read_cases
from hilum.image.perturb import PERTURBATIONS, Places
from hilum.image.write import write_png
from hilum.serve.featuremap.picture import write_page
from hilum.serve.featuremap.run import make_map

FILMS = {"frontal.png": 0.0, "frontal-opacities.png": np.nan}
"""Built-in film -> whether it shows COVID-19; with opacities added nobody can know."""
CHANGES = ("as it is", "jpeg", "resized", "cropped", "marker-r", "ecg-lead")
EACH = 12
SIDE = 512
SIZE = "1366,860"
SHOWN = "color=source&case=virtual/frontal-opacities-cropped-2&case=virtual/frontal-jpeg-1"


def main(out: Path) -> None:
    """Write the picture to ``out``."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        raise SystemExit("chromium is not on PATH")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        cases = make_cases(folder)
        found = make_map(hilum.load_bundle(), cases, split=None, name="virtual films", folds=200)
        write_page(found, folder / "map.html")
        shoot(chromium, folder, out.resolve())


def make_cases(folder: Path) -> pd.DataFrame:
    """Write changed films into ``folder`` and return their table."""
    generator = np.random.default_rng(20200311)
    rows = []
    for name, truth in FILMS.items():
        film = hilum.open_radiograph(Path(hilum.__file__).parent / "serve" / "samples" / name)
        for change in CHANGES:
            for number in range(EACH):
                moved = varied(film, generator)
                if change in PERTURBATIONS:
                    moved = PERTURBATIONS[change].change(moved, Places(), generator) or moved
                stem = f"{Path(name).stem}-{change.replace(' ', '-')}-{number}"
                write_png(folder / f"{stem}.png", moved.pixels)
                rows.append(
                    {
                        "case_id": f"virtual/{stem}",
                        "path": f"{stem}.png",
                        "cohort": "virtual",
                        "source": change,
                        "patient_id": "virtual/the one CT",
                        "view": "PA",
                        "finding": "opacities added" if np.isnan(truth) else "none added",
                        "covid-19": truth,
                    }
                )
    pd.DataFrame(rows).to_csv(folder / "cases.csv", index=False)
    return read_cases(folder / "cases.csv")


def varied(film: Radiograph, generator: np.random.Generator) -> Radiograph:
    """Turn a film by up to 6 degrees, scale, shift and brighten it, all at random."""
    height, width = film.shape
    turn = cv2.getRotationMatrix2D(
        (width / 2, height / 2), generator.uniform(-6, 6), generator.uniform(0.92, 1.08)
    )
    turn[:, 2] += generator.uniform(-0.03, 0.03, 2) * (width, height)
    pixels = cv2.warpAffine(film.pixels, turn, (width, height), borderMode=cv2.BORDER_REPLICATE)
    pixels = np.clip(pixels, 0, 1) ** generator.uniform(0.75, 1.35)
    small = cv2.resize(pixels, (SIDE, round(SIDE * height / width)), interpolation=cv2.INTER_AREA)
    noisy = small + generator.normal(0, generator.uniform(0, 0.03), small.shape)
    return film.stepped(np.asarray(np.clip(noisy, 0, 1), np.float32), "varied", "for a picture")


def shoot(chromium: str, folder: Path, out: Path) -> None:
    """Let Chromium draw the page."""
    subprocess.run(
        [
            chromium,
            "--headless",
            "--no-sandbox",
            "--disable-quic",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--disable-gpu",
            "--hide-scrollbars",
            f"--user-data-dir={folder / 'browser'}",
            f"--window-size={SIZE}",
            "--virtual-time-budget=4000",
            f"--screenshot={out}",
            f"{(folder / 'map.html').as_uri()}#{SHOWN}",
        ],
        check=True,
        capture_output=True,
        timeout=120,
    )
    print(f"{out}: {out.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
