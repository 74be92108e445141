"""Meter: what a run draws, by the processor's counters if they can be read, else by CPU time."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from hilum.bundle.energy import JOULES_PER_KWH, Energy, estimate

POWERCAP = Path("/sys/class/powercap")
"""Where Linux shows the counters of Intel and AMD processors; mostly for root alone."""
_EVERY_S = 30.0
"""The counters wrap after minutes to hours, so they are read often."""
_MICRO = 1e-6


class Meter:
    """Context manager that measures the time within it.

    Args:
        before: of an earlier part of the same run; its numbers are added.
        powercap: folder of the counters.

    Attributes:
        energy: after the block, what it drew; before it, ``before``.
    """

    def __init__(self, before: Energy | None = None, powercap: Path = POWERCAP) -> None:
        self.energy = before
        self._counters = _Counters(powercap)
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        """Start."""
        self._wall, self._cpu = time.monotonic(), _cpu_seconds()
        if self._counters:
            self._thread = threading.Thread(target=self._watch, daemon=True)
            self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop, and add to what was there before."""
        self._stop.set()
        if self._thread:
            self._thread.join()
        self.energy = _sum(self.energy, self._measured())

    def _measured(self) -> Energy:
        wall_s = time.monotonic() - self._wall
        if self._counters:
            self._counters.read()
            return Energy(method="rapl", kwh=self._counters.joules / JOULES_PER_KWH, wall_s=wall_s)
        return estimate("cpu-time", _cpu_seconds() - self._cpu, wall_s)

    def _watch(self) -> None:
        while not self._stop.wait(_EVERY_S):
            self._counters.read()


class _Counters:
    """The package counters, summed over wraps; empty (false) where one cannot be read."""

    def __init__(self, powercap: Path) -> None:
        self.joules = 0.0
        self._last: dict[Path, int] = {}
        self._range: dict[Path, int] = {}
        try:
            for folder in sorted(powercap.glob("*-rapl:[0-9]")):
                self._range[folder] = _number(folder / "max_energy_range_uj")
                self._last[folder] = _number(folder / "energy_uj")
        except (OSError, ValueError):
            self._last = {}

    def __bool__(self) -> bool:
        return bool(self._last)

    def read(self) -> None:
        """Add what was drawn since the last reading."""
        for folder, before in self._last.items():
            now = _number(folder / "energy_uj")
            drawn = now - before if now >= before else now - before + self._range[folder]
            self.joules += drawn * _MICRO
            self._last[folder] = now


def _number(path: Path) -> int:
    return int(path.read_text(encoding="ascii"))


def _cpu_seconds() -> float:
    """Return CPU seconds of this process and of its children that have ended."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def _sum(before: Energy | None, now: Energy) -> Energy:
    """Add two parts of a run; parts of different methods do not add, so the longer one stands."""
    if before is None:
        return now
    if before.method != now.method:
        return max(before, now, key=lambda part: part.wall_s)
    return now.model_copy(
        update={
            "kwh": before.kwh + now.kwh,
            "wall_s": before.wall_s + now.wall_s,
            "core_s": None if now.core_s is None else (before.core_s or 0.0) + now.core_s,
        }
    )
