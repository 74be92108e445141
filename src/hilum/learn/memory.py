"""Memory: keep what a step of training frees, instead of handing it back to the system."""

from __future__ import annotations

import ctypes

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # <malloc.h>
_LARGEST_KEPT = 32 * 2**20 - 1  # the most that every glibc takes for this threshold


def keep_freed_memory() -> bool:
    """Tell the C library to keep freed memory; for a process that trains on the CPU.

    A step of training frees and asks again for some 50 MB. glibc hands such pieces back to the
    system, and every new page then costs a fault: a fifth of the time of a small network.

    Returns:
        True where it was done; False with a C library other than glibc, where nothing changes.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError, TypeError):
        return False
    done = (mallopt(_TRIM_THRESHOLD, 2**30), mallopt(_MMAP_THRESHOLD, _LARGEST_KEPT))
    return all(code == 1 for code in done)
