"""DICOM codecs: from Pixel Data to stored codes, by one named decoder for each transfer syntax.

No decoder may fill what is missing: a frame that ends early is refused.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import uid
from pydicom.dataset import Dataset
from pydicom.encaps import get_frame
from pydicom.pixels.decoders.base import get_decoder

from hilum.core.errors import ImageError, UnreadableImageError
from hilum.image.codestream import Coding, frame_channels, frame_size, is_whole, read_coding
from hilum.image.dicom_bits import within_bits
from hilum.image.dicom_palette import apply_palette
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
