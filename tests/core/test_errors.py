"""Errors: one tree, one exit code a kind, and the hint survives a process boundary."""

from __future__ import annotations

import pickle

import pytest

from hilum.core import errors, extras


def kinds(root: type[errors.HilumError]) -> list[type[errors.HilumError]]:
    """Return the whole tree under ``root``."""
    return [root, *(kind for child in root.__subclasses__() for kind in kinds(child))]


@pytest.mark.parametrize("kind", kinds(errors.HilumError))
def test_every_kind_maps_to_the_three_worlds(kind: type[errors.HilumError]) -> None:
    assert 1 <= kind.exit_code < 126
    assert 400 <= kind.http_status < 600
    assert 0x0100 <= kind.c_store_status <= 0xCFFF


@pytest.mark.parametrize("kind", kinds(errors.HilumError))
def test_message_and_hint_survive_pickling(kind: type[errors.HilumError]) -> None:
    error = pickle.loads(pickle.dumps(kind("a.csv row 3: view 'XX'", hint="use AP or PA")))
    assert type(error) is kind
    assert (error.message, error.hint) == ("a.csv row 3: view 'XX'", "use AP or PA")


def test_the_drawing_names_every_kind() -> None:
    drawing = errors.__doc__ or ""
    assert [
        kind.__name__ for kind in kinds(errors.HilumError) if kind.__name__ not in drawing
    ] == []


def test_a_missing_extra_names_its_install_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(extras.EXTRAS, "train", ("no_such_module_here",))
    with pytest.raises(errors.MissingExtraError, match="no_such_module_here") as caught:
        extras.require("train")
    assert caught.value.hint == "pip install 'hilum[train]'"
