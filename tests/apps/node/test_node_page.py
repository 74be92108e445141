"""docs/reference/node.md names every setting, verb and answer that there is."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from hilum.apps.cli import node as verbs
from hilum.apps.node import receiver
from hilum.apps.node.settings import INITIAL, Node, Peer
from hilum.core import errors

DOCS = Path(__file__).parents[3] / "docs"
PAGE = (DOCS / "reference" / "node.md").read_text(encoding="utf-8")
ROWS = re.findall(r"^\| (`.*?) \|", PAGE, re.MULTILINE)
NAMED = {name for row in ROWS for name in re.findall(r"`([^`]+)`", row)}


@pytest.mark.parametrize("table", [Node, Peer])
def test_every_setting_is_named(table):
    names = set(table.model_fields) - {"peers"}
    assert names <= NAMED


def test_no_setting_is_named_that_is_not():
    fields = set(Node.model_fields) | set(Peer.model_fields)
    settings = {name for name in NAMED if re.fullmatch(r"[a-z_]+", name)}
    assert settings <= fields


def test_defaults_are_those_of_the_code():
    for name, default in re.findall(r"^\| `(\w+)` \| `([^`]+)` \|", PAGE, re.MULTILINE):
        table = Node if name in Node.model_fields else Peer
        code = table.model_fields[name].default
        assert tomllib.loads(f"v = {default}")["v"] == (list(code) if code == () else code) or (
            list(code) == tomllib.loads(f"v = {default}")["v"]
        )


def test_every_verb_is_named():
    import typer

    app = typer.Typer()
    verbs.register(app, "")
    (group,) = app.registered_groups
    known = {command.name for command in group.typer_instance.registered_commands}
    assert set(re.findall(r"^\| `hilum node (\w+)", PAGE, re.MULTILINE)) == known


def test_every_status_is_named():
    tree = [errors.HilumError]
    for each in tree:
        tree += each.__subclasses__()
    codes = {each.c_store_status for each in tree} | {receiver.SUCCESS, receiver.OTHER_PIXELS}
    assert {int(code, 16) for code in re.findall(r"0x([0-9A-F]{4})", PAGE)} == codes


def test_the_initial_table_is_that_of_the_page():
    assert Node.parse(tomllib.loads(INITIAL)["node"], where="init") == Node()
    text = (DOCS / "how-to" / "join-a-pacs.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```toml\n(.*?)```", text, re.DOTALL)
    Node.parse(tomllib.loads(example)["node"], where="join-a-pacs.md")
