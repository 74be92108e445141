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

MINERALIZED = 2.2
"""Times the mineral that the CT shows: its patient's bones are thin, and ribs hardly show."""

BANDS = ((20.0, 0.7), (6.0, 0.95), (2.0, 1.6), (0.7, 2.1), (0.0, 1.2))
"""(size of structures in mm, gain), from coarse to fine."""

MIDDLE, SLOPE = 0.22, 2.9
"""Where between lung and mediastinum the look-up table is mid-grey, and how steep it is there."""


@dataclass(frozen=True)
class Room:
    """How the film is taken.

    Attributes:
        view: "PA" (the front on the detector) or "lateral" (the left side on the detector).
        shape: (rows, columns) of the film.
        pixel_mm: distance of pixel centers in the detector.
        source_mm: source to detector.
        gap_mm: detector to the first voxel.
        center_mm: where the central ray passes, from the first voxel: (across, up).
        photons: that an unattenuated pixel would count.
        scatter: scattered to primary signal behind the grid, in the mean.
        seed: of the quantum noise.
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


def take(patient: Patient, room: Room) -> Image:
    """Take a film: float32 (rows, columns), log exposure, 0 = unattenuated, larger = denser."""
    water, bone = densities(patient)
    paths = [project(volume, patient.spacing_mm, room) / 10 for volume in (water, bone)]
    return expose(paths[0], paths[1], room)


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

    The film is split into bands by the size of what they show; heart and spine are compressed,
    ribs and vessels lifted (multi-frequency processing). A sigmoid gives it its toe and shoulder.

    Args:
        film: log exposure.
        pixel_mm: distance of pixel centers.
        dense, lucent: log exposure of the mediastinum and of the lung, from the film.
    """
    center = lucent + MIDDLE * (dense - lucent)
    result = np.full_like(film, center)
    coarser = np.full_like(film, center)
    for size_mm, gain in BANDS:
        band = _blur(film, size_mm / pixel_mm) if size_mm else film
        result += gain * (band - coarser)
        coarser = band
    position = (result - center) / (dense - lucent)
    return (1 / (1 + np.exp(-SLOPE * position))).astype(np.float32)


def _blur(image: Image, sigma: float) -> Image:
    return cv2.GaussianBlur(image.astype(np.float32), (0, 0), sigma, borderType=cv2.BORDER_REFLECT)
