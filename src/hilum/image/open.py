"""Open: from any file to one grey film, or to a typed refusal that says what to do.

Content decides, never the extension. Every step between the stored values and the pixels is
written into ``Radiograph.history``.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from hilum.core.errors import UnreadableImageError, UnsupportedImageError
from hilum.core.radiograph import Metadata, Radiograph
from hilum.image import decoders
from hilum.image.limits import most_bytes
from hilum.image.sniff import SNIFFED_BYTES, FileKind, describe, encryption, sniff

R = TypeVar("R")

MAX_MEGAPIXELS = 100.0
"""Largest film that is decoded, in millions of pixels; the largest detectors give about 20."""


def open_radiograph(
    path: str | Path, *, max_megapixels: float = MAX_MEGAPIXELS, turned: bool = True
) -> Radiograph:
    """Open one film.

    Args:
        path: a PNG, JPEG, TIFF, WEBP, BMP or DICOM file, whatever it is called.
        max_megapixels: larger films are refused before they are decoded.
        turned: bring a DICOM film into the way in which it is displayed; False leaves it as it
            lies in its file.

    Returns:
        A radiograph: pixels float32 (H, W) in [0, 1], 0 = air, 1 = bone.

    Raises:
        UnreadableImageError: missing, empty, truncated, encrypted, or its codec fails; or the
            codec ended its process, or needed too much time or memory: see
            ``hilum.image.decoders``.
        UnsupportedImageError: not one grey frame of pixels: a text, several frames, a colour
            photograph, a film beyond ``max_megapixels``.
    """
    return in_decoder(open_here, path, max_megapixels, turned)


def in_decoder(call: Callable[..., R], path: str | Path, max_megapixels: float, *more: object) -> R:
    """Check a file, and return ``call(path, name, max_megapixels, *more)``, made in a decoder."""
    name = str(path)
    size = check_file(Path(path), max_megapixels)
    absolute = os.path.abspath(path)  # noqa: PTH100 - a decoder may run in another folder
    given = absolute, name, max_megapixels, *more
    return decoders.run(call, name, size, max_megapixels, *given)


def open_here(path: str, name: str, max_megapixels: float, turned: bool = True) -> Radiograph:
    """Open one film in this process; ``name`` stands for it in messages."""
    return open_bytes(read_file(path, name), name, max_megapixels=max_megapixels, turned=turned)


def open_bytes(
    data: bytes, name: str, *, max_megapixels: float = MAX_MEGAPIXELS, turned: bool = True
) -> Radiograph:
    """Open one film from memory, in this process; ``name`` stands for it in messages.

    See ``open_radiograph``.
    """
    kind = _kind(data, name)
    if kind is FileKind.DICOM:
        from hilum.image.dicom import open_dicom  # pydicom takes 0.2 s to import

        return open_dicom(data, name, max_megapixels, turned=turned)
    from hilum.image.raster import open_raster  # and Pillow's formats: the decoder's alone to know

    return open_raster(data, kind, name, max_megapixels)


def read_header(data: bytes, name: str, *, max_megapixels: float) -> tuple[str, Metadata]:
    """Judge a film in memory by its header, before any pixel is decoded.

    Returns:
        Its format ("PNG", "DICOM DX", ...) and what its header says.

    Raises:
        UnreadableImageError, UnsupportedImageError: as ``open_radiograph``.
    """
    return decoders.run(_read_header, name, len(data), max_megapixels, data, name, max_megapixels)


def _kind(data: bytes, name: str) -> FileKind:
    if not data:
        raise UnreadableImageError(f"{name}: zero bytes", hint="copy or export the file again")
    head = data[:SNIFFED_BYTES]
    kind = sniff(head)
    if kind is None:
        raise _not_a_film(head, name)
    return kind


def _read_header(data: bytes, name: str, max_megapixels: float) -> tuple[str, Metadata]:
    kind = _kind(data, name)
    if kind is FileKind.DICOM:
        from hilum.image.dicom import read_dicom_header

        return read_dicom_header(data, name, max_megapixels)
    from hilum.image.raster import check_raster

    check_raster(data, kind, name, max_megapixels)
    return kind.value, Metadata()


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


def check_file(path: Path, max_megapixels: float) -> int:
    """Return the size of a regular file in bytes, unless it is too large for a film.

    Raises:
        UnreadableImageError: it is missing, or out of reach.
        UnsupportedImageError: a folder, no regular file, or too large.
    """
    try:
        about = path.stat()
    except (OSError, ValueError) as error:  # a name with a null byte
        raise _out_of_reach(str(path), error) from None
    if stat.S_ISDIR(about.st_mode):
        raise _folder(path)
    if not stat.S_ISREG(about.st_mode):
        raise UnsupportedImageError(f"{path}: not a regular file", hint="name a file on disk")
    if about.st_size > most_bytes(max_megapixels):
        raise UnsupportedImageError(
            f"{path}: {about.st_size / 1e6:.0f} MB; too large for a film of {max_megapixels:g} "
            "megapixels",
            hint="export one film, or raise max_megapixels",
        )
    return about.st_size


def read_file(path: str, name: str) -> bytes:
    """Read a file whole; ``name`` stands for it in messages.

    Raises:
        UnreadableImageError: it is missing, or out of reach.
    """
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise _out_of_reach(name, error) from None


def read_dicom(path: str, name: str) -> bytes:
    """Read a file whole that is DICOM by its content.

    Raises:
        UnreadableImageError: it is missing, out of reach, or empty.
        UnsupportedImageError: no film, or a film that is no DICOM.
    """
    data = read_file(path, name)
    if (kind := _kind(data, name)) is not FileKind.DICOM:
        raise UnsupportedImageError(
            f"{name}: a film as {kind.value}; expected DICOM",
            hint="name its DICOM file",
        )
    return data


def _out_of_reach(name: str, error: OSError | ValueError) -> UnreadableImageError:
    reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
    return UnreadableImageError(
        f"{name}: {reason[0].lower()}{reason[1:]}", hint="check the path and the rights"
    )
