"""Prefix: the path under which a proxy shows the server, taken off where the proxy leaves it on."""

from __future__ import annotations

from starlette.responses import RedirectResponse
from starlette.types import ASGIApp, Receive, Scope, Send


class Prefix:
    """Takes a path off the front of every address that has it.

    Args:
        app: that knows nothing of it.
        prefix: "/hilum"; empty for none.
    """

    def __init__(self, app: ASGIApp, *, prefix: str) -> None:
        self._app = app
        self._prefix = prefix

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass one request on."""
        path = scope.get("path", "")
        if scope["type"] != "http" or not self._prefix:
            await self._app(scope, receive, send)
        elif path == self._prefix:  # what the page asks for is relative to its own address
            to = self._prefix.rpartition("/")[2] + "/"
            await RedirectResponse(to, 308)(scope, receive, send)
        elif path.startswith(self._prefix + "/"):
            raw = scope["raw_path"].removeprefix(self._prefix.encode())
            bare = {"path": path.removeprefix(self._prefix), "raw_path": raw}
            await self._app({**scope, **bare}, receive, send)
        else:
            await self._app(scope, receive, send)
