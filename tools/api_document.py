"""Print the OpenAPI document of the workstation.

python tools/api_document.py > openapi.json
python tools/api_document.py --types > types.json     only the types, as viewer_types.sh wants them
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from hilum.apps.web.app import create_app
from hilum.apps.web.serve import Place, make_service

_SAID = ("$ref", "type", "enum", "const", "anyOf", "required", "description")
_INSIDE = ("items", "prefixItems", "minItems", "maxItems", "additionalProperties")


def document() -> dict[str, Any]:
    """Return the document that ``GET /api/v1/openapi.json`` gives."""
    with tempfile.TemporaryDirectory() as folder:
        service = make_service(Place.of(Path(folder), None), worker=False)
        try:
            return create_app(service).openapi()
        finally:
            service.store.close()


def types() -> dict[str, Any]:
    """Return a document of the types alone, without what TypeScript cannot say."""
    found = document()
    plain = {name: _plain(each) for name, each in found["components"]["schemas"].items()}
    return {key: found[key] for key in ("openapi", "info")} | {
        "paths": {},
        "components": {"schemas": plain},
    }


def _plain(schema: Any) -> Any:
    if isinstance(schema, list):
        return [_plain(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    kept = {key: _plain(schema[key]) for key in (*_SAID, *_INSIDE) if key in schema}
    if "properties" in schema:
        kept["properties"] = {name: _plain(each) for name, each in schema["properties"].items()}
        kept.pop("description", None)
        kept.pop("additionalProperties", None)
    return kept


if __name__ == "__main__":
    print(json.dumps(types() if "--types" in sys.argv else document()))
