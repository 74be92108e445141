"""A workstation without a network, to which damaged files are sent as from a browser."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fastapi.testclient import TestClient

from hilum.apps.store import queue
from hilum.apps.store.people import Role, add_person, add_token
from hilum.apps.web.app import create_app
from hilum.apps.web.orders import Orders
from hilum.apps.web.serve import Place, make_service
from hilum.apps.web.settings import Settings
from hilum.apps.web.worker import Worker

_API = "/api/v1"
_ADDRESS = "http://127.0.0.1:8337"


class Station:
    """Takes files, reads what it accepted, shows it."""

    def __init__(self, folder: Path) -> None:
        place = Place.of(folder, None)
        service = make_service(place, settings=Settings(), worker=False)
        with service.store.write() as session:
            token = add_token(session, add_person(session, "fuzzer", Role.REVIEWER), "fuzz")[1]
        self._client = TestClient(
            create_app(service),
            base_url=_ADDRESS,
            headers={"Authorization": f"Bearer {token}"},
            raise_server_exceptions=False,
        )
        orders = Orders("fuzz", place.url, str(folder), None)
        self._store, self._worker = service.store, Worker(orders, service.store, threading.Event())

    def take(self, paths: list[Path]) -> Iterator[str]:
        """Send files; yield what went wrong."""
        parts = [("files", (path.name, path.read_bytes())) for path in paths]
        answer = self._client.post(f"{_API}/films", files=parts)
        if answer.status_code >= 500:
            yield f"upload answered {answer.status_code}: {answer.text[:200]}"
            return
        found: dict[str, list[dict[str, Any]]] = answer.json()
        accepted, rejected = found.get("accepted", []), found.get("rejected", [])
        named = sorted(one["name"] for one in (*accepted, *rejected))
        if named != sorted(path.name for path in paths):
            yield f"upload named {named}"
        yield from (f"rejected untyped: {one}" for one in rejected if one["status"] >= 500)
        while queue.waiting(self._store) and self._worker.step():
            pass
        for one in accepted:
            yield from self._look(one["film_id"], one["name"])

    def _look(self, film: str, name: str) -> Iterator[str]:
        """Look at all that the reading room would load of a film."""
        state = self._client.get(f"{_API}/films/{film}").json().get("status")
        if state not in ("read", "refused", "error"):
            yield f"{name} is {state} after it was read"
        for view in ("image", "thumbnail.jpg", "reading", "overlays", "pixels"):
            answer = self._client.get(f"{_API}/films/{film}/{view}")
            if answer.status_code >= 500:
                yield f"{name}: {view} answered {answer.status_code}: {answer.text[:200]}"
