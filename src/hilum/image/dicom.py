"""DICOM: one data set, opened as a film (PS3.3 C.7.6.3, C.11).

The header is parsed and judged first; pixels are decoded only when everything fits.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray
from pydicom import uid
from pydicom.dataset import Dataset

from hilum.core.errors import ImageError
from hilum.core.labels import View
from hilum.core.radiograph import Metadata, Pixels, Radiograph, Step
from hilum.image.automatic import automatic_note, automatic_window, through_window
from hilum.image.dicom_codec import LOSSY, decode_codes, decode_colour, syntax_name
from hilum.image.dicom_full import Full, full_depth
from hilum.image.dicom_grey import Levels, grey_levels
from hilum.image.dicom_header import broken, load, order
from hilum.image.dicom_metadata import age_of, read_metadata
from hilum.image.dicom_orientation import oriented
from hilum.image.dicom_spacing import spacing_of
from hilum.image.dicom_values import code_of, numbers, text_of
from hilum.image.grey import scale, tint_note, to_grey
from hilum.image.limits import check_size, gathered_warnings, one_line

FILM_CLASSES: dict[str, str] = {
    uid.ComputedRadiographyImageStorage: "CR",
    uid.DigitalXRayImageStorageForPresentation: "DX",
    uid.DigitalXRayImageStorageForProcessing: "DX",
    uid.SecondaryCaptureImageStorage: "SC",
}
_MONOCHROME = ("MONOCHROME1", "MONOCHROME2")
_DARK_SHARE = 0.25
_MAX_ASPECT = 10.0


@dataclass(frozen=True)
class _Header:
    """All that is wanted of a data set before its pixels are decoded; ``levels`` if it is grey."""

    dataset: Dataset
    metadata: Metadata
    levels: Levels | None
    decode: Step
    format: str
    notes: tuple[str, ...]


def open_dicom(data: bytes, name: str, max_megapixels: float, *, turned: bool = True) -> Radiograph:
    """Open the bytes of a DICOM file. See ``hilum.image.open.open_radiograph``.

    ``turned`` brings a frontal film into the way in which it is displayed.
    """
    with gathered_warnings() as warned:
        header = _read_header(data, name, max_megapixels)
        if header.levels is None:
            # Open RGB, YBR or palette colour that is grey in content
            rgb, said = decode_colour(header.dataset, name)
            grey, detail = to_grey(rgb, name)
            palette = header.dataset.PhotometricInterpretation == "PALETTE COLOR"
            bits = 8 * rgb.dtype.itemsize if palette else int(header.dataset.BitsStored)
            steps = (
                Step("grey", f"{header.dataset.PhotometricInterpretation}: {detail}"),
                Step("scale", f"0 .. {2**bits - 1} to 0 .. 1"),
            )
            notes = (*([said] if said else []), *tint_note(detail))
            film = _film(header, name, scale(grey, bits), bits, steps, notes)
            radiograph = through_window(film, 2**bits - 1)
        else:
            radiograph = _grey_film(header, header.levels, name)
        radiograph = _square_pixels(radiograph, header.dataset, max_megapixels)
        if turned:
            radiograph = oriented(radiograph, header.dataset)
    return _warned(radiograph, warned)


def open_stored_dicom(
    data: bytes, name: str, max_megapixels: float, *, turned: bool = True
) -> tuple[Radiograph, Full] | None:
    """Open the bytes of a grey DICOM file with its whole depth; None for one in colour.

    The pixels of the radiograph are values 0 to ``Full.top``, not scaled, with the geometry of
    ``open_dicom``. See ``hilum.image.stored.open_stored``.
    """
    with gathered_warnings() as warned:
        header = _read_header(data, name, max_megapixels)
        if header.levels is None:
            return None
        full = full_depth(header.dataset, header.levels, name)
        film, padding = _decoded(header, name, full.values.astype(np.float32))
        film = replace(film, notes=(*film.notes, *header.levels.notes))
        if not header.levels.windowed:
            low, high = full.windows[0] if full.windows else (0, full.top)
            pixels = (film.pixels - np.float32(low)) / np.float32(high - low)
            if window := automatic_window(pixels, full.top, padding):
                black, white = (low + each * (high - low) for each in window)
                full = replace(full, automatic=(black, white))
                film = replace(film, notes=(*film.notes, automatic_note(window)))
        film = _square_pixels(film, header.dataset, max_megapixels)
        if turned:
            film = oriented(film, header.dataset)
    return _warned(film, warned), full


def _warned(radiograph: Radiograph, warned: list[str]) -> Radiograph:
    """Add what the libraries warned of."""
    notes = (f"header: {line}" for line in warned)
    return replace(radiograph, notes=(*radiograph.notes, *notes))


def read_dicom_header(data: bytes, name: str, max_megapixels: float) -> tuple[str, Metadata]:
    """Return format and metadata of a DICOM file that could be a film, without decoding pixels.

    Raises:
        ImageError: as ``open_dicom``, as far as the header tells.
    """
    with gathered_warnings():
        header = _read_header(data, name, max_megapixels)
    return header.format, header.metadata


class Header(NamedTuple):
    """What the header of a DICOM file says, film or not.

    Attributes:
        modality, maker, model, class_uid, instance_uid, study_uid: as it says; None where it does
            not.
        film: its format and metadata, where it could be a film and its modality was asked for.
    """

    modality: str | None
    maker: str | None
    model: str | None
    class_uid: str | None
    instance_uid: str | None
    study_uid: str | None
    film: tuple[str, Metadata] | None


def read_dicom_file(
    path: str, name: str, modalities: tuple[str, ...], max_megapixels: float
) -> Header:
    """Say what a DICOM file is, without decoding pixels; only these modalities are films.

    Raises:
        ImageError: as ``read_dicom_header``; or it is no DICOM file at all.
    """
    data = Path(path).read_bytes()
    with gathered_warnings():
        try:
            dataset = load(data, name, max_megapixels)
            maker = text_of(dataset, "Manufacturer")
            model = text_of(dataset, "ManufacturerModelName")
            class_uid = text_of(dataset, "SOPClassUID")
            instance_uid = text_of(dataset, "SOPInstanceUID")
            study_uid = text_of(dataset, "StudyInstanceUID")
            modality = code_of(dataset, "Modality")
            film = None
            if modality in modalities:
                header = _judged(dataset, name, max_megapixels)
                film = header.format, header.metadata
        except ImageError:
            raise
        except Exception as error:
            raise broken(name, one_line(error)) from None
    return Header(modality, maker, model, class_uid, instance_uid, study_uid, film)


def _read_header(data: bytes, name: str, max_megapixels: float) -> _Header:
    """Parse and judge; a broken header can make pydicom raise anything."""
    try:
        return _judged(load(data, name, max_megapixels), name, max_megapixels)
    except ImageError:
        raise
    except Exception as error:
        raise broken(name, one_line(error)) from None


def _judged(dataset: Dataset, name: str, max_megapixels: float) -> _Header:
    notes = order(dataset, name, max_megapixels)
    metadata = read_metadata(dataset)
    grey = dataset.PhotometricInterpretation in _MONOCHROME and dataset.SamplesPerPixel == 1
    return _Header(
        dataset=dataset,
        metadata=metadata,
        levels=grey_levels(dataset, name) if grey else None,
        decode=_decode_step(dataset),
        format=_format(dataset),
        notes=(*notes, *_notes(dataset, metadata)),
    )


def _grey_film(header: _Header, levels: Levels, name: str) -> Radiograph:
    film, padding = _decoded(header, name, levels.values.astype(np.float32))
    history, notes = (*film.history, *levels.steps), (*film.notes, *levels.notes)
    film = replace(film, history=history, notes=notes)
    if levels.windowed:
        return film
    shown = through_window(film, levels.top, padding)
    return shown if shown is not film else replace(film, notes=(*notes, *_dark(film.pixels)))


def _decoded(
    header: _Header, name: str, table: Pixels
) -> tuple[Radiograph, NDArray[np.bool_] | None]:
    """Decode a grey frame and send its codes through ``table``, float32 (2^BitsAllocated,).

    Returns:
        the film, and which of its pixels are padding; None where none can be.
    """
    codes, beyond = decode_codes(header.dataset, name)
    pixels = np.asarray(cv2.LUT(codes, table[None]), np.float32)
    steps, notes = ((Step("bits", beyond),), (beyond,)) if beyond else ((), ())
    film = _film(header, name, pixels, header.dataset.BitsStored, steps, notes)
    padding = header.levels.padding if header.levels else np.zeros(1, bool)
    return film, padding[codes] if padding.any() else None


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
    kind = FILM_CLASSES.get(text_of(dataset, "SOPClassUID") or "")
    return f"DICOM {kind or code_of(dataset, 'Modality') or 'of unknown kind'}"


def _notes(dataset: Dataset, metadata: Metadata) -> list[str]:
    notes = list(spacing_of(dataset).notes)
    if (sop_class := text_of(dataset, "SOPClassUID") or "") not in FILM_CLASSES:
        kind = uid.UID(sop_class).name or "no SOP class"
        notes.append(f"{kind}, not a projection radiograph by its class: opened as a film")
    if metadata.presentation_intent == "FOR PROCESSING":
        notes.append("FOR PROCESSING: raw detector values, not the picture that a reader sees")
    if metadata.burned_in_annotation:
        notes.append("burned-in annotation: the file says that text is part of the pixels")
    position = text_of(dataset, "ViewPosition")
    if position and metadata.view is None:
        known = ", ".join(view.value for view in View)
        notes.append(f"ViewPosition '{position}' is none of {known}: view unknown")
    if code_of(dataset, "LossyImageCompression") == "01":
        notes.append("lossy compressed at some time")
    if doubt := age_of(dataset)[1]:
        notes.append(doubt)
    return notes


def _dark(pixels: Pixels) -> list[str]:
    """Say so when a film without window uses little of its range, and so looks black or grey."""
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
    spacing = spacing_of(dataset).mm
    if spacing:
        return spacing[0] / spacing[1]
    ratio = numbers(dataset, "PixelAspectRatio")
    return ratio[0] / ratio[1] if len(ratio) == 2 and min(ratio) > 0 else 1.0
