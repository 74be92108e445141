"""Perturb: a film changed on purpose, to see whether a reader's answer changes with it.

Occlusions take a part away, or fill it with what lies around; insertions add what says nothing of
the lungs; the rest is what happens to a film on its way through archives, journals and e-mail. Each
writes a step into the history.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from hilum.core.errors import UnsupportedImageError
from hilum.core.radiograph import Radiograph

Mask = NDArray[np.bool_]
"""bool (H, W), the size of the film."""

BORDER = 0.08
"""Width of the occluded frame, as a share of the shorter side."""
CORNER = 0.20
"""Side of the occluded corner squares, as a share of the shorter side."""
CROP = 0.05
"""Cut off on each side, as a share of that side."""
JPEG_QUALITY = 30
"""Of 100; figures in journals and films sent by telephone are about as poor."""
RESIZED_SIDE = 256
"""Pixels of the shorter side; teaching sites publish films of about that size."""
LUNG_MARGIN = 0.03
"""Lung masks are widened by this share of the shorter side, so that no rim of lung is missed."""
FILL_RIM = 0.01
"""Opacities are widened by this share of the shorter side before they are filled, and the edge of
the lungs, where ribs and mediastinum show, is as wide."""
FILL_SIDE = 64
"""Pixels of the longer side at which a fill is computed: smooth, without the ribs beside it."""
FILL_ROUNDS = 300
"""Of diffusion, after which a hole as wide as a lung is even."""
FILL_FROM = 0.10
"""Share of the lungs that must be left as it is, at least, to fill the rest from."""


@dataclass(frozen=True, slots=True)
class Places:
    """What is known of where things lie on a film: its lungs, and what is opaque in them."""

    lungs: Mask | None = None
    opacities: Mask | None = None


Change = Callable[[Radiograph, Places, np.random.Generator], Radiograph | None]


@dataclass(frozen=True, slots=True)
class Perturbation:
    """One way to change a film.

    Attributes:
        title: in a few words, for tables and captions.
        change: from a film, its places and a generator to the changed film; None where it cannot
            be changed so, e.g. for want of a lung mask.
        same_place: every pixel stays where it was, and the lungs with it.
    """

    title: str
    change: Change
    same_place: bool = True


def without_lungs(film: Radiograph, lungs: Mask) -> Radiograph:
    """Black out the lungs (0), widened by ``LUNG_MARGIN``.

    Black, not their mean: the mean brightness of a lung is itself a sign of disease.
    """
    pixels = np.where(widened(lungs), np.float32(0), film.pixels)
    return film.stepped(pixels, "lungs removed", f"black, margin {LUNG_MARGIN:.0%}")


def only_lungs(film: Radiograph, lungs: Mask) -> Radiograph:
    """Black out (0) all but the lungs, widened by ``LUNG_MARGIN``."""
    pixels = np.where(widened(lungs), film.pixels, np.float32(0))
    return film.stepped(pixels, "lungs only", f"the rest black, margin {LUNG_MARGIN:.0%}")


def widened(lungs: Mask, margin: float = LUNG_MARGIN) -> Mask:
    """Dilate a mask by ``margin`` of its shorter side."""
    reach = max(1, round(margin * min(lungs.shape)))
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1))
    return np.asarray(cv2.dilate(lungs.astype(np.uint8), kernel), bool)


def filled(
    film: Radiograph, lungs: Mask, opacities: Mask, *, elsewhere: bool = False
) -> Radiograph | None:
    """Fill the opacities, widened by ``FILL_RIM``, from the clear lung around them.

    The fill comes from clear lung alone: diaphragm, heart and chest wall, which are as bright as an
    opacity, do not enter. It is inpainted (Navier-Stokes, Bertalmio et al., CVPR 2001) on a small
    copy of the film and then diffused, since inpainting alone leaves facets in large holes: of
    pixels so filled the built-in opacity map still marks 10 %, against 22 % with the facets.

    Args:
        film: the film.
        lungs, opacities: bool (H, W).
        elsewhere: leave the opacities, and fill as many pixels of clear lung, far from them.

    Returns:
        None where nothing is opaque, or less than ``FILL_FROM`` of the lungs would be left.
    """
    opaque = widened(opacities & lungs, FILL_RIM) & lungs
    clear = lungs & ~opaque
    hole = _as_much(clear, int(opaque.sum())) if elsewhere else opaque
    left = clear & ~hole
    height, width = film.shape
    scale = min(1.0, FILL_SIDE / max(film.shape))
    size = (max(1, round(scale * width)), max(1, round(scale * height)))
    source = left & ~widened(~lungs, FILL_RIM)
    known = cv2.resize(source.astype(np.float32), size, interpolation=cv2.INTER_AREA) > 0.999
    if not hole.any() or left.sum() < FILL_FROM * lungs.sum() or not known.any():
        return None
    small = cv2.resize(film.pixels, size, interpolation=cv2.INTER_AREA)
    fill = cv2.inpaint(small, (~known).astype(np.uint8), 3, cv2.INPAINT_NS)
    for _ in range(FILL_ROUNDS):
        fill = np.where(known, small, cv2.blur(fill, (3, 3)))
    large = cv2.resize(fill, (width, height), interpolation=cv2.INTER_LINEAR)
    pixels = np.where(hole, np.clip(large, 0, 1), film.pixels)
    what = "clear lung" if elsewhere else "opacities"
    return film.stepped(np.asarray(pixels, np.float32), "filled", f"{what}, from the lung around")


def _as_much(clear: Mask, pixels: int) -> Mask:
    """Return so many pixels of ``clear``: those around the one that is farthest from its edge."""
    depth = cv2.distanceTransform(np.pad(clear, 1).astype(np.uint8), cv2.DIST_L2, 5)[1:-1, 1:-1]
    row, column = np.unravel_index(int(depth.argmax()), clear.shape)
    rows, columns = np.nonzero(clear)
    nearest = np.argsort((rows - row) ** 2 + (columns - column) ** 2, kind="stable")[:pixels]
    found = np.zeros(clear.shape, bool)
    found[rows[nearest], columns[nearest]] = True
    return found


def without_border(film: Radiograph, width: float = BORDER) -> Radiograph:
    """Fill the outer frame with the film's median grey."""
    reach = max(1, round(width * min(film.shape)))
    frame = np.ones(film.shape, bool)
    frame[reach:-reach, reach:-reach] = False
    return _filled(film, frame, "border occluded", f"{reach} pixels")


def without_corners(film: Radiograph, side: float = CORNER) -> Radiograph:
    """Fill the four corner squares, where markers and text lie, with the film's median grey."""
    reach = max(1, round(side * min(film.shape)))
    corners = np.zeros(film.shape, bool)
    for rows in (slice(None, reach), slice(-reach, None)):
        for columns in (slice(None, reach), slice(-reach, None)):
            corners[rows, columns] = True
    return _filled(film, corners, "corners occluded", f"{reach} x {reach} pixels each")


def with_text(film: Radiograph, text: str, corner: str, rng: np.random.Generator) -> Radiograph:
    """Write white text into the upper "left" or "right" corner, as a technician's marker lies."""
    height, width = film.shape
    font = ImageFont.load_default(max(8, round(0.06 * min(film.shape))))
    left, top, right, _ = font.getbbox(text)
    x = round(width * rng.uniform(0.03, 0.06))
    if corner == "right":
        x = max(0, width - x - round(right - left))
    y = round(height * rng.uniform(0.03, 0.06))
    layer = Image.new("L", (width, height))
    ImageDraw.Draw(layer).text((x - left, y - top), text, 255, font)
    ink = np.asarray(layer, np.float32) / 255
    pixels = np.asarray(film.pixels * (1 - ink) + ink, np.float32)
    return film.stepped(pixels, "marker", f"'{text}', upper {corner}")


def with_ecg_lead(film: Radiograph, rng: np.random.Generator) -> Radiograph:
    """Lay an ECG electrode with its wire over the upper chest."""
    height, width = film.shape
    short = min(film.shape)
    x, y = round(width * rng.uniform(0.28, 0.36)), round(height * rng.uniform(0.25, 0.35))
    ink = np.zeros(film.shape, np.float32)
    start, bend = np.array([x, y]), np.array([width * 0.2, height * 0.65])
    end = np.array([width * rng.uniform(0.3, 0.5), height - 1.0])
    t = np.linspace(0, 1, 40)[:, None]
    wire = (1 - t) ** 2 * start + 2 * t * (1 - t) * bend + t**2 * end
    line = np.rint(wire).astype(np.int32)[:, None]
    cv2.polylines(ink, [line], False, 0.35, max(1, round(0.006 * short)), cv2.LINE_AA)
    cv2.circle(ink, (x, y), max(2, round(0.022 * short)), 0.3, -1, cv2.LINE_AA)
    cv2.circle(ink, (x, y), max(1, round(0.009 * short)), 0.7, -1, cv2.LINE_AA)
    pixels = np.asarray(film.pixels + ink * (1 - film.pixels), np.float32)
    return film.stepped(pixels, "ECG lead", "electrode over the upper chest, wire to below")


def inverted(film: Radiograph) -> Radiograph:
    """Turn the polarity: bone black."""
    return film.stepped(np.asarray(1 - film.pixels, np.float32), "inverted", "1 - pixels")


def cropped(film: Radiograph, share: float = CROP) -> Radiograph:
    """Cut ``share`` of each side off each edge."""
    height, width = film.shape
    rows, columns = round(share * height), round(share * width)
    pixels = film.pixels[rows : height - rows, columns : width - columns]
    return film.stepped(np.ascontiguousarray(pixels), "cropped", f"{share:.0%} of each side")


def jpeg(film: Radiograph, quality: int = JPEG_QUALITY) -> Radiograph:
    """Pass the film through a JPEG of 8 bits and ``quality`` of 100."""
    grey = np.rint(np.clip(film.pixels, 0, 1) * 255).astype(np.uint8)
    done, data = cv2.imencode(".jpg", grey, [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not done:
        raise UnsupportedImageError(
            f"{film.path}: a film of {film.shape} cannot be written as JPEG",
            hint="leave out the JPEG test",
        )
    decoded = cv2.imdecode(data, cv2.IMREAD_GRAYSCALE)
    pixels = np.asarray(decoded, np.float32) / np.float32(255)
    return film.stepped(pixels, "JPEG", f"quality {quality}")


def resized(film: Radiograph, side: int = RESIZED_SIDE) -> Radiograph:
    """Shrink the film to ``side`` pixels on the shorter side, or to 70 % where that is no less."""
    scale = min(side / min(film.shape), 0.7)
    height, width = (max(1, round(scale * length)) for length in film.shape)
    small = cv2.resize(film.pixels, (width, height), interpolation=cv2.INTER_AREA)
    return film.stepped(np.asarray(small, np.float32), "resized", f"{width} x {height} pixels")


def _filled(film: Radiograph, where: Mask, name: str, detail: str) -> Radiograph:
    pixels = np.where(where, np.median(film.pixels[::4, ::4]), film.pixels)
    return film.stepped(np.asarray(pixels, np.float32), name, detail)


def _in_lungs(change: Callable[[Radiograph, Mask], Radiograph]) -> Change:
    return lambda film, places, _: None if places.lungs is None else change(film, places.lungs)


def _filling(*, elsewhere: bool) -> Change:
    def change(film: Radiograph, places: Places, _: np.random.Generator) -> Radiograph | None:
        if places.lungs is None or places.opacities is None:
            return None
        return filled(film, places.lungs, places.opacities, elsewhere=elsewhere)

    return change


PERTURBATIONS: dict[str, Perturbation] = {
    "lungs-removed": Perturbation("lungs blacked out", _in_lungs(without_lungs)),
    "lungs-only": Perturbation("lungs only", _in_lungs(only_lungs)),
    "opacity-hidden": Perturbation("opacities painted over", _filling(elsewhere=False)),
    "lung-hidden": Perturbation("as much clear lung painted over", _filling(elsewhere=True)),
    "border": Perturbation("border occluded", lambda f, _p, _: without_border(f)),
    "corners": Perturbation("corners occluded", lambda f, _p, _: without_corners(f)),
    "marker-portable": Perturbation(
        "'PORTABLE' pasted", lambda f, _p, rng: with_text(f, "PORTABLE", "right", rng)
    ),
    "marker-r": Perturbation("'R' pasted", lambda f, _p, rng: with_text(f, "R", "left", rng)),
    "ecg-lead": Perturbation("ECG lead pasted", lambda f, _p, rng: with_ecg_lead(f, rng)),
    "inverted": Perturbation("polarity inverted", lambda f, _p, _: inverted(f)),
    "cropped": Perturbation(
        f"{CROP:.0%} cropped off each edge", lambda f, _p, _: cropped(f), same_place=False
    ),
    "jpeg": Perturbation(f"JPEG of quality {JPEG_QUALITY}", lambda f, _p, _: jpeg(f)),
    "resized": Perturbation("made smaller", lambda f, _p, _: resized(f), same_place=False),
}
"""Name -> how the film is changed."""
