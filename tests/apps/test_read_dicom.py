"""``hilum read --dicom``: objects of each film in a folder."""

from __future__ import annotations

import pytest
from pydicom import dcmread

from hilum.apps.cli.main import run
from hilum.serve.samples import ROOT

FILM = ROOT / "frontal.dcm"


@pytest.fixture
def read(small_bundle, capsys):
    def call(*arguments):
        code = run(["read", "--bundle", str(small_bundle), *map(str, arguments)])
        return code, capsys.readouterr().err

    return call


def test_every_kind_that_was_asked_for_is_a_file(read, tmp_path):
    out = tmp_path / "out"
    code, said = read(FILM, "--dicom", out, "--objects", "sr,gsps,pdf")
    assert code == 0, said
    assert sorted(path.name for path in out.iterdir()) == [
        "frontal.gsps.dcm",
        "frontal.pdf.dcm",
        "frontal.sr.dcm",
    ]
    assert f"wrote 3 DICOM objects to {out}" in said
    assert dcmread(out / "frontal.sr.dcm").SeriesDescription == (
        "Hilum 0.0.1 SR (research use only)"
    )


def test_again_gives_the_same_bytes_under_another_name(read, tmp_path):
    other = tmp_path / "other.dcm"
    other.write_bytes(FILM.read_bytes())
    read(FILM, other, "--dicom", tmp_path)
    for kind in ("sr", "sc"):
        first, second = (tmp_path / f"{name}.{kind}.dcm" for name in ("frontal", "other"))
        assert first.read_bytes() == second.read_bytes()


def test_a_picture_has_no_study_to_belong_to(read, tmp_path):
    code, said = read(ROOT / "frontal.png", FILM, "--dicom", tmp_path, "--objects", "sc")
    assert code == 3
    assert "frontal.png: no DICOM file; expected a film of a study" in said
    assert [path.name for path in tmp_path.iterdir()] == ["frontal-2.sc.dcm"]


def test_what_a_film_cannot_have_is_said(read, tmp_path):
    film = dcmread(FILM)
    del film.ImagerPixelSpacing
    film.save_as(tmp_path / "film.dcm")
    code, said = read(tmp_path / "film.dcm", "--dicom", tmp_path / "out", "--objects", "seg,sc")
    assert code == 0
    assert "film.dcm: no seg: the film does not say how far its pixels lie apart" in said
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["film.sc.dcm"]


def test_a_kind_that_is_none_is_refused_before_a_film_is_read(read, tmp_path):
    code, said = read(FILM, "--dicom", tmp_path, "--objects", "sr,pfd")
    assert code == 6
    assert "object 'pfd': expected seg, gsps, sc, pdf, sr" in said


def test_the_missing_extra_is_named(read, tmp_path, monkeypatch):
    from hilum.core import extras

    monkeypatch.setitem(extras.EXTRAS, "pacs", ("no_such_module",))
    code, said = read(FILM, "--dicom", tmp_path)
    assert code == 8
    assert "pip install 'hilum[pacs]'" in said
