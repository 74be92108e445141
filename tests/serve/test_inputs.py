from __future__ import annotations

import os
import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path

import pytest

from hilum.core.errors import ConfigError, UnreadableImageError
from hilum.core.files import walk
from hilum.image.open import open_radiograph
from hilum.serve.inputs import find_films


@pytest.fixture
def tree(tmp_path, monkeypatch):
    for name in ("b/2.png", "b/1.dcm", "a.png", ".hidden", ".git/x.png", "b/.thumb", "odd[1].png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def _names(paths):
    return [path.as_posix() for path in paths]


def test_a_folder_gives_every_visible_file_sorted(tree):
    assert _names(find_films(["."])) == ["a.png", "odd[1].png", "b/1.dcm", "b/2.png"]


def test_arguments_keep_their_order(tree):
    assert _names(find_films(["b/2.png", "a.png", "b"])) == [
        "b/2.png",
        "a.png",
        "b/1.dcm",
        "b/2.png",
    ]


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("b/*.png", ["b/2.png"]),
        ("**/*.png", ["a.png", "b/2.png", "odd[1].png"]),
        ("?", ["b/1.dcm", "b/2.png"]),
    ],
)
def test_patterns(tree, pattern, found):
    assert _names(find_films([pattern])) == found
    assert _names(find_films([str(tree / pattern)])) == [str(tree / name) for name in found]


def test_a_file_whose_name_looks_like_a_pattern_is_that_file(tree):
    assert _names(find_films(["odd[1].png"])) == ["odd[1].png"]


def test_a_named_file_stays_even_if_hidden_or_missing(tree):
    assert _names(find_films([".hidden", "gone.png"])) == [".hidden", "gone.png"]


def test_nothing_found_is_an_error(tree):
    (tree / "empty").mkdir()
    with pytest.raises(ConfigError, match="empty, x\\*: no files found"):
        find_films(["empty", "x*"])


def test_a_link_to_a_folder_is_not_followed_round_in_circles(tree):
    (tree / "b" / "loop").symlink_to(tree)
    assert _names(find_films(["b"])) == ["b/1.dcm", "b/2.png", "b/loop"], "it leads out of b"


def test_a_linked_folder_is_among_the_files_unless_it_leads_back_inside(tree, tmp_path_factory):
    away = tmp_path_factory.mktemp("away")
    (away / "film.png").write_bytes(b"")
    (tree / "link").symlink_to(away)
    (tree / "b" / "again").symlink_to(tree / "b")
    assert _names(find_films(["."])) == ["a.png", "odd[1].png", "b/1.dcm", "b/2.png", "link"]
    assert _names(find_films(["**/*.dcm"])) == ["b/1.dcm", "link"]
    assert _names(find_films(["link"])) == ["link/film.png"]
    assert _names(find_films(["l*"])) == ["link/film.png"]
    assert _names(find_films(["l*/*.png"])) == ["link/film.png"]


def test_two_rings_of_links_end(tree):
    for name in ("one", "two"):
        (tree / "b" / name).symlink_to(tree)
    assert len(find_films(["**/*.png"])) == 3
    assert len(find_films(["."])) == 4


@pytest.mark.parametrize("word", [".", "**/*.png", "*/*/*.png", "b/*", "b"])
def test_a_folder_without_rights_is_among_the_files(tree, monkeypatch, word):
    (tree / "b" / "shut").mkdir()
    real = {"scandir": os.scandir, "listdir": os.listdir}
    for name, function in real.items():
        monkeypatch.setattr(os, name, _shut(function, "shut"))
    assert "b/shut" in _names(find_films([word]))


def test_rights_bind_a_person_who_is_not_root():
    folder = Path(tempfile.mkdtemp(prefix="hilum-", dir="/tmp"))
    (folder / "shut").mkdir()
    (folder / "shut" / "hidden.png").write_bytes(b"film")
    try:
        (folder / "shut").chmod(0)
        folder.chmod(0o755)
        with _somebody():
            films = find_films([folder])
            with pytest.raises(UnreadableImageError, match="cannot be listed: permission denied"):
                open_radiograph(films[0])
            lost = walk(folder).lost
        assert films == [folder / "shut"]
        assert lost == {folder / "shut": "permission denied"}
    finally:
        (folder / "shut").chmod(0o755)
        shutil.rmtree(folder)


def _shut(function, name):
    def guarded(path="."):
        if Path(path).name == name:
            raise PermissionError(13, "Permission denied", str(path))
        return function(path)

    return guarded


@contextmanager
def _somebody():
    """Give up root's rights, which nothing binds, for a while."""
    if os.geteuid():
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)
