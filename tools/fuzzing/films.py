"""Sound films: the samples of the package, and small ones in every format and syntax that opens."""

from __future__ import annotations

import io
from collections.abc import Iterator
from importlib import resources
from typing import Any

import imagecodecs
import numpy as np
from PIL import Image
from pydicom import uid
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from tifffile import imwrite

Film = tuple[str, bytes]
"""Name, and the bytes of a sound file."""

_SAMPLES = ("frontal.png", "lateral.png", "cropped.jpg", "frontal.dcm")
_SHAPE = (160, 140)


def samples() -> Iterator[Film]:
    """Yield the films that the package brings."""
    folder = resources.files("hilum.serve.samples")
    yield from ((name, (folder / name).read_bytes()) for name in _SAMPLES)


def small() -> Iterator[Film]:
    """Yield one small film in every format and transfer syntax, no patient's."""
    deep = _exposure()
    grey = (deep >> 4).astype(np.uint8)
    yield from _pictures(deep, grey)
    yield from _tiffs(deep, grey)
    yield from _dicoms(deep, grey)


def _exposure() -> np.ndarray[Any, Any]:
    """Draw two lungs, ribs and noise: uint16 (H, W), 12 bits."""
    y, x = np.mgrid[0 : 1 : _SHAPE[0] * 1j, 0 : 1 : _SHAPE[1] * 1j]
    lungs = np.exp(-(((abs(x - 0.5) - 0.22) / 0.13) ** 2 + ((y - 0.45) / 0.32) ** 2) * 2)
    noise = np.random.default_rng(7).normal(0, 0.01, x.shape)
    picture = 0.8 - 0.6 * lungs + 0.06 * np.sin(40 * y + 6 * abs(x - 0.5)) + noise
    return np.rint(np.clip(picture, 0, 1) * 4095).astype(np.uint16)


def _saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def _pictures(deep: Any, grey: Any) -> Iterator[Film]:
    plain = Image.fromarray(grey)
    colour = plain.convert("RGB")
    exif = Image.Exif()
    exif[274] = 6
    yield "png-8", _saved(plain, "PNG", exif=exif)
    yield "png-16", _saved(Image.fromarray(deep * 16), "PNG")
    yield "png-palette", _saved(colour.quantize(64), "PNG", transparency=3)
    yield "png-alpha", _saved(plain.convert("RGBA"), "PNG")
    yield "png-1", _saved(plain.convert("1"), "PNG")
    yield "jpeg-grey", _saved(plain, "JPEG", exif=exif)
    yield "jpeg-progressive", _saved(colour, "JPEG", progressive=True)
    yield "jpeg-colour", _saved(colour, "JPEG", restart_marker_blocks=4)
    yield "jpeg-cmyk", _saved(colour.convert("CMYK"), "JPEG")
    for bits, lossless in ((12, False), (12, True), (16, True)):
        coded = imagecodecs.jpeg8_encode(deep, bitspersample=bits, level=95, lossless=lossless)
        yield f"jpeg-{bits}{'-lossless' if lossless else ''}", coded
    yield "webp-lossy", _saved(plain, "WEBP", exif=exif)
    yield "webp-lossless", _saved(plain, "WEBP", lossless=True)
    yield "bmp-8", _saved(plain, "BMP")
    yield "bmp-24", _saved(colour, "BMP")


def _tiffs(deep: Any, grey: Any) -> Iterator[Film]:
    kinds: dict[str, tuple[Any, dict[str, Any]]] = {
        "strips": (grey, {"rowsperstrip": 16}),
        "big-endian-16": (deep, {"byteorder": ">", "photometric": "miniswhite"}),
        "bigtiff": (deep, {"bigtiff": True}),
        "lzw": (grey, {"compression": "lzw", "predictor": True}),
        "deflate-tiles": (deep, {"compression": "zlib", "tile": (64, 64)}),
        "packbits": (grey, {"compression": "packbits"}),
        "jpeg": (grey, {"compression": "jpeg"}),
        "zstd": (grey, {"compression": "zstd"}),
        "12-bit": (deep, {"bitspersample": 12}),
        "planes": (np.stack([grey] * 3), {"photometric": "rgb", "planarconfig": "separate"}),
    }
    for name, (samples_, options) in kinds.items():
        stream = io.BytesIO()
        imwrite(stream, samples_, **options)
        yield f"tiff-{name}", stream.getvalue()
    yield "tiff-group4", _saved(Image.fromarray(grey).convert("1"), "TIFF", compression="group4")


def _dicoms(deep: Any, grey: Any) -> Iterator[Film]:
    raw = deep.astype("<u2").tobytes()
    for syntax in (
        uid.ExplicitVRLittleEndian,
        uid.ImplicitVRLittleEndian,
        uid.DeflatedExplicitVRLittleEndian,
    ):
        yield _dicom(syntax, raw)
    yield _dicom(uid.ExplicitVRBigEndian, deep.astype(">u2").tobytes())
    planes = b"".join(imagecodecs.packbits_encode(row) for row in (deep >> 8).astype(np.uint8))
    low = b"".join(imagecodecs.packbits_encode(row) for row in (deep & 255).astype(np.uint8))
    planes += bytes(len(planes) % 2)
    header = np.array([2, 64, 64 + len(planes), *[0] * 13], "<u4").tobytes()
    yield _dicom(uid.RLELossless, header + planes + low)
    yield _dicom(uid.JPEGBaseline8Bit, imagecodecs.jpeg8_encode(grey, level=95), bits=8)
    extended = imagecodecs.jpeg8_encode(deep, bitspersample=12, level=98)
    yield _dicom(uid.JPEGExtended12Bit, extended)
    lossless = imagecodecs.jpeg8_encode(deep, bitspersample=12, lossless=True)
    yield _dicom(uid.JPEGLosslessSV1, lossless)
    yield _dicom(uid.JPEGLossless, lossless)
    yield _dicom(uid.JPEGLSLossless, imagecodecs.jpegls_encode(deep))
    yield _dicom(uid.JPEGLSNearLossless, imagecodecs.jpegls_encode(deep, level=3))
    for syntax, reversible in ((uid.JPEG2000Lossless, True), (uid.JPEG2000, False)):
        options = {"codecformat": "j2k", "bitspersample": 12, "reversible": reversible}
        yield _dicom(
            syntax, imagecodecs.jpeg2k_encode(deep, level=0 if reversible else 50, **options)
        )
    throughput = imagecodecs.htj2k_encode(deep, reversible=True)
    for syntax in (uid.HTJ2KLossless, uid.HTJ2KLosslessRPCL):
        yield _dicom(syntax, throughput, bits=16)
    yield _dicom(uid.HTJ2K, imagecodecs.htj2k_encode(deep, reversible=False), bits=16)


def _dicom(syntax: str, pixels: bytes, bits: int = 12) -> Film:
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = uid.UID(syntax)
    dataset.SOPClassUID = uid.DigitalXRayImageStorageForPresentation
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = "1.2.3.4.5"
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = "1.2.3.4", "1.2.3"
    dataset.Modality, dataset.PatientID, dataset.PatientAge = "DX", "P1", "050Y"
    dataset.ViewPosition, dataset.ImagerPixelSpacing = "PA", [0.14, 0.14]
    dataset.WindowCenter, dataset.WindowWidth = [2048, 1000], [4096, 2000]
    dataset.Rows, dataset.Columns = _SHAPE
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated = 8 if bits == 8 else 16
    dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = bits, bits - 1, 0
    compressed = uid.UID(syntax).is_compressed and syntax != uid.DeflatedExplicitVRLittleEndian
    dataset.PixelData = encapsulate([pixels]) if compressed else pixels
    dataset["PixelData"].VR = "OB" if bits == 8 or compressed else "OW"
    stream = io.BytesIO()
    dataset.save_as(stream, enforce_file_format=True)
    return f"dicom-{uid.UID(syntax).keyword}", stream.getvalue()
