"""Problems: every refusal as ``application/problem+json`` (RFC 9457), with a code and a hint."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.responses import Response

from hilum.apps.store.store import is_full
from hilum.core.errors import (
    BundleError,
    HilumError,
    ImageError,
    RejectedImageError,
    StoreFullError,
    UnsupportedImageError,
)

MEDIA_TYPE = "application/problem+json"
_BASE = "https://hilum.invalid/problems/"
_LOG = logging.getLogger("hilum.web")
RETRY_S = "5"
"""Seconds after which a store that was busy may be asked again."""

TITLES: dict[str, str] = {
    "not-signed-in": "Not signed in",
    "not-allowed": "Not allowed",
    "csrf": "The request does not come from the page",
    "not-found": "Not found",
    "method-not-allowed": "Method not allowed",
    "timeout": "The request took too long",
    "conflict": "Conflict",
    "blind-read-pending": "Blind read pending",
    "already-seen": "Already seen",
    "list-closed": "The reading list has ended",
    "not-read": "Not read yet",
    "other-pixels": "Another film has this UID",
    "too-large": "Too large",
    "not-a-film": "Not a film",
    "invalid": "Invalid",
    "too-many-requests": "Too many requests",
    "internal": "Internal error",
    "store-busy": "The store is busy",
    "bundle": "The bundle cannot be used",
    "disk-full": "No space left",
    "unreadable": "Unreadable film",
    "unsupported": "Unsupported film",
    "rejected": "Film rejected",
}
"""Code -> title; the codes are part of the API and never change."""


class ProblemFacts(BaseModel):
    """What every problem says (RFC 9457)."""

    type: str = Field(examples=[_BASE + "not-a-film"])
    title: str = Field(examples=["Not a film"])
    status: int = Field(examples=[415])
    code: Annotated[str, Field(json_schema_extra={"enum": sorted(TITLES)})] = Field(
        examples=["not-a-film"]
    )
    detail: str = Field(examples=["text; expected a film"])
    hint: str | None = Field(examples=["name an image: DICOM, PNG, JPEG, TIFF, WEBP or BMP"])


class WrongField(BaseModel):
    """A parameter, or a field of a body, that is not as described."""

    where: str = Field(examples=["body.finding"])
    message: str


class SignIn(BaseModel):
    """What the sign-in page should offer."""

    password: bool
    oidc: str | None = Field(description="where to go")
    link: bool = Field(description="'hilum user link' would open the page")


class ProblemAnswer(ProblemFacts):
    """A refusal."""

    errors: list[WrongField] | None = Field(default=None, description="of 422 ``invalid``")
    sign_in: SignIn | None = Field(default=None, description="of 401")


_STATUS_CODES = {
    401: "not-signed-in",
    403: "not-allowed",
    404: "not-found",
    405: "method-not-allowed",
    408: "timeout",
    409: "conflict",
    413: "too-large",
    415: "not-a-film",
    429: "too-many-requests",
    500: "internal",
    503: "store-busy",
}


class Problem(Exception):  # noqa: N818  (the word of RFC 9457)
    """A request that is refused.

    Args:
        status: of HTTP.
        code: one of ``TITLES``.
        detail: what was found, in one sentence.
        hint: what to do.
        more: further members of the problem.
        headers: of the answer.
    """

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        *,
        hint: str = "",
        headers: dict[str, str] | None = None,
        **more: Any,
    ) -> None:
        super().__init__(detail)
        self.status, self.code, self.detail, self.hint = status, code, detail, hint
        self.more, self.headers = more, headers


def describe(status: int, code: str, detail: str, hint: str = "", **more: Any) -> dict[str, Any]:
    """Return a problem as a JSON object."""
    body = {"type": _BASE + code, "title": TITLES[code], "status": status, "code": code}
    return body | {"detail": detail, "hint": hint or None} | more


def problem_of(error: HilumError | Problem) -> dict[str, Any]:
    """Return what an error is to the API."""
    if isinstance(error, Problem):
        return describe(error.status, error.code, error.detail, error.hint, **error.more)
    return describe(error.http_status, _code(error), error.public, error.hint)


def without_name(error: ImageError, path: Path) -> ImageError:
    """Return what is wrong with a film of the folder, without the checksum that it is called there.

    Args:
        error: of a film that was opened.
        path: where it lies.
    """
    return type(error)(error.public.removeprefix(f"{path.name}: "), hint=error.hint)


def not_found(what: str) -> Problem:
    """Return the problem that there is no such thing."""
    return Problem(404, "not-found", f"there is no such {what}", hint="it may have been deleted")


def too_large(detail: str) -> Problem:
    """Return the 413."""
    return Problem(413, "too-large", detail, hint="send fewer or smaller films at once")


def answer(problem: dict[str, Any], headers: dict[str, str] | None = None) -> JSONResponse:
    """Return a problem as a response."""
    if problem["code"] == "store-busy":
        headers = {"Retry-After": RETRY_S} | (headers or {})
    return JSONResponse(problem, problem["status"], headers=headers, media_type=MEDIA_TYPE)


def install(app: FastAPI, headers_of: Callable[[str], dict[str, str]]) -> None:
    """Let every error of this app leave as a problem.

    Args:
        app: whose errors.
        headers_of: the safe headers under a path: a mistake of the server is answered outside of
            the middleware that adds them to all other answers.
    """

    async def on_anything(request: Request, error: Exception) -> Response:
        response = await _on_anything(request, error)
        response.headers.update(headers_of(request.url.path))
        return response

    app.add_exception_handler(HilumError, _on_hilum)
    app.add_exception_handler(Problem, _on_hilum)
    app.add_exception_handler(RequestValidationError, _on_invalid)
    app.add_exception_handler(HTTPException, _on_http)
    app.add_exception_handler(OSError, _on_os)
    app.add_exception_handler(Exception, on_anything)


async def _on_hilum(_: Request, error: Exception) -> Response:
    headers = getattr(error, "headers", None)
    return answer(problem_of(error), headers)  # type: ignore[arg-type]


async def _on_invalid(_: Request, error: Exception) -> Response:
    found = error.errors()  # type: ignore[attr-defined]
    first = found[0]
    where = ".".join(str(part) for part in first["loc"])
    message = str(first["msg"]).removeprefix("Value error, ")
    errors = [
        {"where": ".".join(str(part) for part in each["loc"]), "message": str(each["msg"])}
        for each in found[:20]
    ]
    detail = f"{where}: {message}"
    return answer(describe(422, "invalid", detail, "see /api/v1/openapi.json", errors=errors))


async def _on_http(_: Request, error: Exception) -> Response:
    status = error.status_code  # type: ignore[attr-defined]
    code = _STATUS_CODES.get(status, "invalid" if status < 500 else "internal")
    headers = getattr(error, "headers", None)
    return answer(describe(status, code, str(error.detail)), headers)  # type: ignore[attr-defined]


async def _on_os(request: Request, error: Exception) -> Response:
    """A disk that is full while a body is spooled; anything else of the kind is a bug."""
    if is_full(error):
        hint = "make space, then send it again"
        return answer(describe(507, "disk-full", "no space left on the disk", hint))
    return await _on_anything(request, error)


async def _on_anything(request: Request, error: Exception) -> Response:
    """Say nothing of the inside; the traceback goes to the server's log, without the query."""
    _LOG.error("%s %s failed", request.method, request.scope.get("path"), exc_info=error)
    return answer(
        describe(500, "internal", "the server made a mistake", "see its log, and please report it")
    )


def _code(error: HilumError) -> str:
    if isinstance(error, StoreFullError):
        return "disk-full"
    if isinstance(error, BundleError):
        return "bundle"
    if isinstance(error, RejectedImageError):
        return "rejected"
    if isinstance(error, UnsupportedImageError):
        return "unsupported"
    if isinstance(error, ImageError):
        return "unreadable"
    return {503: "store-busy", 500: "internal"}.get(error.http_status, "invalid")
