"""Pace: how many threads may do one thing at the same time, so that the others stay free."""

from __future__ import annotations

from anyio import CapacityLimiter
from anyio.lowlevel import RunVar


class AtMost:
    """The limiter of one thing in the event loop that asks; who waits is of that loop.

    One limiter for several loops would never wake who waits in another.

    Args:
        most: threads at the same time.
        what: they do.
    """

    def __init__(self, most: int, what: str) -> None:
        self._most = most
        self._of_loop: RunVar[CapacityLimiter] = RunVar(what)

    def __call__(self) -> CapacityLimiter:
        """Return the limiter; made when it is first asked for."""
        limiter = self._of_loop.get(None)
        if limiter is None:
            limiter = CapacityLimiter(self._most)
            self._of_loop.set(limiter)
        return limiter


taking = AtMost(4, "take films")
"""Of those that were sent, by whatever request."""
