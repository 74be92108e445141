"""Draw the docs' picture of maps: virtual films, several methods, what is known to be there.

python tools/maps_picture.py docs/images/maps.png

Each row is a film. White contours are the lungs that the bundle reads, pink ones the opacities that
were put into the virtual patient. Beneath each map stands how well it ranks the pixels of the lungs
(AUROC; 0.5 is chance), or, on the film without opacities, the score that it explains.
"""

from __future__ import annotations

import sys
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from hilum.apps.explaining import Choice, Explainer
from hilum.image.open import open_radiograph
from hilum.image.write import write_png
from hilum.judge.localization import pixel_auroc
from hilum.serve.explain.picture import color_map, scale_of
from hilum.serve.findings import sigmoid
from hilum.serve.reader import load_bundle
from hilum.serve.samples import ROOT, Sample, read_samples

FILMS = ("frontal-opacities.png", "frontal.png")
METHODS = ("evidence", "evidence-shifted", "occlusion", "layer-cam@stride-16", "smooth-grad")
HEIGHT, CAPTION, GAP = 240, 24, 4
LUNGS, OPACITIES = (255, 255, 255), (255, 90, 200)


def main(out: Path) -> None:
    """Write the picture to ``out``."""
    samples = {sample.file: sample for sample in read_samples()}
    explainer = Explainer(load_bundle(threads=1))
    rows = [draw_row(explainer, samples[name]) for name in FILMS]
    width = max(row.shape[1] for row in rows)
    padded = [np.pad(row, ((0, GAP), (0, width - row.shape[1]), (0, 0))) for row in rows]
    write_png(out, np.vstack(padded))


def draw_row(explainer: Explainer, sample: Sample) -> np.ndarray:
    """Draw one film: itself, then the map of each method."""
    reader = explainer.reader
    film = open_radiograph(sample.path)
    lungs = reader.segment(film)
    if lungs is None:
        raise SystemExit("the default bundle finds lungs")
    inputs = reader.preprocess(film, lungs)
    score = float(sigmoid(reader.run(inputs[None])[0][:, 0])[0])
    size = round(film.shape[1] * HEIGHT / film.shape[0]), HEIGHT
    pixels = np.clip(cv2.resize(film.pixels, size, interpolation=cv2.INTER_AREA), 0, 1)
    inside = lungs.on_film(pixels.shape)
    lesions = mask_of(sample, size)
    grey = np.repeat(np.rint(255 * pixels).astype(np.uint8)[..., None], 3, axis=2)
    panels = [panel(grey, inside, lesions, f"score for covid-19: {score:.2f}")]
    for text in METHODS:
        choice = Choice.parse(text)
        heat = explainer.explain(choice, inputs, 0)[0]
        on_film = reader.preprocess.to_film(heat, pixels.shape, lungs)
        scale = scale_of(on_film, signed=choice.method.signed, unit=choice.method.unit)
        said = "" if lesions is None else f": {pixel_auroc(on_film, lesions, inside):.2f}"
        picture = color_map(pixels.astype(np.float32), on_film, scale)
        panels.append(panel(picture, inside, lesions, f"{text}{said}"))
    return np.hstack(panels)


def mask_of(sample: Sample, size: tuple[int, int]) -> np.ndarray | None:
    """Return where opacities were put, bool (H, W), or None."""
    if sample.lesion_mask is None:
        return None
    mask = cv2.imread(str(ROOT / sample.lesion_mask), cv2.IMREAD_GRAYSCALE)
    return cv2.resize(mask, size, interpolation=cv2.INTER_AREA) > 127


def panel(
    picture: np.ndarray, lungs: np.ndarray, lesions: np.ndarray | None, text: str
) -> np.ndarray:
    """Outline lungs and opacities on a picture, and write a caption under it."""
    picture = np.ascontiguousarray(picture)
    for mask, color in ((lungs, LUNGS), (lesions, OPACITIES)):
        if mask is not None:
            contours, _ = cv2.findContours(
                mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE
            )
            cv2.drawContours(picture, contours, -1, color, 1, cv2.LINE_AA)
    strip = Image.new("RGB", (picture.shape[1], CAPTION), "black")
    ImageDraw.Draw(strip).text((4, 4), text, "white", ImageFont.load_default(13))
    return np.pad(np.vstack([picture, np.asarray(strip)]), ((0, 0), (0, GAP), (0, 0)))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
