"""SEG: lungs and opacities as a binary segmentation, pixel for pixel on the film (PS3.3 A.51).

Written with a frame of reference of its own and nominal planes: without them OHIF 3.12 shows an
empty page. The plane says nothing of the patient; the spacing is the film's.
"""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np
from highdicom import AlgorithmIdentificationSequence
from highdicom.color import CIELabColor
from highdicom.seg import Segmentation, SegmentDescription
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from hilum.core.details import Details, Opacity, Side
from hilum.core.labels import Code
from hilum.serve.dicom import codes
from hilum.serve.dicom.common import MANUFACTURER, MODEL, ObjectContent, finished, item, printable
from hilum.serve.dicom.source import Points
from hilum.serve.dicom.sr import coded, evidence

NO_SPACING = "the film does not say how far its pixels lie apart"
NOTHING = "no lung and no opacity was found"
_COLORS = {
    Side.RIGHT: CIELabColor(91, -48, -14),
    Side.LEFT: CIELabColor(55, 10, -60),
    Opacity.GROUND_GLASS: CIELabColor(80, 15, 80),
    Opacity.CONSOLIDATION: CIELabColor(53, 80, 67),
}
"""Cyan, blue, amber and red."""


def why_no_seg(subject: ObjectContent) -> str:
    """Say why a film can have no segmentation; "" if it can."""
    if subject.source.spacing_mm is None:
        return NO_SPACING
    return "" if any(True for _ in _segments(subject)) else NOTHING


def make_seg(subject: ObjectContent) -> Dataset:
    """Return lungs and opacities as a Segmentation (1.2.840.10008.5.1.4.1.1.66.4).

    Args:
        subject: whose ``why_no_seg`` is "".
    """
    found = list(_segments(subject))
    film = evidence(subject.source)
    film.FrameOfReferenceUID = subject.uid("frame of reference", film.SOPInstanceUID)
    film.PositionReferenceIndicator = ""
    film.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    film.ImagePositionPatient = [0, 0, 0]
    film.PixelSpacing = [round(each, 6) for each in subject.source.spacing_mm or ()]
    film.SliceThickness = 1
    plane = "detector plane" if subject.source.detector else "plane of the patient"
    dataset = Segmentation(
        source_images=[film],
        pixel_array=np.stack([mask for mask, _ in found], axis=-1)[None],
        segmentation_type="BINARY",
        segment_descriptions=[
            _described(place, what, subject) for place, (_, what) in enumerate(found, start=1)
        ],
        series_instance_uid=subject.series_uid("seg"),
        series_number=1,
        sop_instance_uid="2.25.1",  # the true ones follow from the content
        instance_number=1,
        manufacturer=MANUFACTURER,
        manufacturer_model_name=MODEL,
        software_versions=MODEL,
        device_serial_number=printable(subject.checksum),
        content_label="HILUM",
        content_description=f"Research use only; spacing of the {plane}",
        content_creator_name="",
    )
    if subject.source.orientation:
        dataset.PatientOrientation = list(subject.source.orientation)
    else:
        dataset.PatientOrientation = None
    dimensions = subject.uid("dimensions", film.SOPInstanceUID)
    dataset.DimensionOrganizationSequence[0].DimensionOrganizationUID = dimensions
    for index in dataset.DimensionIndexSequence:
        index.DimensionOrganizationUID = dimensions
    return finished(dataset, "seg", subject, "SEG")


def filled(outlines: list[Points], shape: tuple[int, int]) -> NDArray[np.uint8]:
    """Fill polygons of a stored matrix: uint8 (rows, columns), 1 inside and on the border."""
    mask = np.zeros(shape, np.uint8)
    for outline in outlines:
        centers = np.rint(outline - 0.5).astype(np.int32)
        cv2.fillPoly(mask, [centers], (1,))
    return mask


def _segments(subject: ObjectContent) -> Iterator[tuple[NDArray[np.uint8], Side | Opacity]]:
    details = subject.reading.details or Details()
    placed = subject.placement.outline
    wanted: list[tuple[Side | Opacity, list[Points]]] = [
        (side, [placed(each.outline) for each in details.lungs if each.side is side])
        for side in (Side.RIGHT, Side.LEFT)
    ]
    wanted += [
        (kind, [placed(each.outline) for each in details.lesions if each.kind is kind])
        for kind in (Opacity.GROUND_GLASS, Opacity.CONSOLIDATION)
    ]
    for what, outlines in wanted:
        mask = filled(outlines, subject.source.shape)
        if mask.any():
            yield mask, what


def _described(place: int, what: Side | Opacity, subject: ObjectContent) -> SegmentDescription:
    category, kind, side = _meaning(what)
    identifier = f"lung-{what}" if side else what.value
    described = SegmentDescription(
        segment_number=place,
        segment_label=f"{what.value.capitalize()} lung" if side else kind.meaning,
        segmented_property_category=coded(category),
        segmented_property_type=coded(kind),
        algorithm_type="AUTOMATIC",
        algorithm_identification=AlgorithmIdentificationSequence(
            name=MANUFACTURER,
            family=coded(codes.ARTIFICIAL_INTELLIGENCE),
            version=printable(subject.bundle_version),
            source=MANUFACTURER,
            parameters={"bundle": printable(subject.reading.bundle)},
        ),
        tracking_uid=subject.tracking_uid(identifier),
        tracking_id=identifier,
        anatomic_regions=None if side else [coded(codes.LUNG)],
        display_color=_COLORS[what],
    )
    if side:
        kinds = described.SegmentedPropertyTypeCodeSequence
        kinds[0].SegmentedPropertyTypeModifierCodeSequence = [item(side)]
    return described


def _meaning(what: Side | Opacity) -> tuple[Code, Code, Code | None]:
    if isinstance(what, Side):
        return codes.ANATOMY, codes.LUNG, codes.SIDES[what]
    return codes.ABNORMAL, codes.KINDS[what], None
