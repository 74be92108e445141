"""Radiograph: one film, as pixels with what is known about them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from hilum.core.labels import View

Pixels = NDArray[np.float32]
"""float32 (H, W) in [0, 1]; 0 = air (black), 1 = bone (white)."""


@dataclass(frozen=True, slots=True)
class Step:
    """One thing done to the pixels: a short name, and what it did in words and numbers."""

    name: str
    detail: str


class Sides(StrEnum):
    """How it is known which side of a film is the patient's left.

    Stated by the file; or assumed, as films are displayed: the patient's left on the right. A
    marker that was burned into the picture is not read.
    """

    STATED = "stated"
    ASSUMED = "assumed"


class Plane(StrEnum):
    """Where a film's millimeters hold: in the patient, or at the detector, where all is larger."""

    PATIENT = "patient"
    DETECTOR = "detector"


@dataclass(frozen=True, slots=True)
class Metadata:
    """What a file says of a film; None where it says nothing.

    Attributes:
        modality: DICOM Modality (0008,0060): "CR", "DX", "SC" or other.
        laterality: Image or Laterality (0020,0062 / 0020,0060): "L", "R", "U" or "B".
        age_years: from PatientAge (0010,1010), in years.
        orientation: towards which part of the patient the rows and the columns of the pixels run,
            after the film was turned: L, R, A, P, H or F (PS3.3 C.7.6.1.1.1).
        sides: whether the file says which side is the patient's left.
        spacing_mm: (row, column) distance of pixel centers in millimeters, in ``spacing_plane``;
            ``spacing_source`` says in words what it was made from (PS3.3 10.7.1.3).
        burned_in_annotation: BurnedInAnnotation (0028,0301) as True or False.
    """

    modality: str | None = None
    view: View | None = None
    laterality: str | None = None
    patient_id: str | None = None
    age_years: float | None = None
    sex: str | None = None
    orientation: tuple[str, str] | None = None
    sides: Sides = Sides.ASSUMED
    spacing_mm: tuple[float, float] | None = None
    spacing_plane: Plane | None = None
    spacing_source: str | None = None
    study_uid: str | None = None
    series_uid: str | None = None
    instance_uid: str | None = None
    sop_class_uid: str | None = None
    study_date: str | None = None
    manufacturer: str | None = None
    presentation_intent: str | None = None
    burned_in_annotation: bool | None = None


@dataclass(frozen=True, slots=True)
class Radiograph:
    """One film, opened.

    Attributes:
        pixels: float32 (H, W) in [0, 1]; 0 = air, 1 = bone.
        path: where it came from, as the caller named it.
        format: what the content is: "PNG", "JPEG", "DICOM CR", ...
        bits: bits per stored pixel value.
        metadata: what the file says.
        history: every step applied to the stored values, in order.
        notes: what a reader should know ("single-frame MR opened as a film").
    """

    pixels: Pixels
    path: str
    format: str
    bits: int
    metadata: Metadata = field(default_factory=Metadata)
    history: tuple[Step, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def shape(self) -> tuple[int, int]:
        """(height, width) in pixels."""
        height, width = self.pixels.shape
        return height, width

    def stepped(self, pixels: Pixels, name: str, detail: str) -> Radiograph:
        """Return a copy with new ``pixels`` and the step written into its history."""
        return replace(self, pixels=pixels, history=(*self.history, Step(name, detail)))
