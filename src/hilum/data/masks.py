"""Masks that readers drew: the columns ``lung_mask`` and ``lesion_masks`` of a cases table."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from hilum.core.errors import CohortError
from hilum.image.opacities import KINDS

_ASPECT = 0.03
_MADE_BY_MODEL = ("lungVAE-masks",)


def read_mask(path: str, shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Read a mask as bool (H, W) = ``shape``; any grey level in the upper half is inside.

    Raises:
        CohortError: not a picture, or of another aspect ratio than the film.
    """
    stored = cv2.imread(path, cv2.IMREAD_GRAYSCALE)
    if stored is None:
        raise CohortError(f"{path}: not a picture", hint="download the mask again")
    height, width = shape
    if abs(stored.shape[1] / stored.shape[0] - width / height) > _ASPECT * width / height:
        raise CohortError(
            f"{path}: {stored.shape[1]} x {stored.shape[0]}; its film is {width} x {height}",
            hint="the mask belongs to another film, or is a crop",
        )
    resized = cv2.resize(stored, (width, height), interpolation=cv2.INTER_AREA)
    return np.asarray(resized > 127)


def read_kinds(text: str, shape: tuple[int, int]) -> list[NDArray[np.bool_]]:
    """Read the column ``lesion_masks``: one bool (H, W) = ``shape`` a kind, empty if not drawn.

    Raises:
        CohortError: as ``read_mask``.
    """
    paths = json.loads(text or "{}")
    empty = np.zeros(shape, bool)
    return [read_mask(paths[kind], shape) if kind in paths else empty for kind in KINDS]


def drawn_by_hand(case: Mapping[Any, Any]) -> bool:
    """True where a film has a lung mask, and a reader drew it: some folders hold a network's."""
    path = case.get("lung_mask") or ""
    return bool(path) and Path(path).parent.name not in _MADE_BY_MODEL
