"""Sniff: what a file is by its first bytes; its name is never asked."""

from __future__ import annotations

import re
from enum import StrEnum

SNIFFED_BYTES = 512
"""How much of a file ``sniff`` and ``describe`` need."""


class FileKind(StrEnum):
    """The kinds of content that open as a film."""

    PNG = "PNG"
    JPEG = "JPEG"
    TIFF = "TIFF"
    WEBP = "WEBP"
    BMP = "BMP"
    DICOM = "DICOM"


_MAGIC: tuple[tuple[bytes, FileKind], ...] = (
    (b"\x89PNG\r\n\x1a\n", FileKind.PNG),
    (b"\xff\xd8\xff", FileKind.JPEG),
    (b"II*\x00", FileKind.TIFF),
    (b"MM\x00*", FileKind.TIFF),
    (b"II+\x00", FileKind.TIFF),  # BigTIFF
    (b"MM\x00+", FileKind.TIFF),
    (b"BM", FileKind.BMP),
)

_CMS_ENVELOPE = bytes.fromhex("06092a864886f70d010703")  # OID 1.2.840.113549.1.7.3, enveloped data

_ENCRYPTED: tuple[tuple[bytes, str], ...] = (
    (b"Salted__", "a file encrypted by OpenSSL"),
    (b"-----BEGIN PGP MESSAGE", "a PGP message"),
    (b"age-encryption.org", "a file encrypted by age"),
)

_AS_PNG, _OR_DICOM = "save it as PNG", "save it as PNG, or read its DICOM"
_OTHERS: tuple[tuple[bytes, str, str], ...] = (
    (b"GIF8", "a GIF", _AS_PNG),
    (b"%PDF", "a PDF", "export the film itself as DICOM or PNG"),
    (b"\x00\x00\x00\x0cjP  ", "a bare JPEG 2000 file", _OR_DICOM),
    (b"\xff\x4f\xff\x51", "a bare JPEG 2000 codestream", _OR_DICOM),
    (b"\x00\x00\x00\x0cJXL ", "a JPEG XL file", _AS_PNG),
    (b"\xff\x0a", "a JPEG XL codestream", _AS_PNG),
    (b"II\xbc\x01", "a JPEG XR", _AS_PNG),
    (b"8BPS", "a Photoshop file", _AS_PNG),
    (b"\x00\x00\x01\x00", "an icon (ICO)", _AS_PNG),
    (b"P5", "a PGM", _AS_PNG),
    (b"P6", "a PPM", _AS_PNG),
    (b"qoif", "a QOI", _AS_PNG),
    (b"v/1\x01", "an OpenEXR", _AS_PNG),
    (b"SIMPLE  =", "a FITS file", "save it as 16-bit PNG"),
    (b"NRRD", "an NRRD volume", "export the film itself as DICOM or PNG"),
    (b"PK\x03\x04", "a ZIP archive", "unpack it first"),
    (b"\x1f\x8b", "a gzip archive", "unpack it first"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive", "unpack it first"),
    (b"\x93NUMPY", "a NumPy array", "save it as 16-bit PNG"),
)

_BRANDS: dict[bytes, str] = {
    b"avif": "an AVIF",
    b"avis": "an AVIF",
    b"heic": "a HEIC photograph",
    b"heix": "a HEIC photograph",
    b"mif1": "a HEIF photograph",
    b"msf1": "a HEIF photograph",
}
"""Major brand behind "ftyp" (ISO/IEC 14496-12 section 4.3, 23008-12 section 10)."""

_LATER = re.compile(rb"\x89PNG\r\n\x1a\n|\xff\xd8\xff[\xc0-\xfe]")
"""A picture that does not begin at the first byte."""


def sniff(head: bytes) -> FileKind | None:
    """Say what the content is by its first bytes, or None.

    A DICOM file is looked for first, because its preamble may hold a TIFF header (PS3.10 7.1).

    >>> sniff(bytes(128) + b"DICM")
    <FileKind.DICOM: 'DICOM'>
    >>> print(sniff(b"plain words"))
    None
    """
    if head[128:132] == b"DICM" or _dicom_without_preamble(head):
        return FileKind.DICOM
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return FileKind.WEBP
    return next((kind for magic, kind in _MAGIC if head.startswith(magic)), None)


def encryption(head: bytes) -> str | None:
    """Name the encryption that wraps a file, or None.

    A Secure DICOM File is a CMS envelope (PS3.10 section 7.4, PS3.15 annex D).
    """
    if head[:1] == b"\x30" and _CMS_ENVELOPE in head[:32]:
        return "an encrypted (CMS enveloped) file"
    return next((name for magic, name in _ENCRYPTED if head.startswith(magic)), None)


def describe(head: bytes) -> tuple[str, str]:
    """Say what content that is no film seems to be, and what to do about it.

    >>> describe(b"case_id,path")[0]
    'text'
    """
    for magic, name, hint in _OTHERS:
        if head.startswith(magic):
            return name, hint
    if head[4:8] == b"ftyp":
        return _BRANDS.get(head[8:12], "a film clip or a photograph (ISO media)"), _AS_PNG
    if later := _LATER.search(head):
        kind = "PNG" if later[0].startswith(b"\x89") else "JPEG"
        return f"{later.start()} bytes before a {kind} begins", f"cut them off, or {_AS_PNG}"
    if _is_text(head):
        return "text", "name an image: DICOM, PNG, JPEG, TIFF, WEBP or BMP"
    return (
        f"unknown content beginning with {head[:4].hex(' ')}",
        "Hilum opens DICOM, PNG, JPEG, TIFF, WEBP and BMP; if it is encrypted, decrypt it first",
    )


def _dicom_without_preamble(head: bytes) -> bool:
    """True for a data set that begins at once, as old archives wrote it.

    Its first element is of group 0002 or 0008 and has an explicit VR or a short length.
    """
    if len(head) < 8 or head[:2] not in (b"\x02\x00", b"\x08\x00") or head[3] != 0:
        return False
    explicit = head[4:6].isalpha() and head[4:6].isupper()
    return explicit or int.from_bytes(head[4:8], "little") <= 64


def _is_text(head: bytes) -> bool:
    if b"\x00" in head:
        return False
    try:
        head.decode("utf-8")
    except UnicodeDecodeError as error:
        return error.start > len(head) - 4  # a character cut in two by the end of ``head``
    return True
