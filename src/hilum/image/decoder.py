"""Decoder: the child process of ``hilum.image.decoders`` that opens films one after another.

It takes tasks from its standard input and ends when that closes, as when its parent is killed.
"""

from __future__ import annotations

import contextlib
import faulthandler
import os
import pickle
import struct
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import hilum.image.open
import hilum.image.raster  # noqa: F401 - so that all is there when the first film comes
from hilum.core.errors import UnreadableImageError
from hilum.image.decoders import LENGTH, REPORT, SMALLER, Task, TaskResult
from hilum.image.limits import one_line


def main(shared: int | None = None) -> None:
    """Answer tasks until there are no more; pixels go into ``shared`` memory, if there is any."""
    # Let a crash write no image of this memory, which has films in it, to disk
    with contextlib.suppress(ImportError, ValueError, OSError):
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with Path(os.devnull).open("wb") as nowhere, contextlib.suppress(BrokenPipeError):
        os.dup2(nowhere.fileno(), 2)  # some codecs print
        answers = os.fdopen(os.dup(1), "wb")
        pixels = answers if shared is None else os.fdopen(shared, "r+b")
        os.dup2(nowhere.fileno(), 1)
        while header := sys.stdin.buffer.read(LENGTH.size):
            message = sys.stdin.buffer.read(LENGTH.unpack(header)[0])
            answer = _answer(message, nowhere)
            _reply(answers, pixels, answer)
            if answer.worn:
                break


def _answer(message: bytes, nowhere: BinaryIO) -> TaskResult:
    """Do one task; whatever goes wrong with it is an answer, or the end of this process."""
    task: Task = pickle.loads(message)  # noqa: S301 - of our own parent
    faulthandler.dump_traceback_later(task.seconds, exit=True, file=nowhere)
    try:
        with _memory(task.memory):
            return TaskResult(task.call(*task.arguments))
    except MemoryError:
        found, hint = f"it needs more than {task.memory / 1e9:.1f} GB of memory", SMALLER
    except Exception as error:
        return TaskResult(None, _portable(error))
    except BaseException as error:  # a panic of a codec in Rust
        found, hint = f"it ended its decoder ({one_line(error)})", REPORT
    finally:
        faulthandler.cancel_dump_traceback_later()
    return TaskResult(None, UnreadableImageError(f"{task.name}: {found}", hint=hint), worn=True)


def _reply(answers: BinaryIO, pixels: BinaryIO, answer: TaskResult) -> None:
    """Write lengths, a pickle, and the buffers that it leaves out (PEP 574)."""
    buffers: list[pickle.PickleBuffer] = []
    message = pickle.dumps(answer, protocol=5, buffer_callback=buffers.append)
    parts = [memoryview(message), *(buffer.raw() for buffer in buffers)]
    if pixels is not answers:  # first: the parent reads them as soon as it has the message
        pixels.seek(0)
        pixels.writelines(parts[1:])
        pixels.flush()
    answers.write(LENGTH.pack(len(parts)))
    answers.write(struct.pack(f"<{len(parts)}Q", *(part.nbytes for part in parts)))
    answers.writelines(parts if pixels is answers else parts[:1])
    answers.flush()


def _portable(error: Exception) -> Exception:
    """Return an error that the parent can raise: itself, or one that says the same."""
    try:
        pickle.loads(pickle.dumps(error))  # noqa: S301
    except Exception:
        return RuntimeError(f"{type(error).__name__}: {error}")
    return error


@contextlib.contextmanager
def _memory(most: int) -> Iterator[None]:
    """Limit memory to so many bytes on top of what is in use; on Linux, which counts it."""
    try:
        import resource

        used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    except (ImportError, OSError):
        yield
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    limits = [used + most, *(each for each in (soft, hard) if each != resource.RLIM_INFINITY)]
    resource.setrlimit(resource.RLIMIT_AS, (min(limits), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
