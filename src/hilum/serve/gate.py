"""Gate: films that opened but must not be read, each with the reason.

Only what is certain is refused here: what the file says of itself, and pixels that hold no film.
"""

from __future__ import annotations

from hilum.core.errors import RejectedImageError
from hilum.core.labels import View
from hilum.core.radiograph import Radiograph

MIN_SIDE = 64
"""Pixels; below it lungs cannot be told from noise."""

MIN_CONTRAST = 1e-3
"""Range of grey levels in [0, 1] below which a picture is blank."""

OTHER_MODALITIES: dict[str, str] = {
    "CT": "a CT slice",
    "MR": "a magnetic resonance image",
    "US": "an ultrasound image",
    "NM": "a nuclear medicine image",
    "PT": "a PET image",
    "MG": "a mammogram",
    "IO": "a dental film",
    "PX": "a dental panorama",
    "XA": "an angiogram",
}
"""DICOM Modality (0008,0060) that is certainly no plain radiograph of a chest, in words."""


def check(radiograph: Radiograph) -> None:
    """Raise ``RejectedImageError`` if the film must not be read.

    Args:
        radiograph: an opened film.
    """
    where, metadata = radiograph.path, radiograph.metadata
    if named := OTHER_MODALITIES.get(metadata.modality or ""):
        raise RejectedImageError(
            f"{where}: modality {metadata.modality}; expected CR or DX",
            hint=f"this is {named}; export the frontal chest radiograph",
        )
    if metadata.view is View.LATERAL:
        raise RejectedImageError(
            f"{where}: a lateral film; expected a frontal one (PA or AP)",
            hint="read the frontal film of the same study",
        )
    height, width = radiograph.shape
    if min(height, width) < MIN_SIDE:
        raise RejectedImageError(
            f"{where}: {width} x {height} pixels; expected at least {MIN_SIDE} on each side",
            hint="this may be a thumbnail; export the film at full size",
        )
    if (contrast := float(radiograph.pixels.max() - radiograph.pixels.min())) < MIN_CONTRAST:
        raise RejectedImageError(
            f"{where}: blank: grey levels differ by {contrast:.2g}; expected {MIN_CONTRAST}",
            hint="the window may be wrong or the exposure failed; look at it with 'hilum show'",
        )
