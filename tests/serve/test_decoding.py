"""A film that ends its decoder is one row; its neighbors are read as if they were alone."""

from __future__ import annotations

import pytest

from hilum.core.reading import Status
from hilum.serve.reader import load_bundle
from hilum.serve.samples import ROOT

WORDS = {
    "PANIC": "ended its decoder (a panic)",
    "CRASH": "ended its decoder (SIGSEGV)",
    "EAT": "needs more than",
    "HANG": "not decoded within 4 seconds",
}


@pytest.fixture(scope="module")
def reader(small_bundle):
    return load_bundle(small_bundle)


def test_neighbors_are_read_as_if_they_were_alone(reader, dangerous, tmp_path):
    alone = {name: reader.read(ROOT / name) for name in ("frontal.png", "frontal.dcm")}
    paths = []
    for number, what in enumerate([*WORDS, "PANIC", "CRASH", "EAT"]):
        paths.append(dangerous(tmp_path / f"{number}-{what}.dcm", what))
        paths.append(ROOT / ("frontal.png" if number % 2 else "frontal.dcm"))
    readings = list(reader.read_many(paths, batch_size=4, workers=3))
    assert [reading.path for reading in readings] == [str(path) for path in paths]
    for reading, path in zip(readings, paths, strict=True):
        if path.name in alone:
            assert reading.model_copy(update={"elapsed_ms": 0}) == alone[path.name].model_copy(
                update={"elapsed_ms": 0}
            )
        else:
            assert reading.status is Status.ERROR
            assert WORDS[path.stem.partition("-")[2]] in reading.reason
            assert reading.hint
            assert not reading.findings
