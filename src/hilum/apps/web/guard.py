"""Guard: what every request passes before a route sees it: host, size, pace; and safe headers.

Plain ASGI, so that bodies and event streams flow through without being gathered.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterable

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hilum.apps.web.problems import MEDIA_TYPE, describe
from hilum.apps.web.settings import Limits

CSP = (
    "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; worker-src 'self' blob:; "
    "style-src 'self'; img-src 'self' blob: data:; font-src 'self'; connect-src 'self'; "
    "manifest-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
"""Of every answer but a report's page, which is one file with its own style."""

HEADERS: dict[str, str] = {
    "Content-Security-Policy": CSP,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
}


def headers_of(path: str, *, https: bool) -> dict[str, str]:
    """Return the headers of every answer under a path, unless its route says otherwise."""
    more = {"Strict-Transport-Security": "max-age=31536000"} if https else {}
    if path.startswith("/api/"):
        more["Cache-Control"] = "no-store"
    return HEADERS | more


_SMALL_BODY = 4_000_000
"""Bytes of a request that carries no film."""


class Guard:
    """Refuses foreign hosts, large and slow bodies; adds the headers of ``HEADERS``.

    Args:
        app: what it guards.
        limits: of a request.
        hosts: names by which this server may be addressed, without port; "*" for any.
        https: say that browsers must keep to https.
        uploads: paths whose bodies may be as large as ``limits.request_mb``.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        limits: Limits,
        hosts: Iterable[str],
        https: bool,
        uploads: tuple[str, ...],
    ) -> None:
        self._app = app
        self._limits = limits
        self._hosts = frozenset(host.lower() for host in hosts)
        self._https = https
        self._uploads = uploads

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Guard one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        send = self._with_headers(scope, send)
        headers = Headers(scope=scope)
        if not self._knows(headers.get("host", "")):
            await _refuse(send, 400, "invalid", "this server has another name", "see --host")
            return
        largest = _SMALL_BODY
        path = scope["path"]
        if path in self._uploads or path.rpartition("/")[0] == self._uploads[-1]:
            largest = int(self._limits.request_mb * 1e6) + _SMALL_BODY
        if (length := headers.get("content-length", "0")).isdigit() and int(length) > largest:
            await _refuse(send, 413, "too-large", _too_large(largest), _SMALLER)
            return
        await self._app(scope, _Body(receive, largest, self._limits).receive, send)

    def _knows(self, host: str) -> bool:
        name = host.rpartition(":")[0] if host.rpartition(":")[2].isdigit() else host
        return "*" in self._hosts or name.strip("[]").lower() in self._hosts

    def _with_headers(self, scope: Scope, send: Send) -> Send:
        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in headers_of(scope["path"], https=self._https).items():
                    headers.setdefault(name, value)
            await send(message)

        return sending


class _Body:
    """A body that may be only so large and so slow.

    It raises ``HTTPException``, the one kind that every parser of bodies lets pass.
    """

    def __init__(self, receive: Receive, largest: int, limits: Limits) -> None:
        self._receive = receive
        self._left = self._largest = largest
        self._limits = limits
        self._until = time.monotonic() + limits.request_s
        self._whole = False

    async def receive(self) -> Message:
        if self._whole:  # waiting for the browser to go away, which may take long
            return await self._receive()
        try:
            seconds = min(self._limits.idle_s, self._until - time.monotonic())
            message = await asyncio.wait_for(self._receive(), max(seconds, 0.001))
        except TimeoutError:
            raise HTTPException(408, "the body came too slowly") from None
        self._left -= len(message.get("body", b""))
        self._whole = not message.get("more_body", False)
        if self._left < 0:
            raise HTTPException(413, _too_large(self._largest))
        return message


_SMALLER = "send fewer films at once"


def _too_large(largest: int) -> str:
    return f"the request is larger than {largest / 1e6:.0f} MB"


async def _refuse(send: Send, status: int, code: str, detail: str, hint: str) -> None:
    body = json.dumps(describe(status, code, detail, hint)).encode()
    headers = [
        (b"content-type", MEDIA_TYPE.encode()),
        (b"content-length", str(len(body)).encode()),
        (b"connection", b"close"),
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
