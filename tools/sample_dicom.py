"""Write a virtual radiograph as a Digital X-Ray Image, For Presentation (DICOM PS3.3 A.26)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import (
    DigitalXRayImageStorageForPresentation,
    ExplicitVRLittleEndian,
    JPEGLSLossless,
    generate_uid,
)

BITS = 12
DAY = "20260101"  # the film has no real date; a fixed one keeps the file the same
WHITE = 2**BITS - 1


def write_dx(path: Path, film: NDArray[np.float32], pixel_mm: float, source_mm: float) -> None:
    """Write a frontal film as 12-bit MONOCHROME1, compressed without loss (JPEG-LS).

    Args:
        path: the file.
        film: float32 (rows, columns) in [0, 1], 1 = bone.
        pixel_mm: distance of pixel centers in the detector.
        source_mm: from source to detector.
    """
    dataset = Dataset()
    _identify(dataset)
    _describe(dataset, pixel_mm, source_mm)
    _picture(dataset, film)
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.compress(JPEGLSLossless, generate_instance_uid=False)
    dataset.save_as(path, enforce_file_format=True)


def _identify(dataset: Dataset) -> None:
    """Patient, study, series, equipment and SOP common modules; nobody real."""
    dataset.SpecificCharacterSet = "ISO_IR 192"
    dataset.SOPClassUID = DigitalXRayImageStorageForPresentation
    dataset.SOPInstanceUID = _uid("instance")
    dataset.StudyInstanceUID = _uid("study")
    dataset.SeriesInstanceUID = _uid("series")
    dataset.PatientName = "VIRTUAL^RADIOGRAPH"
    dataset.PatientID = "HILUM-SAMPLE-1"
    dataset.PatientBirthDate = ""
    dataset.PatientSex = "O"
    dataset.StudyDate = dataset.ContentDate = dataset.AcquisitionDate = DAY
    dataset.StudyTime = dataset.ContentTime = dataset.AcquisitionTime = "120000"
    dataset.StudyID = "1"
    dataset.SeriesNumber = dataset.InstanceNumber = 1
    dataset.AccessionNumber = dataset.ReferringPhysicianName = ""
    dataset.Manufacturer = "Hilum"
    dataset.ManufacturerModelName = "tools/render_samples.py"
    dataset.SeriesDescription = "Virtual radiograph rendered from CT LIDC-IDRI-0001 (CC BY 3.0)"
    dataset.Modality = "DX"
    dataset.PresentationIntentType = "FOR PRESENTATION"


def _describe(dataset: Dataset, pixel_mm: float, source_mm: float) -> None:
    """DX anatomy, positioning and detector modules."""
    dataset.BodyPartExamined = "CHEST"
    dataset.AnatomicRegionSequence = [_code("51185008", "Chest")]
    dataset.ImageLaterality = "U"
    dataset.ViewPosition = "PA"
    dataset.ViewCodeSequence = [_code("272479007", "postero-anterior")]
    dataset.ViewCodeSequence[0].ViewModifierCodeSequence = []
    dataset.PatientOrientation = ["L", "F"]
    dataset.PatientOrientationCodeSequence = [_code("10904000", "erect")]
    dataset.PositionerType = "NONE"
    dataset.KVP = "100"
    dataset.DistanceSourceToDetector = f"{source_mm:g}"
    dataset.DetectorType = "SCINTILLATOR"
    dataset.ImagerPixelSpacing = [f"{pixel_mm:g}"] * 2
    dataset.AcquisitionContextSequence = []


def _picture(dataset: Dataset, film: NDArray[np.float32]) -> None:
    """DX image module: large values are dark, and the look-up table shape says so."""
    dataset.ImageType = ["DERIVED", "PRIMARY", ""]
    dataset.DerivationDescription = "Projected from a computed tomography"
    dataset.Rows, dataset.Columns = film.shape
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = "MONOCHROME1"
    dataset.PresentationLUTShape = "INVERSE"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, BITS, BITS - 1
    dataset.PixelRepresentation = 0
    dataset.PixelIntensityRelationship = "LOG"
    dataset.PixelIntensityRelationshipSign = 1
    dataset.RescaleIntercept, dataset.RescaleSlope, dataset.RescaleType = "0", "1", "US"
    dataset.WindowCenter, dataset.WindowWidth = str(2 ** (BITS - 1)), str(2**BITS)
    dataset.LossyImageCompression = "00"
    dataset.BurnedInAnnotation = "NO"
    dataset.PixelData = (WHITE - np.round(WHITE * film)).astype("<u2").tobytes()


def _code(value: str, meaning: str) -> Dataset:
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = value, "SCT", meaning
    return code


def _uid(level: str) -> str:
    return generate_uid(entropy_srcs=["hilum virtual radiograph", level])
