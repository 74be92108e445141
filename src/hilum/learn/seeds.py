"""Seeds: every random choice of a run follows from (seed, what for, epoch, ...).

So an epoch that was broken off comes out the same when it is run again, whatever ran before it.
"""

from __future__ import annotations

import numpy as np
import torch

WEIGHTS, ORDER, AUGMENTATION, DROPOUT = range(4)
"""What a derived seed is for."""


def derive_seed(seed: int, *parts: int) -> int:
    """Mix a seed with whole numbers >= 0 into one of 63 bits (``numpy.random.SeedSequence``)."""
    state = np.random.SeedSequence((seed, *parts)).generate_state(1, np.uint64)
    return int(state[0] >> np.uint64(1))


def generator(seed: int, *parts: int, device: torch.device | str = "cpu") -> torch.Generator:
    """Return a torch generator that starts from ``derive_seed(seed, *parts)``."""
    return torch.Generator(device=device).manual_seed(derive_seed(seed, *parts))
