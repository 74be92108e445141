"""kill -9 of the receiver while films arrive: what was acknowledged is there."""

from __future__ import annotations

import os
import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from pydicom import dcmread

from hilum.apps.store.tables import Film, Job, Received

LIMIT_S = 900


@pytest.mark.parametrize(
    ("kind", "films", "kills"),
    [
        ("sqlite", 10, 1),
        pytest.param("sqlite", 1000, 20, marks=pytest.mark.slow),
        pytest.param("postgresql", 400, 8, marks=pytest.mark.slow),
    ],
)
def test_what_was_acknowledged_is_kept(
    make_node, make_dicom, make_store_url, tmp_path, kind, films, kills
):
    node = make_node(url=make_store_url(kind))
    folder = tmp_path / "films"
    folder.mkdir()
    paths = [make_dicom(number, folder=folder) for number in range(films)]
    acknowledged, failures, stop = set(), [], threading.Event()

    def send(path):
        while not stop.is_set():
            if (sent := node.dcmtk("storescu", path)).code == 0:
                acknowledged.add(path)
                return
            failures.append(sent.text)
            time.sleep(0.05)

    until, chance = time.monotonic() + LIMIT_S, random.Random(7)
    with ThreadPoolExecutor(8) as pool:
        sending = [pool.submit(send, path) for path in paths]
        try:
            for kill in range(1, kills + 1):
                while len(acknowledged) < kill * films // (kills + 1):
                    assert time.monotonic() < until, failures[-1]
                    time.sleep(0.01)
                time.sleep(chance.random() * 0.2)
                node.kill()
                node.start()
            for each in sending:
                each.result(max(1, until - time.monotonic()))
        finally:
            stop.set()
    assert acknowledged == set(paths)
    assert failures
    kept = {film.instance_uid: film for film in node.all(Film)}
    assert len(kept) == len(node.all(Job)) == films
    for path in paths:
        source = dcmread(path)
        assert dcmread(node.path(kept[source.SOPInstanceUID])) == source
    assert len({each.film_id for each in node.all(Received)}) == films
    assert node.log.verify().ok
    on_disk = [each for _, _, names in os.walk(node.data / "films") for each in names]
    assert set(on_disk) == {film.sha256 for film in kept.values()}
