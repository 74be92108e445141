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
from pydicom.uid import ComputedRadiographyImageStorage, ExplicitVRLittleEndian

from hilum.image.open import open_radiograph
from hilum.serve.dicom import objects_of
from hilum.serve.reader import load_bundle
from hilum.serve.samples import ROOT

CASES = ("demo", "cr", "mirrored", "left", "upside-down", "oblong", "window", "names")


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
    }


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
