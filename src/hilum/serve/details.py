"""Details of a reading: where the sign is, how much of the lungs it covers, what resembles it."""

from __future__ import annotations

from hilum.bundle.folder import Bundle
from hilum.bundle.parts import open_parts
from hilum.core.details import Details, Severity, Similar
from hilum.core.radiograph import Radiograph
from hilum.image.boxes import opacity_boxes
from hilum.image.lungs import Lungs
from hilum.image.opacities import Opacities
from hilum.image.outlines import describe_lesions, describe_lungs
from hilum.image.severity import severity_features
from hilum.image.zones import affected
from hilum.serve.film import Film
from hilum.serve.session import Answer

NEIGHBORS = 5
"""Similar films in a reading."""


class Detailer:
    """The parts of a bundle that say more than its findings; safe to share between threads.

    Args:
        bundle: an opened bundle; a part that it does not carry leaves its details empty.

    Raises:
        BundleError: a part does not load, or belongs to other networks.
    """

    def __init__(self, bundle: Bundle) -> None:
        self._parts = open_parts(bundle.root)

    def opacities(self, radiograph: Radiograph, lungs: Lungs | None) -> Opacities | None:
        """Return what is opaque in the lungs; None without lungs or without a network for it."""
        if self._parts.opacities is None or lungs is None or not lungs.parts:
            return None
        return self._parts.opacities.segment(radiograph, lungs)

    def describe(self, film: Film, answer: Answer) -> Details:
        """Say what is known of one film that was read.

        Args:
            film: with its radiograph, and its opacities where they were found.
            answer: of the network.
        """
        lungs, opacities, radiograph = film.lungs, film.opacities, film.radiograph
        if lungs is None or radiograph is None:
            return Details(similar=self._similar(answer))
        shape = radiograph.shape
        found = () if opacities is None else affected(opacities, lungs)
        return Details(
            lungs=describe_lungs(lungs, shape),
            affected=found,
            lesions=() if opacities is None else describe_lesions(opacities, lungs, shape),
            boxes=() if opacities is None else opacity_boxes(opacities, shape),
            severity=self._severity(film, answer),
            similar=self._similar(answer),
        )

    def _severity(self, film: Film, answer: Answer) -> tuple[Severity, ...]:
        if self._parts.severity is None or film.radiograph is None:
            return ()
        features = severity_features(
            answer.embedding, answer.logits, film.lungs, film.opacities, film.radiograph
        )
        return self._parts.severity.estimate(features)

    def _similar(self, answer: Answer) -> tuple[Similar, ...]:
        if self._parts.similar is None or answer.embedding is None:
            return ()
        return self._parts.similar.nearest(answer.embedding, NEIGHBORS)
