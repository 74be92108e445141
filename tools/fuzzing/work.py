"""One process of the fuzzer: reads damaged films among sound ones, and says what it saw as JSON.

It may crash or hang on any of them; tools/fuzz.py watches it.
"""

from __future__ import annotations

import contextlib
import json
import math
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from fuzzing.damage import damaged
from fuzzing.films import Film, samples, small
from hilum.core.reading import Reading
from hilum.serve.reader import load_bundle

MAX_SECONDS, MAX_MB = 20.0, 1500.0
_UPLOADED = 12
"""Every so many files one goes through the workstation, too."""
_LARGE_SHARE = 0.04
_NEIGHBORS = ("frontal.png", "frontal.dcm")


@dataclass
class Row:
    """What became of one damaged file; ``wrong`` names each promise that was broken."""

    number: int
    film: str
    damage: str
    status: str = ""
    reason: str = ""
    seconds: float = 0.0
    megabytes: float = 0.0
    wrong: list[str] = field(default_factory=list)


class Maker:
    """Makes the damaged file of a seed and a number, always the same one."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self.sound = dict(samples())
        self._large: list[Film] = list(self.sound.items())
        self._small: list[Film] = list(small())

    def make(self, number: int) -> tuple[Row, bytes]:
        """Return what was done, and the bytes."""
        rng = np.random.default_rng([self._seed, number])
        films = self._large if rng.random() < _LARGE_SHARE else self._small
        name, data = films[int(rng.integers(0, len(films)))]
        damage, data = damaged(rng, name, data)
        return Row(number, name, damage), data


class Work:
    """Reads batches of damaged files, each with a sound film among them."""

    def __init__(self, seed: int, folder: Path) -> None:
        self._maker, self._folder = Maker(seed), folder
        self._reader = load_bundle(threads=1)
        self._neighbors = [folder / name for name in _NEIGHBORS]
        for path in self._neighbors:
            path.write_bytes(self._maker.sound[path.name])
        self._alone = [self._reader.read(path) for path in self._neighbors]
        self._station: Any = None

    def batch(self, numbers: list[int]) -> Iterator[Row]:
        """Yield one row a number; what went wrong with the batch stands in its first row."""
        made = [self._maker.make(number) for number in numbers]
        rows = [row for row, _ in made]
        paths = [self._folder / f"{row.number}" for row in rows]
        for path, (_, data) in zip(paths, made, strict=True):
            path.write_bytes(data)
        _reset_peaks()
        wrong = self._read(rows, paths)
        sampled = [path for path in paths if int(path.name) % _UPLOADED == 0]
        if sampled:
            wrong += self._upload(sampled)
        peak = _peak_mb()
        if peak > MAX_MB:
            wrong.append(f"{peak:.0f} MB of memory")
        for path in paths:
            path.unlink()
        rows[0].wrong += wrong
        for row in rows:
            row.megabytes = peak
            yield row

    def _read(self, rows: list[Row], paths: list[Path]) -> list[str]:
        """Read the files with a sound film in their middle."""
        place, which = len(paths) // 2, rows[0].number // len(rows) % len(self._neighbors)
        queue = [*paths[:place], self._neighbors[which], *paths[place:]]
        readings = [examined.reading for examined in self._reader.examine(queue, workers=1)]
        if [reading.path for reading in readings] != [str(path) for path in queue]:
            return [f"{len(readings)} rows for {len(queue)} files, or in another order"]
        neighbor = readings.pop(place)
        for row, reading in zip(rows, readings, strict=True):
            _judge(row, reading)
        return [] if _alike(neighbor, self._alone[which]) else ["a sound neighbor reads otherwise"]

    def _upload(self, paths: list[Path]) -> list[str]:
        if self._station is None:
            from fuzzing.station import Station

            self._station = Station(self._folder / "station")
        return list(self._station.take([*paths, self._neighbors[0]]))


def main(seed: int, numbers: list[int], batch: int) -> None:
    """Read the files of these numbers; say one line before each batch and one for each row."""
    with tempfile.TemporaryDirectory(prefix="hilum-fuzz-") as folder:
        work = Work(seed, Path(folder))
        for start in range(0, len(numbers), batch):
            part = numbers[start : start + batch]
            print(json.dumps({"begins": part}), flush=True)
            for row in work.batch(part):
                print(json.dumps(asdict(row)), flush=True)


def _judge(row: Row, reading: Reading) -> None:
    row.status, row.reason = reading.status.value, reading.reason or ""
    row.seconds = reading.elapsed_ms / 1000
    if row.reason.startswith("unexpected "):
        row.wrong.append(f"untyped: {row.reason}")
    if row.status != "read" and not row.reason:
        row.wrong.append("refused without a reason")
    if row.seconds > MAX_SECONDS:
        row.wrong.append(f"{row.seconds:.0f} seconds")
    try:
        json.loads(reading.model_dump_json(), parse_constant=_no_constant)
    except ValueError as error:
        row.wrong.append(f"its reading is no JSON: {error}")


def _no_constant(name: str) -> None:
    raise ValueError(name)


def _alike(one: Reading, other: Reading) -> bool:
    return (one.status, one.reason, one.notes) == (other.status, other.reason, other.notes) and all(
        math.isclose(mine.logit, its.logit, abs_tol=1e-4)
        for mine, its in zip(one.findings, other.findings, strict=True)
    )


def _processes() -> list[str]:
    """This process and its children: the decoders of the pool, if there is one."""
    found = ["self"]
    for path in Path("/proc/self/task").glob("*/children"):
        with contextlib.suppress(OSError):  # the thread has just ended
            found += path.read_text().split()
    return found


def _reset_peaks() -> None:
    for process in _processes():
        try:
            Path(f"/proc/{process}/clear_refs").write_text("5")
        except OSError:  # not Linux, or it has just ended
            continue


def _peak_mb() -> float:
    """Largest resident memory of any of the processes since the reset, in 10^6 bytes."""
    peaks = [0.0]
    for process in _processes():
        try:
            text = Path(f"/proc/{process}/status").read_text()
        except OSError:
            continue
        peaks += [
            float(line.split()[1]) * 1.024e-3 for line in text.splitlines() if "VmHWM" in line
        ]
    return max(peaks)
