"""Orders: what a server tells its worker, as one line of JSON on its standard input."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Self


@dataclass(frozen=True, slots=True)
class Orders:
    """What a worker is told; not by arguments, which every user of the machine could read.

    Attributes:
        name: of the worker, in the queue.
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
