"""DICOM header: from the bytes of a file to a data set that is one frame of pixels, in order.

Tidying is done once, before anything is judged or decoded: an attribute that is empty counts as
absent, one that is doubled or of another VR as the value that it means, and what a functional group
says of the one frame (PS3.3 C.7.6.16) stands where a plain data set has it. Each change that could
be wrong is said in a note.
"""

from __future__ import annotations

import io
import zlib

from pydicom import dcmread, uid
from pydicom.datadict import tag_for_keyword
from pydicom.dataset import Dataset
from pydicom.encaps import get_frame
from pydicom.filereader import data_element_generator
from pydicom.pixels.utils import get_expected_length

from hilum.core.errors import UnreadableImageError, UnsupportedImageError
from hilum.image.codestream import read_coding
from hilum.image.dicom_values import code_of, given, items_of, value_of
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
        UnreadableImageError, UnsupportedImageError: as ``load`` and ``order``.
    """
    dataset = load(data, name, max_megapixels)
    return dataset, order(dataset, name, max_megapixels)


def order(dataset: Dataset, name: str, max_megapixels: float) -> list[str]:
    """Put a data set in order, and judge it; return what to say of it.

    Raises:
        UnreadableImageError: broken, or something is missing.
        UnsupportedImageError: several frames, too large, or without pixels by its nature.
    """
    if "PixelData" not in dataset:
        raise _without_pixels(dataset, name)
    notes = tidy(dataset)
    _judge(dataset, name, max_megapixels)
    return notes


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


_FUNCTIONAL_GROUPS: dict[str, tuple[str, ...]] = {
    "FrameVOILUTSequence": ("WindowCenter", "WindowWidth", "VOILUTFunction", "VOILUTSequence"),
    "PixelValueTransformationSequence": ("RescaleSlope", "RescaleIntercept"),
    "PixelMeasuresSequence": ("PixelSpacing",),
    "FramePixelDataPropertiesSequence": ("ImagerPixelSpacing",),
    "PlaneOrientationSequence": ("ImageOrientationPatient",),
    "PatientOrientationInFrameSequence": ("PatientOrientation",),
}
"""PS3.3 C.7.6.16.2.10, C.7.6.16.2.9, C.7.6.16.2.1, C.8.19.6.4, C.7.6.16.2.4 and C.7.6.16.2.15:
sequence -> what it says."""

_SHARED, _PER_FRAME = "SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"
_COLOURS = ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT")


def tidy(dataset: Dataset) -> list[str]:
    """Put a data set in order, in place; return what to say of it."""
    notes = _lift(dataset)
    photometric = code_of(dataset, "PhotometricInterpretation") or ""
    _put(dataset, "PhotometricInterpretation", "CS", _one(photometric, notes))
    for keyword in ("Rows", "Columns", "BitsAllocated"):
        _whole(dataset, keyword, None, notes)
    colours = 3 if dataset.PhotometricInterpretation in _COLOURS else 1
    _whole(dataset, "SamplesPerPixel", colours, notes)
    _whole(dataset, "PixelRepresentation", 0, notes)
    if colours == 3:
        _whole(dataset, "PlanarConfiguration", 0, notes)
    _whole(dataset, "NumberOfFrames", 1, notes)
    dataset.NumberOfFrames = max(dataset.NumberOfFrames, 1)
    if not given(dataset, "BitsStored") and (bits := _stored_bits(dataset)):
        _put(dataset, "BitsStored", "US", bits)
        notes.append(f"BitsStored is missing: taken as {bits}")
    _whole(dataset, "BitsStored", None, notes)
    if bits := value_of(dataset, "BitsStored"):
        _whole(dataset, "HighBit", bits - 1, notes)
    return notes


def _lift(dataset: Dataset) -> list[str]:
    """Let what a functional group says of the frame take the place of what the data set says.

    The group of the frame itself counts before the one that all frames share.
    """
    notes = []
    for sequence, keywords in _FUNCTIONAL_GROUPS.items():
        item = _first_item(_first_item(dataset, _PER_FRAME), sequence)
        item = item or _first_item(_first_item(dataset, _SHARED), sequence)
        for keyword in keywords:
            if item is None or not _says(item, keyword):
                continue
            if _says(dataset, keyword) and not _equal(dataset, item, keyword):
                notes.append(f"{keyword} of the functional group taken; the data set has another")
            tag = tag_for_keyword(keyword)
            if tag is not None:
                dataset[tag] = item.get_item(tag)
    return notes


def _first_item(dataset: Dataset | None, keyword: str) -> Dataset | None:
    items = items_of(dataset, keyword) if dataset is not None else []
    return items[0] if items else None


def _says(dataset: Dataset, keyword: str) -> bool:
    return value_of(dataset, keyword) not in (None, "", [])


def _equal(one: Dataset, other: Dataset, keyword: str) -> bool:
    return bool(value_of(one, keyword) == value_of(other, keyword))


def _one(photometric: str, notes: list[str]) -> str:
    """Take the first of several photometric interpretations."""
    first, *others = photometric.split("\\")
    if others:
        notes.append(f"PhotometricInterpretation '{photometric}': taken as {first}")
    return first


def _whole(dataset: Dataset, keyword: str, default: int | None, notes: list[str]) -> None:
    """Make an attribute one whole number; ``default`` where it is absent or empty."""
    values = given(dataset, keyword)
    if not values:
        if default is not None:
            _put(dataset, keyword, "US", default)
        return
    found = [int(each.number) for each in values if each.number is not None]
    if len(set(found)) > 1 or len(found) < len(values):
        written = "\\".join(each.text for each in values)
        notes.append(f"{keyword} '{written}': expected one number")
    if found:
        _put(dataset, keyword, "IS" if keyword == "NumberOfFrames" else "US", found[0])


def _put(dataset: Dataset, keyword: str, vr: str, value: str | int) -> None:
    tag = tag_for_keyword(keyword)
    if tag is not None:
        dataset.add_new(tag, vr, value)


def _stored_bits(dataset: Dataset) -> int | None:
    """What BitsStored must be where the file does not say it: by HighBit, the frame, or all."""
    if (high := given(dataset, "HighBit")) and high[0].number is not None:
        return int(high[0].number) + 1
    if dataset.file_meta.TransferSyntaxUID.is_encapsulated:
        coding = read_coding(get_frame(dataset.PixelData, 0, number_of_frames=1))
        return coding.bits if coding else None
    bits: int | None = value_of(dataset, "BitsAllocated")
    return bits
