"""DICOM palettes: PALETTE COLOR to RGB through three tables (PS3.3 C.7.6.3.1.5 and C.7.6.3.1.6).

pydicom's ``apply_color_lut`` takes the depth of an entry from the length of the data, so that
8 bits in words of 16 come out black; it is asked for segmented tables only.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.pixels.processing import apply_color_lut

from hilum.image.dicom_lut import FEWER, Table
from hilum.image.grey import Samples

_KEYWORD = "PaletteColorLookupTable"


def apply_palette(stored: NDArray[Any], dataset: Dataset, name: str) -> tuple[Samples, str]:
    """Look stored values, integers (H, W), up in the palette of their data set.

    Returns:
        uint8 or uint16 (H, W, 3) over the whole range of its type; and in words what the
        tables hold other than they say, "" as a rule.

    Raises:
        UnreadableImageError: a table that is shorter than it says, or a descriptor that cannot be.
    """
    if f"Red{_KEYWORD}Data" not in dataset:
        return np.asarray(apply_color_lut(stored, dataset))[..., :3], ""
    span = (float(stored.min()), float(stored.max()))
    tables = [
        Table.read(dataset, f"{colour} palette", name, span, f"{colour}{_KEYWORD}")
        for colour in ("Red", "Green", "Blue")
    ]
    bits, note = max(table.bits for table in tables), tables[0].note
    own = int(max(table.entries.max() for table in tables)).bit_length()
    if own <= bits - FEWER and bits > 8:
        note = f"palette: entries of up to {own} bits; the file says {bits}"
        bits = max(own, 8)
    kind = np.uint8 if bits <= 8 else np.uint16
    factor = np.iinfo(kind).max / (2**bits - 1)
    colours = []
    for table in tables:
        place = np.clip(stored.astype(np.int32) - int(table.first), 0, table.entries.size - 1)
        colours.append(np.rint(table.entries * factor).astype(kind)[place])
    return np.stack(colours, axis=-1), note
