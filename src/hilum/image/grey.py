"""Grey: from colour samples to one grey channel, unless the colours carry a picture."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from hilum.core.errors import UnreadableImageError, UnsupportedImageError
from hilum.core.radiograph import Pixels, Step
from hilum.image.limits import one_line

Samples = NDArray[np.integer[Any]]
"""uint8 or uint16."""

TINTED = "tinted film"
"""How the words of ``check_colour`` begin for a film with a colour cast."""

_SAMPLE_SIDE = 256
_BINS = 64
_EQUAL = 0.03  # channels that differ by less are equal but for the codec
# Measured: tinted films from journals reach a share of 0.001 and a chroma of 0.26; colour
# photographs a share of 0.12 to 0.39.
_OFF_TONE = 0.08  # a colour that far from the tone of its grey level belongs to no film
_MAX_OFF_TONE_SHARE = 0.04  # arrows and letters in colour cover less
_MAX_CHROMA = 0.5  # no film is tinted that much


def to_grey(rgb: Samples, name: str) -> tuple[Samples, str]:
    """Turn colour samples into luma (ITU-R BT.601).

    Args:
        rgb: uint8 or uint16 (H, W, 3).
        name: of the file, for the message.

    Returns:
        grey samples (H, W) of the same dtype, and what was done, in words.

    Raises:
        UnsupportedImageError: a colour photograph.
    """
    detail = check_colour(rgb, name)
    return np.asarray(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), rgb.dtype), detail


def check_colour(rgb: Samples, name: str) -> str:
    """Say in words how a colour file comes to be grey.

    A film that was tinted (blue film base, sepia print) has one colour for each grey level; a
    photograph has many. So the colours are compared with the mean colour of their grey level.

    Raises:
        UnsupportedImageError: more than 4 % of the pixels lie far from the tone of their level,
            or the tone is no tint any more.
    """
    sample = _thin(rgb)
    red, green, blue = cv2.split(sample)
    high = cv2.max(cv2.max(red, green), blue)
    chromas = np.asarray(high - cv2.min(cv2.min(red, green), blue), np.float32)
    if float(chromas.max()) < _EQUAL:
        return "3 equal channels to one"
    off_tone, chroma = _off_tone_share(sample), float(chromas.mean())
    if off_tone > _MAX_OFF_TONE_SHARE or chroma > _MAX_CHROMA:
        raise UnsupportedImageError(
            f"{name}: colour picture (mean chroma {chroma:.2f}, {off_tone:.0%} of the pixels off "
            "the tone of their grey level); expected a grey film",
            hint="export the film itself, without colour overlay",
        )
    if chroma < _EQUAL:
        return "3 channels, grey but for coloured marks, to luma (ITU-R BT.601)"
    return f"{TINTED} (mean chroma {chroma:.2f}) to luma (ITU-R BT.601)"


def scale(samples: Samples, bits: int) -> Pixels:
    """Scale stored values 0 .. 2^bits - 1, any shape, to float32 in [0, 1], in one pass."""
    return np.multiply(samples, np.float32(1 / (2**bits - 1)), dtype=np.float32)


def flatten(rgba: Samples) -> tuple[Samples, bool]:
    """Lay colours with alpha over black.

    Args:
        rgba: uint8 (H, W, 2) grey with alpha or (H, W, 4) colour with alpha.

    Returns:
        uint8 (H, W, 1) or (H, W, 3), and whether any pixel was not opaque.
    """
    colours, alpha = rgba[..., :-1], rgba[..., -1:]
    opaque = np.iinfo(rgba.dtype).max
    if alpha.min() == opaque:
        return np.ascontiguousarray(colours), False
    laid = colours.astype(np.float32) * (alpha.astype(np.float32) / opaque)
    return np.rint(laid).astype(rgba.dtype), True


def _thin(rgb: Samples) -> Pixels:
    """Take about 256 x 256 pixels, float32 in [0, 1]; averaged, so that noise does not count.

    Of 16 bits many files use 12: what they use counts as their range, or no colour would be seen.
    """
    height, width = rgb.shape[:2]
    size = (min(width, _SAMPLE_SIDE), min(height, _SAMPLE_SIDE))
    thinned = cv2.resize(rgb, size, interpolation=cv2.INTER_AREA)
    top = 255 if rgb.dtype == np.uint8 else max(int(thinned.max()), 1)
    return np.asarray(thinned, np.float32) / np.float32(top)


def _off_tone_share(sample: Pixels) -> float:
    colours = sample.reshape(-1, 3).astype(np.float64)
    level = np.minimum((colours.mean(axis=1) * _BINS).astype(int), _BINS - 1)
    count = np.maximum(np.bincount(level, minlength=_BINS), 1)
    tone = np.stack([np.bincount(level, c, _BINS) / count for c in colours.T], axis=1)
    distance = np.abs(colours - tone[level]).max(axis=1)
    return float((distance > _OFF_TONE).mean())


AGAIN = "copy or export the file again; what is left is not read as a film"


@dataclass
class Decoded:
    """Samples of one picture on their way to a film.

    Attributes:
        samples: uint8 or uint16 (H, W), not yet scaled; 0 = black.
        bits: bits per stored sample; samples of fewer than 8 bits are spread over 0 .. 255.
        orientation: EXIF orientation that is still to be applied; 1 = upright.
    """

    samples: Samples
    bits: int
    orientation: int = 1
    steps: list[Step] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def from_colours(samples: Samples, name: str, steps: list[Step], orientation: int = 1) -> Decoded:
    """Bring RGB or RGBA samples, uint8 or uint16 (H, W, 3 or 4), to grey.

    Raises:
        UnsupportedImageError: a colour photograph.
    """
    notes = []
    if samples.shape[2] == 4:
        samples, transparent = flatten(samples)
        steps.append(Step("alpha", "laid over black" if transparent else "all opaque: left out"))
        if transparent:
            notes.append(TRANSPARENT)
    grey, detail = to_grey(samples, name)
    steps.append(Step("grey", detail))
    bits = 8 * samples.dtype.itemsize
    return Decoded(grey, bits, orientation, steps, notes + tint_note(detail))


TRANSPARENT = "partly transparent; the transparent parts became black"


def tint_note(detail: str) -> list[str]:
    """Return the note for a film with a colour cast; ``detail`` is of ``check_colour``."""
    tinted = detail.startswith(TINTED)
    return ["tinted: perhaps a photograph of a film or of a screen"] if tinted else []


def from_ink(inks: Samples) -> Samples:
    """Turn CMYK, uint8 (H, W, 4) with 0 = no ink, into RGB, uint8 (H, W, 3)."""
    light = 255 - inks.astype(np.uint16)
    return np.asarray((light[..., :3] * light[..., 3:] + 127) // 255, np.uint8)


def unreadable(name: str, kind: str, error: Exception | str) -> UnreadableImageError:
    """Say that a file is damaged; ``error`` is what the decoder or its library says."""
    return UnreadableImageError(
        f"{name}: broken or truncated {kind}: {one_line(error)}", hint=AGAIN
    )
