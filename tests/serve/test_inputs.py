from __future__ import annotations

import pytest

from hilum.core.errors import ConfigError
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
    assert len(find_films(["b"])) == 2
