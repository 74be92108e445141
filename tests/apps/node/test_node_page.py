"""docs/reference/node.md names every setting, verb, state and answer that there is."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import get_args

from hilum.apps.cli import node as verbs
from hilum.apps.node import taking
from hilum.apps.node.settings import INITIAL, Node, Objects, Peer, Route, Tls
from hilum.apps.store import wanted
from hilum.apps.web.answers.watch import AlarmAnswer
from hilum.core import errors

DOCS = Path(__file__).parents[3] / "docs"
PAGE = (DOCS / "reference" / "node.md").read_text(encoding="utf-8")
RECEIVED = PAGE.partition("## What is sent")[0]


def _settings():
    """Name in the file -> default in the code, of every setting."""
    own = {
        k: v for k, v in Node.model_fields.items() if k not in ("objects", "peers", "routes", "tls")
    }
    fields = Tls.model_fields | Objects.model_fields | Peer.model_fields | Route.model_fields | own
    return {field.alias or name: field.default for name, field in fields.items()}


def test_exactly_the_settings_are_named():
    tables = PAGE.partition("## `[node]`")[2].partition("## What is answered")[0]
    rows = re.findall(r"^\| (`.*?) \|", tables, re.MULTILINE)
    assert {name for row in rows for name in re.findall(r"`(\w+)`", row)} == set(_settings())


def test_defaults_are_those_of_the_code():
    settings, seen = _settings(), 0
    for name, default in re.findall(r"^\| `(\w+)` \| `([^`]+)` \|", PAGE, re.MULTILINE):
        code = settings[name]
        said = tomllib.loads(f"v = {default}")["v"]
        assert said == (list(code) if isinstance(code, tuple) else code), name
        seen += 1
    assert seen > 10


def test_exactly_the_states_are_named():
    rows = PAGE.partition("| a delivery is |")[2].partition("| what happens |")[0]
    assert tuple(re.findall(r"^\| `(\w+)` \|", rows, re.MULTILINE)) == wanted.STATES


def test_exactly_the_alarms_are_named():
    rows = PAGE.partition("**Alarms**")[2].partition("`/api/v1/metrics`")[0]
    named = re.findall(r"^\| `([\w-]+)` \|", rows, re.MULTILINE)
    assert (
        named == list(verbs._ALARMS) == list(get_args(AlarmAnswer.model_fields["code"].annotation))
    )


def test_every_verb_is_named():
    known = {command.name for command in verbs.node_app.registered_commands}
    assert set(re.findall(r"^\| `hilum node (\w+)", PAGE, re.MULTILINE)) == known


def test_every_status_is_named():
    tree = [errors.HilumError]
    for each in tree:
        tree += each.__subclasses__()
    codes = {each.c_store_status for each in tree} | {
        taking.SUCCESS,
        taking.OTHER_PIXELS,
        taking.NOT_AUTHORIZED,
    }
    assert {int(code, 16) for code in re.findall(r"0x([0-9A-F]{4})", RECEIVED)} == codes


def test_the_initial_table_is_that_of_the_page():
    assert Node.parse(tomllib.loads(INITIAL)["node"], where="init") == Node()
    text = (DOCS / "how-to" / "join-a-pacs.md").read_text(encoding="utf-8")
    example, *peers = re.findall(r"```toml\n(.*?)```", text, re.DOTALL)
    for more in ("", *peers):
        Node.parse(tomllib.loads(example + more)["node"], where="join-a-pacs.md")
