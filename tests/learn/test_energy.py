from __future__ import annotations

from pathlib import Path

import pytest

from hilum.bundle.energy import Energy, energy_of, estimate
from hilum.learn.energy import Meter


def _counter(root: Path, joules: float, name: str = "intel-rapl:0") -> None:
    folder = root / name
    folder.mkdir(exist_ok=True)
    (folder / "max_energy_range_uj").write_text("1000000000\n")  # 1000 J
    (folder / "energy_uj").write_text(f"{round(joules * 1e6)}\n")


def test_without_counters_it_is_cpu_time_at_the_stated_watts(tmp_path: Path) -> None:
    with Meter(powercap=tmp_path) as meter:
        sum(number * number for number in range(200_000))
    energy = meter.energy
    assert energy is not None
    assert energy.method == "cpu-time"
    assert energy.core_s is not None
    assert energy.kwh == pytest.approx(energy.core_s * 10 / 3.6e6)
    assert 0 <= energy.core_s <= 2 * energy.wall_s + 0.1


def test_counters_are_read_and_their_wrap_is_seen(tmp_path: Path) -> None:
    _counter(tmp_path, 900)
    _counter(tmp_path, 10, "intel-rapl:1")
    with Meter(powercap=tmp_path) as meter:
        _counter(tmp_path, 100)  # wrapped: 200 J
        _counter(tmp_path, 60, "intel-rapl:1")
    assert meter.energy is not None
    assert meter.energy.method == "rapl"
    assert meter.energy.kwh == pytest.approx(250 / 3.6e6)


def test_parts_of_a_run_add_up_even_if_it_was_broken_off(tmp_path: Path) -> None:
    before = estimate("cpu-time", core_s=100.0, wall_s=60.0)
    meter = Meter(before, powercap=tmp_path)
    with pytest.raises(KeyboardInterrupt), meter:
        raise KeyboardInterrupt
    assert meter.energy is not None
    assert meter.energy.core_s is not None
    assert meter.energy.core_s >= 100.0
    assert meter.energy.wall_s >= 60.0


def test_an_older_bundle_is_estimated_from_wall_time_and_a_gpu_not_at_all() -> None:
    facts = {"training_time_s": 3600.0, "machine": {"threads": 2}, "device": "cpu"}
    energy = energy_of(facts)
    assert energy == Energy(
        method="wall-time", kwh=0.02, wall_s=3600.0, core_s=7200.0, watts_per_core=10.0
    )
    assert energy_of(facts | {"device": "NVIDIA H100"}) is None
    assert energy_of({}) is None
    measured = estimate("cpu-time", 5.0, 6.0)
    assert energy_of(facts | {"energy": measured.model_dump()}) == measured
