"""Details of a reading: where the sign is, how much of the lungs it covers, what resembles it."""

from __future__ import annotations

from hilum.bundle.folder import Bundle
from hilum.core.details import Details
from hilum.image.outlines import describe_lungs
from hilum.serve.film import Film
from hilum.serve.session import Answer


class Detailer:
    """The parts of a bundle that say more than its findings; safe to share between threads.

    Args:
        bundle: an opened bundle; a part that it does not carry leaves its details empty.

    Raises:
        BundleError: a part does not load.
    """

    def __init__(self, bundle: Bundle) -> None:
        self.bundle = bundle

    def describe(self, film: Film, answer: Answer) -> Details:
        """Say what is known of one film that was read.

        Args:
            film: with its radiograph.
            answer: of the network.
        """
        if film.radiograph is None or film.lungs is None:
            return Details()
        return Details(lungs=describe_lungs(film.lungs, film.radiograph.shape))
