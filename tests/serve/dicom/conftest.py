"""Films of several kinds, each read once, with the objects that are made of them."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import (
    ComputedRadiographyImageStorage,
    DigitalXRayImageStorageForProcessing,
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
)

from hilum.image.open import open_radiograph
from hilum.serve.dicom import objects_of
from hilum.serve.reader import load_bundle
from hilum.serve.samples import ROOT

CASES = (
    "demo",
    "cr",
    "mirrored",
    "left",
    "upside-down",
    "oblong",
    "window",
    "names",
    "inverted",
    "table",
    "coded",
    "bare",
)


@dataclass
class Case:
    """A film, its reading as JSON, and its objects by kind; ``why`` of those that lack."""

    path: Path
    reading: dict[str, Any]
    made: dict[str, Dataset]
    why: dict[str, str]
    folder: Path

    def file(self, kind: str) -> Path:
        path = self.folder / f"{self.path.stem}.{kind}.dcm"
        if not path.exists():
            self.made[kind].save_as(path, enforce_file_format=True)
        return path


def _plain(pixels: np.ndarray, **values: Any) -> Dataset:
    dataset = dcmread(ROOT / "frontal.dcm")
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.PhotometricInterpretation, dataset.PresentationLUTShape = "MONOCHROME2", "IDENTITY"
    dataset.Rows, dataset.Columns = pixels.shape
    dataset.PixelData = np.ascontiguousarray(np.rint(pixels * 4095)).astype("<u2").tobytes()
    for keyword, value in values.items():
        if value is None:
            delattr(dataset, keyword)
        else:
            setattr(dataset, keyword, value)
    return dataset


def _films() -> dict[str, Dataset]:
    pixels = open_radiograph(ROOT / "frontal-opacities.png").pixels
    bare = {"PatientOrientation": None, "ImagerPixelSpacing": None}
    cr = _plain(pixels, **bare, PresentationIntentType=None)
    cr.SOPClassUID = cr.file_meta.MediaStorageSOPClassUID = ComputedRadiographyImageStorage
    cr.Modality, cr.BodyPartExamined, cr.ViewPosition = "CR", "CHEST", "PA"
    kanji = "Yamada^Tarou=山田^太郎=やまだ^たろう"
    return {
        "demo": dcmread(ROOT / "frontal.dcm"),
        "cr": cr,
        "mirrored": _plain(pixels[:, ::-1], PatientOrientation=["R", "F"]),
        "left": _plain(np.rot90(pixels), PatientOrientation=None),
        "upside-down": _plain(pixels[::-1, ::-1], PatientOrientation=None),
        "oblong": _plain(pixels[::2], ImagerPixelSpacing=[0.4, 0.2]),
        "window": _plain(pixels / 2, WindowCenter=1024, WindowWidth=1500, RescaleSlope="1"),
        "names": _plain(pixels, SpecificCharacterSet=["", "ISO 2022 IR 87"], PatientName=kanji),
        "inverted": _inverted(pixels),
        "table": _table(pixels),
        "coded": _coded(pixels),
        "bare": _bare(pixels),
    }


def _inverted(pixels: np.ndarray) -> Dataset:
    """An 8-bit CR film of MONOCHROME1, whose spacing was calibrated in the patient."""
    film = _plain(pixels, PresentationIntentType=None, PresentationLUTShape=None)
    film.SOPClassUID = film.file_meta.MediaStorageSOPClassUID = ComputedRadiographyImageStorage
    film.Modality, film.PhotometricInterpretation = "CR", "MONOCHROME1"
    film.BitsAllocated = film.BitsStored = 8
    film.HighBit, film.WindowCenter, film.WindowWidth = 7, 128, 256
    film.PixelData = np.rint(255 * (1 - pixels)).astype(np.uint8).tobytes()
    film.PixelSpacing, film.PixelSpacingCalibrationType = [0.3, 0.3], "GEOMETRY"
    film.PixelSpacingCalibrationDescription = "by the distance of the source"
    return film


def _table(pixels: np.ndarray) -> Dataset:
    """A film of 16 signed bits with a VOI LUT, "for processing", of a magnified patient."""
    film = _plain(pixels, WindowCenter=None, WindowWidth=None)
    film.SOPClassUID = film.file_meta.MediaStorageSOPClassUID = DigitalXRayImageStorageForProcessing
    film.PresentationIntentType = "FOR PROCESSING"
    film.BitsStored, film.HighBit, film.PixelRepresentation = 16, 15, 1
    film.PixelData = np.rint(65535 * pixels - 32768).astype("<i2").tobytes()
    film.RescaleIntercept, film.EstimatedRadiographicMagnificationFactor = "32768", "1.25"
    table = Dataset()
    table.LUTDescriptor = [0, 0, 16]  # 65,536 entries
    table.LUTExplanation = "NORMAL"
    table.LUTData = np.arange(65536).astype("<u2").tobytes()
    film.VOILUTSequence = [table]
    return film


def _coded(pixels: np.ndarray) -> Dataset:
    """JPEG 2000 of what was lossy before, ordered in Cyrillic, of a patient with other numbers."""
    film = _plain(pixels, SpecificCharacterSet="ISO_IR 144", PatientName="Иванова^Анна^Петровна")
    film.PatientBirthDate, film.PatientAge = "19610412", "064Y"
    film.AccessionNumber, film.ReferringPhysicianName = "A-77", "Сидоров^Пётр"
    film.StudyDescription, film.InstitutionName = "Рентгенография", "Больница № 1"
    film.LossyImageCompression, film.LossyImageCompressionRatio = "01", 9.5
    film.LossyImageCompressionMethod = "ISO_10918_1"
    other, order, code = Dataset(), Dataset(), Dataset()
    other.PatientID, other.TypeOfPatientID = "OLD-3", "TEXT"
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = "P1", "99WARD", "Грудь"
    order.RequestedProcedureID, order.RequestedProcedureDescription = "R-5", "Грудь, стоя"
    order.RequestedProcedureCodeSequence = [code]
    film.OtherPatientIDsSequence, film.RequestAttributesSequence = [other], [order]
    film.compress(JPEG2000Lossless)
    return film


def _bare(pixels: np.ndarray) -> Dataset:
    """A film that says whose it is, and nothing else beyond what its pixels need."""
    film = _plain(pixels)
    uids = {"SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID"}
    kept = {"Modality", "PatientName", "PatientID", "StudyID", "StudyDate", "StudyTime"} | uids
    for element in list(film):
        if element.tag.group != 0x0028 and element.keyword not in kept | {"PixelData"}:
            del film[element.tag]
    return film


@pytest.fixture(scope="session")
def reader():
    return load_bundle()


@pytest.fixture(scope="session")
def cases(reader, tmp_path_factory) -> dict[str, Case]:
    folder = tmp_path_factory.mktemp("objects")
    paths = []
    for name, dataset in _films().items():
        paths.append(folder / f"{name}.dcm")
        dataset.save_as(paths[-1])
    found = {}
    for path, reading in zip(paths, reader.read_many(paths, details=True), strict=True):
        told = json.loads(reading.model_dump_json())
        assert told["status"] == "read", (path, told["reason"])
        made = list(objects_of(told, path))
        found[path.stem] = Case(
            path,
            told,
            {each.kind: each.dataset for each in made if each.dataset is not None},
            {each.kind: each.why for each in made if each.dataset is None},
            folder,
        )
    assert tuple(found) == CASES
    return found


@pytest.fixture
def tool():
    """Name a program of the validators, or skip the test; where CI is set it must be there."""

    def find(name: str, package: str) -> str:
        found = shutil.which(name)
        if found is None and not os.environ.get("CI"):
            pytest.skip(f"{name} is not installed (apt-get install {package})")
        assert found, f"{name} is not installed, and CI must have it"
        return found

    return find
