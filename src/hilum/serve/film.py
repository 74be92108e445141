"""Film: one file on its way to the network, opened or with the reason why not."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hilum.bundle.gate import Gate
from hilum.bundle.onepass import SeenLungs, Segmenter
from hilum.core.details import Details
from hilum.core.errors import ImageError, RejectedImageError
from hilum.core.radiograph import Metadata, Radiograph
from hilum.core.reading import AppearanceFinding, Finding, Reading, Status
from hilum.core.refusal import Refusal
from hilum.image.lungs import Lungs
from hilum.image.open import MAX_MEGAPIXELS, open_radiograph
from hilum.image.preprocess import Preprocess
from hilum.serve.gate import admit

if TYPE_CHECKING:
    from hilum.image.opacities import Opacities

_KNOWN = tuple(field.name for field in fields(Metadata))
_REGIONS = {
    "lung-field": "cut to the box around the lungs",
    "lungs-only": "black outside the lungs, cut to the box around them",
    "lungs-removed": "black inside the lungs",
}


@dataclass(frozen=True, slots=True)
class OpenedFilm:
    """What became of one file.

    Attributes:
        path: as the caller named it, in printable text.
        status: ``read`` if the network may see it.
        inputs: float32 (C, S, S) for the network; None unless ``status`` is ``read``.
        radiograph: the opened film, if it was asked for.
        lungs: of the film, where a lung network saw it.
        opacities: in those lungs, where they were asked for; ``details`` what follows from both,
            ``features`` of the film itself, for severity.
        reason, hint: why it was not read, without the path; "" otherwise.
        refusal: of the gate; None if it let the film pass.
        forced: the network may see it although the gate refused it.
        facts, history, notes: as in ``Reading``.
        elapsed_ms: wall time to open and preprocess, in milliseconds.
    """

    path: str
    status: Status = Status.READ
    inputs: NDArray[np.float32] | None = None
    radiograph: Radiograph | None = None
    lungs: Lungs | None = None
    opacities: Opacities | None = None
    details: Details | None = None
    features: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)
    reason: str = ""
    hint: str = ""
    refusal: Refusal | None = None
    forced: bool = False
    facts: dict[str, Any] = field(default_factory=dict)
    history: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    elapsed_ms: float = 0.0

    def failed(self, reason: str, hint: str = "", *, status: Status = Status.ERROR) -> OpenedFilm:
        """Return this film with nothing for the network, and the reason."""
        return replace(self, inputs=None, status=status, reason=reason, hint=hint)

    def reading(
        self,
        bundle: str,
        findings: tuple[Finding, ...] = (),
        appearance: AppearanceFinding | None = None,
        details: Details | None = None,
    ) -> Reading:
        """Return what is said of this film: its findings, or why there are none.

        Args:
            bundle: the identity of the bundle that read it.
            findings, appearance, details: of a film whose ``status`` is ``read``.
        """
        stands = self.status is not Status.ERROR
        return Reading(
            path=self.path,
            status=self.status,
            reason=self.reason or None,
            hint=self.hint or None,
            refusal=self.refusal if stands else None,
            forced=self.forced and stands,
            findings=findings,
            appearance=appearance,
            details=details,
            bundle=bundle,
            elapsed_ms=round(self.elapsed_ms, 2),
            film=self.facts,
            history=self.history,
            notes=self.notes,
        )


def open_film(
    path: str | Path,
    preprocess: Preprocess | None = None,
    segmenter: Segmenter | None = None,
    gate: Gate | None = None,
    *,
    keep: bool,
    force: bool = False,
    max_megapixels: float = MAX_MEGAPIXELS,
) -> OpenedFilm:
    """Open a file, find the lungs, ask the gate, preprocess; never raise for what is wrong with it.

    Args:
        path: the file.
        preprocess: of the bundle; None leaves the film without ``inputs``.
        segmenter: finds the lungs, once a film; None leaves them unknown.
        gate: of the bundle; None leaves the rules that need no network.
        keep: keep the ``Radiograph`` with its full pixels.
        force: let the network see a film that the gate refuses, and mark it.
        max_megapixels: larger films are refused before they are decoded.

    Raises:
        ConfigError: the bundle's preprocessing needs lungs, and there is no ``segmenter``.
    """
    started = perf_counter()
    film = _open(path, max_megapixels)
    if film.radiograph is not None:
        film = _admitted(film, film.radiograph, preprocess, segmenter, gate, force)
    elapsed_ms = (perf_counter() - started) * 1000
    return replace(film, elapsed_ms=elapsed_ms, radiograph=film.radiograph if keep else None)


def printable(path: str | Path) -> str:
    """Return a path as text that JSON can hold: bytes that are not UTF-8 become U+FFFD."""
    return os.fsencode(path).decode("utf-8", "replace")


def _open(path: str | Path, max_megapixels: float) -> OpenedFilm:
    film = OpenedFilm(printable(path))
    try:
        return replace(film, radiograph=open_radiograph(path, max_megapixels=max_megapixels))
    except ImageError as error:
        return film.failed(_without(path, error.message), error.hint, status=_status(error))
    except MemoryError:
        return film.failed("not enough memory to open it", "export the film at a smaller size")
    except Exception as error:  # a decoder's own bug on one film must not end a run over thousands
        found = f"unexpected {type(error).__name__}: {error}"
        return film.failed(printable(found), "please report it with the file, if you may share it")


def _admitted(
    film: OpenedFilm,
    radiograph: Radiograph,
    preprocess: Preprocess | None,
    segmenter: Segmenter | None,
    gate: Gate | None,
    force: bool,
) -> OpenedFilm:
    admission = admit(radiograph, segmenter, gate, force=force)
    film = _described(film, admission.radiograph, preprocess)
    film = replace(film, lungs=admission.lungs, refusal=admission.refusal)
    if film.refusal is not None:
        refused = film.failed(film.refusal.sentence, film.refusal.hint, status=Status.REFUSED)
        if not force:
            return refused
        film = replace(refused, status=Status.READ, forced=True)
    if isinstance(film.lungs, SeenLungs):
        return replace(film, inputs=film.lungs.inputs)
    if preprocess is None:
        return film
    return replace(film, inputs=preprocess(admission.radiograph, film.lungs))


def _status(error: ImageError) -> Status:
    return Status.REFUSED if isinstance(error, RejectedImageError) else Status.ERROR


def _without(path: str | Path, message: str) -> str:
    return printable(message.removeprefix(f"{path}: "))


def _described(
    film: OpenedFilm, radiograph: Radiograph, preprocess: Preprocess | None
) -> OpenedFilm:
    height, width = radiograph.shape
    known = {
        name: value for name in _KNOWN if (value := getattr(radiograph.metadata, name)) is not None
    }
    facts = {"format": radiograph.format, "width": width, "height": height, "bits": radiograph.bits}
    steps = [f"{step.name}: {step.detail}" for step in radiograph.history]
    return replace(
        film,
        radiograph=radiograph,
        facts=facts | known,
        history=(*steps, *(_steps_of(preprocess) if preprocess else ())),
        notes=radiograph.notes,
    )


def _steps_of(preprocess: Preprocess) -> list[str]:
    size, low, high = preprocess.size, preprocess.low_percentile, preprocess.high_percentile
    steps = [] if preprocess.region == "film" else [f"preprocess: {_REGIONS[preprocess.region]}"]
    if preprocess.region in ("lung-field", "lungs-only"):
        steps[0] += f", with a margin of {preprocess.margin:.0%} of its sides"
    steps.append(f"preprocess: {preprocess.fit} to {size} x {size} pixels")
    if low is not None and high is not None:
        steps.append(f"preprocess: grey levels from percentile {low:g} to {high:g} become 0 to 1")
    mean, std, channels = preprocess.mean, preprocess.std, preprocess.channels
    steps.append(f"preprocess: (x - {mean:g}) / {std:g}, {channels} channel(s)")
    return steps
