"""What pydicom warns of is a note of the film that it is about, in threads too."""

from __future__ import annotations

import subprocess
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor

import pytest

from hilum.image.limits import gathered_warnings
from hilum.image.open import open_radiograph
from hilum.image.stored import open_stored

SCRIPT = """
import logging, sys
from concurrent.futures import ThreadPoolExecutor
from hilum.image.open import open_radiograph
from hilum.image.stored import open_stored
if sys.argv[1] == "logging":
    logging.basicConfig()
with ThreadPoolExecutor(8) as pool:
    for opener in (open_radiograph, open_stored):
        list(pool.map(opener, sys.argv[2:] * 5))
"""


def odd_header(make_dicom, name, number=999):
    """A character set that does not exist, of which the header's reading warns."""
    path = make_dicom(name, SpecificCharacterSet="ISO_IR 192")
    path.write_bytes(path.read_bytes().replace(b"ISO_IR 192", b"ISO_IR %03d" % number))
    return path


def excess_pixels(make_dicom, name):
    """More pixel data than one frame takes, of which decoding warns."""
    return make_dicom(name, edit=lambda d: setattr(d, "PixelData", d.PixelData + bytes(40)))


@pytest.mark.parametrize("opener", [open_radiograph, open_stored])
def test_warnings_are_notes(make_dicom, opener, capfd):
    def notes(path):
        opened = opener(path)
        return getattr(opened, "radiograph", opened).notes

    assert any("ISO_IR 999" in note for note in notes(odd_header(make_dicom, "a")))
    said = [note for note in notes(excess_pixels(make_dicom, "b")) if "excess padding" in note]
    assert len(said) == 1
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("logs", ["logging", "no logging"])
def test_nothing_on_stderr_with_pythons_own_filters(make_dicom, logs):
    paths = [odd_header(make_dicom, "a"), excess_pixels(make_dicom, "b")]
    done = subprocess.run(
        [sys.executable, "-W", "always", "-c", SCRIPT, logs, *map(str, paths)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert (done.stdout, done.stderr) == ("", "")


def test_in_threads_each_film_has_its_own(make_dicom):
    paths = [odd_header(make_dicom, f"film-{place}", 900 + place) for place in range(8)]
    with ThreadPoolExecutor(8) as pool:
        films = list(pool.map(open_radiograph, paths * 20))
    for place, film in enumerate(films):
        (note,) = film.notes
        assert f"'ISO_IR {900 + place % 8}'" in note


def test_the_filters_are_put_back_and_other_warnings_pass():
    before, shown = list(warnings.filters), warnings.showwarning
    with gathered_warnings() as outer, gathered_warnings() as inner:
        warnings.warn("within", stacklevel=1)
        with ThreadPoolExecutor(1) as pool, pytest.raises(UserWarning, match="elsewhere"):
            pool.submit(_strictly).result()
    assert (outer, inner) == ([], ["within"])
    assert (warnings.filters, warnings.showwarning) == (before, shown)


def _strictly():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.warn("elsewhere", stacklevel=1)
