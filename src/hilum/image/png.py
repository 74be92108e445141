"""PNG chunks: what a film needs of a PNG file, checked; the rest is left out before it is parsed.

Texts, profiles and times say nothing about the pixels, so damage in them is no damage of the
film, and a text that inflates without end is never inflated.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from hilum.image.grey import unreadable
from hilum.image.limits import check_frames

SIGNATURE = b"\x89PNG\r\n\x1a\n"
_CRITICAL_BIT = 0x20  # lower case first letter: ancillary (PNG specification 5.4)
_USED = {b"tRNS", b"eXIf"}
_WITH_ORIENTATION = (b"XML:com.adobe.xmp\x00", b"Raw profile type exif\x00")
_MAX_TEXT = 1 << 20


def essential(data: bytes, name: str) -> tuple[bytes, list[str]]:
    """Return a PNG file with the chunks that make the picture, and notes about damaged others.

    Raises:
        UnreadableImageError: truncated, or a chunk of the picture itself is damaged.
        UnsupportedImageError: an animation.
    """
    kept, notes = [SIGNATURE], []
    for kind, body, sound in _chunks(data, name):
        ancillary = bool(kind[0] & _CRITICAL_BIT)
        if not ancillary and not sound:
            raise unreadable(name, "PNG", f"wrong checksum of its {_text(kind)} chunk")
        if not sound:
            notes.append(f"PNG: wrong checksum of its {_text(kind)} chunk, which was left out")
        elif kind == b"acTL":
            check_frames(_number(bytes(body[:4])), name)
        elif not ancillary or kind in _USED or _is_orientation(kind, body):
            kept.append(_chunk(kind, body))
    return b"".join(kept), notes


def size(data: bytes, name: str) -> tuple[int, int]:
    """Read (width, height) in pixels from the header chunk.

    Raises:
        UnreadableImageError: there is none, or it is damaged.
    """
    header = data[12:29]
    if header[:4] != b"IHDR" or zlib.crc32(header) != _number(data[29:33]):
        raise unreadable(name, "PNG", "no sound IHDR chunk")
    return _number(header[4:8]), _number(header[8:12])


def deep_colours(data: bytes, name: str) -> NDArray[np.uint16]:
    """Decode colours, or grey with alpha, of 16 bits, of which Pillow keeps 8.

    Returns:
        uint16 (H, W, 3), or (H, W, 4) with alpha.
    """
    import imagecodecs

    samples: NDArray[np.uint16] = imagecodecs.png_decode(essential(data, name)[0])
    return samples[..., [0, 0, 0, 1]] if samples.shape[2] == 2 else samples


def _chunks(data: bytes, name: str) -> Iterator[tuple[bytes, memoryview, bool]]:
    """Yield kind, body and whether the checksum is right of each chunk up to IEND."""
    view, at, kind = memoryview(data), len(SIGNATURE), b""
    while kind != b"IEND":
        end = at + 12 + _number(data[at : at + 4])
        if at + 12 > len(data) or end > len(data):
            raise unreadable(name, "PNG", "no IEND chunk")
        kind = data[at + 4 : at + 8]
        body, checksum = view[at + 8 : end - 4], _number(data[end - 4 : end])
        yield kind, body, zlib.crc32(body, zlib.crc32(kind)) == checksum
        at = end


def _chunk(kind: bytes, body: memoryview) -> bytes:
    checksum = zlib.crc32(body, zlib.crc32(kind))
    return len(body).to_bytes(4, "big") + kind + bytes(body) + checksum.to_bytes(4, "big")


def _is_orientation(kind: bytes, body: memoryview) -> bool:
    """True for a text that Pillow takes the orientation from."""
    texts = kind in (b"tEXt", b"iTXt", b"zTXt") and len(body) <= _MAX_TEXT
    return texts and bytes(body[:40]).startswith(_WITH_ORIENTATION)


def _number(data: bytes) -> int:
    return int.from_bytes(data, "big")


def _text(kind: bytes) -> str:
    return kind.decode("ascii", "replace")
