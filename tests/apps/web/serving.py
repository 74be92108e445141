"""A server in processes of its own, as a user runs it, to be killed and started again."""

from __future__ import annotations

import os
import queue
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import httpx

API = "/api/v1"
START_S = 120
"""Much more than it takes, because the machine of a test may be busy with others."""


class Served:
    """``hilum serve`` on a free port, and what a test does to it."""

    def __init__(self, data, bundle, url=None, *options):
        self.data, self.bundle, self.url, self.options = data, bundle, url, options
        self.process = None
        self.base = ""
        self.ready_s = 0.0

    def start(self):
        """Start it and wait until it says that it is ready."""
        command = [sys.executable, "-m", "hilum.apps.cli.main", "serve", "--port", "0"]
        command += ["--home", str(self.data), *self.options]
        if self.bundle is not None:
            command += ["--bundle", str(self.bundle)]
        environment = os.environ | ({"HILUM_STORE": self.url} if self.url else {})
        began = time.monotonic()
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
        lines = queue.Queue()
        self._listener = threading.Thread(
            target=_listen, args=(self.process.stdout, lines), daemon=True
        )
        self._listener.start()
        while not self.base:
            line = lines.get(timeout=START_S)
            if line is None:
                raise RuntimeError(f"the server ended with {self.process.wait()}")
            if found := re.search(r"serves at (http://127\.0\.0\.1:\d+)", line):
                self.base = found[1]
        self.ready_s = time.monotonic() - began

    @property
    def worker(self):
        """Process id of the worker, or None while there is none."""
        try:
            listed = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
            others = Path(f"/proc/{self.process.pid}/task").iterdir()
            listed += "".join((task / "children").read_text() for task in others)
        except OSError:
            return None
        return int(listed.split()[0]) if listed.split() else None

    @property
    def link(self):
        """A new one-time link, as ``hilum user link`` makes it."""
        return make_link(self.data, self.url)

    def kill(self):
        """kill -9 the server."""
        self.process.kill()
        self.process.wait()
        self._listener.join(10)
        self.base = ""

    def kill_worker(self):
        """kill -9 the worker, if there is one."""
        if (pid := self.worker) is not None:
            os.kill(pid, signal.SIGKILL)

    def stop(self, told=signal.SIGINT):
        """Ctrl-C, or another signal; return the exit code."""
        if self.process is None or self.process.poll() is not None:
            return None
        self.process.send_signal(told)
        try:
            return self.process.wait(60)
        finally:
            self.kill()

    def client(self, token=None, **options):
        """Return a client of the API."""
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        return httpx.Client(base_url=self.base + API, headers=headers, timeout=60, **options)


def _listen(stdout, lines):
    with stdout:
        for line in stdout:
            lines.put(line)
    lines.put(None)


def make_link(data, url=None):
    """Make a link as ``hilum user link`` does."""
    from hilum.apps.web import link
    from hilum.apps.web.serve import Place, open_place

    store, _ = open_place(Place.of(data, url), make=False)
    try:
        return link.make_link(store)
    finally:
        store.close()


def make_token(data, url=None, role="administrator"):
    """Make a token as ``hilum user add --token`` does."""
    from hilum.apps.store.people import Role, add_person, add_token
    from hilum.apps.web.serve import Place, open_place

    store, _ = open_place(Place.of(data, url))
    with store.write() as session:
        secret = add_token(session, add_person(session, f"script-{role}", Role(role)), "test")[1]
    store.close()
    return secret
