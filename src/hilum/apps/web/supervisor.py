"""Supervisor: starts a process beside the server, and starts it again whenever it ends."""

from __future__ import annotations

import contextlib
import logging
import secrets
import subprocess
import sys
import threading
import time

from hilum.apps.store import queue
from hilum.apps.store.store import Store
from hilum.apps.web.orders import Orders
from hilum.core.errors import StoreError

WORKER = "hilum.apps.web.worker"
RECEIVER, SENDER = "hilum.apps.node.receiver", "hilum.apps.node.sender"
_LOG = logging.getLogger("hilum.web")
_PATIENCE_S = 10.0
_STEADY_S = 30.0
"""One that ran this long did not fail at once; the next is started without delay."""


class Supervisor:
    """Keeps one process running: the worker, or one of the node.

    Args:
        store: whose queue it serves.
        url, data, bundle: for the process; see ``Orders``.
        module: that it runs.

    Attributes:
        restarts: how often it had to be started again.
    """

    def __init__(
        self, store: Store, *, url: str, data: str, bundle: str | None, module: str = WORKER
    ) -> None:
        self._store = store
        self.module, self._kind = module, module.rpartition(".")[2]
        self._orders = (url, data, bundle)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="supervisor", daemon=True)
        self._process: subprocess.Popen[bytes] | None = None
        self.restarts = 0

    @property
    def pid(self) -> int | None:
        """Process id, if it runs."""
        process = self._process
        return process.pid if process is not None and process.poll() is None else None

    def start(self) -> None:
        """Start the process."""
        self._thread.start()

    def stop(self) -> None:
        """Let it finish what is at hand, then end."""
        self._stop.set()
        process = self._process
        if process is not None and process.stdin is not None:
            with contextlib.suppress(OSError):
                process.stdin.close()
        self._thread.join(_PATIENCE_S)
        if process is not None and process.poll() is None:
            process.kill()
            process.wait()

    def _run(self) -> None:
        delay = 0.2
        while not self._stop.is_set():
            name = f"{self._kind}-{secrets.token_hex(4)}"
            began = time.monotonic()
            try:
                code: int | str = self._once(name)
            except OSError as error:  # no memory, no process to be had
                code = str(error)
            if self._stop.is_set():
                return
            _LOG.warning("the %s ended with code %s; starting it again", self._kind, code)
            self.restarts += 1
            with contextlib.suppress(StoreError):  # else its lease ends by itself
                queue.release(self._store, name)
            delay = 0.2 if time.monotonic() - began > _STEADY_S else min(2 * delay, 5.0)
            self._stop.wait(delay)

    def _once(self, name: str) -> int:
        url, data, bundle = self._orders
        command = [sys.executable, "-m", self.module]
        with subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            start_new_session=True,  # Ctrl-C is for the server; what is at hand is finished
        ) as process:
            self._process = process
            if process.stdin is not None:
                with contextlib.suppress(OSError):
                    process.stdin.write(Orders(name, url, data, bundle).line())
                    process.stdin.flush()
            return process.wait()
