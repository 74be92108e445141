from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from hilum.core.errors import CohortError
from hilum.image.open import open_radiograph
from hilum.image.preprocess import Preprocess
from hilum.learn import films as films_module
from hilum.learn.films import FilmDataset, fingerprint, open_films
from hilum.learn.module import standardise
from hilum.learn.predict import inputs_of

MakeCases = Callable[..., pd.DataFrame]
PREPROCESS = Preprocess(size=24, channels=3, mean=0.4, std=0.3)


def test_the_cache_holds_what_preprocess_makes(make_cases: MakeCases, tmp_path: Path) -> None:
    cases = make_cases(10)
    films = open_films(cases, PREPROCESS, tmp_path / "cache")
    for row, path in zip(films.rows, cases["path"], strict=True):
        expected = PREPROCESS.square(open_radiograph(path))
        np.testing.assert_allclose(films.squares[row], expected, atol=2.5e-4)


def test_what_the_network_gets_is_what_a_reader_gives_it(
    make_cases: MakeCases, tmp_path: Path
) -> None:
    cases = make_cases(6)
    films = open_films(cases, PREPROCESS, tmp_path / "cache")
    ours = inputs_of(films, PREPROCESS)
    theirs = np.stack([PREPROCESS(open_radiograph(path)) for path in cases["path"]])
    assert ours.shape == theirs.shape == (6, 3, 24, 24)
    np.testing.assert_allclose(ours, theirs, atol=1e-3)


def test_standardise_is_that_of_preprocess() -> None:
    squares = np.random.default_rng(0).random((4, 24, 24)).astype(np.float32)
    ours = standardise(torch.from_numpy(squares).unsqueeze(1), PREPROCESS).numpy()
    theirs = np.stack([PREPROCESS.standardise(square) for square in squares])
    np.testing.assert_allclose(ours, theirs, rtol=1e-6, atol=1e-6)


def test_films_are_opened_once(
    make_cases: MakeCases, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cases = make_cases(8)
    first = open_films(cases, PREPROCESS, tmp_path / "cache")
    monkeypatch.setattr(films_module, "open_radiograph", None)  # a call would fail
    again = open_films(cases, PREPROCESS, tmp_path / "cache")
    np.testing.assert_array_equal(first.squares, again.squares)
    standardised = PREPROCESS.model_copy(update={"mean": 0.1})
    open_films(cases, standardised, tmp_path / "cache")


def test_a_changed_film_or_setting_is_opened_again(make_cases: MakeCases, tmp_path: Path) -> None:
    cases = make_cases(8)
    before = open_films(cases, PREPROCESS, tmp_path / "cache").squares[0].copy()
    Path(cases["path"][0]).write_bytes(Path(cases["path"][1]).read_bytes())
    after = open_films(cases, PREPROCESS, tmp_path / "cache").squares[0]
    assert np.abs(after - before).max() > 0.1
    padded = PREPROCESS.model_copy(update={"size": 16})
    assert open_films(cases, padded, tmp_path / "cache").squares.shape == (8, 16, 16)


def test_films_that_do_not_open_are_rows_with_a_reason(
    make_cases: MakeCases, tmp_path: Path
) -> None:
    cases = make_cases(8)
    Path(cases["path"][2]).write_bytes(b"text, no film")
    Path(cases["path"][5]).unlink()
    for _ in ("opened", "from the cache"):
        films = open_films(cases, PREPROCESS, tmp_path / "cache")
        assert films.refused["case_id"].tolist() == ["made/2", "made/5"]
        assert (films.refused["reason"] != "").all()
        assert len(films.cases) == len(films.rows) == 6
        dataset = FilmDataset(films, ["covid-19"])
        expected = PREPROCESS.square(open_radiograph(films.cases["path"][4]))
        np.testing.assert_allclose(dataset[4].squares[0, 0], expected, atol=2.5e-4)


def test_no_film_at_all_is_an_error_with_the_first_reason(
    make_cases: MakeCases, tmp_path: Path
) -> None:
    cases = make_cases(3)
    for path in cases["path"]:
        Path(path).write_bytes(b"")
    with pytest.raises(CohortError, match=r"none of 3 films opened; first: made/0: .*zero bytes"):
        open_films(cases, PREPROCESS, tmp_path / "cache")


def test_a_nan_film_is_named_and_no_cache_is_left(
    make_cases: MakeCases, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cases = make_cases(5)
    square = Preprocess.square
    seen: list[str] = []

    def holed(self: Preprocess, radiograph: object, lungs: object = None) -> np.ndarray:
        pixels = square(self, radiograph).copy()  # type: ignore[arg-type]
        if radiograph.path.endswith("3.png"):  # type: ignore[attr-defined]
            pixels[0, 0] = np.nan
            seen.append("3")
        return pixels

    monkeypatch.setattr(Preprocess, "square", holed)
    with pytest.raises(CohortError, match=r"film made/3: a pixel is not a number"):
        open_films(cases, PREPROCESS, tmp_path / "cache")
    assert seen
    assert not list((tmp_path / "cache").iterdir())


def test_a_dataset_gives_batches_in_the_order_asked_for(
    make_cases: MakeCases, tmp_path: Path
) -> None:
    cases = make_cases(9)
    dataset = FilmDataset(open_films(cases, PREPROCESS, tmp_path), ["covid-19", "pneumonia"])
    batch = dataset.__getitems__([7, 0, 7])
    assert batch.squares.shape == (3, 1, 24, 24)
    assert batch.squares.dtype == batch.truth.dtype == torch.float32
    np.testing.assert_array_equal(batch.truth, cases.loc[[7, 0, 7], ["covid-19", "pneumonia"]])
    assert batch.rows.tolist() == [7, 0, 7]
    assert len(dataset) == 9


def test_the_fingerprint_covers_names_files_and_labels_but_not_their_order(
    make_cases: MakeCases,
) -> None:
    cases = make_cases(4)
    found = fingerprint(cases, ["covid-19"], {})
    sums = {
        row.case_id: hashlib.sha256(Path(row.path).read_bytes()).hexdigest()
        for row in cases.itertuples()
    }
    assert found == fingerprint(cases[::-1], ["covid-19"], sums)
    relabelled = cases.assign(**{"covid-19": [1.0, 0.0, 1.0, np.nan]})
    renamed = cases.assign(case_id=["a", "b", "c", "d"])
    Path(cases["path"][0]).write_bytes(b"other")
    others = [
        fingerprint(relabelled, ["covid-19"], sums),
        fingerprint(renamed, ["covid-19"], {}),
        fingerprint(cases, ["covid-19"], {}),
    ]
    assert len({found, *others}) == 4


def test_a_film_that_ends_its_decoder_is_refused_alone(
    make_cases: MakeCases, tmp_path: Path, dangerous: Callable[[Path, str], Path]
) -> None:
    cases = make_cases(6)
    cases.loc[2, "path"] = str(dangerous(tmp_path / "crash.dcm", "CRASH"))
    cases.loc[4, "path"] = str(dangerous(tmp_path / "panic.dcm", "PANIC"))
    films = open_films(cases, PREPROCESS, tmp_path / "cache")
    assert list(films.refused["case_id"]) == [cases["case_id"][2], cases["case_id"][4]]
    assert "ended its decoder" in films.refused["reason"][0]
    for row, path in zip(films.rows, films.cases["path"], strict=True):
        expected = PREPROCESS.square(open_radiograph(path))
        np.testing.assert_allclose(films.squares[row], expected, atol=2.5e-4)
