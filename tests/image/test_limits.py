"""Every header that announces more pixels than allowed is refused before they are allocated."""

from __future__ import annotations

import io
import struct
import tracemalloc
import zlib

import numpy as np
import pytest
from PIL import Image
from tifffile import imwrite

from hilum.core.errors import CohortError, ImageError, UnsupportedImageError
from hilum.data.header import image_size
from hilum.image.limits import gathered_warnings
from hilum.image.open import MAX_MEGAPIXELS, open_bytes
from hilum.image.raster import check_raster
from hilum.image.sniff import FileKind, sniff

WIDTH, HEIGHT = 16000, 12000


def webp(chunk: bytes, body: bytes) -> bytes:
    body += bytes(len(body) % 2)
    rest = b"WEBP" + chunk + struct.pack("<I", len(body)) + body
    return b"RIFF" + struct.pack("<I", len(rest)) + rest


def png(width: int, height: int) -> bytes:
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 16, 0, 0, 0, 0)
    end = b"\x00\x00\x00\x00IEND\xaeB`\x82"
    return b"\x89PNG\r\n\x1a\n\x00\x00\x00\r" + header + struct.pack(">I", zlib.crc32(header)) + end


def tiff(change: dict[int, int] | None = None, **options) -> bytes:
    """Write a small TIFF and overwrite tags of 2 or 4 bytes."""
    from tifffile import TiffFile

    stream = io.BytesIO()
    imwrite(stream, np.zeros((32, 32), np.uint8), **options)
    data = bytearray(stream.getvalue())
    with TiffFile(io.BytesIO(data)) as found:
        for tag, value in (change or {}).items():
            entry = found.pages[0].tags[tag]
            form = found.byteorder + ("H" if entry.dtype == 3 else "I")
            struct.pack_into(form, data, entry.valueoffset, value)
    return bytes(data)


def jpeg(process: int, width: int, height: int) -> bytes:
    frame = struct.pack(">HBHHB", 11, 8, height, width, 1) + b"\x01\x11\x00"
    scan = b"\xff\xda\x00\x08\x01\x01\x00\x00\x3f\x00"
    return b"\xff\xd8\xff" + bytes([process]) + frame + scan + bytes(9) + b"\xff\xd9"


def bmp(width: int, height: int) -> bytes:
    info = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 24, 0, 0, 0, 0, 0, 0)
    return b"BM" + struct.pack("<IHHI", 99, 0, 0, 54) + info + bytes(45)


CANVAS = b"".join(struct.pack("<I", side - 1)[:3] for side in (WIDTH, HEIGHT))
SIZES = {256: 60000, 257: 60000}
BOMBS = {
    "WEBP of 34 bytes": webp(b"VP8X", bytes(4) + CANVAS)[:34],
    "WEBP lossless": webp(b"VP8L", b"\x2f" + struct.pack("<I", 0x0FFFFFFF) + bytes(20)),
    "WEBP lossy": webp(b"VP8 ", b"\x30\x01\x00\x9d\x01\x2a" + b"\xff\x3f\xff\x3f" + bytes(20)),
    "PNG": png(WIDTH, HEIGHT),
    "PNG of 2^31": png(2**31 - 1, 2**31 - 1),
    "JPEG": jpeg(0xC0, 65500, 65500),
    "JPEG progressive": jpeg(0xC2, 65500, 65500),
    "JPEG lossless": jpeg(0xC3, 65500, 65500),
    "BMP": bmp(WIDTH, HEIGHT),
    "BMP from the top": bmp(WIDTH, -HEIGHT),
    "BMP of 2^31": bmp(2**31 - 1, -(2**31)),
    "TIFF in strips": tiff(SIZES, rowsperstrip=8),
    "TIFF big-endian": tiff(SIZES, byteorder=">"),
    "TIFF deflate": tiff(SIZES, compression="zlib"),
    "TIFF in tiles": tiff(SIZES, tile=(16, 16)),
    "TIFF whose tiles are too large": tiff({322: 65520, 323: 65520}, tile=(16, 16)),
    "BigTIFF": tiff(SIZES, bigtiff=True),
}  # fmt: skip


@pytest.mark.parametrize("name", BOMBS)
def test_bombs_are_refused_before_anything_is_allocated(name):
    tracemalloc.start()
    with pytest.raises(UnsupportedImageError, match="megapixels; the limit is 100"):
        open_bytes(BOMBS[name], "bomb")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 5e6


@pytest.mark.parametrize("name", [name for name in BOMBS if "tiles are" not in name])
def test_every_other_way_to_ask_for_the_size_refuses_too(name, tmp_path):
    data = BOMBS[name]
    with pytest.raises(UnsupportedImageError, match="the limit is 100"):
        check_raster(data, sniff(data), "bomb", MAX_MEGAPIXELS)
    path = tmp_path / "bomb.png"
    path.write_bytes(data)
    with pytest.raises(CohortError, match="the limit is 100"):
        image_size(path)


@pytest.mark.parametrize("rows", [60000, 65535])
def test_dicom_rows_and_columns(make_dicom, rows):
    path = make_dicom(Rows=rows, Columns=rows)
    with pytest.raises(UnsupportedImageError, match="the limit is 100"):
        open_bytes(path.read_bytes(), "bomb")


@pytest.mark.parametrize("wrapped", [False, True])
@pytest.mark.parametrize("change", ["size", "channels"])
def test_dicom_frame_that_is_larger_than_its_header_says(make_dicom, film, wrapped, change):
    """A JPEG 2000 stream may ask for more than Rows x Columns, in its box file (JP2) too."""
    import imagecodecs
    from pydicom.encaps import encapsulate
    from pydicom.uid import JPEG2000Lossless

    stored = np.rint(film * 4095).astype(np.uint16)
    form = "jp2" if wrapped else "j2k"
    frame = bytearray(imagecodecs.jpeg2k_encode(stored, codecformat=form, reversible=True, level=0))
    at = frame.find(b"\xff\x4f\xff\x51")
    if change == "size":
        struct.pack_into(">II", frame, at + 8, 60000, 60000)
    else:
        struct.pack_into(">H", frame, at + 40, 16384)

    def edit(dataset):
        dataset.file_meta.TransferSyntaxUID = JPEG2000Lossless
        dataset.PixelData = encapsulate([bytes(frame)])
        dataset["PixelData"].is_undefined_length = True

    data = make_dicom(edit=edit).read_bytes()
    with pytest.raises(ImageError) as caught:
        open_bytes(data, "bomb")
    assert ("60000" if change == "size" else "16384 channels") in str(caught.value)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF", "BMP", "WEBP"])
def test_the_caller_decides_not_pillow(kind, monkeypatch):
    """Pillow refuses beyond twice its own limit, whatever the caller allows."""
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    stream = io.BytesIO()
    Image.new("L", (100, 80), 77).save(stream, kind)
    assert open_bytes(stream.getvalue(), "film").shape == (80, 100)
    assert Image.MAX_IMAGE_PIXELS == 1000
    with pytest.raises(UnsupportedImageError, match=r"the limit is 0\.007"):
        open_bytes(stream.getvalue(), "film", max_megapixels=0.007)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF", "BMP", "WEBP"])
def test_size_without_pixels(tmp_path, kind):
    path = tmp_path / "film"
    Image.new("L", (30, 20)).save(path, kind)
    assert image_size(path) == (30, 20)
    assert check_raster(path.read_bytes(), FileKind(kind), "film", 1) == (30, 20)


def test_what_parsers_log_is_gathered(capfd):
    import logging

    with gathered_warnings() as lines:
        logging.getLogger("tifffile").warning("odd\n  tag")
        logging.getLogger("pydicom").warning("odd tag")
    logging.getLogger("tifffile").warning("nobody asked")
    assert lines == ["odd tag"]
    assert capfd.readouterr().err == ""
