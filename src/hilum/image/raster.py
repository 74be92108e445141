"""Raster: PNG, JPEG, TIFF, WEBP and BMP, decoded strictly and made one grey film.

JPEG goes through libjpeg-turbo, which says when it had to invent pixels; Pillow and OpenCV fill
the rest of a torn file with grey. The others go through Pillow's format classes, which unlike
``Image.open`` do not decide about size: the limit here is the caller's.
"""

from __future__ import annotations

import io
import struct
from dataclasses import dataclass, field

import cv2
import numpy as np
import simplejpeg
from numpy.typing import NDArray
from PIL import Image
from PIL.BmpImagePlugin import BmpImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import TiffImageFile
from PIL.WebPImagePlugin import WebPImageFile

from hilum.core.errors import UnreadableImageError, UnsupportedImageError
from hilum.core.radiograph import Radiograph, Step
from hilum.image.grey import TINTED, Samples, check_colour, flatten, scale, to_grey
from hilum.image.limits import check_size, gathered_warnings
from hilum.image.sniff import Kind

_CLASSES: dict[Kind, type[Image.Image]] = {
    Kind.PNG: PngImageFile,
    Kind.TIFF: TiffImageFile,
    Kind.WEBP: WebPImageFile,
    Kind.BMP: BmpImageFile,
}
_BROKEN = (OSError, SyntaxError, ValueError, TypeError, LookupError, EOFError, struct.error)
"""What Pillow raises for files that are not as they should be."""

_SMALL = 256
_PNG_END = b"IEND\xaeB`\x82"
_TORN = "copy or export the file again; what is left is not read as a film"
_TIFF_BITS, _TIFF_PHOTOMETRIC, _EXIF_ORIENTATION = 258, 262, 274
_WHITE_IS_ZERO = 0

_ORIENTATIONS: dict[int, str] = {
    2: "mirrored left to right",
    3: "turned by 180 degrees",
    4: "mirrored top to bottom",
    5: "mirrored about the main diagonal",
    6: "turned by 90 degrees clockwise",
    7: "mirrored about the other diagonal",
    8: "turned by 90 degrees counter-clockwise",
}
"""EXIF 2.32 tag 274: value -> what makes the picture upright."""


@dataclass
class Decoded:
    """Samples of one picture on their way to a film.

    Attributes:
        samples: uint8 or uint16 (H, W), not yet scaled; 0 = black.
        bits: bits per stored sample.
        orientation: EXIF orientation that is still to be applied; 1 = upright.
    """

    samples: Samples
    bits: int
    orientation: int = 1
    steps: list[Step] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def open_raster(data: bytes, kind: Kind, name: str, max_megapixels: float) -> Radiograph:
    """Open the bytes of a picture file as a film. See ``hilum.image.open.open_radiograph``."""
    if kind is Kind.JPEG:
        decoded = _decode_jpeg(data, name, max_megapixels)
    else:
        decoded = _decode_pillow(data, kind, name, max_megapixels)
    samples, steps = decoded.samples, decoded.steps
    if decoded.orientation in _ORIENTATIONS:
        samples = turn_upright(samples, decoded.orientation)
        words = _ORIENTATIONS[decoded.orientation]
        steps.append(Step("orientation", f"EXIF {decoded.orientation}: {words}"))
    depth = 8 * samples.dtype.itemsize if decoded.bits < 8 else decoded.bits
    steps.append(Step("scale", f"0 .. {2**depth - 1} to 0 .. 1"))
    pixels = scale(samples, depth)
    return Radiograph(
        pixels=pixels,
        path=name,
        format=kind.value,
        bits=decoded.bits,
        history=tuple(steps),
        notes=tuple(decoded.notes),
    )


def decode_jpeg_grey(data: bytes, name: str) -> NDArray[np.uint8]:
    """Decode a grey (or the luma of a colour) JPEG, uint8 (H, W), refusing any damage.

    Raises:
        UnreadableImageError: truncated, or damaged so that pixels had to be invented.
    """
    try:
        return np.asarray(simplejpeg.decode_jpeg(data, "GRAY", strict=True)[..., 0], np.uint8)
    except ValueError as error:
        raise _unreadable(name, "JPEG", error) from None


def turn_upright(samples: Samples, orientation: int) -> Samples:
    """Undo an EXIF orientation (1 to 8) of samples (H, W)."""
    if orientation in (5, 6, 7, 8):
        samples = samples.T
    if orientation in (2, 3, 6, 7):
        samples = samples[:, ::-1]
    if orientation in (3, 4, 7, 8):
        samples = samples[::-1]
    return np.ascontiguousarray(samples)


def _decode_jpeg(data: bytes, name: str, max_megapixels: float) -> Decoded:
    try:
        height, width, colours, _ = simplejpeg.decode_jpeg_header(data, strict=False)
    except (ValueError, LookupError) as error:
        raise _unreadable(name, "JPEG", error) from None
    check_size(width, height, name, max_megapixels)
    steps = [Step("decode", f"JPEG (lossy), {width} x {height}, 8 bits, {colours}")]
    orientation = _jpeg_orientation(data)
    if colours in ("CMYK", "YCCK"):
        return _from_samples(_jpeg_cmyk(data, name), name, steps, orientation)
    if colours != "Gray":
        return _jpeg_colour(data, name, steps, orientation)
    return Decoded(decode_jpeg_grey(data, name), 8, orientation, steps)


def _jpeg_colour(data: bytes, name: str, steps: list[Step], orientation: int) -> Decoded:
    """Take the luma as the film, and judge the colours on a small copy."""
    luma = decode_jpeg_grey(data, name)
    small = simplejpeg.decode_jpeg(data, "RGB", min_height=_SMALL, min_width=_SMALL)
    detail = check_colour(small, name)
    steps.append(Step("grey", detail))
    return Decoded(luma, 8, orientation, steps, _tint_note(detail))


def _jpeg_orientation(data: bytes) -> int:
    if b"Exif\x00\x00" not in data[:65_536]:
        return 1
    try:
        with gathered_warnings():
            image = JpegImageFile(io.BytesIO(data))
    except _BROKEN:
        return 1
    return _orientation(image)


def _jpeg_cmyk(data: bytes, name: str) -> Samples:
    try:
        return np.asarray(JpegImageFile(io.BytesIO(data)).convert("RGB"))
    except _BROKEN as error:
        raise _unreadable(name, "JPEG", error) from None


def _decode_pillow(data: bytes, kind: Kind, name: str, max_megapixels: float) -> Decoded:
    if kind is Kind.PNG and _PNG_END not in data:
        raise UnreadableImageError(f"{name}: truncated PNG (no IEND chunk)", hint=_TORN)
    image = _open_pillow(data, kind, name)
    check_size(image.width, image.height, name, max_megapixels)
    _one_frame(image, kind, name)
    bits = _bits(image, data, kind)
    words = f"{kind.value}, {image.width} x {image.height}, {bits} bits, mode {image.mode}"
    orientation = _load(image, kind, name)
    decoded = _from_mode(image, name, bits, [Step("decode", words)], orientation)
    if kind is Kind.TIFF and decoded.samples.dtype == np.uint16:
        _tiff_polarity(image, decoded)
    if bits == 1:
        decoded.notes.append("1 bit per pixel: a mask or a drawing rather than a film")
    return decoded


def _open_pillow(data: bytes, kind: Kind, name: str) -> Image.Image:
    try:
        with gathered_warnings():
            return _CLASSES[kind](io.BytesIO(data))  # type: ignore[call-arg]
    except _BROKEN as error:
        raise _unreadable(name, kind.value, error) from None


def _load(image: Image.Image, kind: Kind, name: str) -> int:
    """Decode all pixels; return the EXIF orientation that Pillow has not applied itself."""
    try:
        if kind is Kind.TIFF:
            with gathered_warnings():
                image.load()  # Pillow turns a TIFF upright as it loads it
            return 1
        image.load()
    except _BROKEN as error:
        raise _unreadable(name, kind.value, error) from None
    return _orientation(image)


def _orientation(image: Image.Image) -> int:
    """Read the EXIF orientation; a broken EXIF block does not make a film unreadable."""
    with gathered_warnings():
        try:
            return int(image.getexif().get(_EXIF_ORIENTATION, 1))
        except _BROKEN:
            return 1


def _one_frame(image: Image.Image, kind: Kind, name: str) -> None:
    try:
        with gathered_warnings():
            frames = getattr(image, "n_frames", 1)
    except _BROKEN as error:
        raise _unreadable(name, kind.value, error) from None
    if frames > 1:
        raise UnsupportedImageError(
            f"{name}: {frames} frames; expected one", hint="export the frontal film by itself"
        )


def _bits(image: Image.Image, data: bytes, kind: Kind) -> int:
    if kind is Kind.PNG:
        return data[24]  # IHDR: bit depth
    if isinstance(image, TiffImageFile):
        return int(image.tag_v2.get(_TIFF_BITS, (1,))[0])
    return 1 if image.mode == "1" else 8


def _from_mode(
    image: Image.Image, name: str, bits: int, steps: list[Step], orientation: int
) -> Decoded:
    """Bring any of Pillow's modes to grey samples."""
    mode = image.mode
    if mode == "1":
        return Decoded(np.asarray(image.convert("L")), bits, orientation, steps)
    if mode == "L":
        return Decoded(np.asarray(image), bits, orientation, steps)
    if mode.startswith("I;16"):
        samples = np.asarray(image).astype(np.uint16, copy=False)
        return Decoded(samples, bits, orientation, steps)
    if mode in ("I", "F"):
        raise UnsupportedImageError(
            f"{name}: signed, 32-bit or floating samples; expected 8 or 16 bits unsigned",
            hint="save it as 16-bit PNG, 0 black and 65535 white",
        )
    if bits == 16:
        steps.append(Step("depth", "the upper 8 of 16 bits of each colour kept"))
    alpha = mode in ("LA", "La", "PA", "RGBA", "RGBa") or "transparency" in image.info
    converted = np.asarray(image.convert("RGBA" if alpha else "RGB"))
    return _from_samples(converted, name, steps, orientation)


def _from_samples(samples: Samples, name: str, steps: list[Step], orientation: int) -> Decoded:
    """Bring RGB or RGBA samples to grey."""
    notes = []
    if samples.shape[2] == 4:
        samples, transparent = flatten(samples)
        steps.append(Step("alpha", "laid over black" if transparent else "all opaque: left out"))
        if transparent:
            notes.append("partly transparent; the transparent parts became black")
    grey, detail = to_grey(samples, name)
    steps.append(Step("grey", detail))
    return Decoded(grey, 8, orientation, steps, notes + _tint_note(detail))


def _tint_note(detail: str) -> list[str]:
    tinted = detail.startswith(TINTED)
    return ["tinted: perhaps a photograph of a film or of a screen"] if tinted else []


def _tiff_polarity(image: Image.Image, decoded: Decoded) -> None:
    """Invert 16-bit WhiteIsZero, which Pillow does for 8 bits only."""
    if getattr(image, "tag_v2", {}).get(_TIFF_PHOTOMETRIC) == _WHITE_IS_ZERO:
        top = 2**decoded.bits - 1
        decoded.samples = np.asarray(cv2.subtract(top, decoded.samples), np.uint16)
        decoded.steps.append(Step("polarity", "WhiteIsZero: inverted"))


def _unreadable(name: str, kind: str, error: Exception) -> UnreadableImageError:
    reason = str(error).split("\n", 1)[0] or type(error).__name__
    return UnreadableImageError(f"{name}: broken or truncated {kind}: {reason}", hint=_TORN)


def check_raster(data: bytes, kind: Kind, name: str, max_megapixels: float) -> None:
    """Judge a picture by its header, before anything is decoded.

    Raises:
        UnreadableImageError: the header is broken.
        UnsupportedImageError: more pixels than ``max_megapixels`` million.
    """
    if kind is not Kind.JPEG:
        image = _open_pillow(data, kind, name)
        check_size(image.width, image.height, name, max_megapixels)
        return
    try:
        height, width, _, _ = simplejpeg.decode_jpeg_header(data, strict=False)
    except (ValueError, LookupError) as error:
        raise _unreadable(name, "JPEG", error) from None
    check_size(width, height, name, max_megapixels)
