"""SR: a reading as Comprehensive SR, Measurement Report TID 1500 (PS3.16).

Every measurement group is a TID 1410 with a region on the film. A finding speaks of the whole film;
its region is the rectangle that the network saw. One group without a region would make OHIF 3.12
show nothing of the document; a site that wants them all the same has ``Form.sr_groups``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import cv2
import numpy as np
from highdicom import sr
from highdicom.sr import CodedConcept
from highdicom.sr.value_types import ContainerContentItem, ContentSequence, TextContentItem
from pydicom.dataset import Dataset

from hilum.core.details import Affected, Details, Lesion, LungDetail, OpacityBox, Severity, Zone
from hilum.core.labels import Code, Label
from hilum.core.reading import RESEARCH_USE, Answer, AppearanceFinding, Finding
from hilum.serve.dicom import codes
from hilum.serve.dicom.codes import OWN
from hilum.serve.dicom.common import (
    MANUFACTURER,
    MODEL,
    ObjectContent,
    PersonMark,
    Sent,
    finished,
    printable,
    uid,
)
from hilum.serve.dicom.source import Points, Source
from hilum.serve.dicom.spread import spread
from hilum.serve.said import said_of

MOST_POINTS = 400
"""Of one outline."""
Group = sr.PlanarROIMeasurementsAndQualitativeEvaluations | sr.MeasurementsAndQualitativeEvaluations
_LONGEST_TEXT = 1024
_CONTAINS = sr.RelationshipTypeValues.CONTAINS
_ANSWERS = {
    Answer.PRESENT: codes.PRESENT,
    Answer.ABSENT: codes.ABSENT,
    Answer.CANNOT_SAY: OWN["cannot-say"],
}


def make_sr(subject: ObjectContent, others: Sequence[Dataset] = ()) -> Dataset:
    """Return a reading as Comprehensive SR (1.2.840.10008.5.1.4.1.1.88.33).

    It is complete, preliminary and unverified: no person has signed it.

    Args:
        subject: the reading and its film.
        others: objects of the same reading that it lists as evidence beside the film (its SEG).
    """
    film, groups = evidence(subject.source), list(_groups(subject))
    spread(groups, subject.source.shape, subject.seen)
    report = sr.MeasurementReport(
        observation_context=sr.ObservationContext(observer_device_context=observer(subject)),
        procedure_reported=_procedures(subject.source),
        imaging_measurements=groups,
        title=coded(codes.REPORT),
        language_of_content_item_and_descendants=sr.LanguageOfContentItemAndDescendants(
            CodedConcept("en", "RFC5646", "English")
        ),
    )
    report[0].ContinuityOfContent = "SEPARATE"
    rows = report[0].ContentSequence
    rows.insert(len(rows) - 1, _library(subject.source))
    rows.append(_comments(subject))
    document = sr.ComprehensiveSR(
        evidence=[film, *others],
        content=report,
        series_instance_uid=subject.series_uid("sr"),
        series_number=1,
        sop_instance_uid="2.25.1",  # the true ones follow from the content
        instance_number=1,
        manufacturer=MANUFACTURER,
        is_complete=True,
        requested_procedures=list(subject.source.requests) or None,
    )
    if subject.former is not None and subject.former.kind == "sr":
        document.PredecessorDocumentsSequence = [_predecessor(subject.source, subject.former)]
    return finished(document, "sr", subject, "SR")


def coded(code: Code, meaning: str = "") -> CodedConcept:
    """Return a code for highdicom; another ``meaning`` names what it is of."""
    return CodedConcept(code.value, code.scheme, printable(meaning or code.meaning))


def evidence(source: Source) -> Dataset:
    """Return what highdicom wants to know of the film: its repaired header."""
    film = Dataset()
    film.SpecificCharacterSet = "ISO_IR 192"
    for element in source.study:
        film[element.tag] = element
    film.SOPClassUID, film.SOPInstanceUID = (
        source.text("SOPClassUID"),
        source.text("SOPInstanceUID"),
    )
    film.SeriesInstanceUID = source.text("SeriesInstanceUID")
    film.Modality = source.text("Modality") or "OT"
    film.Rows, film.Columns = source.shape
    if source.orientation:
        film.PatientOrientation = list(source.orientation)
    return film


def label_words(label: Label) -> str:
    """Name a label at the head of a meaning.

    >>> label_words(Label.COVID_19), label_words(Label.LUNG_OPACITY)
    ('COVID-19', 'Lung opacity')
    """
    if label in (Label.COVID_19, Label.SARS, Label.MERS, Label.ARDS):
        return label.value.upper()
    return label.value.replace("-", " ").capitalize()


def _groups(subject: ObjectContent) -> Iterator[Group]:
    details = subject.reading.details or Details()
    for finding in subject.reading.findings:
        yield _of_finding(subject, finding)
    looks = subject.reading.appearance
    if looks is not None and looks.calibration != "identity":  # else the comments say it in words
        yield _of_appearance(subject, looks)
    if None in details.by_lung or details.severity:
        yield _of_both(subject, details)
    for lung in details.lungs:
        yield _of_lung(subject, lung, details.affected)
    for place, lesion in enumerate(details.lesions[: subject.form.regions], start=1):
        yield _of_lesion(subject, f"opacity-{place}", lesion)
    for place, box in enumerate(details.boxes[: subject.form.regions], start=1):
        yield _of_box(subject, f"box-{place}", box)
    for place, mark in enumerate(subject.marks, start=1):
        yield _of_person(subject, f"person-{place}", mark)


def _of_finding(subject: ObjectContent, finding: Finding) -> Group:
    name = label_words(finding.label)

    def called(own: str) -> CodedConcept:
        return coded(OWN[own], f"{name}, {OWN[own].meaning}")

    numbers = []
    if finding.prevalence is not None:
        numbers.append(_percent(called("probability"), finding.probability))
    numbers.append(_number(called("score"), finding.score))
    if finding.prevalence is not None:
        numbers.append(_percent(called("prevalence"), finding.prevalence))
    numbers.append(_number(called("threshold"), finding.threshold))
    if finding.coverage is not None:
        numbers.append(_percent(called("coverage"), finding.coverage))
    said = [
        sr.QualitativeEvaluation(called("answer"), coded(_ANSWERS[finding.answer])),
        sr.QualitativeEvaluation(
            called("call"), coded(codes.PRESENT if finding.present else codes.ABSENT)
        ),
    ]
    if finding.prediction_set is not None:
        answers = coded(codes.ANSWERS[finding.prediction_set])
        said.append(sr.QualitativeEvaluation(called("prediction-set"), answers))
    return _group(
        subject,
        finding.label.value,
        None,
        codes.CLINICAL_FINDING,
        codes.of_label(finding.label),
        numbers,
        said=said,
        side=codes.BILATERAL,
        asked=finding,
    )


def _of_appearance(subject: ObjectContent, said: AppearanceFinding) -> Group:
    """Return the chances of the four appearances, and the set of those that are left."""
    numbers = [
        _percent(coded(OWN[f"p-{codes.APPEARANCES[each].value}"]), chance)
        for each, chance in said.chances.items()
    ]
    if said.coverage is not None:
        numbers.append(_percent(coded(OWN["coverage"]), said.coverage))
    kept = None
    if said.prediction_set is not None:
        left = [codes.APPEARANCES[each] for each in said.prediction_set]
        kept = [
            sr.QualitativeEvaluation(coded(OWN["appearances"]), coded(each))
            for each in left or [OWN["no-appearance"]]
        ]
    return _group(
        subject,
        "appearance",
        None,
        codes.CLINICAL_FINDING,
        OWN["appearance"],
        numbers,
        said=kept or (),
        side=codes.BILATERAL,
    )


def _of_both(subject: ObjectContent, details: Details) -> Group:
    numbers = []
    if (both := details.by_lung.get(None)) is not None:
        numbers.append(_percent(coded(OWN["opaque"], "Both lungs, opaque share"), both.share))
    for score in details.severity:
        numbers += _scale(score)
    return _group(
        subject,
        "severity",
        None,
        codes.ABNORMAL,
        codes.OPACITY,
        numbers,
        side=codes.BILATERAL,
    )


def _scale(score: Severity) -> Iterator[sr.Measurement]:
    name = codes.SCALES[score.scale]
    for own, value in (
        (name, score.value),
        (f"{name}-low", score.low),
        (f"{name}-high", score.high),
    ):
        yield sr.Measurement(
            name=coded(OWN[own]),
            value=_rounded(value),
            unit=coded(codes.SCORE_UNIT),
            method=coded(codes.ESTIMATED),
        )


def _of_lung(subject: ObjectContent, lung: LungDetail, affected: Sequence[Affected]) -> Group:
    name = f"{lung.side.value.capitalize()} lung"
    numbers: list[sr.Measurement] = []
    for row in affected:
        if row.side is lung.side:
            numbers += _opaque(name, row)
    numbers.append(_percent(coded(OWN["area-film"], f"{name}, area, share of the film"), lung.area))
    return _group(
        subject,
        f"lung-{lung.side}",
        subject.placement.outline(lung.outline),
        codes.ANATOMY,
        codes.LUNG,
        numbers,
        side=codes.SIDES[lung.side],
    )


def _opaque(name: str, row: Affected) -> Iterator[sr.Measurement]:
    """Say how much of a lung is opaque, by kind; of a zone only how much."""
    if row.zone is not None and row.side is not None:
        own = OWN[f"opaque-{row.zone}"]
        yield _percent(coded(own, f"{name}, {own.meaning}"), row.share, zone=row.zone)
        return
    for own, value in (
        (OWN["opaque"], row.share),
        *((OWN[codes.SHARES[kind]], value) for kind, value in row.kinds.items()),
    ):
        yield _percent(coded(own, f"{name}, {own.meaning}"), value)


def _of_lesion(subject: ObjectContent, name: str, lesion: Lesion) -> Group:
    return _group(
        subject,
        name,
        subject.placement.outline(lesion.outline),
        codes.ABNORMAL,
        codes.KINDS[lesion.kind],
        [
            _percent(coded(OWN["area-lungs"]), lesion.area),
            _number(coded(OWN["mean-score"]), lesion.score),
        ],
    )


def _of_box(subject: ObjectContent, name: str, box: OpacityBox) -> Group:
    return _group(
        subject,
        name,
        subject.placement.box(*box.box),
        codes.ABNORMAL,
        codes.OPACITY,
        [_number(coded(OWN["box-score"]), box.score)],
    )


def _of_person(subject: ObjectContent, name: str, mark: PersonMark) -> Group:
    """Return what a person drew, with that person as its observer."""
    film = subject.source.reference
    points = mark.line(subject.placement)
    kind = "POINT" if len(points) == 1 else "POLYLINE"
    numbers = []
    if mark.measured is not None:
        what, unit, pixels = codes.LENGTH, codes.MILLIMETER, codes.PIXELS
        if mark.power == 2:
            what, unit, pixels = codes.AREA, codes.SQUARE_MILLIMETER, codes.SQUARE_PIXELS
        unit = unit if mark.millimeters else pixels
        number = round(mark.measured, 1)
        numbers.append(sr.Measurement(name=coded(what), value=number, unit=coded(unit)))
    own = subject.tracking_uid(f"{mark.by} {mark.kind} {mark.points}")
    group = sr.PlanarROIMeasurementsAndQualitativeEvaluations(
        tracking_identifier=sr.TrackingIdentifier(own, name),
        referenced_region=sr.ImageRegion(
            kind,
            points,
            sr.SourceImageForRegion(film.ReferencedSOPClassUID, film.ReferencedSOPInstanceUID),
        ),
        measurements=numbers or None,
    )
    rows = group[0].ContentSequence
    person = sr.PersonObserverIdentifyingAttributes(name=printable(mark.by.replace("^", " ")))
    rows.extend(sr.ObserverContext(coded(codes.PERSON), person))
    rows.append(TextContentItem(coded(codes.COMMENT), mark.words, _CONTAINS))
    return group


def _group(
    subject: ObjectContent,
    identifier: str,
    outline: Points | None,
    category: Code,
    finding: Code,
    numbers: Sequence[sr.Measurement],
    *,
    said: Sequence[sr.QualitativeEvaluation] = (),
    side: Code | None = None,
    asked: Finding | None = None,
) -> Group:
    """Make a group; without an outline it speaks of the whole film."""
    film = subject.source.reference
    named = film.ReferencedSOPClassUID, film.ReferencedSOPInstanceUID
    content: dict[str, Any] = {
        "tracking_identifier": sr.TrackingIdentifier(subject.tracking_uid(identifier), identifier),
        "finding_type": coded(finding),
        "finding_category": coded(category),
        "finding_sites": [sr.FindingSite(coded(codes.LUNG), coded(side) if side else None)],
        "algorithm_id": algorithm(subject, asked),
        "measurements": list(numbers),
        "qualitative_evaluations": list(said) or None,
    }
    if outline is None and subject.form.sr_groups == "air":
        images = [sr.SourceImageForMeasurementGroup(*named)]
        return sr.MeasurementsAndQualitativeEvaluations(**content, source_images=images)
    region = sr.ImageRegion(
        sr.GraphicTypeValues.POLYLINE,
        closed(subject.seen if outline is None else outline),
        sr.SourceImageForRegion(*named),
    )
    return sr.PlanarROIMeasurementsAndQualitativeEvaluations(**content, referenced_region=region)


def closed(outline: Points) -> Points:
    """Return a closed polygon of at most ``MOST_POINTS``, the first point again at its end."""
    away = 0.5
    points = outline
    while len(points) >= MOST_POINTS:
        simpler = cv2.approxPolyDP(outline.astype(np.float32), away, closed=True)
        points, away = simpler[:, 0].astype(float), away * 1.5
    return np.concatenate([points, points[:1]])


def algorithm(subject: ObjectContent, asked: Finding | None = None) -> sr.AlgorithmIdentification:
    """Say which bundle answered, and how it was asked (TID 4019)."""
    said = [f"bundle {printable(subject.reading.bundle, _LONGEST_TEXT)}"]
    if asked is not None:
        said.append(f"operating point {printable(asked.operating_point)} {asked.threshold:g}")
        said.append(f"calibration {printable(asked.calibration)}")
    if asked is not None and asked.prevalence is not None:
        said.append(f"prevalence {asked.prevalence:g}")
    if asked is not None and asked.coverage is not None:
        said.append(f"coverage of the prediction set {asked.coverage:g}")
    return sr.AlgorithmIdentification(
        name=MANUFACTURER,
        version=printable(subject.bundle_version),
        parameters=said,
        family=coded(codes.ARTIFICIAL_INTELLIGENCE),
        manufacturer=MANUFACTURER,
    )


def observer(subject: ObjectContent) -> sr.ObserverContext:
    """Name the bundle as the device that observed."""
    device = sr.DeviceObserverIdentifyingAttributes(
        uid=uid("device", subject.reading.bundle),
        name=MODEL,
        manufacturer_name=MANUFACTURER,
        model_name=printable(subject.reading.bundle),
        serial_number=printable(subject.checksum),
    )
    return sr.ObserverContext(coded(codes.DEVICE), device)


def _predecessor(source: Source, former: Sent) -> Dataset:
    """Return the SR that this one replaces (PS3.3 C.17.2, Predecessor Documents Sequence)."""
    study, series, document = Dataset(), Dataset(), Dataset()
    document.ReferencedSOPClassUID = former.sop_class
    document.ReferencedSOPInstanceUID = former.sop_uid
    series.SeriesInstanceUID, series.ReferencedSOPSequence = former.series_uid, [document]
    study.StudyInstanceUID = source.text("StudyInstanceUID")
    study.ReferencedSeriesSequence = [series]
    return study


def _procedures(source: Source) -> list[CodedConcept]:
    """Return the film's own procedures; PixelMed takes "plain chest X-ray" for an error."""
    given = [
        CodedConcept(each.CodeValue, each.CodingSchemeDesignator, each.CodeMeaning)
        for each in source.study.get("ProcedureCodeSequence", [])
    ]
    return given or [coded(codes.IMAGING_PROCEDURE)]


def _library(source: Source) -> ContainerContentItem:
    """Return row 5 of the template: the film, as far as its header describes it (TID 1600)."""
    context = sr.RelationshipTypeValues.HAS_ACQ_CONTEXT
    modality = codes.MODALITIES.get(source.text("Modality"), codes.OTHER_MODALITY)
    rows, columns = source.shape
    said: list[sr.ContentItem] = [
        sr.CodeContentItem(coded(codes.MODALITY), coded(modality), context)
    ]
    sizes: list[tuple[Code, float, Code]] = [
        (codes.PIXEL_ROWS, rows, codes.PIXELS),
        (codes.PIXEL_COLUMNS, columns, codes.PIXELS),
    ]
    if source.spacing_mm:
        down, across = source.spacing_mm
        sizes.append((codes.HORIZONTAL_SPACING, _rounded(across), codes.MILLIMETER))
        sizes.append((codes.VERTICAL_SPACING, _rounded(down), codes.MILLIMETER))
    said += [
        sr.NumContentItem(coded(name), value, coded(unit), relationship_type=context)
        for name, value, unit in sizes
    ]
    names = codes.ROW_ORIENTATION, codes.COLUMN_ORIENTATION
    said += [
        sr.TextContentItem(coded(name), value, context)
        for name, value in zip(names, source.orientation, strict=False)
    ]
    film = source.reference
    image = sr.ImageContentItem(
        coded(codes.SOURCE),
        film.ReferencedSOPClassUID,
        film.ReferencedSOPInstanceUID,
        relationship_type=_CONTAINS,
    )
    image.ContentSequence = ContentSequence(said)
    group = ContainerContentItem(coded(codes.IMAGE_LIBRARY_GROUP), relationship_type=_CONTAINS)
    group.ContentSequence = ContentSequence([image])
    library = ContainerContentItem(coded(codes.IMAGE_LIBRARY), relationship_type=_CONTAINS)
    library.ContentSequence = ContentSequence([group])
    return library


def _comments(subject: ObjectContent) -> ContainerContentItem:
    """Return row 12 of the template: what a reader must know."""
    told = said_of(subject.reading)
    said = [RESEARCH_USE, told.trained, told.sides]
    if looks := told.appearance:
        said.append(f"{looks.line}. {looks.notice}")
    said += [printable(note, _LONGEST_TEXT) for note in (told.refusal, *told.notes)]
    container = ContainerContentItem(
        coded(codes.QUALITATIVE_EVALUATIONS), relationship_type=_CONTAINS
    )
    container.ContentSequence = ContentSequence(
        [TextContentItem(coded(codes.COMMENT), text, _CONTAINS) for text in said if text]
    )
    return container


def _percent(name: CodedConcept, value: float, zone: Zone | None = None) -> sr.Measurement:
    site = [sr.FindingSite(coded(codes.ZONES[zone]))] if zone else None
    unit = coded(codes.PERCENT)
    return sr.Measurement(name=name, value=_rounded(100 * value), unit=unit, finding_sites=site)


def _number(name: CodedConcept, value: float) -> sr.Measurement:
    return sr.Measurement(name=name, value=_rounded(value), unit=coded(codes.NO_UNITS))


def _rounded(value: float) -> float:
    """Keep four decimals: a reading has no more, and a decimal string at most 16 signs."""
    return round(float(value), 4)
