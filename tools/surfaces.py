"""Record what others build on, so that a test can tell when something of it goes away.

python tools/surfaces.py    writes docs/reference/stable/ anew; read the difference

Recorded are the schema of a reading, of a manifest and of the settings, the verbs and options of
the command line, the columns of tables, the numbers of errors, the calls and types of the REST API,
and the arguments of every name of docs/reference/python-objects.md.
"""

from __future__ import annotations

import inspect
import json
import re
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from hilum.apps.cli.main import EXIT_CODES
from hilum.apps.web.settings import Settings
from hilum.bundle.manifest import Manifest
from hilum.core import row
from hilum.core.case import COLUMNS, LABEL_COLUMNS, REQUIRED_COLUMNS
from hilum.core.files import write_text
from hilum.core.reading import Reading

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "docs" / "reference" / "stable"
NAMES = ROOT / "docs" / "reference" / "python-objects.md"
NEEDED = "needed"
"""An argument without a default: one that comes breaks who calls."""
FREE = "may be left out"
SAID = ("title", "description", "examples", "example", "default")
"""Of a schema: words, which may change."""

sys.path.insert(0, str(ROOT / "tools"))


def surfaces() -> dict[str, Any]:
    """Return every surface as it is now, by the name of its file."""
    return {
        "reading": _form(Reading.model_json_schema()),
        "bundle": _form(Manifest.model_json_schema()),
        "settings": _form(Settings.model_json_schema()),
        "command-line": command_line(),
        "tables": tables(),
        "errors": errors(),
        "api": api(),
        "python": python(),
    }


def command_line() -> dict[str, Any]:
    """Return each verb: the places of its arguments, its options and the words that they take."""
    from command_line_page import choices, leaves, whole

    def takes(option: Any) -> Any:
        words = sorted(map(str, choices(option)))
        return words or (NEEDED if option.required else "flag" if option.is_flag else "value")

    found: dict[str, Any] = {}
    for path, verb in leaves(whole()):
        shown = [each for each in verb.params if not each.hidden]
        places = [each for each in shown if each.param_type_name == "argument"]
        found[path] = {
            f"argument {number}": NEEDED if each.required else FREE
            for number, each in enumerate(places, start=1)
        } | {
            name: takes(each)
            for each in shown
            if each.param_type_name == "option"
            for name in (*each.opts, *each.secondary_opts)
        }
    return found


def tables() -> dict[str, Any]:
    """Return the columns of a cases table, and of the tables of films by who writes them."""
    films = row.KEPT | row.FILM | row.BUNDLE | row.WHOLE | row.SAID
    verbs = {"batch": row.BATCH, "read --csv": row.READ_CSV, "export": row.EXPORT}
    return {
        "cases": {name: NEEDED if name in REQUIRED_COLUMNS else FREE for name in COLUMNS},
        "labels": list(LABEL_COLUMNS),
        **{verb: {name: films[name].kind for name in names} for verb, names in verbs.items()},
    }


def errors() -> dict[str, Any]:
    """Return the exit codes, and the numbers that each error has in the three worlds."""
    from reference import kinds

    return {
        "exit codes": sorted(EXIT_CODES),
        "errors": {
            each.__name__: {
                "exit code": each.exit_code,
                "HTTP": each.http_status,
                "C-STORE": each.c_store_status,
            }
            for each in kinds()
        },
    }


def api() -> dict[str, Any]:
    """Return the calls with their parameters, and the types of bodies and answers."""
    from api_document import document

    found = document()
    calls = {
        f"{method.upper()} {path}": {
            "parameters": {each["name"]: each["in"] for each in call.get("parameters", [])},
            "answers": dict.fromkeys(call["responses"], True),
        }
        for path, methods in found["paths"].items()
        for method, call in methods.items()
    }
    return {"calls": calls, "types": _form(found["components"]["schemas"])}


def python() -> dict[str, Any]:
    """Return each documented name: the arguments of a function, the members of a class."""
    names = re.findall(r"^::: ([\w.]+)$", NAMES.read_text(encoding="utf-8"), re.MULTILINE)
    return {name: _members(_object(name)) for name in names}


def gone(recorded: Any, now: Any, where: str = "") -> list[str]:
    """Name what was recorded and is not there any more, or is something else.

    What came is no fault, but for an argument that is needed: more keys, more words of an ``enum``,
    more choices of an ``anyOf``, an argument that may be left out now.

    >>> gone({"a": {"type": "string"}, "b": 1}, {"a": {"type": "null"}, "c": 2})
    ["a.type: 'string' is now 'null'", 'b is gone']
    """
    if isinstance(recorded, dict) and isinstance(now, dict):
        came = now.keys() - recorded.keys()
        lost = [f"{where}.{key} is newly needed" for key in sorted(came) if now[key] == NEEDED]
        for key, value in recorded.items():
            place = f"{where}.{key}".removeprefix(".")
            lost += gone(value, now[key], place) if key in now else [f"{place} is gone"]
        return lost
    if isinstance(recorded, list) and isinstance(now, list):
        return [f"{where}: {each} is gone" for each in recorded if each not in now]
    same = recorded == now or (recorded, now) == (NEEDED, FREE)
    return [] if same else [f"{where}: {recorded!r} is now {now!r}"]


def _form(schema: Any, *, names: bool = False) -> Any:
    """Return a schema without its words; ``names``: the keys are names, whatever they are."""
    if isinstance(schema, list):
        return [_form(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    inside = ("properties", "$defs")
    return {
        key: _form(each, names=key in inside and not names)
        for key, each in sorted(schema.items())
        if names or key not in SAID
    }


def _object(name: str) -> Any:
    module, _, leaf = name.rpartition(".")
    return getattr(import_module(module), leaf)


def _members(found: Any) -> dict[str, Any]:
    if not inspect.isclass(found):
        return _arguments(found)
    public = {
        name: _arguments(each) if inspect.isfunction(each) else "attribute"
        for name, each in inspect.getmembers_static(found)
        if not name.startswith("_") and name not in dir(BaseModel)
    }
    fields = getattr(found, "__annotations__", {})
    return public | {name: "attribute" for name in sorted(fields) if not name.startswith("_")}


def _arguments(found: Any) -> dict[str, str]:
    nothing = inspect.Parameter.empty
    return {
        name: NEEDED if each.default is nothing else FREE
        for name, each in inspect.signature(found).parameters.items()
    }


def main() -> None:
    """Write every surface."""
    FOLDER.mkdir(exist_ok=True)
    for name, form in surfaces().items():
        write_text(FOLDER / f"{name}.json", json.dumps(form, indent=1) + "\n")


if __name__ == "__main__":
    main()
