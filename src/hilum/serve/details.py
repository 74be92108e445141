"""Details of a reading: where the sign is, how much of the lungs it covers, what resembles it."""

from __future__ import annotations

from dataclasses import replace

from hilum.bundle.folder import Bundle
from hilum.bundle.parts import open_parts
from hilum.core.details import Details, Severity, Side, Similar
from hilum.core.radiograph import Radiograph
from hilum.image.boxes import BoxSettings, opacity_boxes
from hilum.image.lungs import Lungs, affected
from hilum.image.opacities import Opacities
from hilum.image.outlines import describe_lesions, describe_lungs
from hilum.image.severity import classifier_features, lung_features
from hilum.serve.film import OpenedFilm
from hilum.serve.session import NetworkAnswer

NEIGHBORS = 5
"""Similar films in a reading."""


class Detailer:
    """The parts of a bundle that say more than its findings; safe to share between threads.

    Args:
        bundle: an opened bundle; a part that it does not carry leaves its details empty.
        lungs: SHA-256 of the lung network that looks at films; None without one.

    Raises:
        BundleError: a part does not load, or belongs to other networks.
    """

    def __init__(self, bundle: Bundle, lungs: str | None = None) -> None:
        self._parts = open_parts(bundle.root, lungs=lungs)
        found = self._parts.opacities
        self._boxes = None if found is None else found.spec.boxes

    def look(self, film: OpenedFilm) -> OpenedFilm:
        """Say what a film that may be read shows, before the network answers.

        Afterwards its pixels are needed no more: films wait for the network in a queue, without
        them.

        Args:
            film: with its radiograph.
        """
        lungs, radiograph = film.lungs, film.radiograph
        if film.inputs is None or radiograph is None:
            return film
        opacities = self.opacities(radiograph, lungs)
        return replace(
            film,
            opacities=opacities,
            details=_places(lungs, opacities, radiograph.shape, self._boxes),
            features=lung_features(lungs, opacities, radiograph) if self._parts.severity else {},
        )

    def describe(self, film: OpenedFilm, answer: NetworkAnswer) -> Details:
        """Say what is known of one film that was read.

        Args:
            film: from ``look``.
            answer: of the network.
        """
        found = film.details or Details()
        said = {"severity": self._severity(film, answer), "similar": self._similar(answer)}
        return found.model_copy(update=said)

    def opacities(self, radiograph: Radiograph, lungs: Lungs | None) -> Opacities | None:
        """Return the opacities in the lungs of a film; None without lungs, or without a map."""
        if self._parts.opacities is None or lungs is None or not lungs.parts:
            return None
        return self._parts.opacities.segment(radiograph, lungs)

    def _severity(self, film: OpenedFilm, answer: NetworkAnswer) -> tuple[Severity, ...]:
        """Return the scores, which are of both lungs; none where one of them was not found."""
        lungs = film.details.lungs if film.details else ()
        if self._parts.severity is None or (film.lungs is not None and len(lungs) < len(Side)):
            return ()
        said = classifier_features(answer.embedding, answer.logits)
        return self._parts.severity.estimate({**said, **film.features})

    def _similar(self, answer: NetworkAnswer) -> tuple[Similar, ...]:
        if self._parts.similar is None or answer.embedding is None:
            return ()
        return self._parts.similar.nearest(answer.embedding, NEIGHBORS)


def _places(
    lungs: Lungs | None,
    opacities: Opacities | None,
    shape: tuple[int, int],
    boxes: BoxSettings | None,
) -> Details:
    """Return where lungs and opacities lie on a film of ``shape``, and how much is opaque."""
    if lungs is None:
        return Details()
    where = describe_lungs(lungs, shape)
    if opacities is None:
        return Details(lungs=where)
    return Details(
        lungs=where,
        affected=affected(opacities, lungs),
        lesions=describe_lesions(opacities, lungs, shape),
        boxes=opacity_boxes(opacities, shape, boxes),
    )
