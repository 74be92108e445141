"""Sentences that the page says in Russian are those that Hilum writes, no more and no fewer."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator

import numpy as np

from hilum.judge.bootstrap import why_undefined

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


def test_every_problem_of_the_api_is_said_in_russian() -> None:
    """By the sentence itself: no wider pattern before it takes it."""
    patterns = {english: HOLE.sub("{}", english) for english in SENTENCES}
    told = set(problems())
    assert len(told) > 80
    assert told <= set(patterns.values()), sorted(told - set(patterns.values()))
    matched = {english: _matching(HOLE.sub("7", english)) for english in SENTENCES}
    wrong = [each for each, text in patterns.items() if text in told and matched[each] != text]
    assert wrong == []


def test_why_a_figure_has_no_value_is_said_in_russian() -> None:
    for why in ("no positives", "no negatives", "no cases", why_undefined(np.array([True]))):
        assert _matching(why) == why


def _matching(sentence: str) -> str | None:
    """Return the first pattern that takes a sentence, as the page looks for it."""
    for english in SENTENCES:
        if re.fullmatch("(.+?)".join(map(re.escape, HOLE.split(english))), sentence):
            return HOLE.sub("{}", english)
    return None


def problems() -> Iterator[str]:
    """What is given to ``Problem`` as detail or hint and to ``not_found``, each hole as {}."""
    for path in (SOURCE / "apps" / "web").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call):
                continue
            given = []
            if ast.unparse(node.func) == "Problem":
                given = node.args[2:3] + [k.value for k in node.keywords if k.arg == "hint"]
            elif ast.unparse(node.func) == "not_found":
                given = node.args
            yield from (text for each in given for text in ways(each) if text not in ("", "{}"))


def ways(node: ast.expr) -> Iterator[str]:
    """Yield each text that an expression may give; ``"some " * bool(x)`` is there, or is not."""
    if isinstance(node, ast.IfExp):
        yield from (*ways(node.body), *ways(node.orelse))
    elif isinstance(node, ast.JoinedStr):
        first = node.values[0]
        if isinstance(first, ast.FormattedValue) and isinstance(first.value, ast.BinOp):
            rest = "".join(template(part) for part in node.values[1:])
            yield from (rest, str(ast.literal_eval(first.value.left)) + rest)
        else:
            yield template(node)
    else:
        yield template(node)


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
