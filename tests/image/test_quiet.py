"""What a decoder has to say of a damaged film is its error or its note, never a line on stderr."""

from __future__ import annotations

import contextlib
import io

import numpy as np
import pytest
from PIL import Image
from tifffile import imwrite

from hilum.core.errors import ImageError
from hilum.image.open import open_bytes


def _pillow(kind: str, **options):
    def write(grey: np.ndarray) -> bytes:
        stream = io.BytesIO()
        Image.fromarray(grey).save(stream, kind, **options)
        return stream.getvalue()

    return write


def _tiff(**options):
    def write(grey: np.ndarray) -> bytes:
        stream = io.BytesIO()
        imwrite(stream, grey, **options)
        return stream.getvalue()

    return write


WRITERS = {
    "PNG": _pillow("PNG"),
    "JPEG": _pillow("JPEG"),
    "JPEG progressive": _pillow("JPEG", progressive=True),
    "WEBP": _pillow("WEBP"),
    "BMP": _pillow("BMP"),
    "TIFF": _tiff(),
    "TIFF LZW": _tiff(compression="lzw", predictor=True),
    "TIFF deflate tiles": _tiff(compression="zlib", tile=(64, 64)),
    "TIFF JPEG": _tiff(compression="jpeg"),
    "TIFF CCITT": _pillow("TIFF"),
}


@pytest.mark.parametrize("name", WRITERS)
def test_damage_is_a_refusal_or_a_film_and_silent(name, film, capfd):
    grey = np.rint(film * 255).astype(np.uint8)
    sound = WRITERS[name](grey)
    rng = np.random.default_rng(11)
    for _ in range(60):
        data = bytearray(sound)
        places = rng.integers(0, min(len(data), 600), 4)
        data[int(rng.integers(0, len(data)))] ^= int(rng.integers(1, 256))
        for place in places:
            data[place] = int(rng.integers(0, 256))
        with contextlib.suppress(ImageError):
            open_bytes(bytes(data), "damaged")
    assert capfd.readouterr() == ("", "")


def test_odd_tags_of_a_tiff_are_notes(film):
    """libtiff wrote "Unknown field with tag" to stderr; here a wrong type is a note."""
    stream = io.BytesIO()
    imwrite(stream, np.rint(film * 255).astype(np.uint8), software="x" * 40)
    data = bytearray(stream.getvalue())
    at = data.find((305).to_bytes(2, "little") + b"\x02\x00")
    data[at + 2 : at + 4] = b"\x63\x00"
    opened = open_bytes(bytes(data), "film")
    assert any(note.startswith("TIFF header: ") and "305" in note for note in opened.notes)
