"""Whatever opening a film does to its process, it is one film's error."""

from __future__ import annotations

import builtins
import os
import signal
import subprocess
import sys
import textwrap
import time
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import pytest

from hilum.core.errors import UnreadableImageError, UnsupportedImageError
from hilum.core.machine import cores
from hilum.image import decoders
from hilum.image.open import open_here, open_radiograph

REDEFINE = "import os, hilum.image.open as module; module.open_here = lambda *_: os.abort()"


@pytest.fixture(autouse=True)
def anew():
    decoders.close()
    yield
    decoders.close()


@pytest.fixture
def picture(tmp_path):
    path = tmp_path / "film.png"
    cv2.imwrite(str(path), np.random.default_rng(0).integers(0, 255, (90, 70), np.uint8))
    return path


def run(call, *arguments):
    return decoders.run(call, "film.dcm", 0, 10.0, *arguments)


@pytest.mark.parametrize("words", [0, 5_000, 100_000])
def test_an_answer_with_a_long_text_has_its_own_pixels(words):
    for value in range(40):
        film = np.full((300, 300), value, np.float32)
        answer = run(dict, [("pixels", film), ("text", "x" * words)])
        assert len(answer["text"]) == words
        assert (answer["pixels"] == value).all()


@pytest.mark.parametrize(
    ("call", "arguments", "words"),
    [
        (os.abort, (), "ended its decoder (SIGABRT)"),
        (signal.raise_signal, (signal.SIGSEGV,), "ended its decoder (SIGSEGV)"),
        (signal.raise_signal, (signal.SIGKILL,), "ended from outside"),
        (signal.raise_signal, (signal.SIGRTMIN + 1,), f"decoder (signal {signal.SIGRTMIN + 1})"),
        (os._exit, (0,), "ended its decoder (code 0)"),
        (sys.exit, ("a panic",), "ended its decoder (a panic)"),
        (bytearray, (10**12,), "needs more than 0.7 GB"),
    ],
)
def test_every_way_to_end_is_an_error_of_one_film(call, arguments, words, picture):
    for _ in range(2):
        with pytest.raises(UnreadableImageError) as caught:
            run(call, *arguments)
        assert str(caught.value).startswith("film.dcm: ")
        assert words in str(caught.value)
        assert caught.value.hint
        np.testing.assert_array_equal(
            open_radiograph(picture).pixels, open_here(str(picture), "film", 100.0).pixels
        )


def test_one_that_never_ends_is_stopped(monkeypatch):
    monkeypatch.setattr(decoders, "SECONDS", 0.3)
    with pytest.raises(UnreadableImageError, match="not decoded within 0 seconds"):
        run(time.sleep, 10**6)
    assert run(sum, [1, 2]) == 3


def test_what_a_call_raises_is_raised(picture):
    with pytest.raises(ZeroDivisionError):
        run(divmod, 1, 0)
    with pytest.raises(UnsupportedImageError, match=r"film\.png: 70 x 90 .* megapixels") as caught:
        open_radiograph(picture, max_megapixels=0.001)
    assert caught.value.hint


def test_arrays_come_whole_and_can_be_written_to(picture):
    pixels = open_radiograph(picture).pixels
    expected = open_here(str(picture), "film", 100.0).pixels
    np.testing.assert_array_equal(pixels, expected)
    assert pixels.dtype == expected.dtype
    assert pixels.flags.writeable


def test_a_process_that_another_film_has_spoiled_is_not_this_films_fault(picture):
    run(builtins.exec, REDEFINE)
    assert open_radiograph(picture).shape == (90, 70)


def test_threads_get_their_own_answers_and_no_more_processes_than_cores(picture):
    def one(number):
        try:
            run(os.abort) if number % 7 == 3 else None
            return run(os.getpid), run(abs, -number)
        except UnreadableImageError:
            return None, "gone"

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(one, range(60)))
    assert [value for _, value in answers] == ["gone" if n % 7 == 3 else n for n in range(60)]
    assert len({run(os.getpid) for _ in range(9)}) <= cores()


def test_when_the_process_ends_no_film_is_begun_and_none_is_at_fault():
    pool = decoders._Pool()
    task = decoders.Task(time.sleep, (10**6,), "film.dcm", 600.0, 10**9)
    with ThreadPoolExecutor(cores() + 2) as threads:
        waiting = [threads.submit(pool.do, task) for _ in range(cores() + 2)]
        while len(pool._all) < cores():
            time.sleep(0.01)
        pool.end()
        assert {type(each.exception(60)) for each in waiting} == {SystemExit}
    with pytest.raises(SystemExit):
        pool.do(task)


def test_a_path_is_of_the_folder_that_the_caller_is_in(picture, tmp_path, monkeypatch):
    run(os.getpid)  # a process that stays where it was started
    monkeypatch.chdir(tmp_path)
    assert open_radiograph("film.png").path == "film.png"
    odd = os.fsdecode(b"f\xfflm.png")
    (tmp_path / odd).write_bytes(picture.read_bytes())
    assert open_radiograph(odd).path == odd


def test_what_is_no_text_on_the_search_path_is_passed_over(picture, tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "path", [*sys.path, tmp_path, os.fsencode(tmp_path)])
    assert open_radiograph(picture).shape == (90, 70)


SCRIPT = """
    import os, sys, threading
    import hilum
    from hilum.image import decoders

    film = sys.argv[1]
    shape = hilum.open_radiograph(film).shape
    child = os.fork()
    if child == 0:
        os._exit(0 if hilum.open_radiograph(film).shape == shape else 1)
    here = threading.Thread(target=hilum.open_radiograph, args=(film,))
    here.start()
    here.join()
    assert os.waitpid(child, 0)[1] == 0
    print("ran once", shape, flush=True)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_script_without_a_guard_that_forks(picture, tmp_path):
    """And from a folder whose files have the names of modules."""
    (tmp_path / "script.py").write_text(textwrap.dedent(SCRIPT))
    trap = tmp_path / "trap"
    trap.mkdir()
    for name in ("numpy.py", "struct.py", "hilum.py"):
        (trap / name).write_text("raise SystemExit('trapped')")
    done = subprocess.run(
        [sys.executable, tmp_path / "script.py", picture], cwd=trap, capture_output=True, text=True
    )
    assert (done.stdout, done.stderr) == ("ran once (90, 70)\n", "")


def test_nothing_is_left_when_the_caller_is_killed(picture):
    code = "import os, time, hilum; from hilum.image import decoders\n"
    code += "print(decoders.run(os.getpid, 'film', 0, 1.0), flush=True); time.sleep(100)"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as caller:
        decoder = int(caller.stdout.readline())
        os.kill(decoder, 0)  # there it is
        caller.kill()
    for _ in range(600):
        try:
            os.kill(decoder, 0)
        except ProcessLookupError:
            return
        time.sleep(0.1)
    pytest.fail("the decoder lives on")


@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-", "<&- >&- 2>&-"])
def test_a_caller_without_streams(picture, tmp_path, closed):
    code = f"import hilum; ok = hilum.open_radiograph({str(picture)!r}).shape == (90, 70)\n"
    code += f"open({str(tmp_path / 'done')!r}, 'w').write(str(ok))"
    (tmp_path / "code.py").write_text(code)
    subprocess.run(["sh", "-c", f"{sys.executable} {tmp_path}/code.py {closed}"], check=True)
    assert (tmp_path / "done").read_text() == "True"
