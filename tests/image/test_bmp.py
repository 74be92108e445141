"""BMP as old software writes it: values by plain arithmetic."""

from __future__ import annotations

import struct

import numpy as np
import pytest

from hilum.core.errors import UnreadableImageError, UnsupportedImageError
from hilum.image.open import open_bytes

HEIGHT, WIDTH = 50, 60
GREY = (np.add.outer(np.arange(HEIGHT), np.arange(WIDTH)) * 2 % 256).astype(np.uint8)


def bmp(pixels: bytes, bits: int, *, height: int = HEIGHT, packing: int = 0, extra: bytes = b""):
    """Write BITMAPFILEHEADER and BITMAPINFOHEADER; ``extra`` is palette or masks."""
    colours = len(extra) // 4 if bits <= 8 else 0
    sizes = (40, WIDTH, height, 1, bits, packing, len(pixels), 0, 0, colours, 0)
    info = struct.pack("<IiiHHIIiiII", *sizes)
    start = 14 + len(info) + len(extra)
    return b"BM" + struct.pack("<IHHI", start + len(pixels), 0, 0, start) + info + extra + pixels


def palette(levels: int) -> bytes:
    return b"".join(bytes([v * 255 // (levels - 1)] * 3 + [0]) for v in range(levels))


def rows(bits: int) -> bytes:
    """The top ``bits`` bits of GREY, packed, rows padded to 4 bytes."""
    levels = GREY >> (8 - bits)
    flat = (levels[..., None] >> np.arange(bits - 1, -1, -1)) & 1
    packed = np.packbits(flat.reshape(HEIGHT, -1), axis=1)
    return np.pad(packed, ((0, 0), (0, -packed.shape[1] % 4))).tobytes()


def runs() -> bytes:
    """GREY as RLE8: runs of one pixel, from the bottom up."""
    lines = (b"".join(bytes([1, v]) for v in row.tolist()) for row in GREY[::-1])
    return b"\x00\x00".join(lines) + b"\x00\x01"


@pytest.mark.parametrize("bits", [1, 4, 8])
def test_palette(bits):
    data = bmp(rows(bits), bits, height=-HEIGHT, extra=palette(2**bits))
    expected = (GREY >> (8 - bits)) * (255 // (2**bits - 1)) / 255
    np.testing.assert_allclose(open_bytes(data, "film").pixels, expected, atol=1e-6)


def test_runs():
    data = bmp(runs(), 8, packing=1, extra=palette(256))
    np.testing.assert_allclose(open_bytes(data, "film").pixels, GREY / 255, atol=1e-6)
    for torn in (runs()[:3000], runs()[:3000] + b"\x00\x01"):
        with pytest.raises(UnreadableImageError):
            open_bytes(bmp(torn, 8, packing=1, extra=palette(256)), "torn")


@pytest.mark.parametrize("green", [5, 6])
def test_16_bits(green):
    """5-5-5 as it comes, 5-6-5 with masks; widened by repeating the upper bits."""
    red = (GREY >> 3).astype(np.uint16)
    middle = (GREY >> (8 - green)).astype(np.uint16)
    pixels = (red << (5 + green) | middle << 5 | red).astype("<u2").tobytes()
    masks = struct.pack("<III", 0xF800, 0x07E0, 0x001F) if green == 6 else b""
    data = bmp(pixels, 16, height=-HEIGHT, packing=3 if masks else 0, extra=masks)
    np.testing.assert_allclose(open_bytes(data, "film").pixels, red / 31, atol=0.02)


@pytest.mark.parametrize("bits", [24, 32])
@pytest.mark.parametrize("upright", [True, False])
def test_true_colour(bits, upright):
    channels = np.dstack([GREY] * (bits // 8))[:: -1 if upright else 1]
    data = bmp(channels.tobytes(), bits, height=HEIGHT if upright else -HEIGHT)
    np.testing.assert_allclose(open_bytes(data, "film").pixels, GREY / 255, atol=1e-6)


def test_os2():
    """The header of 12 bytes, with a palette of 3 bytes a colour."""
    info = struct.pack("<IHHHH", 12, WIDTH, HEIGHT, 1, 8) + bytes(
        v for v in range(256) for _ in "rgb"
    )
    start = 14 + len(info)
    data = b"BM" + struct.pack("<IHHI", start + GREY.size, 0, 0, start) + info
    data += GREY[::-1].tobytes()
    np.testing.assert_allclose(open_bytes(data, "film").pixels, GREY / 255, atol=1e-6)


@pytest.mark.parametrize("packing", [4, 5])
def test_other_formats_inside_are_unsupported(packing):
    with pytest.raises(UnsupportedImageError, match="compression") as caught:
        open_bytes(bmp(bytes(100), 24, packing=packing), "film")
    assert "PNG" in caught.value.hint
