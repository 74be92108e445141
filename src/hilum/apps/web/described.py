"""Described: the OpenAPI document: who may call, and an example of every answer and body."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from functools import cache, partial
from typing import Any

from fastapi import FastAPI
from fastapi.routing import APIRoute

from hilum.apps.web import problems
from hilum.apps.web.access import role_of
from hilum.core.reading import Reading

_REF = "#/components/schemas/"


def describe(app: FastAPI, routes: list[APIRoute]) -> None:
    """Complete the document that ``app.openapi()`` gives from now on.

    It is made when it is first asked for: that takes longer than all else that an app begins with.
    """
    lock = threading.Lock()
    completed = cache(partial(_completed, app.openapi, routes))

    def openapi() -> dict[str, Any]:
        with lock:
            return completed()

    app.openapi = openapi  # type: ignore[method-assign]


def _completed(plain: Callable[[], dict[str, Any]], routes: list[APIRoute]) -> dict[str, Any]:
    document = plain()
    schemas = document["components"]["schemas"]
    document["components"]["securitySchemes"] = {
        "token": {"type": "http", "scheme": "bearer"},
        "session": {"type": "apiKey", "in": "cookie", "name": "hilum_session"},
    }
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    where = _REF + "{model}"
    problem = problems.ProblemAnswer.model_json_schema(ref_template=where)
    reading = Reading.model_json_schema(ref_template=where, mode="serialization")
    for name, each in (("Problem", problem), ("Reading", reading)):
        schemas |= each.pop("$defs") | {name: each}
    refused = {problems.MEDIA_TYPE: {"schema": {"$ref": _REF + "Problem"}}}
    for route in routes:
        if not route.include_in_schema:
            continue
        for method in route.methods or ():
            described, role = document["paths"][route.path][method.lower()], role_of(route)
            described["security"] = [{"token": []}, {"session": []}] if role else []
            described["description"] += f"\n\nRole: {role or 'none'}."
            described["responses"]["default"] = {"description": "Refused", "content": refused}
            described["responses"].pop("422", None)
            for content in _in_json(described):
                content.setdefault("example", example(content["schema"], schemas))
    problem["example"] = example(problem, schemas)
    return document


def _in_json(described: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for each in (described.get("requestBody", {}), *described["responses"].values()):
        if (content := each.get("content", {}).get("application/json")) is not None:
            yield content


def example(schema: dict[str, Any], schemas: dict[str, Any]) -> Any:
    """Put the example of a type together from those of its fields.

    Where a field has none, it is its first value, or that of its first type; fields that may be
    left out and have none are left out.
    """
    if "examples" in schema:
        return schema["examples"][0]
    if "$ref" in schema:
        return example(schemas[schema["$ref"].removeprefix(_REF)], schemas)
    if "anyOf" in schema:
        return example(schema["anyOf"][0], schemas)
    if "items" in schema:
        return [example(schema["items"], schemas)]
    for key in ("const", "default"):
        if key in schema:
            return schema[key]
    if "enum" in schema:
        return schema["enum"][0]
    if "properties" in schema:
        return {
            name: example(each, schemas)
            for name, each in schema["properties"].items()
            if name in schema.get("required", ()) or "examples" in str(each)
        }
    if "propertyNames" in schema:
        key = example(schema["propertyNames"], schemas)
        return {key: example(schema["additionalProperties"], schemas)}
    return {"string": "...", "integer": 1, "number": 0.5, "boolean": True}.get(
        schema.get("type", ""), {}
    )
