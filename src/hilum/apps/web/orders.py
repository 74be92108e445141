"""Orders: what a server tells a process beside it, as one line of JSON on its standard input."""

from __future__ import annotations

import json
import os
import threading
from dataclasses import asdict, dataclass
from typing import Self


@dataclass(frozen=True, slots=True)
class Orders:
    """What a process is told; not by arguments, which every user of the machine could read.

    Attributes:
        name: of the process, in the queue.
        store: address of the store.
        data: folder of data.
        bundle: folder of the bundle, or None for that inside the package.
    """

    name: str
    store: str
    data: str
    bundle: str | None

    def line(self) -> bytes:
        """Return the orders as a line."""
        return json.dumps(asdict(self)).encode() + b"\n"

    @classmethod
    def of(cls, line: bytes) -> Self:
        """Read a line."""
        return cls(**json.loads(line))


def until_closed(stop: threading.Event) -> None:
    """Set ``stop`` when standard input closes, which also happens when the server is killed."""
    while os.read(0, 1024):  # no lock of Python's that could be held when the process ends
        pass
    stop.set()
