"""Reader: a bundle at work, from a film to a reading.

    reader = load_bundle()
    reading = reader.read("film.dcm")
    for reading in reader.read_many(paths): ...

A film that cannot be opened or should not be read is a reading with a status and a reason, never a
crash and never a probability. Research use only; not a medical device.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from hilum.bundle.folder import DEFAULT_BUNDLE, Bundle, open_bundle
from hilum.bundle.gate import Gate, open_gate
from hilum.bundle.lungs import LUNGS, LungSegmenter
from hilum.bundle.onnx import cores
from hilum.core.config import did_you_mean
from hilum.core.errors import BundleError, ConfigError
from hilum.core.labels import Label
from hilum.core.radiograph import Radiograph
from hilum.core.reading import Finding, Reading, Status
from hilum.image.lungs import Lungs
from hilum.serve.attribution import in_lung_share
from hilum.serve.film import Film, open_film
from hilum.serve.findings import check_prevalence, choose_points, findings_of
from hilum.serve.prefetch import batches, prefetch
from hilum.serve.session import Evidence, Logits, Session

BATCH = 16
"""Films in one inference; larger batches gain nothing on a CPU and cost memory."""


@dataclass(frozen=True, slots=True)
class Examined:
    """A reading with what it was made from.

    Attributes:
        reading: what is said of the film.
        radiograph: the film, if it was opened and asked for.
        evidence: float32 (L, h, w), the exact evidence maps, if the network has them.
        lungs: of the film, whether it was read or refused, if it got as far as the lung network.
    """

    reading: Reading
    radiograph: Radiograph | None = None
    evidence: Evidence | None = None
    lungs: Lungs | None = None


class Reader:
    """Reads films with one bundle; safe to share between threads.

    Args:
        bundle: an opened bundle.
        threads: CPU threads of one inference; None for every core.

    Attributes:
        bundle: the bundle, with its manifest and identity.
        segmenter: finds the lungs: the bundle's network, or for a bundle without one (made before
            Hilum 0.2) that inside the package; None if there is neither.
        gate: that of the bundle; None leaves the rules that need no network.

    Raises:
        BundleError: a network does not load or is not what the manifest says, the bundle reads
            the lung field and has no lung network of its own, or its gate belongs to another one.
    """

    def __init__(self, bundle: Bundle, *, threads: int | None = None) -> None:
        self.bundle = bundle
        self.preprocess = bundle.manifest.preprocess
        self.segmenter = _segmenter(bundle)
        self.gate = _gate(bundle, self.segmenter)
        self._session = Session(bundle, threads)

    @property
    def labels(self) -> tuple[Label, ...]:
        """The labels that the network answers, in the order of its outputs."""
        return tuple(output.label for output in self.bundle.manifest.labels)

    def run(self, inputs: NDArray[np.float32]) -> tuple[Logits, Evidence | None]:
        """Run the network alone.

        Args:
            inputs: float32 (N, C, S, S): films through ``bundle.manifest.preprocess``.

        Returns:
            logits float32 (N, L), and evidence float32 (N, L, h, w) with
            ``logits == evidence.mean((2, 3)) + bias``, or None if the network has no such output.
        """
        return self._session.run(inputs)

    def segment(self, radiograph: Radiograph) -> Lungs | None:
        """Return the lungs of a film, or None where there is no lung network."""
        return self.segmenter.segment(radiograph) if self.segmenter else None

    def embed(self, inputs: NDArray[np.float32]) -> NDArray[np.float32] | None:
        """Return what the network makes of films (N, C, S, S) before its head: float32 (N, E).

        None where the graph has no such output.
        """
        return self._session.embed(inputs)

    def read(
        self,
        path: str | Path,
        *,
        operating_point: str | None = None,
        prevalence: float | None = None,
        force: bool = False,
    ) -> Reading:
        """Read one film.

        Args:
            path: a PNG, JPEG, TIFF, WEBP, BMP or DICOM file; its content decides.
            operating_point: name of the threshold that says "present"; None for the default.
            prevalence: share of positives where the film comes from, in (0, 1); the probability is
                restated for it. None leaves it at that of the calibration's cases.
            force: read a film all the same that the gate refuses; its reading says so.

        Returns:
            The reading; its ``status`` is ``read``, ``refused`` or ``error``, with a reason.

        Raises:
            ConfigError: the bundle has no operating point of that name.
        """
        self._check(operating_point, prevalence)
        film = open_film(path, self.preprocess, self.segmenter, self.gate, keep=False, force=force)
        return self._examine([film], operating_point, prevalence)[0].reading

    def read_many(
        self,
        paths: Iterable[str | Path],
        *,
        operating_point: str | None = None,
        prevalence: float | None = None,
        force: bool = False,
        batch_size: int = BATCH,
        workers: int | None = None,
    ) -> Iterator[Reading]:
        """Read films as a stream: in the order of ``paths``, memory independent of their number.

        Args:
            paths: films; each gives exactly one reading.
            operating_point, prevalence, force: as in ``read``.
            batch_size: films in one inference.
            workers: threads that open films ahead; None for one a core.

        Raises:
            ConfigError: the bundle has no operating point of that name.
        """
        examined = self.examine(
            paths,
            operating_point=operating_point,
            prevalence=prevalence,
            force=force,
            batch_size=batch_size,
            workers=workers,
        )
        return (one.reading for one in examined)

    def examine(
        self,
        paths: Iterable[str | Path],
        *,
        operating_point: str | None = None,
        prevalence: float | None = None,
        force: bool = False,
        keep: bool = False,
        batch_size: int = BATCH,
        workers: int | None = None,
    ) -> Iterator[Examined]:
        """Read films as ``read_many`` does, with evidence maps, lungs and, if asked, the films.

        Args:
            paths, operating_point, prevalence, force, batch_size, workers: as in ``read_many``.
            keep: hand over each ``Radiograph`` as well, for a report or an overlay.
        """
        self._check(operating_point, prevalence)
        films = prefetch(
            lambda path: open_film(
                path, self.preprocess, self.segmenter, self.gate, keep=keep, force=force
            ),
            paths,
            workers=workers or cores(),
            ahead=2 * batch_size,
        )
        return (
            one
            for batch in batches(films, batch_size)
            for one in self._examine(batch, operating_point, prevalence)
        )

    def heatmap(self, radiograph: Radiograph, label: Label | str) -> NDArray[np.float32]:
        """Return the evidence for one label, in film coordinates.

        Args:
            radiograph: an opened film.
            label: one of ``labels``.

        Returns:
            float32 (H, W), in logit units: its mean over the network's input plus the bias of the
            label is the logit. NaN where the network did not look.

        Raises:
            BundleError: the network has no evidence output.
            ConfigError: the bundle does not answer this label.
        """
        lungs = self.segment(radiograph) if self.preprocess.needs_lungs else None
        _, evidence = self.run(self.preprocess(radiograph, lungs)[None])
        if evidence is None:
            raise BundleError(
                f"{self.bundle.model}: no evidence output; this network cannot show heatmaps",
                hint="use a bundle whose manifest says evidence = true",
            )
        return self.on_film(evidence[0], label, radiograph.shape, lungs)

    def on_film(
        self,
        evidence: Evidence,
        label: Label | str,
        shape: tuple[int, int],
        lungs: Lungs | None = None,
    ) -> NDArray[np.float32]:
        """Bring the map of one label from ``Examined.evidence`` (L, h, w) onto a film (H, W).

        Args:
            evidence: float32 (L, h, w).
            label: one of ``labels``.
            shape: (H, W), of the film or of a thumbnail of it.
            lungs: of ``Examined``; needed where the bundle reads the lung field.

        Returns:
            float32 (H, W), in logit units; NaN where the network did not look.
        """
        if label not in self.labels:
            raise ConfigError(
                f"label '{label}': not in {self.bundle.identity}",
                hint=did_you_mean(str(label), self.labels),
            )
        place = self.labels.index(Label(label))
        return self.preprocess.to_film(evidence[place], shape, lungs)

    def _check(self, operating_point: str | None, prevalence: float | None) -> None:
        """Raise ``ConfigError`` before the first film is opened, not after it."""
        choose_points(self.bundle.manifest, operating_point)
        check_prevalence(self.bundle.manifest, prevalence)

    def _examine(
        self, films: list[Film], operating_point: str | None, prevalence: float | None
    ) -> list[Examined]:
        """Judge opened films in one inference; keep their order."""
        started = perf_counter()
        sound = [film.inputs for film in films if film.inputs is not None]
        logits, evidence = self.run(np.stack(sound)) if sound else (None, None)
        each_ms = (perf_counter() - started) * 1000 / max(len(sound), 1)
        examined, row = [], 0
        for film in films:
            if film.inputs is None or logits is None:
                examined.append(Examined(self._unread(film), film.radiograph, lungs=film.lungs))
                continue
            maps = None if evidence is None else evidence[row]
            reading = self._reading(film, logits[row], maps, operating_point, prevalence, each_ms)
            examined.append(Examined(reading, film.radiograph, maps, film.lungs))
            row += 1
        return examined

    def _reading(
        self,
        film: Film,
        logits: Logits,
        evidence: Evidence | None,
        operating_point: str | None,
        prevalence: float | None,
        each_ms: float,
    ) -> Reading:
        if not np.isfinite(logits).all():
            return self._unread(film.failed(f"the network answered {logits.tolist()}"))
        findings = findings_of(self.bundle.manifest, logits, operating_point, prevalence)
        return Reading(
            path=film.path,
            status=Status.READ,
            reason=film.reason or None,
            hint=film.hint or None,
            refusal=film.refusal,
            forced=film.forced,
            findings=findings if evidence is None else self._attributed(findings, evidence, film),
            bundle=self.bundle.identity,
            elapsed_ms=round(film.elapsed_ms + each_ms, 2),
            film=film.facts,
            history=film.history,
            notes=film.notes,
        )

    def _attributed(
        self, findings: tuple[Finding, ...], evidence: Evidence, film: Film
    ) -> tuple[Finding, ...]:
        """Say of each finding how much of what speaks for it lies inside the lungs."""
        shape = film.facts["height"], film.facts["width"]
        shares = [in_lung_share(self.preprocess, each, shape, film.lungs) for each in evidence]
        return tuple(
            finding.model_copy(update={"in_lung_share": share})
            for finding, share in zip(findings, shares, strict=True)
        )

    def _unread(self, film: Film) -> Reading:
        return Reading(
            path=film.path,
            status=film.status,
            reason=film.reason,
            hint=film.hint or None,
            refusal=film.refusal if film.status is Status.REFUSED else None,
            bundle=self.bundle.identity,
            elapsed_ms=round(film.elapsed_ms, 2),
            film=film.facts,
            history=film.history,
            notes=film.notes,
        )


def _segmenter(bundle: Bundle) -> LungSegmenter | None:
    """One thread a film: films are opened, and their lungs found, in several threads at once."""
    own = (bundle.root / LUNGS).is_file()
    if own or bundle.manifest.preprocess.needs_lungs:
        return LungSegmenter(bundle.root, threads=1)
    return LungSegmenter(threads=1) if (DEFAULT_BUNDLE / LUNGS).is_file() else None


def _gate(bundle: Bundle, segmenter: LungSegmenter | None) -> Gate | None:
    return None if segmenter is None else open_gate(bundle.root, lungs=segmenter.checksum)


def load_bundle(root: str | Path | None = None, *, threads: int | None = None) -> Reader:
    """Open a bundle, verify its checksums and return its reader.

    Args:
        root: the bundle's folder; None for the one inside the package.
        threads: CPU threads of one inference; None for every core.

    Raises:
        BundleError: no bundle there, a byte of it changed, or its network does not load.
    """
    return Reader(open_bundle(None if root is None else Path(root)), threads=threads)
