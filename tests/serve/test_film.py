from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest

from hilum.core.reading import Status
from hilum.image.open import open_radiograph
from hilum.image.preprocess import Preprocess
from hilum.serve.film import open_film, printable

HOW = Preprocess(size=64, channels=1)


def test_a_film_goes_through_the_one_preprocess(films):
    film = open_film(films / "a.png", HOW, keep=True)
    radiograph = open_radiograph(films / "a.png")
    assert film.status is Status.READ
    assert film.inputs is not None
    np.testing.assert_array_equal(film.inputs, HOW(radiograph))
    assert film.radiograph is not None
    np.testing.assert_array_equal(film.radiograph.pixels, radiograph.pixels)
    assert film.facts["format"] == "PNG"
    assert (film.facts["width"], film.facts["height"]) == (160, 200)
    assert film.history[-3:] == (
        "preprocess: stretch to 64 x 64 pixels",
        "preprocess: grey levels from percentile 0.5 to 99.5 become 0 to 1",
        "preprocess: (x - 0.5) / 0.25, 1 channel(s)",
    )


def test_the_film_is_kept_only_if_asked(films):
    assert open_film(films / "a.png", HOW, keep=False).radiograph is None


@pytest.mark.parametrize(
    ("name", "status"),
    [
        ("notes.txt", Status.ERROR),
        ("broken.jpg", Status.ERROR),
        ("gone.png", Status.ERROR),
        ("sub", Status.ERROR),
        ("tiny.png", Status.REFUSED),
        ("blank.png", Status.REFUSED),
    ],
)
def test_what_cannot_be_read_has_a_reason_without_its_path(films, name, status):
    film = open_film(films / name, HOW, keep=False)
    assert film.status is status
    assert film.inputs is None
    assert film.reason
    assert str(films) not in film.reason


def test_a_bug_in_a_decoder_costs_one_film(films, monkeypatch):
    def broken(path, **_):
        raise KeyError("PixelData")

    monkeypatch.setattr("hilum.serve.film.open_radiograph", broken)
    film = open_film(films / "a.png", HOW, keep=False)
    assert film.status is Status.ERROR
    assert "KeyError" in film.reason


def test_a_name_that_is_not_utf8_is_still_json(tmp_path, films):
    odd = Path(os.fsdecode(os.fsencode(tmp_path) + b"/f\xffilm.png"))
    odd.write_bytes((films / "a.png").read_bytes())
    film = open_film(odd, HOW, keep=False)
    assert film.status is Status.READ
    assert json.loads(json.dumps(film.path)).endswith("f\ufffdilm.png")
    assert printable("plain") == "plain"


def test_the_callers_limit_decides(films):
    film = open_film(films / "a.png", HOW, keep=False, max_megapixels=0.01)
    assert film.status is Status.ERROR
    assert "the limit is 0.01" in film.reason
    assert film.hint
