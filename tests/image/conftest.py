"""One synthetic exposure, and ways to store it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, generate_uid

DX = "1.2.840.10008.5.1.4.1.1.1.1"

MakeDicom = Callable[..., Path]


@pytest.fixture(scope="session")
def film() -> np.ndarray:
    """float64 (150, 121) in [0, 1]: two dark lungs, ribs, a bright mediastinum, noise."""
    y, x = np.mgrid[0:1:150j, 0:1:121j]
    lungs = np.exp(-(((abs(x - 0.5) - 0.22) / 0.13) ** 2 + ((y - 0.45) / 0.32) ** 2) * 2)
    ribs = 0.06 * np.sin(40 * y + 6 * abs(x - 0.5))
    noise = cv2.GaussianBlur(np.random.default_rng(7).normal(0, 0.02, x.shape), (0, 0), 1)
    picture = 0.8 - 0.6 * lungs + ribs + noise + 0.2 * (x - 0.5)
    return (picture - picture.min()) / np.ptp(picture)


@pytest.fixture
def make_dicom(tmp_path: Path, film: np.ndarray) -> MakeDicom:
    """Write ``film`` (or given stored values) as DICOM with any attributes; return the path."""

    def make(
        name: str = "film.dcm",
        *,
        bits: int = 12,
        signed: bool = False,
        stored: np.ndarray | None = None,
        syntax: str = ExplicitVRLittleEndian,
        edit: Callable[[Dataset], Any] | None = None,
        **attributes: Any,
    ) -> Path:
        top = 2**bits - 1
        if stored is None:
            picture = 1 - film if attributes.get("PhotometricInterpretation") == M1 else film
            stored = np.rint(picture * top).astype(np.int64) - (2 ** (bits - 1) if signed else 0)
        dataset = _dataset(stored, bits, signed, syntax)
        for keyword, value in attributes.items():
            setattr(dataset, keyword, value)
        if edit:
            edit(dataset)
        path = tmp_path / name
        dataset.save_as(path, enforce_file_format=True)
        return path

    return make


M1 = "MONOCHROME1"


def _dataset(stored: np.ndarray, bits: int, signed: bool, syntax: str) -> Dataset:
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = DX
    dataset.SOPInstanceUID = generate_uid()
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = generate_uid(), generate_uid()
    dataset.Modality, dataset.PatientID, dataset.PatientName = "DX", "P1", "Test"
    dataset.Rows, dataset.Columns = stored.shape
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated = 8 if bits <= 8 else 16
    dataset.BitsStored, dataset.HighBit = bits, bits - 1
    dataset.PixelRepresentation = int(signed)
    order = ">" if syntax == ExplicitVRBigEndian else "<"
    kind = f"{order}{'i' if signed else 'u'}{dataset.BitsAllocated // 8}"
    data = stored.astype(kind).tobytes()
    dataset.PixelData = data + b"\x00" * (len(data) % 2)
    dataset["PixelData"].VR = "OB" if bits <= 8 else "OW"
    return dataset


@pytest.fixture(autouse=True)
def _decode_here(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Decode the films of this room in this process, where a warning is an error."""
    if not request.module.__name__.endswith("test_decoders"):
        monkeypatch.setattr("hilum.image.decoders.run", _run_here)


def _run_here(call: Callable[..., Any], _name: str, _size: int, _most: float, *given: Any) -> Any:
    return call(*given)
