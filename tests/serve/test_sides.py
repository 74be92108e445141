"""One patient, stored L\\F and mirrored as R\\F: the same lungs have the same names everywhere."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.uid import ExplicitVRLittleEndian

from hilum.apps.cli.table import ReadingTable
from hilum.core.radiograph import Sides
from hilum.image.open import open_radiograph
from hilum.serve.pdf import PdfPage, PdfReport
from hilum.serve.reader import load_bundle
from hilum.serve.report import HtmlReport
from hilum.serve.samples import ROOT

WAYS = {"plain": ("L", "F"), "mirrored": ("R", "F"), "turned": ("H", "R"), "silent": None}


@pytest.fixture(scope="module")
def reader():
    return load_bundle()


@pytest.fixture(scope="module")
def examined(reader, tmp_path_factory):
    """The built-in film with opacities, as four scanners would store it."""
    folder = tmp_path_factory.mktemp("sides")
    pixels = np.rint(open_radiograph(ROOT / "frontal-opacities.png").pixels * 4095)
    lying = {
        "plain": pixels,
        "mirrored": pixels[:, ::-1],
        # rows run to the head, columns to the right: both axes turned, then rows for columns
        "turned": pixels[::-1, ::-1].T,
        "silent": pixels,
    }
    paths = [_store(folder / f"{name}.dcm", lying[name], way) for name, way in WAYS.items()]
    return dict(zip(WAYS, reader.examine(paths, details=True, keep=True), strict=True))


def _store(path: Path, pixels: np.ndarray, way: tuple[str, str] | None) -> Path:
    dataset = dcmread(ROOT / "frontal.dcm")
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.PhotometricInterpretation, dataset.PresentationLUTShape = "MONOCHROME2", "IDENTITY"
    dataset.Rows, dataset.Columns = pixels.shape
    dataset.PixelData = np.ascontiguousarray(pixels).astype("<u2").tobytes()
    del dataset.PatientOrientation
    if way:
        dataset.PatientOrientation = list(way)
    dataset.save_as(path)
    return path


@pytest.mark.parametrize("name", ["mirrored", "turned"])
def test_the_same_lungs_have_the_same_names_and_shares(examined, name):
    plain, other = examined["plain"].reading, examined[name].reading
    shares = {row.side: row.share for row in plain.details.affected if row.side and not row.zone}
    assert abs(shares["right"] - shares["left"]) > 0.01, "the film tells its sides apart"
    for part in ("lungs", "affected", "lesions", "boxes"):
        assert getattr(other.details, part) == getattr(plain.details, part)
    assert [f.probability for f in other.findings] == pytest.approx(
        [f.probability for f in plain.findings], abs=1e-5
    )
    assert np.array_equal(examined[name].radiograph.pixels, examined["plain"].radiograph.pixels)
    assert other.film["sides"] == Sides.STATED
    assert other.film["orientation"] == ("L", "F")
    assert any(step.startswith("orientation: stored ") for step in other.history)


def test_what_is_assumed_is_said_in_every_report(examined, reader, tmp_path, capsys):
    from pypdf import PdfReader

    for name, assumed in (("silent", True), ("mirrored", False)):
        one = examined[name]
        assert (one.reading.film["sides"] == Sides.ASSUMED) is assumed
        page = HtmlReport(reader)
        page.add(one)
        assert ("Right and left are assumed" in page.html()) is assumed
        assert ("a marker in the picture is not read" in page.html()) is assumed
        pdf = PdfReport(reader.bundle)
        pdf.add(PdfPage.of(one, reader))
        pdf.write(tmp_path / f"{name}.pdf")
        text = re.sub(r"\s+", " ", PdfReader(tmp_path / f"{name}.pdf").pages[0].extract_text())
        assert ("Right and left are assumed" in text) is assumed
        ReadingTable(reader.bundle).add(one)
        printed = re.sub(r"\s+", " ", capsys.readouterr().out)
        assert ("sides assumed" in printed) is assumed
        assert ("orientation: stored R\\F" in printed) is not assumed
