"""Memory: keep what a step of training frees, instead of handing it back to the system."""

from __future__ import annotations

import ctypes
import os

_TRIM_THRESHOLD, _TOP_PAD, _MMAP_MAX = -1, -2, -4  # <malloc.h>


def keep_freed_memory() -> bool:
    """Tell the C library to keep freed memory; for a process that trains on the CPU.

    A step of training frees and asks again for hundreds of megabytes. glibc maps such pieces and
    hands them back to the system, and every new page then costs a fault: a fifth of the time.

    Returns:
        True where it was done; False with a C library other than glibc, where nothing changes.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError, TypeError):
        return False
    # No trim, a large pad, and no mapping of large pieces: freed memory stays in the heap.
    done = (mallopt(_TRIM_THRESHOLD, 2**31 - 1), mallopt(_TOP_PAD, 2**26), mallopt(_MMAP_MAX, 0))
    return all(code == 1 for code in done)


def prepare_cpu(threads: int) -> None:
    """Set torch up for a small network on a CPU that others may use too."""
    # Read by OpenMP when torch loads it: a thread spins for some 0.1 ms before it sleeps. Without
    # a spin small steps take a third longer; without an end a busy machine stands still.
    os.environ.setdefault("GOMP_SPINCOUNT", "100000")
    import torch

    torch.set_num_threads(threads)
    keep_freed_memory()
