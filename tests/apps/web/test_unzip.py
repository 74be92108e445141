"""What is the fault of a ZIP, and what is the fault of the disk that it lies on."""

from __future__ import annotations

import errno
import io
import zipfile

import pytest

from hilum.apps.web.problems import Problem
from hilum.apps.web.settings import Limits
from hilum.apps.web.unzip import members

FAR = 1000


def _zip():
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("film.png", b"a film")
    return out.getvalue()


def _unpacked(stream):
    return [unpack() for _, unpack in members(stream, Limits())]


def test_a_table_that_names_a_place_before_the_file_is_a_broken_zip(tmp_path):
    """APPNOTE 4.3.16: byte 16 of the last record says where the table begins."""
    data = bytearray(_zip())
    place = len(data) - 22 + 16
    begins = int.from_bytes(data[place : place + 4], "little")
    data[place : place + 4] = (begins + FAR).to_bytes(4, "little")
    path = tmp_path / "study.zip"
    path.write_bytes(data)
    with path.open("rb") as stream, pytest.raises(Problem, match="broken ZIP"):
        _unpacked(stream)


@pytest.mark.parametrize("code", [errno.EIO, errno.ESTALE, errno.ENOSPC])
def test_a_disk_that_cannot_be_read_is_no_broken_zip(monkeypatch, code):
    """Who is told to make the ZIP again would do so in vain, and the operator would not know."""

    def torn(*_):
        raise OSError(code, "of the disk")

    monkeypatch.setattr(zipfile.ZipExtFile, "read", torn)
    with pytest.raises(OSError, match="of the disk"):
        _unpacked(io.BytesIO(_zip()))
