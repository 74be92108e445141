"""Meter: what the server counts and times, for Prometheus; nothing in it names a film."""

from __future__ import annotations

import time
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.3, 0.5, 1, 2.5, 5, 10, 30)
_METHODS = frozenset(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"))
"""A method may be any word, and each series stays in memory."""
_NODE = {
    "received": "Objects by what became of them, since the receiver was started",
    "deliveries": "Results on their way, by state",
    "oldest_waiting_seconds": "Longest wait of a result",
    "alarm": "Alarms of the node; the value is that of its kind",
    "peer_up": "1: it could be sent to when that was last tried; none: it was not",
}


class Meter:
    """Counters and histograms of one server, in a registry of its own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.accepted = Counter("hilum_films_accepted", "Films accepted", registry=self.registry)
        self.duplicates = Counter("hilum_films_duplicate", "Sent again", registry=self.registry)
        self.rejected = Counter(
            "hilum_films_rejected", "Films rejected", ["code"], registry=self.registry
        )
        self.requests = Histogram(
            "hilum_request_seconds",
            "Time to answer",
            ["method", "route", "status"],
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.films = Gauge("hilum_films", "Films by status", ["status"], registry=self.registry)
        self.queue = Gauge("hilum_queue_films", "Films that wait", registry=self.registry)
        self.oldest = Gauge("hilum_queue_oldest_seconds", "Longest wait", registry=self.registry)
        self.restarts = Gauge(
            "hilum_worker_restarts", "Times the worker was started again", registry=self.registry
        )
        labels = {"received": "outcome", "deliveries": "state", "alarm": "code"}
        self._node = {
            name: Gauge(
                f"hilum_node_{name}", words, ["peer", *labels.get(name, "").split()],
                registry=self.registry,
            )
            for name, words in _NODE.items()
        }  # fmt: skip

    def node(self, found: dict[str, Any]) -> None:
        """Take over what ``hilum.apps.node.status.summary`` found."""
        for gauge in self._node.values():
            gauge.clear()
        for peer, counts in found["counts"].items():
            for outcome, count in counts.items():
                self._node["received"].labels(peer, outcome).set(count)
        for each in found["alarms"]:
            self._node["alarm"].labels(each["peer"] or "", each["code"]).set(each["value"])
        for peer, sent in found["peers"].items():
            for state, count in sent["states"].items():
                self._node["deliveries"].labels(peer, state).set(count)
            waited = sent["oldest_waiting_s"] or 0
            self._node["oldest_waiting_seconds"].labels(peer).set(waited)
            if sent["since"] is not None:
                self._node["peer_up"].labels(peer).set(sent["error"] is None)

    def text(self) -> bytes:
        """Return everything in Prometheus' text format."""
        return generate_latest(self.registry)


class Timed:
    """Times every request by its route, not by its address.

    Args:
        app: what is timed.
        meter: that keeps the times.
    """

    def __init__(self, app: ASGIApp, *, meter: Meter) -> None:
        self._app = app
        self._meter = meter

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Time one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, status = time.perf_counter(), 500

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, sending)
        finally:
            route = getattr(scope.get("route"), "path", "none")
            method = scope["method"] if scope["method"] in _METHODS else "other"
            labels = (method, route, str(status))
            self._meter.requests.labels(*labels).observe(time.perf_counter() - began)
