"""DICOM codecs: from Pixel Data to stored codes, by one named decoder for each transfer syntax.

No decoder may fill what is missing: a frame that ends early is refused.

A lossy codec overshoots: beside a white edge it gives values above the largest that is stored. Cut
to BitsStored they would turn black, so they are set to the nearest value. In a lossless frame such
bits are none of the value (an overlay, PS3.5 8.1.2, or dirt) and are left out.

A palette (PS3.3 C.7.6.3.1.5 and C.7.6.3.1.6) is looked up here, too: pydicom's ``apply_color_lut``
takes the depth of an entry from the length of the data, so that 8 bits in words of 16 come out
black; it is asked for segmented tables only.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import uid
from pydicom.dataset import Dataset
from pydicom.encaps import get_frame
from pydicom.pixels.decoders.base import get_decoder
from pydicom.pixels.processing import apply_color_lut

from hilum.core.errors import ImageError, UnreadableImageError
from hilum.image.codestream import Coding, frame_channels, frame_size, is_whole, read_coding
from hilum.image.dicom_grey import FEWER, Lut
from hilum.image.dicom_values import code_of
from hilum.image.grey import Samples
from hilum.image.jpeg import decode_jpeg_deep, decode_jpeg_grey
from hilum.image.limits import one_line

DECODERS: dict[str, str] = {
    uid.JPEGBaseline8Bit: "pillow",
    uid.JPEGLSLossless: "pyjpegls",
    uid.JPEGLSNearLossless: "pyjpegls",
    uid.JPEG2000Lossless: "pylibjpeg",
    uid.JPEG2000: "pylibjpeg",
    uid.HTJ2KLossless: "pylibjpeg",
    uid.HTJ2KLosslessRPCL: "pylibjpeg",
    uid.HTJ2K: "pylibjpeg",
    uid.RLELossless: "pylibjpeg",
}
"""Transfer syntax -> pydicom's decoding plug-in. Grey JPEG, 8 to 16 bits, lossless or not, goes
to libjpeg-turbo instead: GDCM, pydicom's choice, declines 12 bits and ends the whole process on
some damaged frames."""

_JPEG = (uid.JPEGBaseline8Bit, uid.JPEGExtended12Bit, uid.JPEGLossless, uid.JPEGLosslessSV1)
_PANIC = "PanicException"
"""Of codecs written in Rust: PyO3 derives it from BaseException, and lets nobody import it."""
_WITH_END = (*_JPEG, uid.JPEGLSLossless, uid.JPEGLSNearLossless)
"""Frames that end with a marker; the JPEG-LS codec looks for a lost one for many seconds."""
_AGAIN = "export the film again, uncompressed if this codec is the trouble"


def decode_codes(dataset: Dataset, name: str) -> tuple[Samples, str]:
    """Decode one grey frame.

    Args:
        dataset: with SamplesPerPixel 1 and BitsAllocated 1, 8 or 16.
        name: of the file, for messages.

    Returns:
        uint8 or uint16 (H, W): the codes as they lie in BitsAllocated bits, before BitsStored,
        HighBit and PixelRepresentation are looked at; and what lay beyond BitsStored, in words.

    Raises:
        UnreadableImageError: truncated, damaged, or no codec for the transfer syntax.
    """
    allocated = max(int(dataset.BitsAllocated), 8)
    stored, coding = _guarded(_grey_frame, dataset, name)
    _check_size(stored.shape[:2], dataset, name)
    if coding is not None and coding.bits > allocated:
        raise UnreadableImageError(
            f"{name}: the frame holds {coding.bits} bits a pixel; the header says {allocated}",
            hint=_AGAIN,
        )
    signed = np.issubdtype(stored.dtype, np.signedinteger)
    container = stored.astype(f"{'i' if signed else 'u'}{allocated // 8}", copy=False)
    codes = np.ascontiguousarray(container).view(f"u{allocated // 8}")
    return within_bits(codes, dataset, coding)


def decode_colour(dataset: Dataset, name: str) -> tuple[Samples, str]:
    """Decode one colour frame to RGB, and say what its palette holds other than it says.

    Returns:
        uint8 or uint16 (H, W, 3); and a sentence, "" as a rule. Raises as ``decode_codes``.
    """
    stored, said = _guarded(_colour_frame, dataset, name)
    _check_size(stored.shape[:2], dataset, name)
    return stored, said


def syntax_name(dataset: Dataset) -> str:
    """Name the transfer syntax: "Explicit VR Little Endian"."""
    return str(dataset.file_meta.TransferSyntaxUID.name)


def _guarded(decode: Any, dataset: Dataset, name: str) -> Any:
    """Run a decoder; whatever it raises becomes one typed refusal."""
    try:
        return decode(dataset, name)
    except ImageError:
        raise
    except BaseException as error:  # codecs written in C and Rust raise what they like
        if not isinstance(error, Exception) and type(error).__name__ != _PANIC:
            raise  # Ctrl-C and the like
        found = f"pixel data cannot be decoded ({syntax_name(dataset)}): {one_line(error)}"
        raise UnreadableImageError(f"{name}: {found}", hint=_AGAIN) from None


def _grey_frame(dataset: Dataset, name: str) -> tuple[NDArray[Any], Coding | None]:
    syntax = dataset.file_meta.TransferSyntaxUID
    frame = _checked_frame(dataset, name) if syntax.is_encapsulated else b""
    coding = read_coding(frame)
    if syntax == uid.JPEGBaseline8Bit:
        return _signed(decode_jpeg_grey(frame, name), dataset, coding), coding
    if syntax in _JPEG:
        return _signed(decode_jpeg_deep(frame, name), dataset, coding), coding
    return _by_plugin(dataset, correct_unused_bits=False), coding


def _signed(decoded: NDArray[Any], dataset: Dataset, coding: Coding | None) -> NDArray[Any]:
    """JPEG knows no sign: what it brought is the low bits of a signed value."""
    if not dataset.PixelRepresentation or coding is None:
        return decoded
    above = 16 - coding.bits
    return (decoded.astype(np.uint16) << above).view(np.int16) >> above


def _colour_frame(dataset: Dataset, name: str) -> tuple[NDArray[Any], str]:
    syntax = dataset.file_meta.TransferSyntaxUID
    frame = _checked_frame(dataset, name) if syntax.is_encapsulated else b""
    if syntax == uid.JPEGBaseline8Bit:
        decode_jpeg_grey(frame, name)  # strictly, as Pillow, which gives the colours, does not
    stored = _by_plugin(dataset)
    if dataset.PhotometricInterpretation == "PALETTE COLOR":
        return apply_palette(stored, dataset, name)
    return stored, ""


def _by_plugin(dataset: Dataset, **options: Any) -> NDArray[Any]:
    syntax = dataset.file_meta.TransferSyntaxUID
    options |= {"decoding_plugin": DECODERS.get(syntax, ""), "allow_excess_frames": False}
    stored: NDArray[Any] = get_decoder(syntax).as_array(dataset, **options)[0]
    return stored.astype(stored.dtype.newbyteorder("="), copy=False)


def _checked_frame(dataset: Dataset, name: str) -> bytes:
    """Return the compressed frame if it is as large as the header says and has its end.

    A codec would allocate what the frame asks for, and make up what is missing at its end.
    """
    frame = get_frame(dataset.PixelData, 0, number_of_frames=1)
    size = frame_size(frame)
    if size is not None:
        _check_size(size, dataset, name)
    channels = frame_channels(frame)
    if channels is not None and channels != int(dataset.SamplesPerPixel):
        raise UnreadableImageError(
            f"{name}: the frame holds {channels} channels; the header says "
            f"{dataset.SamplesPerPixel}",
            hint=_AGAIN,
        )
    if dataset.file_meta.TransferSyntaxUID in _WITH_END and not is_whole(frame):
        raise UnreadableImageError(f"{name}: truncated JPEG frame (no end marker)", hint=_AGAIN)
    return frame


def _check_size(size: tuple[int, ...], dataset: Dataset, name: str) -> None:
    expected = (int(dataset.Rows), int(dataset.Columns))
    if size != expected:
        raise UnreadableImageError(
            f"{name}: the frame holds {size[1]} x {size[0]} pixels; the header says "
            f"{expected[1]} x {expected[0]}",
            hint=_AGAIN,
        )


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
        Lut.read(dataset, f"{colour} palette", name, span, f"{colour}{_KEYWORD}")
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
