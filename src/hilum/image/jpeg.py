"""JPEG: decoded strictly, 8 to 16 bits, or refused.

libjpeg fills what is missing with grey and goes on. Through simplejpeg it says so; through
imagecodecs, which alone decodes more than 8 bits, it does not, and is asked in another way.
"""

from __future__ import annotations

import numpy as np
import simplejpeg
from numpy.typing import NDArray
from PIL import Image

from hilum.core.errors import ImageError, UnsupportedImageError
from hilum.core.radiograph import Step
from hilum.image.codestream import JPEG_LS, LOSSLESS, Jpeg, lengthened, survey
from hilum.image.grey import (
    Decoded,
    Samples,
    check_colour,
    from_colours,
    from_ink,
    tint_note,
    unreadable,
)
from hilum.image.limits import check_size

_KIND = "JPEG"
_SMALL = 256
_EXIF_ORIENTATION = 274
_SEQUENTIAL = (0xC0, 0xC1)
_DECODED = (*_SEQUENTIAL, 0xC2, 0xC3, 0xC9, 0xCA)
_SAVE = "save it as PNG, or as a JPEG with 8 bits a sample"
_FILLER = b"\xaa" * 16
_OTHER_FILLER = b"\x55" * 16  # differs in every bit
_CUT = 4


def decode_jpeg(data: bytes, name: str, max_megapixels: float) -> Decoded:
    """Decode the first picture of a JPEG file; what else lies in the file becomes a note.

    Raises:
        UnreadableImageError: truncated, a scan is missing, or pixels had to be invented.
        UnsupportedImageError: too large, a process that is not decoded, or a second picture.
    """
    jpeg = check_jpeg(data, name, max_megapixels)
    _check_whole(jpeg, name)
    picture, notes = data[: jpeg.end], _notes_behind(data[jpeg.end :], jpeg, name)
    decoded = _decode(picture, jpeg, name)
    decoded.orientation = _orientation(jpeg)
    decoded.notes += notes
    return decoded


def check_jpeg(data: bytes, name: str, max_megapixels: float) -> Jpeg:
    """Judge a JPEG by its markers, before anything is decoded.

    Raises:
        UnreadableImageError: there is no frame header.
        UnsupportedImageError: more than ``max_megapixels`` million pixels, or a process that is
            not decoded.
    """
    jpeg = survey(data)
    if not jpeg.process:
        raise unreadable(name, _KIND, "no frame header")
    if jpeg.rows == 0 and jpeg.columns:
        raise UnsupportedImageError(
            f"{name}: JPEG that tells its height only behind its pixels (DNL)", hint=_SAVE
        )
    check_size(jpeg.columns, jpeg.rows, name, max_megapixels)
    if reason := _unsupported(jpeg):
        raise UnsupportedImageError(f"{name}: {reason}; expected a common JPEG", hint=_SAVE)
    return jpeg


def decode_jpeg_grey(data: bytes, name: str) -> NDArray[np.uint8]:
    """Decode a grey (or the luma of a colour) JPEG, uint8 (H, W), refusing any damage.

    Raises:
        UnreadableImageError: truncated, or damaged so that pixels had to be invented.
    """
    _check_whole(survey(data), name)
    return _strict(data, "GRAY", name)[..., 0]


def decode_jpeg_deep(data: bytes, name: str) -> Samples:
    """Decode a sequential or lossless JPEG of 2 to 16 bits, uint8 or uint16 (H, W) or (H, W, C).

    libjpeg's warnings do not reach us here. A decoder that had all its data gives the same
    pixels whatever follows the data, and other pixels if the last of it is taken away.

    Raises:
        UnreadableImageError: truncated, or damaged so that pixels had to be invented.
    """
    import imagecodecs

    _check_whole(survey(data), name)
    try:
        decoded: Samples = imagecodecs.jpeg8_decode(data)
        longer = imagecodecs.jpeg8_decode(lengthened(data, _FILLER))
        if not np.array_equal(decoded, longer):
            raise unreadable(name, _KIND, "premature end of its data")
        shorter = (lengthened(data, filler, cut=_CUT) for filler in (_FILLER, _OTHER_FILLER))
        if all(np.array_equal(decoded, imagecodecs.jpeg8_decode(cut)) for cut in shorter):
            raise unreadable(name, _KIND, "more data than its pixels need")
    except ImageError:
        raise
    except Exception as error:  # imagecodecs raises errors of its own, of no common kind
        raise unreadable(name, _KIND, error) from None
    return decoded


def _check_whole(jpeg: Jpeg, name: str) -> None:
    """Refuse a JPEG without its end marker or with scans missing, which decoders blur over."""
    if jpeg.end is None:
        raise unreadable(name, _KIND, "truncated, no end marker")
    if not jpeg.complete:
        raise unreadable(name, _KIND, f"it ends after {jpeg.scans} scan(s); some are missing")


def _decode(data: bytes, jpeg: Jpeg, name: str) -> Decoded:
    lossy = "lossless" if jpeg.process in LOSSLESS else "lossy"
    if jpeg.bits > 8 or jpeg.process in LOSSLESS:
        words = f"JPEG ({lossy}), {jpeg.columns} x {jpeg.rows}, {jpeg.bits} bits, Gray"
        return Decoded(decode_jpeg_deep(data, name), jpeg.bits, steps=[Step("decode", words)])
    words = f"JPEG (lossy), {jpeg.columns} x {jpeg.rows}, 8 bits, {_colours(data, jpeg)}"
    steps = [Step("decode", words)]
    if len(jpeg.components) == 1:
        return Decoded(decode_jpeg_grey(data, name), 8, steps=steps)
    if len(jpeg.components) == 4:
        return from_colours(_of_inks(data, jpeg, name), name, steps)
    return _colour(data, name, steps)


def _colours(data: bytes, jpeg: Jpeg) -> str:
    try:
        return str(simplejpeg.decode_jpeg_header(data, strict=False)[2])
    except (ValueError, LookupError):  # a sampling of the colours that it has no name for
        return f"{len(jpeg.components)} channels"


def _colour(data: bytes, name: str, steps: list[Step]) -> Decoded:
    """Take the luma as the film, and judge the colours on a small copy."""
    luma = decode_jpeg_grey(data, name)
    small = simplejpeg.decode_jpeg(data, "RGB", min_height=_SMALL, min_width=_SMALL)
    detail = check_colour(small, name)
    steps.append(Step("grey", detail))
    return Decoded(luma, 8, steps=steps, notes=tint_note(detail))


def _of_inks(data: bytes, jpeg: Jpeg, name: str) -> Samples:
    inks = _strict(data, "CMYK", name)
    return from_ink(255 - inks if jpeg.adobe else inks)  # Adobe stores its inks inverted


def _strict(data: bytes, colours: str, name: str) -> NDArray[np.uint8]:
    try:
        return np.asarray(simplejpeg.decode_jpeg(data, colours, strict=True), np.uint8)
    except ValueError as error:
        if "subsampling" in str(error):
            raise UnsupportedImageError(
                f"{name}: JPEG with an unusual sampling of its colours", hint=_SAVE
            ) from None
        raise unreadable(name, _KIND, error) from None


def _orientation(jpeg: Jpeg) -> int:
    """Read the EXIF orientation; a broken EXIF block does not make a film unreadable."""
    exif = Image.Exif()
    try:
        exif.load(jpeg.exif)
        return int(exif.get(_EXIF_ORIENTATION, 1))
    except Exception:  # Pillow's parser raises what it likes
        return 1


def _unsupported(jpeg: Jpeg) -> str:
    """Name the process, if it is one that no decoder here knows how to refuse damage in."""
    if jpeg.process == JPEG_LS:
        return "a bare JPEG-LS file"
    if jpeg.process not in _DECODED:
        return f"JPEG of an uncommon process (SOF{jpeg.process - 0xC0})"
    if (jpeg.bits == 8 and jpeg.process not in LOSSLESS) or len(jpeg.components) == 1 == jpeg.scans:
        plain = jpeg.bits == 8 or jpeg.process in (*_SEQUENTIAL, *LOSSLESS)
        return "" if plain else f"progressive JPEG of {jpeg.bits} bits"
    return f"JPEG of {jpeg.bits} bits, {len(jpeg.components)} channels in {jpeg.scans} scans"


def _notes_behind(rest: bytes, jpeg: Jpeg, name: str) -> list[str]:
    """Say what follows the end of the picture; refuse another picture as large as this one."""
    if not rest.strip(b"\x00\xff\r\n \x1a"):
        return []
    start = rest.find(b"\xff\xd8\xff")
    other = survey(rest[start:]) if start >= 0 else Jpeg()
    if other.rows * other.columns >= jpeg.rows * jpeg.columns:
        raise UnsupportedImageError(
            f"{name}: 2 pictures in one JPEG file; expected one",
            hint="export the frontal film by itself",
        )
    if other.rows:
        return [f"a smaller picture follows ({other.columns} x {other.rows}): left out"]
    return [f"{len(rest)} bytes behind the end of the picture: left out"]
