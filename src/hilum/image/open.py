"""Open: from any file to one grey film, or to a typed refusal that says what to do.

Content decides, never the extension. Every step between the stored values and the pixels is
written into ``Radiograph.history``.
"""

from __future__ import annotations

from pathlib import Path

from hilum.core.errors import UnreadableImageError, UnsupportedImageError
from hilum.core.radiograph import Radiograph
from hilum.image.raster import open_raster
from hilum.image.sniff import SNIFFED_BYTES, Kind, describe, encryption, sniff

MAX_MEGAPIXELS = 100.0
"""Largest film that is decoded, in millions of pixels; the largest detectors give about 20."""

_BYTES_PER_PIXEL = 16
_HEADER_BYTES = 64_000_000


def open_radiograph(path: str | Path, *, max_megapixels: float = MAX_MEGAPIXELS) -> Radiograph:
    """Open one film.

    Args:
        path: a PNG, JPEG, TIFF, WEBP, BMP or DICOM file, whatever it is called.
        max_megapixels: larger films are refused before they are decoded.

    Returns:
        A radiograph: pixels float32 (H, W) in [0, 1], 0 = air, 1 = bone.

    Raises:
        UnreadableImageError: missing, empty, truncated, encrypted, or its codec fails.
        UnsupportedImageError: not one grey frame of pixels: a text, several frames, a colour
            photograph, a film beyond ``max_megapixels``.
    """
    name = str(path)
    return open_bytes(_read(Path(path), max_megapixels), name, max_megapixels=max_megapixels)


def open_bytes(data: bytes, name: str, *, max_megapixels: float = MAX_MEGAPIXELS) -> Radiograph:
    """Open one film from memory; ``name`` stands for it in messages. See ``open_radiograph``."""
    if not data:
        raise UnreadableImageError(f"{name}: zero bytes", hint="copy or export the file again")
    head = data[:SNIFFED_BYTES]
    kind = sniff(head)
    if kind is None:
        raise _not_a_film(head, name)
    if kind is Kind.DICOM:
        from hilum.image.dicom import open_dicom  # pydicom takes 0.2 s to import

        return open_dicom(data, name, max_megapixels)
    return open_raster(data, kind, name, max_megapixels)


def _not_a_film(head: bytes, name: str) -> UnreadableImageError | UnsupportedImageError:
    if found := encryption(head):
        return UnreadableImageError(f"{name}: {found}", hint="decrypt it first")
    found, hint = describe(head)
    return UnsupportedImageError(f"{name}: {found}; expected a film", hint=hint)


def _folder(path: Path) -> UnreadableImageError | UnsupportedImageError:
    """Say why a folder stands where a film is expected; folders that were passed over do."""
    if path.is_symlink():
        return UnsupportedImageError(
            f"{path}: a linked folder, which is not entered",
            hint=f"to read what is in it, name it: {path}",
        )
    try:
        next(path.iterdir(), None)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        return UnreadableImageError(
            f"{path}: a folder that cannot be listed: {reason}", hint="check the rights"
        )
    return UnsupportedImageError(
        f"{path}: a folder; expected a file", hint="name a film in it, e.g. one of its files"
    )


def _read(path: Path, max_megapixels: float) -> bytes:
    """Read a regular file whole, unless it is larger than any film within the limit."""
    if path.is_dir():
        raise _folder(path)
    if path.exists() and not path.is_file():
        raise UnsupportedImageError(f"{path}: not a regular file", hint="name a file on disk")
    try:
        size = path.stat().st_size
        if size > max_megapixels * 1e6 * _BYTES_PER_PIXEL + _HEADER_BYTES:
            raise UnsupportedImageError(
                f"{path}: {size / 1e6:.0f} MB; too large for a film of {max_megapixels:g} "
                "megapixels",
                hint="export one film, or raise max_megapixels",
            )
        return path.read_bytes()
    except OSError as error:
        reason = error.strerror or str(error)
        raise UnreadableImageError(
            f"{path}: {reason[0].lower()}{reason[1:]}", hint="check the path and the rights"
        ) from None
