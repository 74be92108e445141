"""Source: the film as it lies in its file, and what its header gives to the objects made from it.

Objects belong to the film's patient and study, so they copy those modules (PS3.3 C.7.1, C.7.2) from
its header, repaired: what is missing and must be there is empty, what cannot be is left out. They
are drawn in the matrix that the file stores, whichever way the film was turned to be read.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import config
from pydicom.datadict import dictionary_VR
from pydicom.dataset import Dataset
from pydicom.uid import UID
from pydicom.valuerep import validate_value

from hilum.core.errors import UnsupportedImageError
from hilum.image.dicom import FILM_CLASSES
from hilum.image.dicom_header import parse
from hilum.image.dicom_spacing import spacing_of
from hilum.image.dicom_values import code_of, items_of, text_of
from hilum.image.limits import gathered_warnings
from hilum.image.open import MAX_MEGAPIXELS, check_file, read_file
from hilum.image.sniff import SNIFFED_BYTES, FileKind, sniff
from hilum.image.turns import TURNS, turn_upright
from hilum.serve.gate import CORRECTIONS

Points = NDArray[np.float64]
"""(N, 2): x and y from the upper left corner of the upper left pixel (PS3.3 C.18.6.1.1)."""

_CODE: dict[str, Any] = {"CodeValue": 1, "CodingSchemeDesignator": 1, "CodeMeaning": 1}
_ISSUER: dict[str, Any] = {
    "LocalNamespaceEntityID": 1,
    "UniversalEntityID": 1,
    "UniversalEntityIDType": 1,
}
_REQUIRED = (
    "PatientName",
    "PatientID",
    "PatientBirthDate",
    "PatientSex",
    "StudyDate",
    "StudyTime",
    "StudyID",
    "AccessionNumber",
    "ReferringPhysicianName",
)
"""Type 2: present, and empty where the film does not say it or says what cannot be."""
COPIED: dict[str, Any] = dict.fromkeys(_REQUIRED, 1) | {
    "IssuerOfPatientID": 1,
    "OtherPatientIDsSequence": {"PatientID": 1, "IssuerOfPatientID": 1, "TypeOfPatientID": 1},
    "PatientAge": 1,
    "PatientSize": 1,
    "PatientWeight": 1,
    "StudyDescription": 1,
    "IssuerOfAccessionNumberSequence": _ISSUER,
    "ProcedureCodeSequence": _CODE,
    "InstitutionName": 1,
    "TimezoneOffsetFromUTC": 1,
}
"""What objects take from the film: keyword -> 1, or what is taken of the items of a sequence."""
_REQUESTED: dict[str, Any] = {
    "StudyInstanceUID": 1,
    "AccessionNumber": 1,
    "IssuerOfAccessionNumberSequence": _ISSUER,
    "PlacerOrderNumberImagingServiceRequest": 1,
    "FillerOrderNumberImagingServiceRequest": 1,
    "RequestedProcedureID": 1,
    "RequestedProcedureDescription": 1,
    "RequestedProcedureCodeSequence": _CODE,
}
_NEEDED = {
    "OtherPatientIDsSequence": ("PatientID", "TypeOfPatientID"),
    "ProcedureCodeSequence": tuple(_CODE),
    "RequestedProcedureCodeSequence": tuple(_CODE),
    "IssuerOfAccessionNumberSequence": (),
}
"""What an item must have (type 1), or it is left out."""
_ALLOWED = {
    "PatientSex": re.compile("[MFO]"),
    "PatientAge": re.compile(r"\d{3}[DWMY]"),
    "TimezoneOffsetFromUTC": re.compile(r"[+-](0\d|1[0-4])[0-5]\d"),
    "UniversalEntityIDType": re.compile("DNS|EUI64|ISO|URI|UUID|X400|X500"),
    "TypeOfPatientID": re.compile("TEXT|RFID|BARCODE"),
}
_UIDS = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")
_UID = re.compile(r"[0-9]+(\.[0-9]+)+")
_DIRECTION = re.compile("[LRAPHF]{1,3}")
_MOST_CARETS = 4
"""Between the five components of a name (PS3.5 6.2.1)."""
_MOST = 1000.0
"""Kilograms of weight, or meters of height, that no patient has."""


@dataclass(frozen=True)
class Source:
    """A film in its file.

    Attributes:
        header: the original, without its pixels.
        study: patient and study, repaired: ``COPIED`` of it, and the study's UID.
        requests: items of Referenced Request Sequence (0040,A370); often none.
        repairs: what of the header was left out, without its value.
        orientation: PatientOrientation as it stands, if it can be; else empty.
        spacing_mm: distance of rows and columns as stored; None where the file says nothing.
        detector: ``spacing_mm`` holds at the detector, not in the patient.
        blank: keywords that were left empty on purpose, sorted.
    """

    header: Dataset
    study: Dataset
    requests: tuple[Dataset, ...]
    repairs: tuple[str, ...]
    orientation: tuple[str, ...]
    spacing_mm: tuple[float, float] | None
    detector: bool
    blank: tuple[str, ...] = ()

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, columns) of the stored matrix."""
        return int(self.header.Rows), int(self.header.Columns)

    @property
    def reference(self) -> Dataset:
        """An item that names the film: Referenced SOP Class UID and Instance UID."""
        item = Dataset()
        item.ReferencedSOPClassUID = text_of(self.header, "SOPClassUID")
        item.ReferencedSOPInstanceUID = text_of(self.header, "SOPInstanceUID")
        return item

    def text(self, keyword: str) -> str:
        """Return a value of the header as text; "" where it is absent."""
        return text_of(self.header, keyword) or ""


def read_source(
    path: Path, max_megapixels: float = MAX_MEGAPIXELS, blank: Collection[str] = ()
) -> Source:
    """Read the header of a film; larger ones are refused.

    ``blank`` names what of ``COPIED`` is left empty. Without the accession number there is no
    request and no study ID, either: their numbers are often the same.

    Raises:
        UnreadableImageError: the file is missing or broken.
        UnsupportedImageError: no DICOM file, not a CR, DX or SC image, or it does not say which
            patient's study, series and instance it is: objects would belong to nobody.
    """
    name = str(path)
    check_file(path, max_megapixels)
    data = read_file(name, name)
    if sniff(data[:SNIFFED_BYTES]) is not FileKind.DICOM:
        raise UnsupportedImageError(
            f"{name}: no DICOM file; expected a film of a study, for objects to belong to",
            hint="read the film as the archive or the modality sends it",
        )
    with gathered_warnings():
        header, _ = parse(data, name, max_megapixels)
        del header.PixelData
        _check(header, name)
        repairs: list[str] = []
        study = _copied(header, COPIED, repairs)
        for keyword in _REQUIRED:
            if keyword not in study or keyword in blank:
                setattr(study, keyword, "")
        study.StudyInstanceUID = text_of(header, "StudyInstanceUID")
        requests = [
            _copied(each, _REQUESTED, repairs)
            for each in items_of(header, "RequestAttributesSequence")
        ]
        if "AccessionNumber" in blank:
            study.pop("IssuerOfAccessionNumberSequence", None)
            study.StudyID, requests = "", []
        spacing = spacing_of(header)
        return Source(
            header=header,
            study=study,
            requests=tuple(_completed(each, study) for each in requests if len(each)),
            repairs=tuple(dict.fromkeys(repairs)),
            orientation=_orientation(header),
            spacing_mm=spacing.mm,
            detector=spacing.plane is not None and spacing.plane.value == "detector",
            blank=tuple(sorted(blank)),
        )


class Placement:
    """Where the points of a film as it was read lie in the matrix that its file stores.

    Undoes what the history of a reading says: the turn to the way in which films are displayed,
    the turns of the gate, and the stretch of pixels that are not square.

    Args:
        history: of the reading.
        shape: (height, width) of the film as it was read.
        stored: (rows, columns) in the file.
    """

    def __init__(
        self, history: Sequence[str], shape: tuple[int, int], stored: tuple[int, int]
    ) -> None:
        self.turn = next((turn for step in history if (turn := _turn_of(step))), 1)
        """As an EXIF orientation: how the opener turned the film; 1 if it did not."""
        self.corrections = tuple(key for step in history if (key := _correction_of(step)))
        """Keys of ``CORRECTIONS``, in the order in which the gate applied them."""
        layout = turn_upright(_CORNERS, self.turn)
        for key in self.corrections:
            if CORRECTIONS[key].moves:
                layout = CORRECTIONS[key].put_right(layout.astype(np.float32)).astype(int)
        # corners 0 1 / 2 3 of the stored matrix: where those of the film came from
        across, down = layout % 2, layout // 2
        corners = np.stack([across, down], axis=-1).astype(float)
        self._origin = corners[0, 0]
        self._axes = np.stack([corners[0, 1] - corners[0, 0], corners[1, 0] - corners[0, 0]])
        self._shape, self._stored = shape, stored

    @property
    def inverted(self) -> bool:
        """True where the gate found the film black for white."""
        return self.corrections.count("inverted") % 2 == 1

    def points(self, film: Points) -> Points:
        """Bring points (N, 2) of the film as read into the stored matrix; none lies beyond it."""
        unit = np.clip(film / np.array(self._shape[::-1], float), 0, 1)
        return np.asarray((self._origin + unit @ self._axes) * np.array(self._stored[::-1]))

    def outline(self, pixels: Sequence[tuple[int, int]]) -> Points:
        """Bring a polygon of pixel indices, whose points are centers of pixels."""
        return self.points(np.asarray(pixels, float).reshape(-1, 2) + 0.5)

    def box(self, left: float, top: float, width: float, height: float) -> Points:
        """Bring a rectangle: its four corners, a closed polygon without its last point."""
        right, bottom = left + width, top + height
        corners = [[left, top], [right, top], [right, bottom], [left, bottom]]
        return self.points(np.array(corners, float))

    def as_read(self, opened: NDArray[np.float32]) -> NDArray[np.float32]:
        """Turn pixels that lie as in their file, and put them right, as the history says."""
        opened = turn_upright(opened, self.turn)
        for key in self.corrections:
            opened = CORRECTIONS[key].put_right(opened)
        return np.ascontiguousarray(opened, np.float32)


_CORNERS = np.arange(4).reshape(2, 2)


def _turn_of(step: str) -> int:
    if not step.startswith("orientation: stored "):
        return 0
    return next((turn for turn, words in TURNS.items() if f", {words} to " in step), 0)


def _correction_of(step: str) -> str:
    said = step.removeprefix("corrected: ")
    if said == step:
        return ""
    return next(key for key, each in CORRECTIONS.items() if said.startswith(f"{each.done} ("))


def _check(header: Dataset, name: str) -> None:
    kind = text_of(header, "SOPClassUID") or ""
    if kind not in FILM_CLASSES:
        raise UnsupportedImageError(
            f"{name}: {UID(kind).name or 'no SOP class'}; expected a CR, DX or SC image",
            hint="objects are made for projection radiographs only",
        )
    for keyword in _UIDS:
        found = text_of(header, keyword) or ""
        if len(found) > 64 or not _UID.fullmatch(found):
            raise UnsupportedImageError(
                f"{name}: {keyword} is missing or no UID; expected the film's place in a study",
                hint="read the film as the archive or the modality sends it",
            )


def _completed(item: Dataset, study: Dataset) -> Dataset:
    """Give a request what it must have (PS3.3 C.17.2, type 1 and 2)."""
    if "StudyInstanceUID" not in item:
        item.StudyInstanceUID = study.StudyInstanceUID
    item.ReferencedStudySequence = []
    for keyword in (
        "AccessionNumber",
        "PlacerOrderNumberImagingServiceRequest",
        "FillerOrderNumberImagingServiceRequest",
        "RequestedProcedureID",
        "RequestedProcedureDescription",
    ):
        if keyword not in item:
            setattr(item, keyword, "")
    if not item.AccessionNumber:
        item.AccessionNumber = study.AccessionNumber
    if "RequestedProcedureCodeSequence" not in item:
        item.RequestedProcedureCodeSequence = []
    return item


def _copied(dataset: Dataset, wanted: Mapping[str, Any], repairs: list[str]) -> Dataset:
    """Return what is wanted of a data set, each value as it may be; name what is left out."""
    copy = Dataset()
    for keyword, inner in wanted.items():
        if keyword not in dataset:
            continue
        if isinstance(inner, Mapping):
            items = [_copied(each, inner, repairs) for each in items_of(dataset, keyword)]
            needed = _NEEDED[keyword]
            kept = [each for each in items if len(each) and all(key in each for key in needed)]
            if kept:
                setattr(copy, keyword, kept)
            continue
        value = text_of(dataset, keyword)
        if value is None:
            continue
        if may_be(keyword, value):
            setattr(copy, keyword, value)
        else:
            repairs.append(f"{keyword}: a value that cannot be; left out")
    return copy


def may_be(keyword: str, value: str) -> bool:
    """Say whether an attribute may have one value, by its VR and what PS3.3 allows."""
    allowed = _ALLOWED.get(keyword)
    if allowed is not None and not allowed.fullmatch(value):
        return False
    if keyword.endswith("UID") and not _UID.fullmatch(value):
        return False
    vr = dictionary_VR(keyword)
    if not value.isprintable() or "\\" in value:
        return False
    if any(group.count("^") > _MOST_CARETS for group in value.split("=")) and vr == "PN":
        return False
    if keyword in ("PatientSize", "PatientWeight"):
        try:
            return 0 <= float(value) < _MOST and len(value) <= 16
        except ValueError:
            return False
    try:
        validate_value(vr, value, config.RAISE)
    except ValueError:
        return False
    return not (keyword in ("PatientBirthDate", "StudyDate") and len(value) != 8)


def _orientation(header: Dataset) -> tuple[str, ...]:
    values = (code_of(header, "PatientOrientation") or "").split("\\")
    sound = len(values) == 2 and all(map(_DIRECTION.fullmatch, values))
    return tuple(values) if sound else ()
