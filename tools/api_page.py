"""Write the calls into docs/reference/api.md, from the OpenAPI document; its prose is kept.

python tools/api_page.py docs/reference/api.md

Between ``<!-- calls: TAG -->`` and ``<!-- end -->`` stand the calls of one tag of the document: who
may make them, what they take, an example of what they give, and what is to be said of its fields.
A type is written out where the page needs it first. At ``problem`` stands the type of errors.
"""

from __future__ import annotations

import json
import re
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from api_document import document

from hilum.apps.web.schemas import API
from hilum.core.files import write_text

WIDTH = 100
LONG = 120
"""Characters of a type that is shown once, and named where it comes again."""
JSON = "application/json"
FEW = 9
"""Values of a field that are named one by one."""
PLACE = re.compile(r"(<!-- calls: ([\w-]+) -->\n).*?(<!-- end -->)", re.DOTALL)


class Calls:
    """The calls of a document in Markdown.

    Args:
        found: the document.
    """

    def __init__(self, found: dict[str, Any]) -> None:
        self._paths, self._schemas = found["paths"], found["components"]["schemas"]
        self._shown: dict[str, str] = {}
        self._explained = {"Reading"}  # on a page of its own

    def fill(self, page: str) -> str:
        """Return the page with every call in its place.

        Raises:
            LookupError: calls have no place on the page, or a place has no calls.
        """
        tags = {"problem", *(tag for _, _, call in self._calls() for tag in call["tags"])}
        if other := tags ^ set(re.findall(r"<!-- calls: ([\w-]+) -->", page)):
            raise LookupError(f"tags without a place, or places without calls: {sorted(other)}")
        return PLACE.sub(lambda found: found[1] + self._place(found[2]) + found[3], page)

    def _calls(self) -> Iterator[tuple[str, str, dict[str, Any]]]:
        for path, methods in self._paths.items():
            for method, call in methods.items():
                yield method.upper(), path.removeprefix(API), call

    def _place(self, tag: str) -> str:
        calls = [self._call(*each) for each in self._calls() if tag in each[2]["tags"]]
        if tag == "problem":
            kind = {"$ref": "#/components/schemas/Problem"}
            shown = {"schema": kind, "example": self._schemas["Problem"]["example"]}
            calls = ["\n\n".join(self._json("", shown, "a problem"))]
        return "\n\n".join(calls) + "\n"

    def _call(self, method: str, path: str, call: dict[str, Any]) -> str:
        words, _, role = call["description"].rpartition("\n\nRole: ")
        asked = [each for each in call.get("parameters", []) if each["in"] != "path"]
        query = "&".join(f"{each['name']}=" for each in asked if each["in"] == "query")
        name = f"{method} {path}"
        (status, answer), *_ = call["responses"].items()
        said = f"**`{name}{'?' * bool(query)}{query}`** ({role.rstrip('.')}): {_plain(words)}"
        for media_type in answer.get("content", {}).keys() - {JSON}:
            said += f" `{media_type}`: {answer['description']}."
        if status != "200" and JSON not in answer.get("content", {}):
            said += f" {status}."
        blocks = [said, *_told([(each["name"], self._said(each["schema"])) for each in asked])]
        for how, part in (("Takes", call.get("requestBody", {})), ("Gives", answer)):
            if (content := part.get("content", {}).get(JSON)) is not None:
                with_status = f"{how} {status}:" if how == "Gives" and status != "200" else how
                blocks += self._json(with_status, content, name)
        return "\n\n".join(blocks)

    def _json(self, how: str, content: dict[str, Any], name: str) -> list[str]:
        """Say what goes in or comes out: an example and what its fields mean, or whose it is."""
        kind = content["schema"].get("$ref", "").rpartition("/")[2]
        if kind in self._shown:
            return [f"{how} what {self._shown[kind]} {how.split()[0].lower()}."]
        notes: list[tuple[str, str]] = []
        value = self._walk(content["schema"], content["example"], "", name, notes)
        shown = "\n".join(_lines(value, 0))
        return [f"{how}\n```json\n{shown}\n```".strip(), *_told(notes)]

    def _walk(
        self,
        schema: dict[str, Any],
        value: Any,
        where: str,
        call: str,
        notes: list[tuple[str, str]],
    ) -> Any:
        """Return an example without what the page has shown; note what is to be said of fields.

        Fields are named as in ``items[].film_id``; those of a type are explained once.
        """
        if kind := schema.get("$ref", "").rpartition("/")[2]:
            if where and kind in self._shown and len(json.dumps(value)) > LONG:
                notes.append((where, f"as {self._shown[kind]}"))
                return {}
            if value is not None:
                place = f"`{where}` of " if where else ""
                self._shown.setdefault(kind, f"{place}`{call}`")
            if kind in self._explained:
                notes = []
            self._explained.add(kind)
            schema = self._schemas[kind]
        for each in schema.get("anyOf", ()):
            if each.get("type") != "null":
                return self._walk(each, value, where, call, notes)
        if "items" in schema:
            given = value or [None]
            found = [self._walk(schema["items"], each, f"{where}[]", call, notes) for each in given]
            return found if value else value
        for name, each in schema.get("properties", {}).items():
            path = f"{where}.{name}".lstrip(".")
            notes.append((path, self._said(each)))
            found = self._walk(each, (value or {}).get(name), path, call, notes)
            if value and name in value:
                value = value | {name: found}
        return value

    def _said(self, schema: dict[str, Any]) -> str:
        values = self._values(schema)
        named = ", ".join(f"`{each}`" for each in values) if 1 < len(values) <= FEW else ""
        least, most = schema.get("minimum"), schema.get("maximum")
        limits = f"{least:g} to {most:g}" if None not in (least, most) else ""
        parts = (named, limits, _plain(schema.get("description", "")))
        return "; ".join(each for each in parts if each)

    def _values(self, schema: dict[str, Any]) -> list[Any]:
        if "$ref" in schema:
            return self._values(self._schemas[schema["$ref"].rpartition("/")[2]])
        found = [value for each in schema.get("anyOf", ()) for value in self._values(each)]
        return schema.get("enum", found)


def _plain(words: str) -> str:
    return " ".join(words.replace("``", "`").split())


def _told(notes: list[tuple[str, str]]) -> list[str]:
    """Put what is to be said of fields into a paragraph."""
    said = "; ".join(f"`{name}`: {words}" for name, words in notes if words)
    return [textwrap.fill(f"{said}.", WIDTH, break_on_hyphens=False)] if said else []


def _lines(value: Any, indent: int, before: str = "", after: str = "") -> list[str]:
    """Write JSON in lines of at most ``WIDTH``, as much on each as there is room for."""
    whole = " " * indent + before + json.dumps(value, ensure_ascii=False) + after
    if len(whole) <= WIDTH or not isinstance(value, dict | list) or not value:
        return [whole]
    if isinstance(value, dict):
        pairs = [(json.dumps(key) + ": ", each) for key, each in value.items()]
    else:
        pairs = [("", each) for each in value]
    opened, closed = "{}" if isinstance(value, dict) else "[]"
    lines = [" " * indent + before + opened]
    for place, (key, each) in enumerate(pairs):
        comma = "," if place < len(pairs) - 1 else ""
        flat = key + json.dumps(each, ensure_ascii=False) + comma
        gap = "" if lines[-1].endswith(opened) and place == 0 else " "
        if len(lines[-1] + gap + flat) <= WIDTH:
            lines[-1] += gap + flat
        elif place == 0:  # beside the bracket that it follows
            first, *others = _lines(each, indent + 1, key, comma)
            lines[-1] += first.lstrip()
            lines += others
        else:
            lines += _lines(each, indent + 1, key, comma)
    lines[-1] += closed + after
    return lines


def main(page: Path) -> None:
    """Write the page anew."""
    write_text(page, Calls(document()).fill(page.read_text(encoding="utf-8")))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
