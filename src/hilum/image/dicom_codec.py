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
from pydicom.pixels.processing import apply_color_lut

from hilum.core.errors import ImageError, UnreadableImageError
from hilum.image.grey import Samples
from hilum.image.raster import decode_jpeg_grey

DECODERS: dict[str, str] = {
    uid.JPEGBaseline8Bit: "pillow",
    uid.JPEGExtended12Bit: "pillow",
    uid.JPEGLossless: "gdcm",
    uid.JPEGLosslessSV1: "gdcm",
    uid.JPEGLSLossless: "pyjpegls",
    uid.JPEGLSNearLossless: "pyjpegls",
    uid.JPEG2000Lossless: "pylibjpeg",
    uid.JPEG2000: "pylibjpeg",
    uid.HTJ2KLossless: "pylibjpeg",
    uid.HTJ2KLosslessRPCL: "pylibjpeg",
    uid.HTJ2K: "pylibjpeg",
    uid.RLELossless: "pylibjpeg",
}
"""Transfer syntax -> pydicom's decoding plug-in; grey JPEG of 8 and of 12 bits goes past them."""

LOSSY = (
    uid.JPEGBaseline8Bit,
    uid.JPEGExtended12Bit,
    uid.JPEGLSNearLossless,
    uid.JPEG2000,
    uid.HTJ2K,
)
_JPEG = (uid.JPEGBaseline8Bit, uid.JPEGExtended12Bit, uid.JPEGLossless, uid.JPEGLosslessSV1)
_END_OF_IMAGE = b"\xff\xd9"
_AGAIN = "export the film again, uncompressed if this codec is the trouble"


def decode_codes(dataset: Dataset, name: str) -> Samples:
    """Decode one grey frame.

    Args:
        dataset: with SamplesPerPixel 1 and BitsAllocated 1, 8 or 16.
        name: of the file, for messages.

    Returns:
        uint8 or uint16 (H, W): the codes as they lie in BitsAllocated bits, before BitsStored,
        HighBit and PixelRepresentation are looked at.

    Raises:
        UnreadableImageError: truncated, damaged, or no codec for the transfer syntax.
    """
    allocated = max(int(dataset.BitsAllocated), 8)
    stored = _guarded(_grey_frame, dataset, name)
    signed = np.issubdtype(stored.dtype, np.signedinteger)
    container = stored.astype(f"{'i' if signed else 'u'}{allocated // 8}", copy=False)
    _check_shape(container, dataset, name)
    return np.ascontiguousarray(container).view(f"u{allocated // 8}")


def decode_colour(dataset: Dataset, name: str) -> Samples:
    """Decode one colour frame to RGB: uint8 or uint16 (H, W, 3). Raises as ``decode_codes``."""
    stored = _guarded(_colour_frame, dataset, name)
    _check_shape(stored, dataset, name)
    return stored


def syntax_name(dataset: Dataset) -> str:
    """Name the transfer syntax: "Explicit VR Little Endian"."""
    return str(uid.UID(dataset.file_meta.TransferSyntaxUID).name)


def _guarded(decode: Any, dataset: Dataset, name: str) -> NDArray[Any]:
    """Run a decoder; whatever it raises becomes one typed refusal."""
    try:
        return np.asarray(decode(dataset, name))
    except ImageError:
        raise
    except Exception as error:  # codecs written in C and Rust raise what they like
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise UnreadableImageError(
            f"{name}: pixel data cannot be decoded ({syntax_name(dataset)}): {reason}", hint=_AGAIN
        ) from None


def _grey_frame(dataset: Dataset, name: str) -> NDArray[Any]:
    syntax = dataset.file_meta.TransferSyntaxUID
    if syntax in _JPEG:
        frame = _whole_frame(dataset, name)
        if syntax == uid.JPEGBaseline8Bit or (
            syntax == uid.JPEGExtended12Bit and dataset.BitsAllocated == 8
        ):
            return decode_jpeg_grey(frame, name)
        if syntax == uid.JPEGExtended12Bit:
            return _jpeg_12_bits(frame, dataset)
    return _by_plugin(dataset, correct_unused_bits=False)


def _colour_frame(dataset: Dataset, name: str) -> NDArray[Any]:
    if dataset.PhotometricInterpretation == "PALETTE COLOR":
        return np.asarray(apply_color_lut(_by_plugin(dataset), dataset))[..., :3]
    if dataset.file_meta.TransferSyntaxUID in _JPEG:
        _whole_frame(dataset, name)
    return _by_plugin(dataset)


def _by_plugin(dataset: Dataset, **options: Any) -> NDArray[Any]:
    syntax = dataset.file_meta.TransferSyntaxUID
    options |= {"decoding_plugin": DECODERS.get(syntax, ""), "allow_excess_frames": False}
    stored: NDArray[Any] = get_decoder(syntax).as_array(dataset, **options)[0]
    return stored.astype(stored.dtype.newbyteorder("="), copy=False)


def _whole_frame(dataset: Dataset, name: str) -> bytes:
    """Return the compressed frame, refusing one without its end: gdcm would make up the rest."""
    frame = get_frame(dataset.PixelData, 0, number_of_frames=1)
    if not frame.rstrip(b"\x00\xff").endswith(_END_OF_IMAGE):
        raise UnreadableImageError(f"{name}: truncated JPEG frame (no end marker)", hint=_AGAIN)
    return frame


def _jpeg_12_bits(frame: bytes, dataset: Dataset) -> NDArray[np.uint16]:
    """Decode JPEG Extended of 12 bits by GDCM itself; pydicom's plug-in declines it."""
    import gdcm

    fragment = gdcm.Fragment()
    fragment.SetByteStringValue(frame)
    fragments = gdcm.SequenceOfFragments.New()
    fragments.AddFragment(fragment)
    element = gdcm.DataElement(gdcm.Tag(0x7FE0, 0x0010))
    element.SetValue(fragments.__ref__())
    image = gdcm.Image()
    image.SetNumberOfDimensions(2)
    image.SetDimensions((dataset.Columns, dataset.Rows, 1))
    image.SetDataElement(element)
    kind = gdcm.PhotometricInterpretation.GetPIType(str(dataset.PhotometricInterpretation))
    image.SetPhotometricInterpretation(gdcm.PhotometricInterpretation(kind))
    image.SetTransferSyntax(gdcm.TransferSyntax(gdcm.TransferSyntax.JPEGExtendedProcess2_4))
    image.SetPixelFormat(gdcm.PixelFormat(1, 16, dataset.BitsStored, dataset.HighBit, 0))
    values = image.GetBuffer().encode("utf-8", "surrogateescape")
    return np.frombuffer(values, "<u2").reshape(dataset.Rows, dataset.Columns)


def _check_shape(stored: NDArray[Any], dataset: Dataset, name: str) -> None:
    expected = (int(dataset.Rows), int(dataset.Columns))
    if stored.shape[:2] != expected:
        raise UnreadableImageError(
            f"{name}: the frame holds {stored.shape[1]} x {stored.shape[0]} pixels; the header "
            f"says {expected[1]} x {expected[0]}",
            hint=_AGAIN,
        )
