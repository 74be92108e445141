"""Reader: a bundle at work, from a film to a reading.

    reader = load_bundle()
    reading = reader.read("film.dcm")
    for reading in reader.read_many(paths): ...

A film that cannot be opened or should not be read is a reading with a status and a reason, never a
crash and never a probability. Research use only; not a medical device.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hilum.bundle.folder import DEFAULT_BUNDLE, Bundle, open_bundle
from hilum.bundle.gate import Gate, open_gate
from hilum.bundle.lungs import LUNGS, LungSegmenter
from hilum.bundle.manifest import MANIFEST
from hilum.bundle.onepass import OnePass, SeenLungs, Segmenter, open_segmenter
from hilum.bundle.similar import Neighbors, open_similar
from hilum.core.config import check_label
from hilum.core.errors import BundleError
from hilum.core.labels import Label
from hilum.core.machine import cores
from hilum.core.prefetch import batches, prefetch
from hilum.core.radiograph import Radiograph
from hilum.core.reading import Finding, Reading
from hilum.image.lungs import Lungs
from hilum.image.open import MAX_MEGAPIXELS
from hilum.serve.attribution import in_lung_share
from hilum.serve.film import OpenedFilm, open_film
from hilum.serve.findings import check_prevalence, choose_points, findings_of
from hilum.serve.session import (
    APPEARANCE,
    Evidence,
    Logits,
    NetworkAnswer,
    NetworkSession,
    check_graph,
)

if TYPE_CHECKING:
    from hilum.image.opacities import Opacities
    from hilum.serve.details import Detailer

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
        opacities: in those lungs, if details were asked for and the bundle has a network for it.
        embedding: float32 (E,), what the network makes of the film before its head, if it says.
    """

    reading: Reading
    radiograph: Radiograph | None = None
    evidence: Evidence | None = None
    lungs: Lungs | None = None
    opacities: Opacities | None = None
    embedding: NDArray[np.float32] | None = None


class _Asked(NamedTuple):
    """What a caller wants to know of films: the arguments of ``Reader.examine``."""

    operating_point: str | None = None
    prevalence: float | None = None
    force: bool = False
    details: bool = False
    keep: bool = False


class Reader:
    """Reads films with one bundle; safe to share between threads.

    Args:
        bundle: an opened bundle.
        threads: CPU threads of one inference; None for every core.
        max_megapixels: larger films are refused before they are decoded.

    Attributes:
        bundle: the bundle, with its manifest and identity.
        segmenter: finds the lungs: the bundle's network, or for a bundle without one (made before
            Hilum 0.2) that inside the package; None if there is neither.
        gate: that of the bundle; None leaves the rules that need no network.

    Raises:
        BundleError: a network does not load or is not what the manifest says, the bundle reads
            the lung field and has no lung network of its own, or its gate belongs to another one.
    """

    def __init__(
        self,
        bundle: Bundle,
        *,
        threads: int | None = None,
        max_megapixels: float = MAX_MEGAPIXELS,
    ) -> None:
        self.bundle = bundle
        self.max_megapixels = max_megapixels
        self.preprocess = bundle.manifest.preprocess
        self.segmenter = _segmenter(bundle)
        self.gate = _gate(bundle, self.segmenter)
        self._threads = threads
        if isinstance(self.segmenter, OnePass):
            check_graph(self.segmenter.graph, bundle)
        else:
            _ = self._session

    @cached_property
    def _session(self) -> NetworkSession:
        """Loaded when first asked: whatever finds lungs in one pass has said all by then."""
        return NetworkSession(self.bundle, self._threads)

    @cached_property
    def details(self) -> Detailer:
        """What says more of a film than its findings; loaded when it is first asked for."""
        from hilum.serve.details import Detailer

        return Detailer(self.bundle, self.segmenter.checksum if self.segmenter else None)

    @cached_property
    def neighbors(self) -> Neighbors | None:
        """The films of training that the bundle carries, as embeddings; None without them."""
        return open_similar(self.bundle.root)

    def copy_of(self, embedding: NDArray[np.float32] | None, look: NDArray[np.int8] | None) -> str:
        """Return the training film that a film is a copy of, or ""; see ``Neighbors.copy_of``."""
        return "" if self.neighbors is None else self.neighbors.copy_of(embedding, look)

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
            ``logits == evidence.mean((2, 3)) + bias`` for labels whose ``bias`` is not None in the
            manifest (another is a product, see ``LabelOutput``); None if the network has no maps.
        """
        return self._session.run(inputs)

    def open(self, path: str | Path, *, keep: bool, force: bool = False) -> OpenedFilm:
        """Open a film as this bundle reads it: put right, or refused by its gate.

        Args:
            path, keep, force: as in ``hilum.serve.film.open_film``.
        """
        return open_film(
            path,
            self.preprocess,
            self.segmenter,
            self.gate,
            keep=keep,
            force=force,
            max_megapixels=self.max_megapixels,
        )

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
        details: bool = False,
    ) -> Reading:
        """Read one film.

        Args:
            path: a PNG, JPEG, TIFF, WEBP, BMP or DICOM file; its content decides.
            operating_point: name of the threshold that says "present"; None for the default.
            prevalence: share of films with COVID-19 pneumonia (else with the bundle's first label)
                where the film comes from, in (0, 1); the probability of every label is restated for
                it, their odds by one factor. None takes those that the bundle states.
            force: read a film all the same that the gate refuses; its reading says so.
            details: say where the sign is, how much of the lungs it covers, what resembles it.

        Returns:
            The reading; its ``status`` is ``read``, ``refused`` or ``error``, with a reason.

        Raises:
            ConfigError: the bundle has no operating point of that name.
        """
        asked = _Asked(operating_point, prevalence, force, details)
        self._check(asked)
        return self._examine([self._open(path, asked)], asked)[0].reading

    def read_many(
        self,
        paths: Iterable[str | Path],
        *,
        operating_point: str | None = None,
        prevalence: float | None = None,
        force: bool = False,
        details: bool = False,
        batch_size: int = BATCH,
        workers: int | None = None,
    ) -> Iterator[Reading]:
        """Read films as a stream: in the order of ``paths``, memory independent of their number.

        Args:
            paths: films; each gives exactly one reading.
            operating_point, prevalence, force, details: as in ``read``.
            batch_size: films in one inference.
            workers: threads that open films ahead; None for two a core: half of them wait.

        Raises:
            ConfigError: the bundle has no operating point of that name.
        """
        examined = self.examine(
            paths,
            operating_point=operating_point,
            prevalence=prevalence,
            force=force,
            details=details,
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
        details: bool = False,
        keep: bool = False,
        batch_size: int = BATCH,
        workers: int | None = None,
    ) -> Iterator[Examined]:
        """Read films as ``read_many`` does, with evidence maps, lungs and, if asked, the films.

        Args:
            paths, operating_point, prevalence, force, details, batch_size, workers: as in
                ``read_many``.
            keep: hand over each ``Radiograph`` as well, for a report or an overlay.
        """
        asked = _Asked(operating_point, prevalence, force, details, keep)
        self._check(asked)
        films = prefetch(
            lambda path: self._open(path, asked),
            paths,
            workers=workers or 2 * cores(),
            ahead=2 * batch_size,
        )
        return (one for batch in batches(films, batch_size) for one in self._examine(batch, asked))

    def heatmap(self, radiograph: Radiograph, label: Label | str) -> NDArray[np.float32]:
        """Return the evidence for one label, in film coordinates.

        Args:
            radiograph: an opened film.
            label: one of ``labels``.

        Returns:
            float32 (H, W), in logit units: its mean over the network's input plus the bias of the
            label is the logit, where the label has a bias. NaN where the network did not look.

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
        check_label(label, self.labels, self.bundle.identity)
        place = self.labels.index(Label(label))
        return self.preprocess.to_film(evidence[place], shape, lungs)

    def _check(self, asked: _Asked) -> None:
        """Raise before the first film is opened, not after it; load what details need once."""
        choose_points(self.bundle.manifest, asked.operating_point)
        check_prevalence(self.bundle.manifest, asked.prevalence)
        if asked.details:
            _ = self.details

    def _open(self, path: str | Path, asked: _Asked) -> OpenedFilm:
        film = self.open(path, keep=asked.keep or asked.details, force=asked.force)
        if not asked.details:
            return film
        started = perf_counter()
        film = self.details.look(film)
        elapsed_ms = film.elapsed_ms + (perf_counter() - started) * 1000
        radiograph = film.radiograph if asked.keep else None
        return replace(film, radiograph=radiograph, elapsed_ms=elapsed_ms)

    def _examine(self, films: list[OpenedFilm], asked: _Asked) -> list[Examined]:
        """Judge opened films in one inference; keep their order."""
        started = perf_counter()
        sound = [film.inputs for film in films if film.inputs is not None and not _seen(film)]
        answers = iter(self._session.answers(np.stack(sound)) if sound else ())
        each_ms = (perf_counter() - started) * 1000 / max(len(sound), 1)
        examined = []
        for film in films:
            answer = None
            if film.inputs is not None:
                answer = _seen(film) or next(answers)
            examined.append(self._one(film, answer, asked, each_ms))
        return examined

    def _one(
        self, film: OpenedFilm, answer: NetworkAnswer | None, asked: _Asked, each_ms: float
    ) -> Examined:
        started = perf_counter()
        radiograph, bundle = film.radiograph, self.bundle.identity
        if answer is None or not np.isfinite(answer.logits).all():
            if answer is not None:
                film = film.failed(f"the network answered {answer.logits.tolist()}")
            return Examined(film.reading(bundle), radiograph, lungs=film.lungs)
        findings = self._findings(film, answer, asked)
        looks, appearance = self.bundle.manifest.appearance, None
        if looks is not None and answer.appearance is not None:
            appearance = looks(answer.appearance)
        details = self.details.describe(film, answer) if asked.details else None
        elapsed_ms = film.elapsed_ms + each_ms + (perf_counter() - started) * 1000
        reading = replace(film, elapsed_ms=elapsed_ms).reading(
            bundle, findings, appearance, details
        )
        return Examined(
            reading, radiograph, answer.evidence, film.lungs, film.opacities, answer.embedding
        )

    def _findings(
        self, film: OpenedFilm, answer: NetworkAnswer, asked: _Asked
    ) -> tuple[Finding, ...]:
        """Say what the logits mean, and how much of what speaks for it lies inside the lungs."""
        findings = findings_of(
            self.bundle.manifest, answer.logits, asked.operating_point, asked.prevalence
        )
        if answer.evidence is None:
            return findings
        shape = film.facts["height"], film.facts["width"]
        shares = [
            in_lung_share(self.preprocess, each, shape, film.lungs) for each in answer.evidence
        ]
        return tuple(
            finding.model_copy(update={"in_lung_share": share})
            for finding, share in zip(findings, shares, strict=True)
        )


def _seen(film: OpenedFilm) -> NetworkAnswer | None:
    """Return what the network said of a film when it found its lungs, if it is one network."""
    if not isinstance(film.lungs, SeenLungs):
        return None
    outputs = film.lungs.outputs
    given = outputs["logits"], outputs["evidence"], outputs["embedding"]
    return NetworkAnswer(*given, outputs.get(APPEARANCE))


def _segmenter(bundle: Bundle) -> Segmenter | None:
    """One thread a film: films are opened, and their lungs found, in several threads at once."""
    manifest = bundle.manifest
    if manifest.maps or manifest.preprocess.needs_lungs or (bundle.root / LUNGS).is_file():
        return open_segmenter(bundle.root)
    return LungSegmenter(threads=1) if (DEFAULT_BUNDLE / MANIFEST).is_file() else None


def _gate(bundle: Bundle, segmenter: Segmenter | None) -> Gate | None:
    return None if segmenter is None else open_gate(bundle.root, lungs=segmenter.checksum)


def load_bundle(
    root: str | Path | None = None,
    *,
    threads: int | None = None,
    max_megapixels: float = MAX_MEGAPIXELS,
) -> Reader:
    """Open a bundle, verify its checksums and return its reader.

    Args:
        root: the bundle's folder; None for the one inside the package.
        threads: CPU threads of one inference; None for every core.
        max_megapixels: larger films are refused before they are decoded.

    Raises:
        BundleError: no bundle there, a byte of it changed, or its network does not load.
    """
    bundle = open_bundle(None if root is None else Path(root))
    return Reader(bundle, threads=threads, max_megapixels=max_megapixels)
