"""Described: the OpenAPI document: roles, types and an example of every answer and body."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.routing import APIRoute
from pydantic import TypeAdapter

from hilum.apps.web import problems
from hilum.apps.web.access import role_of
from hilum.apps.web.answers import ProblemAnswer
from hilum.apps.web.examples import ANSWERS, BODIES, REDIRECTS, TEXTS

_REF = "#/components/schemas/{model}"


def describe(app: FastAPI, routes: list[APIRoute]) -> None:
    """Complete the document that ``app.openapi()`` gives from now on."""
    document = app.openapi()
    schemas = document["components"]["schemas"]
    document["components"]["securitySchemes"] = {
        "token": {"type": "http", "scheme": "bearer"},
        "session": {"type": "apiKey", "in": "cookie", "name": "hilum_session"},
    }
    _add_problem(schemas)
    for route in routes:
        if not route.include_in_schema:
            continue
        for method in route.methods or ():
            described = document["paths"][route.path][method.lower()]
            _describe_access(described, role_of(route))
            _describe_answer(described, method, route, schemas)
            _describe_body(described)
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)


def _describe_access(described: dict[str, Any], role: str | None) -> None:
    described["security"] = [{"token": []}, {"session": []}] if role else []
    described["description"] += f"\n\nRole: {role or 'none'}."
    problem = {problems.MEDIA_TYPE: {"schema": {"$ref": _REF.format(model="Problem")}}}
    described["responses"]["default"] = {"description": "Refused", "content": problem}
    described["responses"].pop("422", None)


def _describe_answer(
    described: dict[str, Any], method: str, route: APIRoute, schemas: dict[str, Any]
) -> None:
    """Put the type and the example of an answer where FastAPI only saw a dict."""
    answers = described["responses"]
    answer = answers.get(str(route.status_code or 200))
    if route.path in REDIRECTS:
        answers.pop("200")
        answers["303"] = {"description": "Where the browser goes next"}
    elif (known := ANSWERS.get((method, route.path))) is not None:
        kind, example = known
        content = {"schema": _schema_of(kind, schemas), "example": example}
        answer["content"] = {"application/json": content}
        if route.path.endswith("/ready"):
            answers["503"] = answer | {"description": "Not ready"}
    elif route.path in TEXTS:
        (content,) = answer["content"].values()
        content["schema"] = {"type": "string"}
        content["example"] = TEXTS[route.path]


def _describe_body(described: dict[str, Any]) -> None:
    content = described.get("requestBody", {}).get("content", {}).get("application/json")
    if content is not None:
        content["example"] = BODIES[content["schema"]["$ref"].rpartition("/")[2]]


def _schema_of(kind: Any, schemas: dict[str, Any]) -> dict[str, Any]:
    """Return a reference to a type's schema, and put that among the components."""
    schema = TypeAdapter(kind).json_schema(mode="serialization", ref_template=_REF)
    for name, part in schema.pop("$defs", {}).items():
        schemas.setdefault(name, part)
    if "title" not in schema:
        return schema
    schemas.setdefault(schema["title"], schema)
    return {"$ref": _REF.format(model=schema["title"])}


def _add_problem(schemas: dict[str, Any]) -> None:
    schema = TypeAdapter(ProblemAnswer).json_schema()
    schema["title"] = "Problem"
    schema["properties"]["code"]["enum"] = sorted(problems.TITLES)
    schema["example"] = problems.describe(404, "not-found", "there is no such film", "...")
    schemas["Problem"] = schema
