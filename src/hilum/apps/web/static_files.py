"""The viewer's build: files, with ``index.html`` for every address that is a place in the page."""

from __future__ import annotations

import mimetypes
from pathlib import Path

from fastapi import APIRouter, Request, Response
from fastapi.responses import FileResponse, HTMLResponse

from hilum.apps.web.access import public
from hilum.apps.web.problems import not_found
from hilum.core.reading import RESEARCH_USE

router = APIRouter(include_in_schema=False)
ROOT = Path(__file__).parent / "static"
_ENCODINGS = (("br", ".br"), ("gzip", ".gz"))
_YEAR = "public, max-age=31536000, immutable"
_NOT_BUILT = f"""<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Hilum</title>
<h1>Hilum</h1><p>{RESEARCH_USE}</p>
<p>The server runs; this installation carries no viewer. The API is under /api/v1.</p></html>
"""
_TYPES = {".js": "text/javascript", ".wasm": "application/wasm", ".map": "application/json"}


@router.get("/{path:path}", dependencies=[public])
def page(path: str, request: Request) -> Response:
    """Give a file of the build, or the page."""
    if path.startswith("api/"):
        raise not_found("call; see /api/v1/openapi.json")
    found = _inside(path) if path else None
    if found is not None:
        return _file(found, request)
    if Path(path).suffix:
        raise not_found("file")
    index = ROOT / "index.html"
    if not index.is_file():
        return HTMLResponse(_NOT_BUILT)
    return _file(index, request)


def _inside(path: str) -> Path | None:
    """Return a file beneath ``ROOT``, and nothing else."""
    if "\x00" in path or len(path) > 255:
        return None
    found = (ROOT / path).resolve()
    if not found.is_relative_to(ROOT.resolve()) or not found.is_file():
        return None
    return found


def _file(found: Path, request: Request) -> Response:
    kind = _TYPES.get(found.suffix) or mimetypes.guess_type(found.name)[0]
    headers = {"Vary": "Accept-Encoding"}
    hashed = found.resolve().is_relative_to((ROOT / "assets").resolve())
    headers["Cache-Control"] = _YEAR if hashed else "no-cache"
    accepted = request.headers.get("accept-encoding", "")
    for name, suffix in _ENCODINGS:
        packed = found.with_name(found.name + suffix)
        if name in accepted and packed.is_file():
            headers["Content-Encoding"] = name
            found = packed
            break
    return FileResponse(found, media_type=kind or "application/octet-stream", headers=headers)
