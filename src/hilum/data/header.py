"""Header: what the head of a film says of it; no pixel is decoded, and content decides."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hilum.core.errors import CohortError, ImageError
from hilum.image.open import MAX_MEGAPIXELS
from hilum.image.raster import check_raster
from hilum.image.sniff import SNIFFED_BYTES, FileKind, sniff


def image_size(path: Path) -> tuple[int, int]:
    """Return (width, height) in pixels.

    Raises:
        CohortError: the header cannot be read.
    """
    if is_dicom(path):
        header = dicom_header(path, ["Rows", "Columns"])
        if not (header.get("Rows") and header.get("Columns")):
            raise CohortError(f"{path}: no Rows (0028,0010) or Columns (0028,0011)")
        return int(header.Columns), int(header.Rows)
    try:
        data = path.read_bytes()
        kind = sniff(data[:SNIFFED_BYTES])
        if kind is None:
            raise CohortError(f"{path}: size cannot be read: no picture")
        return check_raster(data, kind, str(path), MAX_MEGAPIXELS)
    except OSError as error:
        raise CohortError(f"{path}: size cannot be read: {error.strerror}") from None
    except ImageError as error:
        reason = error.message.removeprefix(f"{path}: ")
        raise CohortError(f"{path}: size cannot be read: {reason}", hint=error.hint) from None


def is_dicom(path: Path) -> bool:
    """Say whether a file is DICOM, whatever it is called."""
    return sniff(head_of(path)) is FileKind.DICOM


def dicom_header(path: Path, tags: list[str]) -> Any:
    """Return some attributes of a DICOM file as a pydicom data set; values are not validated.

    Raises:
        CohortError: it is none, or its header cannot be read.
    """
    import pydicom

    if not is_dicom(path):
        raise CohortError(f"{path}: no DICOM file", hint="open it to see what it is")
    try:
        # ages stand there as "62", which is no valid age string
        with pydicom.config.disable_value_validation():
            return pydicom.dcmread(path, stop_before_pixels=True, specific_tags=[*tags], force=True)
    except Exception as error:  # pydicom raises errors of many kinds on a damaged file
        raise CohortError(f"{path}: header cannot be read: {error}") from None


def head_of(path: Path) -> bytes:
    """Return the first bytes of a file, as ``sniff`` wants them; none where it cannot be read."""
    try:
        if path.is_file():  # a pipe would be waited for
            with path.open("rb") as stream:
                return stream.read(SNIFFED_BYTES)
    except OSError:
        pass  # who opens it as a film says what is wrong
    return b""
