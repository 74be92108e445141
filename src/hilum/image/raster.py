"""Raster: PNG, JPEG, TIFF, WEBP and BMP, decoded strictly and made one grey film.

JPEG and TIFF have decoders of their own here, because Pillow fills the rest of a torn JPEG with
grey and leaves a TIFF to libtiff. The others go through Pillow's format classes, which unlike
``Image.open`` do not decide about size: the limit here is the caller's.
"""

from __future__ import annotations

import io
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from PIL import Image
from PIL.BmpImagePlugin import BmpImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.WebPImagePlugin import WebPImageFile

from hilum.core.errors import ImageError, UnsupportedImageError
from hilum.core.radiograph import Radiograph, Step
from hilum.image import png
from hilum.image.automatic import through_window
from hilum.image.grey import TRANSPARENT, Decoded, Samples, from_colours, scale, unreadable
from hilum.image.jpeg import check_jpeg, decode_jpeg
from hilum.image.limits import check_frames, check_size, gathered_warnings
from hilum.image.sniff import FileKind
from hilum.image.tiff import check_tiff, decode_tiff
from hilum.image.turns import TURNS, turn_upright

_CLASSES: dict[FileKind, type[Image.Image]] = {
    FileKind.PNG: PngImageFile,
    FileKind.WEBP: WebPImageFile,
    FileKind.BMP: BmpImageFile,
}
_EXIF_ORIENTATION = 274
_LIMIT = threading.Lock()


def open_raster(
    data: bytes, kind: FileKind, name: str, max_megapixels: float, *, whole: bool = False
) -> Radiograph:
    """Open the bytes of a picture file as a film. See ``hilum.image.open.open_radiograph``.

    ``whole`` leaves out the automatic window, for a viewer in which a person chooses it.
    """
    decoded = _decode(data, kind, name, max_megapixels)
    samples, steps = decoded.samples, decoded.steps
    if decoded.orientation in TURNS:
        samples = turn_upright(samples, decoded.orientation)
        words = TURNS[decoded.orientation]
        steps.append(Step("orientation", f"EXIF {decoded.orientation}: {words}"))
    depth = 8 * samples.dtype.itemsize if decoded.bits < 8 else decoded.bits
    steps.append(Step("scale", f"0 .. {2**depth - 1} to 0 .. 1"))
    if decoded.bits == 1:
        decoded.notes.append("1 bit per pixel: a mask or a drawing rather than a film")
    film = Radiograph(
        pixels=scale(samples, depth),
        path=name,
        format=kind.value,
        bits=decoded.bits,
        history=tuple(steps),
        notes=tuple(decoded.notes),
    )
    return film if whole else through_window(film, 2**depth - 1)


def check_raster(data: bytes, kind: FileKind, name: str, max_megapixels: float) -> tuple[int, int]:
    """Judge a picture by its header, before anything is decoded; return (width, height).

    Raises:
        UnreadableImageError: the header is broken.
        UnsupportedImageError: more pixels than ``max_megapixels`` million.
    """
    if kind is FileKind.JPEG:
        jpeg = check_jpeg(data, name, max_megapixels)
        return jpeg.columns, jpeg.rows
    if kind is FileKind.TIFF:
        return check_tiff(data, name, max_megapixels)
    if kind is FileKind.PNG:
        width, height = png.size(data, name)
        check_size(width, height, name, max_megapixels)
        return width, height
    image, _ = _open_pillow(data, kind, name, max_megapixels)
    return image.size


def _decode(data: bytes, kind: FileKind, name: str, max_megapixels: float) -> Decoded:
    if kind is FileKind.JPEG:
        return decode_jpeg(data, name, max_megapixels)
    if kind is FileKind.TIFF:
        return decode_tiff(data, name, max_megapixels)
    return _decode_pillow(data, kind, name, max_megapixels)


def _decode_pillow(data: bytes, kind: FileKind, name: str, max_megapixels: float) -> Decoded:
    image, notes = _open_pillow(data, kind, name, max_megapixels)
    try:
        check_frames(getattr(image, "n_frames", 1), name)
        image.load()
        bits = _bits(image, data, kind)
        words = f"{kind.value}, {image.width} x {image.height}, {bits} bits, mode {image.mode}"
        steps, orientation = [Step("decode", words)], _orientation(image)
        if bits == 16 and image.mode in ("RGB", "RGBA") and "transparency" not in image.info:
            decoded = from_colours(png.deep_colours(data, name), name, steps, orientation)
        else:
            decoded = _from_mode(image, name, bits, steps, orientation)
    except (ImageError, MemoryError):
        raise
    except Exception as error:  # Pillow's plug-ins raise what they like
        raise _refused(name, kind, error) from None
    decoded.notes += notes
    return decoded


def _open_pillow(
    data: bytes, kind: FileKind, name: str, max_megapixels: float
) -> tuple[Image.Image, list[str]]:
    """Parse the header, with what was odd about it; nothing is allocated for the pixels yet."""
    notes: list[str] = []
    if kind is FileKind.PNG:
        check_size(*png.size(data, name), name, max_megapixels)
        data, notes = png.essential(data, name)
    if kind is FileKind.WEBP and (size := webp_canvas(data)):
        check_size(*size, name, max_megapixels)  # its class allocates when it is made
    try:
        with gathered_warnings() as warned, _without_pillows_limit():
            image = _CLASSES[kind](io.BytesIO(data))  # type: ignore[call-arg]
    except Exception as error:
        raise _refused(name, kind, error) from None
    check_size(image.width, image.height, name, max_megapixels)
    return image, notes + [f"{kind.value} header: {line}" for line in warned]


@contextmanager
def _without_pillows_limit() -> Iterator[None]:
    """Let the caller's limit decide; Pillow has one for all threads."""
    with _LIMIT:
        limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        try:
            yield
        finally:
            Image.MAX_IMAGE_PIXELS = limit


def _refused(name: str, kind: FileKind, error: Exception) -> ImageError:
    """Tell a variant of the format that Pillow does not know from a damaged file."""
    if str(error).lower().startswith("unsupported"):
        return UnsupportedImageError(f"{name}: {str(error).lower()}", hint="save it as PNG")
    return unreadable(name, kind.value, error)


def _orientation(image: Image.Image) -> int:
    """Read the EXIF orientation; a broken EXIF block does not make a film unreadable."""
    with gathered_warnings():
        try:
            return int(image.getexif().get(_EXIF_ORIENTATION, 1))
        except Exception:
            return 1


def _bits(image: Image.Image, data: bytes, kind: FileKind) -> int:
    if kind is FileKind.PNG:
        return data[24]  # IHDR: bit depth
    return 1 if image.mode == "1" else 8


def _from_mode(
    image: Image.Image, name: str, bits: int, steps: list[Step], orientation: int
) -> Decoded:
    """Bring any of Pillow's modes to grey samples."""
    mode = image.mode
    if mode in ("1", "L") or mode.startswith("I;16"):
        plain = np.asarray(image.convert("L") if mode == "1" else image)
        samples: Samples = plain.astype(np.uint16 if plain.itemsize > 1 else np.uint8)
        return _keyed(image, Decoded(samples, bits, orientation, steps))
    if mode in ("I", "F"):
        raise UnsupportedImageError(
            f"{name}: signed, 32-bit or floating samples; expected 8 or 16 bits unsigned",
            hint="save it as 16-bit PNG, 0 black and 65535 white",
        )
    if bits == 16:
        steps.append(Step("depth", "the upper 8 of 16 bits of each colour kept"))
    alpha = mode in ("LA", "La", "PA", "RGBA", "RGBa") or "transparency" in image.info
    converted = np.asarray(image.convert("RGBA" if alpha else "RGB"))
    return from_colours(converted, name, steps, orientation)


def _keyed(image: Image.Image, decoded: Decoded) -> Decoded:
    """Make black what a grey PNG calls transparent: one grey level (tRNS)."""
    key = image.info.get("transparency")
    if isinstance(key, int):
        level = key if decoded.bits >= 8 else key * 255 // (2**decoded.bits - 1)
        transparent = decoded.samples == level
        if level and transparent.any():
            decoded.samples = np.where(transparent, 0, decoded.samples).astype(
                decoded.samples.dtype
            )
            decoded.notes.append(TRANSPARENT)
    return decoded


def webp_canvas(data: bytes) -> tuple[int, int] | None:
    """Read (width, height) of a WEBP's first chunk (RFC 9649, 2.5 to 2.7); None if broken.

    It is what the decoder allocates as soon as it is made.

    >>> webp_canvas(b"RIFF" + bytes(4) + b"WEBPVP8X" + bytes(8) + b"\\x7f\\x3e\\x00\\xdf\\x2e\\x00")
    (16000, 12000)
    """
    kind, head = data[12:16], data[:30]
    if kind == b"VP8X" and len(head) == 30:
        return _number(head[24:27]) + 1, _number(head[27:30]) + 1
    if kind == b"VP8L" and len(head) >= 25:
        bits = _number(head[21:25])
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if kind == b"VP8 " and len(head) == 30:
        return _number(head[26:28]) & 0x3FFF, _number(head[28:30]) & 0x3FFF
    return None


def _number(data: bytes) -> int:
    return int.from_bytes(data, "little")
