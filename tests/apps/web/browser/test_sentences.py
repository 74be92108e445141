"""Sentences that the page says in Russian are those that Hilum writes, no more and no fewer."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator

from .conftest import ROOT

SENTENCES = json.loads(
    (ROOT / "viewer" / "src" / "text" / "sentences.json").read_text(encoding="utf-8")
)
SOURCE = ROOT / "src" / "hilum"
HOLE = re.compile(r"\{\w+\}")


def test_a_translation_has_the_holes_of_its_sentence() -> None:
    for english, russian in SENTENCES.items():
        assert set(HOLE.findall(russian)) <= set(HOLE.findall(english)), english
        assert not russian.isascii(), english


def test_no_sentence_is_dead() -> None:
    """Each piece between two holes stands in some string of the source."""
    written = {*strings(), *json.loads((SOURCE / "serve/default/gate.json").read_text())["signs"]}
    pieces = "\n".join(written).replace("_", " ") + "\n".join(written)
    for english in SENTENCES:
        for piece in HOLE.split(english):
            assert piece in pieces, english


def test_every_note_and_every_measure_is_translated() -> None:
    known = {HOLE.sub("{}", english) for english in SENTENCES}
    asked = {text for text in noted() if text != "{}"}
    assert len(asked) > 12
    assert asked <= known, asked - known


def strings() -> Iterator[str]:
    yield from json.loads((SOURCE / "core/text/en.json").read_text(encoding="utf-8")).values()
    for path in SOURCE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield node.value


def noted() -> Iterator[str]:
    """What is appended to notes, or given as ``measured``, each hole as {}."""
    for folder in ("image", "serve", "bundle"):
        for path in (SOURCE / folder).glob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if not isinstance(node, ast.Call):
                    continue
                name = ast.unparse(node.func)
                if name.endswith("notes.append") or name == "_stated":
                    yield template(node.args[-1])
                if name in ("Refusal", "Broken"):
                    yield from (template(k.value) for k in node.keywords if k.arg == "measured")


def template(node: ast.expr) -> str:
    if isinstance(node, ast.Constant):
        return str(node.value)
    if isinstance(node, ast.JoinedStr):
        return "".join(template(part) for part in node.values)
    return "{}"
