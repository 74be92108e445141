"""PNG, JPEG, TIFF, WEBP and BMP: by content, upright, whole, grey."""

from __future__ import annotations

import io
import struct
import zlib

import cv2
import numpy as np
import pytest
from PIL import Image, TiffImagePlugin

from hilum.core.errors import ImageError, UnreadableImageError, UnsupportedImageError
from hilum.image.open import open_bytes, open_radiograph


@pytest.fixture
def grey(film) -> np.ndarray:
    return np.rint(film * 255).astype(np.uint8)


def encode(image: Image.Image, kind: str, **options) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def exif(orientation: int) -> Image.Exif:
    block = Image.Exif()
    block[274] = orientation
    return block


LOSSLESS = {
    "PNG": {},
    "TIFF": {},
    "TIFF deflate": {"compression": "tiff_adobe_deflate"},
    "TIFF LZW": {"compression": "tiff_lzw"},
    "BMP": {},
    "WEBP": {"lossless": True},
}


@pytest.mark.parametrize("kind", LOSSLESS)
def test_lossless_kinds_are_exact(grey, kind):
    opened = open_bytes(encode(Image.fromarray(grey), kind.split()[0], **LOSSLESS[kind]), "f.txt")
    np.testing.assert_allclose(opened.pixels, grey / 255, atol=1e-6)
    assert (opened.pixels.dtype, opened.bits) == (np.float32, 8)
    assert opened.format == kind.split()[0]


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_16_bits(film, kind):
    deep = np.rint(film * 65535).astype(np.uint16)
    opened = open_bytes(encode(Image.fromarray(deep), kind), "f")
    assert opened.bits == 16
    assert abs(opened.pixels - film).max() < 1e-5


@pytest.mark.parametrize("mode", ["1", "P", "LA", "RGB", "RGBA", "CMYK"])
def test_modes_with_grey_content(grey, mode):
    image = Image.fromarray(grey)
    if mode == "P":
        image = image.convert("RGB").quantize(64)
    elif mode != "L":
        image = image.convert("RGB").convert(mode) if mode == "CMYK" else image.convert(mode)
    expected = np.asarray(image.convert("RGB"))[..., 0] / 255
    opened = open_bytes(encode(image, "TIFF" if mode == "CMYK" else "PNG"), "f")
    assert abs(opened.pixels - expected).max() < 0.02
    assert opened.bits == (1 if mode == "1" else 8)


def test_cmyk_jpeg(grey):
    image = Image.fromarray(grey).convert("RGB").convert("CMYK")
    opened = open_bytes(encode(image, "JPEG", quality=95), "f")
    assert abs(opened.pixels - grey / 255).max() < 0.06


def test_gray_palette_is_exact(grey):
    image = Image.fromarray(grey)
    image.putpalette([v for v in range(256) for _ in range(3)])
    assert image.mode == "P"
    np.testing.assert_allclose(open_bytes(encode(image, "PNG"), "f").pixels, grey / 255, atol=1e-6)


def png_of(levels: np.ndarray, depth: int) -> bytes:
    """Write a grey PNG of 1, 2 or 4 bits by hand (PNG specification, 11.2)."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        crc = struct.pack(">I", zlib.crc32(kind + body))
        return struct.pack(">I", len(body)) + kind + body + crc

    height, width = levels.shape
    bits = ((levels[..., None] >> np.arange(depth - 1, -1, -1)) & 1).reshape(height, -1)
    rows = b"".join(b"\x00" + row.tobytes() for row in np.packbits(bits, axis=1))
    header = struct.pack(">IIBBBBB", width, height, depth, 0, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


@pytest.mark.parametrize("depth", [1, 2, 4])
def test_shallow_png(grey, depth):
    levels = (grey >> (8 - depth)).astype(np.uint8)
    opened = open_bytes(png_of(levels, depth), "f")
    assert opened.bits == depth
    np.testing.assert_allclose(opened.pixels, levels / (2**depth - 1), atol=1e-6)
    assert any("mask" in note for note in opened.notes) == (depth == 1)


def test_transparency_becomes_black(grey):
    alpha = np.full(grey.shape, 255, np.uint8)
    alpha[:, :40] = 0
    rgba = np.dstack([grey, grey, grey, alpha])
    opened = open_bytes(encode(Image.fromarray(rgba), "PNG"), "f")
    assert (opened.pixels[:, :40] == 0).all()
    np.testing.assert_allclose(opened.pixels[:, 40:], grey[:, 40:] / 255, atol=1e-6)
    assert any("transparent" in note for note in opened.notes)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_exif_orientation_as_pillow(grey, kind, orientation):
    from PIL import ImageOps

    options = {"lossless": True} if kind == "WEBP" else {}
    data = encode(Image.fromarray(grey), kind, exif=exif(orientation), **options)
    theirs = ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("L")
    opened = open_bytes(data, "f")
    assert opened.shape == theirs.size[::-1]
    assert abs(opened.pixels - np.asarray(theirs) / 255).max() < 0.02
    if kind != "TIFF":
        assert any(s.name == "orientation" for s in opened.history) == (orientation != 1)


@pytest.mark.parametrize("colour", [False, True])
@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"subsampling": 0}])
def test_jpeg_as_opencv(grey, colour, options):
    image = Image.fromarray(grey)
    data = encode(image.convert("RGB") if colour else image, "JPEG", quality=92, **options)
    theirs = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_GRAYSCALE)
    assert abs(open_bytes(data, "f").pixels - theirs / 255).max() <= 2 / 255


def test_white_is_zero_is_inverted_for_16_bits(film):
    deep = np.rint((1 - film) * 65535).astype(np.uint16)
    info = TiffImagePlugin.ImageFileDirectory_v2()
    info[262] = 0
    opened = open_bytes(encode(Image.fromarray(deep), "TIFF", tiffinfo=info), "f")
    assert abs(opened.pixels - film).max() < 1e-4
    assert "polarity" in [step.name for step in opened.history]


@pytest.mark.parametrize("share", [0.3, 0.5, 0.8, 0.95, 0.995])
@pytest.mark.parametrize("kind", ["JPEG", "JPEG progressive", "PNG", "TIFF", "WEBP", "BMP"])
def test_truncated_is_refused(grey, kind, share):
    options = {"progressive": True} if "progressive" in kind else {}
    data = encode(Image.fromarray(grey), kind.split()[0], **options)
    with pytest.raises(UnreadableImageError) as caught:
        open_bytes(data[: int(len(data) * share)], "torn")
    assert caught.value.hint


def test_jpeg_that_lost_its_middle_is_refused(grey):
    data = encode(Image.fromarray(grey), "JPEG", quality=95)
    half = len(data) // 2
    for torn in (data[:half] + b"\xff\xd9", data[:half] + data[half + 150 :]):
        with pytest.raises(UnreadableImageError):
            open_bytes(torn, "torn")
    assert open_bytes(data + bytes(64), "padded").shape == grey.shape


def test_flipped_bit_in_a_png_is_refused(grey):
    data = bytearray(encode(Image.fromarray(grey), "PNG"))
    data[len(data) // 2] ^= 0x10
    with pytest.raises(UnreadableImageError):
        open_bytes(bytes(data), "flipped")


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF", "WEBP", "BMP"])
def test_too_large_is_refused_before_decoding(kind):
    data = encode(Image.new("L", (400, 500)), kind)
    torn = data[: len(data) * 9 // 10] if kind in ("PNG", "JPEG") else data
    with pytest.raises(ImageError, match=r"limit|truncated"):
        open_bytes(torn, "bomb", max_megapixels=0.1)
    with pytest.raises(UnsupportedImageError, match=r"0\.2 megapixels; the limit is 0\.1"):
        open_bytes(data, "bomb", max_megapixels=0.1)
    assert open_bytes(data, "film", max_megapixels=0.2).shape == (500, 400)


def test_png_bomb(tmp_path):
    bomb = encode(Image.new("1", (20000, 20000)), "PNG")
    assert len(bomb) < 1e6
    with pytest.raises(UnsupportedImageError, match=r"400\.0 megapixels"):
        open_bytes(bomb, "bomb")


@pytest.mark.parametrize("kind", ["TIFF", "WEBP", "PNG"])
def test_several_frames_are_refused(grey, kind):
    first, second = Image.fromarray(grey), Image.fromarray(255 - grey)
    data = encode(first, kind, save_all=True, append_images=[second])
    with pytest.raises(UnsupportedImageError, match="2 frames; expected one"):
        open_bytes(data, "two")


def test_float_and_32_bit_are_refused(film):
    for image in (Image.fromarray(film.astype(np.float32)), Image.fromarray(film.astype(np.int32))):
        with pytest.raises(UnsupportedImageError, match="expected 8 or 16 bits"):
            open_bytes(encode(image, "TIFF"), "deep")


def test_history_tells_all(tmp_path, grey):
    path = tmp_path / "film.jpg"
    path.write_bytes(encode(Image.fromarray(grey).convert("RGBA"), "PNG", exif=exif(3)))
    opened = open_radiograph(path)
    names = [step.name for step in opened.history]
    assert names == ["decode", "alpha", "grey", "orientation", "scale"]
    assert opened.path == str(path)
    assert opened.format == "PNG"
