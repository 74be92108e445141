"""Write: a picture as PNG, whole or not at all."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from hilum.core.errors import UnsupportedImageError
from hilum.core.files import atomic_path


def write_png(path: Path, pixels: NDArray[Any], *, bits: Literal[8, 16] = 8) -> None:
    """Write a PNG.

    Args:
        path: where; replaced only when the file is complete. Its folder is made if need be.
        pixels: floating (H, W) in [0, 1], written as grey of ``bits`` bits (clipped, rounded),
            or uint8 (H, W, 3), written as RGB of 8 bits.
        bits: 8 or 16 bits for grey.

    Raises:
        UnsupportedImageError: another shape, another type, or NaN.
    """
    samples = _samples(path, np.asarray(pixels), bits)
    ordered = samples if samples.ndim == 2 else samples[..., ::-1]  # OpenCV has blue first
    with atomic_path(Path(path)) as temporary:
        _, encoded = cv2.imencode(".png", ordered, [cv2.IMWRITE_PNG_COMPRESSION, 1])
        temporary.write_bytes(encoded.tobytes())


def _samples(path: Path, pixels: NDArray[Any], bits: int) -> NDArray[np.integer[Any]]:
    if pixels.ndim == 3 and pixels.shape[2] == 3 and pixels.dtype == np.uint8:
        return np.ascontiguousarray(pixels)
    if pixels.ndim != 2 or not np.issubdtype(pixels.dtype, np.floating) or not pixels.size:
        raise UnsupportedImageError(
            f"{path}: cannot write {pixels.dtype} {pixels.shape} as PNG",
            hint="give floats (H, W) in [0, 1] or uint8 (H, W, 3)",
        )
    if not np.isfinite(pixels).all():
        raise UnsupportedImageError(
            f"{path}: cannot write NaN or infinite pixels as PNG", hint="fill them first"
        )
    scaled = np.rint(np.clip(pixels, 0, 1).astype(np.float64) * (2**bits - 1))
    return np.asarray(scaled, np.uint8 if bits == 8 else np.uint16)
