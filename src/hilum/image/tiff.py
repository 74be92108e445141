"""TIFF and BigTIFF: one page of grey, palette or colour samples, whatever packs them.

tifffile parses in Python and decodes each strip or tile into a buffer of known size; unlike
libtiff it writes nothing to stderr.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import numpy as np

from hilum.core.errors import ImageError, UnsupportedImageError
from hilum.core.radiograph import Step
from hilum.image.grey import TRANSPARENT, Decoded, Samples, from_colours, from_ink, unreadable
from hilum.image.jpeg import check_jpeg, decode_jpeg_deep, decode_jpeg_grey
from hilum.image.limits import check_frames, check_size, gathered_warnings

if TYPE_CHECKING:
    from tifffile import TiffPage

_KIND = "TIFF"
_SAVE = "save it as 16-bit PNG, 0 black and 65535 white"
_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB, _PALETTE, _INKS, _YCBCR = 0, 1, 2, 3, 5, 6
_JPEG, _END_OF_IMAGE = 7, b"\xff\xd9"
_COMPRESSIONS = {1, 2, 3, 4, 5, _JPEG, 8, 32773, 32946, 34925, 50000}
"""None, CCITT, LZW, JPEG, deflate, PackBits, deflate (old number), LZMA, Zstandard."""
_FAX = (2, 3, 4)
_PHOTOMETRIC, _ORIENTATION, _COLOR_MAP = 262, 274, 320
_ASSOCIATED, _UNASSOCIATED = 1, 2  # ExtraSamples, TIFF 6.0 page 31
_MAX_CHANNELS = 5


def decode_tiff(data: bytes, name: str, max_megapixels: float) -> Decoded:
    """Decode the one page of a TIFF file.

    Raises:
        UnreadableImageError: truncated or damaged.
        UnsupportedImageError: too large, several pages, signed, 32-bit or floating samples, or a
            compression or colour space that is not decoded.
    """
    try:
        with gathered_warnings() as warned:
            page = _page(data, name, max_megapixels)
            _check_segments(page, data, name, max_megapixels)
        samples = np.asarray(page.asarray(maxworkers=1))
        decoded = _to_grey(page, samples, name)
    except ImageError:
        raise
    except Exception as error:  # a broken header can make the parser raise anything
        raise unreadable(name, _KIND, error) from None
    decoded.orientation = _value(page, _ORIENTATION, 1)
    decoded.notes += [f"TIFF header: {line}" for line in warned]
    if _says_no_polarity(page):
        decoded.notes.append("TIFF without PhotometricInterpretation: 0 taken as black")
    return decoded


def check_tiff(data: bytes, name: str, max_megapixels: float) -> tuple[int, int]:
    """Judge a TIFF by its header; return (width, height). Raises as ``decode_tiff``."""
    try:
        with gathered_warnings():
            page = _page(data, name, max_megapixels)
    except ImageError:
        raise
    except Exception as error:
        raise unreadable(name, _KIND, error) from None
    return int(page.imagewidth), int(page.imagelength)


def _page(data: bytes, name: str, max_megapixels: float) -> TiffPage:
    """Return the page with the film in it, judged by its tags."""
    from tifffile import PHOTOMETRIC, TiffFile, TiffPage

    # Thumbnails and the smaller levels of a pyramid are not films of their own.
    pages = TiffFile(io.BytesIO(data)).pages
    full = [page.aspage() for page in pages]
    full = [page for page in full if not page.is_reduced] or full
    check_frames(len(full), name)
    page = full[0]
    if not isinstance(page, TiffPage):
        raise unreadable(name, _KIND, "no page")
    if _says_no_polarity(page):
        page.photometric = PHOTOMETRIC.MINISBLACK  # as libtiff; tifffile would turn it
    check_size(page.imagewidth, page.imagelength, name, max_megapixels)
    if reason := _unsupported(page):
        raise UnsupportedImageError(
            f"{name}: {reason}; expected 8 or 16 bits unsigned, grey, not or commonly compressed",
            hint=_SAVE,
        )
    return page


def _says_no_polarity(page: TiffPage) -> bool:
    grey = page.samplesperpixel == 1 and page.compression not in _FAX
    return grey and _PHOTOMETRIC not in page.tags


def _unsupported(page: TiffPage) -> str:
    if page.imagedepth != 1:
        return f"a volume of {page.imagedepth} planes"
    if page.sampleformat not in (1, 4) or not isinstance(page.bitspersample, int):
        return "signed or floating samples"
    if page.bitspersample > 16:
        return f"{page.bitspersample}-bit samples"
    if page.compression not in _COMPRESSIONS:
        return f"compression {page.compression:d}"
    if page.samplesperpixel > _MAX_CHANNELS:
        return f"{page.samplesperpixel} channels"
    known = (_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB, _PALETTE, _INKS)
    if page.photometric not in known and page.compression != _JPEG:
        return f"colour space {page.photometric:d}"
    return ""


def _check_segments(page: TiffPage, data: bytes, name: str, max_megapixels: float) -> None:
    """Refuse strips and tiles that are not there, or that would unpack to more than a film."""
    if page.is_tiled:
        check_size(page.tilewidth, page.tilelength, name, max_megapixels)
    if len(page.dataoffsets) < int(np.prod(page.chunked)):
        raise unreadable(name, _KIND, "strips or tiles are missing")
    for offset, count in zip(page.dataoffsets, page.databytecounts, strict=True):
        if not 0 < offset < offset + count <= len(data):
            raise unreadable(name, _KIND, "it ends before the end of its pixels")
        if page.compression == _JPEG:
            _check_jpeg(page, data[offset : offset + count], name, max_megapixels)


def _check_jpeg(page: TiffPage, segment: bytes, name: str, max_megapixels: float) -> None:
    """Decode a strip or tile strictly, for tifffile's decoder makes up what is missing."""
    tables = page.jpegtables or b""
    whole = tables.removesuffix(_END_OF_IMAGE) + segment[2:] if tables else segment
    jpeg = check_jpeg(whole, name, max_megapixels)
    (decode_jpeg_deep if jpeg.bits > 8 else decode_jpeg_grey)(whole, name)


def _to_grey(page: TiffPage, samples: Samples, name: str) -> Decoded:
    if page.planarconfig == 2 and samples.ndim == 3:
        samples = np.moveaxis(samples, 0, -1)
    from tifffile import COMPRESSION, PHOTOMETRIC

    bits, photometric = int(page.bitspersample), page.photometric
    words = f"TIFF, {page.imagewidth} x {page.imagelength}, {bits} bits"
    packing = COMPRESSION(page.compression).name.lower()
    steps = [Step("decode", f"{words}, {packing}, {PHOTOMETRIC(photometric).name.lower()}")]
    samples = _spread(samples, bits) if photometric != _PALETTE else _coloured(page, samples)
    if photometric == _INKS:
        samples = from_ink((samples >> (bits - 8)).astype(np.uint8)[..., :4])
    alpha = page.extrasamples and page.extrasamples[0] in (_ASSOCIATED, _UNASSOCIATED)
    if samples.ndim == 3 and samples.shape[2] >= 3:
        premultiplied = page.extrasamples and page.extrasamples[0] == _ASSOCIATED
        channels = 4 if alpha and not premultiplied and samples.shape[2] > 3 else 3
        return from_colours(np.ascontiguousarray(samples[..., :channels]), name, steps)
    return _grey(page, samples, Decoded(samples, bits, steps=steps))


def _grey(page: TiffPage, samples: Samples, decoded: Decoded) -> Decoded:
    """Take the first channel, turned if 0 is white; the transparent parts become black."""
    grey: Any = samples if samples.ndim == 2 else samples[..., 0]
    if page.photometric == _WHITE_IS_ZERO:
        grey = _top(decoded.bits) - grey
        decoded.steps.append(Step("polarity", "WhiteIsZero: inverted"))
    if samples.ndim == 3 and page.extrasamples and page.extrasamples[0] == _UNASSOCIATED:
        opacity = samples[..., 1] / _top(decoded.bits)
        if opacity.min() < 1:
            grey = np.rint(grey * opacity)
            decoded.notes.append(TRANSPARENT)
    decoded.samples = np.ascontiguousarray(grey, np.uint8 if decoded.bits <= 8 else np.uint16)
    return decoded


def _spread(samples: Samples, bits: int) -> Samples:
    """Bring samples of fewer than 8 bits to 0 .. 255; more stay as they are."""
    if bits >= 8:
        return samples
    spread: Samples = np.rint(samples * (255 / (2**bits - 1))).astype(np.uint8)
    return spread


def _top(bits: int) -> int:
    return 255 if bits < 8 else int(2**bits - 1)


def _coloured(page: TiffPage, samples: Samples) -> Samples:
    """Look a palette up, uint8 (H, W, 3); old writers filled it with 8 bits instead of 16."""
    palette = np.asarray(page.tags[_COLOR_MAP].value, np.uint16).reshape(3, -1)
    if palette.max() > 255:
        palette = np.right_shift(palette, 8)
    return np.moveaxis(palette.astype(np.uint8)[:, samples], 0, -1)


def _value(page: TiffPage, tag: int, default: int) -> int:
    try:
        return int(page.tags.valueof(tag, default))
    except (TypeError, ValueError):
        return default
