"""Files: whole or not at all."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from hilum.core.errors import ConfigError
from hilum.core.files import Stems, atomic_path, check_writable, sha256_of, write_text


def test_an_error_in_the_block_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    write_text(path, "old")

    def half_written() -> None:
        with atomic_path(path) as temporary:
            temporary.write_text("half")
            raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        half_written()
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.csv"]


def test_folders_are_made_and_the_suffix_is_kept(tmp_path: Path) -> None:
    with atomic_path(tmp_path / "deep" / "b.png") as temporary:
        assert temporary.suffix == ".png"
        temporary.write_bytes(b"x")
    assert (tmp_path / "deep" / "b.png").read_bytes() == b"x"


def test_sha256_of_abc(tmp_path: Path) -> None:
    write_text(tmp_path / "abc", "abc")  # FIPS 180-2, appendix B.1
    assert sha256_of(tmp_path / "abc").startswith("ba7816bf8f01cfea414140de5dae2223")


def test_a_name_as_long_as_a_name_can_be_is_written(tmp_path: Path) -> None:
    for name in ("x" * 255, "x" * 251 + ".png", "x." + "y" * 253):
        write_text(tmp_path / name, "whole")
        assert (tmp_path / name).read_text() == "whole"


def test_names_of_films_are_kept_where_they_fit_and_taken_once(tmp_path: Path) -> None:
    stems = Stems(tmp_path, [".png"])
    named = ["a/film.dcm", "b/film.dcm", "c/FILM.png", "film-2.png", "é.png", "e\u0301.png"]
    assert [stems.of(path) for path in named] == [
        "film", "film-2", "FILM-3", "film-2-2", "é", "e\u0301-2",
    ]  # fmt: skip


def test_long_names_are_cut_and_stay_apart(tmp_path: Path) -> None:
    tails = [".pneumonia.png", ".covid-19.png"]
    stems = Stems(tmp_path / "made" / "later", tails)
    fits = "x" * (255 - len(tails[0]))
    films = [fits, fits + "1", fits + "2", fits + "2", "Ш" * 126, "Ш" * 125 + "Ъ"]
    films.append(os.fsdecode(b"\xff" * 251))
    names = [stems.of(f"{film}.png") for film in films]
    assert names[0] == fits
    assert len(set(names)) == len(names)
    for name in names:
        for tail in tails:
            write_text(tmp_path / (name + tail), "")
    assert len(list(tmp_path.iterdir())) == len(names) * len(tails)
    assert names == [Stems(tmp_path, tails).of(f"{films[0]}.png"), *names[1:]]


@pytest.mark.parametrize("place", ["/proc/out/page.html", "/proc", "file/out", "file/a/b.html"])
def test_what_cannot_be_written_is_said_before(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="cannot be written: ") as caught:
        check_writable(tmp_path / place)
    assert caught.value.hint


@pytest.mark.parametrize("kind", ["folder", "pipe"])
def test_a_file_never_takes_the_place_of_what_is_none(tmp_path: Path, kind: str) -> None:
    """As root, a file would take the place of /dev/full or /dev/null."""
    place = tmp_path / "there"
    place.mkdir() if kind == "folder" else os.mkfifo(place)
    with pytest.raises(ConfigError, match=f"there: a .*{kind}.*; expected the name of a file"):
        write_text(place, "x")
    assert list(tmp_path.iterdir()) == [place]
    assert not place.is_file()
    if kind == "pipe":
        with pytest.raises(ConfigError, match="a device or pipe"):
            check_writable(place)


def test_what_is_there_is_of_the_kind_that_is_wanted(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="a folder; expected the name of a file"):
        check_writable(tmp_path, folder=False)
    with pytest.raises(ConfigError, match=r"cannot be written: .*file is a file"):
        check_writable(tmp_path / "file", file=False)
    for kind in ({"folder": False}, {"file": False}):
        check_writable(tmp_path / "a" / "b", **kind)
    check_writable(tmp_path / "file", folder=False)
    check_writable(tmp_path, file=False)


def test_looking_leaves_nothing(tmp_path: Path) -> None:
    for place in ("a/b/c.html", "c.html", ""):
        check_writable(tmp_path / place)
    assert not list(tmp_path.iterdir())


def test_what_could_not_be_written_is_named(tmp_path):
    path = tmp_path / "film.png"
    with pytest.raises(OSError, match=r"film\.png"), atomic_path(path):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert list(tmp_path.iterdir()) == []
