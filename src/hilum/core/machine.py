"""Machine: what this process may use of the one that it runs on."""

from __future__ import annotations

import os


def cores() -> int:
    """Number of CPU cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
