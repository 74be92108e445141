"""Radiograph: one film, as pixels with what is known about them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

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


@dataclass(frozen=True, slots=True)
class Metadata:
    """What a file says of a film; None where it says nothing.

    Attributes:
        modality: DICOM Modality (0008,0060): "CR", "DX", "SC" or other.
        laterality: Image or Laterality (0020,0062 / 0020,0060): "L", "R", "U" or "B".
        age_years: from PatientAge (0010,1010), in years.
        spacing_mm: (row, column) distance of pixel centres in millimetres: PixelSpacing
            (0028,0030), else ImagerPixelSpacing (0018,1164), which lies in the detector plane.
        burned_in_annotation: BurnedInAnnotation (0028,0301) as True or False.
    """

    modality: str | None = None
    view: View | None = None
    laterality: str | None = None
    patient_id: str | None = None
    age_years: float | None = None
    sex: str | None = None
    spacing_mm: tuple[float, float] | None = None
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
