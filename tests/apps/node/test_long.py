"""The long runs of benchmarks/node.py, short: whatever is killed or away, nothing is lost."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import SimpleNamespace

import pytest

from .conftest import ORTHANC

_PATH = Path(__file__).parents[3] / "benchmarks" / "node.py"
_spec = importlib.util.spec_from_file_location("benchmark_node", _PATH)
long = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(long)


@pytest.mark.parametrize(
    ("part", "films", "more"),
    [
        pytest.param("kill", 6, {"kills": 6}, marks=pytest.mark.slow),
        pytest.param("soak", 2, {"minutes": 0}, marks=pytest.mark.slow),
        pytest.param("kill", 60, {"kills": 20}, marks=pytest.mark.slow),
        pytest.param("away", 6, {"away": 20}, marks=pytest.mark.slow),
        pytest.param("latency", 3, {}, marks=pytest.mark.slow),
    ],
)
def test_each_result_is_in_the_archive_once(tmp_path, part, films, more):
    if ORTHANC is None:
        pytest.skip("not installed (apt-get install orthanc)")
    options = SimpleNamespace(films=films, senders=4, **more)
    with long.hospital(tmp_path) as place:
        figures = dict(long.RUN[part](place, options))
    assert figures["films, readings, results, in the archive"] == figures["expected"]
    assert figures["readings whose results were not made"] == 0
    assert figures["more than once in the archive, other bytes"] == (0, 0)
    assert figures["names, ids and UIDs printed or logged"] == 0
    if part == "kill":
        assert set(figures["killed"]) == {"receiver", "worker", "sender"}
    if part == "soak":
        said = {figure.partition(":")[0] for figure in figures if "open files" in figure}
        assert said >= {"receiver", "worker", "sender"}
