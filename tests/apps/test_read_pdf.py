from __future__ import annotations

import pytest

from hilum.apps.cli.main import run

pypdf = pytest.importorskip("pypdf")


@pytest.fixture
def read(small_bundle, capsys):
    def call(*arguments):
        code = run(["read", "--bundle", str(small_bundle), *map(str, arguments)])
        return code, capsys.readouterr().err

    return call


def test_one_file_has_a_page_for_every_film_in_input_order(read, films, tmp_path):
    out = tmp_path / "ward.pdf"
    code, said = read(films / "b.jpg", films / "blank.png", "--pdf", out, "--paper", "Letter")
    assert code == 3
    assert f"wrote {out}: 2 pages" in said
    pages = pypdf.PdfReader(out).pages
    assert ["b.jpg" in pages[0].extract_text(), "blank.png" in pages[1].extract_text()] == [
        True
    ] * 2
    assert float(pages[0].mediabox.width) == 612
    assert "Not read" in pages[1].extract_text()


def test_a_folder_has_a_file_for_every_film(read, films, tmp_path):
    code, said = read(films / "a.png", films / "sub", films / "a.png", "--pdf", tmp_path / "out")
    assert code == 0
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "a-2.pdf",
        "a.pdf",
        "c.pdf",
    ]
    assert f"wrote 3 PDF files to {tmp_path / 'out'}" in said


def test_a_pdf_carries_details_without_being_asked(read, films, tmp_path, monkeypatch):
    from hilum.serve import pdf

    seen = []
    add = pdf.PdfReport.add
    monkeypatch.setattr(
        pdf.PdfReport, "add", lambda self, one: (seen.append(one.reading), add(self, one))[1]
    )
    read(films / "a.png", "--pdf", tmp_path / "a.pdf")
    assert seen[0].details is not None


@pytest.mark.parametrize("option", ["--pdf", "--html"])
def test_a_place_that_cannot_be_written_is_refused_before_a_film_is_read(
    read, films, tmp_path, option
):
    place = tmp_path / "there"
    place.mkdir() if option == "--html" else place.touch()
    code, said = read(films / "a.png", option, place)
    assert code == 6
    wanted = {
        "--html": "a folder; expected the name of a file",
        "--pdf": "is a file; expected NAME",
    }
    assert f"{place}: {wanted[option]}" in said
    assert "wrote" not in said
