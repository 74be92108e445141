"""One shard: its films are fetched, read, and written as one Parquet file, whole or not at all.

This runs in the processes that read, on whichever machine they are. A shard's file depends on its
films and the bundle alone: it holds no times, and batches are cut alike wherever it is read.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import io
import lzma
import multiprocessing
import os
import posixpath
import shutil
import tarfile
import tempfile
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing, contextmanager, suppress
from functools import lru_cache
from pathlib import Path, PurePosixPath
from time import sleep, time
from typing import IO, TYPE_CHECKING, Any, NamedTuple

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq

from hilum.apps.batch.source import filesystem, is_archive, is_remote, named
from hilum.core.errors import BundleError, ConfigError, HilumError
from hilum.core.files import atomic_path
from hilum.core.machine import ENGINE
from hilum.core.prefetch import batches, prefetch
from hilum.core.reading import Reading, Status
from hilum.core.row import BATCH, columns, row_of_reading, schema_of
from hilum.image.decoders import REPORT, SMALLER
from hilum.image.limits import most_bytes, one_line
from hilum.serve.film import printable

if TYPE_CHECKING:
    from hilum.serve.reader import Reader

TRIES = 4
"""Times that a film is fetched before its row says that it could not be."""
WAIT_S = 0.25
"""Before the second try; doubled before each further one."""
FETCHERS, FETCHED = 8, 32
"""Films that are fetched at once, and that may lie on this machine's disk before they are read."""
PLAIN = 2
"""Attempts at a shard before a film of it is suspected of ending the process that reads it."""
ROWS = 1000
"""Rows of one row group."""
REASONS = 20
"""Reasons for errors that a manifest and a summary name, the most frequent."""
READERS = 2
"""Threads that open films ahead in one process: while a decoder has one, the other finds lungs."""

_NEVER = (FileNotFoundError, PermissionError, IsADirectoryError, ConfigError)
_BROKEN = (
    zipfile.BadZipFile,
    tarfile.TarError,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    KeyError,  # a hard link to nothing
    OSError,
    RuntimeError,
    ValueError,
)
_OURS = {errno.ENOSPC, errno.EDQUOT, errno.EMFILE, errno.ENFILE}
"""Faults of this machine, not of a film; EIO is not among them, s3fs says it of any answer."""
_SCRATCH = "hilum-batch-"
_FRESH_S = 60
"""Age of a folder that may not be locked yet."""
_WHOLE_AT_ONCE = {"s3", "s3a", "gs", "gcs", "az", "abfs", "abfss"}
"""Stores whose objects appear whole or not at all."""


class ShardJob(NamedTuple):
    """What every shard of a run is read with; most are arguments of ``Reader.examine``."""

    dest: str
    bundle: str | None
    identity: str
    operating_point: str | None
    prevalence: float | None
    force: bool
    details: bool
    max_megapixels: float
    engine: str = "cpu"


class Shard(NamedTuple):
    """A part of a source: its number, and the addresses of its films."""

    number: int
    addresses: list[str]

    @property
    def file(self) -> str:
        """The name of its file in the destination.

        >>> Shard(7, []).file
        'readings/shard-0000007.parquet'
        """
        return f"readings/shard-{self.number:07}.parquet"


class Destination:
    """A folder that results go to: on a disk, or at an address that fsspec opens."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._remote = is_remote(address)
        self._system, root = filesystem(address)
        self._root = root.rstrip("/")

    def put(self, name: str, write: Callable[[Path], None]) -> None:
        """Let ``write`` make a file, and put it there under ``name``, whole or not at all."""
        target = f"{self._root}/{name}"
        if not self._remote:
            with atomic_path(Path(target)) as temporary:
                write(temporary)
                with temporary.open("rb+") as written:  # else a lost machine leaves it empty
                    os.fsync(written.fileno())
            return
        with tempfile.TemporaryDirectory(prefix="hilum-") as folder:
            made = Path(folder, "made")
            write(made)
            with self._told():
                if _WHOLE_AT_ONCE.intersection(_protocols(self._system)):
                    self._system.put_file(str(made), target)
                else:
                    self._system.makedirs(target.rpartition("/")[0], exist_ok=True)
                    self._system.put_file(str(made), f"{target}.part")
                    self._system.mv(f"{target}.part", target)

    def has(self, name: str) -> bool:
        """Tell whether there is a file of this name."""
        self._system.invalidate_cache()
        with self._told():
            try:
                self._system.info(f"{self._root}/{name}")  # isfile takes any fault for a no
            except (FileNotFoundError, NotADirectoryError):
                return False
        return True

    def sizes(self, folder: str) -> dict[str, int]:
        """Return the names of the files in a folder, with their bytes; none if it is not there."""
        self._system.invalidate_cache()
        with self._told():
            try:
                listed = self._system.ls(f"{self._root}/{folder}", detail=True)
            except FileNotFoundError:
                return {}
        return {f"{folder}/{PurePosixPath(each['name']).name}": each["size"] for each in listed}

    @contextmanager
    def open(self, name: str) -> Iterator[IO[bytes]]:
        """Open a file for reading."""
        with self._told(), self._system.open(f"{self._root}/{name}", "rb") as stream:
            yield stream

    def tidy(self, names: Iterable[str]) -> None:
        """Remove what processes that were killed left of files that they had not finished."""
        for name in names:
            if ".hilum." in name or name.endswith(".part"):
                with self._told():
                    self._system.rm_file(f"{self._root}/{name}")

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Name the destination in the errors of a server, which each file system has of its own."""
        try:
            yield
        except Exception as error:
            if not self._remote or isinstance(error, HilumError):
                raise
            raise HilumError(
                f"{self._address}: cannot be used: {type(error).__name__}: {one_line(error)}",
                hint="check the address and the credentials, and type the same command again",
            ) from None


def _protocols(system: Any) -> set[str]:
    found = system.protocol
    return {found} if isinstance(found, str) else set(found)


def row_of(reading: Reading) -> dict[str, Any]:
    """Return the row of a reading; what it does not say is not in it."""
    return row_of_reading(reading) | {"reading": reading.model_dump_json(exclude={"elapsed_ms"})}


def describe(name: str, data: bytes) -> dict[str, Any]:
    """Return what the manifest says of a file of readings.

    Returns:
        Its name, films by status, codes of refusals, the most frequent reasons for errors, bytes,
        and SHA-256.

    Raises:
        pyarrow.ArrowInvalid: the file was cut.
    """
    with pq.ParquetFile(io.BytesIO(data)) as file:
        table = file.read(columns=["status", "refusal", "reason"]).to_pydict()
    counts = Counter(table["status"])
    refusals = Counter(code for code in table["refusal"] if code)
    rows = zip(table["status"], table["reason"], strict=True)
    errors = Counter(reason for status, reason in rows if status == Status.ERROR)
    return {
        "file": name,
        "films": len(table["status"]),
        **{each.value: counts[each] for each in Status},
        "refusals": dict(refusals.most_common()),
        "errors": dict(errors.most_common(REASONS)),
        "bytes": len(data),
        "sha256": hashlib.sha256(data).hexdigest(),
    }


def read_shard(job: ShardJob, shard: Shard, attempt: int) -> dict[str, Any]:
    """Read a shard and put its file into the destination.

    Args:
        job: what to read it with.
        shard: what to read.
        attempt: how often it was begun before. From ``PLAIN`` on its films are first tried one by
            one in a process of its own; those that end it become rows with an error.

    Returns:
        The file as the manifest describes it.

    Raises:
        BundleError: this machine's bundle is another one, or does not load.
    """
    reader = _reader(job)
    poison = _poison(job, shard) if attempt >= PLAIN else frozenset[int]()
    made: dict[str, Any] = {}

    def write(path: Path) -> None:
        schema = schema_of(columns(BATCH, reader.labels))
        with pq.ParquetWriter(path, schema, compression="zstd") as file:
            for read in batches(_readings(job, reader, shard, poison), ROWS):
                file.write_table(pa.Table.from_pylist(list(map(row_of, read)), schema))
        made.update(describe(shard.file, path.read_bytes()))

    Destination(job.dest).put(shard.file, write)
    return made


@lru_cache(maxsize=1)
def _loaded(bundle: str | None, max_megapixels: float, engine: str) -> Reader:
    from hilum.serve.reader import load_bundle

    os.environ[ENGINE] = engine  # that of the run, whatever this machine's is
    return load_bundle(bundle, threads=1, max_megapixels=max_megapixels)


def _reader(job: ShardJob) -> Reader:
    """Return the reader of this process, which is loaded once."""
    reader = _loaded(job.bundle, job.max_megapixels, job.engine)
    if reader.bundle.identity != job.identity:
        raise BundleError(
            f"{reader.bundle.root}: bundle {reader.bundle.identity}; the run reads with "
            f"{job.identity}",
            hint="install one version of Hilum, and one bundle, on every machine",
        )
    return reader


class _Got(NamedTuple):
    """A film on this machine's disk, or why it is not there; ``ours`` goes when it is read."""

    address: str
    path: Path
    ours: bool = True
    reason: str = ""
    hint: str = ""


def _readings(
    job: ShardJob, reader: Reader, shard: Shard, poison: frozenset[int]
) -> Iterator[Reading]:
    """Yield one reading a film, in order, of its address and without a time."""
    with _fetched(job, shard) as films:
        waiting: list[_Got] = []

        def paths() -> Iterator[Path]:
            for place, got in enumerate(films):
                if place in poison:
                    got = got._replace(reason="it ended the process that read it", hint=REPORT)
                waiting.append(got)
                yield got.path if not got.reason else got.path.with_name(".not-there")

        examined = reader.examine(
            paths(),
            operating_point=job.operating_point,
            prevalence=job.prevalence,
            force=job.force,
            details=job.details,
            workers=READERS,
        )
        for one in examined:
            got = waiting.pop(0)
            if got.ours:
                got.path.unlink(missing_ok=True)
            about = {"path": printable(got.address), "elapsed_ms": 0.0}
            if got.reason:
                why = {"reason": printable(got.reason), "hint": got.hint or None}
                yield Reading(status=Status.ERROR, bundle=job.identity, **about, **why)
            else:
                yield one.reading.model_copy(update=about)


@contextmanager
def _fetched(job: ShardJob, shard: Shard) -> Iterator[Iterator[_Got]]:
    """Yield the films of a shard as they are needed; what was fetched goes with the block."""
    most = most_bytes(job.max_megapixels)
    with scratch() as folder:

        def fetch(task: tuple[int, str]) -> _Got:
            place, address = task
            if not is_remote(address):
                return _Got(address, Path(address), ours=False)
            return _fetch(address, folder / str(place), most)

        if is_archive(shard.addresses[0]):
            films: Any = _unpacked(shard.addresses[0], folder, most)
        else:
            films = prefetch(fetch, enumerate(shard.addresses), workers=FETCHERS, ahead=FETCHED)
        with closing(films):
            yield films


def _fetch(address: str, target: Path, most: int | None) -> _Got:
    """Copy a film to ``target``; try again what may be a fault of the moment."""
    for attempt in range(TRIES):
        sleep(WAIT_S * 2**attempt if attempt else 0)
        watch = _Watch(most)
        try:
            system, path = filesystem(address)
            system.get_file(path, str(target), callback=watch)
            if not target.is_file():
                raise IsADirectoryError("a folder; expected a film")
            if target.stat().st_size < (watch.size or 0):
                raise OSError(f"{target.stat().st_size} of {watch.size} bytes came")
            return _Got(address, target)
        except _TooLargeError as error:
            target.unlink(missing_ok=True)
            return _Got(address, target, reason=str(error), hint=SMALLER)
        except Exception as error:  # each file system has errors of its own
            if getattr(error, "errno", None) in _OURS:
                raise
            found = error
            status = getattr(error, "status", None) or 0
            if isinstance(error, _NEVER) or (400 <= status < 500 and status not in (408, 429)):
                break
    if target.is_dir():
        shutil.rmtree(target)
    target.unlink(missing_ok=True)
    return _Got(
        address,
        target,
        reason=f"could not be fetched: {type(found).__name__}: {one_line(found)}",
        hint="check the address and the credentials",
    )


class _TooLargeError(Exception):
    pass


class _Watch(fsspec.callbacks.Callback):  # type: ignore[misc]
    """Break off a copy that brings more bytes than a film can have."""

    def __init__(self, most: int | None) -> None:
        super().__init__()
        self._most = most

    def set_size(self, size: int | None) -> None:
        self.size = size
        self._check(size or 0)

    def relative_update(self, inc: int = 1) -> None:
        self.value += inc
        self._check(self.value)

    def _check(self, size: int) -> None:
        if self._most is not None and size > self._most:
            raise _TooLargeError(f"{size / 1e6:.0f} MB or more; too large for a film")


def _unpacked(address: str, folder: Path, most: int) -> Iterator[_Got]:
    """Yield the films of an archive one by one; where it breaks off, it has a row of its own.

    Symbolic links and what else is no file are passed over, and what is hidden. No name that an
    archive holds becomes the name of a file.
    """
    path = Path(address)
    if is_remote(address):
        got = _fetch(address, folder / "archive", None)
        path = got.path
        if got.reason:
            yield got
            return
    kind = "zip" if named(address).endswith(".zip") else "tar"
    place = -1
    try:
        for place, (name, size, unpack) in enumerate(
            _zipped(path) if kind == "zip" else _tarred(path)
        ):
            target = folder / str(place)
            got = _Got(f"{kind}://{name}::{address}", target)
            if size > most:
                large = f"{size / 1e6:.0f} MB; too large for a film"
                got = got._replace(reason=large, hint=SMALLER)
            else:
                try:
                    with unpack() as stream, target.open("wb") as film:
                        shutil.copyfileobj(stream, film)
                except _BROKEN as error:
                    if getattr(error, "errno", None) in _OURS:
                        raise
                    target.unlink(missing_ok=True)
                    got = got._replace(reason=f"cannot be unpacked: {one_line(error)}")
            yield got
        if place < 0:
            yield _Got(address, folder / "0", reason="an archive without files")
    except _BROKEN as error:
        if getattr(error, "errno", None) in _OURS:
            raise
        yield _Got(
            address,
            folder / str(place + 1),
            reason=f"a damaged archive: {one_line(error)}",
            hint="copy it again, or unpack it to see what is left",
        )


_Member = tuple[str, int, Callable[[], IO[bytes]]]


def _zipped(path: Path) -> Iterator[_Member]:
    with zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            if not info.is_dir() and not _hidden(info.filename):
                yield info.filename, info.file_size, lambda info=info: archive.open(info)  # type: ignore[misc]


def _tarred(path: Path) -> Iterator[_Member]:
    sizes: dict[str, int] = {}  # a hard link says none
    with tarfile.open(path) as archive:
        for info in archive:
            size = sizes.get(posixpath.normpath(info.linkname), 0) if info.islnk() else info.size
            sizes[posixpath.normpath(info.name)] = size
            if (info.isfile() or info.islnk()) and not _hidden(info.name):
                yield info.name, size, lambda info=info: archive.extractfile(info)  # type: ignore[misc]
        stream: Any = archive.fileobj
        stream.seek(archive.offset)
        zeros = 0
        while block := stream.read(1 << 20):  # tarfile takes any bad header for the end
            if block.strip(b"\0"):
                raise tarfile.ReadError(f"no header of a file at byte {archive.offset + zeros}")
            zeros += len(block)
        if zeros < tarfile.BLOCKSIZE:
            raise tarfile.ReadError(f"it ends at byte {archive.offset}, without an end mark")


def _hidden(name: str) -> bool:
    parts = (part for part in PurePosixPath(name).parts if part != "..")
    return any(part.startswith((".", "__MACOSX")) for part in parts)


def _poison(job: ShardJob, shard: Shard) -> frozenset[int]:
    """Read each film alone in a process of its own; return those that end it twice."""
    found = set()
    pool = lonely()
    try:
        with _fetched(job, shard) as films:
            for place, got in enumerate(films):
                for left in (1, 0):
                    try:
                        pool.submit(_alone, job, got.path).result()
                        break
                    except BrokenProcessPool:
                        pool = lonely()
                        if not left:
                            found.add(place)
                if got.ours:
                    got.path.unlink(missing_ok=True)
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
    return frozenset(found)


def _alone(job: ShardJob, path: Path) -> None:
    _reader(job).read(path, force=job.force, details=job.details)


@contextmanager
def scratch() -> Iterator[Path]:
    """Yield a folder for films; remove those that processes left which were killed.

    A folder in use is locked, which ends with its process, whichever container that runs in.
    """
    for left in Path(tempfile.gettempdir()).glob(f"{_SCRATCH}*"):
        with suppress(OSError), _locked(left):  # somebody's, or one that is in use
            if time() - left.stat().st_mtime > _FRESH_S:
                shutil.rmtree(left, ignore_errors=True)
    folder = Path(tempfile.mkdtemp(prefix=_SCRATCH))
    with _locked(folder):
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(handle)


def lonely(folder: Path | None = None) -> ProcessPoolExecutor:
    """Return a process that does one thing after another, and ends when this process ends.

    Args:
        folder: for its temporary files; default: where those of this process are.
    """
    return ProcessPoolExecutor(
        1,
        mp_context=multiprocessing.get_context("spawn"),
        initializer=_follow_parent,
        initargs=(str(folder or tempfile.gettempdir()),),
    )


def _follow_parent(folder: str) -> None:
    import signal
    import threading
    from multiprocessing.connection import wait

    tempfile.tempdir = folder
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which ends this one
    parent = multiprocessing.parent_process()

    def watch() -> None:
        if parent is not None:
            wait([parent.sentinel])
            os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
