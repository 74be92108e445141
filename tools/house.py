"""Measure the house: files, lines, bodies of functions, helpers called once, names used twice.

Prints one row of numbers for each folder of Python that is named, so that a state, or another
project, stands beside this one:

    python tools/house.py src/hilum ../older/src/hilum
    python tools/house.py src/hilum --tests tests --names

A helper is a private function or method; it is called once where its name stands once besides its
definition in the file that defines it, and nowhere else.
"""

from __future__ import annotations

import argparse
import ast
import collections
import io
import tokenize
from collections.abc import Iterator
from pathlib import Path

import numpy as np

Function = ast.FunctionDef | ast.AsyncFunctionDef


def main() -> None:
    """Print what is measured."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folders", type=Path, nargs="+", help="packages to measure")
    parser.add_argument("--tests", type=Path, help="of the first one: how many mirror a module")
    parser.add_argument("--names", action="store_true", help="list names with several meanings")
    arguments = parser.parse_args()
    tests = arguments.tests
    for folder in arguments.folders:
        files = sorted(folder.rglob("*.py"))
        if not files:
            parser.error(f"{folder}: no Python file")
        for name, value in measure(files).items():
            print(f"{name:42} {value}")
        if tests:
            mirrored, all_tests = mirrors(files, sorted(tests.rglob("test_*.py")))
            print(f"{'test files named like a module':42} {mirrored} of {all_tests}")
            tests = None
        if arguments.names:
            for name, places in several_meanings(files).items():
                print(f"  {name}: {', '.join(str(each.relative_to(folder)) for each in places)}")
        print()


def measure(files: list[Path]) -> dict[str, str]:
    """Return what is measured of a package's files, name -> value as text."""
    texts = [path.read_text(encoding="utf-8") for path in files]
    trees = [ast.parse(text) for text in texts]
    lines = np.array([text.count("\n") for text in texts])
    functions = [each for tree in trees for each in ast.walk(tree) if isinstance(each, Function)]
    bodies = np.array([_body(each) for each in functions])
    once, private = called_once(trees)
    names = several_meanings(files)
    return {
        "files": f"{len(files):,}",
        "folders": f"{len({path.parent for path in files}):,}",
        "lines": f"{lines.sum():,}",
        "lines of a file: median, 90 %, most": _spread(lines, (50, 90, 100)),
        "lines of a body: median, 90 %, 99 %": _spread(bodies, (50, 90, 99)),
        "lines of comment": f"{sum(map(_comments, texts)) / max(lines.sum(), 1):.2%}",
        "helpers called once": f"{once / max(private, 1):.0%} ({once} of {private})",
        "class names with several meanings": f"{len(names)}",
    }


def called_once(trees: list[ast.Module]) -> tuple[int, int]:
    """Return how many private functions are named once outside their definition, and all."""
    uses: collections.Counter[str] = collections.Counter()
    for tree in trees:
        uses.update(_names(tree))
    once = private = 0
    for tree in trees:
        here = collections.Counter(_names(tree))
        for each in ast.walk(tree):
            if isinstance(each, Function) and _is_private(each.name):
                private += 1
                once += here[each.name] == uses[each.name] == 1
    return once, private


def several_meanings(files: list[Path]) -> dict[str, list[Path]]:
    """Return public class names that are defined in more than one file."""
    places: dict[str, list[Path]] = collections.defaultdict(list)
    for path in files:
        for each in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(each, ast.ClassDef) and not each.name.startswith("_"):
                places[each.name].append(path)
    return {name: where for name, where in sorted(places.items()) if len(where) > 1}


def mirrors(files: list[Path], tests: list[Path]) -> tuple[int, int]:
    """Return how many tests are named like a module of the folder of the same name, and all."""
    modules = {(path.parent.name, path.stem.lstrip("_")) for path in files}
    named = {(path.parent.name, path.stem.removeprefix("test_")) for path in tests}
    return len(modules & named), len(tests)


def _names(tree: ast.Module) -> Iterator[str]:
    for each in ast.walk(tree):
        if isinstance(each, ast.Name):
            yield each.id
        elif isinstance(each, ast.Attribute):
            yield each.attr


def _is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__")


def _body(function: Function) -> int:
    """Lines from the first statement after the docstring to the last one."""
    first = function.body[0]
    spoken = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
    body = function.body[1:] if spoken else function.body
    return (body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 0


def _comments(text: str) -> int:
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    alone = (each for each in tokens if each.type == tokenize.COMMENT)
    return sum(each.line.lstrip().startswith("#") for each in alone)


def _spread(values: np.ndarray, places: tuple[int, ...]) -> str:
    return " / ".join(f"{np.percentile(values, place):,.0f}" for place in places)


if __name__ == "__main__":
    main()
