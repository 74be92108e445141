"""A run: a plan made once, shards that are read until each has its file, and what came of it.

Whatever is killed, the same command goes on: a shard whose file is there is finished, any other is
read. Nothing else is remembered, so nothing can disagree.
"""

from __future__ import annotations

import fnmatch
import json
import multiprocessing
import os
from collections import Counter, deque
from collections.abc import Callable, Container, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack, suppress
from itertools import chain, islice
from pathlib import Path
from time import monotonic
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import BaseModel, ConfigDict, ValidationError

from hilum.apps.batch.shard import (
    FETCHED,
    FETCHERS,
    REASONS,
    Destination,
    Shard,
    ShardJob,
    describe,
    lonely,
    read_shard,
    scratch,
)
from hilum.apps.batch.source import addresses, shards
from hilum.core.errors import BundleError, ConfigError, HilumError
from hilum.core.machine import ENGINE, cores
from hilum.core.prefetch import prefetch
from hilum.core.reading import Status
from hilum.image.limits import one_line

PLAN, FILMS, MANIFEST, SUMMARY = "plan.json", "films.parquet", "manifest.json", "summary.json"
ATTEMPTS = 4
"""Times that a shard is begun before it is given up for this run."""
SPENT = 5
"""Shards that are given up in a row before the run is."""

Row = dict[str, Any]
"""A file of readings, as ``shard.describe`` says."""
_SHARDS = "readings/shard-*.parquet"
_OTHER = "name another folder, or remove this one"


class RunPlan(BaseModel):
    """What a destination holds: ``plan.json``.

    Attributes:
        source: as it was named.
        bundle: identity of the bundle that reads.
        operating_point, prevalence, force, details, max_megapixels: as in ``hilum read``.
        prevalence_of: the label whose prevalence it is; None without one, and in an older plan,
            which took it for that of every label.
        engine: what runs the networks; None in an older plan, which does not say.
        shard_films: films of one shard, at most.
        films: addresses of films and archives; ``shards`` that they make.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: str = "1.0"
    source: str
    bundle: str
    operating_point: str | None
    prevalence: float | None
    prevalence_of: str | None = None
    force: bool
    details: bool
    max_megapixels: float
    engine: str | None = None
    shard_films: int
    films: int = 0
    shards: int = 0


class Executor(Protocol):
    """Where shards are read."""

    @property
    def width(self) -> int:
        """Shards to hand over at a time."""

    def submit(self, shard: Shard, attempt: int) -> Future[Row]:
        """Begin to read a shard."""

    def done(self, future: Future[Row]) -> None:
        """Hear that the result of a shard was taken."""

    def close(self) -> None:
        """End what is still at work."""


class Local:
    """Processes of this machine."""

    def __init__(self, job: ShardJob, workers: int | None) -> None:
        self._scratch = ExitStack()
        self._folder = self._scratch.enter_context(scratch())
        self.width = workers or cores()
        self._job = job
        self._others = set(multiprocessing.active_children())
        self._idle: list[ProcessPoolExecutor] = []
        self._busy: dict[Future[Row], ProcessPoolExecutor] = {}

    def submit(self, shard: Shard, attempt: int) -> Future[Row]:
        """Begin to read a shard in a process that has nothing to do."""
        process = self._idle.pop() if self._idle else lonely(self._folder)
        try:
            future = process.submit(read_shard, self._job, shard, attempt)
        except BrokenProcessPool:  # it was ended while it had nothing to do
            process = lonely(self._folder)
            future = process.submit(read_shard, self._job, shard, attempt)
        self._busy[future] = process
        return future

    def done(self, future: Future[Row]) -> None:
        """Keep the process for the next shard, unless it ended."""
        process = self._busy.pop(future)
        if not isinstance(future.exception(), BrokenProcessPool):
            self._idle.append(process)

    def close(self) -> None:
        """End every process, also in the middle of a shard, which has no file then.

        Their temporary files go with them.
        """
        working = list(self._busy.values())
        for process in (*self._idle, *working):
            process.shutdown(wait=not working, cancel_futures=True)
        for child in set(multiprocessing.active_children()) - self._others:
            child.kill()  # else the end of this process waits for theirs
            child.join()
        self._scratch.close()


class OnRay:
    """Tasks on a Ray cluster: Ray places them, and says which of them were lost.

    They are tasks, not actors: an actor that lost its machine waits for room with its work, while a
    task goes wherever there is some. Ray keeps a process for the next task of its kind, so that
    each loads the bundle once.
    """

    def __init__(self, job: ShardJob, address: str | None, workers: int | None) -> None:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # it would tell its makers of the run
        os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # a warning of Ray's less
        if (
            address is None
        ):  # a cluster of our own, which nobody watches, on a machine that may be slow
            os.environ.setdefault("RAY_enable_metrics_collection", "0")
            os.environ.setdefault("RAY_agent_register_timeout_ms", "200000")
            os.environ.setdefault("RAY_worker_register_timeout_seconds", "600")
        import logging

        import ray

        try:
            ray.init(
                address=address or "local",  # not what RAY_ADDRESS says
                include_dashboard=None if address else False,
                log_to_driver=False,
                logging_level=logging.ERROR,
            )
        except Exception as error:  # what does not start in time raises no class of its own
            raise ConfigError(
                f"--address {address or 'local'}: no Ray cluster: {error}",
                hint="start one (ray start --head)"
                if address
                else "try again when the machine has less to do, or start a cluster "
                "(ray start --head) and name it: --address auto",
            ) from None
        self._workers = workers
        self._resources: Callable[[], dict[str, float]] = ray.cluster_resources
        self._leave: Callable[[], None] = ray.shutdown
        self._job = ray.put(job)
        self._read = ray.remote(num_cpus=1, max_retries=0)(read_shard)

    @property
    def width(self) -> int:
        """Two shards a core that the cluster has now; those that wait are what makes it grow."""
        if self._workers:
            return self._workers
        return 2 * max(1, int(self._resources().get("CPU", 1)))

    def submit(self, shard: Shard, attempt: int) -> Future[Row]:
        """Begin to read a shard somewhere in the cluster."""
        future: Future[Row] = self._read.remote(self._job, shard, attempt).future()
        return future

    def done(self, future: Future[Row]) -> None:
        """Ray frees the process itself."""

    def close(self) -> None:
        """Leave the cluster, which ends what this process began."""
        self._leave()


def plan_run(wanted: RunPlan, dest: str) -> RunPlan:
    """Return the plan that a destination holds; make it where there is none.

    Raises:
        ConfigError: the destination holds a run that reads otherwise, or does not say by which
            engine while ``HILUM_ENGINE`` names none; or the source holds nothing.
    """
    place = Destination(dest)
    if place.has(PLAN):
        with place.open(PLAN) as file:
            try:
                plan = RunPlan.model_validate_json(file.read())
            except ValidationError:
                raise ConfigError(f"{dest}/{PLAN}: no plan of a run", hint=_OTHER) from None
        untold = plan.engine is None
        if untold:
            if not os.environ.get(ENGINE):
                raise ConfigError(
                    f"{dest}: holds a run that does not say which engine made it",
                    hint=f"set {ENGINE} to the engine that it was begun with: cpu where none was"
                    " named",
                )
            plan = plan.model_copy(update={"engine": wanted.engine})
        _check_same(plan, wanted, dest)
        if untold:
            place.put(PLAN, lambda path: _write_json(path, plan.model_dump()))
        return plan
    if fnmatch.filter(place.sizes("readings"), _SHARDS):
        raise ConfigError(f"{dest}: holds readings and no {PLAN}", hint=_OTHER)
    found = shards(addresses(wanted.source), wanted.shard_films)
    first = next(found, None)  # before anything is written
    if first is None:
        raise ConfigError(f"{wanted.source}: no films", hint="name a folder or a list of films")
    films = count = 0

    def write(path: Path) -> None:
        nonlocal films, count
        schema = pa.schema({"address": pa.binary()})  # a file's name need not be text
        with pq.ParquetWriter(path, schema, compression="zstd") as file:
            for shard in chain([first], found):
                names = [os.fsencode(address) for address in shard]
                file.write_table(pa.table({"address": names}, schema), len(names))
                films, count = films + len(shard), count + 1

    place.put(FILMS, write)
    plan = wanted.model_copy(update={"films": films, "shards": count})
    place.put(PLAN, lambda path: _write_json(path, plan.model_dump()))
    return plan


def _check_same(plan: RunPlan, wanted: RunPlan, dest: str) -> None:
    for name, asked in wanted.model_dump(exclude={"films", "shards"}).items():
        found = getattr(plan, name)
        if name == "prevalence_of" and found is None and asked is not None:
            raise ConfigError(
                f"{dest}: holds a run of an older version, which took the prevalence for that of "
                f"every label; it is that of {asked} now",
                hint=_OTHER,
            )
        if found != asked:
            raise ConfigError(
                f"{dest}: holds a run with {name} {found}; asked for {asked}",
                hint=f"set {ENGINE}={found} to go on with it, or name another folder"
                if name == "engine"
                else "type the same command to go on with it, or name another folder",
            )


def run(plan: RunPlan, dest: str, executor: Executor) -> Iterator[dict[str, Any]]:
    """Read every shard that has no file; yield what happens, and at last the summary.

    Yields:
        ``{"event": "start" | "shard" | "lost" | "given-up" | "summary", ...}``.
    """
    place = Destination(dest)
    started = monotonic()
    rows = _finished(place)
    yield {
        "event": "start",
        "films": plan.films,
        "shards": plan.shards,
        "finished_shards": len(rows),
    }
    films = 0
    try:
        for row, event in _work(_unfinished(place, rows), executor):
            if row is not None:
                rows[row["file"]] = row
                films += row["films"]
            yield event
    finally:  # also of a run that is broken off: the next one need not read them back
        there = place.sizes("readings")
        place.tidy(there)
        held = [rows[name] for name in sorted(rows) if there.get(name) == rows[name]["bytes"]]
        about = {"bundle": plan.bundle, "shards": held}
        place.put(MANIFEST, lambda path: _write_json(path, about))
    summary = _summary(plan, held, films, monotonic() - started)
    place.put(SUMMARY, lambda path: _write_json(path, summary))
    yield {"event": "summary"} | summary


def _finished(place: Destination) -> dict[str, Row]:
    """Describe the files of readings by their names; one that a lost machine cut is none.

    Those that the last manifest describes are not read back, if they have its length.
    """
    told: dict[str, Row] = {}
    if place.has(MANIFEST):
        with suppress(ValueError, KeyError), place.open(MANIFEST) as file:
            told = {row["file"]: row for row in json.load(file)["shards"]}

    def described(found: tuple[str, int]) -> Row | None:
        name, size = found
        if told.get(name, {}).get("bytes") == size:
            return told[name]
        with place.open(name) as file:
            try:
                return describe(name, file.read())
            except pa.ArrowInvalid:
                return None

    there = place.sizes("readings")
    found = ((name, there[name]) for name in fnmatch.filter(there, _SHARDS))
    rows = prefetch(described, found, workers=FETCHERS, ahead=FETCHED)
    return {row["file"]: row for row in rows if row}


def _unfinished(place: Destination, finished: Container[str]) -> Iterator[Shard]:
    with place.open(FILMS) as file, pq.ParquetFile(file) as films:
        for number in range(films.num_row_groups):
            shard = Shard(number, [])
            if shard.file not in finished:
                names = films.read_row_group(number).column("address").to_pylist()
                yield shard._replace(addresses=[os.fsdecode(name) for name in names])


def _work(
    waiting: Iterator[Shard], executor: Executor
) -> Iterator[tuple[Row | None, dict[str, Any]]]:
    """Keep as many shards at work as the executor takes; begin those again that were lost.

    Yields:
        The file of each shard that has one now, and what happens.
    """
    again: deque[tuple[Shard, int]] = deque()
    working: dict[Future[Row], tuple[Shard, int]] = {}
    spent = 0
    while True:
        room = executor.width - len(working)
        while room > 0 and again:
            task = again.popleft()
            working[executor.submit(*task)] = task
            room -= 1
        for shard in islice(waiting, max(room, 0)):
            working[executor.submit(shard, 0)] = (shard, 0)
        if not working:
            return
        for future in wait(working, return_when=FIRST_COMPLETED).done:
            shard, attempt = working.pop(future)
            found = future.exception()
            error = getattr(found, "cause", None) or found  # Ray's, of an error in a task
            executor.done(future)
            about: dict[str, Any] = {"shard": shard.number, "films": len(shard.addresses)}
            if error is None:
                spent = 0
                row = future.result()
                yield row, {"event": "shard", **about, **{each.value: row[each] for each in Status}}
                continue
            if not isinstance(error, Exception) or isinstance(error, BundleError | ConfigError):
                raise error
            why = f"{type(error).__name__}: {one_line(error)}"
            about |= {"attempt": attempt + 1, "reason": why}
            if attempt + 1 < ATTEMPTS:
                again.append((shard, attempt + 1))
                yield None, {"event": "lost", **about}
                continue
            yield None, {"event": "given-up", **about}
            spent += 1
            if spent == SPENT:
                raise HilumError(
                    f"{spent} shards were given up in a row, the last is {shard.number}: {why}",
                    hint="mend this, and type the same command again",
                )


def _summary(plan: RunPlan, rows: list[Row], films: int, seconds: float) -> dict[str, Any]:
    """Add up what files hold; ``films`` of them were read in this run, in so many seconds."""
    statuses, refusals, errors = Counter[str](), Counter[str](), Counter[str]()
    for row in rows:
        statuses.update({each.value: row[each] for each in Status})
        refusals.update(row["refusals"])
        errors.update(row["errors"])
    held = {row["file"] for row in rows}
    return {
        "bundle": plan.bundle,
        "films": statuses.total(),
        **{each.value: statuses[each] for each in Status},
        "refusals": dict(refusals.most_common()),
        "errors": dict(errors.most_common(REASONS)),
        "shards": plan.shards,
        "unfinished_shards": [n for n in range(plan.shards) if Shard(n, []).file not in held],
        "this_run": {
            "films": films,
            "seconds": round(seconds, 1),
            "films_per_second": round(films / max(seconds, 1e-9), 2),
        },
    }


def _write_json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
