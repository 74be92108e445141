"""TIFF in all its shapes: right values by plain arithmetic, or a refusal of the right kind."""

from __future__ import annotations

import io
import struct

import numpy as np
import pytest
from PIL import Image
from tifffile import TiffFile, TiffWriter, imwrite

from hilum.core.errors import UnreadableImageError, UnsupportedImageError
from hilum.image.open import open_bytes


def tiff(samples: np.ndarray, **options) -> bytes:
    stream = io.BytesIO()
    imwrite(stream, samples, **options)
    return stream.getvalue()


@pytest.fixture
def deep(film) -> np.ndarray:
    return np.rint(film * 65535).astype(np.uint16)


def same(data: bytes, expected: np.ndarray, bits: int) -> None:
    opened = open_bytes(data, "film")
    assert opened.bits == bits
    top = 255 if bits < 8 else 2**bits - 1
    np.testing.assert_array_equal(np.rint(opened.pixels * top), expected)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("big", [False, True])
@pytest.mark.parametrize("photometric", ["minisblack", "miniswhite"])
@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"compression": "lzw"},
        {"compression": "lzw", "predictor": True, "rowsperstrip": 7},
        {"compression": "zlib", "predictor": True, "tile": (64, 48)},
        {"compression": "packbits", "rowsperstrip": 7},
        {"compression": "lzma"},
        {"compression": "zstd"},
        {"tile": (16, 16)},
    ],
    ids=str,
)
def test_every_packing_of_grey(deep, order, big, photometric, bits, options):
    stored = deep if bits == 16 else (deep >> 8).astype(np.uint8)
    data = tiff(stored, byteorder=order, bigtiff=big, photometric=photometric, **options)
    top = 2**bits - 1
    same(data, top - stored.astype(int) if photometric == "miniswhite" else stored, bits)


def test_without_photometric_interpretation_0_is_black(deep):
    tag = struct.pack("<H", 262)
    data = tiff(deep, byteorder="<", photometric="minisblack", metadata=None)
    assert data.count(tag + struct.pack("<H", 3)) == 1
    data = data.replace(tag + struct.pack("<H", 3), struct.pack("<HH", 261, 3))
    same(data, deep, 16)
    assert any("0 taken as black" in note for note in open_bytes(data, "film").notes)


@pytest.mark.parametrize("bits", [2, 4, 10, 12, 14])
@pytest.mark.parametrize("photometric", ["minisblack", "miniswhite"])
def test_packed_bits(deep, bits, photometric):
    stored = (deep >> (16 - bits)).astype(np.uint16 if bits > 8 else np.uint8)[:, :120]
    data = tiff(stored, bitspersample=bits, photometric=photometric)
    top = 2**bits - 1
    expected = top - stored.astype(int) if photometric == "miniswhite" else stored.astype(int)
    same(data, expected if bits > 8 else expected * (255 // top), bits)


@pytest.mark.parametrize("compression", [None, "group3", "group4", "tiff_ccitt", "packbits"])
def test_bilevel(film, compression):
    mask = film > 0.5
    stream = io.BytesIO()
    Image.fromarray(mask).save(stream, "TIFF", compression=compression)
    opened = open_bytes(stream.getvalue(), "mask")
    np.testing.assert_array_equal(opened.pixels, mask)
    assert opened.bits == 1
    assert any("mask" in note for note in opened.notes)


@pytest.mark.parametrize("planar", ["contig", "separate"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("order", ["<", ">"])
def test_colour_samples_that_are_grey(deep, planar, dtype, order):
    grey = (deep >> (16 - 8 * np.dtype(dtype).itemsize)).astype(dtype)
    rgb = np.stack([grey] * 3, 0 if planar == "separate" else -1)
    data = tiff(rgb, photometric="rgb", planarconfig=planar, byteorder=order)
    same(data, grey, 8 * grey.dtype.itemsize)


def test_palette_as_pillow(deep):
    grey = (deep >> 8).astype(np.uint8)
    stream = io.BytesIO()
    image = Image.fromarray(grey)
    image.putpalette([255 - v for v in range(256) for _ in range(3)])
    image.save(stream, "TIFF")
    same(stream.getvalue(), 255 - grey, 8)


def test_cmyk_and_alpha(deep):
    grey = (deep >> 8).astype(np.uint8)
    ink = np.dstack([np.zeros((*grey.shape, 3), np.uint8), 255 - grey])
    same(tiff(ink, photometric="separated"), grey, 8)
    opaque = np.dstack([grey, grey, grey, np.full_like(grey, 255)])
    same(tiff(opaque, photometric="rgb", extrasamples=["unassalpha"]), grey, 8)
    clear = np.dstack([grey, np.where(np.arange(grey.shape[1]) < 40, 0, 255) + 0 * grey])
    opened = open_bytes(
        tiff(clear.astype(np.uint8), photometric="minisblack", extrasamples=["unassalpha"]), "f"
    )
    assert (opened.pixels[:, :40] == 0).all()
    np.testing.assert_allclose(opened.pixels[:, 40:], grey[:, 40:] / 255, atol=1e-6)
    assert any("transparent" in note for note in opened.notes)


@pytest.mark.parametrize("colour", [False, True])
def test_jpeg_inside(deep, colour):
    grey = (deep >> 8).astype(np.uint8)
    image = Image.fromarray(grey).convert("RGB" if colour else "L")
    stream = io.BytesIO()
    image.save(stream, "TIFF", compression="jpeg", quality=95)
    assert abs(open_bytes(stream.getvalue(), "film").pixels - grey / 255).max() < 0.06


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_is_a_step(deep, orientation):
    stream = io.BytesIO()
    Image.fromarray(deep).save(stream, "TIFF", tiffinfo={274: orientation})
    opened = open_bytes(stream.getvalue(), "film")
    names = [step.name for step in opened.history]
    assert ("orientation" in names) == (orientation != 1)
    turned = {
        1: deep,
        2: deep[:, ::-1],
        3: deep[::-1, ::-1],
        4: deep[::-1],
        5: deep.T,
        6: np.rot90(deep, -1),
        7: deep[::-1, ::-1].T,
        8: np.rot90(deep),
    }
    np.testing.assert_array_equal(np.rint(opened.pixels * 65535), turned[orientation])


@pytest.mark.parametrize("dtype", ["i1", "i2", "i4", "u4", "f2", "f4", "f8"])
@pytest.mark.parametrize("order", ["<", ">"])
def test_other_samples_are_unsupported(film, dtype, order):
    with pytest.raises(UnsupportedImageError, match="expected 8 or 16 bits") as caught:
        open_bytes(tiff((film * 100).astype(dtype), byteorder=order), "film")
    assert "PNG" in caught.value.hint


def test_pages_and_thumbnails(deep):
    with pytest.raises(UnsupportedImageError, match="2 frames; expected one"):
        open_bytes(tiff(np.stack([deep, deep]), photometric="minisblack"), "film")
    stream = io.BytesIO()
    with TiffWriter(stream) as writer:
        writer.write(deep[::4, ::4].copy(), subfiletype=1)
        writer.write(deep)
    same(stream.getvalue(), deep, 16)


def test_volume_and_rare_compression_are_unsupported(deep):
    with pytest.raises(UnsupportedImageError, match="planes"):
        open_bytes(tiff(deep[:144, :112].reshape(9, 16, 112), volumetric=True), "film")
    data = tiff((deep >> 8).astype(np.uint8), compression="jpegxl", compressionargs={"level": 0})
    with pytest.raises(UnsupportedImageError, match="compression"):
        open_bytes(data, "film")


@pytest.mark.parametrize("compression", [None, "lzw", "zlib", "packbits", "jpeg"])
@pytest.mark.parametrize("tile", [None, (64, 64)])
def test_lost_pixels_are_refused(deep, compression, tile):
    data = tiff((deep >> 8).astype(np.uint8), compression=compression, tile=tile)
    assert open_bytes(data, "film").shape == deep.shape
    for keep in (0.4, 0.7, 0.95):
        with pytest.raises(UnreadableImageError):
            open_bytes(data[: int(len(data) * keep)], "torn")


@pytest.mark.parametrize("compression", ["lzw", "zlib", "jpeg"])
def test_strip_that_lost_its_end_is_refused(deep, compression):
    """The file is as long as its tags say, and half of the strip is zeros."""
    data = bytearray(tiff((deep >> 8).astype(np.uint8), compression=compression))
    page = TiffFile(io.BytesIO(data)).pages[0]
    start, count = page.dataoffsets[0], page.databytecounts[0]
    data[start + count // 2 : start + count] = bytes(count - count // 2)
    with pytest.raises(UnreadableImageError):
        open_bytes(bytes(data), "torn")


def test_empty_strip_is_refused(deep):
    """A byte count of 0 means "no data" to some readers, which then fill in black."""
    data = tiff(deep, rowsperstrip=50)
    with TiffFile(io.BytesIO(data)) as found:
        counts = found.pages[0].tags["StripByteCounts"]
    at = counts.valueoffset
    torn = (
        data[:at]
        + struct.pack("<H" if counts.dtype == 3 else "<I", 0)
        + data[at + counts.valuebytecount // 3 :]
    )
    with pytest.raises(UnreadableImageError):
        open_bytes(torn, "torn")
