"""DICOM tidying: attributes as every file should have them, whatever this one wrote.

Done once, before anything is judged or decoded: an attribute that is empty counts as absent, one
that is doubled or of another VR as the value that it means, and what a functional group says of
the one frame (PS3.3 C.7.6.16) stands where a plain data set has it. Each change that could be
wrong is said in a note.
"""

from __future__ import annotations

from pydicom.datadict import tag_for_keyword
from pydicom.dataset import Dataset
from pydicom.encaps import get_frame

from hilum.image.codestream import read_coding
from hilum.image.dicom_values import code_of, given, items_of, value_of

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
