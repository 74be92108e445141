"""De-identification: a CR or DX film without its patient (PS3.15 annex E, Basic profile).

What a film needs to be shown and read is named in one list; everything else goes, whatever it is:
private attributes, overlays, comments, and attributes that are not invented yet. That removes more
than table E.1-1 asks for, and nothing that it does not name can slip through. The pixels are
decoded and written anew, because a compressed frame has comments of its own, and unused bits of a
pixel may hold an overlay.
"""

from __future__ import annotations

import hmac
import io
import re
from functools import cache
from hashlib import sha256
from importlib.metadata import version
from typing import Any, NamedTuple

import numpy as np
from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sr.codedict import codes
from pydicom.uid import UID, ExplicitVRLittleEndian
from pydicom.valuerep import format_number_as_ds

from hilum.core.errors import (
    ImageError,
    RejectedImageError,
    UnsupportedImageError,
)
from hilum.core.labels import Code
from hilum.image.dicom_codec import decode_codes
from hilum.image.dicom_header import broken, parse
from hilum.image.dicom_values import StatedValue, code_of, given, items_of, text_of
from hilum.image.limits import gathered_warnings, one_line
from hilum.image.open import MAX_MEGAPIXELS, read_dicom
from hilum.serve.dicom.common import item, uid, uid_of
from hilum.serve.dicom.source import may_be

MODALITIES = ("CR", "DX")
KEPT = frozenset(
    """
    SOPClassUID ImageType Modality PresentationIntentType Manufacturer ManufacturerModelName
    BodyPartExamined ViewPosition Laterality ImageLaterality PatientOrientation PatientPosition
    AnatomicRegionSequence AnatomicRegionModifierSequence ViewCodeSequence ViewModifierCodeSequence
    CodeValue CodingSchemeDesignator CodingSchemeVersion CodeMeaning
    SeriesNumber InstanceNumber AcquisitionNumber
    KVP ExposureTime ExposureTimeInuS XRayTubeCurrent XRayTubeCurrentInuA Exposure ExposureInuAs
    ExposureControlMode ExposureStatus ImageAndFluoroscopyAreaDoseProduct EntranceDose
    EntranceDoseInmGy DistanceSourceToDetector DistanceSourceToPatient DistanceSourceToEntrance
    EstimatedRadiographicMagnificationFactor FocalSpots Grid AnodeTargetMaterial FilterMaterial
    FilterThicknessMinimum FilterThicknessMaximum PositionerType PositionerPrimaryAngle
    PositionerSecondaryAngle RelativeXRayExposure Sensitivity ExposureIndex TargetExposureIndex
    DeviationIndex
    ImagerPixelSpacing PixelSpacing PixelSpacingCalibrationType PixelAspectRatio
    DetectorType DetectorConfiguration DetectorConditionsNominalFlag DetectorActiveShape
    DetectorActiveDimensions DetectorBinning DetectorElementPhysicalSize DetectorElementSpacing
    FieldOfViewShape FieldOfViewDimensions FieldOfViewOrigin FieldOfViewRotation
    FieldOfViewHorizontalFlip CollimatorShape CollimatorLeftVerticalEdge
    CollimatorRightVerticalEdge CollimatorUpperHorizontalEdge CollimatorLowerHorizontalEdge
    ShutterShape ShutterLeftVerticalEdge ShutterRightVerticalEdge ShutterUpperHorizontalEdge
    ShutterLowerHorizontalEdge ShutterPresentationValue
    SamplesPerPixel PhotometricInterpretation Rows Columns PixelRepresentation
    PixelPaddingValue PixelPaddingRangeLimit QualityControlImage CalibrationImage
    PixelIntensityRelationship PixelIntensityRelationshipSign
    WindowCenter WindowWidth VOILUTFunction RescaleIntercept RescaleSlope RescaleType
    ModalityLUTSequence ModalityLUTType VOILUTSequence LUTDescriptor LUTData PresentationLUTShape
    LossyImageCompression LossyImageCompressionRatio LossyImageCompressionMethod
    """.split()  # noqa: SIM905 - a list of 120 lines
)
"""What stays as it is: of PS3.3 A.2 and A.26 what says how the picture was taken and is shown. None
of it is in PS3.15 table E.1-1. Each has a value that it may have, or is left out."""
PERSON = ("PatientSex", "PatientAge")
"""What stays besides where age and sex are kept."""
_UIDS = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")
_EMPTY = (
    *("PatientBirthDate", "PatientSex", "StudyDate", "StudyTime", "AccessionNumber", "StudyID"),
    "ReferringPhysicianName",
)
"""Of type 2: a film must have them, and may leave them empty."""
_EMPTY_IF_THERE = ("AcquisitionContextSequence",)
_BASIC = Code("113100", "DCM", "Basic Application Confidentiality Profile")
_CHARACTERISTICS = Code("113108", "DCM", "Retain Patient Characteristics Option")
_CODE = re.compile("[A-Z0-9_ ]{1,16}")
"""Of a CS (PS3.5 6.2)."""
_DECIMAL = re.compile(r"[+-]?[0-9.]{1,14}")
"""A DS that stays as it is written."""
_MOST_WHOLE = 1 << 31
"""Beyond an IS (PS3.5 6.2)."""
_MOST_NUMBERS = 3
"""In binary, but of a table."""
_RESCALED = re.compile("OD|HU|US|MGML|Z_EFF|ED|EDW|HU_MOD|PCT")
"""Defined terms of PS3.3 C.11.1.1.2."""
_ALLOWED = {
    "RescaleType": _RESCALED,
    "ModalityLUTType": _RESCALED,
    "CodingSchemeVersion": re.compile("[0-9.]+"),
}
_SNOMED_RT = re.compile("[A-Z]-[0-9A-Z]{4,6}")
_CODES = {
    "SCT": re.compile("[0-9]{6,18}"),
    "SRT": _SNOMED_RT,
    "SNM3": _SNOMED_RT,
    "DCM": re.compile("[0-9]{6}"),
}
"""Coding scheme -> its codes. An item with another may say anything, and is left out."""
_OLDEST = 90
"""Years from which on an age may name a person (45 CFR 164.514 b 2 i C): all are this old."""
_METHOD = "Hilum "
"""What De-identification Method (0012,0063) begins with."""
_PSEUDONYM = 16


class Deidentified(NamedTuple):
    """A film without its patient.

    Attributes:
        file: it, as DICOM.
        patient: pseudonym: its PatientID and PatientName.
        sop_uid: its SOP Instance UID.
    """

    file: bytes
    patient: str
    sop_uid: str


def deidentify(
    path: str,
    name: str = "",
    max_megapixels: float = MAX_MEGAPIXELS,
    *,
    key: bytes,
    accept_pixels: bool = False,
    keep_person: bool = False,
) -> Deidentified:
    """Make a film that names nobody.

    The same key gives the same pseudonyms and UIDs, so that films of one patient, study and series
    stay together, whenever each is done. Who has the key can tell whether a film is of a patient
    whom they know; nobody can tell the patient from the film.

    Args:
        path: of a DICOM file.
        name: stands for it in messages; "": the path.
        max_megapixels: of the film.
        key: secret of the site, at least 16 bytes.
        accept_pixels: somebody has looked at the film, and nothing in the picture names the
            patient; else a film that does not say so itself is refused.
        keep_person: keep sex and age (Retain Patient Characteristics Option); from 90 years on the
            age is 90.

    Raises:
        RejectedImageError: the picture names the patient, or may do so; or it was done already.
        ImageError: it is no CR or DX film of one grey frame, or cannot be opened.
    """
    if len(key) < _PSEUDONYM:
        raise ValueError(f"a key of {len(key)} bytes; expected at least {_PSEUDONYM}")
    name = name or path
    with gathered_warnings():
        try:
            source, _ = parse(read_dicom(path, name), name, max_megapixels)
            _check(source, name, accept_pixels=accept_pixels)
            return _made(source, name, key, keep_person=keep_person)
        except ImageError:
            raise
        except Exception as error:  # pydicom raises anything at a broken header
            raise broken(name, one_line(error)) from None


def _made(source: Dataset, name: str, key: bytes, *, keep_person: bool) -> Deidentified:
    film = _kept(source, KEPT | frozenset(PERSON if keep_person else ()))
    for keyword in _UIDS:
        if (old := text_of(source, keyword)) is None:
            raise broken(name, f"{keyword} is missing")
        setattr(film, keyword, pseudonymous_uid(key, old))
    whose = text_of(source, "PatientID") or f"study {text_of(source, 'StudyInstanceUID')}"
    film.PatientID = film.PatientName = pseudonym(key, whose)
    for keyword in _EMPTY:
        if keyword not in film:
            setattr(film, keyword, "")
    for keyword in _EMPTY_IF_THERE:
        if keyword in source:
            setattr(film, keyword, [])
    if keep_person:
        age = str(film.get("PatientAge") or "")
        if age.endswith("Y") and int(age[:-1]) > _OLDEST:  # 999M are 83 years
            film.PatientAge = f"{_OLDEST:03}Y"
    _set_pixels(film, source, name)
    film.SpecificCharacterSet = "ISO_IR 192"
    film.BurnedInAnnotation = "NO"
    film.PatientIdentityRemoved = "YES"
    film.DeidentificationMethod = f"{_METHOD}{version('hilum')}, PS3.15 annex E"
    options = (_BASIC, _CHARACTERISTICS) if keep_person else (_BASIC,)
    film.DeidentificationMethodCodeSequence = [item(each) for each in options]
    film.LongitudinalTemporalInformationModified = "REMOVED"
    film.file_meta = _meta(film)
    buffer = io.BytesIO()
    film.save_as(buffer, enforce_file_format=True)
    return Deidentified(buffer.getvalue(), film.PatientID, str(film.SOPInstanceUID))


def pseudonymous_uid(key: bytes, old: str) -> str:
    """Return the UID that stands for another: 2.25 and a UUID of version 8 (PS3.5 B.2)."""
    return uid_of(hmac.digest(key, b"uid\0" + old.encode(), sha256))


def pseudonym(key: bytes, patient_id: str) -> str:
    """Return what stands for a patient: 16 letters and digits."""
    return (
        "P"
        + hmac.digest(key, b"patient\0" + patient_id.encode(), sha256)
        .hex()[: _PSEUDONYM - 1]
        .upper()
    )


def _check(source: Dataset, name: str, *, accept_pixels: bool) -> None:
    modality = code_of(source, "Modality")
    if modality not in MODALITIES:
        raise UnsupportedImageError(
            f"{name}: modality {modality}; expected {' or '.join(MODALITIES)}",
            hint="films alone are de-identified; reports and other objects hold free text",
        )
    if source.SamplesPerPixel != 1 or "MONOCHROME" not in source.PhotometricInterpretation:
        raise UnsupportedImageError(
            f"{name}: {source.PhotometricInterpretation}; expected a grey film"
        )
    if (text_of(source, "DeidentificationMethod") or "").startswith(_METHOD):
        raise RejectedImageError(
            f"{name}: was de-identified by Hilum: its patient would get a second pseudonym",
            hint="name the folder of the originals",
        )
    burned = code_of(source, "BurnedInAnnotation")
    if burned == "YES":
        raise RejectedImageError(
            f"{name}: Burned In Annotation is YES: the picture names its patient",
            hint="blacken that in another program, which then says NO",
        )
    if burned != "NO" and not accept_pixels:
        raise RejectedImageError(
            f"{name}: Burned In Annotation is not stated: the picture may name its patient",
            hint="look at the films; if none names anybody, add --accept-pixels",
        )


def _kept(source: Dataset, keywords: frozenset[str]) -> Dataset:
    """Copy what stays, of sequences and their items, too: by the VR of the dictionary.

    A file may state any VR, and write any text under it; a value that the attribute cannot have is
    left out.
    """
    kept = Dataset()
    for keyword in keywords & set(source.dir()):
        vr = dictionary_VR(keyword)
        if vr == "SQ":
            items = [_kept(each, keywords) for each in items_of(source, keyword)]
            value: Any = [each for each in items if "LUT" in keyword or _is_coded(each)]
        elif vr in ("DS", "IS"):
            value = [_number(each, vr) for each in given(source, keyword)]
        elif vr[:2] in ("US", "SS"):  # or either, or OW
            value, vr = source[keyword].value, source[keyword].VR
            if vr not in dictionary_VR(keyword).split(" or "):
                continue
            if keyword != "LUTData" and source[keyword].VM > _MOST_NUMBERS:
                continue
        else:
            value = [_text(keyword, each.text) for each in given(source, keyword)]
        if not isinstance(value, list) or None not in value:
            kept.add(DataElement(tag_for_keyword(keyword) or 0, vr, value))
    return kept


def _number(found: StatedValue, vr: str) -> str | None:
    """Return a number as a file may have it; None for what is none."""
    number = found.number
    if number is None:
        return None if found.text else ""
    if vr == "IS":
        return str(int(number)) if number.is_integer() and abs(number) < _MOST_WHOLE else None
    return found.text if _DECIMAL.fullmatch(found.text) else format_number_as_ds(number)


def _text(keyword: str, value: str) -> str | None:
    """Return a text; None where the attribute cannot have it."""
    if dictionary_VR(keyword) == "CS":
        value = value.upper()
    pattern = _ALLOWED.get(keyword) or (_CODE if dictionary_VR(keyword) == "CS" else None)
    stands = may_be(keyword, value) and (pattern is None or pattern.fullmatch(value))
    return value if stands or not value else None


def _is_coded(item: Dataset) -> bool:
    """Say whether an item has a code of a standard; where its meaning is other words, drop them."""
    code = _CODES.get(text_of(item, "CodingSchemeDesignator") or "")
    value = text_of(item, "CodeValue") or ""
    if code is None or not code.fullmatch(value):
        return False
    if not set(str(item.get("CodeMeaning", "-")).lower().split()) <= _words():
        item.CodeMeaning = value
    return True


@cache
def _words() -> frozenset[str]:
    """Return the words by which DICOM names regions of the body, views and sides."""
    groups = (codes.cid2, codes.cid4, codes.cid4010, codes.cid4011)
    meanings = [each.meaning.lower() for group in groups for each in group.concepts.values()]
    return frozenset({"chest"}.union(*(each.split() for each in meanings)))


def _set_pixels(film: Dataset, source: Dataset, name: str) -> None:
    """Write the values alone, without what lies in unused bits, and without compression."""
    codes, _ = decode_codes(source, name)
    bits, signed = int(source.BitsStored), bool(source.PixelRepresentation)
    values = (codes.astype(np.int32) >> int(source.HighBit) + 1 - bits) & ((1 << bits) - 1)
    if signed:
        values -= (values >> bits - 1) << bits
    written = values.astype(f"<{'i' if signed else 'u'}{codes.itemsize}")
    film.BitsAllocated, film.BitsStored, film.HighBit = 8 * codes.itemsize, bits, bits - 1
    pixels = written.tobytes()
    film.PixelData = pixels + b"\0" * (len(pixels) % 2)
    film["PixelData"].VR = "OW" if codes.itemsize > 1 else "OB"


def _meta(film: Dataset) -> FileMetaDataset:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = film.SOPClassUID
    meta.MediaStorageSOPInstanceUID = film.SOPInstanceUID
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.ImplementationClassUID = UID(uid("implementation", "Hilum deidentify"))
    meta.ImplementationVersionName = ("HILUM_" + version("hilum").replace(".", "_"))[:16]
    return meta
