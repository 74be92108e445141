"""PNG: the chunks of the picture decide; damage in any other is a note."""

from __future__ import annotations

import io
import zlib

import imagecodecs
import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from hilum.core.errors import UnreadableImageError, UnsupportedImageError
from hilum.image.open import open_bytes


@pytest.fixture
def grey(film) -> np.ndarray:
    return np.rint(film * 255).astype(np.uint8)


def encode(image: Image.Image, **options) -> bytes:
    stream = io.BytesIO()
    image.save(stream, "PNG", **options)
    return stream.getvalue()


def chunk(kind: bytes, body: bytes, *, wrong: int = 0) -> bytes:
    checksum = zlib.crc32(kind + body) ^ wrong
    return len(body).to_bytes(4, "big") + kind + body + checksum.to_bytes(4, "big")


def with_chunk(data: bytes, extra: bytes) -> bytes:
    """Put a chunk behind the header chunk."""
    return data[:33] + extra + data[33:]


ANCILLARY = (
    b"tEXt",
    b"zTXt",
    b"iTXt",
    b"iCCP",
    b"gAMA",
    b"pHYs",
    b"tIME",
    b"sBIT",
    b"eXIf",
    b"prVt",
)


@pytest.mark.parametrize("kind", ANCILLARY)
@pytest.mark.parametrize("body", [b"", b"Comment\x00by hand", bytes(range(200))])
def test_damage_in_any_other_chunk_is_a_note(grey, kind, body):
    data = encode(Image.fromarray(grey))
    opened = open_bytes(with_chunk(data, chunk(kind, body, wrong=1)), "film")
    np.testing.assert_allclose(opened.pixels, grey / 255, atol=1e-6)
    assert [kind.decode() in note for note in opened.notes] == [True]
    sound = open_bytes(with_chunk(data, chunk(kind, body)), "film")
    np.testing.assert_array_equal(sound.pixels, opened.pixels)


@pytest.mark.parametrize("kind", [b"IHDR", b"IDAT", b"IEND"])
def test_wrong_checksum_of_the_picture_is_damage(grey, kind):
    data = bytearray(encode(Image.fromarray(grey)))
    start = data.find(kind)
    end = start + 4 + int.from_bytes(data[start - 4 : start], "big")
    data[end] ^= 1
    with pytest.raises(UnreadableImageError, match=r"checksum|IHDR"):
        open_bytes(bytes(data), "torn")


def test_a_text_that_inflates_without_end_is_not_inflated(grey):
    bomb = chunk(b"zTXt", b"Comment\x00\x00" + zlib.compress(bytes(1 << 26), 9))
    data = with_chunk(encode(Image.fromarray(grey)), bomb)
    np.testing.assert_allclose(open_bytes(data, "film").pixels, grey / 255, atol=1e-6)


def test_orientation_in_a_text_still_turns_the_film(grey):
    info = PngImagePlugin.PngInfo()
    xmp = '<x:xmpmeta><rdf:Description tiff:Orientation="3"/></x:xmpmeta>'
    info.add_itxt("XML:com.adobe.xmp", xmp)
    opened = open_bytes(encode(Image.fromarray(grey), pnginfo=info), "film")
    np.testing.assert_allclose(opened.pixels, grey[::-1, ::-1] / 255, atol=1e-6)


def test_no_animation(grey):
    first, second = Image.fromarray(grey), Image.fromarray(255 - grey)
    for default in (False, True):
        data = encode(first, save_all=True, append_images=[second, first], default_image=default)
        with pytest.raises(UnsupportedImageError, match="frames; expected one"):
            open_bytes(data, "film")
    still = encode(first, save_all=True, append_images=[])
    assert open_bytes(still, "film").shape == grey.shape


@pytest.mark.parametrize("level", [8, 16])
def test_transparent_grey_level_becomes_black(grey, level):
    stored = grey if level == 8 else grey.astype(np.uint16) * 257
    key = int(stored[75, 60])
    data = imagecodecs.png_encode(stored)
    opened = open_bytes(with_chunk(data, chunk(b"tRNS", key.to_bytes(2, "big"))), "film")
    expected = np.where(stored == key, 0, stored) / (2**level - 1)
    np.testing.assert_allclose(opened.pixels, expected, atol=1e-6)
    assert any("transparent" in note for note in opened.notes)


@pytest.mark.parametrize("channels", [2, 3, 4])
def test_colours_of_16_bits_keep_them(film, channels):
    deep = np.rint(film * 65535).astype(np.uint16)
    alpha = [np.full_like(deep, 65535)] * (channels % 2 == 0)
    data = imagecodecs.png_encode(np.stack([deep] * (channels - len(alpha)) + alpha, axis=2))
    opened = open_bytes(data, "film")
    np.testing.assert_array_equal(np.rint(opened.pixels * 65535), deep)
    with pytest.raises(UnreadableImageError):
        open_bytes(data[:-200], "film")


def test_interlaced(grey):
    """Adam7 by hand: seven passes, each a small picture (PNG specification 8.2)."""
    rows = []
    for top, left, down, right in ADAM7:
        part = grey[top::down, left::right]
        rows += [b"\x00" + row.tobytes() for row in part if part.size]
    height, width = grey.shape
    header = width.to_bytes(4, "big") + height.to_bytes(4, "big") + bytes([8, 0, 0, 0, 1])
    data = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header)
    data += chunk(b"IDAT", zlib.compress(b"".join(rows))) + chunk(b"IEND", b"")
    np.testing.assert_allclose(open_bytes(data, "film").pixels, grey / 255, atol=1e-6)


ADAM7 = (
    (0, 0, 8, 8),
    (0, 4, 8, 8),
    (4, 0, 8, 4),
    (0, 2, 4, 4),
    (2, 0, 4, 2),
    (0, 1, 2, 2),
    (1, 0, 2, 1),
)


def test_bytes_before_and_behind(grey):
    data = encode(Image.fromarray(grey))
    np.testing.assert_allclose(open_bytes(data + b"more", "film").pixels, grey / 255, atol=1e-6)
    with pytest.raises(UnsupportedImageError, match="3 bytes before a PNG"):
        open_bytes(b"\xef\xbb\xbf" + data, "film")
