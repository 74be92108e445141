"""DICOM bits: what a code holds beyond BitsStored (PS3.5 8.1.1), and what becomes of it.

A lossy codec overshoots: beside a white edge it gives values above the largest that is stored.
Cut to BitsStored they would turn black, so they are set to the nearest value. In a lossless frame
such bits are none of the value (an overlay, PS3.5 8.1.2, or dirt) and are left out.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import uid
from pydicom.dataset import Dataset

from hilum.image.codestream import Coding
from hilum.image.dicom_values import code_of
from hilum.image.grey import Samples

LOSSY = (
    uid.JPEGBaseline8Bit,
    uid.JPEGExtended12Bit,
    uid.JPEGLSNearLossless,
    uid.JPEG2000,
    uid.HTJ2K,
)


def within_bits(codes: Samples, dataset: Dataset, coding: Coding | None) -> tuple[Samples, str]:
    """Bring the codes of a lossy frame into BitsStored; see what other frames hold beyond it.

    Args:
        codes: uint8 or uint16 (H, W), as they lie in BitsAllocated bits.
        dataset: with BitsStored, HighBit and PixelRepresentation.
        coding: of the compressed frame; None for one that is not compressed.

    Returns:
        codes, same type and shape, and in words what was found; "" where nothing was.
    """
    bits = int(dataset.BitsStored)
    shift = int(dataset.HighBit) + 1 - bits
    signed = bool(dataset.PixelRepresentation)
    low, high = (-(1 << bits - 1), (1 << bits - 1) - 1) if signed else (0, (1 << bits) - 1)
    values = (codes.view(f"i{codes.itemsize}") if signed else codes) >> shift
    if values.min() >= low and values.max() <= high:
        return codes, ""
    lossy = _lossy(dataset, coding)
    if signed and (_zero_filled(values, high) or not lossy):
        negative = (values > high) & (values < 1 << bits)
        values = values.astype(np.int32) - (negative << bits)
    outside = int(np.count_nonzero((values < low) | (values > high)))
    if not outside:
        return codes, ""
    if not lossy:
        return codes, f"{outside} pixels hold more than the {bits} stored bits: the rest left out"
    clipped = np.clip(values.astype(np.int32), low, high) << shift
    return clipped.astype(codes.dtype), (
        f"{outside} pixels of a lossy film beyond the {bits} stored bits: set to the nearest value"
    )


def _zero_filled(values: NDArray[np.signedinteger[Any]], high: int) -> bool:
    """True if the unused bits of negative values are 0 and not copies of the sign.

    -1 is then the code 2^BitsStored - 1: farther from the largest value than a codec overshoots.
    """
    return bool(values.min() >= 0 and values.max() > high + high // 2)


def _lossy(dataset: Dataset, coding: Coding | None) -> bool:
    """Is the frame lossy, or was it before it was unpacked?"""
    coded = None if coding is None else coding.lossy
    if coded if coded is not None else dataset.file_meta.TransferSyntaxUID in LOSSY:
        return True
    once = code_of(dataset, "LossyImageCompression") == "01"
    return once and not _overlay_in_pixels(dataset)


def _overlay_in_pixels(dataset: Dataset) -> bool:
    """Does an Overlay Plane (60xx,eeee) lie in unused bits of the pixels (retired, PS3.5 8.1.2)?"""
    groups = range(0x6000, 0x6020, 2)
    return any((it, 0x0102) in dataset and (it, 0x3000) not in dataset for it in groups)
