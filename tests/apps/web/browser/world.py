"""The films of the browser tests, and a reader that says of each what a test wants to see.

The server, its store and its worker are the real ones. The reader alone runs no network: what it
finds is made up, so that a test knows where on the film it must be seen.
"""

from __future__ import annotations

import io
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.uid import generate_uid

from hilum.bundle.folder import DEFAULT_BUNDLE, Bundle, manifest_of, seal
from hilum.bundle.manifest import MANIFEST, LabelOutput
from hilum.core.details import (
    Affected,
    Details,
    Lesion,
    LungDetail,
    OpacityBox,
    Severity,
    Side,
    Similar,
    Zone,
)
from hilum.core.estimate import Estimate
from hilum.core.labels import CODES, Appearance, Label
from hilum.core.reading import AppearanceFinding, Finding, Reading, Status
from hilum.core.refusal import Reason, Refusal
from hilum.image.lungs import Lungs
from hilum.image.open import open_radiograph
from hilum.judge.calibration import Calibration, OperatingPoint
from hilum.judge.conformal import Conformal
from hilum.serve.findings import findings_of
from hilum.serve.reader import Examined
from hilum.serve.samples import ROOT as SAMPLES

SQUARES = ((100, 80, 120, 120), (300, 240, 60, 100))
"""(left, top, width, height) in the phantom: a heatmap lies on the first, a box on the second."""
LOGITS = (0.575, -2.2)
"""Of COVID-19, 64 % where 42 % have it: as likely as not; and of pneumonia, which it is not."""
LABELS = (Label.COVID_19, Label.PNEUMONIA)
LOOKS = AppearanceFinding(
    chances=dict(zip(Appearance, (0.5, 0.25, 0.045, 0.205), strict=True)),
    calibration="temperature",
    prediction_set=(Appearance.TYPICAL, Appearance.NEGATIVE),
    coverage=0.9,
)
OPAQUE = {
    (None, None): 0.23, ("right", None): 0.14, ("left", None): 0.27,
    ("right", "upper"): 0.02, ("right", "middle"): 0.1, ("right", "lower"): 0.31,
    ("left", "upper"): 0.0, ("left", "middle"): 0.22, ("left", "lower"): 0.48,
}  # fmt: skip


def write_bundle(root: Path) -> None:
    """Copy the built-in bundle, with labels, calibrations and sets that these tests know."""
    shutil.copytree(DEFAULT_BUNDLE, root)
    point = OperatingPoint(
        name="balanced",
        label=LABELS[0],
        threshold=0.6,
        sensitivity=Estimate(value=0.9, low=0.8, high=0.95, n=40),
        specificity=Estimate(value=0.7, low=0.6, high=0.8, n=60),
        chosen_on="val of a test",
        rule="largest Youden index",
    )
    points = (point, point.model_copy(update={"name": "sensitive", "threshold": 0.3}))
    outputs = tuple(
        LabelOutput(
            label=label,
            code=CODES[label].value,
            scheme=CODES[label].scheme,
            meaning=CODES[label].meaning,
            calibration=Calibration(
                method="platt", a=1, b=1, c=0, fitted_on="val of a test", prevalence=0.42
            ),
            operating_points=tuple(each.model_copy(update={"label": label}) for each in points),
            conformal=Conformal(
                coverage=0.9, present_from=0.3, absent_to=0.7, positives=40, negatives=60,
                fitted_on="val of a test",
            ),
        )
        for label in LABELS
    )  # fmt: skip
    changed = {"name": "of-this-world", "version": "1.2.3", "labels": outputs}
    manifest = manifest_of(root).model_copy(update=changed)
    (root / MANIFEST).write_text(manifest.model_dump_json(indent=2))
    seal(root)


def films() -> dict[str, tuple[bytes, str]]:
    """Name -> content and patient; ``waiting.png`` is the one that nobody reads by itself."""
    frontal = cv2.imread(str(SAMPLES / "frontal.png"), cv2.IMREAD_UNCHANGED)
    return {
        "phantom.dcm": (_dicom(_phantom(), "PHANTOM"), ""),
        "frontal-opacities.png": ((SAMPLES / "frontal-opacities.png").read_bytes(), "P-17"),
        "frontal.dcm": (_dicom(None, "P-17", StudyDate="20250302"), ""),
        "lateral.png": ((SAMPLES / "lateral.png").read_bytes(), "P-17"),
        "cropped.jpg": ((SAMPLES / "cropped.jpg").read_bytes(), "P-18"),
        "damaged.dcm": (_another(frontal, 1), "P-20"),
        "uncalibrated.png": (_another(frontal, 2), "P-21"),
        "waiting.png": (_another(frontal, 3), "P-19"),
    }


def _another(film: NDArray[Any], number: int) -> bytes:
    """The film with another first pixel, as PNG: what is the same is taken once."""
    changed = film.copy()
    changed[0, 0] = number
    return cv2.imencode(".png", changed)[1].tobytes()


def _phantom() -> NDArray[np.uint16]:
    """A dark field of 500 x 400 with two bright squares, 12 bits deep, and a ramp of fine steps."""
    pixels = np.full((400, 500), 300, np.uint16)
    for left, top, width, height in SQUARES:
        pixels[top : top + height, left : left + width] = 3000
    # 200 levels that 8 bits of the range 0-4095 could not tell apart: only full depth shows them
    pixels[360:380, 100:300] = 2000 + np.arange(200, dtype=np.uint16)
    return pixels


def _dicom(pixels: NDArray[np.uint16] | None, patient: str, **more: str) -> bytes:
    """The built-in DICOM film as another patient's, with these pixels if there are any."""
    film = pydicom.dcmread(SAMPLES / "frontal.dcm")
    film.PatientID = patient
    film.StudyInstanceUID, film.SOPInstanceUID = generate_uid(), generate_uid()
    film.file_meta.MediaStorageSOPInstanceUID = film.SOPInstanceUID
    for name, value in more.items():
        setattr(film, name, value)
    if pixels is not None:
        film.set_pixel_data(pixels, "MONOCHROME2", 12)
        film.PresentationLUTShape = "IDENTITY"
        film.PixelSpacing, film.PixelSpacingCalibrationType = [0.25, 0.25], "GEOMETRY"
        del film.ImagerPixelSpacing
    out = io.BytesIO()
    film.save_as(out)
    return out.getvalue()


class StubReader:
    """Stands for ``Reader``, as the worker uses it.

    Args:
        bundle: whose labels, calibration and operating points its readings have.
        kinds: checksum of a film -> its name, where that says what should be found.
    """

    def __init__(self, bundle: Bundle, kinds: dict[str, str]) -> None:
        self.bundle, self._kinds = bundle, kinds

    def examine(self, paths: Iterable[Path], *, force: bool, **_: Any) -> Iterator[Examined]:
        for path in paths:
            yield self._examine(path, self._kinds.get(path.name, ""), force)

    def _examine(self, path: Path, kind: str, force: bool) -> Examined:
        film = open_radiograph(path)
        height, width = film.pixels.shape
        facts = {"format": film.format, "height": height, "width": width}
        said: dict[str, Any] = {
            "path": path.name,
            "bundle": self.bundle.identity,
            "elapsed_ms": 412.0,
            "film": facts | {"sides": film.metadata.sides},
            "history": ("modality LUT: identity", "preprocess: stretch to 160 x 160 pixels"),
            "notes": ("lossy compressed at some time",) if film.format == "JPEG" else (),
        }
        if kind == "damaged.dcm":
            reason = {"reason": "pixel data ends after 1,204 of 2,048,000 bytes", "film": {}}
            hint = "export the film again from the archive"
            return Examined(Reading(status=Status.ERROR, hint=hint, **said | reason))
        if kind == "lateral.png" and not force:
            hint = "read the frontal film (PA or AP) of the same study"
            measured = {"measured": "log-odds of a lateral film", "value": 4.31, "limit": 1.2}
            refusal = Refusal(code=Reason.LATERAL, hint=hint, **measured)
            reason = "a lateral film: log-odds of a lateral film 4.31, limit 1.2"
            return Examined(Reading(status=Status.REFUSED, reason=reason, refusal=refusal, **said))
        phantom = film.metadata.patient_id == "PHANTOM"
        details: Details | None = _details(phantom, height, width)
        findings = findings_of(self.bundle.manifest, np.array(LOGITS, np.float32), None)
        more: dict[str, Any] = {"in_lung_share": 0.93}
        if kind == "uncalibrated.png":
            details, more = None, {"calibration": "none"}
            more |= dict.fromkeys(("prevalence", "prediction_set", "coverage"))
        found = [Finding(**each.model_dump(exclude={"answer"}) | more) for each in findings]
        looks = LOOKS if kind == "frontal-opacities.png" else None
        everywhere = Lungs(np.ones((64, 64), bool), np.zeros(0, np.float32))
        heat = _heat(phantom, height, width)
        return Examined(
            Reading(
                status=Status.READ, findings=tuple(found), appearance=looks, details=details, **said
            ),
            evidence=np.stack([heat, -heat]),
            lungs=everywhere,
        )


def _details(phantom: bool, height: int, width: int) -> Details:
    """Where things lie: of the phantom on its squares, else as fractions of the film."""
    if phantom:
        lungs = [_corners(each) for each in SQUARES]
        lesion, box = _corners(SQUARES[1]), SQUARES[1]
    else:
        size = np.array([width, height])
        lungs = [_ellipse(size, x, 0.48, 0.14, 0.28) for x in (0.32, 0.68)]
        lesion = _ellipse(size, 0.7, 0.58, 0.06, 0.08)
        box = round(0.62 * width), round(0.5 * height), width // 5, height // 6
    sides = zip((Side.RIGHT, Side.LEFT), lungs, strict=True)
    alike = (("covid-cxnet/112", {"covid-19": 1}), ("nih/00012_003", {"pneumonia": 0}))
    scores = (("geographic-extent", 3.4, 8), ("opacity", 2.6, 6))
    return Details(
        lungs=tuple(LungDetail(side=s, area=0.2, box=_around(o), outline=o) for s, o in sides),
        affected=tuple(
            Affected(
                side=side and Side(side), zone=zone and Zone(zone), share=share,
                kinds={"ground-glass": share},
            )
            for (side, zone), share in OPAQUE.items()
        ),
        lesions=(
            Lesion(kind="ground-glass", area=0.08, score=0.7, box=_around(lesion), outline=lesion),
        ),
        boxes=(OpacityBox(box=box, score=0.6),),
        severity=tuple(
            Severity(scale=s, value=v, low=v - 1.2, high=v + 1.4, coverage=0.9, maximum=most)
            for s, v, most in scores
        ),
        similar=tuple(
            Similar(case_id=case, cohort=case.split("/")[0], distance=0.21, labels=labels)
            for case, labels in alike
        ),
    )  # fmt: skip


def _corners(box: tuple[int, int, int, int]) -> tuple[tuple[int, int], ...]:
    """The pixels at the corners of a box, as a contour follower names them."""
    left, top, width, height = box
    right, bottom = left + width - 1, top + height - 1
    return (left, top), (right, top), (right, bottom), (left, bottom)


def _ellipse(
    size: NDArray[Any], x: float, y: float, a: float, b: float
) -> tuple[tuple[int, int], ...]:
    around = np.linspace(0, 2 * np.pi, 60, endpoint=False)
    points = np.stack([x + a * np.cos(around), y + b * np.sin(around)], axis=1) * size
    return tuple((round(float(u)), round(float(v))) for u, v in points)


def _around(outline: tuple[tuple[int, int], ...]) -> tuple[int, int, int, int]:
    (left, top), (right, bottom) = np.min(outline, axis=0), np.max(outline, axis=0)
    return int(left), int(top), int(right - left + 1), int(bottom - top + 1)


def _heat(phantom: bool, height: int, width: int) -> NDArray[np.float32]:
    """float32 (h, w) in logits, a quarter of the film so that the phantom's edges stay whole."""
    y, x = np.mgrid[0 : height // 4, 0 : width // 4].astype(np.float32)
    if phantom:
        left, top, wide, high = (each // 4 for each in SQUARES[0])
        inside = (y >= top) & (y < top + high) & (x >= left) & (x < left + wide)
        return np.where(inside, np.float32(2), np.float32(0))
    y, x = y / (height // 4), x / (width // 4)
    toward = 2 * np.exp(-((x - 0.7) ** 2 + (y - 0.58) ** 2) / 0.012)
    against = 1.2 * np.exp(-((x - 0.33) ** 2 + (y - 0.4) ** 2) / 0.02)
    return np.asarray(toward - against, np.float32)
