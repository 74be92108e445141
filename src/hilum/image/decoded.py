"""Decoded: samples on their way from a picture file to a film, and how colours become grey."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from hilum.core.errors import UnreadableImageError
from hilum.core.radiograph import Step
from hilum.image.grey import TINTED, Samples, flatten, to_grey
from hilum.image.limits import one_line

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
