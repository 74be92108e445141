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
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple
from uuid import UUID

import numpy as np
from pydicom.datadict import tag_for_keyword
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian

from hilum.core.errors import (
    ImageError,
    RejectedImageError,
    UnreadableImageError,
    UnsupportedImageError,
)
from hilum.core.labels import Code
from hilum.image.dicom_codec import decode_codes
from hilum.image.dicom_header import broken, parse
from hilum.image.dicom_values import code_of, text_of
from hilum.image.limits import gathered_warnings, one_line
from hilum.image.open import MAX_MEGAPIXELS
from hilum.serve.dicom.common import item, uid

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
of it is in PS3.15 table E.1-1."""
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
_OLDEST = 90
"""Years from which on an age may name a person (45 CFR 164.514 b 2 i C): all are this old."""
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
    key: bytes,
    *,
    accept_pixels: bool = False,
    keep_person: bool = False,
    max_megapixels: float = MAX_MEGAPIXELS,
) -> Deidentified:
    """Make a film that names nobody.

    The same key gives the same pseudonyms and UIDs, so that films of one patient, study and series
    stay together, whenever each is done. Who has the key can tell whether a film is of a patient
    whom they know; nobody can tell the patient from the film.

    Args:
        path: of a DICOM file.
        key: secret of the site, at least 16 bytes.
        accept_pixels: somebody has looked at the film, and nothing in the picture names the
            patient; else a film that does not say so itself is refused.
        keep_person: keep sex and age (Retain Patient Characteristics Option); from 90 years on the
            age is 90.
        max_megapixels: of the film.

    Raises:
        RejectedImageError: the picture names the patient, or may do so.
        ImageError: it is no CR or DX film of one grey frame, or cannot be opened.
    """
    if len(key) < _PSEUDONYM:
        raise ValueError(f"a key of {len(key)} bytes; expected at least {_PSEUDONYM}")
    with gathered_warnings():
        try:
            source, _ = parse(Path(path).read_bytes(), path, max_megapixels)
            _check(source, path, accept_pixels=accept_pixels)
            return _made(source, path, key, keep_person=keep_person)
        except ImageError:
            raise
        except OSError as error:
            raise UnreadableImageError(f"{path}: {error.strerror or error}") from None
        except Exception as error:  # pydicom raises anything at a broken header
            raise broken(path, one_line(error)) from None


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
        _cap_age(film)
    _set_pixels(film, source, name)
    film.SpecificCharacterSet = "ISO_IR 192"
    film.BurnedInAnnotation = "NO"
    film.PatientIdentityRemoved = "YES"
    film.DeidentificationMethod = f"Hilum {version('hilum')}, PS3.15 annex E"
    codes = (_BASIC, _CHARACTERISTICS) if keep_person else (_BASIC,)
    film.DeidentificationMethodCodeSequence = [item(each) for each in codes]
    film.LongitudinalTemporalInformationModified = "REMOVED"
    film.file_meta = _meta(film)
    buffer = io.BytesIO()
    film.save_as(buffer, enforce_file_format=True)
    return Deidentified(buffer.getvalue(), film.PatientID, str(film.SOPInstanceUID))


def pseudonymous_uid(key: bytes, old: str) -> str:
    """Return the UID that stands for another: 2.25 and a UUID of version 8 (PS3.5 B.2)."""
    digest = bytearray(hmac.digest(key, b"uid\0" + old.encode(), sha256)[:16])
    digest[6] = digest[6] & 0x0F | 0x80
    digest[8] = digest[8] & 0x3F | 0x80
    return f"2.25.{UUID(bytes=bytes(digest)).int}"


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
    """Copy what stays, of sequences and their items, too."""
    kept = Dataset()
    for keyword in keywords:
        tag = tag_for_keyword(keyword)
        if tag is None or tag not in source:
            continue
        element = source[tag]
        value = element.value
        if element.VR == "SQ":
            value = [_kept(each, keywords) for each in value or ()]
        kept.add(DataElement(tag, element.VR, value))
    return kept


def _cap_age(film: Dataset) -> None:
    age = str(film.get("PatientAge") or "")
    if age.endswith("Y") and age[:-1].isdecimal() and int(age[:-1]) > _OLDEST:
        film.PatientAge = f"{_OLDEST:03}Y"


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
