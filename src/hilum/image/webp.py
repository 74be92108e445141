"""WEBP header: the size of the canvas, which the decoder allocates as soon as it is made."""

from __future__ import annotations


def canvas(data: bytes) -> tuple[int, int] | None:
    """Read (width, height) of the first chunk (RFC 9649 section 2.5 to 2.7); None if broken.

    >>> canvas(b"RIFF" + bytes(4) + b"WEBPVP8X" + bytes(8) + b"\\x7f\\x3e\\x00\\xdf\\x2e\\x00")
    (16000, 12000)
    """
    kind, head = data[12:16], data[:30]
    if kind == b"VP8X" and len(head) == 30:
        return _number(head[24:27]) + 1, _number(head[27:30]) + 1
    if kind == b"VP8L" and len(head) >= 25:
        bits = _number(head[21:25])
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if kind == b"VP8 " and len(head) == 30:
        return _number(head[26:28]) & 0x3FFF, _number(head[28:30]) & 0x3FFF
    return None


def _number(data: bytes) -> int:
    return int.from_bytes(data, "little")
