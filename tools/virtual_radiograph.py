"""The virtual X-ray room: from Hounsfield units to a film.

A point source, a flat detector, a beam of several energies, scatter, quantum noise, the
detector's blur, then the processing that every digital system applies before a film is shown.
Lengths in millimeters; areal densities in g/cm2.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from virtual_patient import Patient, Volume

Image = NDArray[np.float32]

WATER = np.array([0.2683, 0.2269, 0.2059, 0.1929, 0.1837, 0.1707])
BONE = np.array([0.6655, 0.4242, 0.3148, 0.2606, 0.2229, 0.1855])
"""Mass attenuation at 40, 50, 60, 70, 80 and 100 keV, cm2/g (NIST XCOM; ICRU-44 bone)."""

SPECTRUM = np.array([0.20, 0.30, 0.23, 0.14, 0.09, 0.04])
"""Share of the signal at those energies: a 100 kV beam, little filtered, on cesium iodide."""

CT_ENERGY = 3  # index of 70 keV, the effective energy of a 120 kV CT beam
SOFT_BONE, HARD_TISSUE = 20.0, 130.0
"""What is denser, in Hounsfield units, holds mineral: in the skeleton, and elsewhere."""

MINERALIZED = 1.5
"""Times the mineral that the CT shows: slices of 2.5 mm and an old patient hide thin ribs."""

EDGE_MM, EDGE = 2.0, 0.8
"""Size of the structures whose contrast the processing lifts, and by how much."""

LUNG, MEDIASTINUM = 0.5, 0.8
"""Where on the sigmoid they lie."""

BLACK, WHITE = 0.12, 0.97
"""Where on the sigmoid grey begins and ends: the open beam, and the abdomen."""

GRAZED_MM = 5.0
"""A ray that passes less of an organ misses it."""

LEAD = 12.0
"""Centimeters of water as opaque as the letter that marks the side."""


@dataclass(frozen=True)
class Room:
    """How the film is taken.

    Attributes:
        view: "PA" (the front on the detector) or "lateral" (the left side on the detector).
        shape: (rows, columns) of the film.
        pixel_mm: distance of pixel centers in the detector.
        center_mm: where the central ray passes, from the first voxel: (across, up).
        photons: that an unattenuated pixel would count.
        scatter: scattered to primary signal behind the grid, in the mean.
        seed: of the quantum noise.
        source_mm: source to detector.
        gap_mm: detector to the first voxel.
        marker_mm: lower left corner of the lead letter, from the film's: (across, down); or None.
    """

    view: str
    shape: tuple[int, int]
    pixel_mm: float
    center_mm: tuple[float, float]
    photons: float
    scatter: float
    seed: int
    source_mm: float = 1800.0
    gap_mm: float = 25.0
    marker_mm: tuple[float, float] | None = None


def take(patient: Patient, room: Room) -> Image:
    """Take a film: float32 (rows, columns), log exposure, 0 = unattenuated, larger = denser."""
    water, bone = densities(patient)
    paths = [project(volume, patient.spacing_mm, room) / 10 for volume in (water, bone)]
    return expose(paths[0] + LEAD * marker(room), paths[1], room)


def marker(room: Room) -> Image:
    """Draw the lead letter L that marks the left: float32 (rows, columns), 1 where it is."""
    letter = np.zeros(room.shape, np.uint8)
    if room.marker_mm is not None:
        place = [round(mm / room.pixel_mm) for mm in room.marker_mm]
        size, width = 0.45 / room.pixel_mm, round(2.2 / room.pixel_mm)
        cv2.putText(letter, "L", place, cv2.FONT_HERSHEY_SIMPLEX, size, 255, width, cv2.LINE_AA)
    return letter.astype(np.float32) / 255


def densities(patient: Patient) -> tuple[Volume, Volume]:
    """Split a CT into water and bone, in g/cm3, that attenuate at 70 keV as it says."""
    starts = np.where(patient.skeleton, SOFT_BONE, HARD_TISSUE).astype(np.float32)
    soft = np.minimum(patient.hounsfield, starts)
    mineral = np.maximum(patient.hounsfield - starts, 0) / 1000
    bone = mineral * np.float32(MINERALIZED * WATER[CT_ENERGY] / BONE[CT_ENERGY])
    return np.maximum(1 + soft / 1000, 0), bone


def project(volume: Volume, spacing_mm: tuple[float, float, float], room: Room) -> Image:
    """Integrate along the rays from the source: float32 (rows, columns), value x millimeters.

    Every slab parallel to the detector is magnified by one factor, so a perspective projection
    is a sum of resized slabs.
    """
    slabs = volume if room.view == "lateral" else volume.transpose(1, 0, 2)
    step, across = (
        (spacing_mm[0], spacing_mm[1]) if room.view == "lateral" else (spacing_mm[1], spacing_mm[0])
    )
    total = np.zeros(room.shape, np.float32)
    for i, slab in enumerate(slabs):
        if slab.max() <= 0:
            continue
        depth = (len(slabs) - 1 - i) * step + room.gap_mm
        matrix = _film_to_slab(room, depth, across, spacing_mm[2])
        total += cv2.warpAffine(
            np.ascontiguousarray(slab.T),
            matrix,
            room.shape[::-1],
            flags=cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REPLICATE,
        )
    return np.maximum(total, 0) * step * _obliquity(room)


def lungs_above_diaphragm(patient: Patient, room: Room) -> NDArray[np.bool_]:
    """Say where rays pass the lungs and miss the abdomen: bool (rows, columns).

    So radiologists outline them: lung behind the heart counts, lung behind the diaphragm does not.
    """
    lungs, abdomen = (
        project(mask.astype(np.float32), patient.spacing_mm, room)
        for mask in (patient.lungs, patient.abdomen)
    )
    return (lungs > GRAZED_MM) & (abdomen < GRAZED_MM)


def _film_to_slab(room: Room, depth: float, across: float, up: float) -> NDArray[np.float64]:
    """Affine from (column, row) of the film to (column, row) of a slab of the volume."""
    shrink = (room.source_mm - depth) / room.source_mm * room.pixel_mm
    rows, columns = room.shape
    mirror = -1 if room.view == "lateral" else 1  # a left lateral is shown facing left
    x, z = mirror * shrink / across, -shrink / up
    return np.array(
        [
            [x, 0, room.center_mm[0] / across - x * (columns - 1) / 2],
            [0, z, room.center_mm[1] / up - z * (rows - 1) / 2],
        ]
    )


def _obliquity(room: Room) -> Image:
    """How much longer an oblique ray's way through a slab is."""
    rows, columns = (
        (np.arange(n) - (n - 1) / 2) * room.pixel_mm / room.source_mm for n in room.shape
    )
    return np.sqrt(1 + rows[:, None] ** 2 + columns[None, :] ** 2).astype(np.float32)


def expose(water: Image, bone: Image, room: Room) -> Image:
    """Expose the detector behind so much water and bone (g/cm2): float32 log exposure."""
    primary = sum(
        share * np.exp(-(mu_water * water + mu_bone * bone))
        for share, mu_water, mu_bone in zip(SPECTRUM, WATER, BONE, strict=True)
    )
    behind = np.minimum(primary, 0.25)  # the open beam makes no scatter
    scattered = room.scatter * _blur(behind, 45 / room.pixel_mm)
    rng = np.random.default_rng(room.seed)
    counts = rng.poisson((primary + scattered) * room.photons).astype(np.float32)
    signal = _blur(counts, 0.22 / room.pixel_mm)
    electronics = rng.normal(0, 2.0, room.shape)
    return -np.log(np.maximum(signal + electronics, 1) / room.photons).astype(np.float32)


def develop(film: Image, *, pixel_mm: float, dense: float, lucent: float) -> Image:
    """Process a log exposure for display, as a digital system does: float32 in [0, 1], 1 = bone.

    Fine structures are lifted a little; a sigmoid gives the film its toe and shoulder.

    Args:
        film: log exposure.
        pixel_mm: distance of pixel centers.
        dense, lucent: log exposure of the mediastinum and of the lung, from the film.
    """
    sharp = film + EDGE * (film - _blur(film, EDGE_MM / pixel_mm))
    low, high = (np.log(level / (1 - level)) for level in (LUNG, MEDIASTINUM))
    position = low + (high - low) * (sharp - lucent) / (dense - lucent)
    grey = (1 / (1 + np.exp(-position)) - BLACK) / (WHITE - BLACK)
    return np.clip(grey, 0, 1).astype(np.float32)


def _blur(image: Image, sigma: float) -> Image:
    return cv2.GaussianBlur(image.astype(np.float32), (0, 0), sigma, borderType=cv2.BORDER_REFLECT)
