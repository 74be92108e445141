"""What is no film is refused with a type, a reason and a hint."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from hilum.core.errors import UnreadableImageError, UnsupportedImageError
from hilum.image.open import open_bytes, open_radiograph
from hilum.image.sniff import FileKind, sniff

REFUSED = {
    "empty": (b"", UnreadableImageError, "zero bytes"),
    "text": (b"patient,finding\n1,covid\n", UnsupportedImageError, "text"),
    "utf-8 text": (("Befund: unauffällig\n" * 50).encode(), UnsupportedImageError, "text"),
    "GIF": (b"GIF89a" + bytes(100), UnsupportedImageError, "a GIF"),
    "PDF": (b"%PDF-1.7\n%\xe2\xe3\xcf\xd3", UnsupportedImageError, "a PDF"),
    "gzip": (b"\x1f\x8b\x08" + bytes(50), UnsupportedImageError, "a gzip archive"),
    "unknown": (bytes([200, 1, 2, 3]) * 99, UnsupportedImageError, "unknown content"),
    "CMS": (
        bytes.fromhex("308201ff06092a864886f70d010703a0") + bytes(300),
        UnreadableImageError,
        "encrypted",
    ),
    "openssl": (b"Salted__" + os.urandom(64), UnreadableImageError, "encrypted"),
    "only magic": (b"\x89PNG\r\n\x1a\n", UnreadableImageError, "PNG"),
    "JPEG magic": (b"\xff\xd8\xff\xe0", UnreadableImageError, "JPEG"),
    "DICOM magic": (bytes(128) + b"DICM", UnreadableImageError, "DICOM"),
    "TIFF magic": (b"II*\x00", UnreadableImageError, "TIFF"),
    "WEBP magic": (b"RIFF\x10\x00\x00\x00WEBP", UnreadableImageError, "WEBP"),
    "BMP magic": (b"BM", UnreadableImageError, "BMP"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused_content(tmp_path, name):
    data, kind, words = REFUSED[name]
    path = tmp_path / "film.png"
    path.write_bytes(data)
    with pytest.raises(kind, match=words) as caught:
        open_radiograph(path)
    assert caught.value.message.startswith(str(path))
    assert caught.value.hint


def test_refused_places(tmp_path):
    with pytest.raises(UnsupportedImageError, match="a folder"):
        open_radiograph(tmp_path)
    with pytest.raises(UnreadableImageError, match="no such file"):
        open_radiograph(tmp_path / "missing.dcm")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UnsupportedImageError, match="not a regular file"):
        open_radiograph(tmp_path / "pipe")


def test_huge_file_is_not_read(tmp_path):
    path = tmp_path / "huge.dcm"
    with path.open("wb") as stream:
        stream.truncate(10**10)
    with pytest.raises(UnsupportedImageError, match="10000 MB; too large"):
        open_radiograph(path)


@pytest.mark.parametrize("seed", range(40))
def test_garbage_after_any_magic_is_a_typed_refusal(seed):
    import numpy as np

    from hilum.core.errors import ImageError

    noise = np.random.default_rng(seed).integers(0, 256, 400, np.uint8).tobytes()
    starts = [b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR", b"\xff\xd8\xff", b"II*\x00", b"BM"]
    starts += [b"RIFF\x90\x01\x00\x00WEBP", bytes(128) + b"DICM", b"\x08\x00\x05\x00CS"]
    for start in starts:
        with pytest.raises(ImageError):
            open_bytes(start + noise, "noise")


def test_dicom_whose_preamble_is_a_tiff_is_dicom():
    assert sniff(b"II*\x00" + bytes(124) + b"DICM") is FileKind.DICOM
    assert sniff(b"") is None


def test_pydicom_is_imported_only_for_dicom():
    code = (
        "import sys, hilum.image.open; print({'pydicom', 'imagecodecs', 'PIL'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_path_as_named(tmp_path, monkeypatch, film):
    from hilum.image.write import write_png

    monkeypatch.chdir(tmp_path)
    write_png(Path("film.png"), film)
    assert open_radiograph("film.png").path == "film.png"
