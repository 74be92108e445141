"""Films of the stand-in: the built-in virtual ones, and a phantom that a test can measure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from hilum.image.open import open_radiograph
from hilum.serve.samples import read_samples

PHANTOM_SQUARES = ((100, 80, 120, 120), (300, 240, 60, 100))
"""(left, top, width, height): bright squares: a heatmap lies on the first, a box on the second."""
PHANTOM_SPACING = (0.5, 0.25)
"""(row, column) in mm: not square, so that mixing them up shows."""


@dataclass(frozen=True)
class Picture:
    """What can be shown of one film: uint16 (H, W), high is white."""

    pixels: NDArray[np.uint16]
    bits: int
    spacing_mm: tuple[float, float] | None = None
    plane: str | None = None
    format: str = "PNG"
    metadata: dict[str, Any] = field(default_factory=dict)
    phantom: bool = False


def phantom() -> Picture:
    """A dark field of 500 x 400 with two bright squares, 12 bits deep, and a ramp of fine steps."""
    pixels = np.full((400, 500), 300, np.uint16)
    for left, top, width, height in PHANTOM_SQUARES:
        pixels[top : top + height, left : left + width] = 3000
    # 200 levels that 8 bits of the range 0-4095 could not tell apart: only full depth shows them
    pixels[360:380, 100:300] = 2000 + np.arange(200, dtype=np.uint16)
    facts = {"format": "DICOM DX", "modality": "DX", "view": "PA", "patient_id": "PHANTOM"}
    return Picture(pixels, 12, PHANTOM_SPACING, "patient", "DICOM DX", facts, phantom=True)


def samples() -> dict[str, Picture]:
    """The built-in virtual films by file name."""
    found = {}
    for sample in read_samples():
        film = open_radiograph(sample.path)
        top = 2 ** min(film.bits, 12) - 1
        pixels = np.rint(film.pixels * top).astype(np.uint16)
        facts = {"format": film.format, "view": sample.view.value}
        spacing, plane = film.metadata.spacing_mm, film.metadata.spacing_plane
        bits = min(film.bits, 12)
        found[sample.file] = Picture(pixels, bits, spacing, plane, film.format, facts)
    return found


def opened(content: bytes) -> Picture | None:
    """What an uploaded file holds; None if it is no picture."""
    decoded = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_GRAYSCALE)
    if content[128:132] == b"DICM":
        return samples()["frontal.dcm"]
    return None if decoded is None else Picture(decoded.astype(np.uint16), 8)


def image(picture: Picture) -> dict[str, Any]:
    """How to show a film."""
    rows, columns = picture.pixels.shape
    top = 2**picture.bits - 1
    low, high = (float(v) for v in np.percentile(picture.pixels, (1, 99)))
    windows = {"film": (0.0, float(top)), "auto": (low, max(high, low + 1))}
    windows["lungs"] = (low, (low + high) / 2 + 1)
    windows["bone"] = ((low + high) / 2, high + 1)
    return {
        "rows": rows,
        "columns": columns,
        "bits": picture.bits,
        "min": int(picture.pixels.min()),
        "max": int(picture.pixels.max()),
        "slope": 1.0,
        "intercept": 0.0,
        "orientation": ("L", "F") if picture.phantom else None,
        "sides": "stated" if picture.phantom else "assumed",
        "spacing_mm": picture.spacing_mm,
        "spacing_plane": picture.plane,
        "spacing_source": "PixelSpacing" if picture.plane else None,
        "inverted": False,
        "corrected": [],
        "presets": [_preset(name, *ends) for name, ends in windows.items()],
        "default": "film",
        "metadata": picture.metadata,
        "notes": [],
    }


def _preset(name: str, low: float, high: float) -> dict[str, Any]:
    return {
        "name": name,
        "center": (low + high) / 2,
        "width": high - low,
        "low": low,
        "high": high,
    }


def thumbnail(picture: Picture) -> bytes:
    """A small JPEG."""
    scale = 256 / max(picture.pixels.shape)
    small = cv2.resize(picture.pixels, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    done, encoded = cv2.imencode(".jpg", (small / (2**picture.bits - 1) * 255).astype(np.uint8))
    return encoded.tobytes() if done else b""


def overlays(film_id: str, picture: Picture) -> dict[str, Any]:
    """Where things lie: of the phantom on its squares, else as fractions of the film."""
    rows, columns = picture.pixels.shape
    boxes: list[tuple[int, int, int, int]] = [PHANTOM_SQUARES[1]]
    lungs = [_polygon(each) for each in PHANTOM_SQUARES]
    lesions = [_polygon(PHANTOM_SQUARES[1])]
    if not picture.phantom:
        boxes = [(round(0.62 * columns), round(0.5 * rows), columns // 5, rows // 6)]
        lungs = [_ellipse(picture, x, 0.48, 0.14, 0.28) for x in (0.32, 0.68)]
        lesions = [_ellipse(picture, 0.7, 0.58, 0.06, 0.08)]
    sides = ("right", "left")
    return {
        "rows": rows,
        "columns": columns,
        "lungs": [{"side": s, "outline": o} for s, o in zip(sides, lungs, strict=True)],
        "lesions": [
            {"kind": "ground-glass", "score": 0.7, "area": 0.08, "outline": each, "box": boxes[-1]}
            for each in lesions
        ],
        "boxes": [{"box": each, "score": 0.6} for each in boxes],
        "heatmaps": [_heat_facts(film_id, picture, label) for label in ("covid-19", "pneumonia")],
    }


def _polygon(box: tuple[int, int, int, int]) -> list[tuple[int, int]]:
    """The pixels at the corners of a box, as a contour follower names them."""
    left, top, width, height = box
    right, bottom = left + width - 1, top + height - 1
    return [(left, top), (right, top), (right, bottom), (left, bottom)]


def _ellipse(picture: Picture, x: float, y: float, a: float, b: float) -> list[tuple[int, int]]:
    rows, columns = picture.pixels.shape
    around = np.linspace(0, 2 * np.pi, 60, endpoint=False)
    xs, ys = (x + a * np.cos(around)) * columns, (y + b * np.sin(around)) * rows
    return [(round(float(u)), round(float(v))) for u, v in zip(xs, ys, strict=True)]


def heatmap(picture: Picture, label: str) -> NDArray[np.float32]:
    """float32 (h, w) in logits, a quarter of the phantom's size so that its edges stay whole."""
    rows, columns = picture.pixels.shape
    if picture.phantom:
        heat = np.zeros((rows // 4, columns // 4), np.float32)
        left, top, width, height = (v // 4 for v in PHANTOM_SQUARES[0])
        heat[top : top + height, left : left + width] = 2.0
        return heat
    y, x = np.mgrid[0 : rows // 4, 0 : columns // 4].astype(np.float32)
    y, x = y / (rows // 4), x / (columns // 4)
    sign = -1 if label == "pneumonia" else 1
    toward = 2 * np.exp(-((x - 0.7) ** 2 + (y - 0.58) ** 2) / 0.012)
    against = 1.2 * np.exp(-((x - 0.33) ** 2 + (y - 0.4) ** 2) / 0.02)
    return np.asarray(sign * (toward - against), np.float32)


def _heat_facts(film_id: str, picture: Picture, label: str) -> dict[str, Any]:
    heat = heatmap(picture, label)
    return {
        "label": label,
        "f32": f"/api/v1/films/{film_id}/heatmaps/{label}.f32",
        "rows": heat.shape[0],
        "columns": heat.shape[1],
        "low": float(heat.min()),
        "high": float(heat.max()),
        "limit": 2.0,
        "unit": "logit",
    }
