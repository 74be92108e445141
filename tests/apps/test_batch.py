"""``hilum batch`` on this machine: every film one row, whatever breaks, and the same bytes."""

from __future__ import annotations

import errno
import io
import json
import multiprocessing
import os
import re
import shutil
import signal
import subprocess
import sys
import tarfile
import threading
import time
import tomllib
import zipfile
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from contextlib import redirect_stdout
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pandas as pd
import pytest

pytest.importorskip("pyarrow")
pytest.importorskip("s3fs")
import pyarrow as pa
import pyarrow.parquet as pq

from hilum.apps.batch import run as runs
from hilum.apps.batch import shard as shards
from hilum.apps.batch.shard import Destination, Shard, ShardJob, read_shard
from hilum.apps.batch.source import addresses
from hilum.apps.cli.main import run
from hilum.core.errors import BundleError, ConfigError, HilumError
from hilum.core.extras import EXTRAS
from hilum.core.reading import Reading
from hilum.core.row import BATCH, columns
from hilum.serve.inputs import find_films
from hilum.serve.reader import load_bundle

HILUM = [sys.executable, "-m", "hilum"]
ROOT = Path(__file__).parents[2]
STATUSES = ["read", "refused", "error"]

ENDS = """
import os, sys
if "multiprocessing" in "".join(sys.orig_argv):
    from pathlib import Path
    from hilum.serve.reader import Reader

    def opened(self, path, asked, real=Reader._open):
        if "poison" in str(path):
            os._exit(9)
        if "once" in str(path) and not (ended := Path(__file__).with_name("ended")).exists():
            ended.touch()
            os._exit(9)
        return real(self, path, asked)

    Reader._open = opened
"""


@pytest.fixture(scope="module")
def reader(small_bundle):
    return load_bundle(small_bundle, threads=1)


@pytest.fixture
def batch(small_bundle, capsys):
    def call(*arguments, code=3):
        found = run(["batch", "-b", str(small_bundle), "--json", *map(str, arguments)])
        captured = capsys.readouterr()
        assert found == code, captured.err
        return [json.loads(line) for line in captured.out.splitlines()]

    return call


@pytest.fixture(scope="module")
def once(films, small_bundle, tmp_path_factory):
    """Where a run wrote, in three shards, and what it printed; tests change a copy of it."""
    out = tmp_path_factory.mktemp("once") / "out"
    command = ["batch", films, "-o", out, "-b", small_bundle, "--json", "--shard-films", 3]
    with redirect_stdout(io.StringIO()) as said:
        assert run([*map(str, command), "--workers", "1"]) == 3
    return out, [json.loads(line) for line in said.getvalue().splitlines()]


@pytest.fixture
def job(tmp_path, small_bundle, reader):
    return ShardJob(
        str(tmp_path / "out"),
        str(small_bundle),
        reader.bundle.identity,
        None,
        None,
        False,
        False,
        100.0,
    )


@pytest.fixture
def read(job):
    """Read one shard in this process; return its rows by the last part of their address."""

    def call(*addresses, job=job):
        shard = Shard(0, list(map(str, addresses)))
        read_shard(job, shard, 0)
        with Destination(job.dest).open(shard.file) as file:
            rows = pq.read_table(io.BytesIO(file.read())).to_pylist()
        return {row["address"].partition("::")[0].rpartition("/")[2]: row for row in rows}

    return call


def _rows(folder):
    return pq.read_table(folder / "readings").to_pylist()


def _wanted(films, job, *, shard_films=5):
    return runs.RunPlan(
        source=str(films),
        bundle=job.identity,
        operating_point=None,
        prevalence=None,
        force=False,
        details=False,
        max_megapixels=100,
        engine="cpu",
        shard_films=shard_films,
    )


def _same_but_time(row, reading):
    said = Reading.model_validate(json.loads(row["reading"]) | {"elapsed_ms": reading.elapsed_ms})
    return said == reading


def test_every_film_is_one_row_of_what_hilum_read_says(once, films, reader):
    out, (start, *events) = once
    assert (start["films"], start["shards"], start["finished_shards"]) == (7, 3, 0)
    assert [event["event"] for event in events] == ["shard"] * 3 + ["summary"]
    expected = [*reader.read_many(find_films([films]))]
    rows = _rows(out)
    assert len(rows) == 7
    for row, reading in zip(rows, expected, strict=True):
        assert _same_but_time(row, reading)
        assert (row["address"], row["status"]) == (reading.path, reading.status)
        assert (row["reason"], row["hint"]) == (reading.reason, reading.hint)
        assert row["refusal"] == (reading.refusal.code if reading.refusal else None)
        assert row["width"] == reading.film.get("width")
        for finding in reading.findings:
            for name in ("score", "probability", "present", "answer", "prediction_set"):
                assert row[f"{finding.label}_{name}"] == getattr(finding, name)
        if not reading.findings:
            assert row["covid-19_score"] is None
    summary = events[-1]
    assert [summary[each] for each in STATUSES] == [3, 2, 2]
    assert sum(summary["refusals"].values()) == 2
    assert "text; expected a film" in summary["errors"]
    assert summary["this_run"]["films"] == 7
    assert json.loads((out / "summary.json").read_text()) == {
        key: value for key, value in summary.items() if key != "event"
    }
    manifest = json.loads((out / "manifest.json").read_text())
    assert [each["films"] for each in manifest["shards"]] == [3, 3, 1]


def test_run_again_it_reads_nothing_and_changes_nothing(once, batch, films):
    out, _ = once
    before = {path: path.stat().st_mtime_ns for path in (out / "readings").iterdir()}
    *_, summary = batch(films, "-o", out, "--shard-films", 3)
    assert before == {path: path.stat().st_mtime_ns for path in (out / "readings").iterdir()}
    assert (summary["films"], summary["this_run"]["films"]) == (7, 0)
    batch(films, "-o", out, "--shard-films", 3, "--force", code=6)
    batch(films / "sub", "-o", out, "--shard-films", 3, code=6)


def test_only_files_that_the_manifest_does_not_know_are_read_back(
    once, batch, films, tmp_path, monkeypatch
):
    made, (*_, before) = once
    out = shutil.copytree(made, tmp_path / "out")
    manifest = (out / "manifest.json").read_bytes()
    described = []

    def describe(name, data, real=runs.describe):
        described.append(name)
        return real(name, data)

    monkeypatch.setattr(runs, "describe", describe)
    *_, again = batch(films, "-o", out, "--shard-films", 3)
    assert described == []
    known = json.loads(manifest)
    del known["shards"][1]
    for damaged in (json.dumps(known), "{"):
        (out / "manifest.json").write_text(damaged)
        *_, again = batch(films, "-o", out, "--shard-films", 3)
        assert (out / "manifest.json").read_bytes() == manifest
        assert before | {"this_run": 0} == again | {"this_run": 0}
    numbers = [int(re.search(r"\d{7}", name)[0]) for name in described]
    assert (numbers[0], sorted(numbers[1:])) == (1, [0, 1, 2])


def test_the_answer_for_people(films, small_bundle, tmp_path, capsys):
    assert (
        run(["batch", str(films / "sub"), "-o", str(tmp_path / "o"), "-b", str(small_bundle)]) == 0
    )
    assert "1 films: 1 read, 0 refused, 0 error" in capsys.readouterr().out


def test_killed_and_run_again_it_ends_with_the_same_bytes(films, small_bundle, tmp_path):
    names = tmp_path / "films.txt"
    names.write_text("".join(f"{film}\n" for film in find_films([films]) * 8))
    common = ["-b", str(small_bundle), "--json", "--workers", "2", "--shard-films", "6"]
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    subprocess.run([*HILUM, "batch", names, "-o", whole, *common], stdout=subprocess.DEVNULL)
    for _ in range(2):  # twice, once there is something new
        command = [*HILUM, "batch", names, "-o", killed, *common]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            while json.loads(process.stdout.readline())["event"] != "shard":
                pass
            process.send_signal(signal.SIGKILL)
    finished = {path.name for path in (killed / "readings").glob("shard-*")}
    done = subprocess.run([*HILUM, "batch", names, "-o", killed, *common], capture_output=True)
    assert done.returncode == 3
    start, *events = [json.loads(line) for line in done.stdout.splitlines()]
    assert 2 <= start["finished_shards"] <= len(finished) + 2  # orphans may end a shard
    assert len(events) - 1 == 10 - start["finished_shards"]
    assert (whole / "manifest.json").read_bytes() == (killed / "manifest.json").read_bytes()
    assert (whole / "films.parquet").read_bytes() == (killed / "films.parquet").read_bytes()
    assert len(_rows(killed)) == 56
    left = {path.name for path in (killed / "readings").iterdir()}
    assert left == {f"shard-{number:07}.parquet" for number in range(10)}


def test_interrupted_it_leaves_no_process(films, small_bundle, tmp_path):
    names = tmp_path / "films.txt"
    names.write_text("".join(f"{film}\n" for film in find_films([films]) * 400))
    command = [*HILUM, "batch", names, "-o", tmp_path / "out", "-b", small_bundle, "--json"]
    with subprocess.Popen(
        [*command, "--workers", "1", "--shard-films", "7"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        while json.loads(process.stdout.readline())["event"] != "shard":
            pass
        os.killpg(process.pid, signal.SIGINT)
        process.stdout.read()
        assert "interrupted" in process.stderr.read()
        assert process.wait() == 130
    for _ in range(100):
        try:
            os.killpg(process.pid, 0)
        except ProcessLookupError:
            break
        time.sleep(0.1)
    else:
        pytest.fail("a process of the run is left")


@pytest.fixture
def ending(tmp_path, monkeypatch):
    folder = tmp_path / "planted"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(ENDS)
    monkeypatch.setenv("PYTHONPATH", str(folder))


def test_a_film_that_ends_its_process_is_one_row(ending, batch, films, reader, tmp_path):
    ward = tmp_path / "ward"
    ward.mkdir()
    for number, name in enumerate(("a.png", "b-poison.png", "c.png")):
        (ward / name).write_bytes((films / ("a.png", "a.png", "sub/c.png")[number]).read_bytes())
    events = batch(ward, "-o", tmp_path / "out", "--workers", 1)
    assert [event["event"] for event in events] == ["start", "lost", "lost", "shard", "summary"]
    first, poison, last = _rows(tmp_path / "out")
    assert (poison["status"], poison["covid-19_score"]) == ("error", None)
    assert poison["reason"] == "it ended the process that read it"
    assert poison["address"] == str(ward / "b-poison.png")
    for row in (first, last):
        assert _same_but_time(row, reader.read(row["address"]))


def test_a_process_that_ends_once_costs_no_row(ending, batch, films, tmp_path):
    ward = tmp_path / "ward"
    ward.mkdir()
    for name in ("a.png", "once.png"):
        (ward / name).write_bytes((films / "a.png").read_bytes())
    events = batch(ward, "-o", tmp_path / "out", "--workers", 1, "--shard-films", 1, code=0)
    assert sorted(event["event"] for event in events) == sorted(
        ["start", "shard", "lost", "shard", "summary"]
    )
    assert [row["status"] for row in _rows(tmp_path / "out")] == ["read", "read"]


def test_a_shard_that_always_ends_its_process_is_given_up(films, job, tmp_path):
    class Breaking:
        width, calls = 1, []

        def submit(self, shard, attempt):
            self.calls.append(attempt)
            future = Future()
            future.set_exception(BrokenProcessPool())
            return future

        def done(self, future):
            pass

    plan = runs.plan_run(_wanted(films / "sub", job), job.dest)
    *events, summary = runs.run(plan, job.dest, Breaking())
    assert [event["event"] for event in events] == ["start", "lost", "lost", "lost", "given-up"]
    assert Breaking.calls == [0, 1, 2, 3]
    assert (summary["films"], summary["unfinished_shards"]) == (0, [0])


def test_a_shard_with_an_error_does_not_end_the_run_and_five_do(films, job):
    class Failing:
        width = 1

        def __init__(self, bad):
            self.bad = bad

        def submit(self, shard, attempt):
            future = Future()
            if shard.number in self.bad:
                future.set_exception(OSError(errno.ENOSPC, "No space left on device"))
            else:
                future.set_result(read_shard(job, shard, 0))
            return future

        def done(self, future):
            pass

    plan = runs.plan_run(_wanted(films, job, shard_films=1), job.dest)
    *events, summary = runs.run(plan, job.dest, Failing({0}))
    (given_up,) = (event for event in events if event["event"] == "given-up")
    assert "No space left" in given_up["reason"]
    assert (summary["films"], summary["unfinished_shards"]) == (6, [0])
    for file in Path(job.dest, "readings").iterdir():
        file.unlink()
    with pytest.raises(HilumError, match="5 shards were given up in a row"):
        list(runs.run(plan, job.dest, Failing(range(9))))


def test_a_shard_that_was_cut_is_read_again(batch, films, tmp_path):
    out = tmp_path / "out"
    batch(films, "-o", out, "--workers", 1, "--shard-films", 3)
    file = out / "readings" / "shard-0000001.parquet"
    whole = file.read_bytes()
    for cut in (b"", whole[:-50]):
        file.write_bytes(cut)
        start, *_ = batch(films, "-o", out, "--workers", 1, "--shard-films", 3)
        assert start["finished_shards"] == 2
        assert file.read_bytes() == whole
    (out / "plan.json").write_text("")
    batch(films, "-o", out, "--shard-films", 3, code=6)
    (out / "plan.json").unlink()
    batch(films, "-o", out, "--shard-films", 3, code=6)


def test_a_run_goes_on_with_its_own_engine_alone(films, small_bundle, tmp_path, monkeypatch, job):
    out = tmp_path / "out"
    command = ["batch", films, "-o", out, "-b", small_bundle, "--workers", 1]
    assert run([*map(str, command)]) == 3
    plan = json.loads((out / "plan.json").read_text())
    assert plan.pop("engine") == "cpu"
    monkeypatch.setenv("HILUM_ENGINE", "cuda")
    with pytest.raises(ConfigError, match="with engine cpu; asked for cuda") as caught:
        runs.plan_run(runs.RunPlan(**plan, engine="cuda"), str(out))
    assert caught.value.hint.startswith("set HILUM_ENGINE=cpu")
    (out / "plan.json").write_text(json.dumps(plan))  # of an older version: any engine made it
    monkeypatch.delenv("HILUM_ENGINE")
    with pytest.raises(ConfigError, match="does not say which engine") as caught:
        runs.plan_run(runs.RunPlan(**plan, engine="cpu"), str(out))
    assert "HILUM_ENGINE" in caught.value.hint
    assert json.loads((out / "plan.json").read_text()) == plan
    monkeypatch.setenv("HILUM_ENGINE", "cpu")
    assert run([*map(str, command)]) == 3
    assert json.loads((out / "plan.json").read_text()) == plan | {"engine": "cpu"}
    with pytest.raises(ConfigError, match="engine 'cuda': this onnxruntime has no CUDA"):
        read_shard(job._replace(engine="cuda"), Shard(0, []), 0)  # on any machine of the run


def test_a_run_with_a_prevalence_goes_on_where_it_means_the_same(
    films, calibrated_bundle, tmp_path, capsys
):
    out = tmp_path / "out"
    command = ["batch", films, "-o", out, "-b", calibrated_bundle, "--workers", 1]
    asked = [*map(str, command), "--prevalence", "0.05"]
    assert run(asked) == 3
    plan = json.loads((out / "plan.json").read_text())
    assert plan["prevalence_of"] == "covid-19"
    assert run(asked) == 3
    del plan["prevalence_of"]
    (out / "plan.json").write_text(json.dumps(plan))  # of an older version
    capsys.readouterr()
    assert run(asked) == 6
    said = " ".join(capsys.readouterr().err.split())
    assert "took the prevalence for that of every label; it is that of covid-19 now" in said
    assert "name another folder" in said
    (out / "plan.json").write_text(json.dumps(plan | {"prevalence": None}))
    assert run([*map(str, command)]) == 3  # nothing was restated


def test_a_destination_that_does_not_answer_is_not_an_empty_one(films, job, monkeypatch):
    address = "memory://hilum-test"
    runs.plan_run(_wanted(films, job), address)

    def busy(*_, **__):
        raise OSError(errno.EBUSY, "Slow down")

    monkeypatch.setattr("fsspec.implementations.memory.MemoryFileSystem.info", busy)
    with pytest.raises(HilumError, match="memory://hilum-test: cannot be used: OSError"):
        runs.plan_run(_wanted(films, job), address)


def test_a_process_that_was_killed_at_rest_is_replaced(films, job):
    local = runs.Local(job, 1)
    try:
        for number in range(2):
            future = local.submit(Shard(number, [str(films / "a.png")]), 0)
            assert future.result()["read"] == 1
            local.done(future)
            (child,) = multiprocessing.active_children()
            child.kill()
            child.join()
            while not number and not local._idle[0]._broken:
                time.sleep(0.01)
    finally:
        local.close()


def test_no_film_stays_behind(films, job, tmp_path, monkeypatch):
    import tempfile

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    left = tmp_path / "hilum-batch-left"
    left.mkdir()
    (left / "film.png").touch()
    os.utime(left, (0, 0))
    with shards.scratch() as used:
        os.utime(used, (0, 0))
        assert not left.exists()
        local = runs.Local(job, 1)
        archive = tmp_path / "w.zip"
        with zipfile.ZipFile(archive, "w") as packed:
            for number in range(500):
                packed.write(films / "a.png", f"{number}.png")
        local.submit(Shard(0, [str(archive)]), 0)
        while not list(tmp_path.glob("hilum-batch-*/hilum-batch-*/*")):
            time.sleep(0.01)
        local.close()
        assert [*tmp_path.glob("hilum-batch-*")] == [used]
    assert not used.exists()


def test_a_large_shard_is_one_shard(films, job, monkeypatch):
    size = 1_048_577  # pyarrow's row groups hold one less, unless it is told
    monkeypatch.setattr(runs, "addresses", lambda _: (f"{n}.png" for n in range(size + 1)))
    plan = runs.plan_run(_wanted(films, job, shard_films=size), job.dest)
    assert (plan.films, plan.shards) == (size + 1, 2)
    found = runs._unfinished(Destination(job.dest), set())
    assert [len(shard.addresses) for shard in found] == [size, 1]


@pytest.mark.filterwarnings("ignore")  # Ray's own
def test_a_ray_cluster_is_joined_only_when_it_is_named(job, monkeypatch):
    ray = pytest.importorskip("ray")
    asked = []

    def init(address, **_):
        asked.append(address)
        raise RuntimeError("Version mismatch: The cluster was started with Ray 1.0")

    monkeypatch.setattr(ray, "init", init)
    monkeypatch.setenv("RAY_ADDRESS", "somebody:6379")
    for address in (None, "ours:6379"):
        with pytest.raises(ConfigError, match="Version mismatch"):
            runs.OnRay(job, address, None)
    assert asked == ["local", "ours:6379"]


@pytest.mark.filterwarnings("ignore")  # Ray's own
def test_a_ray_cluster_of_our_own_that_does_not_start_is_said(job, monkeypatch):
    ray = pytest.importorskip("ray")

    def init(**_):
        raise Exception("The current node timed out during startup.")  # as Ray does

    monkeypatch.setattr(ray, "init", init)
    with pytest.raises(ConfigError, match="timed out during startup") as caught:
        runs.OnRay(job, None, None)
    assert "less to do" in caught.value.hint


def test_lists_name_films_relative_to_themselves(films, tmp_path):
    expected = [str(films / "a.png"), "s3://bucket/b.png"]
    named = pd.DataFrame({"case_id": ["1", "2"], "path": ["a.png", expected[1]]})
    named.to_csv(films / "t.csv", index=False)
    pq.write_table(pa.table({"address": named["path"]}), films / "t.parquet")
    (films / "t.txt").write_text(f"# two films\na.png\n\n{expected[1]}\n")
    try:
        for name in ("t.csv", "t.parquet", "t.txt"):
            assert list(addresses(str(films / name))) == expected
        binary = pa.table({"address": [os.fsencode(name) for name in named["path"]]})
        pq.write_table(binary, films / "t.parquet")  # as films.parquet of a run
        assert list(addresses(str(films / "t.parquet"))) == expected
        pq.write_table(pa.table({"address": [1]}), films / "t.parquet")
        with pytest.raises(ConfigError, match="1; expected an address"):
            list(addresses(str(films / "t.parquet")))
        with pytest.raises(ConfigError, match="no such folder or file"):
            list(addresses(str(tmp_path / "none.csv")))
        named.rename(columns={"path": "file"}).to_csv(films / "t.csv", index=False)
        with pytest.raises(ConfigError, match="no column address or path; found case_id, file"):
            list(addresses(str(films / "t.csv")))
    finally:
        for name in ("t.csv", "t.parquet", "t.txt"):
            (films / name).unlink(missing_ok=True)


def test_archives_are_read_film_by_film(read, films, reader, tmp_path):
    with zipfile.ZipFile(tmp_path / "w.zip", "w") as packed:
        for name in ("a.png", "sub/c.png", ".hidden.png", "tiny.png"):
            packed.write(films / name, name)
        packed.writestr("../out.png", (films / "a.png").read_bytes())
    rows = read(tmp_path / "w.zip")
    assert [row["status"] for row in rows.values()] == ["read", "read", "refused", "read"]
    assert list(rows) == ["a.png", "c.png", "tiny.png", "out.png"]
    assert rows["c.png"]["address"] == f"zip://sub/c.png::{tmp_path / 'w.zip'}"
    whole = reader.read(films / "sub/c.png")
    assert rows["c.png"]["covid-19_score"] == whole.findings[0].score
    assert not (tmp_path.parent / "out.png").exists()

    import fsspec

    with fsspec.open(rows["c.png"]["address"]) as film:  # it is where it is said to be
        assert film.read() == (films / "sub/c.png").read_bytes()


def test_an_archive_that_is_damaged_says_so_in_a_row(read, films, tmp_path):
    with zipfile.ZipFile(tmp_path / "w.zip", "w") as packed:
        for name in ("a.png", "b.jpg"):
            packed.write(films / name, name)
        at = packed.getinfo("a.png").header_offset + 60
    data = bytearray((tmp_path / "w.zip").read_bytes())
    data[at] ^= 255
    (tmp_path / "w.zip").write_bytes(data)
    rows = read(tmp_path / "w.zip")
    assert [row["status"] for row in rows.values()] == ["error", "read"]
    assert "cannot be unpacked: Bad CRC" in rows["a.png"]["reason"]

    with tarfile.open(tmp_path / "w.tar.gz", "w:gz") as packed:
        link = tarfile.TarInfo("link.png")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        packed.addfile(link)
        for name in ("a.png", "b.jpg", "sub/c.png"):
            packed.add(films / name, name)
    data = (tmp_path / "w.tar.gz").read_bytes()
    (tmp_path / "w.tar.gz").write_bytes(data[: len(data) * 2 // 3])
    rows = read(tmp_path / "w.tar.gz")
    assert rows["a.png"]["status"] == "read"
    assert "link.png" not in rows
    assert "a damaged archive" in rows["w.tar.gz"]["reason"]
    (tmp_path / "no.zip").write_text("no archive")
    assert "a damaged archive" in read(tmp_path / "no.zip")["no.zip"]["reason"]


def test_no_damage_of_an_archive_passes_for_its_end(read, films, tmp_path):
    def damaged(name):
        rows = read(tmp_path / name)
        assert "a damaged archive" in rows[name]["reason"]
        return rows

    def packed(name):
        with tarfile.open(tmp_path / name, "w:gz" if name.endswith("gz") else "w") as archive:
            for film in ("a.png", "b.jpg"):
                second = archive.offset
                archive.add(films / film, film)
        return tmp_path / name, bytearray((tmp_path / name).read_bytes()), second

    path, data, second = packed("header.tar")
    data[second + 148] ^= 255  # its checksum
    path.write_bytes(data)
    assert damaged("header.tar")["a.png"]["status"] == "read"
    path, data, second = packed("cut.tar")
    path.write_bytes(data[:second])
    assert damaged("cut.tar")["a.png"]["status"] == "read"
    path, data, *_ = packed("two.tar")
    path.write_bytes(data + data)
    damaged("two.tar")
    path, data, *_ = packed("crc.tar.gz")
    data[-8] ^= 255
    path.write_bytes(data)
    rows = damaged("crc.tar.gz")
    assert [row["status"] for row in rows.values()] == ["read", "read", "error"]
    path, data, *_ = packed("inside.tar.gz")
    data[len(data) // 2 : len(data) // 2 + 40] = bytes(40)
    path.write_bytes(data)
    assert any(row["status"] == "error" for row in read(path).values())
    (tmp_path / "none.zip").write_bytes(b"PK\5\6" + bytes(18))
    assert read(tmp_path / "none.zip")["none.zip"]["reason"] == "an archive without files"


def test_a_damaged_deflated_film_of_a_zip_is_a_row(read, films, tmp_path):
    with zipfile.ZipFile(tmp_path / "w.zip", "w", zipfile.ZIP_DEFLATED) as packed:
        for name in ("a.png", "b.jpg"):
            packed.write(films / name, name)
        at = packed.getinfo("a.png").header_offset + 35
    data = bytearray((tmp_path / "w.zip").read_bytes())
    data[at : at + 200] = b"\xff" * 200
    (tmp_path / "w.zip").write_bytes(data)
    rows = read(tmp_path / "w.zip")
    assert [row["status"] for row in rows.values()] == ["error", "read"]
    assert "cannot be unpacked: Error -3" in rows["a.png"]["reason"]


def test_a_hard_link_of_an_archive_is_a_film(read, films, tmp_path):
    with tarfile.open(tmp_path / "w.tar", "w") as packed:
        packed.add(films / "a.png", "./a.png")
        for name, target in (("link.png", "a.png"), ("lost.png", "none.png")):
            link = tarfile.TarInfo(name)
            link.type, link.linkname = tarfile.LNKTYPE, target
            packed.addfile(link)
    rows = read(tmp_path / "w.tar")
    assert [row["status"] for row in rows.values()] == ["read", "read", "error"]
    assert rows["link.png"]["covid-19_score"] == rows["a.png"]["covid-19_score"]
    assert "none.png" in rows["lost.png"]["reason"]


def test_a_full_disk_of_ours_is_no_row(read, films, tmp_path, monkeypatch):
    with zipfile.ZipFile(tmp_path / "w.zip", "w") as packed:
        packed.write(films / "a.png", "a.png")

    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(shards.shutil, "copyfileobj", full)
    with pytest.raises(OSError, match="No space left"):
        read(tmp_path / "w.zip")
    monkeypatch.setattr("fsspec.implementations.local.LocalFileSystem.get_file", full)
    with pytest.raises(OSError, match="No space left"):
        read(f"file://{films}/a.png")


def test_an_address_that_is_a_folder_is_a_row(read, films):
    rows = read(f"file://{films}/sub", f"file://{films}/a.png")
    assert [row["status"] for row in rows.values()] == ["error", "read"]
    assert "a folder; expected a film" in rows["sub"]["reason"]


def test_a_shard_is_read_with_one_bundle_only(read, films, job):
    with pytest.raises(BundleError, match="the run reads with another"):
        read(films / "a.png", job=job._replace(identity="another 1.0 (00000000)"))


@pytest.fixture
def server(films, monkeypatch):
    """A web server: /ward/NAME gives a film, /busy/NAME only at the third request, ..."""
    asked: dict[str, int] = {}
    monkeypatch.setattr(shards, "WAIT_S", 0.01)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            asked[self.path] = asked.get(self.path, 0) + 1
            _, what, *name = self.path.partition("?")[0].split("/")
            film = films.joinpath(*name)
            if what == "busy" and asked[self.path] < 3:
                return self.send_error(503)
            if what == "forbidden" or not film.is_file():
                return self.send_error(403 if what == "forbidden" else 404)
            data = film.read_bytes()
            self.send_response(200)
            self.send_header("Content-Length", str(10**12 if what == "huge" else len(data)))
            self.end_headers()
            short = what == "short" or (what == "once" and asked[self.path] < 2)
            self.wfile.write(data[: len(data) // 2] if short or what == "huge" else data)
            return None

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as serving:
        thread = threading.Thread(target=serving.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{serving.server_port}", asked
        serving.shutdown()
        thread.join()


def test_what_a_server_does_wrong_once_is_tried_again(read, films, reader, server):
    address, asked = server
    asked_for = ("ward/a.png", "busy/b.jpg", "once/sub/c.png", "ward/tiny.png")
    rows = read(*(f"{address}/{each}" for each in asked_for))
    assert [row["status"] for row in rows.values()] == ["read", "read", "read", "refused"]
    for name in ("a.png", "b.jpg"):
        assert rows[name]["covid-19_score"] == reader.read(films / name).findings[0].score
    assert asked["/busy/b.jpg"] == 3


def test_what_cannot_be_fetched_is_a_row_with_the_reason(read, server):
    address, asked = server
    rows = read(
        f"{address}/ward/none.png",
        f"{address}/forbidden/a.png",
        f"{address}/short/b.jpg",
        f"{address}/huge/sub/c.png",
        "none://bucket/d.png",
        f"{address}/ward/none.zip",
        f"{address}/ward/tiny.png",
    )
    assert [row["status"] for row in rows.values()] == ["error"] * 6 + ["refused"]
    assert all(row["covid-19_score"] is None for row in rows.values())
    assert "could not be fetched: FileNotFoundError" in rows["none.png"]["reason"]
    assert "1000000 MB or more; too large for a film" in rows["c.png"]["reason"]
    assert "could not be fetched: ConfigError" in rows["d.png"]["reason"]
    assert asked["/forbidden/a.png"] == 1
    assert asked["/short/b.jpg"] == shards.TRIES
    alone = read(f"{address}/ward/none.zip")
    assert "could not be fetched" in alone["none.zip"]["reason"]


def test_the_list_of_a_server_names_no_file_of_this_machine(films, server):
    address, _ = server
    try:
        for name in ("a.png", "s3://ward/a.png", "zip://a.png::w.zip", "/etc/passwd",
                     "file:///etc/passwd", "zip://a.png::/srv/w.zip"):  # fmt: skip
            (films / "t.txt").write_text(f"{name}\n")
            if name in ("a.png", "s3://ward/a.png"):
                expected = name if "://" in name else f"{address}/ward/{name}"
                for signed in ("", "?X-Amz-Signature=a/b"):
                    assert list(addresses(f"{address}/ward/t.txt{signed}")) == [expected]
                continue
            with pytest.raises(ConfigError, match="expected a name relative to the list"):
                list(addresses(f"{address}/ward/t.txt"))
    finally:
        (films / "t.txt").unlink()


@pytest.fixture
def bucket(films, monkeypatch):
    """An S3 server with a bucket of films, and the environment that leads there."""
    boto3 = pytest.importorskip("boto3")
    moto = pytest.importorskip("moto.server")
    import fsspec

    server = moto.ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    for name, value in {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)
    client = boto3.client("s3")
    client.create_bucket(Bucket="ward")
    for film in find_films([films]):
        client.upload_file(str(film), "ward", f"films/{film.relative_to(films)}")
    yield client
    client.close()
    fsspec.get_filesystem_class("s3").clear_instance_cache()
    server.stop()


@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::DeprecationWarning")
def test_a_bucket_is_read_into_a_bucket(bucket, batch, films, reader, tmp_path):
    *_, summary = batch("s3://ward/films", "-o", "s3://ward/out", "--workers", 1)
    assert [summary[each] for each in STATUSES] == [3, 2, 2]
    keys = {each["Key"] for each in bucket.list_objects_v2(Bucket="ward")["Contents"]}
    written = {key.removeprefix("out/") for key in keys if key.startswith("out/")}
    assert written == {
        "plan.json",
        "films.parquet",
        "manifest.json",
        "summary.json",
        "readings/shard-0000000.parquet",
    }
    body = bucket.get_object(Bucket="ward", Key="out/readings/shard-0000000.parquet")["Body"]
    rows = {row["address"]: row for row in pq.read_table(io.BytesIO(body.read())).to_pylist()}
    assert len(rows) == 7
    row = rows["s3://ward/films/sub/c.png"]
    assert row["covid-19_score"] == reader.read(films / "sub/c.png").findings[0].score
    *_, summary = batch("s3://ward/films", "-o", "s3://ward/out", "--workers", 1)
    assert summary["this_run"]["films"] == 0


@pytest.mark.parametrize("name", ["wrad", "ward/film.png", "films.txt", "films.csv", "ward.zip"])
def test_a_source_that_is_not_there_begins_no_run(name, tmp_path, small_bundle, capsys):
    """A share that is not mounted: the run would hold one film that never was."""
    out, source = tmp_path / "out", tmp_path / name
    assert run(["batch", str(source), "-o", str(out), "-b", str(small_bundle)]) == 6
    said = capsys.readouterr().err
    assert f"{source}: no such folder or file" in said
    assert "hint: " in said
    assert not out.exists()


def test_what_is_asked_wrongly(batch, films, tmp_path, monkeypatch, capsys):
    batch(films, "-o", tmp_path / "o", "--address", "auto", code=6)
    batch(tmp_path, "-o", tmp_path / "o", code=6)
    assert "hilum read" not in capsys.readouterr().err
    batch(films, "-o", films / "a.png", code=6)
    batch(films, "-o", tmp_path / "o", "--operating-point", "none", code=6)
    batch("nothing://ward", "-o", tmp_path / "o", code=6)
    monkeypatch.setitem(EXTRAS, "batch", ("no_such_module",))
    assert run(["batch", str(films), "-o", str(tmp_path / "o")]) == 8
    assert "pip install 'hilum[batch]'" in capsys.readouterr().err


def test_the_extra_brings_all_that_a_run_needs(films, small_bundle, tmp_path):
    about = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    named = about["optional-dependencies"]["batch"]
    assert {re.split("[>=]", each)[0] for each in named} == set(EXTRAS["batch"])
    others = {module for modules in EXTRAS.values() for module in modules} - set(EXTRAS["batch"])
    blocked = f"import sys; sys.modules |= dict.fromkeys({others})"  # in its workers, too
    (tmp_path / "sitecustomize.py").write_text(blocked)
    (tmp_path / "films.csv").write_text(f"path\n{films / 'a.png'}\n")
    for source, code in ((films, 3), (tmp_path / "films.csv", 0)):
        command = ["batch", source, "-o", tmp_path / f"out-{code}", "-b", small_bundle]
        done = subprocess.run(
            [*HILUM, *map(str, command), "--workers", "1"],
            env=os.environ | {"PYTHONPATH": str(tmp_path)}, text=True, capture_output=True,
        )  # fmt: skip
        assert done.returncode == code, done.stderr


def test_the_how_to_names_every_column_and_can_be_followed(tmp_path):
    page = (ROOT / "docs" / "how-to" / "read-a-bucket.md").read_text(encoding="utf-8")
    schema = list(columns(BATCH, ("LABEL",)))
    named = set(re.findall(r"`(\w+)`", page))
    assert [each for each in schema if each not in named] == [
        "appearance_indeterminate",  # "and so on"
        "appearance_atypical",
        "appearance_negative",
    ]
    commands = re.findall(r"^```sh\n(.*?)^```", page, re.S | re.M)
    here = [each for each in commands if "pip" not in each and "--executor ray" not in each]
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    for command in here:
        done = subprocess.run(
            ["bash", "-c", command], cwd=tmp_path, env=os.environ | {"PATH": path}, text=True,
            capture_output=True,
        )  # fmt: skip
        assert done.returncode in (0, 3), done.stderr
    assert json.loads(done.stdout.splitlines()[-1])["this_run"]["films"] == 0
    (code,) = re.findall(r"^```python\n(.*?)^```", page, re.S | re.M)
    said = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True
    )
    assert re.search(r"^read +4$", said.stdout, re.M), said.stderr
