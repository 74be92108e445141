"""Documents: a reading as a picture (SC) and as a page (PDF), for whoever shows nothing else."""

from __future__ import annotations

from functools import cache
from textwrap import wrap

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from pydicom.dataset import Dataset
from pydicom.uid import EncapsulatedPDFStorage, SecondaryCaptureImageStorage

from hilum.bundle.folder import Bundle
from hilum.core.reading import RESEARCH_USE, Status
from hilum.image.open import open_radiograph
from hilum.image.write import jpeg
from hilum.serve.dicom.codes import REPORT
from hilum.serve.dicom.common import ObjectContent, finished, item
from hilum.serve.heatmap import thumbnail
from hilum.serve.marks import STYLES, draw_lines, layers_of, marks_of
from hilum.serve.pdf.blocks import QUALITY, SIDE, PdfPage
from hilum.serve.pdf.pen import FONTS
from hilum.serve.pdf.report import PdfReport
from hilum.serve.said import said_of

_STRIP = 0.08
"""Height of each strip, as a share of the film's; more where the words need it."""
BANNER = "RESEARCH USE ONLY, NOT A MEDICAL DEVICE"
_WHITE, _DIM, _WARN = (255, 255, 255), (190, 190, 190), (255, 190, 60)
_GRAY = (70, 70, 70)
_LARGEST, _SMALLEST = 26, 7
_CARD_LETTERS = 72
Line = list[tuple[str, tuple[int, int, int]]]
"""Pieces of text, each with its color."""


def make_sc(subject: ObjectContent) -> Dataset:
    """Return the film with its marks as Secondary Capture (1.2.840.10008.5.1.4.1.1.7), in color.

    It lies as in its file. The words stand on strips that are added above and below: nothing of the
    film is covered by them, and they name no patient. Of a film that was refused it is a gray card
    that says why.
    """
    read = subject.reading.status is Status.READ
    dataset = Dataset()
    dataset.SOPClassUID = SecondaryCaptureImageStorage
    dataset.ConversionType = "WSD"
    dataset.ImageType = ["DERIVED", "SECONDARY"]
    dataset.ContentDate = dataset.ContentTime = ""
    dataset.Laterality = ""
    dataset.PatientOrientation = list(subject.source.orientation) * read or None
    dataset.DerivationDescription = f"Marks of {subject.reading.bundle[:200]}; {RESEARCH_USE}"
    dataset.SourceImageSequence = [subject.source_item()]
    burned = subject.source.text("BurnedInAnnotation") if read else "NO"
    if burned in ("YES", "NO"):
        dataset.BurnedInAnnotation = burned
    if read and subject.source.text("LossyImageCompression") == "01":
        dataset.LossyImageCompression = "01"
        for keyword in ("LossyImageCompressionRatio", "LossyImageCompressionMethod"):
            if keyword in subject.source.header:
                dataset[keyword] = subject.source.header[keyword]
    picture = _picture(subject) if read else _card(subject)
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 3, "RGB"
    dataset.PlanarConfiguration = 0
    dataset.Rows, dataset.Columns = picture.shape[:2]
    dataset.BitsAllocated = dataset.BitsStored = 8
    dataset.HighBit, dataset.PixelRepresentation = 7, 0
    pixels = picture.tobytes()
    dataset.PixelData = pixels + b"\0" * (len(pixels) % 2)
    dataset["PixelData"].VR = "OB"
    modality = subject.source.text("Modality") if subject.form.sc_modality == "source" else ""
    return finished(dataset, "sc", subject, modality or "OT")


def why_no_pdf(subject: ObjectContent, bundle: Bundle) -> str:
    """Say why a reading has no page: it says how far one bundle can be trusted, not another."""
    if bundle.identity == subject.reading.bundle:
        return ""
    return f"the reading is of {subject.reading.bundle}, the bundle here is {bundle.identity}"


def make_pdf(subject: ObjectContent, bundle: Bundle) -> Dataset:
    """Return the report as Encapsulated PDF (1.2.840.10008.5.1.4.1.1.104.1).

    Args:
        subject: the reading and its film.
        bundle: whose ``why_no_pdf`` is "".
    """
    report = PdfReport(bundle, made=subject.moment)
    report.add(_sheet(subject))
    pdf = report.finish()
    dataset = Dataset()
    dataset.SOPClassUID = EncapsulatedPDFStorage
    dataset.ConversionType = "WSD"
    dataset.ContentDate = dataset.ContentTime = ""
    dataset.AcquisitionDateTime = ""
    # the film on the page may name the patient, unless its file denies that
    denied = subject.source.text("BurnedInAnnotation") == "NO"
    dataset.BurnedInAnnotation = "NO" if denied else "YES"
    dataset.RecognizableVisualFeatures = "NO"
    dataset.VerificationFlag = "UNVERIFIED"
    dataset.DocumentTitle = "Chest radiograph: reading by a model (research use only)"
    dataset.ConceptNameCodeSequence = [item(REPORT)]
    dataset.SourceInstanceSequence = [subject.source.reference]
    dataset.MIMETypeOfEncapsulatedDocument = "application/pdf"
    dataset.EncapsulatedDocumentLength = len(pdf)
    dataset.EncapsulatedDocument = pdf + b"\0" * (len(pdf) % 2)
    return finished(dataset, "pdf", subject, "DOC")


def _sheet(subject: ObjectContent) -> PdfPage:
    """Prepare the page as the report does, without a heatmap: evidence is not kept in a reading."""
    film = open_radiograph(subject.path, max_megapixels=subject.max_megapixels, turned=False).pixels
    small = thumbnail(subject.placement.as_read(film), SIDE)
    name = f"{subject.source.text('Modality')} {subject.source.text('SOPInstanceUID')}".strip()
    marks = marks_of(subject.reading.details)
    return PdfPage(subject.reading, name, subject.shape, jpeg(small, QUALITY), marks=marks)


def _picture(subject: ObjectContent) -> NDArray[np.uint8]:
    """Draw: uint8 (H, W, 3)."""
    film = open_radiograph(subject.path, max_megapixels=subject.max_megapixels, turned=False).pixels
    small = thumbnail(film, subject.form.sc_long_side)
    if subject.placement.inverted:
        small = np.float32(1) - small
    scale = np.array(small.shape[::-1]) / np.array(subject.source.shape[::-1])
    marks = marks_of(subject.reading.details)
    picture = draw_lines(small, [(mark.layer, subject.drawn(mark) * scale) for mark in marks])
    width = small.shape[1]
    least = round(_STRIP * small.shape[0])
    above = _strip([[(BANNER, _WARN)]], width, least)
    told = said_of(subject.reading)
    said = [[(each, _WHITE)] for each in told.overlay]
    said.append([(told.trained, _WARN)])
    said.append([(f"{STYLES[each].words}   ", STYLES[each].color) for each in layers_of(marks)])
    said.append([(f"read by {subject.reading.bundle}", _DIM)])
    said.append([(told.sides, _DIM)])
    below = _strip(said, width, least)
    return np.vstack([above, picture, below])


def _card(subject: ObjectContent) -> NDArray[np.uint8]:
    """Say why a film was not read: uint8 (H, W, 3)."""
    reading, width = subject.reading, subject.form.sc_long_side
    height = width * 9 // 16
    said: list[Line] = [[("This film was not read by the model:", _WHITE)]]
    said += [[(each, _WARN)] for each in wrap(reading.reason or "", _CARD_LETTERS)]
    said += [[(each, _WHITE)] for each in wrap(reading.hint or "", _CARD_LETTERS)]
    said.append([(f"refused by {reading.bundle}", _WHITE)])
    above = _strip([[(BANNER, _WARN)]], width, round(_STRIP * height))
    return np.vstack([above, _strip(said, width, height, _GRAY)])


def _strip(
    said: list[Line], width: int, least: int, ground: str | tuple[int, int, int] = "black"
) -> NDArray[np.uint8]:
    """Write lines on a ground, as large as the longest fits into the width."""
    texts = ["".join(text for text, _ in line) for line in said]
    longest = max(map(_font(100).getlength, texts)) / 100
    size = int(min(_LARGEST, max(_SMALLEST, 0.96 * width / longest)))
    kept = [line for line, text in zip(said, texts, strict=True) if text]
    step = round(1.4 * size)
    height = max(least, step * len(kept) + step // 2)
    strip = Image.new("RGB", (width, height), ground)
    draw = ImageDraw.Draw(strip)
    top = (height - step * len(kept)) // 2
    for line in kept:
        left = 0.02 * width
        for text, color in line:
            draw.text((left, top), text, color, _font(size))
            left += _font(size).getlength(text)
        top += step
    return np.asarray(strip, np.uint8)


@cache
def _font(size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(FONTS / "DejaVuSans.ttf", size)
