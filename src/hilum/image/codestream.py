"""Codestream: what a compressed frame says of itself, read before any codec is let near it."""

from __future__ import annotations

_START_OF_FRAME = {*range(0xC0, 0xD0), 0xF7} - {0xC4, 0xC8, 0xCC}  # ITU-T T.81 B.1; F7: JPEG-LS
_START_OF_SCAN = 0xDA
_J2K = b"\xff\x4f\xff\x51"  # SOC and SIZ, ITU-T T.800 A.5.1


def frame_size(frame: bytes) -> tuple[int, int] | None:
    """Read (rows, columns) of a JPEG, JPEG-LS or JPEG 2000 codestream; None if it has none.

    >>> frame_size(bytes.fromhex("ffd8ffc0000b0800100020"))
    (16, 32)
    """
    if frame[:4] == _J2K:
        right, bottom, left, top = (_number(frame, at, 4) for at in (8, 12, 16, 20))
        return bottom - top, right - left
    at = 2
    while at + 9 <= len(frame) and frame[at] == 0xFF:
        marker = frame[at + 1]
        if marker in _START_OF_FRAME:
            return _number(frame, at + 5, 2), _number(frame, at + 7, 2)
        if marker == _START_OF_SCAN:
            return None
        at += 1 if marker == 0xFF else 2 + _number(frame, at + 2, 2)  # FF FF: fill byte
    return None


def is_whole(frame: bytes) -> bool:
    """True if a JPEG frame ends with its end marker (EOI), padding aside."""
    return frame.rstrip(b"\x00\xff").endswith(b"\xff\xd9")


def _number(data: bytes, at: int, size: int) -> int:
    return int.from_bytes(data[at : at + size], "big")
