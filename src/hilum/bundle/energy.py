"""Energy of a training run: measured where the processor tells, else estimated and called so."""

from __future__ import annotations

from typing import Any, Literal

from hilum.core.config import Config

WATTS_PER_CORE = 10.0
"""Assumed draw of one busy core with its share of memory and board, in watts. Server processors of
2020 to 2025 state 5 to 10 W of thermal design power a core; the upper end leaves room for memory.
Cooling of a data center is not in it."""

JOULES_PER_KWH = 3.6e6


class Energy(Config):
    """What a run drew.

    Attributes:
        method: "rapl": read from the processor's own counters, the whole package with whatever
            else ran on it; "cpu-time" and "wall-time": seconds of busy cores times
            ``watts_per_core``, an estimate. Wall time takes every thread as busy throughout.
        kwh: kilowatt-hours.
        core_s: core-seconds behind an estimate; None if it was read.
        wall_s: seconds that it covers.
    """

    method: Literal["rapl", "cpu-time", "wall-time"]
    kwh: float
    wall_s: float
    core_s: float | None = None
    watts_per_core: float | None = None


def estimate(method: Literal["cpu-time", "wall-time"], core_s: float, wall_s: float) -> Energy:
    """Estimate from core-seconds.

    >>> estimate("cpu-time", core_s=3600.0, wall_s=1800.0).kwh
    0.01
    """
    return Energy(
        method=method,
        kwh=core_s * WATTS_PER_CORE / JOULES_PER_KWH,
        wall_s=wall_s,
        core_s=core_s,
        watts_per_core=WATTS_PER_CORE,
    )


def energy_of(environment: dict[str, Any]) -> Energy | None:
    """Return the energy in ``environment.json``, else an estimate from its wall time.

    Returns:
        None where neither is known, as for a GPU whose draw nobody read.
    """
    if "energy" in environment:
        return Energy.model_validate(environment["energy"])
    wall_s = environment.get("training_time_s")
    threads = environment.get("machine", {}).get("threads")
    if environment.get("device") != "cpu" or wall_s is None or threads is None:
        return None
    return estimate("wall-time", wall_s * threads, wall_s)
