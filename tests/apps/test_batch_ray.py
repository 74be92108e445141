"""``hilum batch --executor ray`` on two nodes of this machine, of which one is lost."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from importlib.util import find_spec

import pyarrow.parquet as pq
import pytest

from hilum.serve.inputs import find_films

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore"),  # Ray's own
    pytest.mark.skipif(find_spec("ray") is None, reason="Ray is not installed"),
]

HILUM = [sys.executable, "-m", "hilum", "batch"]
SHARDS = 40


@pytest.fixture(scope="module")
def settled():
    """A machine at work needs longer to start a node than Ray gives it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("RAY_enable_metrics_collection", "0")
        patch.setenv("RAY_agent_register_timeout_ms", "200000")
        patch.setenv("OMP_NUM_THREADS", "1")
        yield


@pytest.fixture
def cluster(settled):
    from ray.cluster_utils import Cluster

    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    made.add_node(num_cpus=1)
    yield made
    made.shutdown()


@pytest.fixture
def names(films, tmp_path):
    """A list of 280 films, the seven of the ward over and over, in 40 shards."""
    listed = tmp_path / "films.txt"
    listed.write_text("".join(f"{film}\n" for film in find_films([films]) * SHARDS))
    return listed


@pytest.fixture
def whole(names, small_bundle, tmp_path):
    """What a run that nothing happens to writes, on this machine without Ray."""
    out = tmp_path / "whole"
    command = [*HILUM, names, "-o", out, "-b", small_bundle, "--shard-films", "7", "--json"]
    subprocess.run(command, stdout=subprocess.DEVNULL)
    return out


def _run(names, out, bundle, cluster):
    command = [*HILUM, names, "-o", out, "-b", bundle, "--shard-films", "7", "--json"]
    return subprocess.Popen(
        [*command, "--executor", "ray", "--address", cluster.address],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def _until_shards(process, count):
    events = []
    while sum(event["event"] == "shard" for event in events) < count:
        events.append(json.loads(process.stdout.readline()))
    return events


def _rest(process):
    out, err = process.communicate()
    assert process.returncode == 3, err
    return [json.loads(line) for line in out.splitlines()]


def _check(whole, out):
    assert (out / "manifest.json").read_bytes() == (whole / "manifest.json").read_bytes()
    rows = pq.read_table(out / "readings").to_pylist()
    assert len(rows) == 7 * SHARDS
    summary = json.loads((out / "summary.json").read_text())
    assert (summary["films"], summary["unfinished_shards"]) == (7 * SHARDS, [])


def test_a_node_is_lost_and_a_process_ended(cluster, names, whole, small_bundle, tmp_path):
    out = tmp_path / "out"
    with _run(names, out, small_bundle, cluster) as process:
        events = _until_shards(process, 3)
        readers = _readers()
        os.kill(readers[0], signal.SIGKILL)
        events += _until_shards(process, 3)
        cluster.remove_node(cluster.list_all_nodes()[-1], allow_graceful=False)
        events += _rest(process)
    assert [event for event in events if event["event"] == "lost"]
    assert not [event for event in events if event["event"] == "given-up"]
    numbers = [event["shard"] for event in events if event["event"] == "shard"]
    assert sorted(numbers) == list(range(SHARDS))
    _check(whole, out)


def test_the_driver_is_killed_and_run_again(cluster, names, whole, small_bundle, tmp_path):
    out = tmp_path / "out"
    with _run(names, out, small_bundle, cluster) as process:
        _until_shards(process, 3)
        process.kill()
    with _run(names, out, small_bundle, cluster) as process:
        start, *events = _rest(process)
    assert start["finished_shards"] >= 3
    assert len(events) - 1 == SHARDS - start["finished_shards"]
    _check(whole, out)


def _readers():
    """Processes of Ray that read a shard just now."""
    for _ in range(100):
        listed = subprocess.run(["ps", "-eo", "pid,args"], capture_output=True, text=True).stdout
        lines = [line.split() for line in listed.splitlines() if "ray::read_shard" in line]
        if lines:
            return [int(line[0]) for line in lines]
        time.sleep(0.1)
    return pytest.fail("Ray reads nothing")
