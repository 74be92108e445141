"""GSPS: the marks over the film itself, in layers that a viewer can hide (PS3.3 A.33)."""

from __future__ import annotations

import numpy as np
from pydicom.dataset import Dataset
from pydicom.uid import GrayscaleSoftcopyPresentationStateStorage

from hilum.core.reading import RESEARCH_USE
from hilum.image.dicom_grey import read_windows, rescale, voi_tables
from hilum.image.dicom_values import items_of, numbers
from hilum.image.stored import open_stored
from hilum.serve.dicom.common import ObjectContent, finished
from hilum.serve.dicom.source import Points
from hilum.serve.dicom.sr import closed
from hilum.serve.marks import ClosedLine, Layer, marks_of
from hilum.serve.said import said_of

_SHORT_TEXT = 1024
"""Most characters of VR ST (PS3.5 6.2)."""
IN_COLOR = "the film is in color, which a grayscale presentation state cannot show"
LAYERS = {
    "HILUM_LUNGS": "outlines of the lungs",
    "HILUM_OPAC": "opacities and boxes around them",
    "HILUM_TEXT": "research use only, and the findings",
    "PERSON": "what persons drew and measured",
}
"""Graphic layers in their order, and what is in them."""


def why_no_gsps(subject: ObjectContent) -> str:
    """Say why a film can have no presentation state; "" if it can."""
    return "" if subject.source.text("PhotometricInterpretation").startswith("MONO") else IN_COLOR


def make_gsps(subject: ObjectContent) -> Dataset:
    """Return the marks as Grayscale Softcopy Presentation State (1.2.840.10008.5.1.4.1.1.11.1)."""
    dataset = Dataset()
    dataset.SOPClassUID = GrayscaleSoftcopyPresentationStateStorage
    dataset.ContentLabel = "HILUM"
    dataset.ContentDescription = RESEARCH_USE
    dataset.ContentCreatorName = ""
    dataset.PresentationCreationDate = dataset.PresentationCreationTime = ""
    dataset.Laterality = ""
    dataset.ReferencedSeriesSequence = [subject.series_item()]
    dataset.DisplayedAreaSelectionSequence = [_area(subject)]
    dataset.GraphicLayerSequence = [
        _layer(place, name) for place, name in enumerate(LAYERS, start=1)
    ]
    annotations = [
        _graphics(name, [closed(subject.drawn(mark)) for mark in marks], subject)
        for name, marks in (
            ("HILUM_LUNGS", [each for each in _marks(subject) if each.layer is Layer.LUNGS]),
            ("HILUM_OPAC", [each for each in _marks(subject) if each.layer is not Layer.LUNGS]),
        )
        if marks
    ]
    annotations.append(_text("HILUM_TEXT", 0.01, _words(subject), subject))
    if subject.marks:
        drawn = _graphics("PERSON", [m.line(subject.placement) for m in subject.marks], subject)
        said = _text("PERSON", 0.9, [mark.words for mark in subject.marks[:8]], subject)
        drawn.TextObjectSequence = said.TextObjectSequence
        annotations.append(drawn)
    dataset.GraphicAnnotationSequence = annotations
    _modality(dataset, subject)
    dataset.SoftcopyVOILUTSequence = [_voi(subject)]
    turned = any(step.startswith("polarity: ") for step in subject.reading.history)
    inverse = turned != subject.placement.inverted
    dataset.PresentationLUTShape = "INVERSE" if inverse else "IDENTITY"
    return finished(dataset, "gsps", subject, "PR")


def _marks(subject: ObjectContent) -> tuple[ClosedLine, ...]:
    return marks_of(subject.reading.details)


def _area(subject: ObjectContent) -> Dataset:
    rows, columns = subject.source.shape
    area = Dataset()
    area.DisplayedAreaTopLeftHandCorner = [1, 1]
    area.DisplayedAreaBottomRightHandCorner = [columns, rows]
    area.PresentationSizeMode = "SCALE TO FIT"
    ratio = numbers(subject.source.header, "PixelAspectRatio")
    if subject.source.spacing_mm:
        area.PresentationPixelSpacing = [round(each, 6) for each in subject.source.spacing_mm]
    elif len(ratio) == 2 and min(ratio) >= 1:
        area.PresentationPixelAspectRatio = [int(each) for each in ratio]
    else:
        area.PresentationPixelAspectRatio = [1, 1]
    return area


def _layer(place: int, name: str) -> Dataset:
    layer = Dataset()
    layer.GraphicLayer, layer.GraphicLayerOrder = name, place
    layer.GraphicLayerDescription = LAYERS[name]
    return layer


def _graphics(name: str, lines: list[Points], subject: ObjectContent) -> Dataset:
    annotation = Dataset()
    annotation.ReferencedImageSequence = [subject.source.reference]
    annotation.GraphicLayer = name
    annotation.GraphicObjectSequence = []
    for points in lines:
        line = Dataset()
        line.GraphicAnnotationUnits = "PIXEL"
        line.GraphicDimensions = 2
        line.NumberOfGraphicPoints = len(points)
        line.GraphicData = [float(each) for each in np.round(points, 2).ravel()]
        line.GraphicType = "POLYLINE" if len(points) > 1 else "POINT"
        if len(points) > 2:
            line.GraphicFilled = "N"
        annotation.GraphicObjectSequence.append(line)
    return annotation


def _words(subject: ObjectContent) -> list[str]:
    return ["HILUM research use only", *said_of(subject.reading).overlay[:8]]


def _text(name: str, top: float, words: list[str], subject: ObjectContent) -> Dataset:
    annotation = Dataset()
    annotation.ReferencedImageSequence = [subject.source.reference]
    annotation.GraphicLayer = name
    said = Dataset()
    said.BoundingBoxAnnotationUnits = "DISPLAY"
    said.BoundingBoxTopLeftHandCorner = [0.01, top]
    said.BoundingBoxBottomRightHandCorner = [0.5, round(top + 0.09, 2)]
    said.BoundingBoxTextHorizontalJustification = "LEFT"
    said.UnformattedTextValue = "\r\n".join(words)[:_SHORT_TEXT]
    annotation.TextObjectSequence = [said]
    return annotation


def _modality(dataset: Dataset, subject: ObjectContent) -> None:
    """Keep the modality LUT of the film: a presentation state stands in place of it."""
    header = subject.source.header
    if tables := items_of(header, "ModalityLUTSequence"):
        dataset.ModalityLUTSequence = [tables[0]]
        return
    slope, intercept = rescale(header, [])
    if (slope, intercept) != (1.0, 0.0):
        dataset.RescaleSlope, dataset.RescaleIntercept = f"{slope:.10g}", f"{intercept:.10g}"
        dataset.RescaleType = subject.source.text("RescaleType") or "US"


def _voi(subject: ObjectContent) -> Dataset:
    """Return the window through which the film was read; without one a viewer shows it flat."""
    header, voi = subject.source.header, Dataset()
    voi.ReferencedImageSequence = [subject.source.reference]
    if tables := voi_tables(header):
        voi.VOILUTSequence = [tables[0]]
        return voi
    named = read_windows(header)
    if named.pairs and named.function != "LINEAR":
        center, width, _ = named.pairs[0]
        voi.VOILUTFunction = named.function
    else:
        film = open_stored(subject.path, turned=False)
        low, high = 0.0, float(film.top)
        if film.windows:
            low, high = film.windows[0].low, film.windows[0].high
        low, high = sorted(each * film.slope + film.intercept for each in (low, high))
        center, width = (low + high + 1) / 2, max(high - low + 1, 1.0)  # PS3.3 C.11.2.1.2.1
    voi.WindowCenter, voi.WindowWidth = f"{center:.10g}", f"{width:.10g}"
    return voi
