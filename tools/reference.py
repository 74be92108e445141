"""Write what the code says of itself into pages of docs/reference; their prose is kept.

python tools/reference.py docs/reference

Between ``<!-- made: NAME -->`` and ``<!-- end -->`` stand tables: every error, column, setting and
key, with the words of its docstring. A setting without words is an error here.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterator
from inspect import cleandoc
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from hilum.apps.cli.main import EXIT_CODES
from hilum.apps.web.settings import Settings
from hilum.bundle import manifest
from hilum.core import errors, row
from hilum.core.case import COLUMNS, LABEL_COLUMNS, REQUIRED_COLUMNS
from hilum.core.files import write_text
from hilum.learn.compare.grid import Grid
from hilum.learn.detect.recipe import DetectorRecipe
from hilum.learn.gate.recipe import GateRecipe
from hilum.learn.recipe import Recipe

PLACE = re.compile(r"(<!-- made: ([\w-]+) -->\n).*?(<!-- end -->)", re.DOTALL)
ENTRY = re.compile(r"^    ([\w, ]+): (.*?)(?=^    \w|\Z)", re.DOTALL | re.MULTILINE)
FEW = 9
"""Words that a setting may have, named one by one."""


def kinds(root: type[errors.HilumError] = errors.HilumError) -> list[type[errors.HilumError]]:
    """Return the whole tree of errors."""
    return [root, *(kind for child in root.__subclasses__() for kind in kinds(child))]


def tree() -> str:
    """Return the tree as it is drawn above the errors."""
    drawing = re.search(r"^    HilumError\n(.*?)\n\n", str(errors.__doc__), re.DOTALL | re.M)
    assert drawing is not None
    return f"```text\n{cleandoc(drawing[0])}\n```\n"


def error_table() -> str:
    """Return every kind of error with what it is in each world."""
    rows = []
    for kind in kinds():
        said = _words(_summary(kind))
        codes = f"{kind.exit_code} | {kind.http_status} | 0x{kind.c_store_status:04X}"
        rows.append(f"| `{kind.__name__}` | {said} | {codes} |")
    return _table("error", "raised when", "exit code", "HTTP", "C-STORE", rows=rows)


def exit_codes() -> str:
    """Return every exit code and where it comes from."""
    raised: dict[int, list[str]] = {}
    for kind in kinds()[1:]:
        if not issubclass(kind, errors.ImageError):
            raised.setdefault(kind.exit_code, []).append(f"`{kind.__name__}`")
    rows = []
    for code, said in EXIT_CODES.items():
        named = f": {', '.join(raised[code])}" if code in raised else ""
        rows.append(f"| {code} | {said}{named} |")
    return _table("exit code", "meaning", rows=rows)


def columns() -> str:
    """Return every column of a cases table."""
    rows = [
        f"| `{name}` | {'yes' if name in REQUIRED_COLUMNS else ''} | {_words(said)} |"
        for name, said in COLUMNS.items()
    ]
    return _table("column", "required", "what it holds", rows=rows)


def labels() -> str:
    """Return every label that a table may have as a column."""
    return ", ".join(f"`{name}`" for name in LABEL_COLUMNS) + ".\n"


def film_columns() -> str:
    """Return every column of the tables of films, and which verb writes it."""
    verbs = {"`batch`": row.BATCH, "`read --csv`": row.READ_CSV, "`export`": row.EXPORT}
    rows = []
    for name, column in (row.KEPT | row.FILM | row.BUNDLE | row.WHOLE | row.SAID).items():
        marks = " | ".join("yes" if name in named else "" for named in verbs.values())
        rows.append(f"| `{name}` | {column.kind} | {column.words} | {marks} |")
    return _table("column", "kind", "what it holds", *verbs, rows=rows)


def bundle_files() -> str:
    """Return the files of a bundle, as the manifest's module draws them."""
    drawing = re.search(r"^NAME/\n(.*)", str(manifest.__doc__), re.DOTALL | re.MULTILINE)
    assert drawing is not None
    return f"```text\n{drawing[0].rstrip()}\n```\n"


class Tables:
    """The tables of nested settings in Markdown, each kind once.

    Args:
        toml: headings as TOML writes tables; else as paths of JSON.
    """

    def __init__(self, *, toml: bool) -> None:
        self._toml = toml
        self._shown: dict[type[BaseModel], str] = {}

    def of(self, model: type[BaseModel]) -> str:
        """Return the tables of a model and of all that stand in it.

        Raises:
            LookupError: a setting of which no docstring says what it is.
        """
        return "\n".join(self._sections(model, ""))

    def _sections(self, model: type[BaseModel], path: str) -> Iterator[str]:
        said, schema = notes(model), model.model_json_schema()
        rows, inner = [], []
        for field, about in model.model_fields.items():
            name = about.alias or field
            child, several = _child(about.annotation)
            meaning = said.get(name) or said.get(field) or (_summary(child) if child else "")
            if not meaning:
                raise LookupError(f"{model.__name__}.{name} has no words in the docstring")
            if child is None:
                kind = _kind(schema["properties"][name], schema.get("$defs", {}))
            else:
                where = f"{path}.{name}".removeprefix(".") + "[]" * several
                kind = self._title(where)
                if child in self._shown:
                    kind = f"as {self._shown[child]} above"
                else:
                    self._shown[child] = kind
                    inner.append((child, where))
            default = "**needed**" if about.is_required() else _default(_given(about))
            rows.append(f"| `{name}` | {kind} | {default} | {_words(meaning)} |")
        yield _table("setting" if self._toml else "key", "type", "default", "meaning", rows=rows)
        for child, where in inner:
            yield f"### {self._title(where)}\n\n{_words(_summary(child))}\n"
            yield from self._sections(child, where)

    def _title(self, path: str) -> str:
        if not self._toml:
            return f"`{path}`"
        inside = path.replace("[]", "")
        return f"`[[{inside}]]`" if path.endswith("[]") else f"`[{inside}]`"


def notes(model: type[BaseModel]) -> dict[str, str]:
    """Return what the docstrings of a model and of its bases say of each attribute.

    >>> notes(Grid)["seeds"]
    'of ``fit.seed``; the logits of several are averaged.'
    """
    found: dict[str, str] = {}
    for kind in reversed(model.__mro__):
        _, _, text = cleandoc(kind.__doc__ or "").partition("Attributes:\n")
        for names, said in ENTRY.findall(text.split("\n\n")[0]):
            found |= dict.fromkeys(names.split(", "), " ".join(said.split()))
    return found


def _child(annotation: Any) -> tuple[type[BaseModel] | None, bool]:
    """Return the model inside an annotation, and whether there may be several of it."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation, False
    origin = getattr(annotation, "__origin__", None)
    for each in get_args(annotation):
        child, several = _child(each)
        if child is not None:
            return child, several or origin in (tuple, dict)
    return None, False


def _kind(schema: dict[str, Any], known: dict[str, Any]) -> str:
    """Say in words what a JSON schema allows."""
    if "$ref" in schema:
        return _kind(known[schema["$ref"].rpartition("/")[2]], known)
    if "anyOf" in schema:
        kinds = [_kind(each, known) for each in schema["anyOf"]]
        return " or ".join(dict.fromkeys(kinds))
    if "const" in schema:
        return f"`{json.dumps(schema['const'])}`"
    if "enum" in schema:
        words = [f"`{json.dumps(each)}`" for each in schema["enum"]]
        return ", ".join(words) if len(words) <= FEW else f"one of {len(words)} words"
    if schema["type"] == "array":
        if "prefixItems" in schema:
            return f"{len(schema['prefixItems'])} of: {_kind(schema['prefixItems'][0], known)}"
        return f"list of: {_kind(schema['items'], known)}"
    if schema["type"] == "object":
        inner = schema.get("additionalProperties")
        return f"table of: {_kind(inner, known)}" if isinstance(inner, dict) else "table"
    names = {"string": "text", "integer": "whole number", "boolean": "true or false"}
    names["null"] = "none"
    signs = {"exclusiveMinimum": ">", "minimum": "≥", "exclusiveMaximum": "<", "maximum": "≤"}
    limits = [f"{sign} {schema[key]:g}" for key, sign in signs.items() if key in schema]
    return " ".join([names.get(schema["type"], schema["type"]), ", ".join(limits)]).strip()


def _given(about: FieldInfo) -> Any:
    return about.get_default(call_default_factory=True)


def _default(value: Any) -> str:
    if isinstance(value, BaseModel):
        fields = type(value).model_fields.items()
        found = {name: (getattr(value, name), _given(about)) for name, about in fields}
        other = [
            f"{name} = {_json(ours)}" for name, (ours, usual) in found.items() if ours != usual
        ]
        return ", ".join(f"`{each}`" for each in other) or "as there"
    return "none" if value is None or value == {} else f"`{_json(value)}`"


def _json(value: Any) -> str:
    return '"none"' if value is None else json.dumps(value)


def _summary(model: type) -> str:
    return " ".join(cleandoc(model.__doc__ or "").split("\n\n")[0].split())


def _words(text: str) -> str:
    """Make a cell of what a docstring says."""
    return " ".join(text.replace("``", "`").replace("|", "\\|").split())


def _table(*heads: str, rows: list[str]) -> str:
    lines = [f"| {' | '.join(heads)} |", "|" + "---|" * len(heads), *rows]
    return "\n".join(lines) + "\n"


def recipes() -> str:
    """Return the tables of every kind of recipe; a kind of table stands once."""
    tables = Tables(toml=True)
    return "\n".join(f"## {title}\n\n{tables.of(kind)}" for title, kind in RECIPES.items())


RECIPES: dict[str, type[BaseModel]] = {
    "A classifier": Recipe,
    "A comparison": Grid,
    "The gate": GateRecipe,
    "A detector": DetectorRecipe,
}
MADE: dict[str, Callable[[], str]] = {
    "tree": tree,
    "errors": error_table,
    "exit-codes": exit_codes,
    "columns": columns,
    "labels": labels,
    "film-columns": film_columns,
    "bundle-files": bundle_files,
    "manifest": lambda: Tables(toml=False).of(manifest.Manifest),
    "settings": lambda: Tables(toml=True).of(Settings),
    "recipes": recipes,
}


def fill(page: str) -> str:
    """Return a page with every table in its place."""
    return PLACE.sub(lambda found: f"{found[1]}\n{MADE[found[2]]()}\n{found[3]}", page)


def main(folder: Path) -> None:
    """Fill every page of a folder."""
    for path in sorted(folder.glob("*.md")):
        page = path.read_text(encoding="utf-8")
        if PLACE.search(page):
            write_text(path, fill(page))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
