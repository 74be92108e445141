"""Evidence: what a reader leaves behind of a film, packed beside its reading and unpacked to show.

The server itself runs no network: heatmaps and masks come from these small arrays.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.typing import NDArray

from hilum.apps.store.queue import is_old
from hilum.bundle.manifest import Manifest
from hilum.core.labels import Label
from hilum.image.lungs import Lungs
from hilum.serve.gate import CORRECTIONS

if TYPE_CHECKING:
    from hilum.apps.store.tables import Read
    from hilum.serve.reader import Examined

Outline = list[list[int]]


@dataclass(frozen=True, eq=False)
class Evidence:
    """What was kept of a film.

    Attributes:
        maps: float32 (L, h, w), or None.
        lungs: of the film, or None.
    """

    maps: NDArray[np.float32] | None = None
    lungs: Lungs | None = None

    def heatmap(
        self, manifest: Manifest, label: str, shape: tuple[int, int]
    ) -> NDArray[np.float32]:
        """Return the evidence for a label at film shape or smaller: float32, NaN where not looked.

        Raises:
            KeyError: the bundle does not answer this label, or has no evidence.
        """
        labels = [output.label.value for output in manifest.labels]
        if self.maps is None or label not in labels:
            raise KeyError(label)
        evidence = self.maps[labels.index(Label(label))]
        return manifest.preprocess.to_film(evidence, shape, self.lungs)


def pack(examined: Examined) -> bytes | None:
    """Pack the evidence maps and the lung mask of a film."""
    arrays: dict[str, NDArray[np.generic]] = {}
    if examined.evidence is not None:
        arrays["maps"] = examined.evidence.astype(np.float32)
    if examined.lungs is not None:
        arrays["mask"] = np.packbits(examined.lungs.mask)
        arrays["side"] = np.array(examined.lungs.mask.shape[0])
    if not arrays:
        return None
    out = io.BytesIO()
    np.savez_compressed(out, **arrays)  # type: ignore[arg-type]
    return out.getvalue()


def unpack(packed: bytes | None) -> Evidence:
    """Unpack what ``pack`` made."""
    if packed is None:
        return Evidence()
    with np.load(io.BytesIO(packed), allow_pickle=False) as arrays:
        maps = arrays.get("maps")
        lungs = None
        if "mask" in arrays:
            side = int(arrays["side"])
            mask = np.unpackbits(arrays["mask"], count=side * side).reshape(side, side)
            lungs = Lungs(mask.astype(bool), np.zeros(0, np.float32))
    return Evidence(maps, lungs)


AS_FILED = "as-filed"
"""Kind of a film whose reading is older than the turning of films, and says nothing of sides."""


def kinds_of(read: Read | None) -> tuple[str, ...]:
    """Say how a film must be put right to be shown as it was read."""
    if read is None:
        return ()
    kinds = tuple(read.corrected)
    return (AS_FILED, *kinds) if is_old(read) else kinds


def corrections(history: tuple[str, ...]) -> tuple[str, ...]:
    """Name the kinds of ``CORRECTIONS`` that a reading's history tells of, in order."""
    done = {correction.done: kind for kind, correction in CORRECTIONS.items()}
    kinds = []
    for step in history:
        name, _, detail = step.partition(": ")
        if name == "corrected":
            kinds += [kind for words, kind in done.items() if detail.startswith(words)]
    return tuple(kinds)


def put_right(
    values: NDArray[np.uint16], top: int, kinds: tuple[str, ...] | list[str]
) -> NDArray[np.uint16]:
    """Put stored values right as the reader did, so that overlays sit on them."""
    for kind in kinds:
        if kind == "inverted":
            values = np.asarray(np.uint16(top) - values, np.uint16)
        else:
            values = np.asarray(CORRECTIONS[kind].put_right(values), np.uint16)  # type: ignore[arg-type]
    return np.ascontiguousarray(values)


def outlines(mask: NDArray[np.bool_]) -> list[Outline]:
    """Return the borders of a mask, bool (H, W), as polygons of (x, y), largest first."""
    found, _ = cv2.findContours(
        mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_TC89_KCOS
    )
    largest = sorted(found, key=cv2.contourArea, reverse=True)
    return [[[int(x), int(y)] for x, y in each.reshape(-1, 2)] for each in largest if len(each) > 2]


def fill(polygons: list[Outline], shape: tuple[int, int]) -> NDArray[np.uint8]:
    """Draw polygons as a mask: uint8 (H, W), 255 inside."""
    mask = np.zeros(shape, np.uint8)
    for polygon in polygons:
        cv2.fillPoly(mask, [np.asarray(polygon, np.int32)], 255)
    return mask
