"""Assign: divide groups among parts so that each part looks like the whole."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray


def assign(
    groups: pd.Series[str], strata: pd.DataFrame, shares: tuple[float, ...], seed: int
) -> pd.Series[int]:
    """Give every group to one part.

    Groups are taken from the largest to the smallest, in random order among equals; each goes to
    the part where it disturbs the strata least. This is what scikit-learn's
    ``StratifiedGroupKFold`` does, for parts of unequal size and several kinds of strata at once.

    Args:
        groups: the group of each case.
        strata: one row a case (same index), text; each column is a kind of stratum to keep in
            proportion, and so is the number of cases.
        shares: of the cases for each part; the sum is 1. A part of share 0 stays empty.
        seed: of the random order.

    Returns:
        The part of each case, 0 to ``len(shares) - 1``, on the index of ``groups``. It does not
        depend on the order of the rows.
    """
    counts = _count(groups, strata)
    part_of = dict(zip(counts.index, _fill(counts.to_numpy(float), shares, seed), strict=True))
    return groups.map(part_of).astype(int)


def _count(groups: pd.Series[str], strata: pd.DataFrame) -> pd.DataFrame:
    """Count cases by group (rows, sorted) and stratum (columns), with all cases first."""
    tables = [pd.crosstab(groups, strata[name]) for name in strata.columns]
    everything = groups.value_counts().sort_index().rename("all")
    return pd.concat([everything, *tables], axis=1).fillna(0)


def _fill(counts: NDArray[np.float64], shares: tuple[float, ...], seed: int) -> list[int]:
    share = np.array(shares)
    parts = np.flatnonzero(share)
    weight = counts / counts.sum(axis=0)  # of a group in each stratum
    filled = np.zeros((len(parts), counts.shape[1]))
    chosen = [0] * len(counts)
    shuffled = np.random.default_rng(seed).permutation(len(counts))
    for group in shuffled[np.argsort(-counts[shuffled, 0], kind="stable")]:
        # growth of sum((filled - share)^2 / share), the distance of chi-square
        growth = ((2 * filled + weight[group]) @ weight[group]) / share[parts]
        best = int(growth.argmin())
        filled[best] += weight[group]
        chosen[group] = int(parts[best])
    return chosen
