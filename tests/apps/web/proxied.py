"""nginx on loopback in front of a workstation, with the words of the documentation."""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path

DOCS = Path(__file__).parents[3] / "docs" / "how-to" / "run-the-workstation.md"
NGINX = shutil.which("nginx", path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin")
_WHOLE = """
daemon off; master_process off; pid {folder}/nginx.pid; error_log {folder}/error.log;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
    {server}
}}
"""
_PLAIN = "server {{ listen 127.0.0.1:{port}; {location} }}"


def documented():
    """The two snippets of the documentation: at the root, and under a path."""
    return re.findall(r"```nginx\n(.*?)```", DOCS.read_text(encoding="utf-8"), re.DOTALL)


@contextmanager
def nginx(folder, location, upstream, port=0):
    """Run nginx with a ``location`` before the server at a port; gives its own port.

    A whole ``server`` that listens at ``port`` may stand in place of the location.
    """
    port = port or free_port()
    whole = location.startswith("server {")
    server = location if whole else _PLAIN.format(port=port, location=location)
    server = server.replace("127.0.0.1:8337", f"127.0.0.1:{upstream}")
    folder.mkdir(parents=True, exist_ok=True)
    config = folder / "nginx.conf"
    config.write_text(_WHOLE.format(folder=folder, server=server))
    command = [NGINX, "-p", str(folder), "-c", str(config), "-e", str(folder / "error.log")]
    with subprocess.Popen(command) as process:
        try:
            _wait(port, process, folder)
            yield port
        finally:
            process.terminate()


def free_port(wanted=0):
    """A port of loopback that is free; the wanted one if it is."""
    try:
        with socket.create_server(("127.0.0.1", wanted)) as free:
            return free.getsockname()[1]
    except OSError:
        return free_port()


def _wait(port, process, folder):
    deadline = time.monotonic() + 60
    while True:
        assert process.poll() is None, (folder / "error.log").read_text()
        try:
            socket.create_connection(("127.0.0.1", port), 5).close()
            return
        except OSError:
            assert time.monotonic() < deadline
            time.sleep(0.05)
