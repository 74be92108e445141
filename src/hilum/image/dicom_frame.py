"""DICOM frames: how a compressed frame is coded, read from its codestream and not from the header.

A transfer syntax says what a codec may do; the codestream says what it did.
"""

from __future__ import annotations

from typing import NamedTuple

_START_OF_FRAME = {*range(0xC0, 0xD0), 0xF7} - {0xC4, 0xC8, 0xCC}  # ITU-T T.81 B.1; F7: JPEG-LS
_WITHOUT_LOSS = {0xC3, 0xC7, 0xCB, 0xCF}  # T.81 B.1: the lossless processes
_START_OF_SCAN = {0xDA}
_J2K = b"\xff\x4f\xff\x51"  # SOC and SIZ, ITU-T T.800 A.5.1
_JP2 = b"\x00\x00\x00\x0cjP  "  # a box around it, T.800 I.5.1
_CODING_STYLE = {0x52}  # COD, T.800 A.6.1
_IRREVERSIBLE = 0  # T.800 table A.20: the 9-7 wavelet


class Coding(NamedTuple):
    """How a frame is coded.

    Attributes:
        bits: of a sample.
        lossy: something was lost; None where it may have been (a reversible JPEG 2000 can be cut
            short), and only the transfer syntax can tell.
    """

    bits: int
    lossy: bool | None


def read_coding(frame: bytes) -> Coding | None:
    """Read the coding of a JPEG, JPEG-LS or JPEG 2000 codestream; None for any other.

    >>> read_coding(bytes.fromhex("ffd8ffc0000b0800100020"))
    Coding(bits=8, lossy=True)
    """
    if frame.startswith(_JP2):
        frame = frame[max(frame.find(_J2K), 0) :]
    if frame[:4] == _J2K:
        style = _segment(frame, _CODING_STYLE)
        irreversible = style and frame[style + 13 : style + 14] == bytes([_IRREVERSIBLE])
        return Coding((frame[42] & 0x7F) + 1, True if irreversible else None)
    head = _segment(frame, _START_OF_FRAME) if frame[:2] == b"\xff\xd8" else 0
    if not head or head + 4 >= len(frame):
        return None
    if frame[head + 1] == 0xF7:
        return Coding(frame[head + 4], _near(frame) > 0)
    return Coding(frame[head + 4], frame[head + 1] not in _WITHOUT_LOSS)


def _near(frame: bytes) -> int:
    """Read NEAR of a JPEG-LS scan, the largest error of a sample (ITU-T T.87 C.2.3)."""
    scan = _segment(frame, _START_OF_SCAN)
    after = scan + 5 + 2 * int.from_bytes(frame[scan + 4 : scan + 5], "big")
    return int.from_bytes(frame[after : after + 1], "big") if scan else 0


def _segment(frame: bytes, wanted: set[int]) -> int:
    """Find a marker among the segments at the head of a frame; 0 if it is not there."""
    at = 2
    while at + 4 <= len(frame) and frame[at] == 0xFF:
        if frame[at + 1] in wanted:
            return at
        fill = frame[at + 1] == 0xFF
        at += 1 if fill else 2 + int.from_bytes(frame[at + 2 : at + 4], "big")
    return 0
