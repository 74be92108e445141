"""Damages: what discs, wires, careless software and hostile senders do to a file."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable

from numpy.random import Generator
from pydicom import dcmread, uid
from pydicom.dataset import Dataset

Damage = Callable[[Generator, bytes], bytes]

_HOSTILE = (0, 1, 2, 3, 7, 0x7F, 0x80, 0xFF, 0x100, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF)
_HEAD = 700
_WORDS = ("", "NaN", "1e400", "-1", "\\", "0\\0", "1,5", "x" * 300, "١٢", "2147483648", "999Y")
_MOST_BYTES = 8_000_000
"""A sound file of ours has less than 1 MB: no damage makes it grow without end."""


def flip(rng: Generator, data: bytes) -> bytes:
    """Change up to 8 bytes anywhere."""
    return _changed(rng, data, len(data), int(rng.integers(1, 9)))


def flip_head(rng: Generator, data: bytes) -> bytes:
    """Change up to 4 bytes of the header."""
    return _changed(rng, data, _HEAD, int(rng.integers(1, 5)))


def number(rng: Generator, data: bytes) -> bytes:
    """Put a hostile number of 2, 4 or 8 bytes into the header, in either byte order."""
    size = int(rng.choice([2, 2, 4, 4, 8]))
    value = int(rng.choice(_HOSTILE)) & (256**size - 1)
    at = int(rng.integers(0, min(len(data), _HEAD)))
    order = "little" if rng.random() < 0.5 else "big"
    return data[:at] + value.to_bytes(size, order) + data[at + size :]


def remove(rng: Generator, data: bytes) -> bytes:
    """Lose a block."""
    start, end = _block(rng, data)
    return data[:start] + data[end:]


def double(rng: Generator, data: bytes) -> bytes:
    """Have a block twice."""
    start, end = _block(rng, data)
    return data[:end] + data[start:]


def blank(rng: Generator, data: bytes) -> bytes:
    """Have zeros, or ones, for a block, as after a bad copy."""
    start, end = _block(rng, data)
    return data[:start] + bytes([int(rng.choice([0, 255]))]) * (end - start) + data[end:]


def shuffle(rng: Generator, data: bytes) -> bytes:
    """Exchange two neighboring blocks."""
    start, end = _block(rng, data)
    middle = int(rng.integers(start, end + 1))
    return data[:start] + data[middle:end] + data[start:middle] + data[end:]


def truncate(rng: Generator, data: bytes) -> bytes:
    """End early."""
    return data[: int(rng.integers(0, len(data)))]


def trail(rng: Generator, data: bytes) -> bytes:
    """Go on behind the end: noise, zeros, or the file once more."""
    kind = int(rng.integers(0, 3))
    return data + (rng.bytes(int(rng.integers(1, 5000))), bytes(4096), data)[kind]


def lead(rng: Generator, data: bytes) -> bytes:
    """Begin with something else."""
    return rng.bytes(int(rng.integers(1, 200))) + data


def attribute(rng: Generator, data: bytes) -> bytes:
    """Give DICOM attributes of the pixels absurd numbers."""

    def edit(dataset: Dataset) -> None:
        for _ in range(int(rng.integers(1, 4))):
            dataset[str(rng.choice(_NUMBERS))].value = int(rng.choice(_HOSTILE[:12]))

    return _edited(rng, data, edit)


def text(rng: Generator, data: bytes) -> bytes:
    """Give DICOM attributes absurd texts, in raw bytes that no writer would write."""

    def edit(dataset: Dataset) -> None:
        for _ in range(int(rng.integers(1, 4))):
            keyword, vr = _TEXTS[int(rng.integers(0, len(_TEXTS)))]
            value = str(rng.choice(_WORDS)).encode()
            dataset.add_new(keyword, "UN", value + bytes(len(value) % 2))
            dataset[keyword].VR = "LT" if vr else "UN"
            dataset[keyword].value = value.decode("latin-1") if vr else value

    return _edited(rng, data, edit)


def syntax(rng: Generator, data: bytes) -> bytes:
    """Say another transfer syntax than the pixels have."""

    def edit(dataset: Dataset) -> None:
        dataset.file_meta.TransferSyntaxUID = uid.UID(str(rng.choice(_SYNTAXES)))

    return _edited(rng, data, edit)


def nest(rng: Generator, data: bytes) -> bytes:
    """Put a sequence into a sequence, a hundred or a thousand times."""
    head = data.find(b"\x28\x00\x02\x00US")
    if data[128:132] != b"DICM" or head < 0:
        return number(rng, data)
    depth = int(rng.choice([10, 100, 1000, 20000]))
    item = b"\x40\x00\x30\xa7SQ\x00\x00\xff\xff\xff\xff\xfe\xff\x00\xe0\xff\xff\xff\xff"
    end = b"\xfe\xff\x0d\xe0\x00\x00\x00\x00\xfe\xff\xdd\xe0\x00\x00\x00\x00"
    whole = end * depth if rng.random() < 0.7 else b""
    return data[:head] + item * depth + whole + data[head:]


def frames(rng: Generator, data: bytes) -> bytes:
    """Cut the compressed frame of a DICOM file into fragments, and lose or exchange some."""
    table = data.find(b"\xfe\xff\x00\xe0")
    if table < 0:
        return shuffle(rng, data)
    start = table + 8 + int.from_bytes(data[table + 4 : table + 8], "little")
    size = int.from_bytes(data[start + 4 : start + 8], "little")
    frame, rest = data[start + 8 : start + 8 + size], data[start + 8 + size :]
    if not frame:
        return shuffle(rng, data)
    size = len(frame)
    step = max(2, size // int(rng.integers(2, 12)) // 2 * 2)
    parts = [frame[at : at + step] for at in range(0, size, step)]
    if rng.random() < 0.7:
        rng.shuffle(parts)  # type: ignore[arg-type]
    parts = parts[: int(rng.integers(1, len(parts) + 1))]
    items = (b"\xfe\xff\x00\xe0" + len(part).to_bytes(4, "little") + part for part in parts)
    return data[:table] + b"\xfe\xff\x00\xe0" + bytes(4) + b"".join(items) + rest


DAMAGES: tuple[Damage, ...] = (
    flip, flip, flip_head, flip_head, number, number, number, remove, double, blank, shuffle,
    truncate, trail, lead,
)  # fmt: skip
DICOM_DAMAGES: tuple[Damage, ...] = (
    *DAMAGES,
    attribute,
    attribute,
    text,
    text,
    syntax,
    nest,
    frames,
)

_NUMBERS = (
    "Rows", "Columns", "BitsAllocated", "BitsStored", "HighBit", "SamplesPerPixel",
    "PixelRepresentation",
)  # fmt: skip
_TEXTS = tuple(
    (keyword, as_text)
    for keyword in (
        "PhotometricInterpretation", "NumberOfFrames", "WindowCenter", "WindowWidth",
        "RescaleSlope", "RescaleIntercept", "PatientAge", "PatientBirthDate", "StudyDate",
        "ImagerPixelSpacing", "PixelSpacing", "PixelAspectRatio", "ViewPosition", "PatientID",
        "SpecificCharacterSet", "PresentationLUTShape", "VOILUTFunction", "PixelPaddingValue",
        "SOPClassUID", "EstimatedRadiographicMagnificationFactor", "PatientOrientation",
    )
    for as_text in (False, True)
)  # fmt: skip
_SYNTAXES = (
    uid.ExplicitVRLittleEndian, uid.ImplicitVRLittleEndian, uid.ExplicitVRBigEndian,
    uid.DeflatedExplicitVRLittleEndian, uid.RLELossless, uid.JPEGBaseline8Bit,
    uid.JPEGExtended12Bit, uid.JPEGLosslessSV1, uid.JPEGLSLossless, uid.JPEG2000Lossless,
    uid.JPEG2000, uid.HTJ2K, uid.MPEG2MPML, "1.2.3.4", "",
)  # fmt: skip


def damaged(rng: Generator, name: str, data: bytes) -> tuple[str, bytes]:
    """Damage a sound file in one to three ways; return what was done, in words, and the bytes."""
    ways = DICOM_DAMAGES if name.startswith("dicom") or name.endswith(".dcm") else DAMAGES
    chosen = [
        ways[int(rng.integers(0, len(ways)))] for _ in range(int(rng.choice([1, 1, 1, 2, 3])))
    ]
    for way in chosen:
        if data:
            data = way(rng, data)[:_MOST_BYTES]
    return " + ".join(way.__name__ for way in chosen), data


def _changed(rng: Generator, data: bytes, end: int, count: int) -> bytes:
    changed = bytearray(data)
    for place in rng.integers(0, min(len(data), end), count):
        changed[place] ^= int(rng.integers(1, 256))
    return bytes(changed)


def _block(rng: Generator, data: bytes) -> tuple[int, int]:
    size = int(min(len(data), 2 ** rng.uniform(0, 14)))
    start = int(rng.integers(0, len(data) - size + 1))
    return start, start + size


def _edited(rng: Generator, data: bytes, edit: Callable[[Dataset], None]) -> bytes:
    """Edit a data set and write it as it is; where that fails, put in a number instead."""
    stream = io.BytesIO()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            dataset = dcmread(io.BytesIO(data))
            implicit, little = dataset.original_encoding
            edit(dataset)
            dataset.save_as(stream, implicit_vr=implicit, little_endian=little, force_encoding=True)
    except Exception:  # pydicom refuses to write much of what others do write
        return number(rng, data)
    return stream.getvalue()
