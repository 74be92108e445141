"""DICOM header: from the bytes of a file to a data set that is one frame of pixels, in order."""

from __future__ import annotations

import io
import zlib

from pydicom import dcmread, uid
from pydicom.dataset import Dataset
from pydicom.filereader import data_element_generator
from pydicom.pixels.utils import get_expected_length

from hilum.core.errors import UnreadableImageError, UnsupportedImageError
from hilum.image.dicom_tidy import tidy
from hilum.image.limits import LARGER, check_size, most_bytes

_AGAIN = "copy or export the file again"
_OTHER_PIXELS = ("FloatPixelData", "DoubleFloatPixelData", "PixelDataProviderURL")
"""Pixels of other kinds: PS3.3 C.7.6.24, C.7.6.25, and those that lie on a server, C.7.6.3.1.4."""
_NATIVE = (
    uid.ImplicitVRLittleEndian,
    uid.ExplicitVRLittleEndian,
    uid.ExplicitVRBigEndian,
    uid.DeflatedExplicitVRLittleEndian,
)
_NEEDED = ("Rows", "Columns", "BitsAllocated", "BitsStored", "PhotometricInterpretation")


def parse(data: bytes, name: str, max_megapixels: float) -> tuple[Dataset, list[str]]:
    """Parse a file, put it in order, and judge it; also what to say of it.

    Raises:
        UnreadableImageError: broken, or something is missing.
        UnsupportedImageError: several frames, too large, or without pixels by its nature.
    """
    dataset = load(data, name, max_megapixels)
    if "PixelData" not in dataset:
        raise _without_pixels(dataset, name)
    notes = tidy(dataset)
    _judge(dataset, name, max_megapixels)
    return dataset, notes


def load(data: bytes, name: str, max_megapixels: float) -> Dataset:
    """Parse a file as it is, film or not; a broken one can make pydicom raise anything.

    Raises:
        UnreadableImageError, UnsupportedImageError: what it inflates to is broken, or too large.
    """
    _check_deflated(data, name, max_megapixels)
    dataset = dcmread(io.BytesIO(data), force=data[128:132] != b"DICM")
    if not dataset.file_meta.get("TransferSyntaxUID"):
        _guess_syntax(dataset)
    return dataset


def _check_deflated(data: bytes, name: str, max_megapixels: float) -> None:
    """Refuse a deflated data set that would inflate beyond any film; inflate no more than that."""
    syntax, end_of_meta = _file_meta(data)
    if syntax != uid.DeflatedExplicitVRLittleEndian:
        return
    limit = most_bytes(max_megapixels)
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    size, rest = 0, data[end_of_meta:]
    try:
        while rest and size <= limit:
            size += len(inflater.decompress(rest, 1 << 22))
            rest = inflater.unconsumed_tail
    except zlib.error as error:
        raise broken(name, f"deflated data: {error}") from None
    if size > limit:
        raise UnsupportedImageError(
            f"{name}: inflates beyond {limit / 1e6:.0f} MB; too large for a film of "
            f"{max_megapixels:g} megapixels",
            hint=LARGER,
        )


def _file_meta(data: bytes) -> tuple[str, int]:
    """Return the transfer syntax that the file meta (PS3.10 7.1) names, and where it ends.

    Element by element: its group length may be wrong or missing, and an instance UID may begin
    like a transfer syntax.
    """
    stream = io.BytesIO(data)
    stream.seek(132 if data[128:132] == b"DICM" else 0)
    elements = data_element_generator(
        stream, False, True, stop_when=lambda tag, vr, length: tag >> 16 != 2
    )
    found = {int(element.tag): element.value for element in elements}
    return (found.get(0x00020010) or b"").decode("latin-1").strip(" \0"), stream.tell()


def _guess_syntax(dataset: Dataset) -> None:
    """A file without file meta says its encoding only by how it reads."""
    implicit, little = dataset.original_encoding
    explicit = uid.ExplicitVRLittleEndian if little else uid.ExplicitVRBigEndian
    dataset.file_meta.TransferSyntaxUID = uid.ImplicitVRLittleEndian if implicit else explicit


def _judge(dataset: Dataset, name: str, max_megapixels: float) -> None:
    """Refuse what is not one frame of pixels of a bearable size."""
    if dataset.NumberOfFrames > 1:
        raise UnsupportedImageError(
            f"{name}: {dataset.NumberOfFrames} frames; expected one",
            hint="export the frontal film as a single-frame image",
        )
    for keyword in _NEEDED:
        if dataset.get(keyword) in (None, ""):
            raise broken(name, f"{keyword} is missing")
    check_size(dataset.Columns, dataset.Rows, name, max_megapixels)
    if not dataset.PixelData:
        raise broken(name, "PixelData is empty")
    if dataset.BitsAllocated not in (1, 8, 16):
        raise UnsupportedImageError(
            f"{name}: BitsAllocated {dataset.BitsAllocated}; expected 8 or 16",
            hint="export the film with 8 or 16 bits per pixel",
        )
    if dataset.file_meta.TransferSyntaxUID in _NATIVE:
        expected, found = get_expected_length(dataset), len(dataset.PixelData)
        if found < expected:
            raise broken(name, f"{found} bytes of pixels; expected {expected}")


def _without_pixels(dataset: Dataset, name: str) -> UnreadableImageError | UnsupportedImageError:
    """Tell a torn film from a sound object that never had pixels.

    pydicom returns an empty data set for a file that ends inside its compressed pixels.
    """
    meta = dataset.file_meta.get("MediaStorageSOPClassUID") or ""
    kind = uid.UID(dataset.get("SOPClassUID") or meta).name
    if "EncryptedAttributesSequence" in dataset:
        return UnreadableImageError(
            f"{name}: encrypted attributes and no pixel data", hint="decrypt it first"
        )
    if found := next((keyword for keyword in _OTHER_PIXELS if keyword in dataset), None):
        return UnsupportedImageError(
            f"{name}: {found}; expected PixelData",
            hint="export the film with 8 or 16 bits per pixel",
        )
    if "Rows" in dataset or "Image Storage" in kind or len(dataset) == 0:
        return broken(name, "the file ends before the end of its pixel data")
    return UnsupportedImageError(
        f"{name}: no pixel data ({kind or 'no SOP class'}); expected a radiograph",
        hint="name the image file itself, not a directory, report or presentation state",
    )


def broken(name: str, reason: str) -> UnreadableImageError:
    """Say that a file is damaged, and where."""
    return UnreadableImageError(f"{name}: broken or truncated DICOM: {reason}", hint=_AGAIN)
