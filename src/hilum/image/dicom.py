"""DICOM: one data set, opened as a film (PS3.3 C.7.6.3, C.11).

The header is parsed and judged first; pixels are decoded only when everything fits.
"""

from __future__ import annotations

import io
import zlib
from dataclasses import dataclass, replace

import cv2
import numpy as np
from pydicom import dcmread, uid
from pydicom.dataset import Dataset

from hilum.core.errors import ImageError, UnreadableImageError, UnsupportedImageError
from hilum.core.labels import View
from hilum.core.radiograph import Metadata, Pixels, Radiograph, Step
from hilum.image.dicom_codec import LOSSY, decode_codes, decode_colour, syntax_name
from hilum.image.dicom_grey import Full, Levels, full_depth, grey_levels
from hilum.image.dicom_metadata import numbers, read_metadata, spacing_mm
from hilum.image.grey import TINTED, scale, to_grey
from hilum.image.limits import LARGER, check_size, gathered_warnings

_FILM_CLASSES: dict[str, str] = {
    uid.ComputedRadiographyImageStorage: "CR",
    uid.DigitalXRayImageStorageForPresentation: "DX",
    uid.DigitalXRayImageStorageForProcessing: "DX",
    uid.SecondaryCaptureImageStorage: "SC",
}
_MONOCHROME = ("MONOCHROME1", "MONOCHROME2")
_DARK_SHARE = 0.25
_MAX_ASPECT = 10.0
_BYTES_PER_PIXEL = 16
_HEADER_BYTES = 64_000_000
_AGAIN = "copy or export the file again"


@dataclass(frozen=True)
class _Header:
    """All that is wanted of a data set before its pixels are decoded; ``levels`` if it is grey."""

    dataset: Dataset
    metadata: Metadata
    levels: Levels | None
    decode: Step
    format: str
    notes: tuple[str, ...]


def open_dicom(data: bytes, name: str, max_megapixels: float) -> Radiograph:
    """Open the bytes of a DICOM file. See ``hilum.image.open.open_radiograph``."""
    with gathered_warnings() as warned:
        header = _read_header(data, name, max_megapixels)
    header = replace(header, notes=(*header.notes, *(f"header: {line}" for line in warned)))
    if header.levels is None:
        radiograph = _colour_film(header, name)
    else:
        radiograph = _grey_film(header, header.levels, name)
    return _square_pixels(radiograph, header.dataset, max_megapixels)


def open_stored_dicom(
    data: bytes, name: str, max_megapixels: float
) -> tuple[Radiograph, Full] | None:
    """Open the bytes of a grey DICOM file with its whole depth; None for one in colour.

    The pixels of the radiograph are values 0 to ``Full.top``, not scaled, with the geometry of
    ``open_dicom``. See ``hilum.image.stored.open_stored``.
    """
    with gathered_warnings() as warned:
        header = _read_header(data, name, max_megapixels)
        full = full_depth(header.dataset, name) if header.levels is not None else None
    if full is None:
        return None
    notes = (*header.notes, *(f"header: {line}" for line in warned))
    codes = decode_codes(header.dataset, name)
    pixels = np.asarray(cv2.LUT(codes, full.values.astype(np.float32)[None]), np.float32)
    film = _film(replace(header, notes=notes), name, pixels, int(header.dataset.BitsStored), (), ())
    return _square_pixels(film, header.dataset, max_megapixels), full


def read_dicom_header(data: bytes, name: str, max_megapixels: float) -> tuple[str, Metadata]:
    """Return format and metadata of a DICOM file that could be a film, without decoding pixels.

    Raises:
        ImageError: as ``open_dicom``, as far as the header tells.
    """
    with gathered_warnings():
        header = _read_header(data, name, max_megapixels)
    return header.format, header.metadata


def _read_header(data: bytes, name: str, max_megapixels: float) -> _Header:
    """Parse and judge; a broken header can make pydicom raise anything."""
    try:
        dataset = _parse(data, name, max_megapixels)
        _judge(dataset, name, max_megapixels)
        metadata = read_metadata(dataset)
        grey = dataset.PhotometricInterpretation in _MONOCHROME and dataset.SamplesPerPixel == 1
        return _Header(
            dataset=dataset,
            metadata=metadata,
            levels=grey_levels(dataset, name) if grey else None,
            decode=_decode_step(dataset),
            format=_format(dataset),
            notes=tuple(_notes(dataset, metadata)),
        )
    except ImageError:
        raise
    except Exception as error:
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise _broken(name, reason) from None


def _parse(data: bytes, name: str, max_megapixels: float) -> Dataset:
    _check_deflated(data, name, max_megapixels)
    dataset = dcmread(io.BytesIO(data), force=data[128:132] != b"DICM")
    if "TransferSyntaxUID" not in dataset.file_meta:
        _guess_syntax(dataset)
    return dataset


def _check_deflated(data: bytes, name: str, max_megapixels: float) -> None:
    """Refuse a deflated data set that would inflate beyond any film; inflate no more than that."""
    if uid.DeflatedExplicitVRLittleEndian.encode() not in data[:1024]:
        return
    end_of_meta = 144 + int.from_bytes(data[140:144], "little")
    limit = int(max_megapixels * 1e6) * _BYTES_PER_PIXEL + _HEADER_BYTES
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    size, rest = 0, data[end_of_meta:]
    try:
        while rest and size <= limit:
            size += len(inflater.decompress(rest, 1 << 22))
            rest = inflater.unconsumed_tail
    except zlib.error as error:
        raise _broken(name, f"deflated data: {error}") from None
    if size > limit:
        raise UnsupportedImageError(
            f"{name}: inflates beyond {limit / 1e6:.0f} MB; too large for a film of "
            f"{max_megapixels:g} megapixels",
            hint=LARGER,
        )


def _guess_syntax(dataset: Dataset) -> None:
    """A file without file meta says its encoding only by how it reads."""
    implicit, little = dataset.original_encoding
    explicit = uid.ExplicitVRLittleEndian if little else uid.ExplicitVRBigEndian
    dataset.file_meta.TransferSyntaxUID = uid.ImplicitVRLittleEndian if implicit else explicit


def _judge(dataset: Dataset, name: str, max_megapixels: float) -> None:
    """Refuse what is not one frame of pixels of a bearable size."""
    if "PixelData" not in dataset:
        raise _without_pixels(dataset, name)
    frames = numbers(dataset, "NumberOfFrames")
    if frames and frames[0] > 1:
        raise UnsupportedImageError(
            f"{name}: {frames[0]:g} frames; expected one",
            hint="export the frontal film as a single-frame image",
        )
    needed = ("Rows", "Columns", "BitsAllocated", "BitsStored", "PhotometricInterpretation")
    for keyword in needed:
        if dataset.get(keyword) in (None, ""):
            raise _broken(name, f"{keyword} is missing")
    check_size(int(dataset.Columns), int(dataset.Rows), name, max_megapixels)
    if not dataset.PixelData:
        raise _broken(name, "PixelData is empty")
    if int(dataset.BitsAllocated) not in (1, 8, 16):
        raise UnsupportedImageError(
            f"{name}: BitsAllocated {dataset.BitsAllocated}; expected 8 or 16",
            hint="export the film with 8 or 16 bits per pixel",
        )
    if "SamplesPerPixel" not in dataset:
        dataset.SamplesPerPixel = 1
    if "PixelRepresentation" not in dataset:
        dataset.PixelRepresentation = 0


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
    if "Rows" in dataset or "Image Storage" in kind or len(dataset) == 0:
        return _broken(name, "the file ends before the end of its pixel data")
    return UnsupportedImageError(
        f"{name}: no pixel data ({kind or 'no SOP class'}); expected a radiograph",
        hint="name the image file itself, not a directory, report or presentation state",
    )


def _grey_film(header: _Header, levels: Levels, name: str) -> Radiograph:
    codes = decode_codes(header.dataset, name)
    table = levels.values.astype(np.float32)[None]
    pixels: Pixels = np.asarray(cv2.LUT(codes, table), np.float32)
    notes = (*levels.notes, *_dark(pixels, levels))
    bits = int(header.dataset.BitsStored)
    return _film(header, name, pixels, bits, tuple(levels.steps), notes)


def _colour_film(header: _Header, name: str) -> Radiograph:
    """Open RGB, YBR or palette colour that is grey in content."""
    rgb = decode_colour(header.dataset, name)
    grey, detail = to_grey(rgb, name)
    bits = 8 * rgb.dtype.itemsize
    steps = (
        Step("grey", f"{header.dataset.PhotometricInterpretation}: {detail}"),
        Step("scale", f"0 .. {2**bits - 1} to 0 .. 1"),
    )
    notes = ("tinted: perhaps a photograph of a film or of a screen",)
    tinted = detail.startswith(TINTED)
    return _film(header, name, scale(grey, bits), bits, steps, notes if tinted else ())


def _film(
    header: _Header,
    name: str,
    pixels: Pixels,
    bits: int,
    steps: tuple[Step, ...],
    notes: tuple[str, ...],
) -> Radiograph:
    return Radiograph(
        pixels=pixels,
        path=name,
        format=header.format,
        bits=bits,
        metadata=header.metadata,
        history=(header.decode, *steps),
        notes=(*header.notes, *notes),
    )


def _decode_step(dataset: Dataset) -> Step:
    signed = "signed" if dataset.PixelRepresentation else "unsigned"
    lossy = "lossy, " if dataset.file_meta.TransferSyntaxUID in LOSSY else ""
    return Step(
        "decode",
        f"{syntax_name(dataset)}, {lossy}{dataset.Columns} x {dataset.Rows}, "
        f"{dataset.BitsStored} of {dataset.BitsAllocated} bits, {signed}, "
        f"{dataset.PhotometricInterpretation}",
    )


def _format(dataset: Dataset) -> str:
    kind = _FILM_CLASSES.get(str(dataset.get("SOPClassUID") or ""))
    return f"DICOM {kind or dataset.get('Modality') or 'of unknown kind'}"


def _notes(dataset: Dataset, metadata: Metadata) -> list[str]:
    notes = []
    if (sop_class := str(dataset.get("SOPClassUID") or "")) not in _FILM_CLASSES:
        kind = uid.UID(sop_class).name or "no SOP class"
        notes.append(f"{kind}, not a projection radiograph by its class: opened as a film")
    if metadata.presentation_intent == "FOR PROCESSING":
        notes.append("FOR PROCESSING: raw detector values, not the picture that a reader sees")
    if metadata.burned_in_annotation:
        notes.append("burned-in annotation: the file says that text is part of the pixels")
    position = str(dataset.get("ViewPosition") or "").strip()
    if position and metadata.view is None:
        known = ", ".join(view.value for view in View)
        notes.append(f"ViewPosition '{position}' is none of {known}: view unknown")
    if dataset.get("LossyImageCompression") == "01":
        notes.append("lossy compressed at some time")
    return notes


def _dark(pixels: Pixels, levels: Levels) -> list[str]:
    """Say so when a film without window uses little of its range, and so looks black or grey."""
    if levels.windowed:
        return []
    used = float(pixels.max() - pixels.min())
    if used >= _DARK_SHARE:
        return []
    return [f"no window, and only {used:.0%} of the stored range is used: little contrast"]


def _square_pixels(radiograph: Radiograph, dataset: Dataset, max_megapixels: float) -> Radiograph:
    """Stretch the coarser axis where pixels are not square (spacing, or PixelAspectRatio)."""
    ratio = _aspect(dataset)
    if abs(ratio - 1) < 0.005:
        return radiograph
    if not 1 / _MAX_ASPECT <= ratio <= _MAX_ASPECT:
        note = f"pixel aspect {ratio:g} is beyond belief: left out"
        return replace(radiograph, notes=(*radiograph.notes, note))
    height, width = radiograph.shape
    taller = (round(height * ratio), width) if ratio > 1 else (height, round(width / ratio))
    check_size(taller[1], taller[0], radiograph.path, max_megapixels)
    stretched = cv2.resize(radiograph.pixels, taller[::-1], interpolation=cv2.INTER_LINEAR)
    spacing = radiograph.metadata.spacing_mm
    if spacing:
        finer = min(spacing)
        metadata = replace(radiograph.metadata, spacing_mm=(finer, finer))
        radiograph = replace(radiograph, metadata=metadata)
    detail = f"pixels {ratio:g} times as high as wide: {width} x {height} to "
    return radiograph.stepped(
        np.asarray(stretched, np.float32), "aspect", f"{detail}{taller[1]} x {taller[0]}"
    )


def _aspect(dataset: Dataset) -> float:
    """Height of a pixel over its width; PixelAspectRatio (0028,0034) only without a spacing."""
    spacing = spacing_mm(dataset)
    if spacing:
        return spacing[0] / spacing[1]
    ratio = numbers(dataset, "PixelAspectRatio")
    return ratio[0] / ratio[1] if len(ratio) == 2 and min(ratio) > 0 else 1.0


def _broken(name: str, reason: str) -> UnreadableImageError:
    return UnreadableImageError(f"{name}: broken or truncated DICOM: {reason}", hint=_AGAIN)
