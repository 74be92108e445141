"""Common: what all objects of a film share: patient, study, series, equipment, times and UIDs.

No clock and no random number: the same reading of the same file gives the same bytes. The SOP
Instance UID is a digest of all the others, so that no two contents ever have one UID: an archive
keeps the first of them and answers success for the second.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone
from functools import cached_property
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import Literal, NamedTuple, get_args
from uuid import UUID

import numpy as np
from pydantic import Field
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset
from pydicom.uid import UID, ExplicitVRLittleEndian

from hilum.core.config import Config
from hilum.core.labels import Code
from hilum.core.reading import Reading
from hilum.image.open import MAX_MEGAPIXELS
from hilum.serve.dicom.codes import PROCESSING, SCHEME, SCHEME_NAME, SOURCE_IMAGE
from hilum.serve.dicom.source import Placement, Points, Source
from hilum.serve.marks import ClosedLine, Layer

MANUFACTURER = "Hilum"
MODEL = "Hilum reader"
Kind = Literal["seg", "gsps", "sc", "pdf", "sr"]
"""What can be made of a reading, in the order of sending: where the SR is, all is."""
_ALL = (
    ("1.2.840.10008.5.1.4.1.1.66.4", 9201),
    ("1.2.840.10008.5.1.4.1.1.11.1", 9202),
    ("1.2.840.10008.5.1.4.1.1.7", 9203),
    ("1.2.840.10008.5.1.4.1.1.104.1", 9204),
    ("1.2.840.10008.5.1.4.1.1.88.33", 9200),
)
KINDS: dict[str, str] = {kind: uid for kind, (uid, _) in zip(get_args(Kind), _ALL, strict=True)}
"""Kind of object -> its SOP class, in the order of sending."""
NOTE, NOTE_CLASS = "ko", "1.2.840.10008.5.1.4.1.1.88.59"
"""A rejection note: of no reading, but of what was sent of one."""
SERIES: dict[str, int] = {
    kind: number for kind, (_, number) in zip(get_args(Kind), _ALL, strict=True)
} | {NOTE: 9299}
"""Series numbers: high, so that a viewer which sorts by them shows the film first."""
_ROOT = r"^([0-2](\.(0|[1-9]\d*))+)?$"
_LONGEST_ROOT = 34
"""With 96 bits after it a UID has at most 64 characters (PS3.5 9.1)."""
LONG_STRING = 64
"""Most characters of VR LO (PS3.5 6.2)."""
_ELLIPSE = 36
"""Points of an ellipse: some viewers draw polylines alone."""
_LONG_AGO = datetime(1900, 1, 1)
"""Of a film that states no date."""
_DATES = ("Content", "Acquisition", "Series", "Study")
_CUT = re.compile(r"cut to the box around .*?margin of (\d+)%")
_CROP = re.compile(r"preprocess: crop to ")


class Form(Config):
    """How objects are made, where a site wants it otherwise.

    Attributes:
        organization_root: UIDs of objects, series and what is tracked begin by it, not by 2.25.
        series_number: of the SR; the other kinds have those that follow it.
        regions: most opacities in the SR, and most boxes: the largest and the best.
        sr_groups: "regions" gives each group of the SR a region; "air" makes groups without one
            (TID 1501) of what speaks of the whole film, as the IHE profile AI Results has it. OHIF
            3.12 then shows nothing of the SR.
        sc_long_side: of the film in its picture (SC), in pixels; it is never enlarged.
        sc_modality: of the picture's series; "source" has that of the film, and then a hanging
            protocol may take it for one.
        refusals: "sc" makes, of a film that was refused, a picture that says why; without the film.
    """

    organization_root: str = Field(default="", pattern=_ROOT, max_length=_LONGEST_ROOT)
    series_number: int = Field(default=SERIES["sr"], ge=1, le=2**31 - 100)
    regions: int = Field(default=20, ge=0)
    sr_groups: Literal["regions", "air"] = "regions"
    sc_long_side: int = Field(default=1024, ge=256, le=8192)
    sc_modality: Literal["OT", "source"] = "OT"
    refusals: Literal["none", "sc"] = "none"


def uid(*parts: str, root: str = "") -> str:
    """Return a UID that follows from texts.

    It is 2.25 and a UUID of version 8 (PS3.5 B.2, RFC 9562); or a root and 96 bits of a digest.
    """
    digest = sha256("\0".join(("hilum", *parts)).encode()).digest()
    return f"{root}.{int.from_bytes(digest[:12])}" if root else uid_of(digest)


def uid_of(digest: bytes) -> str:
    """Return 2.25 and the UUID of version 8 that the first 16 bytes of a digest give."""
    made = bytearray(digest[:16])
    made[6] = made[6] & 0x0F | 0x80
    made[8] = made[8] & 0x3F | 0x80
    return f"2.25.{UUID(bytes=bytes(made)).int}"


def item(code: Code) -> Dataset:
    """Return a code as an item of a sequence (PS3.3 table 8.8-1)."""
    made = Dataset()
    made.CodeValue, made.CodingSchemeDesignator = code.value, code.scheme
    made.CodeMeaning = code.meaning
    return made


def printable(text: str, longest: int = LONG_STRING) -> str:
    """Return text as a value may hold it: no control signs and no backslash, and not too long."""
    kept = "".join(sign if sign.isprintable() else " " for sign in text).replace("\\", "/")
    return kept[:longest].strip()


class PersonMark(NamedTuple):
    """What a person drew on a film; it goes into the objects as theirs, never as the model's.

    Attributes:
        by: who.
        kind: point, line, ellipse or rectangle (by two corners), or polygon.
        points: (x, y) in pixels of the film as it was read.
        text: what they wrote at it.
        measured: the length (``power`` 1) or area (2); None where it measures nothing.
        millimeters: its unit; else pixels.
        at_detector: those millimeters hold at the detector, not in the patient.
    """

    by: str
    kind: str
    points: Sequence[Sequence[float]]
    text: str = ""
    measured: float | None = None
    power: int = 1
    millimeters: bool = True
    at_detector: bool = False

    @property
    def words(self) -> str:
        """Say in a line what it is: who, what it measures, what is written at it."""
        said = [f"{self.kind} of {self.by}"]
        if self.measured is not None:
            unit = ("mm" if self.millimeters else "px") + ("2" if self.power == 2 else "")
            place = " at the detector" if self.millimeters and self.at_detector else ""
            said.append(f"{self.measured:.1f} {unit}{place}")
        return printable(": ".join((*said, *[self.text] * bool(self.text))), 200)

    def line(self, placement: Placement) -> Points:
        """Return its points in the stored matrix; of what is closed the first one again."""
        points = np.asarray(self.points, float).reshape(-1, 2)
        if self.kind in ("ellipse", "rectangle") and len(points) == 2:
            (left, top), (right, bottom) = points
            corners = [[left, top], [right, top], [right, bottom], [left, bottom]]
            points = np.array(corners)
            if self.kind == "ellipse":
                turn = np.linspace(0, 2 * np.pi, _ELLIPSE, endpoint=False)
                around = np.stack([np.cos(turn), np.sin(turn)], axis=1) / 2
                points = (corners[0] + np.array(corners[2])) / 2 + around * np.ptp(points, axis=0)
        if self.kind in ("ellipse", "rectangle", "polygon"):
            points = np.concatenate([points, points[:1]])
        return placement.points(points + 0.5)


class Sent(NamedTuple):
    """An object of this film that an archive was sent."""

    kind: str
    sop_class: str
    sop_uid: str
    series_uid: str


@dataclass(frozen=True)
class ObjectContent:
    """What every object is made from.

    Attributes:
        reading: of status ``read``.
        path: of the film, for those that show its pixels.
        read_at: when it was read; without a time zone it is UTC, and the objects state none. None
            takes the film's own date.
        marks: of persons.
        max_megapixels: larger films are not opened.
        former: what was sent of another reading of the film, which this one replaces; then no
            object has the UID that it would have without, because an archive may have rejected it.
        form: how objects are made.
    """

    reading: Reading
    path: Path
    source: Source
    read_at: datetime | None = None
    marks: tuple[PersonMark, ...] = ()
    max_megapixels: float = MAX_MEGAPIXELS
    former: Sent | None = None
    form: Form = field(default_factory=Form)

    def uid(self, *parts: str) -> str:
        """Return a UID of this site that follows from texts."""
        return uid(*parts, root=self.form.organization_root)

    @cached_property
    def placement(self) -> Placement:
        """Where the reading's points lie in the file."""
        return Placement(self.reading.history, self.shape, self.source.shape)

    @property
    def shape(self) -> tuple[int, int]:
        """(height, width) of the film as it was read."""
        return int(self.reading.film["height"]), int(self.reading.film["width"])

    @property
    def bundle_version(self) -> str:
        """The version in "name version (checksum)"."""
        return self.reading.bundle.rpartition(" (")[0].rpartition(" ")[2]

    @property
    def checksum(self) -> str:
        """The first digits of the checksum of the bundle."""
        return self.reading.bundle.rpartition("(")[2].rstrip(")")

    @property
    def moment(self) -> datetime:
        """When the reading was made, in the film's time zone; else the date of the film."""
        if self.read_at is None:
            return self._film_date()
        offset = self.source.study.get("TimezoneOffsetFromUTC", "")
        if not offset:
            return self.read_at
        minutes = int(offset[0] + "1") * (60 * int(offset[1:3]) + int(offset[3:]))
        read_at = self.read_at if self.read_at.tzinfo else self.read_at.replace(tzinfo=UTC)
        return read_at.astimezone(timezone(timedelta(minutes=minutes)))

    def _film_date(self) -> datetime:
        for kind in _DATES:
            day = self.source.text(f"{kind}Date")
            clock = (self.source.text(f"{kind}Time").partition(".")[0] + "000000")[:6]
            for form, text in (("%Y%m%d%H%M%S", day + clock), ("%Y%m%d", day)):
                try:
                    return datetime.strptime(text, form)
                except ValueError:
                    continue
        return _LONG_AGO

    @cached_property
    def seen(self) -> Points:
        """The rectangle that went into the network, (4, 2) in the stored matrix.

        The box around the lungs with the margin that the history names, clipped to the film; the
        whole film where the bundle does not cut, or the reading has no lungs.
        """
        height, width = self.shape
        left, top, right, bottom = 0.0, 0.0, float(width), float(height)
        steps = "\n".join(self.reading.history)
        lungs = self.reading.details.lungs if self.reading.details else ()
        cut = _CUT.search(steps)
        if cut and lungs:
            lefts, tops, wides, highs = zip(*(lung.box for lung in lungs), strict=True)
            rights = [a + b for a, b in zip(lefts, wides, strict=True)]
            bottoms = [a + b for a, b in zip(tops, highs, strict=True)]
            margin = int(cut[1]) / 100
            across = margin * (max(rights) - min(lefts))
            down = margin * (max(bottoms) - min(tops))
            left, right = max(min(lefts) - across, 0), min(max(rights) + across, width)
            top, bottom = max(min(tops) - down, 0), min(max(bottoms) + down, height)
        if _CROP.search(steps):
            side = min(right - left, bottom - top)
            left, top = (left + right - side) / 2, (top + bottom - side) / 2
            right, bottom = left + side, top + side
        return self.placement.box(left, top, right - left, bottom - top)

    def drawn(self, mark: ClosedLine) -> Points:
        """Return the line of a mark in the stored matrix: corners of a box, or pixel centers."""
        if mark.layer is Layer.BOXES:
            return self.placement.points(np.array(mark.points, float))
        return self.placement.outline(mark.points)

    def tracking_uid(self, identifier: str) -> str:
        """Return the UID of what is tracked: the same from one bundle version to the next."""
        lineage = self.reading.bundle.rpartition(" (")[0].rpartition(" ")[0]
        return self.uid("tracking", self.source.text("SOPInstanceUID"), lineage, identifier)

    def series_uid(self, kind: str) -> str:
        """Return the UID of the series of one kind of object: another where values are withheld."""
        asked = [f"{each.operating_point} {each.prevalence}" for each in self.reading.findings]
        film = self.source.text("SeriesInstanceUID")
        return self.uid("series", kind, film, self.reading.bundle, *asked, *self.source.blank)

    def source_item(self) -> Dataset:
        """Return the film as an item of Source Image Sequence (PS3.3 C.7.6.1.1.4)."""
        film = self.source.reference
        film.PurposeOfReferenceCodeSequence = [item(SOURCE_IMAGE)]
        return film

    def series_item(self) -> Dataset:
        """Return the film as an item of Referenced Series Sequence (0008,1115)."""
        series = Dataset()
        series.SeriesInstanceUID = self.source.text("SeriesInstanceUID")
        series.ReferencedImageSequence = [self.source.reference]
        return series


def finished(dataset: Dataset, kind: str, subject: ObjectContent, modality: str) -> Dataset:
    """Give an object what all share, and the UID that follows from all of it.

    Args:
        dataset: with its SOP class and what is its own.
        kind: of ``SERIES``.
        modality: of its series.

    Returns:
        the data set, ready to be written: Explicit VR Little Endian, with its file meta.
    """
    source, moment = subject.source, subject.moment
    dataset.SpecificCharacterSet = "ISO_IR 192"
    for element in source.study:
        dataset[element.tag] = element
    dataset.Modality = modality
    dataset.SeriesInstanceUID = subject.series_uid(kind)
    dataset.SeriesNumber = subject.form.series_number + SERIES[kind] - SERIES["sr"]
    dataset.SeriesDescription = printable(
        f"Hilum {subject.bundle_version[:20]} {kind.upper()} (research use only)"
    )
    number = source.text("InstanceNumber")
    dataset.InstanceNumber = number if re.fullmatch(r"\d{1,9}", number) else "1"
    laterality = source.text("Laterality")
    if laterality in ("L", "R"):
        dataset.Laterality = laterality
    equipment = _equipment(subject)
    for element in equipment:
        dataset[element.tag] = element
    equipment = _equipment(subject)
    equipment.PurposeOfReferenceCodeSequence = [item(PROCESSING)]
    dataset.ContributingEquipmentSequence = [equipment]
    _timed(dataset, moment)
    dataset.CodingSchemeIdentificationSequence = [_scheme()]
    former = [subject.former.sop_uid] if subject.former else []
    return _identified(dataset, subject, kind, source.text("SOPInstanceUID"), *former)


def _equipment(subject: ObjectContent) -> Dataset:
    made = Dataset()
    made.Manufacturer = MANUFACTURER
    made.ManufacturerModelName = MODEL
    made.DeviceSerialNumber = printable(subject.checksum)
    made.SoftwareVersions = [f"hilum {version('hilum')}", printable(subject.reading.bundle)]
    return made


def _timed(dataset: Dataset, moment: datetime) -> None:
    day, clock = moment.strftime("%Y%m%d"), moment.strftime("%H%M%S")
    for event in ("InstanceCreation", "Series", "Content", "PresentationCreation"):
        if event in ("InstanceCreation", "Series") or f"{event}Date" in dataset:
            setattr(dataset, f"{event}Date", day)
            setattr(dataset, f"{event}Time", clock)
    if moment.tzinfo is not None:
        dataset.TimezoneOffsetFromUTC = moment.strftime("%z")[:5]


def _scheme() -> Dataset:
    made = Dataset()
    made.CodingSchemeDesignator = SCHEME
    made.CodingSchemeUID = uid("coding scheme", SCHEME)
    made.CodingSchemeName = SCHEME_NAME
    made.CodingSchemeResponsibleOrganization = MANUFACTURER
    return made


def _identified(dataset: Dataset, subject: ObjectContent, kind: str, *about: str) -> Dataset:
    """Set the UID by the bytes of everything else, and by what the object is about."""
    dataset.SOPInstanceUID = ""
    buffer = DicomBytesIO()
    buffer.is_little_endian, buffer.is_implicit_VR = True, False
    write_dataset(buffer, dataset)
    digest = sha256(buffer.getvalue()).hexdigest()
    dataset.SOPInstanceUID = subject.uid("object", kind, *about, digest)
    meta = FileMetaDataset()
    meta.FileMetaInformationVersion = b"\0\1"
    meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.ImplementationClassUID = UID(uid("implementation", MODEL))
    meta.ImplementationVersionName = ("HILUM_" + version("hilum").replace(".", "_"))[:16]
    dataset.file_meta = meta
    dataset.preamble = b"\0" * 128
    return dataset
