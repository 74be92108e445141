"""Codestream: what a compressed frame says of itself, read before any codec is let near it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import NamedTuple

_SOI, _EOI, _START_OF_SCAN, _APP1, _APP14 = 0xD8, 0xD9, 0xDA, 0xE1, 0xEE
JPEG_LS = 0xF7
_START_OF_FRAME = {*range(0xC0, 0xD0), JPEG_LS} - {0xC4, 0xC8, 0xCC}  # ITU-T T.81 B.1
_PROGRESSIVE, LOSSLESS = (0xC2, 0xCA), (0xC3, 0xCB)
_ALONE = {0x01, *range(0xD0, 0xD8)}  # markers without a length, T.81 B.1.1.3
_J2K = b"\xff\x4f\xff\x51"  # SOC and SIZ, ITU-T T.800 A.5.1
_JP2 = b"\x00\x00\x00\x0cjP  "  # signature box, ITU-T T.800 I.5.1
_CODING_STYLE, _IRREVERSIBLE = 0x52, b"\x00"  # COD, T.800 A.6.1; the 9-7 wavelet, table A.20
# In entropy coded data FF 00 is a data byte, FF D0 .. D7 a restart, and FF FF a fill byte.
_AFTER_SCAN = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
_RESTART_OR_END = re.compile(rb"(\xff*\xff[\xd0-\xd7]|\xff*\xff\xd9)")


class Coding(NamedTuple):
    """How a frame is coded: a transfer syntax says what a codec may do, a codestream what it did.

    Attributes:
        bits: of a sample.
        lossy: something was lost; None where it may have been (a reversible JPEG 2000 can be cut
            short), and only the transfer syntax can tell.
    """

    bits: int
    lossy: bool | None


@dataclass
class Jpeg:
    """What the markers of one JPEG picture say (ITU-T T.81 annex B).

    Attributes:
        process: low byte of the start of frame marker: C0 baseline, C1 extended, C2 progressive,
            C3 lossless; 0 if there was none.
        bits: bits per sample.
        rows, columns: size in pixels.
        components: identifiers of the channels.
        missing: per component, which of its 64 coefficients are not there in full.
        scans: how many scans begin.
        end: offset behind the end marker; None if it has none.
        exif: what follows "Exif" in the APP1 segment, or b"".
        adobe: an Adobe segment, in which CMYK is stored inverted.
    """

    process: int = 0
    bits: int = 0
    rows: int = 0
    columns: int = 0
    components: tuple[int, ...] = ()
    missing: dict[int, set[int]] = field(default_factory=dict)
    scans: int = 0
    end: int | None = None
    exif: bytes = b""
    adobe: bool = False

    @property
    def complete(self) -> bool:
        """True if every coefficient of every component came, with all its bits."""
        return self.scans > 0 and not any(self.missing.values())


def survey(data: bytes) -> Jpeg:
    """Read the markers of the first JPEG picture in ``data``, from its start to its end marker.

    It stops without an ``end`` where the markers are not as they should be.

    >>> survey(bytes.fromhex("ffd8ffc0000b0800100020010111000000ffd9")).columns
    32
    """
    jpeg, at = Jpeg(), 2
    while at + 2 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker == _EOI:
            jpeg.end = at + 2
            break
        if marker == 0xFF or marker in _ALONE:
            at += 1 if marker == 0xFF else 2
            continue
        length = _number(data, at + 2, 2)
        if length < 2:
            break
        _take(jpeg, marker, data[at + 4 : at + 2 + length])
        at += 2 + length
        if marker == _START_OF_SCAN:
            found = _AFTER_SCAN.search(data, at)
            at = found.start() if found else len(data)
    return jpeg


def frame_size(frame: bytes) -> tuple[int, int] | None:
    """Read (rows, columns) of a JPEG, JPEG-LS or JPEG 2000 codestream; None if it has none.

    >>> frame_size(bytes.fromhex("ffd8ffc0000b080010002001011100"))
    (16, 32)
    """
    if siz := _siz(frame):
        right, bottom, left, top = (_number(siz, at, 4) for at in (8, 12, 16, 20))
        return bottom - top, right - left
    header = _frame_header(frame)
    return (_number(header, 1, 2), _number(header, 3, 2)) if header else None


def frame_channels(frame: bytes) -> int | None:
    """Read how many components a JPEG, JPEG-LS or JPEG 2000 codestream has; None if it says none.

    >>> frame_channels(bytes.fromhex("ffd8ffc0000b080010002001011100"))
    1
    """
    if siz := _siz(frame):
        return _number(siz, 40, 2)
    header = _frame_header(frame)
    return header[5] if header else None


def read_coding(frame: bytes) -> Coding | None:
    """Read the coding of a JPEG, JPEG-LS or JPEG 2000 codestream; None for any other.

    >>> read_coding(bytes.fromhex("ffd8ffc0000b080010002001011100"))
    Coding(bits=8, lossy=True)
    """
    if siz := _siz(frame):
        style = _segment(siz, {_CODING_STYLE})
        irreversible = style and siz[style + 13 : style + 14] == _IRREVERSIBLE
        return Coding((_number(siz, 42, 1) & 0x7F) + 1, True if irreversible else None)
    header = _frame_header(frame) if frame.startswith(b"\xff\xd8") else None
    if header is None:
        return None
    process = frame[_segment(frame, _START_OF_FRAME) + 1]
    return Coding(header[0], _near(frame) > 0 if process == JPEG_LS else process not in LOSSLESS)


def is_whole(frame: bytes) -> bool:
    """True if a JPEG frame ends with its end marker (EOI), padding aside."""
    return frame.rstrip(b"\x00\xff").endswith(b"\xff\xd9")


def lengthened(data: bytes, filler: bytes, *, cut: int = 0) -> bytes:
    """Put ``filler`` behind the coded data of a JPEG, before its restart and end markers.

    A decoder that has all the data it needs does not look at it. ``cut`` bytes are taken away
    before the end marker first.
    """
    start = data.find(b"\xff\xda")
    head, parts = data[:start], _RESTART_OR_END.split(data[start:])
    for place in range(0, len(parts) - 1, 2):
        last = parts[place + 1].endswith(b"\xd9")
        body = parts[place][: len(parts[place]) - cut] if last else parts[place]
        parts[place] = body.removesuffix(b"\xff") + filler
    return head + b"".join(parts)


def _siz(frame: bytes) -> bytes:
    """Return what begins with the SIZ segment of a JPEG 2000 stream, in a box file or bare."""
    start = frame.find(_J2K) if frame.startswith(_JP2) else 0
    return frame[start:] if frame[start : start + 4] == _J2K and start >= 0 else b""


def _frame_header(frame: bytes) -> bytes | None:
    """Return the body of a JPEG's or JPEG-LS's start of frame; None before its first scan."""
    at = _segment(frame, _START_OF_FRAME)
    return frame[at + 4 : at + 10] if at and at + 10 <= len(frame) else None


def _near(frame: bytes) -> int:
    """Read NEAR of a JPEG-LS scan, the largest error of a sample (ITU-T T.87 C.2.3)."""
    at = _segment(frame, {_START_OF_SCAN})
    return _number(frame, at + 5 + 2 * _number(frame, at + 4, 1), 1) if at else 0


def _segment(frame: bytes, wanted: set[int]) -> int:
    """Find a marker among the segments up to the first scan; 0 if it is not there."""
    at = 2
    while at + 4 <= len(frame) and frame[at] == 0xFF:
        marker = frame[at + 1]
        if marker in wanted:
            return at
        if marker == _START_OF_SCAN:
            break
        at += 1 if marker == 0xFF else 2 + _number(frame, at + 2, 2)  # FF FF: fill byte
    return 0


def _take(jpeg: Jpeg, marker: int, body: bytes) -> None:
    if marker in _START_OF_FRAME and not jpeg.process and len(body) >= 6:
        jpeg.process, jpeg.bits = marker, body[0]
        jpeg.rows, jpeg.columns = _number(body, 1, 2), _number(body, 3, 2)
        jpeg.components = tuple(body[6 : 6 + 3 * body[5] : 3])
        jpeg.missing = {component: set(range(64)) for component in jpeg.components}
    elif marker == _START_OF_SCAN and body:
        jpeg.scans += 1
        _take_scan(jpeg, body)
    elif marker == _APP1 and body.startswith(b"Exif\x00\x00") and not jpeg.exif:
        jpeg.exif = body
    elif marker == _APP14 and body.startswith(b"Adobe"):
        jpeg.adobe = True


def _take_scan(jpeg: Jpeg, body: bytes) -> None:
    """Cross off what a scan brings (T.81 B.2.3); only a progressive one brings less than all."""
    count = body[0]
    first, last, approximation = (*body[1 + 2 * count : 4 + 2 * count], 0, 0, 0)[:3]
    progressive = jpeg.process in _PROGRESSIVE
    brought = set(range(first, last + 1)) if progressive else set(range(64))
    if progressive and approximation & 0x0F:
        return  # its low bits are still to come
    for component in body[1 : 1 + 2 * count : 2]:
        jpeg.missing.get(component, set()).difference_update(brought)


def _number(data: bytes, at: int, size: int) -> int:
    return int.from_bytes(data[at : at + size], "big")
