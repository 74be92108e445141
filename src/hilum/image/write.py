"""Write: a picture as PNG, in a file that is whole or not there, or as JPEG, for a page.

PNG is made here and not by OpenCV, which took longer to pack an overlay than the film took to read.
"""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from hilum.core.errors import UnsupportedImageError
from hilum.core.files import WRITER, atomic_path

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_UP, _GREY, _RGB = 2, 0, 2


def write_png(path: Path, pixels: NDArray[Any], *, bits: Literal[8, 16] = 8) -> None:
    """Write a PNG.

    Args:
        path: where; replaced only when the file is complete. Its folder is made if need be.
        pixels: floating (H, W) in [0, 1], written as grey of ``bits`` bits (clipped, rounded),
            or uint8 (H, W, 3), written as RGB of 8 bits.
        bits: 8 or 16 bits for grey.

    Raises:
        UnsupportedImageError: another shape, another type, or NaN.
    """
    samples = _samples(f"{path}: as PNG", np.asarray(pixels), bits)
    with atomic_path(Path(path)) as temporary:
        temporary.write_bytes(_png(samples))


def jpeg(pixels: NDArray[Any], quality: int) -> bytes:
    """Return a picture as JPEG.

    Args:
        pixels: as for ``write_png``, grey of 8 bits.
        quality: 0 to 100, as libjpeg counts.

    Raises:
        UnsupportedImageError: another shape, another type, or NaN.
    """
    samples = _samples("JPEG", np.asarray(pixels), 8)
    ordered = samples if samples.ndim == 2 else cv2.cvtColor(samples, cv2.COLOR_RGB2BGR)
    _, encoded = cv2.imencode(".jpg", ordered, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return encoded.tobytes()


def _png(samples: NDArray[np.integer[Any]]) -> bytes:
    """Encode uint8 or uint16 (H, W), or uint8 (H, W, 3), as PNG (ISO/IEC 15948).

    Each row is stored as its difference from the row above it (filter 2), packed by libdeflate: in
    under half of the time that libpng takes with zlib, and smaller.
    """
    from imagecodecs import deflate_encode

    height, width = samples.shape[:2]
    high_first = samples.astype(samples.dtype.newbyteorder(">"), order="C")
    rows = high_first.view(np.uint8).reshape(height, -1)
    filtered = np.full((height, 1 + rows.shape[1]), _UP, np.uint8)
    filtered[0, 1:] = rows[0]
    np.subtract(rows[1:], rows[:-1], out=filtered[1:, 1:])
    depth, color = 8 * samples.itemsize, _RGB if samples.ndim == 3 else _GREY
    header = struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, 0)
    chunks = (
        (b"IHDR", header),
        (b"tEXt", b"Software\0" + WRITER.encode()),
        (b"IDAT", deflate_encode(filtered.tobytes(), level=1)),
        (b"IEND", b""),
    )
    return _SIGNATURE + b"".join(_chunk(kind, data) for kind, data in chunks)


def _chunk(kind: bytes, data: bytes | bytearray) -> bytes:
    check = zlib.crc32(data, zlib.crc32(kind))
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", check)


def _samples(what: str, pixels: NDArray[Any], bits: int) -> NDArray[np.integer[Any]]:
    if pixels.ndim == 3 and pixels.shape[2] == 3 and pixels.dtype == np.uint8 and pixels.size:
        return np.ascontiguousarray(pixels)
    if pixels.ndim != 2 or not np.issubdtype(pixels.dtype, np.floating) or not pixels.size:
        raise UnsupportedImageError(
            f"{what}: cannot write {pixels.dtype} {pixels.shape}",
            hint="give floats (H, W) in [0, 1] or uint8 (H, W, 3)",
        )
    if not np.isfinite(pixels).all():
        raise UnsupportedImageError(
            f"{what}: cannot write NaN or infinite pixels", hint="fill them first"
        )
    scaled = np.rint(np.clip(pixels, 0, 1).astype(np.float64) * (2**bits - 1))
    return np.asarray(scaled, np.uint8 if bits == 8 else np.uint16)
