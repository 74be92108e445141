"""Decoders: processes in which films are opened, so that what happens to one happens to no other.

A codec written in C can end its process, never end, or take all memory, on one damaged or hostile
file. Whatever it does here is one ``UnreadableImageError`` of that film: its process is replaced,
and every other film is read as if it were alone. That holds for every format. Of those that one
might trust within this process, a small JPEG can ask for thousands of passes over a large picture,
and the header of a WEBP or TIFF for more memory than there is.

A worker is a plain child process with two pipes (``hilum.image.decoder``), and memory for pixels
where the system can share some. It decodes one film at a time, so it is known which film ended it.
``multiprocessing``, and the pools upon it, either run the caller's script again in every child,
unless it guards its main part, or fork a process that is full of threads.
"""

from __future__ import annotations

import atexit
import os
import pickle
import signal
import struct
import subprocess
import sys
import threading
from collections.abc import Callable
from time import monotonic
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar, cast

from hilum.core.errors import UnreadableImageError
from hilum.core.machine import cores

if TYPE_CHECKING:
    from io import FileIO

    import numpy as np
    from numpy.typing import NDArray

R = TypeVar("R")

SECONDS, SECONDS_PER_MB = 20.0, 0.5
"""Time for one film, and for each megabyte of its file on top: a JPEG 2000 film of 100 megapixels
and 121 MB takes 14 seconds of one core, and 46 where others work."""
MEMORY, BYTES_PER_PIXEL = 500_000_000, 16
"""Memory for one film, and for each pixel of the largest one allowed on top: 2.1 GB for 100
megapixels. The hungriest that was found, an RGB picture, takes 14 bytes a pixel."""

LENGTH = struct.Struct("<Q")
KEPT_BYTES = 64_000_000
"""Pixels of a larger film do not stay in memory until the next one overwrites them."""
REPORT = "keep the file and report it, if you may share it; else export the film again"
SMALLER = "export the film again, at a smaller size if it is a large one"
TIMED_OUT = 1
"""Exit code of ``faulthandler`` when the time is up."""
_CHILD = "import sys; sys.path[:] = {!r}; from hilum.image.decoder import main; main(*{!r})"


class Task(NamedTuple):
    """One call to make, in at most so many seconds and so many bytes on top of what is used."""

    call: Callable[..., Any]
    arguments: tuple[Any, ...]
    name: str
    seconds: float
    memory: int


class TaskResult(NamedTuple):
    """What came of a task; ``worn`` where its process must do no other."""

    value: Any
    error: BaseException | None = None
    worn: bool = False


class _Worker:
    """One child process; ``used`` once it has done a task."""

    def __init__(self) -> None:
        threads = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        self.used = False
        self._shared = _shared_memory()
        handed = () if self._shared is None else (self._shared.fileno(),)
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-c", _CHILD.format(_search_path(), handed)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
            pass_fds=handed,
            env=os.environ | threads,
            start_new_session=True,  # Ctrl-C is for this process, which then ends its children
            creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
        )
        self._tasks = cast("FileIO", self._process.stdin)
        self._answers = cast("FileIO", self._process.stdout)

    def do(self, task: Task) -> TaskResult:
        """Send a task and wait for its answer; the end of the process is one, too."""
        started = monotonic()
        try:
            self._send(pickle.dumps(task, protocol=5))
            answer: TaskResult = self._receive()
        except (EOFError, BrokenPipeError):
            code = self._process.wait()
            slow = code == TIMED_OUT and monotonic() - started >= task.seconds
            return TaskResult(None, _fate(task, code, slow), worn=True)
        self.used = True
        return answer

    def kill(self) -> None:
        """Kill the process, and do not wait for its end."""
        self._process.kill()

    def end(self) -> None:
        """End the process, whatever it does."""
        self._process.kill()
        with self._process:  # closes the pipes and waits
            pass
        if self._shared is not None:
            self._shared.close()

    def forget(self) -> None:
        """Leave the process to the one that this one was forked from."""
        self._process.returncode = 0
        self._tasks.close()
        self._answers.close()
        if self._shared is not None:
            self._shared.close()

    def _send(self, message: bytes) -> None:
        view = memoryview(LENGTH.pack(len(message)) + message)
        while view:
            view = view[self._tasks.write(view) :]

    def _receive(self) -> Any:
        """Receive lengths, a pickle, and the buffers that it leaves out: pixels, uncopied."""
        count = LENGTH.unpack(_read(self._answers, LENGTH.size))[0]
        sizes = struct.unpack(f"<{count}Q", _read(self._answers, count * LENGTH.size))
        message = _read(self._answers, sizes[0])
        if self._shared is not None:
            self._shared.seek(0)
        buffers = [_pixels(self._shared or self._answers, size) for size in sizes[1:]]
        if self._shared is not None and sum(sizes) > KEPT_BYTES:
            self._shared.truncate(0)
        return pickle.loads(message, buffers=buffers)  # noqa: S301 - of our own child


def _read(file: FileIO, size: int) -> bytearray:
    data = bytearray(size)
    _fill(memoryview(data), file)
    return data


def _pixels(file: FileIO, size: int) -> NDArray[np.uint8]:
    """Read into an array, which is not cleared before, and whose memory comes in large pages."""
    import numpy as np

    data = np.empty(size, np.uint8)
    _fill(data.data, file)
    return data


def _fill(view: memoryview, file: FileIO) -> None:
    while view:
        count = file.readinto(view)
        if not count:
            raise EOFError
        view = view[count:]


def _shared_memory() -> FileIO | None:
    """Return memory in which a child leaves pixels: a pipe takes 64 KB at a time, and a wait each.

    Pipes do where the system has none (macOS, Windows).
    """
    if not hasattr(os, "memfd_create"):
        return None
    import fcntl

    place = os.memfd_create("hilum-film")
    beyond = fcntl.fcntl(place, fcntl.F_DUPFD_CLOEXEC, 3)  # where a caller closed 0 to 2
    os.close(place)
    return os.fdopen(beyond, "r+b", buffering=0)


def _search_path() -> list[str]:
    """Return where this process imports from; Python passes over what is no text, as a Path."""
    return [place for place in sys.path if isinstance(place, str)]


def _fate(task: Task, code: int, slow: bool) -> UnreadableImageError:
    """Say what became of a process that did not answer."""
    hint = REPORT
    if slow:
        found = f"not decoded within {task.seconds:.0f} seconds"
    elif code == -9:
        found, hint = "its decoder was ended from outside, perhaps for want of memory", SMALLER
    else:
        found = f"it ended its decoder ({_how(code)})"
    return UnreadableImageError(f"{task.name}: {found}", hint=hint)


def _how(code: int) -> str:
    try:
        return f"code {code}" if code >= 0 else signal.Signals(-code).name
    except ValueError:  # a real-time signal has no name
        return f"signal {-code}"


class _Pool:
    """Workers, started when there is work; at most as many as cores are at work."""

    def __init__(self) -> None:
        self._ended = False
        self._lock = threading.Lock()
        self._slots = threading.BoundedSemaphore(cores())
        self._idle: list[_Worker] = []
        self._all: set[_Worker] = set()

    def start(self) -> None:
        """Start a worker if there is none."""
        with self._lock:
            if not self._all:
                self._idle.append(self._new())

    def do(self, task: Task) -> TaskResult:
        """Do a task; once more in a new process if one that did others before failed on it."""
        with self._slots:
            # What failed may be the fault of a film before it in the same process.
            answer, again = self._attempt(task)
            return self._attempt(task)[0] if again else answer

    def close(self) -> None:
        """End every worker, also those at work."""
        with self._lock:
            workers, self._all, self._idle = self._all, set(), []
        for worker in workers:
            worker.end()

    def end(self) -> None:
        """Kill every worker, and start no other: what still asks for one ends with SystemExit."""
        with self._lock:
            self._ended = True
            for worker in self._all:
                worker.kill()

    def forget(self) -> None:
        """Start anew in a process that was forked from the one that the workers serve."""
        workers = self._all
        self.__init__()  # type: ignore[misc]
        for worker in workers:
            worker.forget()

    def _attempt(self, task: Task) -> tuple[TaskResult, bool]:
        with self._lock:
            self._go_on()
            worker = self._idle.pop() if self._idle else self._new()
        used = worker.used
        try:
            answer = worker.do(task)
        except BaseException:  # Ctrl-C: it still works on what nobody waits for
            self._drop(worker)
            raise
        if answer.worn:
            known = self._drop(worker)
            self._go_on()
            return answer, known and used
        with self._lock:
            if worker in self._all:
                self._idle.append(worker)
        return answer, False

    def _go_on(self) -> None:
        """Raise where this process is ending: a film that it ended is no film that is at fault."""
        if self._ended:
            raise SystemExit("the decoders were ended")

    def _new(self) -> _Worker:
        worker = _Worker()
        self._all.add(worker)
        return worker

    def _drop(self, worker: _Worker) -> bool:
        """End a worker; False where ``close`` did so before."""
        with self._lock:
            known = worker in self._all
            self._all.discard(worker)
        if known:
            worker.end()
        return known


_POOL = _Pool()
atexit.register(_POOL.close)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_POOL.forget)


def start() -> None:
    """Start a decoder that will be ready when the first film comes; optional."""
    _POOL.start()


def close() -> None:
    """End all decoders at once, also those at work; the next film starts new ones."""
    _POOL.close()


def end() -> None:
    """End all decoders for good, since this process ends: no thread waits for a film any more.

    A thread that waits for a decoder would otherwise start one for its film, and the end of the
    process would wait for that. Every ``run`` under way, and every later one, raises SystemExit,
    which ends a thread quietly.
    """
    _POOL.end()


def run(call: Callable[..., R], name: str, size: int, max_megapixels: float, *arguments: Any) -> R:
    """Return ``call(*arguments)``, made in a process of its own.

    Args:
        call: a function that its module names.
        name: of the film, for messages.
        size: of its file, in bytes.
        max_megapixels: of the largest film, in millions of pixels.

    Raises:
        UnreadableImageError: it ended its process, or needs too much time or memory.
        Exception: what ``call`` raises.
        SystemExit: ``end`` was called.
    """
    seconds = SECONDS + SECONDS_PER_MB * size / 1e6
    memory = MEMORY + int(BYTES_PER_PIXEL * 1e6 * max_megapixels)
    answer = _POOL.do(Task(call, arguments, name, seconds, memory))
    if answer.error is not None:
        raise answer.error
    value: R = answer.value
    return value
