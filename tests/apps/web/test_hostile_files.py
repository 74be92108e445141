"""One file of an upload that means ill: its own row, and every other film is taken."""

from __future__ import annotations

import io
import random
import struct
import zipfile
import zlib

import cv2
import numpy as np
import pytest

from hilum.apps.web.problems import TITLES
from hilum.image.sniff import sniff

API = "/api/v1"


def vp8l(width, height):
    """A lossless WEBP that says its size in 34 bytes, and has no pixels."""
    bits = (width - 1) | (height - 1) << 14
    chunk = b"VP8L" + struct.pack("<I", 14) + b"\x2f" + struct.pack("<I", bits) + bytes(9)
    return b"RIFF" + struct.pack("<I", 4 + len(chunk)) + b"WEBP" + chunk


def png(width, height):
    """A PNG that says its size and has no pixels."""
    head = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    chunks = (head, b"IDAT" + zlib.compress(b""), b"IEND")
    packed = [struct.pack(">I", len(c) - 4) + c + struct.pack(">I", zlib.crc32(c)) for c in chunks]
    return b"\x89PNG\r\n\x1a\n" + b"".join(packed)


def bmp(width, height):
    header = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 8, 0, 0, 0, 0, 0, 0)
    return b"BM" + struct.pack("<IHHI", 54, 0, 0, 54) + header


def tiff(width, height):
    tags = [(256, 4, width), (257, 4, height), (258, 3, 8), (259, 3, 1), (262, 3, 1), (273, 4, 8)]
    entries = b"".join(struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in tags)
    return b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + bytes(4)


def dicom(rows=65535, columns=65535):
    def element(group, number, vr, value):
        return struct.pack("<HH2sH", group, number, vr, len(value)) + value

    syntax = element(2, 0x10, b"UI", b"1.2.840.10008.1.2.1\0")
    return (
        bytes(128) + b"DICM" + element(2, 0, b"UL", struct.pack("<I", len(syntax))) + syntax
        + element(0x28, 0x10, b"US", struct.pack("<H", rows))
        + element(0x28, 0x11, b"US", struct.pack("<H", columns))
    )  # fmt: skip


HUGE = {
    "vp8l.webp": vp8l(16_000, 12_000),
    "largest.webp": vp8l(16_383, 16_383),
    "huge.png": png(60_000, 60_000),
    "largest.png": png(2**31 - 1, 2**31 - 1),
    "huge.bmp": bmp(60_000, 60_000),
    "upside-down.bmp": bmp(60_000, -60_000),
    "huge.tif": tiff(60_000, 60_000),
    "largest.tif": tiff(2**32 - 1, 2**32 - 1),
    "huge.dcm": dicom(),
    "empty.dcm": dicom(0, 0),
    "nothing": b"",
    "half.webp": vp8l(16_000, 12_000)[:20],
}


def _check(answer, accepted, names):
    assert answer.status_code == 201, answer.text
    lists = answer.json()
    assert [each["name"] for each in lists["accepted"]] == accepted
    assert [each["name"] for each in lists["rejected"]] == names
    for row in lists["rejected"]:
        assert row["code"] in TITLES
        assert 400 <= row["status"] < 500
        assert row["detail"]


def test_a_small_file_that_says_it_is_huge_is_one_row(station, make_film):
    assert len(HUGE["vp8l.webp"]) == 34
    first, last = make_film(1), make_film(2)
    answer = station.send(first, *HUGE.items(), last)
    _check(answer, [first.name, last.name], list(HUGE))


@pytest.mark.parametrize(
    "error", [ValueError, RecursionError, MemoryError, OverflowError, KeyError, AssertionError]
)
def test_a_file_that_a_decoder_was_not_made_for_is_one_row(station, make_film, monkeypatch, error):
    """The next fault of a decoder is not known yet; its upload ends the same way."""
    from hilum.apps.web import upload

    real = upload.read_header

    def read(data, name, **limits):
        if name == "bad.png":
            raise error("Smith^John")
        return real(data, name, **limits)

    monkeypatch.setattr(upload, "read_header", read)
    first, last = make_film(1), make_film(2)
    answer = station.send(first, ("bad.png", make_film(3).read_bytes()), last)
    _check(answer, [first.name, last.name], ["bad.png"])
    assert error.__name__ in answer.json()["rejected"][0]["detail"]
    assert "Smith" not in answer.text


def test_a_film_that_could_not_be_accepted_leaves_nothing_behind(station, make_film, monkeypatch):
    from hilum.apps.store import intake

    real, seen = intake.accept, []

    def accept(*arguments):
        seen.append(1)
        if len(seen) == 2:
            raise ValueError("inside")
        return real(*arguments)

    monkeypatch.setattr(intake, "accept", accept)
    films = [make_film(number) for number in range(3)]
    answer = station.send(*films)
    _check(answer, [films[0].name, films[2].name], [films[1].name])
    kept = [each for each in station.service.folder.root.rglob("*") if each.is_file()]
    assert len(kept) == 2


def _damaged_zip(make_film):
    """Five members: sound, of a wrong checksum, encrypted, a bomb, sound."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("a/first.png", make_film(1).read_bytes())
        archive.writestr("b/damaged.png", make_film(2).read_bytes())
        archive.writestr("c/locked.png", make_film(3).read_bytes())
        archive.writestr("d/bomb.png", bytes(30_000_000), zipfile.ZIP_DEFLATED)
        archive.writestr("e/last.png", make_film(4).read_bytes())
        offsets = {info.filename: info.header_offset for info in archive.infolist()}
    packed = bytearray(out.getvalue())
    packed[offsets["b/damaged.png"] + 200] ^= 0xFF
    for place in (offsets["c/locked.png"] + 6, _central(packed, b"c/locked.png") + 8):
        packed[place] |= 1
    return bytes(packed)


def _central(packed, name):
    place = packed.rindex(name)
    return packed.rindex(b"PK\x01\x02", 0, place)


def test_a_member_of_a_zip_that_cannot_be_had_is_one_row(station, make_film):
    film = make_film(5)
    answer = station.send(("study.zip", _damaged_zip(make_film)), film)
    names = ["damaged.png", "locked.png", "bomb.png"]
    _check(answer, ["first.png", "last.png", film.name], names)
    codes = [each["code"] for each in answer.json()["rejected"]]
    assert codes == ["unreadable", "unreadable", "too-large"]


def test_links_and_nested_zips_in_a_zip_are_rows(station, make_film):
    inner = io.BytesIO()
    with zipfile.ZipFile(inner, "w") as archive:
        archive.writestr("film.png", make_film(1).read_bytes())
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        link = zipfile.ZipInfo("link.png")
        link.external_attr = 0o120777 << 16
        archive.writestr(link, "/etc/passwd")
        archive.writestr("inner.zip", inner.getvalue())
        archive.writestr("film.png", make_film(2).read_bytes())
    answer = station.send(("study.zip", out.getvalue()))
    _check(answer, ["film.png"], ["link.png", "inner.zip"])
    assert "root:" not in answer.text


TRICKS = [
    "../up.png", "..\\up.png", "/absolute.png", "\\absolute.png", "C:\\drive.png", "C:drive.png",
    "a/../../up.png", "//server/share.png", "\\\\server\\share.png", "a/..\\..\\up.png",
]  # fmt: skip


@pytest.mark.parametrize("name", TRICKS)
def test_a_zip_whose_names_lead_out_of_it_is_one_row_and_writes_nothing(
    station, make_film, name, tmp_path
):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr(name, make_film(1).read_bytes())
    before = set(tmp_path.rglob("*.png"))
    film = make_film(2)
    _check(station.send(("trick.zip", out.getvalue()), film), [film.name], ["trick.zip"])
    assert set(tmp_path.rglob("*.png")) - before == {film}


def test_any_bytes_after_any_signature_are_rows(station, make_film):
    """Every kind's first bytes before noise: nothing of it is a mistake of the server."""
    generator = random.Random(7)
    films = [make_film(1), make_film(2)]
    heads = [
        each
        for each in (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe0", b"II*\0", b"MM\0*", b"II+\0",
                     b"BM", b"RIFF\0\0\0\0WEBPVP8X", b"RIFF\0\0\0\0WEBPVP8 ", bytes(128) + b"DICM",
                     b"PK\x03\x04", b"PK\x05\x06", b"GIF89a", b"%PDF-", b"\0\0\0\x0cjP  ",
                     b"\xff\x4f\xff\x51", b"\x1f\x8b", b"\x08\x00\x05\x00", b"\x00")
        for _ in range(3)
    ]  # fmt: skip
    hostile = [
        (f"{number:02}", head + generator.randbytes(generator.choice([0, 3, 40, 3000])))
        for number, head in enumerate(heads)
    ]
    answer = station.send(films[0], *hostile, films[1])
    _check(answer, [each.name for each in films], [name for name, _ in hostile])


def test_damaged_films_are_rows_or_films_and_never_a_mistake(station, make_film):
    """Bytes flipped anywhere in a PNG, a JPEG, a TIFF, a WEBP, a BMP."""
    generator = np.random.default_rng(3)
    picture = generator.integers(0, 255, (64, 64), np.uint8)
    parts = []
    for suffix in (".png", ".jpg", ".tif", ".webp", ".bmp"):
        sound = cv2.imencode(suffix, picture)[1].tobytes()
        assert sniff(sound[:200]) is not None
        for number in range(12):
            data = bytearray(sound)
            for place in generator.integers(0, min(len(data), 400), 3):
                data[place] ^= int(generator.integers(1, 255))
            parts.append((f"{number}{suffix}", bytes(data)))
    film = make_film(1)
    answer = station.send(*parts, film)
    assert answer.status_code == 201
    lists = answer.json()
    assert len(lists["accepted"]) + len(lists["rejected"]) == len(parts) + 1
    assert lists["accepted"][-1]["name"] == film.name
    assert all(400 <= each["status"] < 500 for each in lists["rejected"])
    kept = {each.name for each in station.service.folder.root.rglob("*") if each.is_file()}
    client = station.client("reader")
    assert len(kept) == client.get(f"{API}/studies").json()["total"]
